#include "server/said.h"

#include "server/internal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <string.h>

#define TEXT_MAX  ((size_t)32 << 20) /* of a whole answer's choice */
#define CALLS_MAX 128u
#define EVENT_MAX ((size_t)1 << 20)

/* ---- life ------------------------------------------------------------------------------------ */

static void choice_init(rl_choice *c, uint32_t index)
{
    c->index = index;
    rl_buf_init(&c->text, TEXT_MAX);
    for (size_t i = 0; i < RL_COUNT(c->logprobs); i++)
        rl_buf_init(&c->logprobs[i], TEXT_MAX);
}

static void choice_deinit(rl_choice *c)
{
    for (uint32_t i = 0; i < c->n_calls; i++) {
        rl_free(c->calls[i].id);
        rl_free(c->calls[i].name);
        rl_buf_deinit(&c->calls[i].args);
    }
    rl_free(c->calls);
    rl_buf_deinit(&c->text);
    for (size_t i = 0; i < RL_COUNT(c->logprobs); i++)
        rl_buf_deinit(&c->logprobs[i]);
}

bool rl_said_init(rl_said *s, const rl_wire *wire, rl_ask *ask)
{
    *s = (rl_said){ .wire = wire, .ask = ask, .n = rl_ask_choices(ask) };
    s->choices = rl_alloc_array(s->n, sizeof *s->choices);
    if (!s->choices)
        return false;
    for (uint32_t i = 0; i < s->n; i++)
        choice_init(&s->choices[i], i);
    rl_reply_id(s->id, wire->id_prefix);
    s->created_s = rl_clock_unix_s();
    return true;
}

void rl_said_deinit(rl_said *s)
{
    if (s->wire && s->wire->drop)
        s->wire->drop(s);
    for (uint32_t i = 0; s->choices && i < s->n; i++)
        choice_deinit(&s->choices[i]);
    rl_free(s->choices);
    s->choices = NULL;
    s->own = NULL;
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static bool add_call(rl_choice *c, const rl_delta *d)
{
    rl_said_call *more, *call;

    more = rl_realloc(c->calls, (c->n_calls + 1) * sizeof *more);
    if (!more)
        return false;
    c->calls = more;
    call = &more[c->n_calls++];
    *call = (rl_said_call){ .id = rl_strdup(d->id), .name = rl_strdup(d->name) };
    rl_buf_init(&call->args, TEXT_MAX);
    return call->id && call->name;
}

static void keep(rl_said *s, rl_choice *c, const rl_delta *d)
{
    bool ok = true;

    if (d->kind == RL_DELTA_TEXT)
        ok = rl_buf_add(&c->text, d->text, d->n) == REALM_OK;
    else if (d->kind == RL_DELTA_CALL)
        ok = add_call(c, d);
    else if (d->call < c->n_calls)
        ok = rl_buf_add(&c->calls[d->call].args, d->text, d->n) == REALM_OK;
    s->failed = s->failed || !ok;
}

static size_t count_characters(const char *p, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)p[i] & 0xc0) != 0x80;
    return count;
}

static void told(rl_said *s, rl_choice *c, const rl_delta *d, rl_buf *sse)
{
    if (sse)
        s->wire->delta(s, c, d, sse);
    else if (s->wire->take)
        s->wire->take(s, c, d);
    if (!sse || s->wire->keeps)
        keep(s, c, d);
    if (d->kind == RL_DELTA_TEXT)
        c->offset += count_characters(d->text, d->n);
}

/* ---- events ---------------------------------------------------------------------------------- */

static const char *text_of(const json_t *e, const char *key)
{
    const char *s = json_string_value(json_object_get(e, key));

    return s ? s : "";
}

static void add_finish(rl_choice *c, const char *reason)
{
    size_t n = strlen(reason);

    n = n < sizeof c->finish ? n : sizeof c->finish - 1;
    memcpy(c->finish, reason, n);
    c->finish[n] = 0;
}

/* A call's first event has its name. Calls are counted here: what numbers a program gives them is
 * its own affair, and arguments belong to the last one. */
