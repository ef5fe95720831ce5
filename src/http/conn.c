/* Connections: accepted here, parsed and closed by libmicrohttpd, watched here.
 *
 * libmicrohttpd does not look at a suspended socket, nor for a FIN while it sends, so each socket
 * is in the room's own epoll set too, for its client's leaving only. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 64

static rl_http_ip **ip_find(rl_http *h, const uint8_t key[16])
{
    uint32_t hash = 2166136261u;
    rl_http_ip **at;

    for (size_t i = 0; i < 16; i++)
        hash = (hash ^ key[i]) * 16777619u;
    at = &h->ips[hash % RL_HTTP_IP_BUCKETS];
    while (*at && memcmp((*at)->key, key, 16) != 0)
        at = &(*at)->next;
    return at;
}

/* NULL: that client has its share, or there is no memory. */
static rl_http_ip *ip_take(rl_http *h, const void *sockaddr)
{
    uint8_t key[16];
    rl_http_ip **at;

    rl_http_sock_key(sockaddr, key);
    at = ip_find(h, key);
    if (!*at) {
        *at = rl_alloc(sizeof **at);
        if (*at)
            memcpy((*at)->key, key, sizeof key);
    }
    if (!*at || (*at)->n >= h->o.conns_per_ip_max)
        return NULL;
    (*at)->n++;
    return *at;
}

static void ip_give(rl_http *h, rl_http_ip *ip)
{
    rl_http_ip **at = ip_find(h, ip->key);

    if (--ip->n)
        return;
    *at = ip->next;
    rl_free(ip);
}

/* Newest first: a descriptor that libmicrohttpd closed at once may be in the list a second time. */
static rl_http_conn *take_arriving(rl_http *h, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

    for (rl_http_conn **at = &h->arriving; info && *at; at = &(*at)->next) {
        rl_http_conn *c = *at;

        if (c->fd != info->connect_fd)
            continue;
        *at = c->next;
        return c;
    }
    return NULL;
}

void rl_http_conn_opened(rl_http *h, struct MHD_Connection *mhd, void **slot)
{
    rl_http_conn *c = take_arriving(h, mhd);
    struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = c };

    RL_ASSERT(c);
    c->next = h->conns;
    if (h->conns)
        h->conns->prev = c;
    h->conns = c;
    atomic_fetch_add(&h->connections, 1);
    atomic_fetch_add(&h->accepted, 1);
    *slot = c;
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        rl_http_conn_cut(c); /* better no connection than one whose end is not seen */
}

static void forget(rl_http_conn *c)
{
    c->http->n_conns--;
    ip_give(c->http, c->ip);
    rl_free(c);
}

static void forget_fin(rl_http_conn *c)
{
    rl_http_conn **at = &c->http->fins;

    while (c->fin && *at != c)
        at = &(*at)->next_fin;
    if (c->fin)
        *at = c->next_fin;
}

void rl_http_conn_closed(rl_http_conn *c)
{
    rl_http *h = c->http;

    RL_ASSERT(!c->ex);
    forget_fin(c);
    (void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    if (c->unread && !h->stopping)
        rl_http_leave(h, fcntl(c->fd, F_DUPFD_CLOEXEC, 0)); /* libmicrohttpd closes its own */
    if (c->prev)
        c->prev->next = c->next;
    else
        h->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    atomic_fetch_sub(&h->connections, 1);
    forget(c);
}

void rl_http_conn_sweep(rl_http *h)
{
    rl_http_conn *c;

    while ((c = h->arriving)) {
        h->arriving = c->next;
        forget(c);
    }
}

static void turn_away(rl_http *h, int fd, const char *text)
{
    atomic_fetch_add(&h->turned_away, 1);
    rl_http_leave_told(h, fd, text);
}

static void take(rl_http *h, int fd, const struct sockaddr_storage *from, socklen_t n)
{
    rl_http_conn *c;

    if (h->n_conns >= h->o.conns_max) {
        turn_away(h, fd, "every connection is in use; try again in a second");
        return;
    }
    c = rl_alloc(sizeof *c);
    if (c)
        c->ip = ip_take(h, from);
    if (!c || !c->ip) {
        rl_free(c);
        turn_away(h, fd, "too many connections from this address; use those you have");
        return;
    }
    c->http = h;
    c->fd = fd;
    c->since_ms = h->now_ms;
    rl_http_sock_name(from, c->peer, sizeof c->peer);
    c->next = h->arriving;
    h->arriving = c;
    h->n_conns++;
    (void)MHD_add_connection(h->mhd, fd, (const struct sockaddr *)from,
                             n); /* closes fd if it fails */
}

/* Out of descriptors the listener would stay readable for ever: not watched until the next tick. */
static void go_deaf(rl_http *h)
{
    struct epoll_event ev = { .events = 0, .data.ptr = &h->listener };

    if (epoll_ctl(h->epoll, EPOLL_CTL_MOD, h->listener, &ev) == 0)
        h->deaf = true;
    rl_log(RL_LOG_WARN, "http: accept: %s; raise the limit of open files", strerror(errno));
}

void rl_http_conn_accept(rl_http *h)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage from = { 0 };
        socklen_t n = sizeof from;
        int fd = accept4(h->listener, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0)
            take(h, fd, &from, n);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            go_deaf(h);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

static void end(rl_http_conn *c, int how)
{
    c->cut = true;
    if (c->ex)
        rl_http_exchange_gone(c->ex);
    (void)shutdown(c->fd, how);
    if (c->ex)
        rl_http_exchange_resume(c->ex);
}

/* libmicrohttpd notices at its next look and completes the request. */
void rl_http_conn_cut(rl_http_conn *c)
{
    if (!c->cut)
        end(c, SHUT_RDWR);
}

/* For requests that are not complete: libmicrohttpd has nothing to send then, so the socket is
 * free. */
void rl_http_conn_refuse(rl_http_conn *c, rl_http_fault fault, int how)
{
    rl_buf message;

    if (c->cut)
        return;
    if (rl_http_refuse_raw(c->http, fault, &message))
        (void)!send(c->fd, message.data, message.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    rl_buf_deinit(&message);
    end(c, how);
}

/* A whole answer is sent on to a client that closed its side only; nothing else is. */
void rl_http_conn_event(rl_http_conn *c, uint32_t events)
{
    if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return;
    if (!c->fin) {
        c->fin = true;
        c->next_fin = c->http->fins;
        c->http->fins = c;
    }
    if (c->ex && (c->ex->phase == RL_HTTP_WAITING || c->ex->phase == RL_HTTP_STREAMING))
        rl_http_conn_cut(c);
}

/* libmicrohttpd reads once for what came at once: bytes and a FIN together leave the FIN unread,
 * and the connection open until a timeout. So who has closed its side and has neither a whole
 * request nor bytes to make one of is let go here. */
void rl_http_conn_end_fins(rl_http *h)
{
    for (rl_http_conn *c = h->fins; c; c = c->next_fin)
        if ((!c->ex || c->ex->phase <= RL_HTTP_BODY) && rl_http_sock_unread(c->fd) == 0)
            rl_http_conn_cut(c);
}

void rl_http_conn_idle_drop(rl_http *h)
{
    for (rl_http_conn *c = h->conns; c; c = c->next)
        if (!c->ex)
            rl_http_conn_cut(c);
}
