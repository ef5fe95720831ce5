#include "load/http.h"

#include "base/assert.h"

#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS 15u /* under 10^15 bytes */
#define CHUNK_DIGITS  12u /* under 2^48 bytes */

typedef rl_load_http http;

void rl_load_http_init(http *h)
{
    *h = (http){ .state = RL_LOAD_HTTP_IN_STATUS };
    rl_buf_init(&h->line, RL_LOAD_HTTP_LINE);
}

void rl_load_http_deinit(http *h)
{
    rl_buf_deinit(&h->line);
}

void rl_load_http_reset(http *h)
{
    rl_buf line = h->line;

    rl_buf_clear(&line);
    *h = (http){ .state = RL_LOAD_HTTP_IN_STATUS, .line = line };
}

static rl_load_http_next bad(http *h, const char *why)
{
    h->state = RL_LOAD_HTTP_IN_BAD;
    h->why = why;
    return RL_LOAD_HTTP_BAD;
}

/* ---- lines ----------------------------------------------------------------------------------- */

typedef enum line_found { LINE_MORE, LINE_WHOLE, LINE_BAD } line_found;

/* A line without its CRLF: a slice of the input, or of h->line when it came in pieces (the caller
 * clears that after use). At most `most` bytes. */
static line_found take_line(http *h, const char **p, size_t *n, size_t most, const char **line,
                            size_t *len)
{
    const char *lf = memchr(*p, '\n', *n);
    size_t take = lf ? (size_t)(lf - *p) + 1 : *n;
    const char *from = *p;

    if (h->line.len + take > most + (lf ? 2 : 1))
        return LINE_BAD;
    *p += take;
    *n -= take;
    if (!lf || h->line.len) {
        if (rl_buf_add(&h->line, from, take) != REALM_OK)
            return LINE_BAD;
        from = h->line.data;
        take = h->line.len;
    }
    if (!lf)
        return LINE_MORE;
    if (take < 2 || from[take - 2] != '\r')
        return LINE_BAD;
    *line = from;
    *len = take - 2;
    return LINE_WHOLE;
}

