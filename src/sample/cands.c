#include "sample/cands.h"

#include "base/alloc.h"
#include "sample/exp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET_BITS 11u
#define BUCKETS     (1u << BUCKET_BITS)

realm_status rl_cands_add(rl_cands *c, uint32_t id, float logit)
{
    if (c->n == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 128;
        rl_cand *at = rl_realloc(c->at, (size_t)cap * sizeof *at);

        if (!at)
            return REALM_ENOMEM;
        c->at = at;
        c->cap = cap;
    }
    c->at[c->n++] = (rl_cand){ .logit = logit, .id = id };
    return REALM_OK;
}

void rl_cands_deinit(rl_cands *c)
{
    rl_free(c->at);
    *c = (rl_cands){ 0 };
}

static int by_id(const void *a, const void *b)
{
    const rl_cand *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

void rl_cands_sort(rl_cands *c)
{
    qsort(c->at, c->n, sizeof *c->at, by_id);
}

static float best_logit(const rl_cands *c)
{
    float best = c->at[0].logit;

    for (uint32_t i = 1; i < c->n; i++)
        best = c->at[i].logit > best ? c->at[i].logit : best;
    return best;
}

double rl_cands_weigh(rl_cands *c, float temperature)
{
    double max = (double)best_logit(c), per_temperature = 1.0 / (double)temperature, x[64], y[64];

    for (uint32_t i = 0; i < c->n; i += 64) {
        uint32_t n = c->n - i < 64 ? c->n - i : 64;

        for (uint32_t j = 0; j < n; j++)
            x[j] = ((double)c->at[i + j].logit - max) * per_temperature;
        rl_exp_neg(x, n, y);
        for (uint32_t j = 0; j < n; j++)
            c->at[i + j].mass = y[j];
    }
    return rl_cands_sum(c);
}

double rl_cands_sum(const rl_cands *c)
{
    double sum = 0;

    for (uint32_t i = 0; i < c->n; i++)
        sum += c->at[i].mass;
    return sum;
}

uint32_t rl_cands_walk(const rl_cands *c, double target)
{
    double sum = 0;
    uint32_t last = c->at[0].id;

    for (uint32_t i = 0; i < c->n && !(sum > target); i++) {
        if (!(c->at[i].mass > 0))
            continue;
        last = c->at[i].id;
        sum += c->at[i].mass;
    }
    return last;
}

/* The bits of a double as a number that orders as the doubles do (IEEE 754, sign and magnitude). */
static uint64_t order_bits(double v)
{
    uint64_t b;

    v += 0.0; /* -0 and 0 are equal */
    memcpy(&b, &v, sizeof b);
    return b >> 63 ? ~b : b | (uint64_t)1 << 63;
}

/* Where a filter cuts: kept are larger keys, and equal keys up to this id. */
typedef struct cut {
    uint64_t key;
    uint32_t id;
} cut;

/* Among the candidates whose key is `key`, in rising id: the one that brings `sum` to least. */
static cut cut_equal(const rl_cands *c, uint64_t key, double sum, double least)
{
    cut at = { .key = key };

    for (uint32_t i = 0; i < c->n; i++) {
        if (c->at[i].key != key)
            continue;
        at.id = c->at[i].id;
        sum += c->at[i].mass;
        if (sum >= least)
            break;
    }
    return at;
}

/* What the candidates whose key begins with the bits found so far have in the next bits. */
typedef struct buckets {
    double mass[BUCKETS];
    uint32_t count[BUCKETS];
} buckets;

/* The bucket in which the kept mass reaches `least`, best first, or the last one; *sum grows by
 * those before it. */
static uint32_t cut_bucket(const buckets *h, double *sum, double least)
{
    uint32_t at = BUCKETS;

    for (uint32_t b = BUCKETS; b-- > 0;) {
        if (!h->count[b])
            continue;
        if (at < BUCKETS)
            *sum += h->mass[at];
        at = b;
        if (*sum + h->mass[b] >= least)
            break;
    }
    return at;
}

/* The cut after which, best key first, the kept mass has just reached `least`; if it never does,
 * all are kept. Fixes 11 bits of the cut's key per round. */
static cut find_cut(const rl_cands *c, double least)
{
    double sum = 0;
    uint64_t prefix = 0;
    buckets h;

    for (uint32_t left = 64; left > 0;) {
        uint32_t bits = left < BUCKET_BITS ? left : BUCKET_BITS, shift = left - bits;

        memset(&h, 0, sizeof h);
        for (uint32_t i = 0; i < c->n; i++) {
            uint64_t top = c->at[i].key >> shift;

            if (left < 64 && top >> bits != prefix)
                continue;
            h.mass[top & ((1u << bits) - 1)] += c->at[i].mass;
            h.count[top & ((1u << bits) - 1)]++;
        }
        prefix = prefix << bits | cut_bucket(&h, &sum, least);
        left = shift;
    }
    return cut_equal(c, prefix, sum, least);
}

static void keep_until(rl_cands *c, cut at)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->n; i++)
        if (c->at[i].key > at.key || (c->at[i].key == at.key && c->at[i].id <= at.id))
            c->at[n++] = c->at[i];
    c->n = n;
}

static void key_by_logit(rl_cands *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        c->at[i].key = order_bits((double)c->at[i].logit);
}

void rl_cands_top_k(rl_cands *c, uint32_t k)
{
    key_by_logit(c);
    for (uint32_t i = 0; i < c->n; i++)
        c->at[i].mass = 1;
    keep_until(c, find_cut(c, (double)k));
}

void rl_cands_top_p(rl_cands *c, double least_mass)
{
    key_by_logit(c);
    keep_until(c, find_cut(c, least_mass));
}

/* Locally typical sampling (Meister et al., 2022): keep those whose surprise -log p lies nearest to
 * the entropy, until their mass reaches p. */
void rl_cands_typical(rl_cands *c, double p)
{
    double max = (double)best_logit(c), sum = rl_cands_sum(c), log_sum = log(sum), entropy = 0;

    for (uint32_t i = 0; i < c->n; i++)
        if (c->at[i].mass > 0)
            entropy += c->at[i].mass / sum * (log_sum - ((double)c->at[i].logit - max));
    for (uint32_t i = 0; i < c->n; i++) {
        double surprise = log_sum - ((double)c->at[i].logit - max);

        c->at[i].key = order_bits(-fabs(surprise - entropy));
    }
    keep_until(c, find_cut(c, p * sum));
}

void rl_cands_min_p(rl_cands *c, double p)
{
    double best = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->n; i++)
        best = c->at[i].mass > best ? c->at[i].mass : best;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->at[i].mass >= p * best)
            c->at[n++] = c->at[i];
    c->n = n;
}