static void add_tool(rl_said *s, rl_choice *c, const json_t *e, rl_buf *sse)
{
    const json_t *args = json_object_get(e, "args");
    rl_delta d = { .kind = RL_DELTA_CALL,
                   .id = text_of(e, "id"),
                   .name = text_of(e, "name"),
                   .text = json_is_string(args) ? json_string_value(args) : "",
                   .n = json_string_length(args) };

    if (c->told_calls == CALLS_MAX && d.name[0])
        return; /* no client wants so many */
    if (d.name[0]) {
        d.call = c->told_calls++;
        told(s, c, &d, sse);
    }
    d.kind = RL_DELTA_ARGS;
    if (d.n == 0 || c->told_calls == 0)
        return;
    d.call = c->told_calls - 1;
    told(s, c, &d, sse);
}

static void add_event(rl_said *s, rl_choice *c, const json_t *e, rl_buf *sse)
{
    const char *kind = text_of(e, "event");
    const json_t *text = json_object_get(e, "text");
    const json_t *tokens = json_object_get(e, "tokens");

    if (strcmp(kind, "finish") == 0)
        add_finish(c, text_of(e, "reason"));
    else if (strcmp(kind, "tool") == 0)
        add_tool(s, c, e, sse);
    else if (strcmp(kind, "delta") == 0)
        told(s, c,
             &(rl_delta){ .kind = RL_DELTA_TEXT,
                          .text = json_is_string(text) ? json_string_value(text) : "",
                          .n = json_string_length(text),
                          .tokens = json_is_array(tokens) ? tokens : NULL },
             sse);
}

/* Text needs no reading; only what has more to say comes as an event. */
void rl_said_add(rl_said *s, rl_choice *c, rl_reply_kind kind, const char *data, size_t n,
                 rl_buf *sse)
{
    json_t *e;

    if (kind == RL_REPLY_TEXT)
        told(s, c, &(rl_delta){ .kind = RL_DELTA_TEXT, .text = data, .n = n }, sse);
    if (kind != RL_REPLY_EVENT)
        return;
    e = json_loadb(data, n, JSON_ALLOW_NUL, NULL);
    add_event(s, c, e, sse);
    json_decref(e);
}

void rl_said_end(rl_said *s, rl_choice *c, const rl_run_result *result, rl_buf *sse)
{
    c->over = true;
    c->result = *result;
    if (sse)
        s->wire->finish(s, c, sse);
}

/* ---- for wires ------------------------------------------------------------------------------- */

uint64_t rl_said_prompt_tokens(const rl_said *s)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->n; i += s->ask->n)
        sum += s->choices[i].result.prompt_tokens;
    return sum;
}

uint64_t rl_said_cached_tokens(const rl_said *s)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->n; i += s->ask->n) {
        uint64_t least = s->choices[i].result.cached_tokens;

        for (uint32_t k = i + 1; k < i + s->ask->n; k++)
            if (s->choices[k].result.cached_tokens < least)
                least = s->choices[k].result.cached_tokens;
        sum += least;
    }
    return sum;
}

uint64_t rl_said_generated_tokens(const rl_said *s)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->n; i++)
        sum += s->choices[i].result.generated_tokens;
    return sum;
}

const char *rl_said_finish(const rl_choice *c)
{
    return c->finish[0] ? c->finish : "stop";
}

void rl_said_event(rl_said *s, rl_buf *sse, const char *event, rl_buf *json)
{
    if (json->failed)
        sse->failed = true;
    else
        rl_http_sse(sse, event, json->data, json->len);
    s->n_events++;
    rl_buf_deinit(json);
}

void rl_said_error(rl_said *s, const realm_error *err, rl_buf *sse)
{
    rl_buf body;

    rl_buf_init(&body, EVENT_MAX);
    rl_reply_put_error(
        &body, &(rl_complaint){ .status = realm_status_http(err->status), .text = err->text });
    rl_said_event(s, sse, NULL, &body);
}
