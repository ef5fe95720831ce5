/* The wire of responses: an answer is a list of items, each a message or a call of a function.
 *
 * 1. Items are numbered as they begin; a text after a call is a message of its own.
 * 2. At most one item is open. It is closed when the next begins, or at the end.
 * 3. The texts of all messages are kept in one text, that of choice 0, and so are their logprobs; a
 *    message knows which part is its own. Calls are kept in the order of their items.
 * 4. An answer that says nothing is one message without text, so that readers find one.
 *
 * A stream tells of each step by an event with a number, and has no [DONE] at its end. */
#include "server/said.h"
#include "server/wire.h"

#include "base/alloc.h"
#include "base/dump.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#define EVENT_MAX                                                                                  \
    ((size_t)256 << 20) /* the last one has all that was said, and all that was sent */
#define ITEM_ID 64

typedef struct span {
    size_t begin, end;
} span;

typedef struct item {
    bool is_call;
    uint32_t call;       /* which of the choice's calls */
    span text, logprobs; /* of a message: its own part; empty while it is open */
} item;

typedef struct items {
    item *list; /* owned */
    uint32_t n, cap, n_calls;
    bool open; /* the last one is */
} items;

/* How far an answer is. */
typedef enum stage { IN_PROGRESS, COMPLETED, INCOMPLETE, FAILED } stage;

static const char *const stage_names[] = { "in_progress", "completed", "incomplete", "failed" };

/* OpenAI's reason for an incomplete answer. NULL: it is complete */
static const char *lack(const rl_said *s)
{
    const char *finish = rl_said_finish(&s->choices[0]);

    if (strcmp(finish, "length") == 0)
        return "max_output_tokens";
    return strcmp(finish, "content_filter") == 0 ? finish : NULL;
}

/* ---- items ----------------------------------------------------------------------------------- */

static item *last_open(const rl_said *s)
{
    items *all = s->own;

    return all && all->open ? &all->list[all->n - 1] : NULL;
}

static bool grow(items *all)
{
    uint32_t cap = all->cap ? all->cap * 2 : 4;
    item *more;

    if (all->list && all->n < all->cap)
        return true;
    more = rl_realloc(all->list, cap * sizeof *more);
    if (!more)
        return false;
    all->list = more;
    all->cap = cap;
    return true;
}

/* One more item, open and empty. -> false without memory: s has failed */
static bool push(rl_said *s, bool is_call)
{
    const rl_choice *c = &s->choices[0];
    items *all = s->own ? s->own : rl_alloc(sizeof *all);

    s->own = all;
    if (!all || !grow(all)) {
        s->failed = true;
        return false;
    }
    all->list[all->n++] = (item){ .is_call = is_call,
                                  .call = all->n_calls,
                                  .text = { c->text.len, c->text.len },
                                  .logprobs = { c->logprobs[0].len, c->logprobs[0].len } };
    if (is_call)
        all->n_calls++;
    all->open = true;
    return true;
}

/* What is kept for a call. NULL: there was no memory for it */
static const rl_said_call *call_of(const rl_said *s, const item *it)
{
    const rl_choice *c = &s->choices[0];

    return it->call < c->n_calls ? &c->calls[it->call] : NULL;
}

static void item_id(const rl_said *s, uint32_t i, char out[ITEM_ID])
{
    const items *all = s->own;
    const char *digits = strchr(s->id, '_');

    (void)snprintf(out, ITEM_ID, "%s_%.40s%04x", all->list[i].is_call ? "fc" : "msg",
                   digits ? digits + 1 : s->id, (unsigned)i);
}

/* ---- parts of objects ------------------------------------------------------------------------ */

static void put_text(rl_json *j, const char *key, const rl_buf *text, span part)
{
    rl_json_stringn(j, key, text->data ? text->data + part.begin : "", part.end - part.begin);
}

