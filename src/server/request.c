/* OpenAI's requests as Requests of the guest ABI. What is not offered yet is refused by its name;
 * what OpenAI does not know is ignored, as its own server does. */
#include "server/internal.h"

#include <jansson.h>
#include <string.h>

#define DEPTH_MAX   64u
#define REQUEST_MAX ((size_t)8 << 20)
#define STOPS_MAX   4u
#define TOP_MAX     20
#define TOKENS      2048 /* when the request says nothing */

typedef struct reading {
    const json_t *root;
    json_t *params;     /* of the Request; owned by it */
    const char **param; /* which one is wrong */
    realm_error *err;
} reading;

static realm_status wrong(const reading *r, const char *param, const char *what)
{
    *r->param = param;
    return realm_fail(r->err, REALM_EINVAL, "%s %s", param, what);
}

static realm_status unsupported(const reading *r, const char *param)
{
    *r->param = param;
    return realm_fail(r->err, REALM_EUNSUPPORTED, "%s is not offered", param);
}

/* A member; null counts as absent. */
static json_t *member(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);

    return json_is_null(v) ? NULL : v;
}

static realm_status no_memory(const reading *r)
{
    return realm_fail(r->err, REALM_ENOMEM, "no memory for the request");
}

/* ---- parameters ------------------------------------------------------------------------------ */

static realm_status number(const reading *r, const char *key, double least, double most)
{
    json_t *v = member(r->root, key);

    if (!v)
        return REALM_OK;
    if (!json_is_number(v) || !(json_number_value(v) >= least && json_number_value(v) <= most))
        return wrong(r, key, "is out of range");
    return json_object_set(r->params, key, v) == 0 ? REALM_OK : no_memory(r);
}

/* Both names; the newer one counts. */
static realm_status max_tokens(const reading *r)
{
    const char *key =
        member(r->root, "max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
    json_t *v = member(r->root, key);

    if (!v)
        return json_object_set_new(r->params, "max_tokens", json_integer(TOKENS)) == 0
                   ? REALM_OK
                   : no_memory(r);
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > INT32_MAX)
        return wrong(r, key, "must be a whole number from 1 on");
    return json_object_set(r->params, "max_tokens", v) == 0 ? REALM_OK : no_memory(r);
}

static realm_status stop(const reading *r)
{
    json_t *v = member(r->root, "stop");

    if (!v)
        return REALM_OK;
    if (json_array_size(v) > STOPS_MAX)
        return wrong(r, "stop", "may have 4 texts");
    return json_object_set(r->params, "stop", v) == 0 ? REALM_OK : no_memory(r);
}

static realm_status one_choice(const reading *r)
{
    static const char *const counts[] = { "n", "best_of" };

    for (size_t i = 0; i < 2; i++) {
        const json_t *v = member(r->root, counts[i]);

        if (v && !json_is_integer(v))
            return wrong(r, counts[i], "must be a whole number");
        if (v && json_integer_value(v) != 1)
            return unsupported(r, counts[i]);
    }
    return REALM_OK;
}

/* {"type": "text" | "json_object" | "json_schema", "json_schema": {"schema": ...}} */
static realm_status response_format(const reading *r)
{
    const json_t *v = member(r->root, "response_format");
    const char *type = json_string_value(json_object_get(v, "type"));
    json_t *schema = NULL;

    if (!v || (type && strcmp(type, "text") == 0))
        return REALM_OK;
    if (type && strcmp(type, "json_object") == 0)
        schema = json_pack("{s:s}", "type", "object");
    else if (type && strcmp(type, "json_schema") == 0)
        schema = json_incref(member(member(v, "json_schema"), "schema"));
    if (!json_is_object(schema)) {
        json_decref(schema);
        return wrong(r, "response_format",
                     "must be text, json_object, or json_schema with a schema");
    }
    return json_object_set_new(r->params, "json_schema", schema) == 0 ? REALM_OK : no_memory(r);
}

/* Ours: texts inside a regular expression or a Lark grammar. */
static realm_status grammars(const reading *r)
{
    static const char *const keys[] = { "regex", "lark" };

    for (size_t i = 0; i < 2; i++) {
        json_t *v = member(r->root, keys[i]);

        if (v && json_object_set(r->params, keys[i], v) != 0)
            return no_memory(r);
    }
    return REALM_OK;
}

