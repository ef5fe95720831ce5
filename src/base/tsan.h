/* Tsan: tells a thread sanitizer of memory that code without its instrumentation reads or writes;
 * in every other build nothing is left of it. For inner loops whose every access would cost a call
 * (docs/adr/0010): the caller in front of them names their ranges once. */
#ifndef RL_BASE_TSAN_H
#define RL_BASE_TSAN_H

#include <stddef.h>

#ifdef REALM_TSAN
/* The sanitizer's own entry points: NOLINTNEXTLINE(bugprone-reserved-identifier) */
void __tsan_read_range(void *at, unsigned long bytes);
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
void __tsan_write_range(void *at, unsigned long bytes);
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
