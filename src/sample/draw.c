/* One draw: which candidates are left after the filters, and the id the random number falls on. */
#include "sample/sampler.h"

#include "sample/exp.h"
#include "sample/philox.h"

#include <math.h>

#define TRIES  16u   /* draws from all ids before the nucleus itself is looked for */
#define HEAP_K 1024u /* up to here the k best come from a heap, above from counting */

static bool on(float p)
{
    return p > 0 && p < 1;
}

/* For top-p over the whole vocabulary: the candidates down to a logit low enough that the mass
 * reaches `least`. Nearly always the first try holds it, and a few hundred ids. */
static realm_status gather_mass(const rl_dense *d, float max, double least, rl_cands *c)
{
    static const float depth[] = { 8, 20, 60, INFINITY };
    realm_status st = REALM_OK;

    for (uint32_t i = 0; i < sizeof depth / sizeof *depth; i++) {
        c->n = 0;
        st = rl_dense_gather(d, max - depth[i], c);
        if (st != REALM_OK || rl_cands_weigh(c, 1) >= least)
            break;
    }
    return st;
}

/* The candidates after top-k, and after top-p where it can work on all ids at once. */
static realm_status first_filter(const rl_sampler *s, const rl_dense *d, float max, rl_cands *c)
{
    const rl_sample_params *p = &s->p;
    bool top_k = p->top_k && p->top_k < s->n_vocab;
    realm_status st;

    if (top_k && p->top_k <= HEAP_K) {
        st = rl_dense_best(d, p->top_k, c);
    } else if (top_k || on(p->typical_p)) {
        st = rl_dense_gather(d, -INFINITY, c);
        if (st == REALM_OK && top_k)
            rl_cands_top_k(c, p->top_k);
    } else if (on(p->top_p)) {
        double least = (double)p->top_p * rl_dense_exp_sum(d, max, 1, NULL);

        st = gather_mass(d, max, least, c);
        if (st == REALM_OK)
            rl_cands_top_p(c, least);
    } else { /* min-p alone: a little lower than its limit, which is then looked at exactly */
        st = rl_dense_gather(d, (float)((double)max + log((double)p->min_p)) - 0.01f, c);
    }
    return st;
}

static realm_status draw_filtered(const rl_sampler *s, const rl_dense *d, float max, double u,
                                  uint32_t *id)
{
    const rl_sample_params *p = &s->p;
    bool listed = (p->top_k && p->top_k < s->n_vocab) || on(p->typical_p);
    rl_cands c = { 0 };
    realm_status st = first_filter(s, d, max, &c);

    if (st == REALM_OK) {
        double sum = rl_cands_weigh(&c, 1);

        if (on(p->typical_p)) {
            rl_cands_typical(&c, (double)p->typical_p);
            sum = rl_cands_sum(&c);
        }
        if (on(p->top_p) && listed)
            rl_cands_top_p(&c, (double)p->top_p * sum);
        if (p->min_p > 0)
            rl_cands_min_p(&c, (double)p->min_p);
        sum = rl_cands_weigh(&c, p->temperature);
        *id = rl_cands_walk(&c, u * sum);
    }
    rl_cands_deinit(&c);
    return st;
}

/* Top-p alone, at a temperature up to 1, by rejection: an id drawn at temperature 1 stands for the
 * temperature with chance e^((logit - max) (1 / temperature - 1)), and is in the nucleus when those
 * better than it have less than top_p of the mass. What is taken has the filters' distribution, and
 * nothing is sorted or listed. -> false: none of the tries was taken */
static bool draw_nucleus(const rl_sampler *s, const rl_dense *d, float max, uint64_t position,
                         uint32_t *id)
{
    const rl_sample_params *p = &s->p;
    double total = rl_dense_exp_sum(d, max, 1, s->tile_sums), limit = (double)p->top_p * total;
    double power = 1.0 / (double)p->temperature - 1;

    for (uint32_t k = 0; k < TRIES; k++) {
        double u = rl_philox_uniform(p->seed, p->choice, position, 2 * k), mass, chance, x;

        *id = rl_dense_walk(d, max, 1, s->tile_sums, u * total);
        x = (double)rl_dense_logit(d, *id) - (double)max;
        rl_exp_neg(&(double){ x * power }, 1, &chance);
        if (rl_philox_uniform(p->seed, p->choice, position, 2 * k + 1) >= chance)
            continue;
        rl_exp_neg(&x, 1, &mass);
        if (mass > total - limit || rl_dense_better(d, max, *id, limit) < limit)
            return true; /* the heavy ones are in it for certain */
    }
    return false;
}

