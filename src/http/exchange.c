/* Exchange: one request from its head to `done`. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define ID_MAX 64  /* of a client's */
#define LEFT   499 /* the status in the record of a client that left before an answer began */

rl_http_exchange *rl_http_exchange_new(rl_http_conn *conn)
{
    rl_http_exchange *ex = rl_alloc(sizeof *ex);

    if (!ex)
        return NULL;
    ex->inbox = conn->http->inbox;
    atomic_fetch_add(&ex->inbox->refs, 1);
    atomic_init(&ex->refs, 1);
    ex->conn = conn;
    ex->began_ns = conn->head_ns;
    ex->method = ex->path = ex->query = ex->host = "";
    memcpy(ex->peer, conn->peer, sizeof ex->peer);
    rl_buf_init(&ex->body, conn->http->o.body_max);
    atomic_fetch_add(&conn->http->exchanges, 1);
    return ex;
}

rl_http_exchange *rl_http_ref(rl_http_exchange *ex)
{
    atomic_fetch_add(&ex->refs, 1);
    return ex;
}

void rl_http_unref(rl_http_exchange *ex)
{
    if (!ex || atomic_fetch_sub(&ex->refs, 1) != 1)
        return;
    RL_ASSERT(ex->dead); /* the connection's own reference goes last but when it ended */
    rl_buf_deinit(&ex->body);
    rl_free(ex->text);
    rl_http_inbox_unref(ex->inbox);
    rl_free(ex);
}

static const char *put(char **at, rl_http_span s)
{
    char *text = *at;

    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    *at += s.n + 1;
    return text;
}

void rl_http_id_make(char id[RL_HTTP_ID])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[16];
    char *at = id;

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) { /* an id, not a secret */
        uint64_t now[2] = { rl_clock_ns(), (uint64_t)rl_clock_unix_s() };

        memcpy(bytes, now, sizeof bytes);
    }
    for (const char *p = "req-"; *p; p++)
        *at++ = *p;
    for (size_t i = 0; i < sizeof bytes; i++) {
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 15];
    }
    *at = 0;
}

/* The client's own, when it may stand in a log and in a header as it is. */
static void choose_id(rl_http_exchange *ex)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *theirs = rl_http_header(ex, "X-Request-Id");
    size_t n = theirs ? strspn(theirs, allowed) : 0;

    if (n >= 1 && n <= ID_MAX && theirs[n] == 0)
        memcpy(ex->id, theirs, n + 1);
    else
        rl_http_id_make(ex->id);
}

/* Copies the head out of the connection's memory, so that it lives as long as the exchange. */
rl_http_fault rl_http_exchange_fill(rl_http_exchange *ex, const rl_http_head *head)
{
    size_t bytes = head->n_lines * sizeof *ex->fields;
    char *at;

    bytes += head->method.n + head->host.n + head->query.n + head->path.n + 4;
    for (uint32_t i = 0; i < head->n_lines; i++)
        bytes += head->lines[i].name.n + head->lines[i].value.n + 2;
    ex->text = rl_alloc(bytes);
    if (!ex->text)
        return (rl_http_fault){ 503, "no memory for the request; try again" };
    ex->fields = ex->text;
    at = (char *)(ex->fields + head->n_lines);
    for (uint32_t i = 0; i < head->n_lines; i++) {
        ex->fields[i].name = put(&at, head->lines[i].name);
        ex->fields[i].value = put(&at, head->lines[i].value);
    }
    ex->n_fields = head->n_lines;
    ex->method = put(&at, head->method);
    ex->host = put(&at, head->host);
    ex->query = put(&at, head->query);
    choose_id(ex);
    if (rl_http_path_decode(head->path, at))
        ex->path = at;
    else
        return (rl_http_fault){ 400,
                                "the path holds a bad escape, a control character, text that is "
                                "not UTF-8, or a part . or .." };
    return (rl_http_fault){ 0, NULL };
}

void rl_http_exchange_suspend(rl_http_exchange *ex, bool suspended)
{
    if (ex->suspended == suspended)
        return;
    ex->suspended = suspended;
    if (suspended)
        atomic_fetch_add(&ex->conn->http->suspended, 1);
    else
        atomic_fetch_sub(&ex->conn->http->suspended, 1);
}