/* A token's character (RFC 9110 section 5.6.2). */
static bool is_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* A field value or a reason may have every byte but controls; tabs are fine. */
static bool is_text(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* ---- the head -------------------------------------------------------------------------------- */

/* HTTP/1.x SP 3 digits [SP reason] */
static rl_load_http_next status_line(http *h, const char *s, size_t n)
{
    if (n < 12 || memcmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') || s[8] != ' ')
        return bad(h, "not an HTTP/1 status line");
    for (size_t i = 9; i < 12; i++) {
        if (s[i] < '0' || s[i] > '9')
            return bad(h, "a status that is no number");
    }
    if ((n > 12 && s[12] != ' ') || s[9] == '0' || !is_text(s, n))
        return bad(h, "not an HTTP/1 status line");
    h->minor0 = s[7] == '0';
    h->status = (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
    h->state = RL_LOAD_HTTP_IN_HEADER;
    return RL_LOAD_HTTP_MORE;
}

static bool is_word(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && strncasecmp(s, word, n) == 0;
}

/* Whether a comma-separated list has the word. */
static bool lists(const char *s, size_t n, const char *word)
{
    while (n) {
        const char *comma = memchr(s, ',', n);
        size_t len = comma ? (size_t)(comma - s) : n, used = len + (comma ? 1 : 0);
        const char *at = s;

        while (len && (*at == ' ' || *at == '\t')) {
            at++;
            len--;
        }
        while (len && (at[len - 1] == ' ' || at[len - 1] == '\t'))
            len--;
        if (is_word(at, len, word))
            return true;
        s += used;
        n -= used;
    }
    return false;
}

static rl_load_http_next content_length(http *h, const char *s, size_t n)
{
    if (h->has_length)
        return bad(h, "Content-Length twice");
    if (n == 0 || n > LENGTH_DIGITS)
        return bad(h, "a Content-Length out of range");
    h->left = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return bad(h, "a Content-Length that is no number");
        h->left = h->left * 10 + (uint64_t)(s[i] - '0');
    }
    h->has_length = true;
    return RL_LOAD_HTTP_MORE;
}

static rl_load_http_next field(http *h, const char *name, size_t n_name, const char *v, size_t n)
{
    if (is_word(name, n_name, "content-length"))
        return content_length(h, v, n);
    if (is_word(name, n_name, "transfer-encoding")) {
        if (h->chunked || h->minor0 || !is_word(v, n, "chunked"))
            return bad(h, "a Transfer-Encoding other than one chunked");
        h->chunked = true;
    } else if (is_word(name, n_name, "connection")) {
        h->close = h->close || lists(v, n, "close");
        h->keep = h->keep || lists(v, n, "keep-alive");
    } else if (is_word(name, n_name, "content-type")) {
        size_t len = strlen("text/event-stream");

        h->event_stream = n >= len && is_word(v, len, "text/event-stream") &&
                          (n == len || v[len] == ';' || v[len] == ' ');
    } else if (is_word(name, n_name, "retry-after")) {
        h->retry_after = n > 0;
    }
    return RL_LOAD_HTTP_MORE;
}

static rl_load_http_next header_line(http *h, const char *s, size_t n)
{
    const char *colon = memchr(s, ':', n);
    size_t n_name = colon ? (size_t)(colon - s) : 0, n_value;
    const char *v;

    if (!n_name)
        return bad(h, "a header line without a name");
    for (size_t i = 0; i < n_name; i++) {
        if (!is_token((unsigned char)s[i]))
            return bad(h, "a header name with odd characters");
    }
    v = colon + 1;
    n_value = n - n_name - 1;
    if (!is_text(v, n_value))
        return bad(h, "control characters in a header");
    while (n_value && (*v == ' ' || *v == '\t')) {
        v++;
        n_value--;
    }
    while (n_value && (v[n_value - 1] == ' ' || v[n_value - 1] == '\t'))
        n_value--;
    return h->state == RL_LOAD_HTTP_IN_TRAILER ? RL_LOAD_HTTP_MORE
                                               : field(h, s, n_name, v, n_value);
}

/* An answer before the answer (100, 103): forgotten. */
static rl_load_http_next interim(http *h)
{
    uint32_t n = h->n_interim + 1;

    if (h->status == 101)
        return bad(h, "a change of protocol that nobody asked for");
    if (n > RL_LOAD_HTTP_INTERIM || h->has_length || h->chunked)
        return bad(h, "interim answers without end or with a body");
    rl_load_http_reset(h);
    h->n_interim = n;
    return RL_LOAD_HTTP_MORE;
}

/* The empty line: how the body is framed (RFC 9112 section 6.3). */
static rl_load_http_next head_end(http *h)
{
    if (h->status < 200)
        return interim(h);
    if (h->chunked && h->has_length)
        return bad(h, "both Content-Length and Transfer-Encoding");
    h->head_done = true;
    h->keep_alive = !h->close && (!h->minor0 || h->keep);
    h->head_bytes = h->n_lines = 0; /* the trailers are counted anew */
    if (h->status == 204 || h->status == 304 || (h->has_length && h->left == 0)) {
        h->state = RL_LOAD_HTTP_IN_END;
    } else if (h->chunked) {
        h->state = RL_LOAD_HTTP_IN_CHUNK_SIZE;
    } else if (h->has_length) {
        h->state = RL_LOAD_HTTP_IN_LENGTH;
    } else {
        h->state = RL_LOAD_HTTP_IN_CLOSE;
        h->keep_alive = false;
    }
    return RL_LOAD_HTTP_MORE;
}

/* ---- the body -------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* hex digits [; extension] */
static rl_load_http_next chunk_size(http *h, const char *s, size_t n)
{
    uint64_t size = 0;
    size_t i = 0;

    for (; i < n && hex_digit(s[i]) >= 0; i++) {
        if (i == CHUNK_DIGITS)
            return bad(h, "a chunk size out of range");
        size = size * 16 + (uint64_t)hex_digit(s[i]);
    }
    if (i == 0 || (i < n && s[i] != ';' && s[i] != ' ' && s[i] != '\t') || !is_text(s, n))
        return bad(h, "a chunk size that is no number");
    h->left = size;
    h->state = size ? RL_LOAD_HTTP_IN_CHUNK : RL_LOAD_HTTP_IN_TRAILER;
    return RL_LOAD_HTTP_MORE;
}

/* Hands out what there is of the counted bytes. */
static rl_load_http_next slice(http *h, const char **p, size_t *n, const char **body,
                               size_t *n_body)
{
    size_t take = *n;

    if (take == 0)
        return RL_LOAD_HTTP_MORE;
    if (h->state != RL_LOAD_HTTP_IN_CLOSE) {
        if (take > h->left)
            take = (size_t)h->left;
        h->left -= take;
        if (h->left == 0)
            h->state =
                h->state == RL_LOAD_HTTP_IN_CHUNK ? RL_LOAD_HTTP_IN_CHUNK_END : RL_LOAD_HTTP_IN_END;
    }
    *body = *p;
    *n_body = take;
    *p += take;
    *n -= take;
    return RL_LOAD_HTTP_BODY;
}

static size_t line_limit(const http *h)
{
    if (h->state == RL_LOAD_HTTP_IN_CHUNK_END)
        return 0;
    return h->state == RL_LOAD_HTTP_IN_CHUNK_SIZE ? 256 : RL_LOAD_HTTP_LINE - 2;
}

static const char *line_fault(const http *h)
{
    if (h->state == RL_LOAD_HTTP_IN_CHUNK_END)
        return "a chunk that is longer than its size";
    return "a line that is too long or does not end in CRLF";
}

static rl_load_http_next whole_line(http *h, const char *s, size_t n)
{
    switch (h->state) {
    case RL_LOAD_HTTP_IN_STATUS:
        return status_line(h, s, n);
    case RL_LOAD_HTTP_IN_CHUNK_SIZE:
        return chunk_size(h, s, n);
    case RL_LOAD_HTTP_IN_CHUNK_END:
        h->state = RL_LOAD_HTTP_IN_CHUNK_SIZE;
        return RL_LOAD_HTTP_MORE;
    default:
        break;
    }
    h->head_bytes += (uint32_t)n + 2;
    if (++h->n_lines > RL_LOAD_HTTP_LINES || h->head_bytes > RL_LOAD_HTTP_HEAD)
        return bad(h, "a header over its limit");
    if (n)
        return header_line(h, s, n);
    if (h->state == RL_LOAD_HTTP_IN_HEADER)
        return head_end(h);
    h->state = RL_LOAD_HTTP_IN_END;
    return RL_LOAD_HTTP_MORE;
}

static rl_load_http_next line_step(http *h, const char **p, size_t *n)
{
    const char *line;
    size_t len;
    rl_load_http_next next;

    switch (take_line(h, p, n, line_limit(h), &line, &len)) {
    case LINE_MORE:
        return RL_LOAD_HTTP_MORE;
    case LINE_BAD:
        return bad(h, line_fault(h));
    default:
        next = whole_line(h, line, len);
        rl_buf_clear(&h->line);
        return next;
    }
}

rl_load_http_next rl_load_http_read(http *h, const char **p, size_t *n, const char **body,
                                    size_t *n_body)
{
    RL_ASSERT(h->state != RL_LOAD_HTTP_IN_BAD);
    for (;;) {
        rl_load_http_next next;

        switch (h->state) {
        case RL_LOAD_HTTP_IN_END:
            return RL_LOAD_HTTP_END;
        case RL_LOAD_HTTP_IN_LENGTH:
        case RL_LOAD_HTTP_IN_CLOSE:
        case RL_LOAD_HTTP_IN_CHUNK:
            return slice(h, p, n, body, n_body);
        default:
            break;
        }
        if (*n == 0)
            return RL_LOAD_HTTP_MORE;
        next = line_step(h, p, n);
        if (next != RL_LOAD_HTTP_MORE)
            return next;
    }
}

bool rl_load_http_eof(http *h)
{
    if (h->state == RL_LOAD_HTTP_IN_END || h->state == RL_LOAD_HTTP_IN_CLOSE) {
        h->state = RL_LOAD_HTTP_IN_END;
        return true;
    }
    if (h->state != RL_LOAD_HTTP_IN_BAD)
        h->why = h->head_done ? "the connection ended inside the body"
                              : "the connection ended before the header did";
    return false;
}
