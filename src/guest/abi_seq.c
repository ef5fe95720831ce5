/* Module realm: sequences. A program owns their ids; the host computes what it asks for. */
#include "guest/abi.h"
#include "guest/generate.h"
#include "guest/job.h"
#include "guest/text.h"

#include "guest/runtime.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>

#define TOPK_MAX 1024u

/* ---- life ------------------------------------------------------------------------------------ */

int64_t rl_abi_realm_seq_new(rl_call *c)
{
    rl_gseq *q;
    rl_lm *lm;
    int64_t r = rl_model_get(c, c->arg[0].u, &lm);

    return r != 0 ? r : rl_gseq_new(c, lm, &q);
}

/* Closing a sequence on which a stream generates leaves it to the stream. */
int64_t rl_abi_realm_seq_close(rl_call *c)
{
    rl_handle *row = rl_handle_get(&c->run->handles, c->arg[0].u, RL_HANDLE_SEQ);

    if (!row)
        return rl_call_fail(c, REALM_ENOTFOUND, "no sequence has the handle %llu",
                            (unsigned long long)c->arg[0].u);
    rl_handle_free(row);
    return 0;
}

int64_t rl_abi_realm_seq_len(rl_call *c)
{
    rl_gseq *q;
    int64_t r = rl_gseq_get(c, c->arg[0].u, &q);

    return r != 0 ? r : rl_gseq_len(q);
}

int64_t rl_abi_realm_seq_append(rl_call *c)
{
    rl_gseq *q;
    int64_t r = rl_gseq_get(c, c->arg[0].u, &q);

    if (r == 0)
        r = rl_ids_check(c, &c->arg[1], q->lm);
    return r != 0 ? r : rl_gseq_append(c, q, c->arg[1].in, c->arg[1].n);
}

/* ---- fork ------------------------------------------------------------------------------------ */

typedef struct fork_op {
    rl_job_op base;
    uint32_t number; /* of the new sequence, which is closed again when the fork fails */
} fork_op;

static int64_t forked(rl_call *c)
{
    fork_op *op = c->state;

    if (op->base.op.status == REALM_OK)
        return op->number;
    rl_handle_free(rl_handle_get(&c->run->handles, op->number, RL_HANDLE_SEQ));
    return rl_call_fail_err(c, &op->base.op.err);
}

/* The engine shares the blocks; what is fresh is copied here. */
static int64_t fork_into(rl_call *c, const rl_gseq *from, rl_gseq *to, uint32_t number)
{
    int64_t r = rl_gseq_append(c, to, from->fresh, from->n_fresh);
    fork_op *op = NULL;

    if (r == 0 && rl_seq_len(from->seq) == 0)
        return number;
    if (r == 0)
        op = rl_job_op_new(c, sizeof *op, RL_JOB_FORK, from->seq, NULL);
    if (op) {
        op->number = number;
        op->base.job.fork_to = to->seq;
    }
    if (r == 0)
        r = rl_job_op_run(c, op ? &op->base : NULL, forked);
    if (r != RL_PARKED)
        rl_handle_free(rl_handle_get(&c->run->handles, number, RL_HANDLE_SEQ));
    return r;
}

int64_t rl_abi_realm_seq_fork(rl_call *c)
{
    rl_gseq *from = NULL, *to = NULL;
    int64_t r = rl_gseq_get(c, c->arg[0].u, &from);

    if (r == 0)
        r = rl_jobs_check(c);
    if (r == 0)
        r = rl_gseq_new(c, from->lm, &to);
    if (r < 0)
        return r;
    RL_ASSERT(from && to);
    return fork_into(c, from, to, (uint32_t)r);
}

/* ---- truncate -------------------------------------------------------------------------------- */

static int64_t truncated(rl_call *c)
{
    const rl_job_op *op = c->state;

    return op->op.status == REALM_OK ? 0 : rl_call_fail_err(c, &op->op.err);
}

/* Fresh ids are only in our list; the others the engine drops. */
static int64_t truncate(rl_call *c, rl_gseq *q, uint32_t keep)
{
    uint32_t computed = rl_seq_len(q->seq);
    rl_job_op *op;

    q->n_fresh = keep > computed ? keep - computed : 0;
    if (keep >= computed)
        return 0;
    op = rl_job_op_new(c, sizeof *op, RL_JOB_TRUNCATE, q->seq, NULL);
    if (op)
        op->job.keep = keep;
    return rl_job_op_run(c, op, truncated);
}