/* Entries stand with commas between them; those of a part that is not the first begin with one. */
static void put_logprobs(rl_json *j, const rl_buf *entries, span part)
{
    rl_json_array(j, "logprobs");
    if (part.begin < part.end) {
        if (entries->data[part.begin] == ',')
            part.begin++;
        (void)rl_buf_add(j->buf, entries->data + part.begin, part.end - part.begin);
    }
    rl_json_end_array(j);
}

/* The only part that a message has. */
static void put_part(rl_json *j, const char *key, const rl_said *s, const item *it)
{
    const rl_choice *c = &s->choices[0];

    rl_json_object(j, key);
    rl_json_string(j, "type", "output_text");
    put_text(j, "text", &c->text, it->text);
    rl_json_array(j, "annotations");
    rl_json_end_array(j);
    put_logprobs(j, &c->logprobs[0], it->logprobs);
    rl_json_end_object(j);
}

static void open_item(rl_json *j, const char *key, const rl_said *s, uint32_t i, stage now)
{
    const items *all = s->own;
    char id[ITEM_ID];

    item_id(s, i, id);
    rl_json_object(j, key);
    rl_json_string(j, "id", id);
    rl_json_string(j, "type", all->list[i].is_call ? "function_call" : "message");
    rl_json_string(j, "status", stage_names[now]);
    if (!all->list[i].is_call)
        rl_json_string(j, "role", "assistant");
}

static void put_call(rl_json *j, const char *id, const char *name, const rl_buf *args)
{
    rl_json_string(j, "call_id", id ? id : "");
    rl_json_string(j, "name", name ? name : "");
    rl_json_stringn(j, "arguments", args && args->data ? args->data : "", args ? args->len : 0);
}

static void put_item(rl_json *j, const char *key, const rl_said *s, uint32_t i, stage now)
{
    const items *all = s->own;
    const item *it = &all->list[i];
    const rl_said_call *call = it->is_call ? call_of(s, it) : NULL;

    open_item(j, key, s, i, now);
    if (it->is_call) {
        put_call(j, call ? call->id : NULL, call ? call->name : NULL, call ? &call->args : NULL);
    } else {
        rl_json_array(j, "content");
        put_part(j, NULL, s, it);
        rl_json_end_array(j);
    }
    rl_json_end_object(j);
}

/* All items are whole, but for the last one of an answer that was cut off. */
static void put_output(rl_json *j, const rl_said *s, stage now)
{
    const items *all = s->own;
    uint32_t n = all ? all->n : 0;

    rl_json_array(j, "output");
    for (uint32_t i = 0; i < n; i++)
        put_item(j, NULL, s, i, i + 1 == n && now != COMPLETED ? INCOMPLETE : COMPLETED);
    rl_json_end_array(j);
}

/* ---- the response ---------------------------------------------------------------------------- */

/* What was sent, or what stands for its absence. */
static void put_sent(rl_json *j, const char *key, const json_t *v, const char *otherwise)
{
    rl_json_raw(j, key, v ? "" : otherwise);
    if (v)
        (void)rl_dump(j->buf, v);
}

/* Digits enough for what people write, and not so many that 0.7 becomes another number. */
static void put_number(rl_json *j, const char *key, const json_t *v, double otherwise)
{
    rl_json_double(j, key, v ? json_number_value(v) : otherwise, 15);
}

