/* Answers: made on any thread, queued on the http thread. */
#include "http/internal.h"

#include "base/alloc.h"

#include <string.h>

#define FILL_BYTES (16 * 1024) /* what a stream's fill is offered at most */
#define OLD_BYTES  (4 * 1024)  /* the same in HTTP/1.0; a block of every stream */

static ssize_t on_fill(void *cls, uint64_t pos, char *buf, size_t max)
{
    rl_http_exchange *ex = cls;
    rl_http_conn *c = ex->conn;
    ssize_t n;

    (void)pos;
    c->http->progress++;
    if (c->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = ex->answer.source.fill(ex->answer.source.ctx, buf, max < FILL_BYTES ? max : FILL_BYTES);
    if (n > 0) {
        atomic_fetch_add(&c->http->bytes_out, (uint64_t)n);
        return n;
    }
    if (n == 0) {
        rl_http_exchange_suspend(ex);
        return 0;
    }
    ex->phase = RL_HTTP_ENDED;
    return n == -1 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static bool is_sound(const char *name, const char *value)
{
    return rl_http_is_token((rl_http_span){ name, strlen(name) }) &&
           rl_http_is_value((rl_http_span){ value, strlen(value) });
}

static realm_status add_header(struct MHD_Response *r, const char *name, const char *value)
{
    if (!is_sound(name, value))
        return REALM_EINVAL;
    return MHD_add_response_header(r, name, value) == MHD_YES ? REALM_OK : REALM_ENOMEM;
}

static realm_status dress(struct MHD_Response *r, const rl_http_answer *a)
{
    realm_status st = a->status < 200 || a->status > 599 ? REALM_EINVAL : REALM_OK;

    if (!r)
        return REALM_ENOMEM;
    if (st == REALM_OK && a->type)
        st = add_header(r, "Content-Type", a->type);
    for (const rl_http_field *f = a->headers; st == REALM_OK && f && f->name; f++)
        st = add_header(r, f->name, f->value);
    return st;
}

/* Takes the response in every case. In a callback of the exchange the http thread looks for the
 * answer when the callback returns, so it need not be woken. */
static realm_status put(rl_http_exchange *ex, const rl_http_answer *a, struct MHD_Response *r,
                        const rl_http_source *source)
{
    realm_status st = dress(r, a);

    if (st == REALM_OK) {
        (void)pthread_mutex_lock(&ex->inbox->lock);
        if (ex->dead || ex->left)
            st = REALM_ECANCELLED;
        else if (ex->answered)
            st = REALM_ECONFLICT;
        if (st == REALM_OK) {
            ex->answered = true;
            ex->answer =
                (rl_http_reply_to){ .response = r, .status = a->status, .close = a->close };
            if (source) {
                ex->answer.streams = true;
                ex->answer.source = *source;
            }
            if (!pthread_equal(pthread_self(), ex->inbox->owner) || ex->suspended)
                rl_http_inbox_post(ex);
        }
        (void)pthread_mutex_unlock(&ex->inbox->lock);
    }
    if (st != REALM_OK && r)
        MHD_destroy_response(r);
    return st;
}

static struct MHD_Response *whole(char *body, size_t n)
{
    struct MHD_Response *r;

    if (n == 0) {
        rl_free(body);
        return MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    }
    r = MHD_create_response_from_buffer_with_free_callback(n, body, rl_free);
    if (!r)
        rl_free(body);
    return r;
}

realm_status rl_http_reply(rl_http_exchange *ex, const rl_http_answer *a, char *body, size_t n)
{
    return put(ex, a, whole(body, n), NULL);
}

/* For HEAD as HTTP/1.0 would have it, without chunks: libmicrohttpd 0.9.75 sends the last chunk of
 * a body that HEAD does not have, which the client would take for the next answer. */
realm_status rl_http_stream(rl_http_exchange *ex, const rl_http_answer *a,
                            const rl_http_source *source)
{
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, OLD_BYTES, on_fill, ex, NULL);

    if (r && strcmp(ex->method, "HEAD") == 0)
        (void)MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return put(ex, a, r, source);
}

bool rl_http_answer_ready(rl_http_exchange *ex)
{
    bool ready;

    (void)pthread_mutex_lock(&ex->inbox->lock);
    ready = ex->answered;
    (void)pthread_mutex_unlock(&ex->inbox->lock);
    return ready;
}

/* The connection closes after an answer when the request was not read to its end, when its body was
 * chunked (libmicrohttpd's reading of chunks is lenient: nothing may follow it), and when the room
 * is draining. */
enum MHD_Result rl_http_answer_queue(rl_http_exchange *ex)
{
    rl_http *h = ex->conn->http;
    rl_http_reply_to a;
    enum MHD_Result done = MHD_YES;

    (void)pthread_mutex_lock(&ex->inbox->lock);
    a = ex->answer;
    ex->answer.response = NULL;
    (void)pthread_mutex_unlock(&ex->inbox->lock);
    ex->phase = a.streams ? RL_HTTP_STREAMING : RL_HTTP_SENDING;
    ex->conn->moved_ms = h->now_ms;
    if (a.close || !ex->whole || ex->chunked || h->draining)
        done = MHD_add_response_header(a.response, "Connection", "close");
    if (done == MHD_YES)
        done = MHD_queue_response(ex->mhd, (unsigned)a.status, a.response);
    MHD_destroy_response(a.response);
    if (done == MHD_YES)
        atomic_fetch_add(&h->answered[a.status / 100], 1);
    return done;
}

enum MHD_Result rl_http_answer_refuse(rl_http_exchange *ex, rl_http_fault fault)
{
    rl_http *h = ex->conn->http;
    enum MHD_Result done = MHD_NO;
    struct MHD_Response *r;
    size_t n;
    rl_buf body;

    rl_http_refuse_body(h, fault, &body);
    n = body.failed ? 0 : body.len;
    r = whole(rl_buf_take(&body), n);
    if (!r)
        return MHD_NO;
    if (add_header(r, "Content-Type", h->o.refuse_type) == REALM_OK &&
        add_header(r, "Connection", "close") == REALM_OK &&
        (fault.status != 503 || add_header(r, "Retry-After", "1") == REALM_OK))
        done = MHD_queue_response(ex->mhd, (unsigned)fault.status, r);
    MHD_destroy_response(r);
    ex->phase = RL_HTTP_SENDING;
    ex->conn->moved_ms = h->now_ms;
    return done;
}
