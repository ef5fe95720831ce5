/* Connections: accepted, listed, closed. Each socket is in the epoll set once, for everything, by
 * edges: an event says what has become possible, and serve.c does it when it wants to. A client's
 * leaving is seen in every phase, also while nothing is read from it. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 64
#define OUT_MAX        ((size_t)24 * 1024) /* one answer's head, or one piece of a stream */

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

/* --- the lists ------------------------------------------------------------------------------ */

static void link_new(rl_http *h, rl_http_conn *c)
{
    c->next = h->conns;
    if (h->conns)
        h->conns->prev = c;
    h->conns = c;
    h->n_conns++;
    atomic_fetch_add(&h->connections, 1);
    atomic_fetch_add(&h->accepted, 1);
}

static void unlink_it(rl_http *h, rl_http_conn *c)
{
    rl_http_conn **at = &h->due;

    if (c->prev)
        c->prev->next = c->next;
    else
        h->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    while (c->due && *at != c)
        at = &(*at)->next_due;
    if (c->due)
        *at = c->next_due;
    h->n_conns--;
    atomic_fetch_sub(&h->connections, 1);
}

void rl_http_conn_make_due(rl_http_conn *c)
{
    if (c->due || c->dead)
        return;
    c->due = true;
    c->next_due = c->http->due;
    c->http->due = c;
}

/* Once each: who is due again meanwhile is so in the next turn. Nobody but itself closes a
 * connection that is served, so `next` stays. */
void rl_http_conn_run_due(rl_http *h)
{
    rl_http_conn *c = h->due, *next;

    h->due = NULL;
    for (; c; c = next) {
        next = c->next_due;
        c->due = false;
        rl_http_serve(c);
    }
}

void rl_http_conn_sweep(rl_http *h)
{
    rl_http_conn *c;

    while ((c = h->dead)) {
        h->dead = c->next;
        rl_free(c);
    }
}

/* --- accepting ------------------------------------------------------------------------------ */

static void turn_away(rl_http *h, int fd, const char *text)
{
    atomic_fetch_add(&h->turned_away, 1);
    rl_http_leave_told(h, fd, text);
}

static void take(rl_http *h, int fd, const struct sockaddr_storage *from)
{
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
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
    rl_buf_init(&c->out, OUT_MAX);
    rl_http_sock_name(from, c->peer, sizeof c->peer);
    link_new(h, c);
    ev.data.ptr = c;
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
        rl_http_conn_cut(c);
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
            take(h, fd, &from);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            go_deaf(h);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* --- events and ends ------------------------------------------------------------------------ */

/* A whole answer is sent on to a client that closed its side only; nothing else is. */
void rl_http_conn_event(rl_http_conn *c, uint32_t events)
{
    if (c->dead)
        return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        c->blocked = false;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->fin = true;
    if (c->fin && c->ex && (c->ex->phase == RL_HTTP_WAITING || c->ex->phase == RL_HTTP_STREAMING))
        rl_http_conn_cut(c);
    else
        rl_http_serve(c);
}

/* Its memory stays until the turn ends. */
static void bury(rl_http_conn *c, bool lingers)
{
    rl_http *h = c->http;
    rl_http_exchange *ex = c->ex;

    c->dead = true;
    c->ex = NULL;
    if (ex)
        rl_http_exchange_end(ex, false);
    (void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    if (lingers)
        rl_http_leave(h, c->fd);
    else
        (void)close(c->fd);
    unlink_it(h, c);
    ip_give(h, c->ip);
    rl_free(c->in);
    rl_buf_deinit(&c->out);
    c->next = h->dead;
    h->dead = c;
}

void rl_http_conn_cut(rl_http_conn *c)
{
    if (!c->dead)
        bury(c, false);
}

/* With bytes unread the kernel would reset the client, which might not read its answer then. */
void rl_http_conn_finish(rl_http_conn *c)
{
    if (!c->dead)
        bury(c, c->unread || c->in_n || rl_http_sock_unread(c->fd));
}

void rl_http_conn_idle_drop(rl_http *h)
{
    for (rl_http_conn *c = h->conns, *next; c; c = next) {
        next = c->next; /* a dead one is in another list */
        if (!c->ex && !c->closing)
            rl_http_conn_cut(c);
    }
}
