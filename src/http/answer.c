/* Answers: made on any thread, begun on the http thread, which writes their heads.
 *
 * Framing is the room's: Content-Length for what is whole, chunks for a stream, the end of the
 * connection for a stream in HTTP/1.0; nothing where the status or HEAD allows no body. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <string.h>
#include <strings.h>

#define FIELDS_MAX ((size_t)16 * 1024)
#define FILL_MAX   ((size_t)16 * 1024) /* what a source is offered */
#define SIZE_BYTES 6                   /* "4000" and CR LF before it */
#define LAST_CHUNK "0\r\n\r\n"

_Static_assert(RL_HTTP_CHUNK >= SIZE_BYTES + 16 * 1024 + 2, "a full piece and its frame have room");

/* --- any thread ----------------------------------------------------------------------------- */

static bool is_sound(const char *name, const char *value)
{
    return rl_http_is_token((rl_http_span){ name, strlen(name) }) &&
           rl_http_is_value((rl_http_span){ value, strlen(value) });
}

/* A caller that framed its answer could make two of it. */
static bool is_framing(const char *name)
{
    static const char *const names[] = { "Connection", "Content-Length", "Date",
                                         "Transfer-Encoding" };

    for (size_t i = 0; i < RL_COUNT(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static realm_status add_field(rl_buf *out, const char *name, const char *value)
{
    if (!is_sound(name, value) || is_framing(name))
        return REALM_EINVAL;
    if (strcasecmp(name, "X-Request-Id") == 0)
        return REALM_OK; /* the room writes that of the exchange */
    return rl_buf_addf(out, "%s: %s\r\n", name, value);
}

static realm_status dress(const rl_http_answer *a, rl_buf *out)
{
    realm_status st = a->status < 200 || a->status > 599 ? REALM_EINVAL : REALM_OK;

    if (st == REALM_OK && a->type)
        st = add_field(out, "Content-Type", a->type);
    for (const rl_http_field *f = a->headers; st == REALM_OK && f && f->name; f++)
        st = add_field(out, f->name, f->value);
    return st == REALM_ETOOBIG ? REALM_EINVAL : st;
}

/* Takes what `to` owns in every case. In a callback of the exchange the http thread looks for the
 * answer when the callback returns, so it need not be woken. */
static realm_status put(rl_http_exchange *ex, const rl_http_answer *a, rl_http_reply_to to)
{
    rl_buf fields;
    realm_status st;

    rl_buf_init(&fields, FIELDS_MAX);
    st = dress(a, &fields);
    to.status = a->status;
    to.close = a->close;
    to.fields = fields.data;
    to.n_fields = fields.len;
    if (st == REALM_OK) {
        (void)pthread_mutex_lock(&ex->inbox->lock);
        if (ex->dead || ex->left)
            st = REALM_ECANCELLED;
        else if (ex->answered)
            st = REALM_ECONFLICT;
        if (st == REALM_OK) {
            ex->answered = true;
            ex->answer = to;
            if (!pthread_equal(pthread_self(), ex->inbox->owner) || ex->suspended)
                rl_http_inbox_post(ex);
        }
        (void)pthread_mutex_unlock(&ex->inbox->lock);
    }
    if (st != REALM_OK) {
        rl_free(to.fields);
        rl_free(to.body);
    }
    return st;
}

realm_status rl_http_reply(rl_http_exchange *ex, const rl_http_answer *a, char *body, size_t n)
{
    return put(ex, a, (rl_http_reply_to){ .body = body, .n = n });
}

realm_status rl_http_stream(rl_http_exchange *ex, const rl_http_answer *a,
                            const rl_http_source *source)
{
    return put(ex, a, (rl_http_reply_to){ .streams = true, .source = *source });
}

bool rl_http_answer_ready(rl_http_exchange *ex)
{
    bool ready;

    (void)pthread_mutex_lock(&ex->inbox->lock);
    ready = ex->answered;
    (void)pthread_mutex_unlock(&ex->inbox->lock);
    return ready;
}

/* --- the http thread ------------------------------------------------------------------------ */

static bool write_head(rl_http_conn *c, const rl_http_reply_to *a, bool bodiless)
{
    const rl_http_exchange *ex = c->ex;
    rl_buf *text = &c->http->text;

    rl_buf_clear(text);
    (void)rl_buf_addf(text, "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Request-Id: %s\r\n", a->status,
                      rl_http_reason(a->status), rl_http_date(c->http), ex->id);
    if (c->closing)
        (void)rl_buf_adds(text, "Connection: close\r\n");
    else if (ex->old)
        (void)rl_buf_adds(text, "Connection: keep-alive\r\n");
    if (a->n_fields)
        (void)rl_buf_add(text, a->fields, a->n_fields);
    if (!bodiless && !a->streams)
        (void)rl_buf_addf(text, "Content-Length: %zu\r\n", a->n);
    if (!bodiless && a->streams && !ex->old)
        (void)rl_buf_adds(text, "Transfer-Encoding: chunked\r\n");
    (void)rl_buf_adds(text, "\r\n");
    return !text->failed;
}

/* The connection closes after an answer when the request was not read to its end, when its body was
 * chunked (not every reader before us is strict with chunks: nothing may follow them), when the
 * client or the caller wants it, and when the room is draining. */
static bool closes_after(const rl_http_conn *c, const rl_http_reply_to *a)
{
    const rl_http_exchange *ex = c->ex;

    return a->close || !ex->whole || ex->chunked || !ex->keep || c->http->draining ||
           (a->streams && ex->old);
}

bool rl_http_answer_begin(rl_http_conn *c)
{
    rl_http_exchange *ex = c->ex;
    rl_http_reply_to *a = &ex->answer; /* nobody writes it once `answered` is set */
    bool bodiless = a->status == 204 || a->status == 304;

    if (a->streams && c->fin) {
        rl_http_conn_cut(c);
        return false;
    }
    c->closing = closes_after(c, a);
    c->unread = !ex->whole;
    if (!write_head(c, a, bodiless)) {
        rl_http_conn_cut(c);
        return false;
    }
    if (bodiless || strcmp(ex->method, "HEAD") == 0) {
        a->n = 0;
        ex->phase = RL_HTTP_ENDED;
    } else {
        ex->phase = a->streams ? RL_HTTP_STREAMING : RL_HTTP_SENDING;
    }
    ex->status = a->status;
    atomic_fetch_add(&c->http->answered[a->status / 100], 1);
    return rl_http_send(c, c->http->text.data, c->http->text.len);
}

static bool end_stream(rl_http_conn *c, bool failed)
{
    rl_http_exchange *ex = c->ex;

    ex->phase = RL_HTTP_ENDED;
    if (!failed)
        return ex->old || rl_http_send(c, LAST_CHUNK, strlen(LAST_CHUNK));
    if (ex->old) /* whose end is that of the connection: it must not look like one */
        rl_http_sock_reset_on_close(c->fd);
    rl_http_conn_cut(c);
    return false;
}

/* The piece lies behind room for its size. -> where its frame begins */
static char *frame(char *piece, size_t n, size_t *framed)
{
    static const char digits[] = "0123456789ABCDEF";
    char *at = piece;

    *--at = '\n';
    *--at = '\r';
    for (size_t v = n; v; v /= 16)
        *--at = digits[v % 16];
    piece[n] = '\r';
    piece[n + 1] = '\n';
    *framed = (size_t)(piece + n + 2 - at);
    return at;
}

/* Asked only when the socket took all that went before. */
bool rl_http_answer_fill(rl_http_conn *c)
{
    rl_http_exchange *ex = c->ex;
    char *piece = c->http->chunk + SIZE_BYTES;
    ssize_t n = ex->answer.source.fill(ex->answer.source.ctx, piece, FILL_MAX);
    size_t framed = (size_t)n;

    RL_ASSERT(n <= (ssize_t)FILL_MAX);
    if (n == 0) {
        rl_http_exchange_suspend(ex, true);
        return false;
    }
    if (n < 0)
        return end_stream(c, n != -1);
    if (!ex->first_ns)
        ex->first_ns = rl_clock_ns();
    ex->body_sent += (uint64_t)n;
    atomic_fetch_add(&c->http->bytes_out, (uint64_t)n);
    if (!ex->old)
        piece = frame(piece, (size_t)n, &framed);
    return rl_http_send(c, piece, framed);
}
