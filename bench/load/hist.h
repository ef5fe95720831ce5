/* Hist: how often which time was seen, in fixed memory (59 KiB), for 0 .. 2^64 - 1 ns.
 *
 * Log-linear slots as in HdrHistogram: up to 255 ns exact, then 128 slots an octave. What `at`
 * answers is the middle of a slot, so it is off by less than 0.4 %; least, most and the mean are
 * exact. */
#ifndef RL_LOAD_HIST_H
#define RL_LOAD_HIST_H

#include <stdint.h>

#define RL_LOAD_HIST_BITS  7u
#define RL_LOAD_HIST_SLOTS ((64u - RL_LOAD_HIST_BITS + 1u) << RL_LOAD_HIST_BITS)

typedef struct rl_load_hist {
    uint64_t n, least, most; /* least and most: valid with n > 0 */
    double sum;
    uint64_t slots[RL_LOAD_HIST_SLOTS];
} rl_load_hist; /* all zero is empty */

void rl_load_hist_add(rl_load_hist *h, uint64_t ns);

/* The value that a share q (0..1) of all values does not exceed (nearest rank); 0 when empty. */
uint64_t rl_load_hist_at(const rl_load_hist *h, double q);
double rl_load_hist_mean(const rl_load_hist *h);

#endif
