/* Module env, the layers: a guest walks through the model itself. Each model has one implicit
 * sequence per run; every layer of it has its own length. */
#include "guest/abi.h"
#include "guest/job.h"
#include "guest/text.h"

#include "guest/runtime.h"

#include "base/alloc.h"

#include <string.h>

/* An engine job over hidden states or for logits. The numbers are copied in and out: the engine
 * never sees a guest address. */
typedef struct layer_op {
    rl_job_op base;
    float *hidden;  /* owned */
    float *logits;  /* owned; NULL for a layer */
    uint64_t out;   /* guest address */
    uint64_t bytes; /* to write there */
    uint32_t *len;  /* of the layer, in the run; NULL for logits */
} layer_op;

/* The last of guest and engine frees the numbers: the engine may still read them after a cancel. */
static void layer_destroy(rl_op *base)
{
    layer_op *op = (layer_op *)base;

    rl_free(op->hidden);
    rl_free(op->logits);
}

/* The answer: the numbers are in, or it failed and nothing is written. */
static int64_t layer_over(rl_call *c)
{
    layer_op *op = c->state;

    if (op->base.op.status != REALM_OK)
        return rl_call_fail_err(c, &op->base.op.err);
    memcpy(c->mem + op->out, op->logits ? op->logits : op->hidden, op->bytes);
    if (op->len)
        *op->len = op->base.job.pos + op->base.job.n_hidden;
    return (int64_t)op->bytes;
}

/* Makes the implicit sequence of a model at its first use. -> 0, or the call's answer */
static int64_t need_sequence(rl_call *c, rl_env_model *m)
{
    uint32_t n_layers = rl_model_get_info(rl_lm_model(m->lm))->n_layers;
    int64_t r = rl_room_check(c);

    if (m->layer_seq)
        return c->run->n_jobs >= RL_MAX_JOBS ? r : 0;
    if (r != 0)
        return r;
    m->layer_len = rl_alloc_array(n_layers, sizeof *m->layer_len);
    m->layer_seq = m->layer_len ? rl_seq_new(c->run->rt->opts.engine, m->lm, c->run->owner) : NULL;
    if (m->layer_seq) {
        c->run->n_seqs++;
        return 0;
    }
    rl_free(m->layer_len);
    m->layer_len = NULL;
    return rl_call_fail(c, REALM_ENOMEM, "no memory for the sequence of forward_layer");
}

/* -> rows of n_embd floats in an argument, or the call's answer (< 0) */
static int64_t count_rows(rl_call *c, const rl_arg *a, uint32_t n_embd)
{
    if (a->n == 0 || a->n % n_embd != 0)
        return rl_call_fail(c, REALM_EINVAL,
                            "n_floats is %llu: it must be a multiple of the embedding size %u",
                            (unsigned long long)a->n, n_embd);
    return (int64_t)(a->n / n_embd);
}

/* Refused here with a sentence about the guest's own arguments; the engine checks again. */
static int64_t check_position(rl_call *c, const rl_env_model *m, int64_t rows)
{
    const rl_model_info *info = rl_model_get_info(rl_lm_model(m->lm));
    uint64_t layer = c->arg[1].u, pos = c->arg[3].u;

    if (layer >= info->n_layers)
        return rl_call_fail(c, REALM_EINVAL, "layer %llu: the model has %u",
                            (unsigned long long)layer, info->n_layers);
    if (pos + (uint64_t)rows > rl_lm_n_ctx(m->lm))
        return rl_call_fail(c, REALM_ECONTEXT, "position %llu is past the context of %u",
                            (unsigned long long)(pos + (uint64_t)rows - 1), rl_lm_n_ctx(m->lm));
    if (pos > (m->layer_len ? m->layer_len[layer] : 0))
        return rl_call_fail(c, REALM_EINVAL,
                            "position %llu leaves a gap: layer %llu has %u positions",
                            (unsigned long long)pos, (unsigned long long)layer,
                            m->layer_len ? m->layer_len[layer] : 0);
    return 0;
}

/* Checked: begins the job over a copy of the hidden states. */
static int64_t forward(rl_call *c, rl_env_model *m, uint32_t rows)
{
    layer_op *op;
    int64_t r = need_sequence(c, m);

    if (r != 0)
        return r;
    op = rl_job_op_new(c, sizeof *op, RL_JOB_LAYER, m->layer_seq, layer_destroy);
    if (op)
        op->hidden = rl_items_dup(&c->arg[2]);
    if (!op || !op->hidden) {
        rl_op_unref(op ? &op->base.op : NULL);
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the hidden states");
    }
    op->out = c->arg[4].u;
    op->bytes = c->arg[2].n * sizeof(float);
    op->len = &m->layer_len[c->arg[1].u];
    op->base.job.layer = (uint32_t)c->arg[1].u;
    op->base.job.pos = (uint32_t)c->arg[3].u;
    op->base.job.hidden = op->hidden;
    op->base.job.n_hidden = rows;
    return rl_job_op_run(c, &op->base, layer_over);
}

