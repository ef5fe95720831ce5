#include "sample/sampler.h"

#include <math.h>
#include <stdlib.h>

/* Falling logit, then rising id: a total order, so any sort gives the same. */
static int best_first(const void *a, const void *b)
{
    const rl_logprob *x = a, *y = b;

    if (x->logprob != y->logprob)
        return x->logprob < y->logprob ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Lets v sink from the root of a heap whose root is the worst. */
static void sink(rl_logprob *heap, uint32_t n, uint32_t at, rl_logprob v)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= n)
            break;
        if (child + 1 < n && best_first(&heap[child + 1], &heap[child]) > 0)
            child++;
        if (best_first(&heap[child], &v) < 0)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = v;
}

/* The k best into top, for now with their logits; k may be as large as the vocabulary.
 * -> how many there are */
static uint32_t collect_top(const rl_dense *d, rl_logprob *top, uint32_t k)
{
    uint32_t n = 0;

    for (uint32_t id = 0; id < d->n; id++) {
        rl_logprob v = { .id = id, .logprob = d->logits[id] };

        if (!(v.logprob > -INFINITY) || (n == k && v.logprob <= top[0].logprob))
            continue;
        if (n == k) {
            sink(top, k, 0, v);
            continue;
        }
        top[n++] = v;
        for (uint32_t i = n == k ? k / 2 : 0; i-- > 0;)
            sink(top, k, i, top[i]);
    }
    qsort(top, n, sizeof *top, best_first);
    return n;
}

static float less(float logit, double lse)
{
    return logit > -INFINITY && isfinite(lse) ? (float)((double)logit - lse) : -INFINITY;
}

double rl_logprobs(const float *logits, uint32_t n_vocab, uint32_t id, float *logprob,
                   rl_logprob *top, uint32_t k)
{
    rl_dense d = { .logits = logits, .n = n_vocab };
    uint32_t best, n = k ? collect_top(&d, top, k) : 0;
    float max = rl_dense_max(&d, &best);
    double lse = isfinite(max) ? (double)max + log(rl_dense_exp_sum(&d, max, 1, NULL)) : -INFINITY;

    if (logprob)
        *logprob = id < n_vocab ? less(logits[id], lse) : -INFINITY;
    for (uint32_t i = 0; i < n; i++)
        top[i].logprob = less(top[i].logprob, lse);
    for (uint32_t i = n; i < k; i++)
        top[i] = (rl_logprob){ .id = UINT32_MAX, .logprob = -INFINITY };
    return lse;
}
