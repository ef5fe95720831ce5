#include "naive.h"

#include "base/alloc.h"
#include "sample/philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct item {
    uint32_t id;
    double l, p, key;
} item;

static int by_key(const void *a, const void *b) /* falling key, rising id */
{
    const item *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_id(const void *a, const void *b)
{
    const item *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static void softmax(item *v, uint32_t n, double temperature)
{
    double max = -INFINITY, sum = 0;

    for (uint32_t i = 0; i < n; i++)
        max = fmax(max, v[i].l);
    for (uint32_t i = 0; i < n; i++)
        sum += v[i].p = exp((v[i].l - max) / temperature);
    for (uint32_t i = 0; i < n; i++)
        v[i].p /= sum;
}

static uint32_t until_mass(const item *v, uint32_t n, double p)
{
    double sum = 0;
    uint32_t i = 0;

    while (i < n && sum < p)
        sum += v[i++].p;
    return i;
}

static float changed_logit(const rl_sample_params *p, float l, uint32_t id,
                           const uint32_t *accepted, size_t n_accepted)
{
    size_t from = n_accepted > 64 ? n_accepted - 64 : 0;
    uint32_t count = 0;

    for (size_t i = 0; i < p->n_bias; i++)
        if (p->bias[i].id == id)
            l += p->bias[i].bias;
    for (size_t i = from; i < n_accepted; i++)
        count += accepted[i] == id;
    if (!count)
        return l;
    if (p->repetition_penalty > 0)
        l = l > 0 ? l / p->repetition_penalty : l * p->repetition_penalty;
    return l - (p->presence_penalty + p->frequency_penalty * (float)count);
}

static uint32_t filtered(const rl_sample_params *p, item *v, uint32_t n)
{
    double best;

    for (uint32_t i = 0; i < n; i++)
        v[i].key = v[i].l;
    qsort(v, n, sizeof *v, by_key);
    if (p->top_k && p->top_k < n)
        n = p->top_k;
    if (p->typical_p > 0 && p->typical_p < 1) {
        double h = 0;

        softmax(v, n, 1);
        for (uint32_t i = 0; i < n; i++)
            h -= v[i].p > 0 ? v[i].p * log(v[i].p) : 0;
        for (uint32_t i = 0; i < n; i++)
            v[i].key = -fabs(-log(v[i].p) - h);
        qsort(v, n, sizeof *v, by_key);
        n = until_mass(v, n, (double)p->typical_p);
        for (uint32_t i = 0; i < n; i++)
            v[i].key = v[i].l;
        qsort(v, n, sizeof *v, by_key);
    }
    softmax(v, n, 1);
    if (p->top_p > 0 && p->top_p < 1)
        n = until_mass(v, n, (double)p->top_p);
    best = v[0].p;
    for (uint32_t i = 1; i < n && p->min_p > 0; i++)
        if (v[i].p < (double)p->min_p * best)
            n = i;
    return n;
}

/* The index at which the running sum of p passes u. */
static uint32_t walk(const item *v, uint32_t n, double u)
{
    double sum = 0;
    uint32_t at = 0;

    for (uint32_t i = 0; i < n && sum <= u; i++) {
        at = i;
        sum += v[i].p;
    }
    return at;
}

/* The rejection of sample.h in plain words: v [n] by rising id. -> false: all tries failed */
static bool reject(const rl_sample_params *p, const item *v, uint32_t n, uint64_t position,
                   uint32_t *id)
{
    item *all = rl_alloc_array(n, sizeof *all), *best = rl_alloc_array(n, sizeof *best);
    uint32_t n_best;
    bool taken = false;

    memcpy(all, v, n * sizeof *all);
    softmax(all, n, 1);
    for (uint32_t i = 0; i < n; i++)
        all[i].key = all[i].l;
    memcpy(best, all, n * sizeof *best);
    qsort(best, n, sizeof *best, by_key);
    n_best = until_mass(best, n, (double)p->top_p);
    for (uint32_t k = 0; k < 16 && !taken; k++) {
        const item *x = &all[walk(all, n, rl_philox_uniform(p->seed, p->choice, position, 2 * k))];
        double chance = pow(x->p / best[0].p, 1 / (double)p->temperature - 1);

        if (rl_philox_uniform(p->seed, p->choice, position, 2 * k + 1) >= chance)
            continue;
        for (uint32_t i = 0; i < n_best; i++)
            taken = taken || best[i].id == x->id;
        *id = x->id;
    }
    rl_free(all);
    rl_free(best);
    return taken;
}

static bool rejects(const rl_sample_params *p, uint32_t n_vocab)
{
    return p->top_p > 0 && p->top_p < 1 && p->temperature > 0 && p->temperature <= 1 &&
           !(p->top_k && p->top_k < n_vocab) && !(p->typical_p > 0 && p->typical_p < 1) &&
           !(p->min_p > 0);
}

uint32_t naive_draw(const rl_sample_params *p, const float *logits, uint32_t n_vocab,
                    const uint32_t *accepted, size_t n_accepted, uint64_t position)
{
    item *v = rl_alloc_array(n_vocab, sizeof *v);
    uint32_t n = 0, id = 0, nth = rejects(p, n_vocab) ? 32 : 0;

    for (uint32_t i = 0; i < n_vocab; i++)
        if (isfinite(logits[i]))
            v[n++] = (item){ .id = i,
                             .l = (double)changed_logit(p, logits[i], i, accepted, n_accepted) };
    if (p->temperature == 0) {
        for (uint32_t i = 0; i < n; i++)
            v[i].key = v[i].l;
        qsort(v, n, sizeof *v, by_key);
        id = v[0].id;
    } else if (!nth || !reject(p, v, n, position, &id)) {
        n = filtered(p, v, n);
        qsort(v, n, sizeof *v, by_id);
        softmax(v, n, (double)p->temperature);
        id = v[walk(v, n, rl_philox_uniform(p->seed, p->choice, position, nth))].id;
    }
    rl_free(v);
    return id;
}

uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

float random_logit(uint64_t *state, float spread)
{
    double sum = 0;

    for (int i = 0; i < 4; i++)
        sum += (double)next_random(state) / 0x1p31 - 0.5;
    return (float)sum * spread;
}
