/* Chunks: the framing of a chunked body, byte by byte. Extensions and trailers must be well formed;
 * what they say is not used. */
#include "http/wire.h"

#include <string.h>

#define DIGITS_MAX 16

typedef enum state {
    SIZE,
    EXT, /* after ';' */
    EXT_NAME,
    EXT_EQUALS, /* after '=' */
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPED, /* after a backslash in quotes */
    EXT_CLOSED,  /* after the quotes */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* a trailer, or the end */
    NAME,
    VALUE,
    LINE_LF,
    LAST_LF,
} state;

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_token(char c)
{
    return rl_http_is_token((rl_http_span){ &c, 1 });
}

static bool is_text(char c)
{
    return rl_http_is_value((rl_http_span){ &c, 1 });
}

static void fail(rl_http_chunks *ch, int status, const char *text)
{
    ch->fault = (rl_http_fault){ status, text };
}

/* Goes to `next` when the byte is what belongs there. */
static void expect(rl_http_chunks *ch, bool is, state next)
{
    if (is)
        ch->state = next;
    else
        fail(ch, 400, "the framing of a chunk is malformed");
}

/* What may follow an extension, or stand in its place. */
static void after_extension(rl_http_chunks *ch, char c)
{
    expect(ch, c == ';' || c == '\r', c == ';' ? EXT : SIZE_LF);
}

static void size(rl_http_chunks *ch, char c)
{
    int v = hex(c);

    if (v < 0) {
        if (ch->digits == 0)
            fail(ch, 400, "a chunk has no size");
        else
            after_extension(ch, c);
        return;
    }
    ch->extra = 0;
    ch->left = ch->left * 16 + (uint64_t)v;
    if (++ch->digits > DIGITS_MAX)
        fail(ch, 413, "the body is over its limit");
}

static void extension(rl_http_chunks *ch, char c)
{
    switch ((state)ch->state) {
    case EXT:
        expect(ch, is_token(c), EXT_NAME);
        break;
    case EXT_NAME:
        if (c == '=')
            ch->state = EXT_EQUALS;
        else if (!is_token(c))
            after_extension(ch, c);
        break;
    case EXT_EQUALS:
        expect(ch, c == '"' || is_token(c), c == '"' ? EXT_QUOTED : EXT_TOKEN);
        break;
    case EXT_TOKEN:
        if (!is_token(c))
            after_extension(ch, c);
        break;
    case EXT_QUOTED:
        expect(ch, is_text(c), c == '"' ? EXT_CLOSED : c == '\\' ? EXT_ESCAPED : EXT_QUOTED);
        break;
    case EXT_ESCAPED:
        expect(ch, is_text(c), EXT_QUOTED);
        break;
    default:
        after_extension(ch, c);
    }
}

static void trailer(rl_http_chunks *ch, char c)
{
    switch ((state)ch->state) {
    case LINE:
        expect(ch, c == '\r' || is_token(c), c == '\r' ? LAST_LF : NAME);
        break;
    case NAME:
        expect(ch, c == ':' || is_token(c), c == ':' ? VALUE : NAME);
        break;
    case VALUE:
        expect(ch, c == '\r' || is_text(c), c == '\r' ? LINE_LF : VALUE);
        break;
    case LINE_LF:
        expect(ch, c == '\n', LINE);
        break;
    default:
        expect(ch, c == '\n', LAST_LF);
        ch->over = c == '\n';
    }
}

static void step(rl_http_chunks *ch, char c)
{
    switch ((state)ch->state) {
    case SIZE:
        size(ch, c);
        return;
    case SIZE_LF:
        expect(ch, c == '\n', ch->left ? DATA : LINE);
        ch->digits = 0;
        ch->extra = 0;
        return;
    case DATA_CR:
        expect(ch, c == '\r', DATA_LF);
        return;
    case DATA_LF:
        expect(ch, c == '\n', SIZE);
        return;
    default:
        break;
    }
    if (ch->state < SIZE_LF)
        extension(ch, c);
    else
        trailer(ch, c);
    if (++ch->extra > RL_HTTP_EXTRA_MAX)
        fail(ch, 431, "the extensions of a chunk, or the trailers, are over their limit");
}

size_t rl_http_chunks_take(rl_http_chunks *ch, const char *p, size_t n, rl_http_span *data)
{
    size_t i = 0;

    *data = (rl_http_span){ p, 0 };
    while (i < n && !ch->over && !ch->fault.status) {
        if (ch->state == DATA) {
            data->p = p + i;
            data->n = ch->left < n - i ? (size_t)ch->left : n - i;
            ch->left -= data->n;
            if (ch->left == 0)
                ch->state = DATA_CR;
            return i + data->n;
        }
        step(ch, p[i++]);
    }
    return i;
}
