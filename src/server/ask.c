#include "server/ask.h"

#include "base/dump.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 64u

_Static_assert(RL_ASK_NAME == 2 * RL_NAME_MAX + 1, "a program, '@' and a model");

/* ---- for the readers ------------------------------------------------------------------------- */

json_t *rl_member(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);

    return json_is_null(v) ? NULL : v;
}

static void name_param(const rl_reading *r, const char *param)
{
    (void)snprintf(r->why->param, sizeof r->why->param, "%s", param);
}

realm_status rl_ask_wrong(const rl_reading *r, const char *param, const char *what)
{
    name_param(r, param);
    return realm_fail(r->err, REALM_EINVAL, "%s %s", param, what);
}

realm_status rl_ask_unsupported(const rl_reading *r, const char *param)
{
    name_param(r, param);
    return realm_fail(r->err, REALM_EUNSUPPORTED, "%s is not offered", param);
}

realm_status rl_ask_no_memory(const rl_reading *r)
{
    return realm_fail(r->err, REALM_ENOMEM, "no memory for the request");
}

realm_status rl_ask_set(const rl_reading *r, json_t *o, const char *key, json_t *v)
{
    return json_object_set(o, key, v) == 0 ? REALM_OK : rl_ask_no_memory(r);
}

realm_status rl_ask_put(const rl_reading *r, json_t *o, const char *key, json_t *v)
{
    return json_object_set_new(o, key, v) == 0 ? REALM_OK : rl_ask_no_memory(r);
}

realm_status rl_ask_whole(const rl_reading *r, const char *key, int64_t least, int64_t most,
                          int64_t *out)
{
    const json_t *v = rl_member(r->body, key);
    char rule[80];

    if (!v)
        return REALM_OK;
    if (json_is_integer(v) && json_integer_value(v) >= least && json_integer_value(v) <= most) {
        *out = json_integer_value(v);
        return REALM_OK;
    }
    (void)snprintf(rule, sizeof rule, "must be a whole number from %lld to %lld", (long long)least,
                   (long long)most);
    return rl_ask_wrong(r, key, rule);
}

realm_status rl_ask_bool(const rl_reading *r, const char *key, bool *out)
{
    const json_t *v = rl_member(r->body, key);

    if (v && !json_is_boolean(v))
        return rl_ask_wrong(r, key, "must be true or false");
    if (v)
        *out = json_is_true(v);
    return REALM_OK;
}

/* ---- what all APIs share --------------------------------------------------------------------- */

static realm_status read_model(const rl_reading *r)
{
    const json_t *v = rl_member(r->body, "model");
    size_t n = json_string_length(v);

    if (!json_is_string(v) || n == 0 || n > RL_ASK_NAME || strlen(json_string_value(v)) != n)
        return rl_ask_wrong(r, "model", "must be the name of a model");
    memcpy(r->ask->model, json_string_value(v), n + 1);
    return REALM_OK;
}

static realm_status read_stream(const rl_reading *r)
{
    const json_t *opts = rl_member(r->body, "stream_options");
    const json_t *usage = rl_member(opts, "include_usage");

    if (opts && !json_is_object(opts))
        return rl_ask_wrong(r, "stream_options", "must be an object");
    if (usage && !json_is_boolean(usage))
        return rl_ask_wrong(r, "stream_options.include_usage", "must be true or false");
    r->ask->include_usage = json_is_true(usage);
    return rl_ask_bool(r, "stream", &r->ask->stream);
}

static realm_status read_body(const rl_reading *r)
{
    static realm_status (*const readers[RL_N_APIS])(const rl_reading *r) = {
        [RL_API_CHAT] = rl_ask_chat,           [RL_API_TEXT] = rl_ask_text,
        [RL_API_RESPONSES] = rl_ask_responses, [RL_API_EMBED] = rl_ask_embed,
        [RL_API_TOKENIZE] = rl_ask_tokenize,   [RL_API_DETOKENIZE] = rl_ask_detokenize,
    };
    realm_status st = read_model(r);

    if (st == REALM_OK && r->ask->api <= RL_API_RESPONSES)
        st = read_stream(r);
    return st == REALM_OK ? readers[r->ask->api](r) : st;
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

/* A second reading, of a body with a number that is too large. */
static json_t *load_tamed(const char *body, size_t n, json_error_t *why)
{
    json_t *root = NULL;
    rl_buf tame;

    rl_buf_init(&tame, 2 * n); /* a number has three bytes more, and at least 19 */
    if (rl_ask_tame_numbers(&tame, body, n) == REALM_OK)
        root = json_loadb(tame.data, tame.len, 0, why);
    rl_buf_deinit(&tame);
    return root;
}

static realm_status parse(rl_ask *a, const char *body, size_t n, realm_error *err)
{
    json_error_t why;

    if (memchr(body, 0, n) || !is_shallow(body, n))
        return realm_fail(err, REALM_EINVAL, "the body has a NUL, or is nested over %u deep",
                          DEPTH_MAX);
    a->body = json_loadb(body, n, 0, &why);
    if (!a->body && json_error_code(&why) == json_error_numeric_overflow)
        a->body = load_tamed(body, n, &why);
    if (json_is_object(a->body))
        return REALM_OK;
    return realm_fail(err, REALM_EINVAL, "the body is no JSON object: %.120s (line %d)",
                      a->body ? "another value" : why.text, a->body ? 1 : why.line);
}

realm_status rl_ask_read(rl_ask *out, rl_api api, const char *body, size_t n, rl_ask_why *why,
                         realm_error *err)
{
    rl_reading r = { .ask = out, .params = json_object(), .why = why, .err = err };
    realm_status st;

    *out = (rl_ask){ .api = api, .n = 1, .n_prompts = 1, .request = json_object() };
    *why = (rl_ask_why){ .param = "" };
    r.request = out->request;
    st = rl_ask_put(&r, r.request, "params", r.params);
    if (st == REALM_OK)
        st = parse(out, body, n, err);
    r.body = out->body;
    if (st == REALM_OK)
        st = read_body(&r);
    if (st != REALM_OK)
        rl_ask_deinit(out);
    return st;
}

void rl_ask_deinit(rl_ask *a)
{
    json_decref(a->request);
    json_decref(a->body);
    a->request = a->body = a->prompts = NULL;
}

/* ---- choices --------------------------------------------------------------------------------- */

realm_status rl_ask_request(rl_ask *a, uint32_t i, rl_buf *out, realm_error *err)
{
    json_t *params = json_object_get(a->request, "params");
    json_t *prompt = json_array_get(a->prompts, i / a->n);
    bool ok = true;

    if (a->prompts) { /* one of the two, whatever the choice before was */
        (void)json_object_del(a->request, json_is_string(prompt) ? "ids" : "prompt");
        ok = json_object_set(a->request, json_is_string(prompt) ? "prompt" : "ids", prompt) == 0;
    }
    if (a->n > 1)
        ok = ok && json_object_set_new(params, "choice", json_integer(i % a->n)) == 0;
    if (ok && rl_dump(out, a->request) == REALM_OK)
        return REALM_OK;
    return realm_fail(err, REALM_ENOMEM, "no memory for the request");
}
