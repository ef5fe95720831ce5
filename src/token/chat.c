/* Chat templates: a request's JSON and a model's template become text, or ids for the model. The
 * engine is minijinja behind realm_rt.h; what it bounds is said there. */
#include "token/token.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "token/marks.h"

#include "realm_rt.h"
#include <jansson.h>
#include <string.h>

#define MAX_REQUEST ((size_t)32 << 20)
#define MAX_OUTPUT  ((size_t)32 << 20)

struct rl_chat {
    RealmTmpl *tmpl; /* owned */
    rl_marks marks;
    char *bos, *eos; /* owned; what the template knows as bos_token and eos_token */
    char *source;    /* owned; up to a NUL in it */
};

static realm_status no_memory(realm_error *err)
{
    return realm_fail(err, REALM_ENOMEM, "no memory for the chat template");
}

/* The engine's answer as a status; frees the reason. */
static realm_status engine_failed(int32_t answer, RealmText why, realm_error *err)
{
    static const realm_status status[] = { REALM_OK,      REALM_EINVAL, REALM_EMODEL,
                                           REALM_ETOOBIG, REALM_EMODEL, REALM_EBUG };
    realm_status st = answer > 0 && answer <= REALM_TMPL_BUG ? status[answer] : REALM_EBUG;

    (void)realm_fail(err, st, "chat template: %.*s", (int)(why.n < 200 ? why.n : 200), why.p);
    realm_text_free(why);
    return st;
}

static char *token_text(const rl_vocab *v, uint32_t id)
{
    rl_text t = rl_token_bytes(v, id);

    return rl_strndup(t.p, t.n);
}

static realm_status open_parts(rl_chat *c, rl_text source, const rl_vocab *v, realm_error *err)
{
    const rl_vocab_info *info = rl_vocab_get_info(v);
    RealmText why;
    int32_t answer;

    c->bos = token_text(v, info->bos);
    c->eos = token_text(v, info->eos);
    c->source = rl_strndup(source.p, source.n);
    if (!c->bos || !c->eos || !c->source)
        return no_memory(err);
    rl_marks_init(&c->marks, v);
    answer = realm_tmpl_new(source.p, source.n, &c->tmpl, &why);
    return answer == REALM_TMPL_OK ? REALM_OK : engine_failed(answer, why, err);
}

realm_status rl_chat_open(rl_chat **out, const rl_gguf *g, const rl_vocab *v, realm_error *err)
{
    rl_chat *c;
    rl_text source;
    realm_status st = rl_gguf_text(g, "tokenizer.chat_template", &source, err);

    *out = NULL;
    if (st == REALM_ENOTFOUND)
        return realm_fail(err, REALM_EUNSUPPORTED,
                          "the model has no chat template; give it plain text instead");
    if (st != REALM_OK)
        return st;
    c = rl_alloc(sizeof *c);
    if (!c)
        return no_memory(err);
    st = open_parts(c, source, v, err);
    if (st == REALM_OK)
        *out = c;
    else
        rl_chat_close(c);
    return st;
}

void rl_chat_close(rl_chat *c)
{
    if (!c)
        return;
    realm_tmpl_free(c->tmpl);
    rl_free(c->bos);
    rl_free(c->eos);
    rl_free(c->source);
    rl_free(c);
}

bool rl_chat_mentions(const rl_chat *c, const char *text)
{
    return strstr(c->source, text) != NULL;
}

/* ---- the request ------------------------------------------------------------------------------
 */

/* OpenAI's tool calls carry their arguments as JSON in a string; templates want the object. */
static void open_arguments(json_t *message)
{
    json_t *calls = json_object_get(message, "tool_calls"), *call;
    size_t i;

    json_array_foreach(calls, i, call)
    {
        json_t *function = json_object_get(call, "function"), *args;

        function = function ? function : call;
        args = json_object_get(function, "arguments");
        if (json_is_string(args)) {
            json_t *object =
                json_loadb(json_string_value(args), json_string_length(args), JSON_ALLOW_NUL, NULL);

            if (json_is_object(object))
                (void)json_object_set(function, "arguments", object);
            json_decref(object);
        }
    }
}

/* A marked copy of a string's bytes. -> NULL when it is the same, or without memory (*failed) */
static json_t *marked_string(const rl_marks *m, const char *s, size_t n, bool *failed)
{
    json_t *copy = NULL;
    rl_buf out;

    rl_buf_init(&out, 16 * MAX_REQUEST);
    if (rl_marks_put(m, s, n, &out)) {
        copy = out.failed ? NULL : json_stringn_nocheck(out.data, out.len);
        *failed = *failed || !copy;
    }
    *failed = *failed || out.failed;
    rl_buf_deinit(&out);
    return copy;
}

static json_t *mark_value(const rl_marks *m, json_t *v, bool *failed);

/* Keys are text of the request, too: the names of a tool's parameters. */
static json_t *mark_object(const rl_marks *m, json_t *v, bool *failed)
{
    json_t *copy = json_object(), *item;
    const char *key;

    json_object_foreach(v, key, item)
    {
        json_t *new_key = marked_string(m, key, strlen(key), failed);

        if (json_object_set_new_nocheck(copy, new_key ? json_string_value(new_key) : key,
                                        mark_value(m, item, failed)) < 0)
            *failed = true;
        json_decref(new_key);
    }
    return copy;
}

