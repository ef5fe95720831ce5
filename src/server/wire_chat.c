/* The wire of chat completions. */
#include "server/wire.h"

#define EVENT_MAX ((size_t)1 << 20)
#define CHUNK     "chat.completion.chunk"

/* ---- parts ----------------------------------------------------------------------------------- */

/* One entry of ABI's tokens as OpenAI has it. */
static void put_entry(rl_json *j, const json_t *t)
{
    const json_t *text = json_object_get(t, "text"), *bytes = json_object_get(t, "bytes"), *b;
    size_t i;

    rl_json_stringn(j, "token", json_string_value(text), json_string_length(text));
    rl_json_double(j, "logprob", json_number_value(json_object_get(t, "logprob")), 9);
    rl_json_array(j, "bytes");
    json_array_foreach(bytes, i, b)
    {
        rl_json_int(j, NULL, json_integer_value(b));
    }
    rl_json_end_array(j);
}

void rl_wire_add_tokens(rl_buf *out, const json_t *tokens)
{
    rl_json j = { .buf = out, .comma = out->len > 0 };
    const json_t *t, *alternative;
    size_t i, k;

    json_array_foreach(tokens, i, t)
    {
        rl_json_object(&j, NULL);
        put_entry(&j, t);
        rl_json_array(&j, "top_logprobs");
        json_array_foreach(json_object_get(t, "top"), k, alternative)
        {
            rl_json_object(&j, NULL);
            put_entry(&j, alternative);
            rl_json_end_object(&j);
        }
        rl_json_end_array(&j);
        rl_json_end_object(&j);
    }
}

/* Where there are only calls there are no tokens. */
static void put_logprobs(rl_json *j, const rl_said *s, const rl_buf *entries)
{
    rl_buf list;

    if (!s->ask->logprobs) {
        rl_json_null(j, "logprobs");
        return;
    }
    rl_buf_init(&list, SIZE_MAX);
    (void)rl_buf_addf(&list, "[%s]", entries->data ? entries->data : "");
    rl_json_object(j, "logprobs");
    rl_json_raw(j, "content", entries->len == 0 || list.failed ? "null" : list.data);
    rl_json_null(j, "refusal");
    rl_json_end_object(j);
    rl_buf_deinit(&list);
}

/* Of a stream every event but the last has none. */
static void put_no_usage(rl_json *j, const rl_said *s)
{
    if (s->ask->include_usage)
        rl_json_null(j, "usage");
}

/* ---- streams --------------------------------------------------------------------------------- */

typedef struct event {
    rl_buf body;
    rl_json j;
} event;

static void begin(event *e, const rl_said *s, const rl_choice *c)
{
    rl_buf_init(&e->body, EVENT_MAX);
    e->j = rl_json_on(&e->body);
    rl_wire_open_choices(&e->j, s, CHUNK);
    rl_json_object(&e->j, NULL);
    rl_json_uint(&e->j, "index", c->index);
    rl_json_object(&e->j, "delta");
}

/* entries NULL: of no tokens */
static void end(event *e, rl_said *s, const rl_buf *entries, const char *finish, rl_buf *sse)
{
    rl_json_end_object(&e->j);
    if (entries)
        put_logprobs(&e->j, s, entries);
    else
        rl_json_null(&e->j, "logprobs");
    rl_wire_put_text(&e->j, "finish_reason", finish);
    rl_json_end_object(&e->j);
    rl_json_end_array(&e->j);
    put_no_usage(&e->j, s);
    rl_json_end_object(&e->j);
    rl_said_event(s, sse, NULL, &e->body);
}

static void open_stream(rl_said *s, rl_buf *sse)
{
    event e;

    for (uint32_t i = 0; i < s->n; i++) {
        begin(&e, s, &s->choices[i]);
        rl_json_string(&e.j, "role", "assistant");
        rl_json_string(&e.j, "content", "");
        end(&e, s, NULL, NULL, sse);
    }
}

