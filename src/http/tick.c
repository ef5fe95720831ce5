/* Ticks: what takes too long. libmicrohttpd's own timeout is off: it counts whole seconds, says
 * nothing to the client, and does not see how far a client has come. */
#include "http/internal.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* Bytes of a request beyond those of the requests that are done with, or none yet. */
static bool head_has_begun(rl_http_conn *c)
{
    uint64_t received, acked;

    if (c->ex)
        return true;
    rl_http_sock_moved(c->fd, &received, &acked);
    return received > c->consumed;
}

/* Silent between requests is let go without a word; slow within a head is told. */
static void check_head(rl_http_conn *c)
{
    rl_http *h = c->http;

    if (!head_has_begun(c)) {
        if (h->now_ms - c->since_ms >= h->o.idle_ms)
            rl_http_conn_cut(c);
    } else if (!c->head_ms) {
        c->head_ms = h->now_ms;
    } else if (h->now_ms - c->head_ms >= h->o.head_ms) {
        rl_http_conn_refuse(c, (rl_http_fault){ 408, "the request's head took too long" },
                            SHUT_RDWR);
    }
}

/* A body may take head_ms, and a second more for every body_rate bytes of it that came. */
static void check_body(rl_http_conn *c)
{
    rl_http *h = c->http;
    uint64_t may_ms = h->o.head_ms + (uint64_t)c->ex->body.len * 1000 / h->o.body_rate;

    if (h->now_ms - c->ex->began_ms >= may_ms)
        rl_http_conn_refuse(c, (rl_http_fault){ 408, "the request's body came too slowly" },
                            SHUT_RDWR);
}

/* There is something to send: the client must take some of it now and then. What it never took is
 * dropped with the socket. */
static void check_taking(rl_http_conn *c)
{
    rl_http *h = c->http;
    uint64_t received, acked;

    rl_http_sock_moved(c->fd, &received, &acked);
    if (acked != c->acked) {
        c->acked = acked;
        c->moved_ms = h->now_ms;
    } else if (h->now_ms - c->moved_ms >= h->o.stall_ms) {
        rl_http_sock_reset_on_close(c->fd);
        rl_http_conn_cut(c);
    }
}

static void check(rl_http_conn *c)
{
    if (c->cut)
        return;
    if (!c->ex || c->ex->phase == RL_HTTP_HEAD)
        check_head(c);
    else if (c->ex->phase == RL_HTTP_BODY)
        check_body(c);
    else if (!c->ex->suspended)
        check_taking(c);
}

void rl_http_tick(rl_http *h)
{
    h->ticked_ms = h->now_ms;
    for (rl_http_conn *c = h->conns; c; c = c->next) /* closed by libmicrohttpd later, never here */
        check(c);
    rl_http_leave_look(h);
    if (h->deaf && h->listener >= 0) {
        struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &h->listener };

        h->deaf = epoll_ctl(h->epoll, EPOLL_CTL_MOD, h->listener, &ev) != 0;
    }
}
