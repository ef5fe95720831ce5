/* The tables of kernels, one per level, and the matmul entry points that use them.
 *
 * The tables are filled once per process: reference slots first, then each level the CPU has
 * overwrites upwards, so a slot without a version of its own keeps the best one below. */
#include "kernels/kernels.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/init.h"

static rl_kernels tables[RL_LEVELS];
static rl_level cpu_level;
static rl_level chosen;
static char complaint[160]; /* "" when REALM_CPU is unset or can be had */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose_level(void)
{
    const char *word = getenv("REALM_CPU");

    chosen = cpu_level;
    if (!word || !*word)
        return;
    for (rl_level l = RL_LEVEL_REF; l < RL_LEVELS; l++) {
        if (strcmp(word, rl_level_name(l)) != 0)
            continue;
        if (l <= cpu_level)
            chosen = l;
        else
            snprintf(complaint, sizeof complaint,
                     "REALM_CPU=%s, but this CPU offers %s at most: unset it or name that level",
                     rl_level_name(l), rl_level_name(cpu_level));
        return;
    }
    snprintf(complaint, sizeof complaint,
             "REALM_CPU=%.32s is not a level: unset it or use ref, avx2 or avx512", word);
}

static void fill_tables(void)
{
    cpu_level = rl_level_of_cpu();
    for (rl_level l = RL_LEVEL_REF; l <= cpu_level; l++) {
        rl_kernels *kn = &tables[l];

        kn->level = l;
        rl_kernels_init_ref_matmul(kn);
        rl_kernels_init_ref_vec(kn);
        if (l >= RL_LEVEL_AVX2) {
            rl_kernels_init_avx2_matmul(kn);
            rl_kernels_init_avx2_vec(kn);
        }
        if (l >= RL_LEVEL_AVX512) {
            rl_kernels_init_avx512_matmul(kn);
            rl_kernels_init_avx512_vec(kn);
        }
    }
    choose_level();
}

const rl_kernels *rl_kernels_get(void)
{
    (void)pthread_once(&once, fill_tables);
    return &tables[chosen];
}

const char *rl_kernels_check(void)
{
    (void)pthread_once(&once, fill_tables);
    return complaint[0] ? complaint : NULL;
}

const rl_kernels *rl_kernels_of(rl_level level)
{
    (void)pthread_once(&once, fill_tables);
    return level <= cpu_level ? &tables[level] : NULL;
}
