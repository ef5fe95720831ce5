#include "engine/echo.h"

#include "base/utf8.h"

#include <string.h>

/* U+2581: SPM's tokens have a space in its place, so a text with it is no guide to them. */
static const char space_mark[] = "\xe2\x96\x81";

#define PIECE_MAX ((size_t)4 << 20)

void rl_echo_init(rl_echo *e, const rl_vocab *v, const uint32_t *ids, uint32_t from, uint32_t to,
                  const char *text)
{
    *e = (rl_echo){ .vocab = v, .ids = ids, .from = from, .to = to, .at = from };
    e->text = text && !strstr(text, space_mark) ? text : NULL;
    e->n_text = e->text ? strlen(text) : 0;
    rl_buf_init(&e->piece, PIECE_MAX);
}

void rl_echo_deinit(rl_echo *e)
{
    rl_buf_deinit(&e->piece);
}

/* Whether the text goes on with these bytes. */
static bool matches(const rl_echo *e, const char *p, size_t n)
{
    return n <= e->n_text - e->n_matched && memcmp(e->text + e->n_matched, p, n) == 0;
}

/* A space that the tokenizer put in front of a word, at the beginning or behind a control token:
 * nobody sent it. Of bare ids only the first can have one for certain. */
static bool has_surplus(const rl_echo *e)
{
    const char *p = e->piece.data;
    size_t n = e->piece.len;

    if (n == 0 || p[0] != ' ')
        return false;
    if (!e->text)
        return e->at == e->from && rl_vocab_get_info(e->vocab)->add_space_prefix;
    return !matches(e, p, n) && matches(e, p + 1, n - 1);
}

/* Where the tokens' text is another one than what they were made of, it is no guide any more. */
static void follow_text(rl_echo *e)
{
    if (!e->text || e->piece.len == 0)
        return;
    if (matches(e, e->piece.data, e->piece.len))
        e->n_matched += e->piece.len;
    else
        e->text = NULL;
}

realm_status rl_echo_peek(rl_echo *e, size_t *left)
{
    realm_status st = REALM_OK;

    *left = 0;
    if (!e->open) {
        rl_buf_clear(&e->piece);
        st = rl_detok_add(&e->detok, e->vocab, e->ids[e->at], 0, &e->piece);
        if (st != REALM_OK)
            return st;
        e->open = true;
        e->skipped = has_surplus(e);
        rl_buf_consume(&e->piece, e->skipped);
        follow_text(e);
    }
    *left = e->piece.len;
    return st;
}

size_t rl_echo_take(rl_echo *e, char *out, size_t cap)
{
    size_t n = 0;

    if (e->piece.len > 0) {
        n = rl_utf8_whole(e->piece.data, cap < e->piece.len ? cap : e->piece.len);
        memcpy(out, e->piece.data, n);
        rl_buf_consume(&e->piece, n);
    }
    if (e->piece.len == 0) {
        e->open = false;
        e->at++;
    }
    return n;
}

realm_status rl_echo_rest(const rl_echo *e, rl_detok *rest)
{
    realm_status st = REALM_OK;
    rl_buf text;

    *rest = (rl_detok){ 0 };
    rl_buf_init(&text, PIECE_MAX);
    for (uint32_t i = e->from; i < e->to && st == REALM_OK; i++) {
        rl_buf_clear(&text);
        st = rl_detok_add(rest, e->vocab, e->ids[i], 0, &text);
    }
    rl_buf_deinit(&text);
    return st;
}
