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

#define TEXTS_MAX 2048u

/* The texts of a call, on their way from its argument to the jobs. */
typedef struct texts {
    rl_lm *lm; /* reference */
    uint32_t n;
    uint32_t **ids;  /* owned, the lists too; [TEXTS_MAX] of which n are there; [n_ids[i]] */
    uint32_t *n_ids; /* owned; [TEXTS_MAX] */
} texts;

static void texts_deinit(texts *t)
{
    for (uint32_t i = 0; t->ids && i < t->n; i++)
        rl_free(t->ids[i]);
    rl_free(t->ids);
    rl_free(t->n_ids);
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

    t->ids = rl_alloc_array(TEXTS_MAX, sizeof *t->ids);
    t->n_ids = rl_alloc_array(TEXTS_MAX, sizeof *t->n_ids);
    base->status =
        t->ids && t->n_ids
            ? rl_texts_read(t->lm, op->json, op->n, TEXTS_MAX, t->ids, t->n_ids, &t->n, &base->err)
            : realm_fail(&base->err, REALM_ENOMEM, "no memory for the texts");
}

/* ---- computing ------------------------------------------------------------------------------- */

/* Some of the texts, side by side; then the next ones, in an op of their own. */
typedef struct embed_op {
    rl_jobs_op base;
    texts texts;
    uint32_t from;             /* the first of these */
    rl_seq *seq[RL_JOINT_MAX]; /* owned */
    float *mean;               /* owned; [texts.n][n_embd] */
} embed_op;

static uint32_t width(const texts *t)
{
    return rl_model_get_info(rl_lm_model(t->lm))->n_embd;
}

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

/* Adds the next text. -> false without memory */
static bool add_text(rl_call *c, embed_op *op)
{
    uint32_t i = op->base.n++, text = op->from + i;

    op->seq[i] = rl_seq_new(c->run->rt->opts.engine, op->texts.lm, c->run->owner);
    op->base.job[i] = (rl_job){ .kind = RL_JOB_EMBED,
                                .seq = op->seq[i],
                                .ids = op->texts.ids[text],
                                .n_ids = op->texts.n_ids[text],
                                .hidden = op->mean + (size_t)text * width(&op->texts) };
    return op->seq[i] != NULL;
}

static int64_t embedded(rl_call *c);

/* Computes the texts from `from` on. Takes texts and mean (NULL: no memory for it). */
static int64_t embed_some(rl_call *c, texts *t, float *mean, uint32_t from)
{
    uint32_t left = t->n - from;
    embed_op *op = mean ? rl_op_new(c->run, sizeof *op, NULL, embed_destroy) : NULL;
    bool ok = op != NULL;

    if (!op) {
        rl_free(mean);
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the embeddings");
    }
    op->texts = *t;
    *t = (texts){ 0 };
    op->mean = mean;
    op->from = from;
    while (ok && op->base.n < (left < RL_JOINT_MAX ? left : RL_JOINT_MAX))
        ok = add_text(c, op);
    if (ok)
        return rl_jobs_op_run(c, &op->base, embedded);
    rl_op_unref(&op->base.op);
    return rl_call_fail(c, REALM_ENOMEM, "no memory for the embeddings");
}

/* All texts or none. */
static int64_t embedded(rl_call *c)
{
    embed_op *op = c->state;
    uint32_t n_embd = width(&op->texts), done = op->from + op->base.n;
    float *mean = op->mean;

    for (uint32_t i = 0; i < op->base.n; i++)
        if (op->base.job[i].status != REALM_OK)
            return rl_call_fail_err(c, &op->base.job[i].err);
    for (uint32_t i = 0; i < op->base.n; i++) {
        normalize(mean + (size_t)(op->from + i) * n_embd, n_embd);
        c->run->result.prompt_tokens += op->base.job[i].n_ids;
        c->run->result.prefill_ns += op->base.job[i].prefill_ns;
    }
    if (done == op->texts.n)
        return rl_call_put(c, 2, mean, (uint64_t)done * n_embd);
    op->mean = NULL;
    return embed_some(c, &op->texts, mean, done);
}

/* The texts were read: they move on to the jobs. */
static int64_t embed_begin(rl_call *c)
{
    read_op *from = c->state;
    texts *t = &from->texts;
    uint64_t needed;

    if (from->op.status != REALM_OK)
        return rl_call_fail_err(c, &from->op.err);
    needed = (uint64_t)t->n * width(t);
    if (c->arg[2].n == 0)
        return (int64_t)needed;
    if (c->arg[2].n < needed)
        return rl_call_fail(c, REALM_ESPACE, "%u texts need room for %llu floats", t->n,
                            (unsigned long long)needed);
    return embed_some(c, t, rl_alloc_array(needed, sizeof(float)), 0);
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
