/* Timers: who is to be woken when; a binary heap, at most one entry for each client. */
#ifndef RL_LOAD_TIMERS_H
#define RL_LOAD_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct rl_load_timer {
    uint64_t at_ns;
    uint32_t client; /* its index */
} rl_load_timer;

typedef struct rl_load_timers {
    rl_load_timer *heap; /* owned [cap] */
    uint32_t n, cap;
} rl_load_timers;

bool rl_load_timers_init(rl_load_timers *t, uint32_t cap); /* false: no memory */
void rl_load_timers_deinit(rl_load_timers *t);
void rl_load_timers_add(rl_load_timers *t, uint64_t at_ns, uint32_t client); /* n < cap */
uint64_t rl_load_timers_next(const rl_load_timers *t);                       /* UINT64_MAX: none */
uint32_t rl_load_timers_take(rl_load_timers *t); /* the earliest; n > 0 */

#endif
