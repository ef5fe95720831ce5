/* Perplexity by chunks, and the distance to a reference model position by position.
 *
 * A chunk of n_ctx tokens is fresh context; positions n_ctx/2 .. n_ctx-2 are scored, each by the
 * probability of the token after it, as llama-perplexity does. Both models take the chunk in pieces
 * of PIECE tokens, so that only a piece of the reference's logits is kept. */
#include "lib/internal.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

#define PIECE 32u

typedef struct tally {
    double nll, nll2; /* sums of -log p and its square */
    double ref_nll;
    double kl, kl2, kl_max;
    uint64_t n, same_top;
} tally;

typedef struct measure {
    realm_model *m;
    realm_model *ref; /* or NULL */
    rl_engine *e;
    rl_engine *ref_e;
    float *ref_rows; /* owned [PIECE][n_vocab], or NULL */
    uint32_t *chunk; /* owned [n_ctx] */
    uint32_t n_ctx, n_vocab;
    uint32_t at; /* position of the piece's first token */
    tally sum;
    rl_lib_step step;
} measure;

/* What a row callback finds through its job. */
typedef struct row_job {
    rl_job job; /* first: the callback gets its address */
    measure *me;
} row_job;

static uint32_t best_of(const float *x, uint32_t n)
{
    return rl_kernels_get()->argmax(x, n);
}

/* KL(p || q) of two rows of logits with their log-sum-exps. */
static double divergence(const float *p, double lse_p, const float *q, double lse_q, uint32_t n)
{
    double sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        double lp = (double)p[i] - lse_p;

        if (lp > -60) /* less than 1e-26 of the mass of one token */
            sum += exp(lp) * (lp - ((double)q[i] - lse_q));
    }
    return sum;
}

static void keep_row(rl_job *job, uint32_t index, const float *logits)
{
    measure *me = ((row_job *)(void *)job)->me;

    memcpy(me->ref_rows + (size_t)index * me->n_vocab, logits, me->n_vocab * sizeof *logits);
}

static void score_row(rl_job *job, uint32_t index, const float *logits)
{
    measure *me = ((row_job *)(void *)job)->me;
    uint32_t pos = me->at + index, next;
    tally *t = &me->sum;
    double lse, nll;
    float lp;

    if (pos + 1 >= me->n_ctx)
        return; /* what comes after the chunk is not known */
    next = me->chunk[pos + 1];
    lse = rl_logprobs(logits, me->n_vocab, next, &lp, NULL, 0);
    nll = lse - (double)logits[next];
    t->nll += nll;
    t->nll2 += nll * nll;
    t->n++;
    if (me->ref_rows) {
        const float *row = me->ref_rows + (size_t)index * me->n_vocab;
        double ref_lse = rl_logprobs(row, me->n_vocab, next, &lp, NULL, 0);
        double kl = divergence(row, ref_lse, logits, lse, me->n_vocab);

        t->ref_nll += ref_lse - (double)row[next];
        t->kl += kl;
        t->kl2 += kl * kl;
        t->kl_max = kl > t->kl_max ? kl : t->kl_max;
        t->same_top += best_of(row, me->n_vocab) == best_of(logits, me->n_vocab);
    }
}

static realm_status run(measure *me, rl_engine *e, rl_seq *seq, rl_job_kind kind, uint32_t from,
                        uint32_t n, void (*row)(rl_job *, uint32_t, const float *), float *logits,
                        realm_error *err)
{
    row_job j = { .job = { .kind = kind,
                           .seq = seq,
                           .ids = me->chunk + from,
                           .n_ids = n,
                           .row = row,
                           .logits = logits },
                  .me = me };

    return rl_lib_run_jobs(e, &j.job, 1, &me->step, err);
}

static realm_status score_pieces(measure *me, rl_seq *seq, rl_seq *ref_seq, realm_error *err)
{
    uint32_t first = me->n_ctx / 2;
    realm_status st = REALM_OK;

    for (me->at = first; st == REALM_OK && me->at < me->n_ctx; me->at += PIECE) {
        uint32_t left = me->n_ctx - me->at, n = left < PIECE ? left : PIECE;

        if (ref_seq)
            st = run(me, me->ref_e, ref_seq, RL_JOB_SCORE, me->at, n, keep_row, NULL, err);
        if (st == REALM_OK)
            st = run(me, me->e, seq, RL_JOB_SCORE, me->at, n, score_row, NULL, err);
    }
    return st;
}

/* The first half is context only: its logits are not wanted, so the head runs once for it. */
static realm_status score_chunk(measure *me, float *scratch, realm_error *err)
{
    rl_seq *seq = rl_seq_new(me->e, me->m->lm, 0);
    rl_seq *ref_seq = me->ref ? rl_seq_new(me->ref_e, me->ref->lm, 0) : NULL;
    uint32_t first = me->n_ctx / 2;
    realm_status st = REALM_OK;

    if (!seq || (me->ref && !ref_seq))
        st = realm_fail(err, REALM_ENOMEM, "no memory for a sequence");
    if (st == REALM_OK)
        st = run(me, me->e, seq, RL_JOB_LOGITS, 0, first, NULL, scratch, err);
    if (st == REALM_OK && ref_seq)
        st = run(me, me->ref_e, ref_seq, RL_JOB_LOGITS, 0, first, NULL, scratch, err);
    if (st == REALM_OK)
        st = score_pieces(me, seq, ref_seq, err);
    rl_seq_close(seq);
    rl_seq_close(ref_seq);
    return st;
}

