#include "server/chunk.h"

#include "base/json.h"

#include <jansson.h>
#include <string.h>

#define TEXT_MAX  ((size_t)4 << 20)
#define EVENT_MAX ((size_t)1 << 20)

void rl_chunk_sum_init(rl_chunk_sum *sum)
{
    *sum = (rl_chunk_sum){ .finish = "" };
    rl_buf_init(&sum->text, TEXT_MAX);
    rl_buf_init(&sum->logprobs, TEXT_MAX * 4);
}

void rl_chunk_sum_deinit(rl_chunk_sum *sum)
{
    rl_buf_deinit(&sum->text);
    rl_buf_deinit(&sum->logprobs);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void open_object(rl_json *j, const rl_chunk_head *h, bool stream)
{
    rl_json_object(j, NULL);
    rl_json_string(j, "id", h->id);
    rl_json_string(j, "object",
                   !h->chat ? "text_completion"
                   : stream ? "chat.completion.chunk"
                            : "chat.completion");
    rl_json_int(j, "created", h->created_s);
    rl_json_string(j, "model", h->model);
    rl_json_array(j, "choices");
}

static void put_logprobs(rl_json *j, const rl_chunk_head *h, const char *entries)
{
    rl_buf list;

    if (!h->logprobs) {
        rl_json_null(j, "logprobs");
        return;
    }
    rl_buf_init(&list, TEXT_MAX * 4);
    (void)rl_buf_addf(&list, "[%s]", entries ? entries : "");
    rl_json_object(j, "logprobs");
    rl_json_raw(j, "content", list.failed ? "[]" : list.data);
    rl_json_end_object(j);
    rl_buf_deinit(&list);
}

static void put_finish(rl_json *j, const char *finish)
{
    if (finish[0])
        rl_json_string(j, "finish_reason", finish);
    else
        rl_json_null(j, "finish_reason");
}

static void put_usage(rl_json *j, const rl_run_result *r)
{
    rl_json_object(j, "usage");
    rl_json_uint(j, "prompt_tokens", r->prompt_tokens);
    rl_json_uint(j, "completion_tokens", r->generated_tokens);
    rl_json_uint(j, "total_tokens", r->prompt_tokens + r->generated_tokens);
    rl_json_end_object(j);
}

static void send_event(rl_buf *sse, const rl_buf *json)
{
    if (json->failed)
        sse->failed = true;
    else
        rl_http_sse(sse, NULL, json->data, json->len);
}

/* ---- streams --------------------------------------------------------------------------------- */

/* One event with a choice. text NULL: none; role: the first of a chat. */
static void put_choice(const rl_chunk_head *h, const char *text, size_t n, bool role,
                       const char *entries, const char *finish, rl_buf *sse)
{
    rl_buf body;
    rl_json j;

    rl_buf_init(&body, EVENT_MAX);
    j = rl_json_on(&body);
    open_object(&j, h, true);
    rl_json_object(&j, NULL);
    rl_json_uint(&j, "index", 0);
    if (h->chat)
        rl_json_object(&j, "delta");
    if (role)
        rl_json_string(&j, "role", "assistant");
    if (text || !h->chat)
        rl_json_stringn(&j, h->chat ? "content" : "text", text ? text : "", n);
    if (h->chat)
        rl_json_end_object(&j);
    put_logprobs(&j, h, entries);
    put_finish(&j, finish);
    rl_json_end_object(&j);
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    send_event(sse, &body);
    rl_buf_deinit(&body);
}

void rl_chunk_open(const rl_chunk_head *h, rl_buf *sse)
{
    if (h->chat)
        put_choice(h, "", 0, true, NULL, "", sse);
}

void rl_chunk_close(const rl_chunk_head *h, const rl_chunk_sum *sum, const rl_run_result *result,
                    bool usage, rl_buf *sse)
{
    rl_buf body;
    rl_json j;

    put_choice(h, NULL, 0, false, NULL, sum->finish[0] ? sum->finish : "stop", sse);
    if (usage) {
        rl_buf_init(&body, EVENT_MAX);
        j = rl_json_on(&body);
        open_object(&j, h, true);
        rl_json_end_array(&j);
        put_usage(&j, result);
        rl_json_end_object(&j);
        send_event(sse, &body);
        rl_buf_deinit(&body);
    }
    rl_http_sse(sse, NULL, "[DONE]", 6);
}

void rl_chunk_error(const realm_error *err, rl_buf *sse)
{
    rl_buf body;

    rl_buf_init(&body, EVENT_MAX);
    rl_reply_put_error(
        &body, &(rl_complaint){ .status = realm_status_http(err->status), .text = err->text });
    send_event(sse, &body);
    rl_buf_deinit(&body);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* One entry of ABI's tokens as OpenAI has it. */
static json_t *entry_of(const json_t *t)
{
    json_t *e = json_object();

    (void)json_object_set(e, "token", json_object_get(t, "text"));
    (void)json_object_set(e, "logprob", json_object_get(t, "logprob"));
    (void)json_object_set(e, "bytes", json_object_get(t, "bytes"));
    return e;
}

static int add_piece(const char *piece, size_t n, void *ctx)
{
    return rl_buf_add(ctx, piece, n) == REALM_OK ? 0 : -1;
}

/* The tokens of a delta, as entries with commas between them. */
static void put_entries(const json_t *tokens, rl_buf *out)
{
    json_t *t, *alternative;
    size_t i, k;

    json_array_foreach(tokens, i, t)
    {
        json_t *e = entry_of(t), *top = json_array();

        json_array_foreach(json_object_get(t, "top"), k, alternative)(void)
            json_array_append_new(top, entry_of(alternative));
        (void)json_object_set_new(e, "top_logprobs", top);
        (void)rl_buf_adds(out, out->len ? "," : "");
        if (json_dump_callback(e, add_piece, out, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0)
            out->failed = true;
        json_decref(e);
    }
}

static void add_text(const rl_chunk_head *h, rl_chunk_sum *sum, const char *text, size_t n,
                     const rl_buf *entries, rl_buf *sse)
{
    if (sse) {
        put_choice(h, text, n, false, entries ? entries->data : NULL, "", sse);
        return;
    }
    (void)rl_buf_add(&sum->text, text, n);
    if (entries && entries->len)
        (void)rl_buf_addf(&sum->logprobs, "%s%s", sum->logprobs.len ? "," : "", entries->data);
}

static void add_event(const rl_chunk_head *h, rl_chunk_sum *sum, const json_t *e, rl_buf *sse)
{
    const char *kind = json_string_value(json_object_get(e, "event"));
    const char *reason = json_string_value(json_object_get(e, "reason"));
    const json_t *text = json_object_get(e, "text");
    rl_buf entries;

    if (kind && strcmp(kind, "finish") == 0 && reason) {
        size_t n = strlen(reason) < sizeof sum->finish ? strlen(reason) : sizeof sum->finish - 1;

        memcpy(sum->finish, reason, n);
        sum->finish[n] = 0;
    }
    if (!kind || strcmp(kind, "delta") != 0)
        return;
    rl_buf_init(&entries, EVENT_MAX);
    put_entries(json_object_get(e, "tokens"), &entries);
    add_text(h, sum, json_is_string(text) ? json_string_value(text) : "", json_string_length(text),
             &entries, sse);
    rl_buf_deinit(&entries);
}

void rl_chunk_add(const rl_chunk_head *h, rl_chunk_sum *sum, rl_reply_kind kind, const char *data,
                  size_t n, rl_buf *sse)
{
    json_t *e;

    if (kind == RL_REPLY_TEXT)
        add_text(h, sum, data, n, NULL, sse);
    if (kind != RL_REPLY_EVENT)
        return;
    e = json_loadb(data, n, JSON_ALLOW_NUL, NULL);
    add_event(h, sum, e, sse);
    json_decref(e);
}

/* ---- whole answers --------------------------------------------------------------------------- */

void rl_chunk_whole(const rl_chunk_head *h, const rl_chunk_sum *sum, const rl_run_result *result,
                    rl_buf *body)
{
    const char *text = sum->text.data ? sum->text.data : "";
    rl_json j = rl_json_on(body);

    open_object(&j, h, false);
    rl_json_object(&j, NULL);
    rl_json_uint(&j, "index", 0);
    if (h->chat) {
        rl_json_object(&j, "message");
        rl_json_string(&j, "role", "assistant");
        rl_json_stringn(&j, "content", text, sum->text.len);
        rl_json_null(&j, "refusal");
        rl_json_end_object(&j);
    } else {
        rl_json_stringn(&j, "text", text, sum->text.len);
    }
    put_logprobs(&j, h, sum->logprobs.data);
    put_finish(&j, sum->finish[0] ? sum->finish : "stop");
    rl_json_end_object(&j);
    rl_json_end_array(&j);
    put_usage(&j, result);
    rl_json_end_object(&j);
    if (sum->text.failed || sum->logprobs.failed)
        body->failed = true;
}
