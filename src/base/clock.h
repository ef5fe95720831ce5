/* Clocks, in nanoseconds. Any thread. */
#ifndef RL_BASE_CLOCK_H
#define RL_BASE_CLOCK_H

#include <stdint.h>

uint64_t rl_clock_ns(void);            /* monotonic */
uint64_t rl_clock_thread_cpu_ns(void); /* CPU time of the calling thread */
uint64_t rl_clock_process_cpu_ns(void);
int64_t rl_clock_unix_s(void); /* wall clock, seconds since 1970 */

#endif