static realm_status check(const realm_model *m, const realm_perplexity_options *o, uint32_t n_ctx,
                          realm_error *err)
{
    if (n_ctx < 8 || n_ctx > m->info.n_ctx)
        return realm_fail(err, REALM_EINVAL, "a chunk has 8 to %u tokens", (unsigned)m->info.n_ctx);
    if (o->n_ids < n_ctx)
        return realm_fail(err, REALM_EINVAL,
                          "the text has %zu tokens, fewer than one chunk of %u; give a longer text "
                          "or smaller chunks (-c)",
                          o->n_ids, (unsigned)n_ctx);
    for (size_t i = 0; i < o->n_ids; i++) {
        if (o->ids[i] >= m->info.n_vocab)
            return realm_fail(err, REALM_EINVAL, "token %u is not one of the model's %u",
                              (unsigned)o->ids[i], (unsigned)m->info.n_vocab);
    }
    if (o->reference && o->reference->info.n_vocab != m->info.n_vocab)
        return realm_fail(err, REALM_EINVAL, "the reference has another vocabulary");
    return REALM_OK;
}

static double standard_error(double sum, double squares, uint64_t n)
{
    double mean = sum / (double)n, var = squares / (double)n - mean * mean;

    return n > 1 && var > 0 ? sqrt(var / (double)(n - 1)) : 0;
}

static void finish(const measure *me, uint32_t n_chunks, realm_perplexity_result *out)
{
    const tally *t = &me->sum;
    double n = (double)t->n;

    *out = (realm_perplexity_result){ .n_tokens = t->n, .n_chunks = n_chunks };
    out->ppl = exp(t->nll / n);
    out->ppl_stderr = out->ppl * standard_error(t->nll, t->nll2, t->n);
    if (!me->ref)
        return;
    out->reference_ppl = exp(t->ref_nll / n);
    out->kl_mean = t->kl / n;
    out->kl_stderr = standard_error(t->kl, t->kl2, t->n);
    out->kl_max = t->kl_max;
    out->top1_agreement = (double)t->same_top / n;
}

static realm_status score_all(measure *me, const realm_perplexity_options *o, uint32_t n_chunks,
                              realm_error *err)
{
    const rl_vocab_info *v = rl_vocab_get_info(rl_lm_vocab(me->m->lm));
    float *scratch = rl_alloc_array(me->n_vocab, sizeof *scratch);
    realm_status st = REALM_OK;

    if (!scratch || !me->chunk) {
        rl_free(scratch);
        return realm_fail(err, REALM_ENOMEM, "no memory for a chunk");
    }
    for (uint32_t i = 0; st == REALM_OK && i < n_chunks; i++) {
        me->step.done = i;
        memcpy(me->chunk, o->ids + (size_t)i * me->n_ctx, me->n_ctx * sizeof *me->chunk);
        if (v->add_bos && v->bos != RL_NO_TOKEN)
            me->chunk[0] = v->bos;
        if (rl_lib_progress(&me->step, i, n_chunks))
            st = realm_fail(err, REALM_ECANCELLED, "stopped");
        else
            st = score_chunk(me, scratch, err);
    }
    rl_free(scratch);
    return st;
}

realm_status realm_perplexity(realm_model *m, const realm_perplexity_options *opts,
                              realm_perplexity_result *out, realm_error *err)
{
    measure me = { .m = m,
                   .ref = opts->reference,
                   .n_ctx = opts->n_ctx ? opts->n_ctx : 512,
                   .n_vocab = m->info.n_vocab,
                   .step = { .r = m->r, .what = "scoring" } };
    realm_status st = check(m, opts, me.n_ctx, err);
    uint64_t n_chunks;

    if (st == REALM_OK)
        st = rl_lib_engine(m->r, &me.e, err);
    if (st == REALM_OK && me.ref)
        st = rl_lib_engine(me.ref->r, &me.ref_e, err);
    if (st != REALM_OK)
        return st;
    n_chunks = opts->n_ids / me.n_ctx;
    if (opts->n_chunks && n_chunks > opts->n_chunks)
        n_chunks = opts->n_chunks;
    me.step.total = n_chunks;
    me.chunk = rl_alloc_array(me.n_ctx, sizeof *me.chunk);
    if (me.ref)
        me.ref_rows = rl_alloc_array((size_t)PIECE * me.n_vocab, sizeof *me.ref_rows);
    if (me.ref && !me.ref_rows)
        st = realm_fail(err, REALM_ENOMEM, "no memory for the reference");
    if (st == REALM_OK)
        st = score_all(&me, opts, (uint32_t)n_chunks, err);
    if (st == REALM_OK)
        finish(&me, (uint32_t)n_chunks, out);
    rl_free(me.ref_rows);
    rl_free(me.chunk);
    return st;
}
