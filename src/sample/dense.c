#include "sample/dense.h"

#include "sample/exp.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define LANES 8u
#define GROUP RL_EXP_GROUP /* logits looked at together before any is looked at alone */

/* Index of the first change at or after `id`. */
static uint32_t first_change(const rl_dense *d, uint32_t id)
{
    uint32_t lo = 0, hi = d->n_changed;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (d->changed[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Takes the ids of one tile that the mask forbids out of x [n]. A tile begins with a whole word. */
static void apply_mask(const uint32_t *mask, uint32_t n, float *x)
{
    for (uint32_t i = 0; i < n; i += 32) {
        uint32_t word = mask[i / 32], end = n - i < 32 ? n - i : 32;

        for (uint32_t j = 0; word != UINT32_MAX && j < end; j++)
            if (!(word >> j & 1))
                x[i + j] = -INFINITY;
    }
}

/* The logits of one tile, *n of them, a multiple of GROUP (the vocabulary's end is filled up with
 * -inf): where they lie, or in `copy` when something had to be patched or filled. */
static const float *tile_of(const rl_dense *d, uint32_t tile, float *copy, uint32_t *n)
{
    uint32_t begin = tile * RL_DENSE_TILE, i = first_change(d, begin);
    uint32_t have = d->n - begin < RL_DENSE_TILE ? d->n - begin : RL_DENSE_TILE;

    *n = (have + GROUP - 1) / GROUP * GROUP;
    if (*n == have && !d->mask && (i == d->n_changed || d->changed[i].id - begin >= have))
        return d->logits + begin;
    memcpy(copy, d->logits + begin, have * sizeof *copy);
    for (; i < d->n_changed && d->changed[i].id - begin < have; i++)
        copy[d->changed[i].id - begin] = d->changed[i].logit;
    if (d->mask)
        apply_mask(d->mask + begin / 32, have, copy);
    for (; have < *n; have++)
        copy[have] = -INFINITY;
    return copy;
}

/* The largest of n logits, n a multiple of 8; NaN never wins. In lanes, for vector code. */
static float max_of(const float *x, uint32_t n)
{
    float lanes[LANES], m = -INFINITY;

    for (uint32_t j = 0; j < LANES; j++)
        lanes[j] = -INFINITY;
    for (uint32_t i = 0; i < n; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
    for (uint32_t j = 0; j < LANES; j++)
        m = lanes[j] > m ? lanes[j] : m;
    return m;
}

float rl_dense_max(const rl_dense *d, uint32_t *id)
{
    float copy[RL_DENSE_TILE], best = -INFINITY;

    *id = 0;
    for (uint32_t t = 0; t < rl_dense_tiles(d->n); t++) {
        uint32_t n, i = 0;
        const float *x = tile_of(d, t, copy, &n);
        float m = max_of(x, n);

        if (!(m > best))
            continue;
        while (x[i] != m)
            i++;
        best = m;
        *id = t * RL_DENSE_TILE + i;
    }
    return best;
}

double rl_dense_exp_sum(const rl_dense *d, float max, float temperature, double *sums)
{
    float copy[RL_DENSE_TILE];
    double total = 0;

    for (uint32_t t = 0; t < rl_dense_tiles(d->n); t++) {
        uint32_t n;
        const float *x = tile_of(d, t, copy, &n);
        double sum = rl_exp_scaled(x, n, max, temperature, NULL);

        if (sums)
            sums[t] = sum;
        total += sum;
    }
    return total;
}

/* The id inside `tile` where the sum passes what is left of the target. Rounding may let the sum
 * end just below it: then the last id with any mass. */
static uint32_t walk_tile(const rl_dense *d, float max, float temperature, uint32_t tile,
                          double left)
{
    float copy[RL_DENSE_TILE];
    float e[RL_DENSE_TILE];
    double sum = 0;
    uint32_t n, last = 0;
    const float *x = tile_of(d, tile, copy, &n);

    (void)rl_exp_scaled(x, n, max, temperature, e);
    for (uint32_t i = 0; i < n; i++) {
        if (!(e[i] > 0))
            continue;
        last = i;
        sum += (double)e[i];
        if (sum > left)
            break;
    }
    return tile * RL_DENSE_TILE + last;
}

uint32_t rl_dense_walk(const rl_dense *d, float max, float temperature, const double *sums,
                       double target)
{
    double sum = 0, before = 0;
    uint32_t tile = 0;

    for (uint32_t t = 0; t < rl_dense_tiles(d->n); t++) {
        if (!(sums[t] > 0))
            continue;
        tile = t;
        before = sum;
        sum += sums[t];
        if (sum > target)
            break;
    }
    return walk_tile(d, max, temperature, tile, target - before);
}

float rl_dense_logit(const rl_dense *d, uint32_t id)
{
    uint32_t i = first_change(d, id);

    if (d->mask && !(d->mask[id / 32] >> id % 32 & 1))
        return -INFINITY;
    return i < d->n_changed && d->changed[i].id == id ? d->changed[i].logit : d->logits[id];
}

double rl_dense_better(const rl_dense *d, float max, uint32_t id, double limit)
{
    float copy[RL_DENSE_TILE], logit = rl_dense_logit(d, id);
    double sum = 0;

    for (uint32_t t = 0; t < rl_dense_tiles(d->n) && sum < limit; t++) {
        uint32_t n, begin = t * RL_DENSE_TILE;
        const float *x = tile_of(d, t, copy, &n);

        for (uint32_t g = 0; g < n; g += GROUP) {
            uint32_t before = id > begin + g ? id - begin - g : 0;

            if (max_of(x + g, GROUP) >= logit)
                sum += rl_exp_better(x + g, GROUP, max, logit, before);
        }
    }
    return sum;
}

realm_status rl_dense_gather(const rl_dense *d, float least, rl_cands *c)
{
    float copy[RL_DENSE_TILE];

    for (uint32_t t = 0; t < rl_dense_tiles(d->n); t++) {
        uint32_t n;
        const float *x = tile_of(d, t, copy, &n);

        for (uint32_t g = 0; g < n; g += GROUP) {
            if (!(max_of(x + g, GROUP) >= least))
                continue;
            for (uint32_t i = g; i < g + GROUP; i++)
                if (x[i] >= least && x[i] > -INFINITY &&
                    rl_cands_add(c, t * RL_DENSE_TILE + i, x[i]) != REALM_OK)
                    return REALM_ENOMEM;
        }
    }
    return REALM_OK;
}

/* a is a worse candidate than b. */
static bool worse(const rl_cand *a, const rl_cand *b)
{
    return a->logit < b->logit || (a->logit == b->logit && a->id > b->id);
}

/* Puts `v` at the root of a heap whose root is the worst, and lets it sink to its place. */
static void heap_sink(rl_cand *heap, uint32_t n, uint32_t at, rl_cand v)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= n)
            break;
        if (child + 1 < n && worse(&heap[child + 1], &heap[child]))
            child++;
        if (!worse(&heap[child], &v))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = v;
}

/* Offers one logit to the k best; ids come in rising order, so an equal one never gets in. */
static realm_status offer(rl_cands *c, uint32_t k, uint32_t id, float logit)
{
    if (c->n == k) {
        if (logit > c->at[0].logit)
            heap_sink(c->at, k, 0, (rl_cand){ .logit = logit, .id = id });
        return REALM_OK;
    }
    if (rl_cands_add(c, id, logit) != REALM_OK)
        return REALM_ENOMEM;
    if (c->n == k)
        for (uint32_t i = k / 2; i-- > 0;)
            heap_sink(c->at, k, i, c->at[i]);
    return REALM_OK;
}

realm_status rl_dense_best(const rl_dense *d, uint32_t k, rl_cands *c)
{
    float copy[RL_DENSE_TILE];

    for (uint32_t t = 0; t < rl_dense_tiles(d->n); t++) {
        uint32_t n;
        const float *x = tile_of(d, t, copy, &n);

        for (uint32_t g = 0; g < n; g += GROUP) {
            float least = c->n == k ? c->at[0].logit : -INFINITY;

            if (!(max_of(x + g, GROUP) > least))
                continue;
            for (uint32_t i = g; i < g + GROUP; i++)
                if (x[i] > -INFINITY && offer(c, k, t * RL_DENSE_TILE + i, x[i]) != REALM_OK)
                    return REALM_ENOMEM;
        }
    }
    rl_cands_sort(c);
    return REALM_OK;
}
