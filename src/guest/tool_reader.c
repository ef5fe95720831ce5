#include "guest/tool_reader.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

#define IN_MAX ((size_t)1 << 20) /* callers add a piece when the last one was given */

/* What is known of a text against a pattern, besides its length. */
#define NEED SIZE_MAX       /* the text ends before the pattern does */
#define NO   (SIZE_MAX - 1) /* it is something else */

typedef enum step {
    GIVEN, /* *item is one */
    AGAIN, /* another place: look again */
    NONE,  /* more text is needed */
} step;

/* A call may stand where the text begins, without a marker. */
static bool starts_bare(const rl_tool_format *f)
{
    return f->bare || f->marker[0] == 0;
}

void rl_tool_reader_init(rl_tool_reader *r, const rl_tools *tools, uint32_t most_tokens)
{
    *r = (rl_tool_reader){ .tools = tools, .most_tokens = most_tokens };
    r->place = tools->formed                ? RL_TOOL_AT_HEAD
               : starts_bare(tools->format) ? RL_TOOL_AT_START
                                            : RL_TOOL_IN_TEXT;
    rl_buf_init(&r->in, IN_MAX);
    rl_held_init(&r->held);
}

void rl_tool_reader_deinit(rl_tool_reader *r)
{
    rl_buf_deinit(&r->in);
    rl_held_deinit(&r->held);
}

void rl_tool_reader_add(rl_tool_reader *r, const char *p, size_t n)
{
    if (r->at > 0)
        rl_buf_consume(&r->in, r->at);
    r->passed += r->at;
    r->at = 0;
    (void)rl_buf_add(&r->in, p, n);
}

void rl_tool_reader_add_token(rl_tool_reader *r, const rl_stream_token *t)
{
    if (!rl_held_add(&r->held, t, r->passed + r->in.len))
        r->in.failed = true;
}

void rl_tool_reader_end(rl_tool_reader *r)
{
    r->ended = true;
}

/* ---- patterns -------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static size_t skip_space(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && is_space(p[i]))
        i++;
    return i;
}

/* The pattern at the text's beginning, white space of both aside. -> bytes of text up to its end */
static size_t loose(const char *p, size_t n, const char *pattern)
{
    size_t i = 0;

    for (; *pattern; pattern++) {
        if (is_space(*pattern))
            continue;
        i += skip_space(p + i, n - i);
        if (i == n)
            return NEED;
        if (p[i++] != *pattern)
            return NO;
    }
    return i;
}

