/* The wire of completions: texts that go on. */
#include "server/wire.h"

#define EVENT_MAX ((size_t)1 << 20)
#define OBJECT    "text_completion"

enum { TOKENS, VALUES, TOPS, OFFSETS, N_LISTS }; /* of a choice's log-probabilities */

/* ---- log-probabilities: four lists side by side ---------------------------------------------- */

static rl_json list_on(rl_buf *list)
{
    return (rl_json){ .buf = list, .comma = list->len > 0 };
}

/* Nothing was predicted in the place of an echoed prompt's first token. */
static void add_top(rl_buf *list, const json_t *top)
{
    rl_json j = list_on(list);
    const json_t *t;
    size_t i;

    if (json_is_null(top)) {
        rl_json_null(&j, NULL);
        return;
    }
    rl_json_object(&j, NULL);
    json_array_foreach(top, i, t)
    {
        const char *text = json_string_value(json_object_get(t, "text"));

        rl_json_double(&j, text ? text : "", json_number_value(json_object_get(t, "logprob")), 9);
    }
    rl_json_end_object(&j);
}

/* offset: where the token's text begins, in characters of the choice's text */
static void add_token(rl_buf *lists, const json_t *t, size_t offset)
{
    const json_t *text = json_object_get(t, "text"), *logprob = json_object_get(t, "logprob");
    rl_json j = list_on(&lists[TOKENS]);

    rl_json_stringn(&j, NULL, json_string_value(text), json_string_length(text));
    j = list_on(&lists[VALUES]);
    if (json_is_null(logprob))
        rl_json_null(&j, NULL);
    else
        rl_json_double(&j, NULL, json_number_value(logprob), 9);
    add_top(&lists[TOPS], json_object_get(t, "top"));
    j = list_on(&lists[OFFSETS]);
    rl_json_uint(&j, NULL, offset);
}

static size_t characters(const json_t *text)
{
    const char *p = json_string_value(text);
    size_t n = 0;

    for (size_t i = 0; i < json_string_length(text); i++)
        n += ((unsigned char)p[i] & 0xc0) != 0x80;
    return n;
}

static void add_tokens(rl_buf *lists, const json_t *tokens, size_t offset)
{
    const json_t *t;
    size_t i;

    json_array_foreach(tokens, i, t)
    {
        add_token(lists, t, offset);
        offset += characters(json_object_get(t, "text"));
    }
}

static void put_list(rl_json *j, const char *key, const rl_buf *list)
{
    rl_buf text;

    rl_buf_init(&text, SIZE_MAX);
    (void)rl_buf_addf(&text, "[%s]", list->data ? list->data : "");
    rl_json_raw(j, key, text.failed ? "[]" : text.data);
    rl_buf_deinit(&text);
}

static void put_logprobs(rl_json *j, const rl_said *s, const rl_buf *lists)
{
    if (!s->ask->logprobs) {
        rl_json_null(j, "logprobs");
        return;
    }
    rl_json_object(j, "logprobs");
    put_list(j, "tokens", &lists[TOKENS]);
    put_list(j, "token_logprobs", &lists[VALUES]);
    put_list(j, "top_logprobs", &lists[TOPS]);
    put_list(j, "text_offset", &lists[OFFSETS]);
    rl_json_end_object(j);
}

/* ---- choices --------------------------------------------------------------------------------- */

static void put_choice(rl_json *j, const rl_said *s, uint32_t index, const char *text, size_t n,
                       const rl_buf *lists, const char *finish)
{
    rl_json_object(j, NULL);
    rl_json_uint(j, "index", index);
    rl_json_stringn(j, "text", text, n);
    put_logprobs(j, s, lists);
    rl_wire_put_text(j, "finish_reason", finish);
    rl_json_end_object(j);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void send(rl_said *s, const rl_choice *c, const char *text, size_t n, const rl_buf *lists,
                 const char *finish, rl_buf *sse)
{
    rl_buf body;
    rl_json j;

    rl_buf_init(&body, EVENT_MAX);
    j = rl_json_on(&body);
    rl_wire_open_choices(&j, s, OBJECT);
    put_choice(&j, s, c->index, text, n, lists, finish);
    rl_json_end_array(&j);
    if (s->ask->include_usage)
        rl_json_null(&j, "usage");
    rl_json_end_object(&j);
    rl_said_event(s, sse, NULL, &body);
}

static const rl_buf no_lists[N_LISTS];

static void open_stream(rl_said *s, rl_buf *sse)
{
    (void)s; /* the first event has text */
    (void)sse;
}

static void delta(rl_said *s, rl_choice *c, const rl_delta *d, rl_buf *sse)
{
    rl_buf lists[N_LISTS];

    if (d->kind != RL_DELTA_TEXT)
        return;
    for (size_t i = 0; i < N_LISTS; i++)
        rl_buf_init(&lists[i], EVENT_MAX);
    add_tokens(lists, d->tokens, c->offset);
    send(s, c, d->text, d->n, lists, NULL, sse);
    for (size_t i = 0; i < N_LISTS; i++)
        rl_buf_deinit(&lists[i]);
}

static void finish(rl_said *s, rl_choice *c, rl_buf *sse)
{
    send(s, c, "", 0, no_lists, rl_said_finish(c), sse);
}

static void close_stream(rl_said *s, rl_buf *sse)
{
    rl_wire_close_stream(s, OBJECT, sse);
}

/* ---- whole answers --------------------------------------------------------------------------- */

static void take(rl_said *s, rl_choice *c, const rl_delta *d)
{
    if (s->ask->logprobs && d->kind == RL_DELTA_TEXT)
        add_tokens(c->logprobs, d->tokens, c->offset);
}

static void whole(rl_said *s, rl_buf *body)
{
    rl_json j = rl_json_on(body);

    rl_wire_open_choices(&j, s, OBJECT);
    for (uint32_t i = 0; i < s->n; i++) {
        const rl_choice *c = &s->choices[i];

        s->failed = s->failed || c->logprobs[TOPS].failed;
        put_choice(&j, s, i, c->text.data ? c->text.data : "", c->text.len, c->logprobs,
                   rl_said_finish(c));
    }
    rl_json_end_array(&j);
    rl_wire_put_usage(&j, s);
    rl_json_end_object(&j);
}

const rl_wire rl_wire_text = {
    .id_prefix = "cmpl-",
    .open = open_stream,
    .delta = delta,
    .finish = finish,
    .close = close_stream,
    .fail = rl_said_error,
    .take = take,
    .whole = whole,
};
