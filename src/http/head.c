#include "http/head.h"

#include "base/utf8.h"

#include <string.h>
#include <strings.h>

#define METHOD_MAX 32
#define NO_FAULT   ((rl_http_fault){ 0, NULL })

static rl_http_fault fault(int status, const char *text)
{
    return (rl_http_fault){ status, text };
}

static bool span_is(rl_http_span s, const char *text)
{
    return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool rl_http_is_token(rl_http_span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char((unsigned char)s.p[i]))
            return false;
    return s.n > 0;
}

bool rl_http_is_value(rl_http_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of the escape at s[i], a '%'; -1: it is none. */
static int unescape(rl_http_span s, size_t i)
{
    int hi, lo;

    if (s.n - i < 3)
        return -1;
    hi = hex(s.p[i + 1]);
    lo = hex(s.p[i + 2]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

static bool has_dot_part(const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");

        if ((n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
            return true;
        path += n;
        path += *path == '/';
    }
    return false;
}

bool rl_http_path_decode(rl_http_span path, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < path.n; i++) {
        int c = (unsigned char)path.p[i];

        if (c == '%') {
            c = unescape(path, i);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f)
            return false;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return rl_utf8_valid(out, n) && !has_dot_part(out);
}

/* Nobody could read it otherwise. */
static bool query_is_sound(rl_http_span query)
{
    for (size_t i = 0; i < query.n; i++)
        if (query.p[i] == '%' && unescape(query, i) <= 0)
            return false;
    return true;
}

static bool is_host(rl_http_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (!is_token_char(c) && c != ':' && c != '[' && c != ']')
            return false;
    }
    return true;
}

/* "http://host:port/path" -> the host, and what follows it is left in `target`. */
static bool take_authority(rl_http_span *target, rl_http_span *host)
{
    static const char *const schemes[] = { "http://", "https://" };

    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]);

        if (target->n <= n || strncasecmp(target->p, schemes[i], n) != 0)
            continue;
        host->p = target->p + n;
        host->n = 0;
        while (n + host->n < target->n && host->p[host->n] != '/' && host->p[host->n] != '?')
            host->n++;
        target->p = host->p + host->n;
        target->n -= n + host->n;
        return host->n > 0 && is_host(*host);
    }
    return false;
}

static rl_http_fault check_target(rl_http_head *h, rl_http_span *authority)
{
    rl_http_span t = h->target;
    const char *mark;

    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];

        if (c <= 0x20 || c >= 0x7f || c == '#')
            return fault(400, "the request target holds a character that must be escaped");
    }
    if (span_is(t, "*")) {
        h->path = t;
        return span_is(h->method, "OPTIONS") ? NO_FAULT
                                             : fault(400, "the target * is for OPTIONS only");
    }
    if (t.n == 0 || (t.p[0] != '/' && !take_authority(&t, authority)))
        return fault(400, "the request target must be a path or an http URL");
    mark = t.n ? memchr(t.p, '?', t.n) : NULL;
    h->path = (rl_http_span){ t.p, mark ? (size_t)(mark - t.p) : t.n };
    if (h->path.n == 0)
        h->path = (rl_http_span){ "/", 1 };
    if (mark)
        h->query = (rl_http_span){ mark + 1, (size_t)(t.p + t.n - mark - 1) };
    if (!query_is_sound(h->query))
        return fault(400, "the query holds a bad escape; write a percent sign as %25");
    return NO_FAULT;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_version(rl_http_span v)
{
    return v.n == 8 && strncmp(v.p, "HTTP/", 5) == 0 && is_digit(v.p[5]) && v.p[6] == '.' &&
           is_digit(v.p[7]);
}

static rl_http_fault check_request_line(rl_http_head *h, uint32_t line_max)
{
    if (h->line_bytes > line_max)
        return fault(414, "the request line is over its limit; send a shorter target");
    if (!rl_http_is_token(h->method) || h->method.n > METHOD_MAX)
        return fault(400, "the method is not a token");
    if (!is_version(h->version))
        return fault(400, "the request line does not end with an HTTP version");
    h->old = strncmp(h->version.p, "HTTP/1.0", 8) == 0;
    if (!h->old && strncmp(h->version.p, "HTTP/1.1", 8) != 0)
        return fault(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    return NO_FAULT;
}

/* The only line of that name. -> how many there are */
static uint32_t find(const rl_http_head *h, const char *name, rl_http_span *value)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < h->n_lines; i++) {
        if (span_is(h->lines[i].name, name)) {
            *value = h->lines[i].value;
            n++;
        }
    }
    return n;
}