/* One pattern behind another: `from` is an answer of loose, or 0. */
static size_t then(const char *p, size_t n, size_t from, const char *pattern)
{
    size_t k;

    if (from >= NO)
        return from;
    k = loose(p + from, n - from, pattern);
    return k >= NO ? k : from + k;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* A call from its brace up to its arguments' brace. -> that one's place; the name in *item */
static size_t read_head(const rl_tool_reader *r, const char *p, size_t n, size_t from,
                        rl_tool_item *item)
{
    char rest[32];
    size_t i = then(p, n, from, "{\"name\":\""), name = i;

    if (i >= NO)
        return i;
    while (i < n && i - name <= RL_TOOL_NAME && is_name(p[i]))
        i++;
    if (i == n)
        return NEED;
    if (p[i] != '"' || !rl_tools_has(r->tools, p + name, i - name))
        return NO;
    item->p = p + name;
    item->n = i - name;
    (void)snprintf(rest, sizeof rest, "\",\"%s\":", r->tools->format->args);
    i = then(p, n, i, rest);
    if (i >= NO)
        return i;
    i += skip_space(p + i, n - i);
    return i == n ? NEED : p[i] == '{' ? i : NO;
}

/* ---- places ---------------------------------------------------------------------------------- */

/* The next n bytes are no text, nor their tokens a text's. */
static void pass_over(rl_tool_reader *r, size_t n)
{
    r->at += n;
    rl_held_drop(&r->held, r->passed + r->at);
}

static step begin_call(rl_tool_reader *r, size_t args, rl_tool_item *item)
{
    item->part = RL_TOOL_BEGIN;
    item->index = r->n_calls++;
    pass_over(r, args);
    r->depth = 0;
    r->quoted = r->escaped = r->told = false;
    r->place = RL_TOOL_IN_ARGS;
    return GIVEN;
}

/* The next n bytes, n > 0, or as much of them as fits. */
static step give(rl_tool_reader *r, rl_tool_part part, size_t n, size_t cap, rl_tool_item *item)
{
    const char *p = r->in.data + r->at;

    if (!r->ended)
        n = rl_utf8_whole(p, n);
    if (n == 0)
        return NONE;
    item->part = part;
    item->p = p;
    item->n = n <= cap ? n : rl_utf8_whole(p, cap);
    item->index = r->n_calls - 1;
    return GIVEN;
}

/* The item ends before a token that would be one too many. */
static step give_text(rl_tool_reader *r, size_t n, size_t cap, rl_tool_item *item)
{
    step s = give(r, RL_TOOL_TEXT, n, cap, item);
    uint64_t at = r->passed + r->at, to = at + item->n;

    if (s != GIVEN || item->n == 0)
        return s;
    item->n_tokens = rl_held_take(&r->held, &to, r->most_tokens, &item->tokens);
    item->n = to > at ? (size_t)(to - at) : 0;
    r->at += item->n;
    r->told = true;
    r->plain -= r->plain < item->n ? r->plain : item->n;
    return GIVEN;
}

/* No more can be held back. */
static bool must_go_on(const rl_tool_reader *r)
{
    return r->ended || rl_held_full(&r->held);
}

/* More text could still make a call of what stands here. */
static bool may_become(const rl_tool_reader *r, size_t answer, size_t held)
{
    return answer == NEED && !must_go_on(r) && held <= RL_TOOL_HOLD;
}

/* Where the marker stands; else where the text's end could be its beginning; else n. */
static size_t find_marker(const char *p, size_t n, const char *marker, size_t len)
{
    for (size_t i = 0; i < n && len > 0; i++) {
        size_t k = n - i < len ? n - i : len;

        if (p[i] == marker[0] && memcmp(p + i, marker, k) == 0)
            return i;
    }
    return n;
}

/* White space before i, which is dropped if a call follows. */
static size_t before_space(const char *p, size_t i)
{
    size_t k = i;

    while (k > 0 && i - k < RL_TOOL_HOLD && is_space(p[k - 1]))
        k--;
    return k;
}

static step in_text(rl_tool_reader *r, size_t cap, rl_tool_item *item)
{
    const rl_tool_format *f = r->tools->format;
    const char *p = r->in.data + r->at;
    size_t n = r->in.len - r->at, len = strlen(f->marker), mark, text, args;

    if (r->plain > 0)
        return give_text(r, r->plain, cap, item);
    mark = find_marker(p, n, f->marker, len);
    text = before_space(p, mark);
    if (text > 0)
        return give_text(r, text, cap, item);
    if (len > 0 && mark + len <= n) {
        args = read_head(r, p, n, then(p, n, mark + len, f->open), item);
        if (args < NO)
            return begin_call(r, args, item);
        if (may_become(r, args, n - mark))
            return NONE;
        r->plain = mark + len;
        return AGAIN;
    }
    if (!must_go_on(r))
        return NONE;
    if (r->ended && mark == n && r->n_calls > 0 && !r->told) /* white space behind the last call */
        pass_over(r, n);
    r->plain = r->in.len - r->at;
    return r->plain > 0 ? AGAIN : NONE;
}

static step at_start(rl_tool_reader *r, rl_tool_item *item)
{
    const char *p = r->in.data + r->at;
    size_t n = r->in.len - r->at;
    size_t skip = loose(p, n, rl_tool_format_skip(r->tools->format)), args;

    args = skip == NEED ? NEED : read_head(r, p, n, skip == NO ? 0 : skip, item);
    if (args < NO)
        return begin_call(r, args, item);
    if (may_become(r, args, n))
        return NONE;
    r->place = RL_TOOL_IN_TEXT;
    return AGAIN;
}

/* Where a head is whole, the format's own way of reading goes on. */
static step at_head(rl_tool_reader *r)
{
    const char *p = r->in.data + r->at;
    size_t n = r->in.len - r->at;
    bool may = false;
    rl_head head;

    for (uint32_t i = 0; rl_tools_head(r->tools, i, &head); i++) {
        if (memcmp(p, head.text, n < head.n ? n : head.n) != 0)
            continue;
        may = true;
        if (n < head.n)
            continue;
        r->place = r->tools->format->marker[0] ? RL_TOOL_IN_TEXT : RL_TOOL_AT_START;
        return AGAIN;
    }
    if (may && !must_go_on(r))
        return NONE;
    r->place = RL_TOOL_ALL_TEXT;
    return AGAIN;
}

/* -> how many of the n bytes belong to the arguments */
static size_t scan_args(rl_tool_reader *r, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = p[i];

        if (r->escaped)
            r->escaped = false;
        else if (r->quoted && c == '\\')
            r->escaped = true;
        else if (c == '"')
            r->quoted = !r->quoted;
        else if (!r->quoted && (c == '{' || c == '['))
            r->depth++;
        else if (!r->quoted && (c == '}' || c == ']') && --r->depth == 0) {
            r->place = RL_TOOL_BEHIND;
            return i + 1;
        }
    }
    return n;
}

