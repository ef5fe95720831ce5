/* Serve: what libmicrohttpd calls. Everything here runs on the http thread. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>
#include <sys/socket.h>

static rl_http_conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* A request line is there. Its target is still as it was sent: libmicrohttpd decodes it after this.
 */
static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    rl_http_conn *c = conn_of(mhd);

    c->http->progress++;
    (void)cls;
    RL_ASSERT(!c->ex);
    c->ex = rl_http_exchange_new(c, mhd, target ? target : "");
    return c->ex;
}

/* Leaves targets and parameters as they are: the room decodes its own copy. */
static size_t on_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

/* Waits for an answer; a client that has closed its side is gone already. */
static enum MHD_Result wait_for_answer(rl_http_exchange *ex)
{
    ex->phase = RL_HTTP_WAITING;
    if (ex->conn->fin) {
        rl_http_exchange_gone(ex);
        return MHD_NO;
    }
    rl_http_exchange_suspend(ex);
    return MHD_YES;
}

static enum MHD_Result answer(rl_http_exchange *ex)
{
    if (ex->answer.streams && ex->conn->fin) {
        rl_http_exchange_gone(ex);
        return MHD_NO;
    }
    return rl_http_answer_queue(ex);
}

/* The head is complete. */
static enum MHD_Result begin(rl_http_exchange *ex, const char *method, const char *version)
{
    rl_http *h = ex->conn->http;
    rl_http_limits limits = { h->o.line_max, h->o.head_max, h->o.fields_max };
    rl_http_head head;
    rl_http_fault f = rl_http_wire_read(ex, &head, method, version);

    if (!f.status)
        f = rl_http_head_check(&head, &limits);
    if (!f.status)
        f = rl_http_exchange_fill(ex, &head);
    if (f.status)
        return rl_http_answer_refuse(ex, f);
    atomic_fetch_add(&h->requests, 1);
    ex->phase = RL_HTTP_BODY;
    ex->chunked = head.chunked;
    ex->whole = !head.chunked && head.length == 0;
    ex->began_ms = h->now_ms;
    if (h->o.admit)
        h->o.admit(h->o.ctx, ex);
    if (rl_http_answer_ready(ex))
        return answer(ex);
    if (head.length > ex->body.max)
        return rl_http_answer_refuse(ex, (rl_http_fault){ 413, "the body is over its limit" });
    return MHD_YES;
}

/* A part of the body. libmicrohttpd takes no answer here, so a refusal goes past it. */
static enum MHD_Result take_body(rl_http_exchange *ex, const char *data, size_t *n)
{
    realm_status st = rl_buf_add(&ex->body, data, *n);

    *n = 0;
    if (st == REALM_OK)
        return MHD_YES;
    rl_http_conn_refuse(ex->conn,
                        st == REALM_ETOOBIG
                            ? (rl_http_fault){ 413, "the body is over its limit" }
                            : (rl_http_fault){ 503, "no memory for the body; try again" },
                        SHUT_WR);
    return MHD_NO;
}

static enum MHD_Result body_done(rl_http_exchange *ex)
{
    rl_http *h = ex->conn->http;

    ex->whole = true;
    if (!rl_http_answer_ready(ex))
        h->o.handle(h->o.ctx, ex);
    return rl_http_answer_ready(ex) ? answer(ex) : wait_for_answer(ex);
}

/* Called when the head is complete, for each part of the body, when the request is complete, and
 * again each time its connection was resumed without an answer. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **slot)
{
    rl_http_exchange *ex = *slot;

    (void)cls;
    (void)mhd;
    (void)url;
    if (!ex || ex->conn->cut)
        return MHD_NO;
    ex->conn->http->progress++;
    switch (ex->phase) {
    case RL_HTTP_HEAD:
        return begin(ex, method, version);
    case RL_HTTP_BODY:
        return *n ? take_body(ex, data, n) : body_done(ex);
    case RL_HTTP_WAITING:
        return rl_http_answer_ready(ex) ? answer(ex) : wait_for_answer(ex);
    default:
        return MHD_NO;
    }
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    rl_http_exchange *ex = *slot;
    rl_http_conn *c;

    (void)cls;
    (void)mhd;
    *slot = NULL;
    if (!ex)
        return;
    c = ex->conn;
    c->http->progress++;
    c->ex = NULL;
    c->consumed += ex->head_bytes + ex->body.len;
    c->since_ms = c->http->now_ms;
    c->head_ms = 0;
    c->unread = !ex->whole;
    rl_http_exchange_end(ex, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    rl_http *h = cls;

    h->progress++;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        rl_http_conn_opened(h, mhd, slot);
    } else if (*slot) {
        rl_http_conn_closed(*slot);
        *slot = NULL;
    }
}

/* What libmicrohttpd keeps of a request besides its text: 56 bytes a field, and a copy of cookies.
 * The room's limits must be met first, so that a refusal has the room's shape. */
static size_t pool_bytes(const rl_http_opts *o)
{
    return (o->line_max + (size_t)2 * o->head_max + (size_t)64 * o->fields_max + 4095) &
           ~(size_t)4095;
}

struct MHD_Daemon *rl_http_serve_start(rl_http *h)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
        on_request, h, MHD_OPTION_URI_LOG_CALLBACK, on_target, h, MHD_OPTION_UNESCAPE_CALLBACK,
        on_unescape, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, h, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(h->o.conns_max + 16),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool_bytes(&h->o), MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_END);
}
