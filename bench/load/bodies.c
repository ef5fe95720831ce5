#include "load/bodies.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/json.h"
#include "load/prompt.h"

#include <jansson.h>
#include <string.h>

/* ---- init ------------------------------------------------------------------------------------ */

/* The request line and the header but for its last field. */
static realm_status make_head(rl_load_bodies *b, realm_error *err)
{
    const rl_load_options *o = b->o;
    bool v6 = strchr(o->url.host, ':') != NULL;
    rl_buf t;

    rl_buf_init(&t, 64 << 10);
    (void)rl_buf_addf(&t, "POST %s/v1/%s HTTP/1.1\r\nHost: %s%s%s:%s\r\n", o->url.prefix,
                      o->completions ? "completions" : "chat/completions", v6 ? "[" : "",
                      o->url.host, v6 ? "]" : "", o->url.port);
    (void)rl_buf_addf(&t, "User-Agent: realm-load\r\nContent-Type: application/json\r\n");
    if (o->key)
        (void)rl_buf_addf(&t, "Authorization: Bearer %s\r\n", o->key);
    if (o->no_keepalive)
        (void)rl_buf_adds(&t, "Connection: close\r\n");
    (void)rl_buf_adds(&t, "Content-Length: ");
    b->head = rl_buf_take(&t);
    return b->head ? REALM_OK : realm_fail(err, REALM_EINVAL, "--key is too long for a header");
}

static int on_dump(const char *text, size_t n, void *ctx)
{
    return rl_buf_add(ctx, text, n) == REALM_OK ? 0 : -1;
}

/* JSON text of a value; takes the value. -> owned, or NULL */
static char *dump(json_t *v)
{
    rl_buf t;
    int code;

    rl_buf_init(&t, RL_LOAD_BODY_MAX);
    code = v ? json_dump_callback(v, on_dump, &t, JSON_COMPACT) : -1;
    json_decref(v);
    if (code)
        rl_buf_deinit(&t);
    return code ? NULL : rl_buf_take(&t);
}

/* The members of --extra, which must not be one that realm-load sets itself, and ignore_eos. */
static realm_status make_extra(rl_load_bodies *b, realm_error *err)
{
    static const char *const ours[] = { "model",       "messages", "prompt", "max_tokens",
                                        "temperature", "seed",     "stream", "stream_options" };
    json_t *extra = b->o->extra ? json_loads(b->o->extra, 0, NULL) : json_object();

    if (!json_is_object(extra)) {
        json_decref(extra);
        return realm_fail(err, REALM_EINVAL, "--extra: give a JSON object such as '{\"top_k\":1}'");
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (json_object_get(extra, ours[i])) {
            json_decref(extra);
            return realm_fail(err, REALM_EINVAL, "--extra: %s is set by an option or by --bodies",
                              ours[i]);
        }
    }
    if (!b->o->eos && !json_object_get(extra, "ignore_eos"))
        (void)json_object_set_new(extra, "ignore_eos", json_true());
    b->extra = dump(extra);
    if (!b->extra)
        return realm_fail(err, REALM_ENOMEM, "no memory for --extra");
    return REALM_OK;
}

/* ---- a file of them -------------------------------------------------------------------------- */

static uint32_t asked_tokens(json_t *body, uint32_t most)
{
    static const char *const names[] = { "max_completion_tokens", "max_tokens" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_int_t n = json_integer_value(json_object_get(body, names[i]));

        if (n > 0 && n <= UINT32_MAX)
            return (uint32_t)n;
    }
    (void)json_object_set_new(body, "max_tokens", json_integer(most));
    return most;
}

static realm_status add_line(rl_load_bodies *b, const char *text, size_t n, const char *file,
                             realm_error *err)
{
    const rl_load_options *o = b->o;
    json_t *body = json_loadb(text, n, 0, NULL);
    rl_load_line *line = &b->lines[b->n_lines];

    if (!json_is_object(body)) {
        json_decref(body);
        return realm_fail(err, REALM_EINVAL, "%s: request %u is not a JSON object on one line",
                          file, b->n_lines + 1);
    }
    (void)json_object_set_new(body, "stream", json_boolean(!o->plain));
    if (o->plain)
        (void)json_object_del(body, "stream_options");
    else
        (void)json_object_set_new(body, "stream_options", json_pack("{sb}", "include_usage", 1));
    if (o->model && !json_object_get(body, "model"))
        (void)json_object_set_new(body, "model", json_string(o->model));
    line->max_tokens = asked_tokens(body, o->max_tokens);
    line->json = dump(body);
    if (!line->json)
        return realm_fail(err, REALM_ENOMEM, "%s: no memory for request %u", file, b->n_lines + 1);
    b->n_lines++;
    return REALM_OK;
}

