/* What the kernel checks share: the level under test and its reference, random data, comparison. */
#ifndef RL_KCHECK_H
#define RL_KCHECK_H

#include "../unit/test.h"

#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SKIPPED 77

/* The level that REALM_CPU asks for, or NULL with a word on stderr when this CPU lacks it. */
static inline const rl_kernels *level_under_test(void)
{
    const char *why = rl_kernels_check();

    if (why) {
        (void)fprintf(stderr, "skipped: %s\n", why);
        return NULL;
    }
    (void)fprintf(stderr, "%s on %s\n", rl_level_name(rl_kernels_get()->level), rl_cpu_name());
    return rl_kernels_get();
}

static inline uint32_t random_bits(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

/* [0, n) */
static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((uint64_t)random_bits(state) * n >> 32);
}

/* (-1, 1) */
static inline float random_float(uint64_t *state)
{
    return (float)(int32_t)random_bits(state) * 0x1p-31f;
}

static inline void random_fill(uint64_t *state, float *x, size_t n, float size)
{
    for (size_t i = 0; i < n; i++)
        x[i] = random_float(state) * size;
}

/* The same bits, where every NaN counts as one and the same. */
static inline bool same_floats(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) {
            (void)fprintf(stderr, "element %zu: %a is not %a\n", i, (double)a[i], (double)b[i]);
            return false;
        }
    return true;
}

#endif
