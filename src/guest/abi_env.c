/* Module env: the classic calls (but for the layers, abi_layers.c). Model id 0 is the run's own. */
#include "guest/abi.h"
#include "guest/text.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/utf8.h"

#include "store/store.h"

#include <math.h>
#include <string.h>

#define INFO_MAX ((size_t)64 << 10)

/* ---- options --------------------------------------------------------------------------------- */

/* The record of realm_host_generate, as the guest lays it out. */
enum {
    OPT_MAX_TOKENS = 0,
    OPT_TEMPERATURE = 4,
    OPT_TOP_P = 8,
    OPT_TOP_K = 12,
    OPT_REPETITION = 16,
    OPT_SEED = 20,
    OPT_N_STOPS = 24,
    OPT_STOPS = 28,
    OPT_STOPS_WIDE = 32,
    OPT_BYTES = 32,
    OPT_BYTES_WIDE = 40,
};

/* Guest memory may be unaligned: everything is copied out of it byte by byte. */
static uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static float get_f32(const uint8_t *p)
{
    float v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* What a call without a record gets. The seed is 0, not a drawn one: the same call gives the same
 * text, as in the system these programs were written for. */
static void default_options(rl_gen *g)
{
    g->max_tokens = RL_DEFAULT_TOKENS;
    g->params.temperature = 0.7f;
    g->params.top_p = 0.9f;
    g->params.top_k = 40;
    g->params.repetition_penalty = 1.1f;
    g->params.has_seed = true;
}

/* The list a record points to: checked like any other slice, then copied, so that the guest cannot
 * change it while the engine reads. */
static int64_t read_stop_ids(rl_call *c, rl_gen *g, const uint8_t *rec)
{
    uint32_t n = rec[OPT_N_STOPS], i;
    uint64_t at;
    const uint8_t *ids;

    if (n == 0)
        return 0;
    if (c->wide)
        memcpy(&at, rec + OPT_STOPS_WIDE, sizeof at);
    else
        at = get_u32(rec + OPT_STOPS);
    ids = rl_call_at(c, at, (uint64_t)n * 4);
    if (!ids)
        return rl_call_fail(c, REALM_EINVAL, "stop_tokens_ptr: %u ids are not inside the memory",
                            n);
    for (i = 0; i < n; i++)
        g->stop_ids[i] = get_u32(ids + 4u * i);
    g->n_stop_ids = n;
    return 0;
}

/* A record is taken as it stands: zeros mean off, not default. Ranges are the sampler's to check.
 */
static int64_t read_options(rl_call *c, rl_gen *g, uint64_t at)
{
    const uint8_t *rec = rl_call_at(c, at, c->wide ? OPT_BYTES_WIDE : OPT_BYTES);

    if (!rec)
        return rl_call_fail(c, REALM_EINVAL, "options_ptr: the record is not inside the memory");
    g->max_tokens = get_u32(rec + OPT_MAX_TOKENS);
    g->params.temperature = get_f32(rec + OPT_TEMPERATURE);
    g->params.top_p = get_f32(rec + OPT_TOP_P);
    g->params.top_k = get_u32(rec + OPT_TOP_K);
    g->params.repetition_penalty = get_f32(rec + OPT_REPETITION);
    g->params.seed = get_u32(rec + OPT_SEED);
    g->params.has_seed = true;
    if (g->max_tokens == 0)
        return rl_call_fail(c, REALM_EINVAL, "max_tokens is 0: ask for at least one token");
    return read_stop_ids(c, g, rec);
}

/* ---- generate -------------------------------------------------------------------------------- */

/* A completion under way: what came so far is kept here, for nothing is written before the end. */
typedef struct completion {
    rl_gstream *stream; /* owned */
    char *text;         /* owned; [cap] */
    size_t n, cap;
    uint32_t out; /* argument that takes the text */
} completion;

/* Cancels what still runs. */
static void completion_free(completion *g)
{
    rl_gstream_close(g->stream);
    rl_free(g->text);
    rl_free(g);
}

static void abandon_completion(rl_call *c)
{
    completion_free(c->state);
}

/* Text is collected in growing steps: the guest's capacity says little about what will come. */
static bool grow_text(completion *g, uint64_t max)
{
    size_t cap = g->cap ? g->cap * 2 : 1024;
    char *text;

    if (g->cap - g->n >= 256 || g->cap == max)
        return true;
    if (cap > max)
        cap = (size_t)max;
    text = rl_realloc(g->text, cap);
    if (!text)
        return false;
    g->text = text;
    g->cap = cap;
    return true;
}

/* The end: the first and only write to guest memory of this call. */
static int64_t finish_completion(rl_call *c, completion *g)
{
    int64_t n = rl_call_put(c, g->out, g->text, g->n);

    if (n >= 0 && g->n < c->arg[g->out].n)
        c->mem[c->arg[g->out].u + g->n] = 0;
    return n;
}

/* Drains the stream each time the run is woken, so that the engine never pauses for us; answers
 * once the stream has ended. */
static int64_t resume_completion(rl_call *c)
{
    completion *g = c->state;
    int64_t r;

    do {
        if (!grow_text(g, c->arg[g->out].n)) {
            r = rl_call_fail(c, REALM_ENOMEM, "no memory for the text");
            break;
        }
        r = rl_gstream_read(c, g->stream, g->text + g->n, g->cap - g->n);
        g->n += r > 0 ? (size_t)r : 0;
    } while (r > 0);
    if (r == RL_PARKED)
        return r;
    if (r == 0)
        r = finish_completion(c, g);
    completion_free(g);
    return r;
}

/* The prompt is encoded: start. */
static int64_t start_completion(rl_call *c)
{
    rl_text_op *t = c->state;
    completion *g;
    int64_t r;

    if (t->op.status != REALM_OK)
        return rl_call_fail_err(c, &t->op.err);
    if (t->n_ids == 0)
        return rl_call_fail(c, REALM_EINVAL, "the prompt has no tokens");
    g = rl_alloc(sizeof *g);
    if (!g)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for a completion");
    g->out = c->row->args[2] == 'p' ? 3 : 2;
    t->gen.ids = t->ids;
    t->gen.n_ids = (uint32_t)t->n_ids;
    t->ids = NULL;
    r = rl_gstream_start(c, t->lm, &t->gen, &g->stream);
    if (r != 0) {
        rl_free(g);
        return r;
    }
    return rl_call_park(c, resume_completion, abandon_completion, g, 0);
}

/* Both forms: `out` is the argument that takes the text, options the record's address or 0. What
 * can be refused is refused before anything is encoded. */
static int64_t generate(rl_call *c, uint32_t out, uint64_t options)
{
    rl_env_model *m;
    rl_text_op *t;
    int64_t r = rl_env_get(c, c->arg[0].u, &m);

    if (r != 0)
        return r;
    if (c->arg[out].n == 0)
        return rl_call_fail(c, REALM_ESPACE, "the output buffer has no room");
    t = rl_text_new(c->run, RL_TEXT_ENCODE, m->lm, c->arg[1].in, c->arg[1].n);
    if (!t)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the prompt");
    t->flags = RL_ENCODE_ADD_SPECIAL | RL_ENCODE_PARSE_SPECIAL;
    if (options)
        r = read_options(c, &t->gen, options);
    else
        default_options(&t->gen);
    if (r != 0) {
        rl_op_unref(&t->op);
        return r;
    }
    t->gen.max_bytes = c->arg[out].n;
    return rl_text_run(c, t, start_completion);
}

int64_t rl_abi_env_realm_host_generate(rl_call *c)
{
    return generate(c, 2, 0);
}

int64_t rl_abi_env_realm_host_generate_opts(rl_call *c)
{
    return generate(c, 3, c->arg[2].u);
}

/* ---- models ---------------------------------------------------------------------------------- */

/* The helper has opened the model, or knows why not. */
static int64_t opened(rl_call *c)
{
    rl_open_op *op = c->state;

    if (op->op.status != REALM_OK)
        return rl_call_fail_err(c, &op->op.err);
    return rl_env_add(c, rl_open_take(op));
}

int64_t rl_abi_env_realm_host_load_model_by_name(rl_call *c)
{
    const char *name = (const char *)c->arg[0].in;
    realm_error err;
    rl_open_op *op;

    if (rl_store_check_name(name, c->arg[0].n, &err) != REALM_OK)
        return rl_call_fail_err(c, &err);
    op = rl_open_new(c->run, name, c->arg[0].n);
    return rl_op_wait(c, op ? &op->op : NULL, opened);
}

/* Id 0 may be given back too; the shared model stays for others. */
int64_t rl_abi_env_realm_remove_model(rl_call *c)
{
    rl_env_model *m;
    int64_t r = rl_env_get(c, c->arg[0].u, &m);

    if (r != 0)
        return r;
    c->run->n_seqs -= m->layer_seq != NULL;
    rl_env_drop(m);
    return 0;
}

/* Both pointers are checked before either is written. */
int64_t rl_abi_env_realm_get_model_info(rl_call *c)
{
    rl_env_model *m;
    const rl_model_info *info;
    int64_t r = rl_env_get(c, c->arg[0].u, &m);
    uint8_t *count, *bytes;

    if (r != 0)
        return r;
    count = rl_call_at(c, c->arg[1].u, sizeof info->n_tensors);
    bytes = rl_call_at(c, c->arg[2].u, sizeof info->weight_bytes);
    if (!count || !bytes)
        return rl_call_fail(c, REALM_EINVAL, "an output pointer is not inside the memory");
    info = rl_model_get_info(rl_lm_model(m->lm));
    memcpy(count, &info->n_tensors, sizeof info->n_tensors);
    memcpy(bytes, &info->weight_bytes, sizeof info->weight_bytes);
    return 0;
}

/* Keys as in the configuration files of the system these programs come from. */
static void put_metadata(rl_buf *b, const rl_model_info *info, uint32_t n_tokens)
{
    rl_json j = rl_json_on(b);

    rl_json_object(&j, NULL);
    rl_json_object(&j, "config");
    rl_json_uint(&j, "vocab_size", info->n_vocab);
    rl_json_uint(&j, "hidden_size", info->n_embd);
    rl_json_uint(&j, "num_layers", info->n_layers);
    rl_json_uint(&j, "num_heads", info->n_heads);
    rl_json_uint(&j, "num_kv_heads", info->n_kv_heads);
    rl_json_uint(&j, "head_dim", info->head_dim);
    rl_json_uint(&j, "intermediate_size", info->n_ff);
    rl_json_uint(&j, "max_seq_len", info->n_ctx);
    rl_json_double(&j, "rope_theta", (double)info->rope_theta, 9);
    rl_json_double(&j, "rms_norm_eps", (double)info->rms_eps, 6);
    rl_json_end_object(&j);
    rl_json_bool(&j, "has_tokenizer", n_tokens > 0);
    rl_json_string(&j, "architecture", info->arch);
    rl_json_uint(&j, "parameters", info->n_params);
    rl_json_end_object(&j);
}

int64_t rl_abi_env_realm_get_model_metadata(rl_call *c)
{
    rl_env_model *m;
    rl_buf b;
    int64_t r = rl_env_get(c, c->arg[0].u, &m);

    if (r != 0)
        return r;
    rl_buf_init(&b, INFO_MAX);
    put_metadata(&b, rl_model_get_info(rl_lm_model(m->lm)),
                 rl_vocab_get_info(rl_lm_vocab(m->lm))->n_tokens);
    r = b.failed ? rl_call_fail(c, REALM_ENOMEM, "no memory for the metadata")
                 : rl_call_put(c, 1, b.data, b.len);
    rl_buf_deinit(&b);
    return r;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* The ids are there: answers their number, though the capacity was given in bytes. */
static int64_t encoded(rl_call *c)
{
    rl_text_op *t = c->state;
    int64_t n;

    if (t->op.status != REALM_OK)
        return rl_call_fail_err(c, &t->op.err);
    n = rl_call_put(c, 2, t->ids, (uint64_t)t->n_ids * sizeof *t->ids); /* capacity is in bytes */
    return n < 0 ? n : (int64_t)t->n_ids;
}

int64_t rl_abi_env_realm_encode_tokens(rl_call *c)
{
    rl_env_model *m;
    rl_text_op *t;
    int64_t r = rl_env_get(c, c->arg[0].u, &m);

    if (r != 0)
        return r;
    t = rl_text_new(c->run, RL_TEXT_ENCODE, m->lm, c->arg[1].in, c->arg[1].n);
    if (t)
        t->flags = RL_ENCODE_ADD_SPECIAL | RL_ENCODE_PARSE_SPECIAL;
    return rl_text_run(c, t, encoded);
}

int64_t rl_abi_env_realm_decode_tokens(rl_call *c)
{
    rl_env_model *m;
    int64_t r = rl_env_get(c, c->arg[0].u, &m);

    return r != 0 ? r : rl_decode_call(c, m->lm, 1, 2, 0);
}

/* ---- words ----------------------------------------------------------------------------------- */

/* The text stays in guest memory until it is sent: the guest is parked meanwhile. */
int64_t rl_abi_env_realm_stream_token(rl_call *c)
{
    return rl_emit(c, RL_REPLY_TEXT, c->arg[0].in, c->arg[0].n, NULL, 0);
}

int64_t rl_abi_env_wasm_log(rl_call *c)
{
    return rl_log_line(c, "", c->arg[0].in, c->arg[0].n);
}

/* The message is AssemblyScript's own string: UTF-16, its length in bytes 4 before it. */
static void abort_text(const rl_call *c, uint64_t at, char *out, size_t cap)
{
    const uint8_t *len_at = at >= 4 ? rl_call_at(c, at - 4, 4) : NULL;
    uint32_t bytes = len_at ? get_u32(len_at) : 0, i;
    const uint8_t *p = rl_call_at(c, at, bytes);
    size_t n = 0;

    for (i = 0; p && i + 1 < bytes && n + 5 < cap; i += 2) {
        uint32_t unit = (uint32_t)p[i] | (uint32_t)p[i + 1] << 8;

        n += (size_t)rl_utf8_put(unit >= 0xd800 && unit < 0xe000 ? 0xfffd : unit, out + n);
    }
    out[n] = 0;
}

/* AssemblyScript calls it for failed assertions and array bounds: the same as a trap. */
int64_t rl_abi_env_abort(rl_call *c)
{
    char text[160];

    abort_text(c, c->arg[0].u, text, sizeof text);
    c->run->result.trapped = true;
    return rl_call_end(c, REALM_EINVAL, "abort called at line %u, column %u%s%s",
                       (unsigned)c->arg[2].u, (unsigned)c->arg[3].u, text[0] ? ": " : "", text);
}

/* ---- not offered ----------------------------------------------------------------------------- */

static int64_t not_offered(rl_call *c)
{
    return rl_call_fail(c, REALM_EUNSUPPORTED, "%s is not offered: weights stay in the host",
                        c->row->name);
}

int64_t rl_abi_env_realm_get_tensor(rl_call *c)
{
    return not_offered(c);
}

int64_t rl_abi_env_realm_store_model(rl_call *c)
{
    return not_offered(c);
}

int64_t rl_abi_env_memory64_load_layer(rl_call *c)
{
    return not_offered(c);
}

int64_t rl_abi_env_memory64_read(rl_call *c)
{
    return not_offered(c);
}