static realm_status read_lines(rl_load_bodies *b, const char *file, realm_error *err)
{
    rl_buf text;
    realm_status st;
    size_t most = 1;

    rl_buf_init(&text, RL_LOAD_FILE_MAX);
    st = rl_fs_read(file, &text, err);
    for (size_t i = 0; st == REALM_OK && i < text.len; i++)
        most += text.data[i] == '\n';
    if (st == REALM_OK && most < UINT32_MAX)
        b->lines = rl_alloc_array(most, sizeof *b->lines);
    if (st == REALM_OK && !b->lines)
        st = realm_fail(err, REALM_ENOMEM, "%s: no memory for %zu requests", file, most);
    for (size_t i = 0; st == REALM_OK && i < text.len;) {
        const char *end = memchr(text.data + i, '\n', text.len - i);
        size_t n = end ? (size_t)(end - text.data) - i : text.len - i;

        if (n)
            st = add_line(b, text.data + i, n, file, err);
        i += n + 1;
    }
    if (st == REALM_OK && b->n_lines == 0)
        st = realm_fail(err, REALM_EINVAL, "%s has no request: write a JSON object a line", file);
    rl_buf_deinit(&text);
    return st;
}

realm_status rl_load_bodies_init(rl_load_bodies *b, const rl_load_options *o, const char *file,
                                 realm_error *err)
{
    realm_status st;

    *b = (rl_load_bodies){ .o = o, .n_words = o->prompt_words };
    st = make_head(b, err);
    if (st == REALM_OK)
        st = make_extra(b, err);
    if (st == REALM_OK && file)
        st = read_lines(b, file, err);
    if (st != REALM_OK)
        rl_load_bodies_deinit(b);
    return st;
}

void rl_load_bodies_deinit(rl_load_bodies *b)
{
    for (uint32_t i = 0; i < b->n_lines; i++)
        rl_free(b->lines[i].json);
    rl_free(b->lines);
    rl_free(b->extra);
    rl_free(b->head);
    *b = (rl_load_bodies){ .o = NULL };
}

/* ---- one request ----------------------------------------------------------------------------- */

static void made(const rl_load_bodies *b, rl_buf *out, uint32_t number, uint32_t n_words,
                 uint32_t max_tokens, bool stream)
{
    const rl_load_options *o = b->o;
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    if (o->model)
        rl_json_string(&j, "model", o->model);
    /* the words need no escapes */
    (void)rl_buf_addf(out, "%s%s", j.comma ? "," : "",
                      o->completions ? "\"prompt\":\""
                                     : "\"messages\":[{\"role\":\"user\",\"content\":\"");
    rl_load_prompt_write(out, o->seed, number, n_words);
    (void)rl_buf_adds(out, o->completions ? "\"" : "\"}]");
    j.comma = true;
    rl_json_uint(&j, "max_tokens", max_tokens);
    rl_json_double(&j, "temperature", o->temperature, 6);
    rl_json_uint(&j, "seed", (o->seed + number) & INT32_MAX);
    rl_json_bool(&j, "stream", stream);
    if (stream)
        rl_json_raw(&j, "stream_options", "{\"include_usage\":true}");
    if (strcmp(b->extra, "{}") == 0)
        rl_json_end_object(&j);
    else
        (void)rl_buf_addf(out, ",%s", b->extra + 1);
}

/* head, length, empty line, body. The body is written first, to know its length. */
static realm_status finish(const rl_load_bodies *b, rl_buf *body, rl_buf *out)
{
    rl_buf_clear(out);
    (void)rl_buf_addf(out, "%s%zu\r\n\r\n", b->head, body->len);
    if (body->len)
        (void)rl_buf_add(out, body->data, body->len);
    return body->failed || out->failed ? REALM_ENOMEM : REALM_OK;
}

realm_status rl_load_bodies_write(const rl_load_bodies *b, uint32_t number, rl_buf *out,
                                  uint32_t *max_tokens)
{
    realm_status st;
    rl_buf body;

    rl_buf_init(&body, RL_LOAD_BODY_MAX);
    if (b->n_lines) {
        const rl_load_line *line = &b->lines[number % b->n_lines];

        *max_tokens = line->max_tokens;
        (void)rl_buf_adds(&body, line->json);
    } else {
        *max_tokens = b->o->max_tokens;
        made(b, &body, number, b->n_words, *max_tokens, !b->o->plain);
    }
    st = finish(b, &body, out);
    rl_buf_deinit(&body);
    return st;
}

realm_status rl_load_bodies_write_probe(const rl_load_bodies *b, uint32_t number, uint32_t n_words,
                                        rl_buf *out)
{
    realm_status st;
    rl_buf body;

    rl_buf_init(&body, RL_LOAD_BODY_MAX);
    made(b, &body, number, n_words, 1, false);
    st = finish(b, &body, out);
    rl_buf_deinit(&body);
    return st;
}