int64_t rl_abi_realm_seq_truncate(rl_call *c)
{
    rl_gseq *q;
    int64_t r = rl_gseq_get(c, c->arg[0].u, &q);

    if (r == 0)
        r = rl_jobs_check(c);
    if (r != 0)
        return r;
    if (c->arg[1].u > rl_gseq_len(q))
        return rl_call_fail(c, REALM_EINVAL, "cannot keep %llu of %u tokens",
                            (unsigned long long)c->arg[1].u, rl_gseq_len(q));
    return truncate(c, q, (uint32_t)c->arg[1].u);
}

/* ---- looking at logits ----------------------------------------------------------------------- */

typedef struct look_op {
    rl_job_op base;
    uint32_t *ids;    /* owned: what was fresh; for scores the ids that are scored follow */
    float *out;       /* owned: logits [n_vocab], or scores [n] */
    uint32_t n_fresh; /* of ids */
    uint32_t n;       /* of out */
} look_op;

static void look_destroy(rl_op *base)
{
    look_op *op = (look_op *)base;

    rl_free(op->ids);
    rl_free(op->out);
}

/* extra: ids behind the fresh ones. NULL without memory. */
static look_op *new_look(rl_call *c, const rl_gseq *q, rl_job_kind kind, uint32_t extra, uint32_t n)
{
    look_op *op = rl_job_op_new(c, sizeof *op, kind, q->seq, look_destroy);

    if (!op)
        return NULL;
    op->n_fresh = q->n_fresh;
    op->n = n;
    op->ids = rl_gseq_fresh(q, extra);
    op->out = rl_alloc_array((size_t)n, sizeof *op->out);
    if (!op->ids || !op->out) {
        rl_op_unref(&op->base.op);
        return NULL;
    }
    op->base.job.ids = op->ids;
    op->base.job.n_ids = q->n_fresh;
    op->base.job.logits = op->out;
    return op;
}

/* The engine has recorded what was fresh. The sequence is there: its guest slept. */
static void settle_fresh(rl_call *c, const look_op *op)
{
    rl_handle_get(&c->run->handles, c->arg[0].u, RL_HANDLE_SEQ)->seq->n_fresh = 0;
    c->run->result.prompt_tokens += op->base.job.n_ids;
    c->run->result.cached_tokens += op->base.job.n_cached;
    c->run->result.prefill_ns += op->base.job.prefill_ns;
}

static int64_t logits_ready(rl_call *c)
{
    const look_op *op = c->state;

    if (op->base.op.status != REALM_OK)
        return rl_call_fail_err(c, &op->base.op.err);
    settle_fresh(c, op);
    return rl_call_put(c, 1, op->out, op->n);
}

static uint32_t n_vocab_of(const rl_gseq *q)
{
    return rl_model_get_info(rl_lm_model(q->lm))->n_vocab;
}

/* Computes the logits after the last token and goes on with `over`. */
static int64_t look(rl_call *c, rl_gseq *q, int64_t (*over)(rl_call *c))
{
    look_op *op;
    int64_t r = rl_jobs_check(c);

    if (r != 0)
        return r;
    op = new_look(c, q, RL_JOB_LOGITS, 0, n_vocab_of(q));
    return rl_job_op_run(c, op ? &op->base : NULL, over);
}

int64_t rl_abi_realm_seq_logits(rl_call *c)
{
    rl_gseq *q;
    int64_t r = rl_gseq_get(c, c->arg[0].u, &q);

    if (r != 0)
        return r;
    if (c->arg[1].n < n_vocab_of(q))
        return rl_call_fail(c, REALM_ESPACE, "the output holds %llu logits, %u are needed",
                            (unsigned long long)c->arg[1].n, n_vocab_of(q));
    return look(c, q, logits_ready);
}

/* ---- the best ids ---------------------------------------------------------------------------- */

typedef struct topk_op {
    rl_op op;
    float *logits; /* owned; [n_vocab] */
    uint32_t n_vocab, k;
    rl_logprob top[TOPK_MAX];
} topk_op;

static void topk_destroy(rl_op *base)
{
    rl_free(((topk_op *)base)->logits);
}

/* Helper thread: a pass over all logits is too long for a worker. */
static void topk_work(rl_op *base)
{
    topk_op *op = (topk_op *)base;

    (void)rl_logprobs(op->logits, op->n_vocab, 0, NULL, op->top, op->k);
}

static int64_t topk_ready(rl_call *c)
{
    const topk_op *op = c->state;
    uint32_t ids[TOPK_MAX], i;
    float logprobs[TOPK_MAX];

    for (i = 0; i < op->k; i++) {
        ids[i] = op->top[i].id;
        logprobs[i] = op->top[i].logprob;
    }
    (void)rl_call_put(c, 2, ids, op->k); /* the room was checked before */
    return rl_call_put(c, 3, logprobs, op->k);
}