static void put_request(rl_json *j, const rl_said *s)
{
    const json_t *b = s->ask->body;

    put_sent(j, "instructions", rl_member(b, "instructions"), "null");
    put_sent(j, "max_output_tokens", rl_member(b, "max_output_tokens"), "null");
    put_sent(j, "metadata", rl_member(b, "metadata"), "{}");
    put_sent(j, "parallel_tool_calls", rl_member(b, "parallel_tool_calls"), "true");
    put_number(j, "temperature", rl_member(b, "temperature"), 1);
    put_number(j, "top_p", rl_member(b, "top_p"), 1);
    put_sent(j, "top_logprobs", rl_member(b, "top_logprobs"), "0");
    put_sent(j, "tool_choice", rl_member(b, "tool_choice"), "\"auto\"");
    put_sent(j, "tools", rl_member(b, "tools"), "[]");
    rl_json_object(j, "text");
    put_sent(j, "format", rl_member(rl_member(b, "text"), "format"), "{\"type\":\"text\"}");
    rl_json_end_object(j);
    rl_json_object(j, "reasoning");
    rl_json_null(j, "effort");
    rl_json_null(j, "summary");
    rl_json_end_object(j);
    rl_json_bool(j, "background", false);
    rl_json_bool(j, "store", false);
    rl_json_string(j, "truncation", "disabled");
    rl_json_null(j, "previous_response_id");
    rl_json_null(j, "user");
}

static void put_usage(rl_json *j, const rl_said *s)
{
    uint64_t in = rl_said_prompt_tokens(s), out = rl_said_generated_tokens(s);

    rl_json_object(j, "usage");
    rl_json_uint(j, "input_tokens", in);
    rl_json_object(j, "input_tokens_details");
    rl_json_uint(j, "cached_tokens", rl_said_cached_tokens(s));
    rl_json_uint(j, "cache_write_tokens", 0);
    rl_json_end_object(j);
    rl_json_uint(j, "output_tokens", out);
    rl_json_object(j, "output_tokens_details");
    rl_json_uint(j, "reasoning_tokens", 0);
    rl_json_end_object(j);
    rl_json_uint(j, "total_tokens", in + out);
    rl_json_end_object(j);
}

/* OpenAI's codes are few: whose fault it is. */
static const char *error_code(realm_status st)
{
    int http = realm_status_http(st);

    if (http == 429)
        return "rate_limit_exceeded";
    return http >= 400 && http < 499 ? "invalid_prompt" : "server_error";
}

/* err NULL: none */
static void put_error(rl_json *j, const realm_error *err)
{
    if (!err) {
        rl_json_null(j, "error");
        return;
    }
    rl_json_object(j, "error");
    rl_json_string(j, "code", error_code(err->status));
    rl_json_string(j, "message", err->text);
    rl_json_end_object(j);
}

static void put_response(rl_json *j, const char *key, const rl_said *s, stage now,
                         const realm_error *err)
{
    rl_json_object(j, key);
    rl_json_string(j, "id", s->id);
    rl_json_string(j, "object", "response");
    rl_json_int(j, "created_at", s->created_s);
    rl_json_string(j, "status", stage_names[now]);
    put_error(j, err);
    if (now == INCOMPLETE) {
        rl_json_object(j, "incomplete_details");
        rl_json_string(j, "reason", lack(s));
        rl_json_end_object(j);
    } else {
        rl_json_null(j, "incomplete_details");
    }
    rl_json_string(j, "model", s->ask->model);
    put_output(j, s, now);
    put_request(j, s);
    if (now == COMPLETED || now == INCOMPLETE)
        put_usage(j, s);
    else
        rl_json_null(j, "usage");
    rl_json_end_object(j);
}

/* ---- events ---------------------------------------------------------------------------------- */

typedef struct event {
    const char *type;
    rl_buf body;
    rl_json j;
} event;

static void begin(event *e, const rl_said *s, const char *type)
{
    e->type = type;
    rl_buf_init(&e->body, EVENT_MAX);
    e->j = rl_json_on(&e->body);
    rl_json_object(&e->j, NULL);
    rl_json_string(&e->j, "type", type);
    rl_json_uint(&e->j, "sequence_number", s->n_events);
}

/* Of an item, or of the part of a message. */
static void begin_at(event *e, const rl_said *s, const char *type, uint32_t i)
{
    const items *all = s->own;
    char id[ITEM_ID];

    item_id(s, i, id);
    begin(e, s, type);
    rl_json_string(&e->j, "item_id", id);
    rl_json_uint(&e->j, "output_index", i);
    if (!all->list[i].is_call)
        rl_json_uint(&e->j, "content_index", 0);
}

