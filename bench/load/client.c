#include "load/client.h"

#include "base/assert.h"
#include "base/clock.h"
#include "load/bodies.h"
#include "load/event.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOW_RCVBUF 2048 /* the kernel shall not read ahead for a slow client */

typedef rl_load_client client;

void rl_load_client_init(client *c, rl_load_wire *wire, rl_load_kind kind)
{
    *c = (client){ .wire = wire, .kind = kind, .fd = -1 };
    rl_buf_init(&c->out, RL_LOAD_REQUEST_MAX);
    rl_buf_init(&c->body, RL_LOAD_PLAIN_MAX);
    rl_load_http_init(&c->http);
    rl_load_sse_init(&c->sse);
}

static void hang_up(client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd); /* leaves the epoll set by that */
    c->fd = -1;
    c->watched = 0;
}

void rl_load_client_deinit(client *c)
{
    hang_up(c);
    rl_buf_deinit(&c->out);
    rl_buf_deinit(&c->body);
    rl_load_http_deinit(&c->http);
    rl_load_sse_deinit(&c->sse);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static bool end(client *c, rl_load_reason reason, const char *why)
{
    RL_ASSERT(c->state != RL_LOAD_CLIENT_RESTING);
    c->state = RL_LOAD_CLIENT_RESTING;
    c->result.reason = reason;
    c->result.end_ns = rl_clock_ns();
    rl_load_result_say(&c->result, why);
    return true;
}

bool rl_load_client_fail(client *c, rl_load_reason reason, const char *why)
{
    hang_up(c);
    return end(c, reason, why);
}

static bool fail_errno(client *c, rl_load_reason reason, int errnum)
{
    return rl_load_client_fail(c, reason, strerror(errnum));
}

/* Asks epoll for these events from now on; none takes the socket out. */
static bool watch(client *c, uint32_t events)
{
    struct epoll_event e = { .events = events, .data = { .ptr = c } };
    int op = c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (events == c->watched)
        return true;
    if (!events)
        op = EPOLL_CTL_DEL;
    c->watched = events;
    return epoll_ctl(c->wire->ep, op, c->fd, &e) == 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* What a client waits for while its answer comes: a slow one is woken by its clock alone. */
static uint32_t reading_events(const client *c)
{
    return c->kind == RL_LOAD_SLOW ? 0 : EPOLLIN;
}

/* Sends what is left, then waits for the answer. -> whether the request ended (it failed) */
static bool send_more(client *c)
{
    while (c->n_sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->n_sent, c->out.len - c->n_sent, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            c->state = RL_LOAD_CLIENT_SENDING;
            return watch(c, EPOLLOUT) ? false : fail_errno(c, RL_LOAD_CONNECT, errno);
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) /* the server wants no more; its answer may be there to read, 413 say */
            break;
        c->n_sent += (size_t)n;
        c->wire->count.bytes_out += (uint64_t)n;
    }
    c->state = RL_LOAD_CLIENT_READING;
    return watch(c, reading_events(c)) ? false : fail_errno(c, RL_LOAD_CONNECT, errno);
}

static bool connect_now(client *c)
{
    const int yes = 1, small = SLOW_RCVBUF;
    const struct sockaddr *at = (const struct sockaddr *)&c->wire->addr.at;

    c->reused = false;
    c->n_sent = 0;
    c->fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return fail_errno(c, RL_LOAD_CONNECT, errno);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (c->kind == RL_LOAD_SLOW)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    c->wire->count.connects++;
    if (connect(c->fd, at, c->wire->addr.size) == 0)
        return send_more(c);
    if (errno != EINPROGRESS)
        return fail_errno(c, RL_LOAD_CONNECT, errno);
    c->state = RL_LOAD_CLIENT_CONNECTING;
    return watch(c, EPOLLOUT) ? false : fail_errno(c, RL_LOAD_CONNECT, errno);
}

static bool connected(client *c)
{
    int code = 0;
    socklen_t size = sizeof code;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
        code = errno;
    return code ? fail_errno(c, RL_LOAD_CONNECT, code) : send_more(c);
}

bool rl_load_client_start(client *c, uint64_t intended_ns, uint32_t max_tokens)
{
    RL_ASSERT(c->state == RL_LOAD_CLIENT_RESTING);
    c->started_ns = rl_clock_ns();
    c->result = (rl_load_result){ .intended_ns = intended_ns, .max_tokens = max_tokens };
    c->got_byte = c->done = false;
    c->n_sent = 0;
    rl_buf_clear(&c->body);
    rl_load_http_reset(&c->http);
    rl_load_sse_reset(&c->sse);
    c->state = RL_LOAD_CLIENT_SENDING;
    if (c->fd < 0)
        return connect_now(c);
    c->reused = true;
    return send_more(c);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_stream(const client *c)
{
    return c->http.status == 200 && !c->wire->plain && c->http.event_stream;
}

/* One event of a stream, or a whole plain body. -> whether the request ended (it failed) */
static bool take_event(client *c, const rl_load_event *e, uint64_t now)
{
    rl_load_result *r = &c->result;

    if (e->kind == RL_LOAD_EVENT_BAD)
        return rl_load_client_fail(c, RL_LOAD_EVENT, "an event that is not the API's JSON");
    if (e->kind == RL_LOAD_EVENT_ERROR)
        return rl_load_client_fail(c, RL_LOAD_ERROR, e->error);
    r->n_events++;
    c->wire->count.events++;
    if (e->has_usage) {
        r->has_usage = true;
        r->prompt_tokens = e->prompt_tokens;
        r->completion_tokens = e->completion_tokens;
    }
    if (!e->n_texts)
        return false;
    if (r->last_ns && c->wire->gaps && c->kind == RL_LOAD_GOOD)
        rl_load_hist_add(c->wire->gaps, now - r->last_ns);
    if (!r->first_ns && is_stream(c))
        r->first_ns = now;
    r->last_ns = now;
    r->n_texts++;
    c->wire->count.texts++;
    return false;
}

static bool take_stream(client *c, const char *p, size_t n, uint64_t now)
{
    const char *data;
    size_t n_data;

    for (;;) {
        rl_load_sse_next next = rl_load_sse_read(&c->sse, &p, &n, &data, &n_data);
        rl_load_event e;

        if (next == RL_LOAD_SSE_MORE)
            return false;
        if (next == RL_LOAD_SSE_BAD)
            return rl_load_client_fail(c, RL_LOAD_TOO_LONG, "an event over 1 MiB");
        rl_load_event_read(&e, data, n_data);
        if (c->done)
            return rl_load_client_fail(c, RL_LOAD_EVENT, "an event behind [DONE]");
        if (e.kind == RL_LOAD_EVENT_DONE)
            c->done = true;
        else if (take_event(c, &e, now))
            return true;
    }
}

/* -> whether the request ended (it failed) */
static bool take_body(client *c, const char *p, size_t n, uint64_t now)
{
    if (is_stream(c))
        return take_stream(c, p, n, now);
    if (c->http.status != 200) {
        size_t room = RL_LOAD_REFUSE_MAX - c->body.len;

        (void)rl_buf_add(&c->body, p, n < room ? n : room);
        return false;
    }
    if (rl_buf_add(&c->body, p, n) != REALM_OK)
        return rl_load_client_fail(c, RL_LOAD_TOO_LONG, "a body over 16 MiB");
    return false;
}

/* Another status than 200: what the server said about it. */
static bool refused(client *c)
{
    bool rejected = c->http.status == 429 || c->http.status == 503;
    rl_load_event e;

    rl_load_event_read(&e, c->body.len ? c->body.data : "", c->body.len);
    return end(c, rejected ? RL_LOAD_REJECTED : RL_LOAD_STATUS,
               e.kind == RL_LOAD_EVENT_ERROR ? e.error : "");
}

/* The answer is complete. -> true */
static bool complete(client *c, uint64_t now)
{
    rl_load_event e;

    if (c->http.status != 200)
        return refused(c);
    if (!c->wire->plain)
        return c->done ? end(c, RL_LOAD_OK, "") : end(c, RL_LOAD_NO_DONE, "");
    rl_load_event_read(&e, c->body.len ? c->body.data : "", c->body.len);
    if (e.kind == RL_LOAD_EVENT_DONE)
        e.kind = RL_LOAD_EVENT_BAD;
    return take_event(c, &e, now) ? true : end(c, RL_LOAD_OK, "");
}

/* A kept connection that broke before the answer began: the request goes out again, once. */
static bool broke(client *c, rl_load_reason reason, const char *why)
{
    if (!c->reused || c->got_byte)
        return rl_load_client_fail(c, reason, why);
    hang_up(c);
    c->wire->count.again++;
    return connect_now(c);
}

static void note_head(client *c)
{
    if (!c->http.head_done)
        return;
    c->result.status = c->http.status;
    c->result.retry_after = c->http.retry_after;
}

/* -> whether the request ended */
static bool take_bytes(client *c, const char *p, size_t n, uint64_t now)
{
    for (;;) {
        const char *body = NULL;
        size_t n_body = 0;
        rl_load_http_next next = rl_load_http_read(&c->http, &p, &n, &body, &n_body);

        note_head(c);
        if (next == RL_LOAD_HTTP_BAD)
            return rl_load_client_fail(c, RL_LOAD_HTTP, c->http.why);
        if (c->result.status == 200 && !c->wire->plain && !c->http.event_stream)
            return rl_load_client_fail(c, RL_LOAD_NOT_STREAM, "not text/event-stream");
        if (next == RL_LOAD_HTTP_MORE)
            return false;
        if (next == RL_LOAD_HTTP_END)
            break;
        if (take_body(c, body, n_body, now))
            return true;
    }
    if (n)
        c->wire->count
            .stray++; /* bytes that no request asked for: what follows cannot be trusted */
    if (n || !c->http.keep_alive)
        hang_up(c);
    return complete(c, now);
}

static bool server_closed(client *c)
{
    if (!c->got_byte)
        return broke(c, RL_LOAD_RESET, "closed before an answer");
    if (!rl_load_http_eof(&c->http))
        return rl_load_client_fail(c, RL_LOAD_CUT, c->http.why);
    hang_up(c);
    return complete(c, rl_clock_ns());
}

bool rl_load_client_read_some(client *c, size_t most)
{
    size_t size = most < sizeof c->wire->in ? most : sizeof c->wire->in;
    ssize_t n = recv(c->fd, c->wire->in, size, 0);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return false;
    if (n < 0)
        return broke(c, RL_LOAD_RESET, strerror(errno));
    if (n == 0)
        return server_closed(c);
    c->got_byte = true;
    c->wire->count.bytes_in += (uint64_t)n;
    return take_bytes(c, c->wire->in, (size_t)n, rl_clock_ns());
}

/* A kept connection says something between two requests: usually that it ends. */
static void quiet(client *c)
{
    ssize_t n = recv(c->fd, c->wire->in, sizeof c->wire->in, 0);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n > 0)
        c->wire->count.stray++;
    hang_up(c);
}

bool rl_load_client_ready(client *c, uint32_t events)
{
    switch (c->state) {
    case RL_LOAD_CLIENT_CONNECTING:
        return connected(c);
    case RL_LOAD_CLIENT_SENDING:
        return events & (EPOLLOUT | EPOLLERR | EPOLLHUP) ? send_more(c) : false;
    case RL_LOAD_CLIENT_READING:
        return rl_load_client_read_some(c, sizeof c->wire->in);
    default:
        quiet(c);
        return false;
    }
}
