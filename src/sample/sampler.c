/* The sampler's memory, its penalty window, and what bias and penalties make of the logits. */
#include "sample/sampler.h"

#include "base/alloc.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static int by_id(const void *a, const void *b)
{
    const rl_logit_bias *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static size_t rounded(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

/* One piece of memory for all, so that thousands of samplers are cheap to make and drop. */
static rl_sampler *sampler_alloc(uint32_t n_vocab, size_t n_bias)
{
    size_t head = rounded(sizeof(rl_sampler)), bias = rounded(n_bias * sizeof(rl_logit_bias));
    size_t changed = rounded((n_bias + RL_PENALTY_WINDOW) * sizeof(rl_changed));
    char *at = rl_alloc(head + bias + changed + rl_dense_tiles(n_vocab) * sizeof(double));
    rl_sampler *s = (rl_sampler *)(void *)at;

    if (!s)
        return NULL;
    s->n_vocab = n_vocab;
    s->bias = (rl_logit_bias *)(void *)(at + head);
    s->changed = (rl_changed *)(void *)(at + head + bias);
    s->tile_sums = (double *)(void *)(at + head + bias + changed);
    return s;
}

static realm_status take_bias(rl_sampler *s, const rl_sample_params *p, realm_error *err)
{
    if (p->n_bias)
        memcpy(s->bias, p->bias, p->n_bias * sizeof *p->bias);
    qsort(s->bias, p->n_bias, sizeof *s->bias, by_id);
    for (size_t i = 0; i < p->n_bias; i++) {
        if (s->bias[i].id >= s->n_vocab)
            return realm_fail(err, REALM_EINVAL,
                              "logit_bias: id %u is past the vocabulary of %u tokens",
                              s->bias[i].id, s->n_vocab);
        if (i && s->bias[i].id == s->bias[i - 1].id)
            return realm_fail(err, REALM_EINVAL, "logit_bias: id %u stands there twice",
                              s->bias[i].id);
    }
    s->p.bias = s->bias;
    return REALM_OK;
}

/* A seed is always there, so that a run can be repeated from its record. */
static realm_status take_seed(rl_sampler *s, realm_error *err)
{
    if (s->p.has_seed)
        return REALM_OK;
    if (getrandom(&s->p.seed, sizeof s->p.seed, 0) != (ssize_t)sizeof s->p.seed)
        return realm_fail(err, REALM_EIO, "no random seed from the system: %s", strerror(errno));
    s->p.has_seed = true;
    return REALM_OK;
}

realm_status rl_sampler_new(rl_sampler **out, const rl_sample_params *p, uint32_t n_vocab,
                            realm_error *err)
{
    realm_status st;
    rl_sampler *s;

    *out = NULL;
    st = rl_sample_params_check(p, err);
    if (st != REALM_OK)
        return st;
    if (n_vocab == 0 || p->n_bias > n_vocab)
        return realm_fail(err, REALM_EINVAL,
                          "logit_bias: %zu entries for a vocabulary of %u tokens", p->n_bias,
                          n_vocab);
    s = sampler_alloc(n_vocab, p->n_bias);
    if (!s)
        return realm_fail(err, REALM_ENOMEM, "no memory for a sampler");
    s->p = *p;
    st = take_bias(s, p, err);
    if (st == REALM_OK)
        st = take_seed(s, err);
    if (st == REALM_OK) {
        *out = s;
        s = NULL;
    }
    rl_sampler_free(s);
    return st;
}

static uint32_t mask_words(uint32_t n_vocab)
{
    return n_vocab / 32 + (n_vocab % 32 != 0);
}

/* Made by the first mask: most samplers never have one. */
static bool need_words(uint32_t **words, uint32_t n_vocab)
{
    if (!*words)
        *words = rl_alloc_array(mask_words(n_vocab), sizeof **words);
    return *words != NULL;
}

/* What a clone has besides its parameters and window. */
static realm_status clone_masks(rl_sampler *c, const rl_sampler *s, realm_error *err)
{
    rl_grammar *g = NULL;
    realm_status st = s->grammar ? rl_grammar_clone(&g, s->grammar, err) : REALM_OK;

    if (st == REALM_OK && s->masked && !need_words(&c->mask, c->n_vocab))
        st = realm_fail(err, REALM_ENOMEM, "no memory for a sampler's mask");
    if (st == REALM_OK && s->masked)
        memcpy(c->mask, s->mask, mask_words(s->n_vocab) * sizeof *s->mask);
    c->masked = s->masked;
    if (st == REALM_OK)
        st = rl_sampler_take_grammar(c, g, err);
    if (st != REALM_OK) {
        rl_grammar_free(g);
        return st;
    }
    return s->ending ? rl_ending_clone(&c->ending, s->ending, err) : REALM_OK;
}

realm_status rl_sampler_clone(rl_sampler **out, const rl_sampler *s, realm_error *err)
{
    rl_sampler *c = sampler_alloc(s->n_vocab, s->p.n_bias);
    realm_status st;

    *out = c;
    if (!c)
        return realm_fail(err, REALM_ENOMEM, "no memory for a sampler");
    c->p = s->p;
    memcpy(c->bias, s->bias, s->p.n_bias * sizeof *s->bias);
    c->p.bias = c->bias;
    memcpy(c->window, s->window, sizeof s->window);
    c->n_window = s->n_window;
    c->next = s->next;
    c->left = s->left;
    st = clone_masks(c, s, err);
    if (st != REALM_OK) {
        rl_sampler_free(c);
        *out = NULL;
    }
    return st;
}

void rl_sampler_free(rl_sampler *s)
{
    if (s) {
        rl_free(s->mask);
        rl_free(s->allowed);
        rl_ending_free(s->ending);
        rl_grammar_free(s->grammar);
    }
    rl_free(s);
}

realm_status rl_sampler_mask(rl_sampler *s, const uint8_t *bits, size_t bytes, realm_error *err)
{
    uint32_t n_words = mask_words(s->n_vocab), any = 0;

    if (bytes != s->n_vocab / 8 + (s->n_vocab % 8 != 0))
        return realm_fail(err, REALM_EINVAL,
                          "a mask of %zu bytes: the vocabulary of %u tokens needs %u", bytes,
                          s->n_vocab, s->n_vocab / 8 + (s->n_vocab % 8 != 0));
    for (uint32_t i = 0; i < s->n_vocab && !any; i++)
        any = bits[i / 8] >> i % 8 & 1;
    if (!any)
        return realm_fail(err, REALM_EINVAL, "the mask forbids every id");
    if (!need_words(&s->mask, s->n_vocab))
        return realm_fail(err, REALM_ENOMEM, "no memory for a mask");
    memset(s->mask, 0, n_words * sizeof *s->mask);
    for (size_t i = 0; i < bytes; i++)
        s->mask[i / 4] |= (uint32_t)bits[i] << i % 4 * 8;
    s->masked = true;
    return REALM_OK;
}

realm_status rl_sampler_take_grammar(rl_sampler *s, rl_grammar *g, realm_error *err)
{
    if (g && !need_words(&s->allowed, s->n_vocab))
        return realm_fail(err, REALM_ENOMEM, "no memory for a grammar's mask");
    rl_sampler_take_ending(s, NULL);
    rl_grammar_free(s->grammar);
    s->grammar = g;
    return REALM_OK;
}

void rl_sampler_take_ending(rl_sampler *s, rl_ending *e)
{
    rl_ending_free(s->ending);
    s->ending = e;
}

void rl_sampler_set_left(rl_sampler *s, uint64_t left)
{
    s->left = left;
    if (left == 0)
        rl_sampler_take_ending(s, NULL);
}

realm_status rl_sampler_advance(rl_sampler *s, uint32_t id, realm_error *err)
{
    rl_sampler_accept(s, &id, 1);
    if (s->ending)
        rl_ending_go(s->ending, id);
    return s->grammar ? rl_grammar_accept(s->grammar, id, err) : REALM_OK;
}

uint64_t rl_sampler_seed(const rl_sampler *s)
{
    return s->p.seed;
}

uint32_t rl_sampler_choice(const rl_sampler *s)
{
    return s->p.choice;
}

uint32_t rl_sampler_n_vocab(const rl_sampler *s)
{
    return s->n_vocab;
}

void rl_sampler_accept(rl_sampler *s, const uint32_t *ids, size_t n)
{
    size_t i = n > RL_PENALTY_WINDOW ? n - RL_PENALTY_WINDOW : 0;

    for (; i < n; i++) {
        s->window[s->next] = ids[i];
        s->next = (s->next + 1) % RL_PENALTY_WINDOW;
        if (s->n_window < RL_PENALTY_WINDOW)
            s->n_window++;
    }
}

static bool penalises(const rl_sample_params *p)
{
    return (p->repetition_penalty > 0 && p->repetition_penalty != 1) || p->presence_penalty != 0 ||
           p->frequency_penalty != 0;
}

static float penalised(const rl_sample_params *p, float logit, uint32_t count)
{
    if (count && p->repetition_penalty > 0)
        logit = logit > 0 ? logit / p->repetition_penalty : logit * p->repetition_penalty;
    if (count)
        logit -= p->presence_penalty + p->frequency_penalty * (float)count;
    return logit;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The window's ids below n_vocab in rising order. */
static uint32_t sorted_window(const rl_sampler *s, uint32_t ids[RL_PENALTY_WINDOW])
{
    uint32_t n = 0;

    if (!penalises(&s->p))
        return 0;
    for (uint32_t i = 0; i < s->n_window; i++)
        if (s->window[i] < s->n_vocab)
            ids[n++] = s->window[i];
    qsort(ids, n, sizeof *ids, by_number);
    return n;
}

/* A logit that was finite stays so: bias and penalties must not make an id certain or impossible.
 */
static float clamped(float v)
{
    return v > FLT_MAX ? FLT_MAX : v < -FLT_MAX ? -FLT_MAX : v;
}

uint32_t rl_sampler_changes(rl_sampler *s, const float *logits)
{
    uint32_t ids[RL_PENALTY_WINDOW];
    uint32_t n_ids = sorted_window(s, ids), i = 0, n = 0;
    size_t b = 0;

    /* Both lists rise: a merge. */
    while (i < n_ids || b < s->p.n_bias) {
        uint32_t id = i < n_ids ? ids[i] : UINT32_MAX, count = 0;
        float logit;

        if (b < s->p.n_bias && s->bias[b].id < id)
            id = s->bias[b].id;
        logit = logits[id];
        if (b < s->p.n_bias && s->bias[b].id == id)
            logit += s->bias[b++].bias;
        for (; i < n_ids && ids[i] == id; i++)
            count++;
        if (isfinite(logits[id]))
            s->changed[n++] = (rl_changed){ id, clamped(penalised(&s->p, logit, count)) };
    }
    return n;
}