static void end(event *e, rl_said *s, rl_buf *sse)
{
    rl_json_end_object(&e->j);
    rl_said_event(s, sse, e->type, &e->body);
}

static void send_response(rl_said *s, const char *type, stage now, const realm_error *err,
                          rl_buf *sse)
{
    event e;

    begin(&e, s, type);
    put_response(&e.j, "response", s, now, err);
    end(&e, s, sse);
}

static void send_part(rl_said *s, const char *type, uint32_t i, rl_buf *sse)
{
    const items *all = s->own;
    event e;

    begin_at(&e, s, type, i);
    put_part(&e.j, "part", s, &all->list[i]);
    end(&e, s, sse);
}

/* The last item, as it begins. call: what is known of one; NULL for a message */
static void send_added(rl_said *s, const rl_delta *call, rl_buf *sse)
{
    const items *all = s->own;
    uint32_t i = all->n - 1;
    event e;

    begin(&e, s, "response.output_item.added");
    rl_json_uint(&e.j, "output_index", i);
    open_item(&e.j, "item", s, i, IN_PROGRESS);
    if (call) {
        put_call(&e.j, call->id, call->name, NULL);
    } else {
        rl_json_array(&e.j, "content");
        rl_json_end_array(&e.j);
    }
    rl_json_end_object(&e.j);
    end(&e, s, sse);
    if (!call)
        send_part(s, "response.content_part.added", i, sse);
}

static void send_text_done(rl_said *s, uint32_t i, rl_buf *sse)
{
    const rl_choice *c = &s->choices[0];
    const items *all = s->own;
    event e;

    begin_at(&e, s, "response.output_text.done", i);
    put_text(&e.j, "text", &c->text, all->list[i].text);
    put_logprobs(&e.j, &c->logprobs[0], all->list[i].logprobs);
    end(&e, s, sse);
    send_part(s, "response.content_part.done", i, sse);
}

static void send_args_done(rl_said *s, uint32_t i, rl_buf *sse)
{
    const items *all = s->own;
    const rl_said_call *call = call_of(s, &all->list[i]);
    event e;

    begin_at(&e, s, "response.function_call_arguments.done", i);
    rl_json_string(&e.j, "name", call && call->name ? call->name : "");
    rl_json_stringn(&e.j, "arguments", call && call->args.data ? call->args.data : "",
                    call ? call->args.len : 0);
    end(&e, s, sse);
}

static void send_done(rl_said *s, stage now, rl_buf *sse)
{
    const items *all = s->own;
    uint32_t i = all->n - 1;
    event e;

    if (all->list[i].is_call)
        send_args_done(s, i, sse);
    else
        send_text_done(s, i, sse);
    begin(&e, s, "response.output_item.done");
    rl_json_uint(&e.j, "output_index", i);
    put_item(&e.j, "item", s, i, now);
    end(&e, s, sse);
}

/* ---- what is said: sse NULL of a whole answer -------------------------------------------------
 */

static void close_item(rl_said *s, stage now, rl_buf *sse)
{
    const rl_choice *c = &s->choices[0];
    items *all = s->own;
    item *it = last_open(s);

    if (!it)
        return;
    all->open = false;
    it->text.end = c->text.len;
    it->logprobs.end = c->logprobs[0].len;
    if (sse)
        send_done(s, now, sse);
}

/* call NULL: a message */
static void begin_item(rl_said *s, const rl_delta *call, rl_buf *sse)
{
    close_item(s, COMPLETED, sse);
    if (push(s, call != NULL) && sse)
        send_added(s, call, sse);
}