static bool is_nucleus(const rl_sampler *s)
{
    const rl_sample_params *p = &s->p;

    return on(p->top_p) && p->temperature <= 1 && !(p->top_k && p->top_k < s->n_vocab) &&
           !on(p->typical_p) && !(p->min_p > 0);
}

static uint32_t draw_all(const rl_sampler *s, const rl_dense *d, float max, double u)
{
    double sum = rl_dense_exp_sum(d, max, s->p.temperature, s->tile_sums);

    return rl_dense_walk(d, max, s->p.temperature, s->tile_sums, u * sum);
}

/* What may be drawn at all: under the grammar, the mask, or both. */
static realm_status find_mask(rl_sampler *s, const uint32_t **mask, realm_error *err)
{
    realm_status st;

    *mask = s->masked ? s->mask : NULL;
    if (!s->grammar || rl_grammar_waits(s->grammar))
        return REALM_OK;
    st = rl_grammar_mask(s->grammar, s->allowed, err);
    for (uint32_t i = 0; st == REALM_OK && s->masked && i < (s->n_vocab + 31) / 32; i++)
        s->allowed[i] &= s->mask[i];
    *mask = s->allowed;
    return st;
}

static realm_status draw(rl_sampler *s, const float *logits, uint64_t position, uint32_t *id,
                         realm_error *err)
{
    const rl_sample_params *p = &s->p;
    rl_dense d = { .logits = logits, .n = s->n_vocab, .changed = s->changed };
    realm_status st = find_mask(s, &d.mask, err);
    float max;
    double u;

    if (st != REALM_OK)
        return st;
    d.n_changed = rl_sampler_changes(s, logits);
    max = rl_dense_max(&d, id);
    if (!isfinite(max) && d.mask)
        return realm_fail(err, REALM_EINVAL,
                          "none of the ids that the grammar or mask leaves can be drawn");
    if (!isfinite(max))
        return realm_fail(err, REALM_EMODEL,
                          "the model computed no usable logits at position %llu: the file may be "
                          "damaged; run `realm verify`",
                          (unsigned long long)position);
    if (p->temperature == 0)
        return REALM_OK;
    if (is_nucleus(s) && draw_nucleus(s, &d, max, position, id))
        return REALM_OK;
    u = rl_philox_uniform(p->seed, p->choice, position, is_nucleus(s) ? 2 * TRIES : 0);
    if (!(p->top_k && p->top_k < s->n_vocab) && !on(p->typical_p) && !on(p->top_p) &&
        !(p->min_p > 0)) {
        *id = draw_all(s, &d, max, u);
        return REALM_OK;
    }
    if (draw_filtered(s, &d, max, u, id) != REALM_OK)
        return realm_fail(err, REALM_ENOMEM, "no memory for the candidates of a draw");
    return REALM_OK;
}

/* A text inside a grammar is to be complete when it has to end. */
static realm_status steer(rl_sampler *s, uint32_t *id, realm_error *err)
{
    realm_status st = REALM_OK;

    if (!s->grammar || s->left == 0)
        return REALM_OK;
    if (!s->ending)
        st = rl_ending_new(&s->ending, s->grammar, s->left, RL_ENDING_SAVED, err);
    return st == REALM_OK ? rl_ending_steer(s->ending, s->grammar, s->left, id, err) : st;
}

realm_status rl_sampler_draw(rl_sampler *s, const float *logits, uint64_t position, uint32_t *id,
                             realm_error *err)
{
    realm_status st = draw(s, logits, position, id, err);

    if (st == REALM_OK && !s->masked) /* a mask is a wish for this draw, which goes before */
        st = steer(s, id, err);
    if (st == REALM_OK)
        s->masked = false;
    return st;
}