/* -> a new value with every string in it marked; recursion is bounded by the parser's own limit. */
static json_t *mark_value(const rl_marks *m, json_t *v, bool *failed)
{
    json_t *copy = NULL, *item;
    size_t i;

    if (json_is_string(v)) {
        copy = marked_string(m, json_string_value(v), json_string_length(v), failed);
    } else if (json_is_object(v)) {
        return mark_object(m, v, failed);
    } else if (json_is_array(v)) {
        copy = json_array();
        json_array_foreach(v, i, item)
        {
            if (json_array_append_new(copy, mark_value(m, item, failed)) < 0)
                *failed = true;
        }
        return copy;
    }
    return copy ? copy : json_incref(v);
}

/* What transformers gives every template besides the request's own keys. */
static int add_variables(const rl_chat *c, json_t *request)
{
    int bad = 0;

    if (!json_object_get(request, "add_generation_prompt"))
        bad |= json_object_set_new(request, "add_generation_prompt", json_true());
    if (!json_object_get(request, "tools"))
        bad |= json_object_set_new(request, "tools", json_null());
    if (!json_object_get(request, "documents"))
        bad |= json_object_set_new(request, "documents", json_null());
    bad |= json_object_set_new_nocheck(request, "bos_token", json_string_nocheck(c->bos));
    bad |= json_object_set_new_nocheck(request, "eos_token", json_string_nocheck(c->eos));
    bad |= json_object_set_new(request, "realm_now", json_integer(rl_clock_unix_s()));
    return bad;
}

static realm_status parse_request(json_t **out, const char *request, size_t n, realm_error *err)
{
    json_error_t why;
    json_t *r, *messages, *message;
    size_t i;

    if (n > MAX_REQUEST)
        return realm_fail(err, REALM_ETOOBIG, "a chat request of %zu bytes, the limit is %zu", n,
                          MAX_REQUEST);
    r = json_loadb(request, n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    if (!r)
        return realm_fail(err, REALM_EINVAL, "the chat request is not JSON: %s (byte %d)", why.text,
                          why.position);
    messages = json_object_get(r, "messages");
    if (!json_is_array(messages) || json_array_size(messages) == 0) {
        json_decref(r);
        return realm_fail(err, REALM_EINVAL, "the chat request has no list \"messages\"");
    }
    json_array_foreach(messages, i, message)
    {
        open_arguments(message);
    }
    *out = r;
    return REALM_OK;
}

static int write_json(const char *p, size_t n, void *buf)
{
    return rl_buf_add(buf, p, n) == REALM_OK ? 0 : -1;
}

/* Renders the request, its strings marked if so wanted. *text is realm_text_free's. */
static realm_status render(const rl_chat *c, const char *request, size_t n, bool marked,
                           RealmText *text, realm_error *err)
{
    json_t *r = NULL;
    rl_buf data;
    bool failed = false;
    realm_status st = parse_request(&r, request, n, err);
    int32_t answer;

    rl_buf_init(&data, 32 * MAX_REQUEST);
    if (st == REALM_OK && marked) {
        json_t *copy = mark_value(&c->marks, r, &failed);

        json_decref(r);
        r = copy;
    }
    if (st == REALM_OK && (failed || add_variables(c, r) != 0 ||
                           json_dump_callback(r, write_json, &data, JSON_COMPACT) != 0))
        st = no_memory(err);
    json_decref(r);
    if (st == REALM_OK) {
        answer = realm_tmpl_render(c->tmpl, data.data, data.len, MAX_OUTPUT, text);
        st = answer == REALM_TMPL_OK ? REALM_OK : engine_failed(answer, *text, err);
    }
    rl_buf_deinit(&data);
    return st;
}

/* ---- what callers get -------------------------------------------------------------------------
 */

realm_status rl_chat_render(const rl_chat *c, const char *request, size_t n, rl_buf *out,
                            realm_error *err)
{
    RealmText text;
    realm_status st = render(c, request, n, false, &text, err);

    if (st != REALM_OK)
        return st;
    st = rl_buf_add(out, text.p, text.n);
    if (st != REALM_OK)
        (void)realm_fail(err, st, "the rendered chat of %zu bytes does not fit", text.n);
    realm_text_free(text);
    return st;
}

/* Puts the beginning-of-text token first where the model wants it and the template wrote none. */
static realm_status add_bos(const rl_vocab_info *info, uint32_t **ids, size_t *n, realm_error *err)
{
    uint32_t *p;

    if (!info->add_bos || (*n && (*ids)[0] == info->bos))
        return REALM_OK;
    p = rl_realloc(*ids, (*n + 1) * sizeof *p);
    if (!p) {
        rl_free(*ids);
        *ids = NULL;
        return no_memory(err);
    }
    memmove(p + 1, p, *n * sizeof *p);
    p[0] = info->bos;
    *ids = p;
    *n += 1;
    return REALM_OK;
}

realm_status rl_chat_tokens(const rl_chat *c, const rl_vocab *v, const char *request, size_t n,
                            uint32_t **ids, size_t *n_ids, realm_error *err)
{
    rl_ids places = { 0 };
    rl_encoder e = { .v = v };
    RealmText text;
    size_t len;
    realm_status st;

    *ids = NULL;
    *n_ids = 0;
    st = render(c, request, n, true, &text, err);
    if (st != REALM_OK)
        return st;
    len = text.n;
    rl_marks_take(text.p, &len, &places);
    e.marks = places.p;
    e.n_marks = places.n;
    if (places.failed)
        st = no_memory(err);
    else
        st = rl_encoder_take(&e, text.p, len, RL_ENCODE_PARSE_SPECIAL, ids, n_ids, err);
    if (st == REALM_OK)
        st = add_bos(rl_vocab_get_info(v), ids, n_ids, err);
    realm_text_free(text);
    rl_free(places.p);
    return st;
}
