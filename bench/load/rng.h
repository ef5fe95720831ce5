/* Rng: SplitMix64 (Steele, Lea and Flood 2014). The same numbers for a seed on every machine. */
#ifndef RL_LOAD_RNG_H
#define RL_LOAD_RNG_H

#include <stdint.h>

typedef struct rl_load_rng {
    uint64_t state; /* any value is a seed */
} rl_load_rng;

static inline uint64_t rl_load_rng_next(rl_load_rng *r)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* In (0, 1]: its logarithm is finite. */
static inline double rl_load_rng_unit(rl_load_rng *r)
{
    return (double)((rl_load_rng_next(r) >> 11) + 1) * 0x1p-53;
}

#endif
