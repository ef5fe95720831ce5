#include "load/schedule.h"

#include <math.h>

#define FAR_S 1e9 /* later than any run: no overflow in ns */

void rl_load_schedule_init(rl_load_schedule *s, double rate, bool uniform, uint64_t seed)
{
    *s = (rl_load_schedule){ .rng = { seed ^ 0x6172726976616c73u }, /* not the prompts' series */
                             .rate = rate,
                             .uniform = uniform };
}

uint64_t rl_load_schedule_next(rl_load_schedule *s)
{
    if (s->uniform)
        s->at_s = (double)s->n / s->rate;
    else
        s->at_s -= log(rl_load_rng_unit(&s->rng)) / s->rate;
    s->n++;
    if (s->at_s > FAR_S)
        s->at_s = FAR_S;
    return (uint64_t)(s->at_s * 1e9);
}
