/* Ticks: what takes too long. */
#include "http/internal.h"

#include <sys/epoll.h>
#include <sys/socket.h>

static void late(rl_http_conn *c, const char *text)
{
    rl_http_refuse(c, (rl_http_fault){ 408, text });
    rl_http_conn_make_due(c);
}

/* Silent between requests is let go without a word; slow within a head is told. */
static void check_head(rl_http_conn *c)
{
    rl_http *h = c->http;

    if (!c->head_ms && h->now_ms - c->since_ms >= h->o.idle_ms)
        rl_http_conn_cut(c);
    else if (c->head_ms && h->now_ms - c->head_ms >= h->o.head_ms)
        late(c, "the request's head took too long");
}

/* A body may take head_ms, and a second more for every body_rate bytes of it that came. */
static void check_body(rl_http_conn *c)
{
    rl_http *h = c->http;
    uint64_t may_ms = h->o.head_ms + (uint64_t)c->ex->body.len * 1000 / h->o.body_rate;

    if (h->now_ms - c->ex->body_ms >= may_ms)
        late(c, "the request's body came too slowly");
}

/* There is something to send: the client must take some of it now and then, which TCP knows. What
 * it never took is dropped with the socket. */
static void check_taking(rl_http_conn *c)
{
    rl_http *h = c->http;
    uint64_t acked = rl_http_sock_acked(c->fd);

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
    if (c->blocked)
        check_taking(c);
    else if (!c->ex)
        check_head(c);
    else if (c->ex->phase == RL_HTTP_BODY)
        check_body(c);
}

void rl_http_tick(rl_http *h)
{
    h->ticked_ms = h->now_ms;
    for (rl_http_conn *c = h->conns, *next; c; c = next) {
        next = c->next; /* a dead one is in another list */
        check(c);
    }
    rl_http_leave_look(h);
    if (h->deaf && h->listener >= 0) {
        struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &h->listener };

        h->deaf = epoll_ctl(h->epoll, EPOLL_CTL_MOD, h->listener, &ev) != 0;
    }
}
