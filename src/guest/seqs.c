#include "guest/seqs.h"

#include "guest/generate.h"

#include "guest/runtime.h"

#include "base/alloc.h"

#include <string.h>

/* ---- handles --------------------------------------------------------------------------------- */

int64_t rl_gseq_get(rl_call *c, uint64_t handle, rl_gseq **out)
{
    rl_handle *row = rl_handle_get(&c->run->handles, handle, RL_HANDLE_SEQ);

    if (!row)
        return rl_call_fail(c, REALM_ENOTFOUND, "no sequence has the handle %llu",
                            (unsigned long long)handle);
    if (row->seq->lent)
        (void)rl_gstream_settle(row->seq->lent);
    if (row->seq->lent)
        return rl_call_fail(c, REALM_EBUSY,
                            "a stream generates on this sequence: read it to its end or close it");
    *out = row->seq;
    return 0;
}

int64_t rl_gsampler_get(rl_call *c, uint64_t handle, rl_gsampler **out)
{
    rl_handle *row = rl_handle_get(&c->run->handles, handle, RL_HANDLE_SAMPLER);

    if (!row)
        return rl_call_fail(c, REALM_ENOTFOUND, "no sampler has the handle %llu",
                            (unsigned long long)handle);
    if (row->sampler->lent)
        (void)rl_gstream_settle(row->sampler->lent);
    if (row->sampler->lent)
        return rl_call_fail(c, REALM_EBUSY,
                            "a stream draws with this sampler: read it to its end or close it");
    *out = row->sampler;
    return 0;
}

/* -> a free row, or NULL and the call has failed */
static rl_handle *free_row(rl_call *c, uint32_t *number, int64_t *answer)
{
    rl_handle *row = rl_handle_new(&c->run->handles, number);

    if (!row)
        *answer =
            rl_call_fail(c, REALM_EQUOTA, "%u handles are open: close one first", RL_MAX_HANDLES);
    return row;
}

/* ---- sequences ------------------------------------------------------------------------------- */

int64_t rl_gseq_new(rl_call *c, rl_lm *lm, rl_gseq **out)
{
    int64_t answer = 0;
    uint32_t number;
    rl_handle *row = free_row(c, &number, &answer);
    rl_gseq *q;

    if (!row)
        return answer;
    if (c->run->n_seqs >= RL_MAX_SEQUENCES)
        return rl_call_fail(c, REALM_EQUOTA, "%u sequences are open: close one first",
                            RL_MAX_SEQUENCES);
    q = rl_alloc(sizeof *q);
    if (q)
        q->seq = rl_seq_new(c->run->rt->opts.engine, lm, c->run->owner);
    if (!q || !q->seq) {
        rl_free(q);
        return rl_call_fail(c, REALM_ENOMEM, "no memory for a sequence");
    }
    q->run = c->run;
    q->lm = rl_lm_ref(lm);
    q->run->n_seqs++;
    row->kind = RL_HANDLE_SEQ;
    row->seq = q;
    *out = q;
    return number;
}

void rl_gseq_free(rl_gseq *q)
{
    if (q->lent) { /* the sequence is the stream's now, and counts until that is closed */
        q->lent->seq = NULL;
        q->lent->counts = true;
    } else {
        q->run->n_seqs--;
    }
    rl_seq_close(q->seq);
    rl_lm_unref(q->lm);
    rl_free(q->fresh);
    rl_free(q);
}

uint32_t rl_gseq_len(const rl_gseq *q)
{
    return rl_seq_len(q->seq) + q->n_fresh;
}

/* -> 0, or the call's answer */
static int64_t grow(rl_call *c, rl_gseq *q, uint32_t need)
{
    uint32_t cap = q->cap_fresh ? q->cap_fresh : 64, *fresh;

    while (cap < need)
        cap *= 2;
    if (cap == q->cap_fresh)
        return 0;
    fresh = rl_realloc(q->fresh, (size_t)cap * sizeof *fresh);
    if (!fresh)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for %u ids", need);
    q->fresh = fresh;
    q->cap_fresh = cap;
    return 0;
}

uint32_t rl_item_of(const rl_arg *a, uint64_t i)
{
    uint32_t v;

    memcpy(&v, a->in + i * sizeof v, sizeof v);
    return v;
}

/* While the guest can still see which call was wrong: the engine would only refuse a later one. */
int64_t rl_ids_check(rl_call *c, const rl_arg *ids, const rl_lm *lm)
{
    uint32_t n_vocab = rl_vocab_get_info(rl_lm_vocab(lm))->n_tokens;

    for (uint64_t i = 0; i < ids->n; i++)
        if (rl_item_of(ids, i) >= n_vocab)
            return rl_call_fail(c, REALM_EINVAL,
                                "id %u (at index %llu): the vocabulary has %u tokens",
                                rl_item_of(ids, i), (unsigned long long)i, n_vocab);
    return 0;
}

int64_t rl_gseq_append(rl_call *c, rl_gseq *q, const void *ids, uint64_t n)
{
    uint64_t len = rl_gseq_len(q);
    int64_t r;

    if (n > rl_lm_n_ctx(q->lm) - len)
        return rl_call_fail(c, REALM_ECONTEXT,
                            "%llu ids after %llu do not fit the context of %u tokens",
                            (unsigned long long)n, (unsigned long long)len, rl_lm_n_ctx(q->lm));
    r = grow(c, q, q->n_fresh + (uint32_t)n);
    if (r != 0)
        return r;
    if (n > 0)
        memcpy(q->fresh + q->n_fresh, ids, n * sizeof *q->fresh);
    q->n_fresh += (uint32_t)n;
    return 0;
}

uint32_t *rl_gseq_fresh(const rl_gseq *q, uint32_t extra)
{
    uint32_t *ids = rl_alloc_array((size_t)q->n_fresh + extra + 1, sizeof *ids);

    if (ids && q->n_fresh)
        memcpy(ids, q->fresh, q->n_fresh * sizeof *ids);
    return ids;
}

void rl_gseq_return(rl_gseq *q, rl_seq *seq, bool kept)
{
    q->lent = NULL;
    q->seq = seq;
    if (kept)
        q->n_fresh = 0;
}

/* ---- samplers -------------------------------------------------------------------------------- */

int64_t rl_gsampler_new(rl_call *c, rl_lm *lm, rl_sampler *s)
{
    int64_t answer = 0;
    uint32_t number;
    rl_handle *row = free_row(c, &number, &answer);
    rl_gsampler *g = row ? rl_alloc(sizeof *g) : NULL;

    if (row && !g)
        answer = rl_call_fail(c, REALM_ENOMEM, "no memory for a sampler");
    if (!g) {
        rl_sampler_free(s);
        return answer;
    }
    g->sampler = s;
    g->lm = rl_lm_ref(lm);
    row->kind = RL_HANDLE_SAMPLER;
    row->sampler = g;
    return number;
}

void rl_gsampler_free(rl_gsampler *s)
{
    if (s->lent)
        s->lent->sampler = NULL;
    rl_sampler_free(s->sampler);
    rl_lm_unref(s->lm);
    rl_free(s);
}

void rl_gsampler_return(rl_gsampler *s, rl_sampler *sampler)
{
    s->lent = NULL;
    s->sampler = sampler;
}