static void add_text(rl_said *s, rl_choice *c, const rl_delta *d, rl_buf *sse)
{
    const items *all;
    const item *it = last_open(s);
    size_t before = c->logprobs[0].len;
    event e;

    if (d->n == 0 && json_array_size(d->tokens) == 0)
        return;
    if (!it || it->is_call)
        begin_item(s, NULL, sse);
    if (s->ask->logprobs)
        rl_wire_add_tokens(&c->logprobs[0], d->tokens);
    s->failed = s->failed || c->logprobs[0].failed;
    all = s->own;
    if (!sse || s->failed)
        return;
    begin_at(&e, s, "response.output_text.delta", all->n - 1);
    rl_json_stringn(&e.j, "delta", d->text, d->n);
    put_logprobs(&e.j, &c->logprobs[0], (span){ before, c->logprobs[0].len });
    end(&e, s, sse);
}

/* Arguments come to the call that they name, even when it is not the last. */
static void send_args(rl_said *s, const rl_delta *d, rl_buf *sse)
{
    const items *all = s->own;
    uint32_t i = all ? all->n : 0;
    event e;

    while (i > 0 && !(all->list[i - 1].is_call && all->list[i - 1].call == d->call))
        i--;
    if (i == 0)
        return;
    begin_at(&e, s, "response.function_call_arguments.delta", i - 1);
    rl_json_stringn(&e.j, "delta", d->text, d->n);
    end(&e, s, sse);
}

static void add(rl_said *s, rl_choice *c, const rl_delta *d, rl_buf *sse)
{
    if (d->kind == RL_DELTA_TEXT)
        add_text(s, c, d, sse);
    else if (d->kind == RL_DELTA_CALL)
        begin_item(s, d, sse);
    else if (sse)
        send_args(s, d, sse);
}

static void take(rl_said *s, rl_choice *c, const rl_delta *d)
{
    add(s, c, d, NULL);
}

static stage outcome(const rl_said *s)
{
    return lack(s) ? INCOMPLETE : COMPLETED;
}

static void settle(rl_said *s, rl_buf *sse)
{
    if (!s->own)
        begin_item(s, NULL, sse);
    close_item(s, outcome(s), sse);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void open_stream(rl_said *s, rl_buf *sse)
{
    send_response(s, "response.created", IN_PROGRESS, NULL, sse);
    send_response(s, "response.in_progress", IN_PROGRESS, NULL, sse);
}

/* A stream whose state there was no memory for ends without its last event. */
static void delta(rl_said *s, rl_choice *c, const rl_delta *d, rl_buf *sse)
{
    add(s, c, d, sse);
    sse->failed = sse->failed || s->failed;
}

/* A run that has failed is told of by `fail`. */
static void finish(rl_said *s, rl_choice *c, rl_buf *sse)
{
    if (c->result.status != REALM_OK)
        return;
    settle(s, sse);
    sse->failed = sse->failed || s->failed;
}

static void close_stream(rl_said *s, rl_buf *sse)
{
    stage now = outcome(s);

    send_response(s, now == COMPLETED ? "response.completed" : "response.incomplete", now, NULL,
                  sse);
}

/* What was said until then is told with it. */
static void fail(rl_said *s, const realm_error *err, rl_buf *sse)
{
    close_item(s, INCOMPLETE, NULL);
    send_response(s, "response.failed", FAILED, err, sse);
}

/* ---- whole answers --------------------------------------------------------------------------- */

static void whole(rl_said *s, rl_buf *body)
{
    rl_json j = rl_json_on(body);

    settle(s, NULL);
    put_response(&j, NULL, s, outcome(s), NULL);
}

static void free_items(rl_said *s)
{
    items *all = s->own;

    if (all)
        rl_free(all->list);
    rl_free(all);
    s->own = NULL;
}

const rl_wire rl_wire_responses = {
    .id_prefix = "resp_",
    .keeps = true,
    .open = open_stream,
    .delta = delta,
    .finish = finish,
    .close = close_stream,
    .fail = fail,
    .take = take,
    .whole = whole,
    .drop = free_items,
};
