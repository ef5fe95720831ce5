/* Module realm: embeddings. The mean of a text's states after the model's final norm, scaled to
 * length 1, as decoder models are commonly used for it. Each text has a sequence of its own, which
 * lives as long as the call. */
#include "guest/abi.h"
#include "guest/generate.h"
#include "guest/job.h"
#include "guest/text.h"

#include "guest/runtime.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

/* The texts of a call, on their way from its argument to the jobs. */
typedef struct texts {
    rl_lm *lm; /* reference */
    uint32_t n;
    uint32_t *ids[RL_JOINT_MAX]; /* owned; [n_ids[i]] */
    uint32_t n_ids[RL_JOINT_MAX];
} texts;

static void texts_deinit(texts *t)
{
    for (uint32_t i = 0; i < RL_JOINT_MAX; i++)
        rl_free(t->ids[i]);
    rl_lm_unref(t->lm);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct read_op {
    rl_op op;
    texts texts;
    char *json; /* owned; [n] */
    size_t n;
} read_op;

static void read_destroy(rl_op *base)
{
    read_op *op = (read_op *)base;

    texts_deinit(&op->texts);
    rl_free(op->json);
}

static void read_work(rl_op *base)
{
    read_op *op = (read_op *)base;
    texts *t = &op->texts;

    base->status =
        rl_texts_read(t->lm, op->json, op->n, RL_JOINT_MAX, t->ids, t->n_ids, &t->n, &base->err);
}

/* ---- computing ------------------------------------------------------------------------------- */

typedef struct embed_op {
    rl_jobs_op base;
    texts texts;
    rl_seq *seq[RL_JOINT_MAX]; /* owned */
    float *mean;               /* owned; [texts.n][n_embd] */
} embed_op;

/* Closed, a sequence goes when its job is done. */
static void embed_destroy(rl_op *base)
{
    embed_op *op = (embed_op *)base;

    for (uint32_t i = 0; i < op->base.n; i++)
        rl_seq_close(op->seq[i]);
    texts_deinit(&op->texts);
    rl_free(op->mean);
}

/* The zero vector stays what it is. */
static void normalize(float *x, uint32_t n)
{
    double sum = 0, scale;

    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (uint32_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] * scale);
}

/* All texts or none. */
static int64_t embedded(rl_call *c)
{
    embed_op *op = c->state;
    uint32_t n_embd = rl_model_get_info(rl_lm_model(op->texts.lm))->n_embd;

    for (uint32_t i = 0; i < op->base.n; i++)
        if (op->base.job[i].status != REALM_OK)
            return rl_call_fail_err(c, &op->base.job[i].err);
    for (uint32_t i = 0; i < op->base.n; i++) {
        normalize(op->mean + (size_t)i * n_embd, n_embd);
        c->run->result.prompt_tokens += op->base.job[i].n_ids;
        c->run->result.prefill_ns += op->base.job[i].prefill_ns;
    }
    return rl_call_put(c, 2, op->mean, (uint64_t)op->base.n * n_embd);
}

/* Adds text i. -> false without memory */
static bool add_text(rl_call *c, embed_op *op, uint32_t n_embd)
{
    uint32_t i = op->base.n++;

    op->seq[i] = rl_seq_new(c->run->rt->opts.engine, op->texts.lm, c->run->owner);
    op->base.job[i] = (rl_job){ .kind = RL_JOB_EMBED,
                                .seq = op->seq[i],
                                .ids = op->texts.ids[i],
                                .n_ids = op->texts.n_ids[i],
                                .hidden = op->mean + (size_t)i * n_embd };
    return op->seq[i] != NULL;
}

/* The texts were read: they move into the op of the jobs. */
static int64_t embed_begin(rl_call *c)
{
    read_op *from = c->state;
    uint32_t n_embd = rl_model_get_info(rl_lm_model(from->texts.lm))->n_embd;
    embed_op *op;
    bool ok;

    if (from->op.status != REALM_OK)
        return rl_call_fail_err(c, &from->op.err);
    if (c->arg[2].n < (uint64_t)from->texts.n * n_embd)
        return rl_call_fail(c, REALM_ESPACE, "%u texts need room for %llu floats", from->texts.n,
                            (unsigned long long)from->texts.n * n_embd);
    op = rl_op_new(c->run, sizeof *op, NULL, embed_destroy);
    if (!op)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the call");
    op->texts = from->texts;
    from->texts = (texts){ 0 };
    op->mean = rl_alloc_array((size_t)op->texts.n * n_embd, sizeof *op->mean);
    ok = op->mean != NULL;
    while (ok && op->base.n < op->texts.n)
        ok = add_text(c, op, n_embd);
    if (ok)
        return rl_jobs_op_run(c, &op->base, embedded);
    rl_op_unref(&op->base.op);
    return rl_call_fail(c, REALM_ENOMEM, "no memory for the embeddings");
}

int64_t rl_abi_realm_embed(rl_call *c)
{
    read_op *op;
    rl_lm *lm;
    int64_t r = rl_model_get(c, c->arg[0].u, &lm);

    if (r == 0)
        r = rl_jobs_check(c);
    if (r != 0)
        return r;
    op = rl_op_new(c->run, sizeof *op, read_work, read_destroy);
    if (op) {
        op->texts.lm = rl_lm_ref(lm);
        op->n = c->arg[1].n;
        op->json = rl_alloc(op->n + 1);
    }
    if (!op || !op->json) {
        rl_op_unref(op ? &op->op : NULL);
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the call");
    }
    memcpy(op->json, c->arg[1].in, op->n);
    return rl_op_wait(c, &op->op, embed_begin);
}