static rl_http_fault check_fields(const rl_http_head *h, const rl_http_limits *limits)
{
    if (h->n_lines > limits->fields_max)
        return fault(431, "too many header fields; send fewer");
    if (h->field_bytes > limits->head_max)
        return fault(431, "the header fields are over their limit; send fewer or shorter ones");
    for (uint32_t i = 0; i < h->n_lines; i++) {
        if (!rl_http_is_token(h->lines[i].name))
            return fault(400, "a header field's name is not a token");
        if (!rl_http_is_value(h->lines[i].value))
            return fault(400, "a header field holds a control character");
    }
    return NO_FAULT;
}

static rl_http_fault check_host(rl_http_head *h, rl_http_span authority)
{
    rl_http_span host = { "", 0 };
    uint32_t n = find(h, "Host", &host);

    if (n > 1 || (n == 0 && !h->old))
        return fault(400, "exactly one Host header is needed");
    if (!is_host(host))
        return fault(400, "the Host header is not a host");
    h->host = host;
    if (authority.n == 0)
        return NO_FAULT;
    if (n == 1 && (host.n != authority.n || strncasecmp(host.p, authority.p, host.n) != 0))
        return fault(400, "the target and the Host header name different hosts");
    h->host = authority;
    return NO_FAULT;
}

static rl_http_fault check_length(rl_http_head *h, rl_http_span value)
{
    if (value.n == 0)
        return fault(400, "Content-Length is empty");
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < '0' || value.p[i] > '9')
            return fault(400, "Content-Length must be digits alone");
    if (value.n > 18)
        return fault(413, "the body is over its limit");
    for (size_t i = 0; i < value.n; i++)
        h->length = h->length * 10 + (uint64_t)(value.p[i] - '0');
    return NO_FAULT;
}

/* Takes the next item off a list with commas, without the blanks around it. false: none is left. */
static bool next_item(rl_http_span *list, rl_http_span *item)
{
    const char *comma = list->n ? memchr(list->p, ',', list->n) : NULL;
    size_t n = comma ? (size_t)(comma - list->p) : list->n;

    if (list->n == 0)
        return false;
    *item = (rl_http_span){ list->p, n };
    list->p += n + (comma != NULL);
    list->n -= n + (comma != NULL);
    while (item->n && strchr(" \t", item->p[0])) {
        item->p++;
        item->n--;
    }
    while (item->n && strchr(" \t", item->p[item->n - 1]))
        item->n--;
    return true;
}

static bool connection_names(const rl_http_head *h, const char *what)
{
    rl_http_span rest, item;

    for (uint32_t i = 0; i < h->n_lines; i++) {
        if (!span_is(h->lines[i].name, "Connection"))
            continue;
        rest = h->lines[i].value;
        while (next_item(&rest, &item))
            if (span_is(item, what))
                return true;
    }
    return false;
}

/* One way to say where the body ends, or none: two that disagree are how requests are smuggled. */
static rl_http_fault check_body(rl_http_head *h)
{
    rl_http_span length = { "", 0 }, coding = { "", 0 }, expect = { "", 0 };
    uint32_t n_lengths = find(h, "Content-Length", &length);
    uint32_t n_codings = find(h, "Transfer-Encoding", &coding);
    uint32_t n_expects = find(h, "Expect", &expect);

    if (n_lengths > 1)
        return fault(400, "more than one Content-Length");
    if (n_lengths && n_codings)
        return fault(400, "Content-Length and Transfer-Encoding exclude each other");
    if (n_codings && h->old)
        return fault(400, "HTTP/1.0 has no Transfer-Encoding");
    if (n_codings > 1 || (n_codings && !span_is(coding, "chunked")))
        return fault(501, "the only Transfer-Encoding offered is chunked");
    if (n_expects > 1 || (n_expects && !span_is(expect, "100-continue")))
        return fault(417, "the only expectation that can be met is 100-continue");
    h->chunked = n_codings == 1;
    h->waits = n_expects && !h->old;
    return n_lengths ? check_length(h, length) : NO_FAULT;
}

rl_http_fault rl_http_head_check(rl_http_head *head, const rl_http_limits *limits)
{
    rl_http_span authority = { "", 0 };
    rl_http_fault f;

    head->path = head->query = head->host = authority;
    head->old = head->chunked = head->keep = head->waits = false;
    head->length = 0;
    f = check_request_line(head, limits->line_max);
    if (!f.status)
        f = check_fields(head, limits);
    if (!f.status)
        f = check_target(head, &authority);
    if (!f.status)
        f = check_host(head, authority);
    if (!f.status)
        f = check_body(head);
    if (!f.status)
        head->keep = !connection_names(head, "close") &&
                     (!head->old || connection_names(head, "keep-alive"));
    return f;
}
