/* Module realm: models and text. */
#include "guest/abi.h"
#include "guest/text.h"

#include "guest/runtime.h"

#include "base/json.h"

#include "store/store.h"

#define INFO_MAX ((size_t)256 << 10)
#define LIST_MAX ((size_t)4 << 20)
enum { ENCODE_FLAGS = 3, DECODE_FLAGS = 1 };

/* ---- models ---------------------------------------------------------------------------------- */

/* Gives a model a handle, taking the reference. */
static int64_t add_model(rl_call *c, rl_lm *lm)
{
    uint32_t number;
    rl_handle *row = rl_handle_new(&c->run->handles, &number);

    if (!row) {
        rl_lm_unref(lm);
        return rl_call_fail(c, REALM_EQUOTA, "%u handles are open: close one first",
                            RL_MAX_HANDLES);
    }
    row->kind = RL_HANDLE_MODEL;
    row->lm = lm;
    return number;
}

/* The row is taken when the model is there, not when it was asked for: a failed load costs none. */
static int64_t opened(rl_call *c)
{
    rl_open_op *op = c->state;

    if (op->op.status != REALM_OK)
        return rl_call_fail_err(c, &op->op.err);
    return add_model(c, rl_open_take(op));
}

/* The run's own model is open already and costs only a handle; another one a helper opens. */
int64_t rl_abi_realm_model_open(rl_call *c)
{
    const char *name = (const char *)c->arg[0].in;
    rl_env_model *own;
    realm_error err;
    rl_open_op *op;
    int64_t r;

    if (c->arg[0].n == 0) {
        r = rl_env_get(c, 0, &own);
        return r != 0 ? r : add_model(c, rl_lm_ref(own->lm));
    }
    if (rl_store_check_name(name, c->arg[0].n, &err) != REALM_OK)
        return rl_call_fail_err(c, &err);
    op = rl_open_new(c->run, name, c->arg[0].n);
    return rl_op_wait(c, op ? &op->op : NULL, opened);
}

int64_t rl_abi_realm_model_close(rl_call *c)
{
    rl_lm *lm;
    int64_t r = rl_model_get(c, c->arg[0].u, &lm);

    if (r != 0)
        return r;
    rl_handle_free(rl_handle_get(&c->run->handles, c->arg[0].u, RL_HANDLE_MODEL));
    return 0;
}

static void put_id(rl_json *j, const char *key, uint32_t id)
{
    if (id == RL_NO_TOKEN)
        rl_json_null(j, key);
    else
        rl_json_uint(j, key, id);
}

/* What a program needs to drive the model itself: sizes, the context it is served with, special
 * ids. */
static void put_info(rl_buf *b, const rl_lm *lm)
{
    const rl_model_info *info = rl_model_get_info(rl_lm_model(lm));
    const rl_vocab_info *vocab = rl_vocab_get_info(rl_lm_vocab(lm));
    realm_error err;
    rl_json j = rl_json_on(b);
    uint32_t i;

    rl_json_object(&j, NULL);
    rl_json_string(&j, "architecture", info->arch);
    rl_json_string(&j, "sha256", info->sha256);
    rl_json_uint(&j, "parameters", info->n_params);
    rl_json_uint(&j, "bytes", info->weight_bytes);
    rl_json_uint(&j, "layers", info->n_layers);
    rl_json_uint(&j, "embedding", info->n_embd);
    rl_json_uint(&j, "vocabulary", info->n_vocab);
    rl_json_uint(&j, "context", rl_lm_n_ctx(lm));
    put_id(&j, "bos_id", vocab->bos);
    put_id(&j, "eos_id", vocab->eos);
    put_id(&j, "unk_id", vocab->unk);
    rl_json_array(&j, "eog_ids");
    for (i = 0; i < vocab->n_eog; i++)
        rl_json_uint(&j, NULL, vocab->eog[i]);
    rl_json_end_array(&j);
    rl_json_bool(&j, "chat", rl_lm_chat(lm, &err) != NULL);
    rl_json_end_object(&j);
}

