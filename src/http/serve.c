/* Serve: a connection's requests, one after the other, in steps that never block.
 *
 * 1. Bytes are judged where they were received, by wire.c, head.c and chunks.c, once and by nobody
 *    else. What follows a request lies in `in` until that request is answered.
 * 2. A fault is answered, and nothing is read as a request after it (refuse.c).
 * 3. A step is taken only when something can come of it: the kernel said so (`readable`, not
 *    `blocked`), or the inbox. So half a head costs nothing until its next byte. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define STEPS_A_TURN 32 /* then the others are served */
#define GO_ON        "HTTP/1.1 100 Continue\r\n\r\n"

static rl_http_fault fault(int status, const char *text)
{
    return (rl_http_fault){ status, text };
}

static void consume(rl_http_conn *c, size_t n)
{
    c->in_at += n;
    c->in_n -= n;
    c->seen = 0;
}

/* The first byte of a head is there, by now. */
static void begin_head(rl_http_conn *c)
{
    c->head_ms = c->http->now_ms;
    c->head_ns = rl_clock_ns();
}

static void drop_empty(rl_http_conn *c)
{
    if (c->in_n)
        return;
    rl_free(c->in);
    c->in = NULL;
    c->in_at = 0;
}

static bool make_room(rl_http_conn *c)
{
    if (!c->in)
        c->in = rl_realloc(NULL, c->http->window);
    if (c->in && c->in_at)
        memmove(c->in, c->in + c->in_at, c->in_n);
    c->in_at = 0;
    return c->in != NULL;
}

/* Reads into `in`, which is not full. -> whether there is more to do now. After fewer bytes than
 * asked for nothing is left, unless the client has closed: the end is read too. */
static bool receive(rl_http_conn *c)
{
    size_t room = c->http->window - c->in_n;
    ssize_t n;

    RL_ASSERT(room > 0);
    if (!c->readable) {
        drop_empty(c);
        return false;
    }
    if (!make_room(c)) {
        if (!c->ex)
            begin_head(c);
        rl_http_refuse(c, fault(503, "no memory for the request; try again"));
        return true;
    }
    n = recv(c->fd, c->in + c->in_n, room, MSG_DONTWAIT);
    if (n > 0) {
        if (!c->ex && c->in_n == 0)
            begin_head(c);
        c->in_n += (size_t)n;
        c->readable = (size_t)n == room || c->fin;
        return true;
    }
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EAGAIN) {
        c->readable = false;
        drop_empty(c);
        return false;
    }
    rl_http_conn_cut(c);
    return false;
}

/* --- heads ---------------------------------------------------------------------------------- */

/* The head is not complete: can it still become one that passes? */
static rl_http_fault check_begun(const rl_http_conn *c)
{
    const rl_http_opts *o = &c->http->o;
    const char *p = c->in + c->in_at, *cr = memchr(p, '\r', c->in_n);

    if ((cr ? (size_t)(cr - p) : c->in_n) > o->line_max)
        return fault(414, "the request line is over its limit; send a shorter target");
    if (c->in_n >= c->http->window)
        return fault(431, "the header fields are over their limit; send fewer or shorter ones");
    return fault(0, NULL);
}

static rl_http_fault read_head(rl_http_conn *c, size_t n, rl_http_head *head)
{
    const rl_http_opts *o = &c->http->o;
    rl_http_limits limits = { o->line_max, o->head_max, o->fields_max };
    rl_http_fault f;

    *head = (rl_http_head){ .lines = c->http->lines };
    f = rl_http_wire_split(c->in + c->in_at, n, o->fields_max, head);
    if (!f.status)
        f = rl_http_head_check(head, &limits);
    c->ex = rl_http_exchange_new(c);
    if (!f.status && !c->ex)
        f = fault(503, "no memory for the request; try again");
    if (!f.status)
        f = rl_http_exchange_fill(c->ex, head);
    return f;
}

/* A sound head, its strings copied. */
static bool admit(rl_http_conn *c, const rl_http_head *head)
{
    rl_http *h = c->http;
    rl_http_exchange *ex = c->ex;

    atomic_fetch_add(&h->requests, 1);
    ex->phase = RL_HTTP_BODY;
    ex->old = head->old;
    ex->keep = head->keep;
    ex->chunked = head->chunked;
    ex->expect = head->length;
    ex->whole = !head->chunked && head->length == 0;
    ex->body_ms = h->now_ms;
    if (h->o.admit)
        h->o.admit(h->o.ctx, ex);
    if (rl_http_answer_ready(ex))
        return rl_http_answer_begin(c);
    if (head->length > ex->body.max)
        rl_http_refuse(c, fault(413, "the body is over its limit"));
    else if (head->waits && !ex->whole && c->in_n == 0)
        return rl_http_send(c, GO_ON, strlen(GO_ON));
    return true;
}

