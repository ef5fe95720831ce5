/* Text work of calls: encodes, templates, requests and events as ops of a helper, on copies of what
 * the guest gave; decodes and short encodes at once, on the worker. */
#include "guest/text.h"

#include "guest/runtime.h"

#include "base/alloc.h"

#include <string.h>

#define RENDER_MAX ((size_t)64 << 20)

/* A model without a usable template is served all the same; who asks for the template hears why. */
static realm_status chat_of(const rl_text_op *t, const rl_chat **chat, realm_error *err)
{
    *chat = rl_lm_chat(t->lm, err);
    return *chat ? REALM_OK : err->status;
}

static realm_status render(rl_text_op *t, realm_error *err)
{
    const rl_chat *chat;
    realm_status st = chat_of(t, &chat, err);

    if (st != REALM_OK)
        return st;
    return rl_chat_render(chat, t->text, t->n, &t->out, err);
}

/* Helper thread; a short encode also on the worker. */
static void text_work(rl_op *base)
{
    rl_text_op *t = (rl_text_op *)base;
    realm_error *err = &base->err;

    switch (t->kind) {
    case RL_TEXT_ENCODE:
        base->status =
            rl_encode(rl_lm_vocab(t->lm), t->text, t->n, t->flags, &t->ids, &t->n_ids, err);
        break;
    case RL_TEXT_PROMPT:
        base->status = rl_prompt_read(t->lm, t->text, t->n, &t->ids, &t->n_ids, err);
        break;
    case RL_TEXT_REQUEST:
        base->status = rl_request_read(&t->gen, t->lm, t->text, t->n, err);
        break;
    case RL_TEXT_PARAMS:
        base->status = rl_gen_read(&t->gen, t->text, t->n, err);
        break;
    case RL_TEXT_SAMPLER:
        base->status = rl_sampler_read(&t->sampler, t->lm, t->text, t->n, err);
        break;
    case RL_TEXT_EVENT:
        base->status = rl_event_check(t->text, t->n, err);
        break;
    default:
        base->status = render(t, err);
    }
}

/* What `then` took it has set to NULL. */
static void text_destroy(rl_op *base)
{
    rl_text_op *t = (rl_text_op *)base;

    rl_gen_deinit(&t->gen);
    rl_sampler_free(t->sampler);
    rl_buf_deinit(&t->out);
    rl_free(t->ids);
    rl_free(t->text);
    rl_lm_unref(t->lm);
}

rl_text_op *rl_text_new(rl_run *run, rl_text_kind kind, rl_lm *lm, const void *text, size_t n)
{
    rl_text_op *t = rl_op_new(run, sizeof *t, text_work, text_destroy);

    if (!t)
        return NULL;
    t->kind = kind;
    t->lm = lm ? rl_lm_ref(lm) : NULL;
    t->n = n;
    rl_buf_init(&t->out, RENDER_MAX);
    /* A copy: the guest is parked, but its run may end, and its memory go, while a helper still
     * reads. */
    t->text = rl_alloc(n + 1);
    if (!t->text) {
        rl_op_unref(&t->op);
        return NULL;
    }
    if (n > 0)
        memcpy(t->text, text, n);
    return t;
}

/* Only encodes may run here: they need little stack and their time grows with the text alone. */
int64_t rl_text_run(rl_call *c, rl_text_op *op, int64_t (*then)(rl_call *c))
{
    int64_t r;

    if (!op || op->kind != RL_TEXT_ENCODE || op->n > RL_TEXT_INLINE)
        return rl_op_wait(c, op ? &op->op : NULL, then);
    /* The same work and the same `then` as behind a helper, so no row has two ways to answer. */
    text_work(&op->op);
    c->state = op;
    r = then(c);
    rl_op_unref(&op->op);
    return r;
}

/* Guest memory may be unaligned. */
void *rl_items_dup(const rl_arg *a)
{
    void *copy = rl_alloc_array((size_t)a->n + 1, sizeof(uint32_t));

    if (copy && a->n > 0)
        memcpy(copy, a->in, (size_t)a->n * sizeof(uint32_t));
    return copy;
}

/* Decoding looks bytes up: fast enough for the worker at any length that fits guest memory. */
int64_t rl_decode_call(rl_call *c, const rl_lm *lm, uint32_t ids, uint32_t out, uint32_t flags)
{
    uint32_t *list = rl_items_dup(&c->arg[ids]);
    rl_buf b;
    realm_error err;
    realm_status st;
    int64_t r;

    if (!list)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the ids");
    rl_buf_init(&b, RENDER_MAX);
    st = rl_decode(rl_lm_vocab(lm), list, (size_t)c->arg[ids].n, flags, &b, &err);
    r = st == REALM_OK ? rl_call_put(c, out, b.data, b.len) : rl_call_fail_err(c, &err);
    rl_buf_deinit(&b);
    rl_free(list);
    return r;
}
