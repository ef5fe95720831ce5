/* Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel Random
 * Numbers: As Easy as 1, 2, 3" (SC 2011), section 3.3. Pure; any thread. */
#ifndef RL_SAMPLE_PHILOX_H
#define RL_SAMPLE_PHILOX_H

#include <stdint.h>

void rl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Uniform in [0, 1), 53 bits: the nth one of (seed, choice, position). */
double rl_philox_uniform(uint64_t seed, uint32_t choice, uint64_t position, uint32_t nth);

#endif