static void put_call(rl_json *j, const rl_delta *d)
{
    rl_json_array(j, "tool_calls");
    rl_json_object(j, NULL);
    rl_json_uint(j, "index", d->call);
    if (d->kind == RL_DELTA_CALL) {
        rl_json_string(j, "id", d->id);
        rl_json_string(j, "type", "function");
    }
    rl_json_object(j, "function");
    if (d->kind == RL_DELTA_CALL)
        rl_json_string(j, "name", d->name);
    rl_json_stringn(j, "arguments", d->kind == RL_DELTA_ARGS ? d->text : "",
                    d->kind == RL_DELTA_ARGS ? d->n : 0);
    rl_json_end_object(j);
    rl_json_end_object(j);
    rl_json_end_array(j);
}

static void delta(rl_said *s, rl_choice *c, const rl_delta *d, rl_buf *sse)
{
    rl_buf entries;
    event e;

    begin(&e, s, c);
    rl_buf_init(&entries, EVENT_MAX);
    if (d->kind == RL_DELTA_TEXT) {
        rl_json_stringn(&e.j, "content", d->text, d->n);
        rl_wire_add_tokens(&entries, d->tokens);
    } else {
        put_call(&e.j, d);
    }
    e.body.failed = e.body.failed || entries.failed;
    end(&e, s, d->kind == RL_DELTA_TEXT ? &entries : NULL, NULL, sse);
    rl_buf_deinit(&entries);
}

static void finish(rl_said *s, rl_choice *c, rl_buf *sse)
{
    event e;

    begin(&e, s, c);
    end(&e, s, NULL, rl_said_finish(c), sse);
}

static void close_stream(rl_said *s, rl_buf *sse)
{
    rl_wire_close_stream(s, CHUNK, sse);
}

/* ---- whole answers --------------------------------------------------------------------------- */

static void take(rl_said *s, rl_choice *c, const rl_delta *d)
{
    if (d->kind == RL_DELTA_TEXT && s->ask->logprobs)
        rl_wire_add_tokens(&c->logprobs[0], d->tokens);
}

static void put_calls(rl_json *j, const rl_choice *c)
{
    rl_json_array(j, "tool_calls");
    for (uint32_t i = 0; i < c->n_calls; i++) {
        const rl_said_call *call = &c->calls[i];

        rl_json_object(j, NULL);
        rl_json_string(j, "id", call->id);
        rl_json_string(j, "type", "function");
        rl_json_object(j, "function");
        rl_json_string(j, "name", call->name);
        rl_json_stringn(j, "arguments", call->args.data ? call->args.data : "", call->args.len);
        rl_json_end_object(j);
        rl_json_end_object(j);
    }
    rl_json_end_array(j);
}

/* A message that only calls has no text at all. */
static void put_choice(rl_json *j, const rl_said *s, const rl_choice *c)
{
    rl_json_object(j, NULL);
    rl_json_uint(j, "index", c->index);
    rl_json_object(j, "message");
    rl_json_string(j, "role", "assistant");
    if (c->n_calls > 0 && c->text.len == 0)
        rl_json_null(j, "content");
    else
        rl_json_stringn(j, "content", c->text.data ? c->text.data : "", c->text.len);
    rl_json_null(j, "refusal");
    if (c->n_calls > 0)
        put_calls(j, c);
    rl_json_end_object(j);
    put_logprobs(j, s, &c->logprobs[0]);
    rl_json_string(j, "finish_reason", rl_said_finish(c));
    rl_json_end_object(j);
}

static void whole(rl_said *s, rl_buf *body)
{
    rl_json j = rl_json_on(body);

    rl_wire_open_choices(&j, s, "chat.completion");
    for (uint32_t i = 0; i < s->n; i++) {
        put_choice(&j, s, &s->choices[i]);
        s->failed = s->failed || s->choices[i].logprobs[0].failed;
    }
    rl_json_end_array(&j);
    rl_wire_put_usage(&j, s);
    rl_json_end_object(&j);
}

const rl_wire rl_wire_chat = {
    .id_prefix = "chatcmpl-",
    .open = open_stream,
    .delta = delta,
    .finish = finish,
    .close = close_stream,
    .fail = rl_said_error,
    .take = take,
    .whole = whole,
};
