/* Send: what goes out on a connection, without blocking: `out` first, then the body of a whole
 * answer, which is sent from where its maker put it. */
#include "http/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The part of the body that is still to go. */
static size_t body_left(const rl_http_conn *c, const char **at)
{
    const rl_http_exchange *ex = c->ex;

    if (!ex || ex->phase != RL_HTTP_SENDING || ex->refused || ex->sent == ex->answer.n)
        return 0;
    *at = ex->answer.body + ex->sent;
    return ex->answer.n - ex->sent;
}

static void note_body(rl_http_conn *c, size_t n)
{
    rl_http_exchange *ex = c->ex;

    if (n == 0)
        return;
    if (!ex->first_ns)
        ex->first_ns = rl_clock_ns();
    ex->sent += n;
    ex->body_sent += n;
    atomic_fetch_add(&c->http->bytes_out, n);
}

/* Writes p[0..n) and the body once. -> bytes of p that went, -1: the connection is lost */
static ssize_t put(rl_http_conn *c, const char *p, size_t n)
{
    const char *body = NULL;
    size_t rest = body_left(c, &body);
    struct iovec parts[2] = { { (void *)(uintptr_t)p, n }, { (void *)(uintptr_t)body, rest } };
    struct msghdr m = { .msg_iov = n ? parts : parts + 1,
                        .msg_iovlen = (size_t)(n > 0) + (size_t)(rest > 0) };
    ssize_t done = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (done < 0 && errno == EAGAIN) {
        c->blocked = true;
        c->moved_ms = c->http->now_ms;
        return 0;
    }
    if (done < 0)
        return errno == EINTR ? 0 : -1;
    if ((size_t)done <= n)
        return done;
    note_body(c, (size_t)done - n);
    return (ssize_t)n;
}

bool rl_http_send(rl_http_conn *c, const char *p, size_t n)
{
    ssize_t done = 0;

    if (c->out.len == 0 && !c->blocked)
        done = put(c, p, n);
    if (done == (ssize_t)n)
        return true;
    if (done >= 0 && rl_buf_add(&c->out, p + done, n - (size_t)done) == REALM_OK)
        return true;
    rl_http_conn_cut(c);
    return false;
}

bool rl_http_send_rest(rl_http_conn *c)
{
    const char *body;

    while (c->out.len || body_left(c, &body)) {
        ssize_t done = c->blocked ? 0 : put(c, c->out.data, c->out.len);

        if (done < 0) {
            rl_http_conn_cut(c);
            return false;
        }
        rl_buf_consume(&c->out, (size_t)done);
        if (c->blocked)
            return false;
    }
    if (c->out.data)
        rl_buf_deinit(&c->out);
    return true;
}
