#include "load/event.h"

#include "base/utf8.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 32u

/* ---- jansson's reader ------------------------------------------------------------------------ */

/* The fields of a delta or a message that are text; tool_calls is a list of its own. */
static const char *const texts[] = { "content", "reasoning_content", "refusal" };

static bool has_text(const json_t *v)
{
    return json_string_length(v) > 0;
}

static bool part_has_text(const json_t *part)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (has_text(json_object_get(part, texts[i])))
            return true;
    }
    return json_array_size(json_object_get(part, "tool_calls")) > 0;
}

static bool read_usage(rl_load_event *e, const json_t *usage)
{
    const json_t *prompt = json_object_get(usage, "prompt_tokens");
    const json_t *made = json_object_get(usage, "completion_tokens");

    if (!json_is_integer(prompt) || !json_is_integer(made) || json_integer_value(prompt) < 0 ||
        json_integer_value(made) < 0)
        return false;
    e->has_usage = true;
    e->prompt_tokens = (uint64_t)json_integer_value(prompt);
    e->completion_tokens = (uint64_t)json_integer_value(made);
    return true;
}

static void read_error(rl_load_event *e, const json_t *error)
{
    const char *text = json_string_value(error);

    if (!text)
        text = json_string_value(json_object_get(error, "message"));
    (void)snprintf(e->error, sizeof e->error, "%.*s", (int)sizeof e->error - 1,
                   text ? text : "an error without a message");
}

/* Usage and error, which decide the kind. */
static void read_ends(rl_load_event *e, const json_t *usage, const json_t *error)
{
    e->kind = RL_LOAD_EVENT_CHUNK;
    if (json_is_object(usage) && !read_usage(e, usage))
        e->kind = RL_LOAD_EVENT_BAD;
    if (error && !json_is_null(error)) {
        e->kind = RL_LOAD_EVENT_ERROR;
        read_error(e, error);
    }
}

void rl_load_event_read_whole(rl_load_event *e, const char *data, size_t n)
{
    json_t *root, *choice;
    size_t i;

    *e = (rl_load_event){ .kind = RL_LOAD_EVENT_BAD };
    if (n == 6 && memcmp(data, "[DONE]", 6) == 0) {
        e->kind = RL_LOAD_EVENT_DONE;
        return;
    }
    /* jansson drops a NUL that follows a number; JSON has none anywhere */
    root = n && memchr(data, 0, n) ? NULL : json_loadb(data, n, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return;
    }
    json_array_foreach(json_object_get(root, "choices"), i, choice)
    {
        if (has_text(json_object_get(choice, "text")) ||
            part_has_text(json_object_get(choice, "delta")) ||
            part_has_text(json_object_get(choice, "message")))
            e->n_texts++;
    }
    read_ends(e, json_object_get(root, "usage"), json_object_get(root, "error"));
    json_decref(root);
}

/* ---- the walk -------------------------------------------------------------------------------- */

typedef struct slice {
    const char *at;
    size_t n;
} slice;

typedef struct scan {
    const char *p, *end;
    unsigned depth;
    bool odd; /* let jansson read it */
} scan;

typedef enum part_kind { PART_DELTA, PART_MESSAGE, PART_KINDS } part_kind;

typedef struct choice_seen {
    bool text;
    bool part[PART_KINDS][4]; /* [] by the place in texts[], then tool_calls */
} choice_seen;

typedef struct seen {
    uint32_t n_texts;
    slice usage, error; /* of the value; at NULL: none */
} seen;

/* Reads a member's value, whose name was read. -> false: not JSON */
typedef bool (*member_fn)(scan *s, slice name, void *ctx);

