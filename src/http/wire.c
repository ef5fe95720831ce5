#include "http/wire.h"

#include <string.h>

#define NO_FAULT ((rl_http_fault){ 0, NULL })

static rl_http_fault bad(const char *text)
{
    return (rl_http_fault){ 400, text };
}

rl_http_fault rl_http_wire_end(const char *p, size_t n, size_t seen, size_t *end)
{
    *end = 0;
    if (n && (p[0] == '\r' || p[0] == '\n'))
        return bad("the request does not begin with its request line");
    for (size_t i = seen; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        bool after_cr = i > 0 && p[i - 1] == '\r';

        if (after_cr != (c == '\n'))
            return bad("a line of the head does not end with CR LF");
        if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
            return bad("the head holds a control character");
        if (c == '\n' && p[i - 2] == '\n') { /* p[0] is none, so there are two before */
            *end = i + 1;
            return NO_FAULT;
        }
    }
    return NO_FAULT;
}

static rl_http_span trim(const char *p, size_t n)
{
    while (n && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    return (rl_http_span){ p, n };
}

/* METHOD TARGET VERSION: exactly two spaces. What else each may hold is head.c's. */
static bool split_request_line(const char *p, size_t n, rl_http_head *head)
{
    const char *end = p + n;
    const char *one = memchr(p, ' ', n);
    const char *two = one ? memchr(one + 1, ' ', (size_t)(end - one - 1)) : NULL;

    if (!two || memchr(two + 1, ' ', (size_t)(end - two - 1)))
        return false;
    head->method = (rl_http_span){ p, (size_t)(one - p) };
    head->target = (rl_http_span){ one + 1, (size_t)(two - one - 1) };
    head->version = (rl_http_span){ two + 1, (size_t)(end - two - 1) };
    head->line_bytes = n;
    return true;
}

static size_t line_length(const char *p, const char *end)
{
    const char *cr = memchr(p, '\r', (size_t)(end - p));

    return (size_t)((cr ? cr : end) - p);
}

rl_http_fault rl_http_wire_split(const char *p, size_t n, uint32_t fields_max, rl_http_head *head)
{
    const char *end = p + n - 2; /* the empty line */
    size_t len = line_length(p, end);

    head->n_lines = 0;
    if (!split_request_line(p, len, head))
        return bad("the request line is not a method, a target and a version");
    p += len + 2;
    head->field_bytes = (size_t)(end - p);
    for (; p < end; p += len + 2) {
        const char *colon;

        len = line_length(p, end);
        colon = memchr(p, ':', len);
        if (!colon || *p == ' ' || *p == '\t')
            return bad("a header line is folded, or has no colon");
        if (head->n_lines < fields_max)
            head->lines[head->n_lines] =
                (rl_http_line){ { p, (size_t)(colon - p) },
                                trim(colon + 1, (size_t)(p + len - colon - 1)) };
        head->n_lines++;
    }
    return NO_FAULT;
}
