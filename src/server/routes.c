/* Routes: what can be asked for, and by whom. One table, from which requests are admitted and the
 * tests are made. */
#include "server/internal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/json.h"

#include <string.h>

#define MODELS_MAX  ((size_t)4 << 20)
#define METRICS_MAX ((size_t)4 << 20)

/* ---- health ---------------------------------------------------------------------------------- */

static void put_status(rl_http_exchange *ex, int status, const char *word)
{
    rl_buf body;
    rl_json j;

    rl_buf_init(&body, 256);
    j = rl_json_on(&body);
    rl_json_object(&j, NULL);
    rl_json_string(&j, "status", word);
    rl_json_end_object(&j);
    rl_reply_json(ex, status, &body);
}

static void live(rl_server *s, rl_http_exchange *ex, const rl_route *r)
{
    (void)s;
    (void)r;
    put_status(ex, 200, "ok");
}

static void ready(rl_server *s, rl_http_exchange *ex, const rl_route *r)
{
    const char *why;
    bool is = rl_server_is_ready(s, &why);

    (void)r;
    put_status(ex, is ? 200 : 503, why);
}

static void metrics(rl_server *s, rl_http_exchange *ex, const rl_route *r)
{
    const rl_http_answer answer = { .status = 200, .type = RL_METRICS_TYPE };
    rl_buf body;
    size_t n;

    (void)r;
    rl_buf_init(&body, METRICS_MAX);
    rl_metrics_write(s, &body);
    n = body.len;
    if (!body.failed) {
        (void)rl_http_reply(ex, &answer, rl_buf_take(&body), n);
        return;
    }
    rl_buf_deinit(&body);
    rl_reply_complain(ex, &(rl_complaint){ .status = 503, .text = "no memory for the metrics" });
}

/* ---- models ---------------------------------------------------------------------------------- */

static void put_row(rl_json *j, const char *name, int64_t created_s, const char *owner)
{
    rl_json_object(j, NULL);
    rl_json_string(j, "id", name);
    rl_json_string(j, "object", "model");
    rl_json_int(j, "created", created_s);
    rl_json_string(j, "owned_by", owner);
    rl_json_end_object(j);
}

static realm_status put_models(rl_server *s, rl_json *j, realm_error *err)
{
    rl_store_model *list = NULL;
    size_t n = 0;
    realm_status st = rl_store_model_list(s->store, &list, &n, err);

    for (size_t i = 0; i < n; i++)
        put_row(j, list[i].name, list[i].created_s, "realm");
    rl_free(list);
    return st;
}

/* A program answers like a model. */
static realm_status put_programs(rl_server *s, rl_json *j, realm_error *err)
{
    rl_store_program *list = NULL;
    size_t n = 0;
    realm_status st = rl_store_program_list(s->store, &list, &n, err);

    for (size_t i = 0; i < n; i++)
        put_row(j, list[i].name, list[i].created_s, "realm-program");
    rl_free(list);
    return st;
}

static void models(rl_server *s, rl_http_exchange *ex, const rl_route *r)
{
    realm_error err;
    rl_json j;
    rl_buf body;
    realm_status st;

    (void)r;
    rl_buf_init(&body, MODELS_MAX);
    j = rl_json_on(&body);
    rl_json_object(&j, NULL);
    rl_json_string(&j, "object", "list");
    rl_json_array(&j, "data");
    st = put_models(s, &j, &err);
    if (st == REALM_OK)
        st = put_programs(s, &j, &err);
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    if (st == REALM_OK) {
        rl_reply_json(ex, 200, &body);
        return;
    }
    rl_buf_deinit(&body);
    rl_reply_error(ex, &err, NULL);
}

static realm_status put_named(rl_server *s, const char *name, rl_json *j, realm_error *err)
{
    rl_store_program p;
    rl_store_model m;

    if (rl_store_program_get(s->store, name, &p, err) == REALM_OK) {
        put_row(j, p.name, p.created_s, "realm-program");
        return REALM_OK;
    }
    if (rl_store_model_get(s->store, name, &m, err) != REALM_OK)
        return err->status;
    put_row(j, m.name, m.created_s, "realm");
    return REALM_OK;
}

/* The rest of the path is the name, slashes and all. */
static void model(rl_server *s, rl_http_exchange *ex, const rl_route *r)
{
    realm_error err;
    rl_json j;
    rl_buf body;

    rl_buf_init(&body, MODELS_MAX);
    j = rl_json_on(&body);
    if (put_named(s, rl_http_path(ex) + strlen(r->path), &j, &err) == REALM_OK) {
        rl_reply_json(ex, 200, &body);
        return;
    }
    rl_buf_deinit(&body);
    if (err.status == REALM_EINVAL) /* no model can have that name */
        err.status = REALM_ENOTFOUND;
    rl_reply_error(ex, &err, "model");
}

