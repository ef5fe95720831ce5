/* Numbers that jansson has no room for: without this the whole body would be no JSON, and its
 * client could not tell which member is meant. An integer of more than 64 bits becomes a real of
 * the same value, and what passes a real too becomes 1e308: no member takes either, so that its
 * reader refuses it by its name. All others stay as they were written, to the last digit. */
#include "server/ask.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_SURE 18u /* so many always fit 64 bits, with their sign */

/* What a number is written with. Whether it is one, jansson says. */
static size_t number_len(const char *p, size_t n)
{
    size_t len = 0;

    while (len < n && p[len] && strchr("+-.0123456789eE", p[len]))
        len++;
    return len;
}

static bool is_integer(const char *token)
{
    return token[strcspn(token, ".eE")] == 0;
}

static bool fits_int64(const char *token)
{
    errno = 0;
    (void)strtoll(token, NULL, 10);
    return errno == 0;
}

/* token: NUL-terminated, as it was written. */
static void put_number(rl_buf *out, const rl_buf *token)
{
    bool whole = is_integer(token->data);

    if (whole && (token->len <= DIGITS_SURE || fits_int64(token->data)))
        (void)rl_buf_add(out, token->data, token->len);
    else if (isinf(strtod(token->data, NULL)))
        (void)rl_buf_adds(out, token->data[0] == '-' ? "-1e308" : "1e308");
    else
        (void)rl_buf_addf(out, "%s%s", token->data, whole ? ".0" : "");
}

/* Length of the text in quotes at p[0], both of them included, as far as there is one. */
static size_t text_len(const char *p, size_t n)
{
    size_t len = 1;

    while (len < n && p[len] != '"')
        len += p[len] == '\\' ? 2 : 1;
    return len < n ? len + 1 : n;
}

realm_status rl_ask_tame_numbers(rl_buf *out, const char *body, size_t n)
{
    rl_buf token;
    size_t len;

    rl_buf_init(&token, n);
    for (size_t i = 0; i < n && !out->failed && !token.failed; i += len) {
        len = body[i] == '"' ? text_len(body + i, n - i) : number_len(body + i, n - i);
        if (body[i] == '"' || len == 0) {
            len = len ? len : 1;
            (void)rl_buf_add(out, body + i, len);
            continue;
        }
        rl_buf_clear(&token);
        if (rl_buf_add(&token, body + i, len) == REALM_OK)
            put_number(out, &token);
    }
    out->failed = out->failed || token.failed;
    rl_buf_deinit(&token);
    return out->failed ? REALM_ENOMEM : REALM_OK;
}