/* Every argument is checked before the sequence is made, so a bad call leaves nothing behind. */
int64_t rl_abi_env_realm_forward_layer(rl_call *c)
{
    rl_env_model *m;
    int64_t r = rl_env_get(c, c->arg[0].u, &m), rows;

    if (r != 0)
        return r;
    rows = count_rows(c, &c->arg[2], rl_model_get_info(rl_lm_model(m->lm))->n_embd);
    if (rows < 0)
        return rows;
    r = check_position(c, m, rows);
    if (r != 0)
        return r;
    if (!rl_call_at(c, c->arg[4].u, c->arg[2].n * sizeof(float)))
        return rl_call_fail(c, REALM_EINVAL, "the output is not inside the memory");
    return forward(c, m, (uint32_t)rows);
}

/* Only the last position's state is needed. */
static int64_t head(rl_call *c, rl_env_model *m, uint32_t n_embd, uint32_t n_vocab)
{
    layer_op *op;
    int64_t r = need_sequence(c, m);

    if (r != 0)
        return r;
    op = rl_job_op_new(c, sizeof *op, RL_JOB_HEAD, m->layer_seq, layer_destroy);
    if (op) {
        op->hidden = rl_alloc_array(n_embd, sizeof(float));
        op->logits = rl_alloc_array(n_vocab, sizeof(float));
    }
    if (!op || !op->hidden || !op->logits) {
        rl_op_unref(op ? &op->base.op : NULL);
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the logits");
    }
    memcpy(op->hidden, c->arg[1].in + (c->arg[1].n - n_embd) * sizeof(float),
           n_embd * sizeof(float));
    op->out = c->arg[2].u;
    op->bytes = n_vocab * sizeof(float);
    op->base.job.hidden = op->hidden;
    op->base.job.n_hidden = 1;
    op->base.job.logits = op->logits;
    return rl_job_op_run(c, &op->base, layer_over);
}

int64_t rl_abi_env_realm_compute_logits(rl_call *c)
{
    rl_env_model *m;
    const rl_model_info *info;
    int64_t r = rl_env_get(c, c->arg[0].u, &m);

    if (r != 0)
        return r;
    info = rl_model_get_info(rl_lm_model(m->lm));
    r = count_rows(c, &c->arg[1], info->n_embd);
    if (r < 0)
        return r;
    if (!rl_call_at(c, c->arg[2].u, info->n_vocab * sizeof(float)))
        return rl_call_fail(c, REALM_EINVAL, "the output is not inside the memory");
    return head(c, m, info->n_embd, info->n_vocab);
}

/* A table look-up: done here and now, in memory of ours because guest floats may lie unaligned. */
static int64_t embed(rl_call *c, const rl_model *model, const uint32_t *ids, uint64_t n)
{
    const rl_model_info *info = rl_model_get_info(model);
    uint64_t bytes = n * info->n_embd * sizeof(float), i;
    float *hidden;

    for (i = 0; i < n; i++)
        if (ids[i] >= info->n_vocab)
            return rl_call_fail(c, REALM_EINVAL, "id %u: the vocabulary has %u", ids[i],
                                info->n_vocab);
    if (!rl_call_at(c, c->arg[2].u, bytes))
        return rl_call_fail(c, REALM_EINVAL, "the output is not inside the memory");
    hidden = rl_alloc(bytes);
    if (!hidden)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the embeddings");
    rl_model_embed(model, ids, (uint32_t)n, hidden);
    if (bytes > 0)
        memcpy(c->mem + c->arg[2].u, hidden, bytes);
    rl_free(hidden);
    return (int64_t)bytes;
}

int64_t rl_abi_env_realm_embed_tokens(rl_call *c)
{
    rl_env_model *m;
    uint32_t *ids;
    int64_t r = rl_env_get(c, c->arg[0].u, &m);

    if (r != 0)
        return r;
    ids = rl_items_dup(&c->arg[1]);
    if (!ids)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the ids");
    r = embed(c, rl_lm_model(m->lm), ids, c->arg[1].n);
    rl_free(ids);
    return r;
}
