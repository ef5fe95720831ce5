/* Wire: reads a head out of libmicrohttpd, and finds what its lenient parser forgave.
 *
 * libmicrohttpd 0.9.75 takes a lone LF for a line end, folded lines, extra spaces in the request
 * line and a NUL for the end of a text, and says nothing of it: each is a way to make two parsers
 * see different requests. But it parses in place. Its strings lie where the bytes were received,
 * and only line ends and colons were overwritten. So in a sound head every string begins exactly
 * where the one before it ends plus what must be between them: one space, or CR LF. A string
 * anywhere else was forgiven something, and its request is refused. Addresses are only compared:
 * should a later version copy its strings, every request would be refused, not some request
 * misread.
 *
 * Unseen stays what leaves the same number of bytes where line ends belong, for those are zeros
 * when we look: NUL LF for CR LF, and ':' LF as the empty line, which libmicrohttpd takes for one.
 * Each has a lone LF, and a NUL or a field without a name, which nobody who stands between may
 * pass on. */
#include "http/internal.h"

#include <string.h>

#define CRLF 2

typedef struct walk {
    rl_http_head *head;
    uint32_t cap;
    uintptr_t at; /* where the next name must begin */
    bool sound;
} walk;

static rl_http_span trim(rl_http_span s)
{
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static enum MHD_Result on_field(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_n,
                                const char *value, size_t value_n)
{
    walk *w = cls;
    rl_http_head *head = w->head;

    (void)kind;
    w->sound = w->sound && (uintptr_t)name == w->at && (uintptr_t)value > w->at + name_n;
    w->at = (uintptr_t)value + value_n + CRLF;
    if (head->n_lines < w->cap)
        head->lines[head->n_lines] =
            (rl_http_line){ { name, name_n }, trim((rl_http_span){ value, value_n }) };
    head->n_lines++;
    return MHD_YES;
}

/* Where heads begin in a connection's memory: always the same place, unless bytes were skipped. */
static bool at_base(rl_http_conn *c, const char *method)
{
    if (!c->base && (uintptr_t)method % 16 == 0)
        c->base = method;
    return c->base == method;
}

rl_http_fault rl_http_wire_read(rl_http_exchange *ex, rl_http_head *head, const char *method,
                                const char *version)
{
    rl_http *h = ex->conn->http;
    walk w = { .head = head, .cap = h->o.fields_max, .sound = true };
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(ex->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    uintptr_t begin = (uintptr_t)method, first;

    head->lines = h->lines;
    head->n_lines = 0;
    head->method = (rl_http_span){ method, strlen(method) };
    head->target = (rl_http_span){ ex->raw_target, strlen(ex->raw_target) };
    head->version = (rl_http_span){ version, strlen(version) };
    w.sound = (uintptr_t)ex->raw_at == begin + head->method.n + 1 &&
              (uintptr_t)version == (uintptr_t)ex->raw_at + head->target.n + 1;
    head->line_bytes = (uintptr_t)version + head->version.n - begin;
    w.at = first = (uintptr_t)version + head->version.n + CRLF;
    (void)MHD_get_connection_values_n(ex->mhd, MHD_HEADER_KIND, on_field, &w);
    head->field_bytes = w.at - first;
    ex->head_bytes = w.at + CRLF - begin;
    if (!at_base(ex->conn, method))
        return (rl_http_fault){ 400, "the request does not begin with its request line" };
    if (!w.sound || !info || info->header_size != ex->head_bytes)
        return (rl_http_fault){ 400,
                                "the head holds a NUL, a folded line, a space too many, or a line "
                                "that does not end with CR LF" };
    return (rl_http_fault){ 0, NULL };
}