int64_t rl_abi_realm_model_info(rl_call *c)
{
    rl_lm *lm;
    rl_buf b;
    int64_t r = rl_model_get(c, c->arg[0].u, &lm);

    if (r != 0)
        return r;
    rl_buf_init(&b, INFO_MAX);
    put_info(&b, lm);
    if (b.failed)
        r = rl_call_fail(c, REALM_ENOMEM, "no memory for the description");
    /* An empty output asks for the length. */
    else if (c->arg[1].n == 0)
        r = (int64_t)b.len;
    else
        r = rl_call_put(c, 1, b.data, b.len);
    rl_buf_deinit(&b);
    return r;
}

/* ---- model_list ------------------------------------------------------------------------------ */

typedef struct list_op {
    rl_op op;
    rl_buf json;
} list_op;

static void list_destroy(rl_op *base)
{
    rl_buf_deinit(&((list_op *)base)->json);
}

/* Helper thread: the registry is a file. */
static void list_work(rl_op *base)
{
    const rl_runtime_opts *o = &base->run->rt->opts;
    rl_buf *json = &((list_op *)base)->json;

    base->status = o->list ? o->list(o->ctx, json, &base->err) : rl_buf_adds(json, "[]");
    if (base->status == REALM_OK && json->failed)
        base->status = realm_fail(&base->err, REALM_ENOMEM, "no memory for the list");
}

static int64_t listed(rl_call *c)
{
    const list_op *op = c->state;

    if (op->op.status != REALM_OK)
        return rl_call_fail_err(c, &op->op.err);
    return c->arg[0].n == 0 ? (int64_t)op->json.len
                            : rl_call_put(c, 0, op->json.data, op->json.len);
}

int64_t rl_abi_realm_model_list(rl_call *c)
{
    list_op *op = rl_op_new(c->run, sizeof *op, list_work, list_destroy);

    if (op)
        rl_buf_init(&op->json, LIST_MAX);
    return rl_op_wait(c, op ? &op->op : NULL, listed);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Unknown flags are refused, so that they can mean something later. */
static int64_t check_flags(rl_call *c, uint64_t flags, uint64_t known)
{
    if (flags & ~known)
        return rl_call_fail(c, REALM_EINVAL, "%s: unknown flags %llu", c->row->name,
                            (unsigned long long)flags);
    return 0;
}

/* The ids go to the output pair arg[2], of encode and chat_tokens alike. */
static int64_t ids_ready(rl_call *c)
{
    const rl_text_op *t = c->state;

    if (t->op.status != REALM_OK)
        return rl_call_fail_err(c, &t->op.err);
    return rl_call_put(c, 2, t->ids, t->n_ids);
}

/* A rendered chat, for display. */
static int64_t text_ready(rl_call *c)
{
    const rl_text_op *t = c->state;

    if (t->op.status != REALM_OK)
        return rl_call_fail_err(c, &t->op.err);
    return rl_call_put(c, 2, t->out.data, t->out.len);
}

/* Begins a text job over arg[1] with the model of arg[0]. */
static int64_t run_text(rl_call *c, rl_text_kind kind, uint32_t flags, int64_t (*then)(rl_call *c))
{
    rl_lm *lm;
    rl_text_op *t;
    int64_t r = rl_model_get(c, c->arg[0].u, &lm);

    if (r != 0)
        return r;
    t = rl_text_new(c->run, kind, lm, c->arg[1].in, c->arg[1].n);
    if (t)
        t->flags = flags;
    return rl_text_run(c, t, then);
}

int64_t rl_abi_realm_encode(rl_call *c)
{
    int64_t r = check_flags(c, c->arg[3].u, ENCODE_FLAGS);

    return r != 0 ? r : run_text(c, RL_TEXT_ENCODE, (uint32_t)c->arg[3].u, ids_ready);
}

int64_t rl_abi_realm_chat_tokens(rl_call *c)
{
    return run_text(c, RL_TEXT_PROMPT, 0, ids_ready);
}

int64_t rl_abi_realm_chat_render(rl_call *c)
{
    return run_text(c, RL_TEXT_CHAT_RENDER, 0, text_ready);
}

int64_t rl_abi_realm_decode(rl_call *c)
{
    rl_lm *lm;
    int64_t r = rl_model_get(c, c->arg[0].u, &lm);

    if (r == 0)
        r = check_flags(c, c->arg[3].u, DECODE_FLAGS);
    return r != 0 ? r : rl_decode_call(c, lm, 1, 2, (uint32_t)c->arg[3].u);
}
