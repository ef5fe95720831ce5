/* Profile: where the wall time of steps goes, region by region.
 *
 * One thread marks: what passed since its last mark belongs to the region it names. Whoever has no
 * profile (NULL) pays one comparison per mark. */
#ifndef RL_MODEL_PROFILE_H
#define RL_MODEL_PROFILE_H

#include "base/clock.h"

#include <stddef.h>

typedef enum rl_region {
    RL_REGION_EMBED,     /* embeddings and rope tables */
    RL_REGION_PREPARE,   /* residual, norm and quantisation where they are a region of their own */
    RL_REGION_QKV,       /* these matmuls prepare their own few rows */
    RL_REGION_ATTENTION, /* biases, q/k norms, rope and the KV put included */
    RL_REGION_OUT,
    RL_REGION_GATE_UP, /* the activation included */
    RL_REGION_DOWN,
    RL_REGION_HEAD,
    RL_REGION_SAMPLE, /* everything behind the head's matmul, to ids that were delivered */
    RL_REGION_REST,   /* the batch is put together, results are handed out */
    RL_REGIONS
} rl_region;

typedef struct rl_profile {
    uint64_t at_ns; /* of the last mark */
    uint64_t ns[RL_REGIONS];
} rl_profile;

static inline void rl_profile_begin(rl_profile *p)
{
    if (p)
        p->at_ns = rl_clock_ns();
}

static inline void rl_profile_mark(rl_profile *p, rl_region region)
{
    uint64_t now;

    if (!p)
        return;
    now = rl_clock_ns();
    p->ns[region] += now - p->at_ns;
    p->at_ns = now;
}

#endif
