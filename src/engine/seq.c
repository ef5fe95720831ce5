/* A sequence: its ids, how many of them are computed, and its place among the engine's. */
#include "base/alloc.h"
#include "base/assert.h"
#include "engine/internal.h"

#include <string.h>

rl_seq *rl_seq_new(rl_engine *e, rl_lm *lm, uint32_t owner)
{
    rl_seq *s = rl_alloc(sizeof *s);

    if (!s)
        return NULL;
    s->engine = e;
    s->lm = rl_lm_ref(lm);
    s->owner = owner;
    rl_payoff_init(&s->payoff);
    return s;
}

void rl_seq_close(rl_seq *s)
{
    if (s)
        rl_engine_letter(s, RL_LETTER_CLOSE);
}

uint32_t rl_seq_len(const rl_seq *s)
{
    return s->len;
}

rl_lm *rl_seq_lm(const rl_seq *s)
{
    return s->lm;
}

void rl_seq_free(rl_seq *s)
{
    rl_engine *e = s->engine;
    rl_lm *lm = s->lm;

    RL_ASSERT(!s->run.job);
    if (s->known) {
        if (s->known_prev)
            s->known_prev->known_next = s->known_next;
        else
            e->known = s->known_next;
        if (s->known_next)
            s->known_next->known_prev = s->known_prev;
        rl_kv_seq_deinit(&s->kv);
    }
    rl_free(s->ids);
    rl_free(s->layer_len);
    rl_free(s);
    rl_lm_unref(lm);
}

void rl_seq_list_push(rl_seq_list *l, rl_seq *s)
{
    s->run.prev = l->tail;
    s->run.next = NULL;
    if (l->tail)
        l->tail->run.next = s;
    else
        l->head = s;
    l->tail = s;
    l->n++;
}

void rl_seq_list_remove(rl_seq_list *l, rl_seq *s)
{
    if (s->run.prev)
        s->run.prev->run.next = s->run.next;
    else
        l->head = s->run.next;
    if (s->run.next)
        s->run.next->run.prev = s->run.prev;
    else
        l->tail = s->run.prev;
    s->run.prev = s->run.next = NULL;
    l->n--;
}

static realm_status make_pool(rl_lm *lm, realm_error *err)
{
    rl_kv_layout layout = rl_model_kv_layout(lm->model, lm->opts.kv);
    realm_status st = rl_kv_pool_new(&lm->pool, lm->engine->budget, &layout, err);

    if (st == REALM_OK && lm->engine->opts.share_prefixes) {
        lm->prefix = rl_kv_prefix_new(lm->pool);
        st = lm->prefix ? REALM_OK : realm_fail(err, REALM_ENOMEM, "no memory for prefixes");
        if (st != REALM_OK) {
            rl_kv_pool_free(lm->pool);
            lm->pool = NULL;
        }
    }
    if (st == REALM_OK) {
        lm->pool_next = lm->engine->pools;
        lm->engine->pools = lm;
    }
    return st;
}

/* KV memory belongs to the engine thread, so pool and tables are made by the first job. */
realm_status rl_seq_prepare(rl_seq *s, realm_error *err)
{
    rl_engine *e = s->engine;
    realm_status st = s->lm->pool ? REALM_OK : make_pool(s->lm, err);

    if (st != REALM_OK || s->known)
        return st;
    rl_kv_seq_init(&s->kv, s->lm->pool);
    s->known = true;
    s->known_next = e->known;
    if (e->known)
        e->known->known_prev = s;
    e->known = s;
    return REALM_OK;
}

realm_status rl_seq_reserve_ids(rl_seq *s, uint32_t n, realm_error *err)
{
    uint32_t cap = s->cap_ids ? s->cap_ids : 64, *ids;

    while (cap < s->len + n)
        cap *= 2;
    if (cap == s->cap_ids)
        return REALM_OK;
    ids = rl_realloc(s->ids, (size_t)cap * sizeof *ids);
    if (!ids)
        return realm_fail(err, REALM_ENOMEM, "no memory for the ids of a sequence");
    s->ids = ids;
    s->cap_ids = cap;
    return REALM_OK;
}

/* ids NULL: unknown ones, of hidden states. */
realm_status rl_seq_append(rl_seq *s, const uint32_t *ids, uint32_t n, realm_error *err)
{
    realm_status st = rl_seq_reserve_ids(s, n, err);

    if (st != REALM_OK)
        return st;
    if (ids)
        memcpy(s->ids + s->len, ids, (size_t)n * sizeof *ids);
    else
        memset(s->ids + s->len, 0, (size_t)n * sizeof *ids);
    s->len += n;
    return REALM_OK;
}

void rl_seq_cut(rl_seq *s, uint32_t keep)
{
    RL_ASSERT(keep <= s->len);
    s->len = keep;
    s->uneven = false;
    if (s->n_computed > keep)
        s->n_computed = keep;
    if (keep == 0)
        s->tainted = false;
    rl_prefix_leave(s, s->n_computed);
    if (s->known)
        rl_kv_truncate(&s->kv, s->n_computed);
}

realm_status rl_seq_fork_to(rl_seq *s, rl_seq *to, realm_error *err)
{
    realm_status st = rl_seq_prepare(to, err);

    if (st == REALM_OK)
        st = rl_seq_append(to, s->ids, s->len, err);
    if (st == REALM_OK)
        st = rl_kv_fork(&to->kv, &s->kv, s->n_computed, err);
    if (st != REALM_OK) {
        to->len = 0;
        return st;
    }
    to->n_computed = s->n_computed;
    to->tainted = s->tainted;
    to->node = s->node;
    return REALM_OK;
}
