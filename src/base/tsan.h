/* Tsan: tells a thread sanitizer what code without its instrumentation does; in every other build
 * nothing is left of it. See docs/adr/0010.
 *
 * read, write: for inner loops whose every access would cost a call, named once in front of them.
 * release, acquire: memory is handed over under a lock that the sanitizer does not see. What was
 * done before a release happened before what is done after a later acquire of the same address. */
#ifndef RL_BASE_TSAN_H
#define RL_BASE_TSAN_H

#include <stddef.h>

#ifdef REALM_TSAN
/* The sanitizer's own entry points: NOLINTNEXTLINE(bugprone-reserved-identifier) */
void __tsan_read_range(void *at, unsigned long bytes);
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
void __tsan_write_range(void *at, unsigned long bytes);
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
void __tsan_acquire(void *at);
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
void __tsan_release(void *at);
#endif

static inline void rl_tsan_read(const void *at, size_t bytes)
{
#ifdef REALM_TSAN
    __tsan_read_range((void *)(size_t)at, bytes);
#else
    (void)at;
    (void)bytes;
#endif
}

static inline void rl_tsan_acquire(void *at)
{
#ifdef REALM_TSAN
    __tsan_acquire(at);
#else
    (void)at;
#endif
}

static inline void rl_tsan_release(void *at)
{
#ifdef REALM_TSAN
    __tsan_release(at);
#else
    (void)at;
#endif
}

static inline void rl_tsan_write(void *at, size_t bytes)
{
#ifdef REALM_TSAN
    __tsan_write_range(at, bytes);
#else
    (void)at;
    (void)bytes;
#endif
}

#endif