static step in_args(rl_tool_reader *r, size_t cap, rl_tool_item *item)
{
    size_t n = r->in.len - r->at;
    step s = n > 0 ? give(r, RL_TOOL_ARGS, n, cap < 4 ? 4 : cap, item) : NONE;

    if (s == GIVEN) {
        item->n = scan_args(r, item->p, item->n);
        pass_over(r, item->n);
    }
    return s;
}

/* Behind the arguments: the call's brace, then another call, or the end of calls. What is neither
 * is text. */
static step behind(rl_tool_reader *r, rl_tool_item *item)
{
    const rl_tool_format *f = r->tools->format;
    const char *p = r->in.data + r->at;
    size_t n = r->in.len - r->at, brace = loose(p, n, "}"), next = NO, close;

    if (brace < NO && !f->again)
        next = read_head(r, p, n, then(p, n, brace, f->between), item);
    if (next < NO)
        return begin_call(r, next, item);
    close = then(p, n, brace, f->close);
    if (may_become(r, next, n) || may_become(r, close, n))
        return NONE;
    /* without its closing mark it was a bare call, and another one may follow */
    r->place = close == NO && f->bare ? RL_TOOL_AT_START : RL_TOOL_IN_TEXT;
    if (close == NEED) /* the text was cut in the frame */
        pass_over(r, n);
    else if (close < NO)
        pass_over(r, close);
    else if (brace < NO)
        pass_over(r, brace);
    return AGAIN;
}

/* Tokens behind the last text of all: those that have none themselves. */
static step give_rest(rl_tool_reader *r, rl_tool_item *item)
{
    bool in_call = r->place == RL_TOOL_IN_ARGS || r->place == RL_TOOL_BEHIND;
    uint64_t to = r->passed + r->in.len + 1;

    if (r->at < r->in.len || !must_go_on(r))
        return NONE;
    if (in_call || (r->ended && r->n_calls > 0 && !r->told))
        rl_held_drop(&r->held, UINT64_MAX);
    *item = (rl_tool_item){ .part = RL_TOOL_TEXT, .p = "" };
    item->n_tokens = rl_held_take(&r->held, &to, r->most_tokens, &item->tokens);
    return item->n_tokens > 0 ? GIVEN : NONE;
}

bool rl_tool_reader_next(rl_tool_reader *r, rl_tool_item *item, size_t cap)
{
    step s = AGAIN;

    *item = (rl_tool_item){ .part = RL_TOOL_TEXT };
    while (s == AGAIN && r->at < r->in.len) {
        switch (r->place) {
        case RL_TOOL_AT_HEAD:
            s = at_head(r);
            break;
        case RL_TOOL_ALL_TEXT:
            s = give_text(r, r->in.len - r->at, cap, item);
            break;
        case RL_TOOL_AT_START:
            s = at_start(r, item);
            break;
        case RL_TOOL_IN_TEXT:
            s = in_text(r, cap, item);
            break;
        case RL_TOOL_IN_ARGS:
            s = in_args(r, cap, item);
            break;
        case RL_TOOL_BEHIND:
            s = behind(r, item);
            break;
        }
    }
    if (s != GIVEN)
        s = give_rest(r, item);
    return s == GIVEN;
}

/* What next changes is all in the struct; the text itself stays. */
bool rl_tool_reader_ready(const rl_tool_reader *r)
{
    rl_tool_reader copy = *r;
    rl_tool_item item;

    return rl_tool_reader_next(&copy, &item, SIZE_MAX);
}