static bool take_head(rl_http_conn *c)
{
    rl_http_head head;
    rl_http_fault f;
    size_t n;

    if (c->in_n == 0)
        return receive(c);
    f = rl_http_wire_end(c->in + c->in_at, c->in_n, c->seen, &n);
    c->seen = c->in_n;
    if (!f.status && !n)
        f = check_begun(c);
    if (!f.status && !n)
        return receive(c);
    if (!f.status) {
        f = read_head(c, n, &head);
        consume(c, n);
    }
    if (!f.status)
        return admit(c, &head);
    rl_http_refuse(c, f);
    return true;
}

/* --- bodies --------------------------------------------------------------------------------- */

static rl_http_fault keep(rl_http_exchange *ex, const char *p, size_t n)
{
    if (n == 0 || rl_buf_add(&ex->body, p, n) == REALM_OK)
        return fault(0, NULL);
    return fault(503, "no memory for the body; try again");
}

static rl_http_fault take_chunks(rl_http_conn *c)
{
    rl_http_exchange *ex = c->ex;
    rl_http_chunks *ch = &ex->chunks;
    rl_http_fault f = { 0, NULL };

    while (c->in_n && !ch->over && !f.status) {
        rl_http_span data;
        size_t n = rl_http_chunks_take(ch, c->in + c->in_at, c->in_n, &data);

        f = ch->fault;
        if (!f.status && data.n + ch->left > ex->body.max - ex->body.len)
            f = fault(413, "the body is over its limit");
        if (!f.status)
            f = keep(ex, data.p, data.n);
        consume(c, n);
    }
    ex->whole = ch->over;
    return f;
}

static rl_http_fault take_counted(rl_http_conn *c)
{
    rl_http_exchange *ex = c->ex;
    size_t n = ex->expect < c->in_n ? (size_t)ex->expect : c->in_n;
    rl_http_fault f = keep(ex, c->in + c->in_at, n);

    consume(c, n);
    ex->expect -= n;
    ex->whole = ex->expect == 0;
    return f;
}

static bool take_body(rl_http_conn *c)
{
    rl_http *h = c->http;
    rl_http_exchange *ex = c->ex;
    rl_http_fault f = ex->chunked ? take_chunks(c) : take_counted(c);

    if (f.status) {
        rl_http_refuse(c, f);
        return true;
    }
    if (!ex->whole)
        return receive(c);
    drop_empty(c);
    ex->phase = RL_HTTP_WAITING;
    if (!rl_http_answer_ready(ex))
        h->o.handle(h->o.ctx, ex);
    return true;
}

/* --- answers -------------------------------------------------------------------------------- */

/* A client that has closed its side is not waited with. */
static bool await(rl_http_conn *c)
{
    if (rl_http_answer_ready(c->ex))
        return rl_http_answer_begin(c);
    if (c->fin)
        rl_http_conn_cut(c);
    else
        rl_http_exchange_suspend(c->ex, true);
    return false;
}

/* All of an answer went to the kernel. */
static bool complete(rl_http_conn *c)
{
    rl_http_exchange *ex = c->ex;

    c->ex = NULL;
    if (ex)
        rl_http_exchange_end(ex, true);
    if (c->closing || c->http->draining) {
        rl_http_conn_finish(c);
        return false;
    }
    c->since_ms = c->http->now_ms;
    c->head_ms = 0;
    if (c->in_n)
        begin_head(c);
    return true;
}

/* -> whether there is more to do now */
static bool step(rl_http_conn *c)
{
    if (c->dead || !rl_http_send_rest(c))
        return false;
    if (!c->ex)
        return c->closing ? complete(c) : take_head(c);
    if (c->ex->suspended)
        return false;
    switch (c->ex->phase) {
    case RL_HTTP_BODY:
        return take_body(c);
    case RL_HTTP_WAITING:
        return await(c);
    case RL_HTTP_STREAMING:
        return rl_http_answer_fill(c);
    default:
        return complete(c);
    }
}

void rl_http_serve(rl_http_conn *c)
{
    for (int i = 0; i < STEPS_A_TURN; i++)
        if (!step(c))
            return;
    rl_http_conn_make_due(c);
}