/* A stream that ended by itself is not told of a client that leaves after that. */
void rl_http_exchange_gone(rl_http_exchange *ex)
{
    rl_http_watcher w = { 0 };
    rl_http_source s = { 0 };
    bool first;

    if (ex->phase == RL_HTTP_ENDED)
        return;
    (void)pthread_mutex_lock(&ex->inbox->lock);
    first = !ex->left;
    ex->left = true;
    w = ex->watcher;
    if (ex->answer.streams)
        s = ex->answer.source;
    (void)pthread_mutex_unlock(&ex->inbox->lock);
    if (first && s.gone)
        s.gone(s.ctx);
    if (first && w.gone)
        w.gone(w.ctx);
}

static void tell_ended(rl_http *h, const rl_http_exchange *ex)
{
    uint64_t now = rl_clock_ns();
    rl_http_record r = { .id = ex->id,
                         .method = ex->method,
                         .path = ex->path,
                         .peer = ex->peer,
                         .traceparent = rl_http_header(ex, "traceparent"),
                         .status = ex->status ? ex->status : LEFT,
                         .body_bytes = ex->body_sent,
                         .ns = now - ex->began_ns,
                         .first_ns = ex->first_ns ? ex->first_ns - ex->began_ns : 0,
                         .refused = ex->refused,
                         .note = ex->note };

    if (h->o.ended)
        h->o.ended(h->o.ctx, &r);
}

/* The last of an exchange. Takes the connection's reference. */
void rl_http_exchange_end(rl_http_exchange *ex, bool complete)
{
    rl_http *h = ex->conn->http;
    rl_http_reply_to a;

    if (!complete)
        rl_http_exchange_gone(ex);
    rl_http_exchange_suspend(ex, false);
    (void)pthread_mutex_lock(&ex->inbox->lock);
    ex->dead = true;
    a = ex->answer;
    ex->answer.fields = ex->answer.body = NULL;
    (void)pthread_mutex_unlock(&ex->inbox->lock);
    rl_free(a.fields);
    rl_free(a.body);
    tell_ended(h, ex);
    if (a.streams && a.source.done)
        a.source.done(a.source.ctx);
    if (ex->watcher.done)
        ex->watcher.done(ex->watcher.ctx);
    ex->conn = NULL;
    atomic_fetch_sub(&h->exchanges, 1);
    rl_http_unref(ex);
}

realm_status rl_http_watch(rl_http_exchange *ex, void (*gone)(void *ctx), void (*done)(void *ctx),
                           void *ctx)
{
    realm_status st = REALM_OK;

    (void)pthread_mutex_lock(&ex->inbox->lock);
    if (ex->left || ex->dead) {
        st = REALM_ECANCELLED;
    } else if (ex->watched) {
        st = REALM_ECONFLICT;
    } else {
        ex->watched = true;
        ex->watcher = (rl_http_watcher){ gone, done, ctx };
    }
    (void)pthread_mutex_unlock(&ex->inbox->lock);
    return st;
}

void rl_http_wake(rl_http_exchange *ex)
{
    (void)pthread_mutex_lock(&ex->inbox->lock);
    rl_http_inbox_post(ex);
    (void)pthread_mutex_unlock(&ex->inbox->lock);
}

void rl_http_limit_body(rl_http_exchange *ex, size_t max)
{
    ex->body.max = max;
}

const char *rl_http_id(const rl_http_exchange *ex)
{
    return ex->id;
}

void rl_http_note(rl_http_exchange *ex, const char *text)
{
    size_t n = strnlen(text, sizeof ex->note - 1);

    memcpy(ex->note, text, n);
    ex->note[n] = 0;
}

const char *rl_http_noted(const rl_http_exchange *ex)
{
    return ex->note;
}

const char *rl_http_method(const rl_http_exchange *ex)
{
    return ex->method;
}

const char *rl_http_path(const rl_http_exchange *ex)
{
    return ex->path;
}

const char *rl_http_query(const rl_http_exchange *ex)
{
    return ex->query;
}

const char *rl_http_host(const rl_http_exchange *ex)
{
    return ex->host;
}

const char *rl_http_peer(const rl_http_exchange *ex)
{
    return ex->peer;
}

const char *rl_http_header(const rl_http_exchange *ex, const char *name)
{
    for (uint32_t i = 0; i < ex->n_fields; i++)
        if (strcasecmp(ex->fields[i].name, name) == 0)
            return ex->fields[i].value;
    return NULL;
}

const char *rl_http_body(const rl_http_exchange *ex, size_t *n)
{
    *n = ex->body.len;
    return ex->body.data ? ex->body.data : "";
}