static int64_t topk_begin(rl_call *c)
{
    look_op *look = c->state;
    topk_op *op;

    if (look->base.op.status != REALM_OK)
        return rl_call_fail_err(c, &look->base.op.err);
    settle_fresh(c, look);
    op = rl_op_new(c->run, sizeof *op, topk_work, topk_destroy);
    if (op) {
        op->logits = look->out;
        op->n_vocab = look->n;
        op->k = (uint32_t)c->arg[1].u;
        look->out = NULL;
    }
    return rl_op_wait(c, op ? &op->op : NULL, topk_ready);
}

int64_t rl_abi_realm_seq_topk(rl_call *c)
{
    uint64_t k = c->arg[1].u;
    rl_gseq *q;
    int64_t r = rl_gseq_get(c, c->arg[0].u, &q);

    if (r != 0)
        return r;
    if (k == 0 || k > TOPK_MAX || k > n_vocab_of(q))
        return rl_call_fail(c, REALM_EINVAL,
                            "k is %llu: from 1 to %u, and not more than the vocabulary has",
                            (unsigned long long)k, TOPK_MAX);
    if (c->arg[2].n < k || c->arg[3].n < k)
        return rl_call_fail(c, REALM_ESPACE, "the outputs must each hold %llu",
                            (unsigned long long)k);
    return look(c, q, topk_begin);
}

/* ---- scores ---------------------------------------------------------------------------------- */

/* Engine thread. Row i is what precedes scored id i. */
static void score_row(rl_job *job, uint32_t index, const float *logits)
{
    look_op *op = job->ctx;
    uint32_t n_vocab = rl_model_get_info(rl_lm_model(rl_seq_lm(job->seq)))->n_vocab;

    (void)rl_logprobs(logits, n_vocab, op->ids[op->n_fresh + index], &op->out[index], NULL, 0);
}

/* The scored ids are gone again. */
static int64_t scores_ready(rl_call *c)
{
    const look_op *op = c->state;

    if (op->base.op.status != REALM_OK)
        return rl_call_fail_err(c, &op->base.op.err);
    return rl_call_put(c, 2, op->out, op->n);
}

/* The fresh ids stay in the engine's sequence, the scored ones do not. */
static int64_t scored(rl_call *c)
{
    look_op *done = c->state, *op;
    rl_gseq *q = rl_handle_get(&c->run->handles, c->arg[0].u, RL_HANDLE_SEQ)->seq;

    if (done->base.op.status != REALM_OK)
        return rl_call_fail_err(c, &done->base.op.err);
    settle_fresh(c, done);
    op = new_look(c, q, RL_JOB_TRUNCATE, 0, 1);
    if (op) {
        op->base.job.keep = rl_seq_len(q->seq) - (done->n - 1);
        rl_free(op->out);
        op->out = done->out;
        op->n = done->n;
        done->out = NULL;
    }
    return rl_job_op_run(c, op ? &op->base : NULL, scores_ready);
}

/* Scores ids [n]: all but the last go behind the fresh ones into the sequence. */
static int64_t score(rl_call *c, rl_gseq *q, uint32_t n)
{
    look_op *op = new_look(c, q, RL_JOB_SCORE, n, n);

    if (op) {
        memcpy(op->ids + op->n_fresh, c->arg[1].in, n * sizeof *op->ids);
        op->base.job.n_ids = op->n_fresh + n - 1;
        op->base.job.first_row = (int32_t)op->n_fresh - 1;
        op->base.job.row = score_row;
    }
    return rl_job_op_run(c, op ? &op->base : NULL, scored);
}

int64_t rl_abi_realm_seq_score(rl_call *c)
{
    uint64_t n = c->arg[1].n;
    rl_gseq *q;
    int64_t r = rl_gseq_get(c, c->arg[0].u, &q);

    if (r == 0)
        r = rl_jobs_check(c);
    if (r == 0)
        r = rl_ids_check(c, &c->arg[1], q->lm);
    if (r != 0)
        return r;
    if (rl_gseq_len(q) == 0)
        return rl_call_fail(c, REALM_EINVAL, "nothing precedes the ids: append a token first");
    if (c->arg[2].n < n)
        return rl_call_fail(c, REALM_ESPACE, "the output holds %llu scores, %llu are needed",
                            (unsigned long long)c->arg[2].n, (unsigned long long)n);
    if (n > rl_lm_n_ctx(q->lm) - rl_gseq_len(q))
        return rl_call_fail(c, REALM_ECONTEXT,
                            "%llu ids after %u do not fit the context of %u tokens",
                            (unsigned long long)n, rl_gseq_len(q), rl_lm_n_ctx(q->lm));
    return n ? score(c, q, (uint32_t)n) : 0;
}
