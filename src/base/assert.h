/* RL_ASSERT: an invariant of ours, kept in release builds. It logs the place and aborts. Input from
 * outside (file, guest, client, config) is never checked with it: that is a status. */
#ifndef RL_BASE_ASSERT_H
#define RL_BASE_ASSERT_H

_Noreturn void rl_assert_failed(const char *what, const char *file, int line);

#define RL_ASSERT(cond) ((cond) ? (void)0 : rl_assert_failed(#cond, __FILE__, __LINE__))
#define RL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