static realm_status logprobs(const reading *r, rl_openai *out)
{
    const json_t *on = member(r->root, "logprobs");
    json_t *top = member(r->root, "top_logprobs");

    if (on && !json_is_boolean(on))
        return out->chat ? wrong(r, "logprobs", "must be true or false")
                         : unsupported(r, "logprobs");
    out->logprobs = json_is_true(on);
    if (top && (!out->logprobs || !json_is_integer(top) || json_integer_value(top) < 0 ||
                json_integer_value(top) > TOP_MAX))
        return wrong(r, "top_logprobs", "must be from 0 to 20, beside logprobs: true");
    if (out->logprobs && json_object_set_new(r->params, "logprobs", json_true()) != 0)
        return no_memory(r);
    if (top && json_object_set(r->params, "top_logprobs", top) != 0)
        return no_memory(r);
    return REALM_OK;
}

/* OpenAI's defaults where they differ from a Request's: nothing is cut off the distribution. */
static realm_status defaults(const reading *r)
{
    bool ok = json_object_get(r->params, "temperature") ||
              json_object_set_new(r->params, "temperature", json_real(1)) == 0;

    ok = ok && (json_object_get(r->params, "top_p") ||
                json_object_set_new(r->params, "top_p", json_real(1)) == 0);
    ok = ok && (json_object_get(r->params, "top_k") ||
                json_object_set_new(r->params, "top_k", json_integer(0)) == 0);
    return ok ? REALM_OK : no_memory(r);
}

static realm_status read_params(const reading *r, rl_openai *out)
{
    static const struct {
        const char *key;
        double least, most;
    } rows[] = { { "temperature", 0, 2 },
                 { "top_p", 0, 1 },
                 { "presence_penalty", -2, 2 },
                 { "frequency_penalty", -2, 2 },
                 { "repetition_penalty", 0, 100 },
                 { "top_k", 0, 1e6 },
                 { "min_p", 0, 0.99 },
                 { "seed", -9.3e18, 9.2e18 } };
    json_t *bias = member(r->root, "logit_bias");
    realm_status st = REALM_OK;

    for (size_t i = 0; i < sizeof rows / sizeof *rows && st == REALM_OK; i++)
        st = number(r, rows[i].key, rows[i].least, rows[i].most);
    if (st == REALM_OK && bias && json_object_set(r->params, "logit_bias", bias) != 0)
        st = no_memory(r);
    if (st == REALM_OK)
        st = max_tokens(r);
    if (st == REALM_OK)
        st = stop(r);
    if (st == REALM_OK)
        st = one_choice(r);
    if (st == REALM_OK)
        st = response_format(r);
    if (st == REALM_OK)
        st = grammars(r);
    if (st == REALM_OK)
        st = logprobs(r, out);
    return st == REALM_OK ? defaults(r) : st;
}

/* ---- what it is about ------------------------------------------------------------------------ */

/* A list of parts as one text: templates take texts. */
static realm_status join_parts(const reading *r, json_t *message, const json_t *parts)
{
    realm_status st = REALM_OK;
    json_t *part;
    rl_buf text;
    size_t i;

    rl_buf_init(&text, REQUEST_MAX);
    json_array_foreach(parts, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *t = json_object_get(part, "text");

        if (st != REALM_OK)
            break;
        if (!type || strcmp(type, "text") != 0 || !json_is_string(t))
            st = unsupported(r, "messages: a part that is no text");
        else
            (void)rl_buf_add(&text, json_string_value(t), json_string_length(t));
    }
    if (st == REALM_OK &&
        (text.failed || json_object_set_new(message, "content",
                                            json_stringn(text.data ? text.data : "", text.len))))
        st = no_memory(r);
    rl_buf_deinit(&text);
    return st;
}

static realm_status read_message(const reading *r, json_t *list, const json_t *m)
{
    json_t *copy = json_is_object(m) ? json_copy((json_t *)(uintptr_t)m) : NULL;
    const json_t *content = member(m, "content");
    realm_status st = REALM_OK;

    if (!copy || !json_is_string(json_object_get(m, "role"))) {
        json_decref(copy);
        return wrong(r, "messages", "must be objects with a role");
    }
    if (json_is_array(content))
        st = join_parts(r, copy, content);
    else if (content && !json_is_string(content))
        st = wrong(r, "messages", "must have texts as content");
    if (json_array_append_new(list, copy) != 0 && st == REALM_OK)
        st = no_memory(r);
    return st;
}

static realm_status read_messages(const reading *r, json_t *request)
{
    const json_t *messages = member(r->root, "messages"), *m;
    json_t *list = json_array();
    realm_status st = REALM_OK;
    size_t i;

    if (!json_is_array(messages) || json_array_size(messages) == 0)
        st = wrong(r, "messages", "must be a list of at least one message");
    else if (json_array_size(member(r->root, "tools")) > 0)
        st = unsupported(r, "tools");
    json_array_foreach(messages, i, m)
    {
        if (st == REALM_OK)
            st = read_message(r, list, m);
    }
    if (json_object_set_new(request, "messages", list) != 0 && st == REALM_OK)
        st = no_memory(r);
    return st;
}