static void space(scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

/* Past the character c, and the space before it. */
static bool past(scan *s, char c)
{
    space(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static bool hex4(scan *s, uint32_t *v)
{
    *v = 0;
    if (s->end - s->p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = *s->p++;
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                            : 16;

        if (d == 16)
            return false;
        *v = *v * 16 + d;
    }
    return true;
}

/* Behind a backslash. A NUL and half a surrogate pair are refused, as jansson does. */
static bool escape(scan *s)
{
    uint32_t high, low;

    if (s->p == s->end)
        return false;
    if (*s->p != 'u')
        return *s->p && strchr("\"\\/bfnrt", *s->p++) != NULL;
    s->p++;
    if (!hex4(s, &high) || high == 0 || (high >= 0xdc00 && high <= 0xdfff))
        return false;
    if (high < 0xd800 || high > 0xdbff)
        return true;
    if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
        return false;
    s->p += 2;
    return hex4(s, &low) && low >= 0xdc00 && low <= 0xdfff;
}

/* From behind the opening quote to behind the closing one. */
static bool string(scan *s, slice *out, bool *escaped)
{
    const char *from = s->p;

    *escaped = false;
    while (s->p < s->end) {
        unsigned char c = (unsigned char)*s->p++;

        if (c == '"') {
            *out = (slice){ from, (size_t)(s->p - 1 - from) };
            return true;
        }
        if (c < 0x20)
            return false;
        if (c == '\\') {
            *escaped = true;
            if (!escape(s))
                return false;
        }
    }
    return false;
}

static size_t digits(scan *s)
{
    const char *from = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return (size_t)(s->p - from);
}

static bool number(scan *s)
{
    const char *from;

    if (*s->p == '-')
        s->p++;
    from = s->p;
    if (digits(s) == 0 || (*from == '0' && s->p - from > 1))
        return false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (digits(s) == 0)
            return false;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        return digits(s) > 0;
    }
    return true;
}

static bool word(scan *s)
{
    static const char *const words[] = { "null", "true", "false" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);

        if ((size_t)(s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0) {
            s->p += n;
            /* "nullx" is one wrong word, not a word and an x */
            return s->p == s->end ||
                   !((*s->p >= 'a' && *s->p <= 'z') || (*s->p >= 'A' && *s->p <= 'Z'));
        }
    }
    return false;
}

static bool is(slice name, const char *text)
{
    return name.n == strlen(text) && memcmp(name.at, text, name.n) == 0;
}

static bool deeper(scan *s)
{
    if (s->depth == DEPTH) {
        s->odd = true;
        return false;
    }
    s->depth++;
    return true;
}

/* The members of an object whose brace is the next character. */
static bool members(scan *s, member_fn fn, void *ctx)
{
    slice name;
    bool escaped;

    if (!past(s, '{') || !deeper(s))
        return false;
    if (!past(s, '}')) {
        do {
            if (!past(s, '"') || !string(s, &name, &escaped))
                return false;
            if (escaped)
                s->odd = true;
            if (!past(s, ':') || !fn(s, name, ctx))
                return false;
        } while (past(s, ','));
        if (!past(s, '}'))
            return false;
    }
    s->depth--;
    return true;
}

/* The elements of an array; fn gets an empty name. */
static bool elements(scan *s, member_fn fn, void *ctx, size_t *n)
{
    const slice none = { "", 0 };

    *n = 0;
    if (!past(s, '[') || !deeper(s))
        return false;
    if (!past(s, ']')) {
        do {
            if (!fn(s, none, ctx))
                return false;
            ++*n;
        } while (past(s, ','));
        if (!past(s, ']'))
            return false;
    }
    s->depth--;
    return true;
}

/* Any value, passed over. It recurses, at most DEPTH deep by `deeper`. */
static bool skip(scan *s, slice name, void *ctx)
{
    slice text;
    bool escaped;
    size_t n;

    (void)name;
    (void)ctx;
    space(s);
    if (s->p == s->end)
        return false;
    switch (*s->p) {
    case '{':
        return members(s, skip, NULL);
    case '[':
        return elements(s, skip, NULL, &n);
    case '"':
        s->p++;
        return string(s, &text, &escaped);
    case 'n':
    case 't':
    case 'f':
        return word(s);
    default:
        return number(s);
    }
}

static char next_is(scan *s)
{
    space(s);
    return s->p < s->end ? *s->p : 0;
}

/* ---- what is looked for ---------------------------------------------------------------------- */

/* A value that counts when it is a string with something in it. */
static bool text_value(scan *s, bool *filled)
{
    const slice none = { "", 0 };
    slice text;
    bool escaped;

    *filled = false;
    if (next_is(s) != '"')
        return skip(s, none, NULL);
    s->p++;
    if (!string(s, &text, &escaped))
        return false;
    *filled = text.n > 0;
    return true;
}

static bool on_part(scan *s, slice name, void *ctx)
{
    bool *filled = ctx;
    size_t n;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (is(name, texts[i]))
            return text_value(s, &filled[i]);
    }
    if (!is(name, "tool_calls"))
        return skip(s, name, NULL);
    filled[3] = false;
    if (next_is(s) != '[')
        return skip(s, name, NULL);
    if (!elements(s, skip, NULL, &n))
        return false;
    filled[3] = n > 0;
    return true;
}

static bool on_choice_member(scan *s, slice name, void *ctx)
{
    choice_seen *c = ctx;
    part_kind kind = is(name, "delta") ? PART_DELTA : PART_MESSAGE;

    if (is(name, "text"))
        return text_value(s, &c->text);
    if (kind == PART_MESSAGE && !is(name, "message"))
        return skip(s, name, NULL);
    memset(c->part[kind], 0, sizeof c->part[kind]); /* of two of a name, the last holds */
    return next_is(s) == '{' ? members(s, on_part, c->part[kind]) : skip(s, name, NULL);
}

static bool on_choice(scan *s, slice name, void *ctx)
{
    seen *e = ctx;
    choice_seen c = { .text = false };
    bool filled;

    if (next_is(s) != '{')
        return skip(s, name, NULL);
    if (!members(s, on_choice_member, &c))
        return false;
    filled = c.text;
    for (size_t i = 0; i < sizeof c.part; i++)
        filled = filled || (&c.part[0][0])[i];
    if (filled)
        e->n_texts++;
    return true;
}

static bool on_top(scan *s, slice name, void *ctx)
{
    seen *e = ctx;
    slice *mark = is(name, "usage") ? &e->usage : is(name, "error") ? &e->error : NULL;
    size_t n;

    if (is(name, "choices")) {
        e->n_texts = 0;
        return next_is(s) == '[' ? elements(s, on_choice, e, &n) : skip(s, name, NULL);
    }
    if (!mark)
        return skip(s, name, NULL);
    (void)next_is(s);
    mark->at = s->p;
    if (!skip(s, name, NULL))
        return false;
    mark->n = (size_t)(s->p - mark->at);
    return true;
}

static json_t *load(slice v)
{
    return v.at ? json_loadb(v.at, v.n, JSON_DECODE_ANY, NULL) : NULL;
}

void rl_load_event_read(rl_load_event *e, const char *data, size_t n)
{
    scan s = { .p = data, .end = data + n };
    seen what = { .n_texts = 0 };
    json_t *usage, *error;
    bool whole;

    *e = (rl_load_event){ .kind = RL_LOAD_EVENT_BAD };
    if (n == 6 && memcmp(data, "[DONE]", 6) == 0) {
        e->kind = RL_LOAD_EVENT_DONE;
        return;
    }
    whole = members(&s, on_top, &what);
    space(&s);
    if (s.odd) {
        rl_load_event_read_whole(e, data, n);
        return;
    }
    if (!whole || s.p != s.end || !rl_utf8_valid(data, n))
        return;
    e->n_texts = what.n_texts;
    usage = load(what.usage);
    error = load(what.error);
    if ((!what.usage.at || usage) && (!what.error.at || error))
        read_ends(e, usage, error);
    json_decref(usage);
    json_decref(error);
}