/* ---- what programs answer -------------------------------------------------------------------- */

static void answer(rl_server *s, rl_http_exchange *ex, const rl_route *r)
{
    rl_answer_begin(s, ex, r->api);
}

/* ---- the table ------------------------------------------------------------------------------- */

const rl_route rl_routes[] = {
    { "POST", "/v1/chat/completions", RL_KEY_HOLDER, answer, RL_API_CHAT,
      "a conversation, whole or streamed" },
    { "POST", "/v1/completions", RL_KEY_HOLDER, answer, RL_API_TEXT,
      "a text goes on, whole or streamed" },
    { "POST", "/v1/responses", RL_KEY_HOLDER, answer, RL_API_RESPONSES,
      "a conversation in OpenAI's newer form; nothing is stored" },
    { "POST", "/v1/embeddings", RL_KEY_HOLDER, answer, RL_API_EMBED, "vectors of texts" },
    { "GET", "/v1/models", RL_KEY_HOLDER, models, 0, "models and installed programs" },
    { "GET", "/v1/models/", RL_KEY_HOLDER, model, 0, "one of them" },
    { "POST", "/tokenize", RL_KEY_HOLDER, answer, RL_API_TOKENIZE,
      "the token ids of a text or a conversation" },
    { "POST", "/detokenize", RL_KEY_HOLDER, answer, RL_API_DETOKENIZE, "the text of token ids" },
    { "GET", "/metrics", RL_KEY_HOLDER, metrics, 0, "what is counted, as Prometheus reads it" },
    { "GET", "/livez", RL_ANYONE, live, 0, "the process answers" },
    { "GET", "/readyz", RL_ANYONE, ready, 0, "it takes requests, and its engine makes steps" },
    { "GET", "/health", RL_ANYONE, ready, 0, "the same as /readyz" },
};
const size_t rl_n_routes = RL_COUNT(rl_routes);

bool rl_server_endpoint_at(size_t i, rl_server_endpoint *out)
{
    const rl_route *r = i < rl_n_routes ? &rl_routes[i] : NULL;

    if (!r)
        return false;
    *out = (rl_server_endpoint){ .method = r->method,
                                 .path = r->path,
                                 .named = r->path[strlen(r->path) - 1] == '/',
                                 .text = r->text };
    return true;
}

static bool is_path(const rl_route *r, const char *path)
{
    size_t n = strlen(r->path);

    if (r->path[n - 1] != '/')
        return strcmp(r->path, path) == 0;
    return strncmp(r->path, path, n) == 0 && path[n] != 0;
}

/* HEAD is GET without the body, which the http room sees to. */
static bool is_method(const rl_route *r, const char *method)
{
    return strcmp(r->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

const rl_route *rl_route_find(const char *method, const char *path, bool *known)
{
    *known = false;
    for (size_t i = 0; i < rl_n_routes; i++) {
        if (!is_path(&rl_routes[i], path))
            continue;
        if (is_method(&rl_routes[i], method))
            return &rl_routes[i];
        *known = true;
    }
    return NULL;
}

/* Before the body is read. */
void rl_routes_admit(void *ctx, rl_http_exchange *ex)
{
    rl_server *s = ctx;
    const rl_route *r;
    bool known;

    if (!rl_guard_host(s, ex) || !rl_guard_origin(s, ex))
        return;
    if (strcmp(rl_http_method(ex), "OPTIONS") == 0 && rl_http_header(ex, "Origin")) {
        rl_reply_preflight(ex);
        return;
    }
    r = rl_route_find(rl_http_method(ex), rl_http_path(ex), &known);
    if (!r) {
        rl_reply_complain(ex, &(rl_complaint){ .status = known ? 405 : 404,
                                               .text = known ? "this path has other methods"
                                                             : "there is no such path" });
        return;
    }
    if (r->who == RL_KEY_HOLDER)
        (void)rl_guard_key(s, ex);
}

void rl_routes_handle(void *ctx, rl_http_exchange *ex)
{
    bool known;
    const rl_route *r = rl_route_find(rl_http_method(ex), rl_http_path(ex), &known);

    RL_ASSERT(r); /* it was admitted */
    r->handle(ctx, ex, r);
}

void rl_routes_refuse(void *ctx, int status, const char *text, rl_buf *body)
{
    (void)ctx;
    rl_reply_put_error(body, &(rl_complaint){ .status = status, .text = text });
}