/* A text, or the ids of one; lists of several prompts are several choices. */
static realm_status read_prompt(const reading *r, json_t *request)
{
    json_t *prompt = member(r->root, "prompt");
    bool ids = json_is_array(prompt) && json_is_integer(json_array_get(prompt, 0));

    if (json_is_array(prompt) && json_array_size(prompt) == 1 && !ids) {
        prompt = json_array_get(prompt, 0);
        ids = json_is_array(prompt) && json_is_integer(json_array_get(prompt, 0));
    }
    if (json_is_true(member(r->root, "echo")))
        return unsupported(r, "echo");
    if (json_is_array(prompt) && !ids)
        return unsupported(r, "prompt: a list of several");
    if (!ids && !json_is_string(prompt))
        return wrong(r, "prompt", "must be a text or a list of token ids");
    return json_object_set(request, ids ? "ids" : "prompt", prompt) == 0 ? REALM_OK : no_memory(r);
}

static realm_status read_model(const reading *r, rl_openai *out)
{
    const json_t *v = member(r->root, "model");
    size_t n = json_string_length(v);

    if (!json_is_string(v) || n == 0 || n > RL_NAME_MAX || strlen(json_string_value(v)) != n)
        return wrong(r, "model", "must be the name of a model");
    memcpy(out->model, json_string_value(v), n + 1);
    return REALM_OK;
}

static realm_status read_stream(const reading *r, rl_openai *out)
{
    const json_t *v = member(r->root, "stream"), *opts = member(r->root, "stream_options");

    if (v && !json_is_boolean(v))
        return wrong(r, "stream", "must be true or false");
    out->stream = json_is_true(v);
    out->include_usage = json_is_true(member(opts, "include_usage"));
    return REALM_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* jansson recurses; so deep a body is no request. Brackets inside of texts do not count. */
static bool is_shallow(const char *p, size_t n)
{
    unsigned depth = 0;
    bool text = false;

    for (size_t i = 0; i < n; i++) {
        if (text && p[i] == '\\')
            i++;
        else if (p[i] == '"')
            text = !text;
        else if (!text && (p[i] == '[' || p[i] == '{') && ++depth > DEPTH_MAX)
            return false;
        else if (!text && (p[i] == ']' || p[i] == '}') && depth > 0)
            depth--;
    }
    return true;
}

static int add_piece(const char *piece, size_t n, void *ctx)
{
    return rl_buf_add(ctx, piece, n) == REALM_OK ? 0 : -1;
}

static realm_status translate(const reading *r, json_t *request, rl_openai *out)
{
    realm_status st = read_model(r, out);

    if (st == REALM_OK)
        st = read_stream(r, out);
    if (st == REALM_OK)
        st = out->chat ? read_messages(r, request) : read_prompt(r, request);
    if (st == REALM_OK)
        st = read_params(r, out);
    if (st == REALM_OK && json_dump_callback(request, add_piece, &out->request, JSON_COMPACT) != 0)
        st = no_memory(r);
    return st;
}

realm_status rl_openai_read(rl_openai *out, bool chat, const char *body, size_t n,
                            const char **param, realm_error *err)
{
    json_t *request = json_object(), *params = json_object(), *root;
    json_error_t why;
    realm_status st;

    *out = (rl_openai){ .chat = chat };
    *param = NULL;
    rl_buf_init(&out->request, REQUEST_MAX);
    if (memchr(body, 0, n) || !is_shallow(body, n)) {
        json_decref(request);
        json_decref(params);
        return realm_fail(err, REALM_EINVAL, "the body has a NUL, or is nested over %u deep",
                          DEPTH_MAX);
    }
    root = json_loadb(body, n, 0, &why);
    (void)json_object_set_new(request, "params", params);
    if (json_is_object(root))
        st = translate(&(reading){ root, params, param, err }, request, out);
    else
        st = realm_fail(err, REALM_EINVAL, "the body is no JSON object: %.120s (line %d)",
                        root ? "another value" : why.text, root ? 1 : why.line);
    json_decref(root);
    json_decref(request);
    if (st != REALM_OK)
        rl_openai_deinit(out);
    return st;
}

void rl_openai_deinit(rl_openai *o)
{
    rl_buf_deinit(&o->request);
}
