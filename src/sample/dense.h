/* Dense: passes over all logits of a vocabulary, in tiles of 4096 ids.
 *
 * 1. The logits are the model's and never written: ids whose logit was changed (bias, penalties)
 * are given as a short sorted list and patched into a copy of their tile only. A masked id counts
 * as -inf, whatever was changed.
 * 2. A pass gives the same bits on every CPU: fixed lanes, own exp, fused where the text says so.
 *    The AVX2 copy of a loop does the same operations, only more of them at once.
 * 3. NaN is treated as -inf everywhere. Any thread. */
#ifndef RL_SAMPLE_DENSE_H
#define RL_SAMPLE_DENSE_H

#include "sample/cands.h"

#define RL_DENSE_TILE 4096u

typedef struct rl_changed {
    uint32_t id;
    float logit;
} rl_changed;

typedef struct rl_dense {
    const float *logits; /* borrowed; [n] */
    uint32_t n;
    const rl_changed *changed; /* borrowed; [n_changed] by rising id, no id twice */
    uint32_t n_changed;
    const uint32_t *mask; /* borrowed; [ceil(n / 32)] bit set: may be drawn; NULL: all may */
} rl_dense;

static inline uint32_t rl_dense_tiles(uint32_t n)
{
    return n / RL_DENSE_TILE + (n % RL_DENSE_TILE != 0);
}

/* The largest logit and its lowest id. -> -inf (id 0) when there is none above -inf */
float rl_dense_max(const rl_dense *d, uint32_t *id);

/* Sum of exp((logit - max) / temperature); sums [rl_dense_tiles] gets each tile's part, or NULL. */
double rl_dense_exp_sum(const rl_dense *d, float max, float temperature, double *sums);

/* The id at which the running sum of exp((logit - max) / temperature), in rising id, passes
 * `target`; sums as filled by rl_dense_exp_sum. */
uint32_t rl_dense_walk(const rl_dense *d, float max, float temperature, const double *sums,
                       double target);

/* The logit that id counts with: -inf when the mask forbids it. */
float rl_dense_logit(const rl_dense *d, uint32_t id);

/* Sum of exp(logit - max) of the ids that are better than `id`: a larger logit, or an equal one and
 * a lower id. May stop when it has reached `limit`. */
double rl_dense_better(const rl_dense *d, float max, uint32_t id, double limit);

/* Adds every id whose logit is >= least (and > -inf) to c, in rising id. -> OK | ENOMEM */
realm_status rl_dense_gather(const rl_dense *d, float least, rl_cands *c);

/* Adds the k best to c (empty), in rising id; for small k. -> OK | ENOMEM */
realm_status rl_dense_best(const rl_dense *d, uint32_t k, rl_cands *c);

#endif
