/* Schedule: when the requests of an open loop are meant to be sent, whatever the server does.
 * Poisson arrivals (exponential gaps) or one every 1/rate seconds; the same for the same seed. */
#ifndef RL_LOAD_SCHEDULE_H
#define RL_LOAD_SCHEDULE_H

#include "load/rng.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct rl_load_schedule {
    rl_load_rng rng;
    double rate; /* per second, > 0 */
    bool uniform;
    uint64_t n; /* arrivals so far */
    double at_s;
} rl_load_schedule;

void rl_load_schedule_init(rl_load_schedule *s, double rate, bool uniform, uint64_t seed);

/* The next arrival, in ns since the start; never before an earlier one. */
uint64_t rl_load_schedule_next(rl_load_schedule *s);

#endif
