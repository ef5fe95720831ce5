#include "bed.h"

#include "base/alloc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the server ----------------------------------------------------------------------------- */

/* On the http thread a test cannot be failed, only ended. */
static void must(bool ok)
{
    if (!ok)
        abort();
}

ssize_t feed_fill(void *ctx, char *buf, size_t cap)
{
    feed *f = ctx;
    int64_t ready = atomic_load(&f->ready);
    int64_t n = ready < (int64_t)cap ? ready : (int64_t)cap;

    atomic_fetch_add(&f->asked, 1);
    if (n == 0)
        return atomic_load(&f->then);
    memset(buf, 'x', (size_t)n);
    atomic_fetch_sub(&f->ready, n);
    atomic_fetch_add(&f->taken, n);
    return n;
}

void feed_gone(void *ctx)
{
    feed *f = ctx;

    atomic_fetch_add(&f->gone, 1);
}

void feed_done(void *ctx)
{
    feed *f = ctx;

    atomic_fetch_add(&f->done, 1);
}

static void hold(bed *b, rl_http_exchange *ex)
{
    rl_http_exchange *before;

    (void)pthread_mutex_lock(&b->lock);
    before = b->held;
    b->held = rl_http_ref(ex);
    (void)pthread_mutex_unlock(&b->lock);
    rl_http_unref(before);
}

static void reply_text(rl_http_exchange *ex, int status, const char *text)
{
    rl_http_answer a = { .status = status, .type = "text/plain" };

    must(rl_http_reply(ex, &a, rl_strdup(text), strlen(text)) == REALM_OK);
}

static void admit(void *ctx, rl_http_exchange *ex)
{
    bed *b = ctx;

    atomic_fetch_add(&b->admitted, 1);
    if (strcmp(rl_http_path(ex), "/deny") == 0)
        reply_text(ex, 403, "denied");
    if (strcmp(rl_http_path(ex), "/small") == 0)
        rl_http_limit_body(ex, 16);
}

static void echo(rl_http_exchange *ex)
{
    rl_http_answer a = { .status = 200, .type = "application/octet-stream" };
    size_t n;
    const char *body = rl_http_body(ex, &n);
    char *copy = rl_alloc(n + 1);

    must(copy != NULL);
    memcpy(copy, body, n);
    must(rl_http_reply(ex, &a, copy, n) == REALM_OK);
}

static void stream(bed *b, rl_http_exchange *ex)
{
    rl_http_answer a = { .status = 200, .type = "text/event-stream" };
    rl_http_source s = { feed_fill, feed_gone, feed_done, &b->feed };

    must(rl_http_stream(ex, &a, &s) == REALM_OK);
    hold(b, ex);
}

static void handle(void *ctx, rl_http_exchange *ex)
{
    bed *b = ctx;
    const char *path = rl_http_path(ex);
    char text[512];

    atomic_fetch_add(&b->served, 1);
    if (strcmp(path, "/smuggled") == 0)
        atomic_fetch_add(&b->smuggled, 1);
    if (strcmp(path, "/wait") == 0) {
        must(rl_http_watch(ex, feed_gone, feed_done, &b->feed) == REALM_OK);
        hold(b, ex);
    } else if (strcmp(path, "/stream") == 0) {
        stream(b, ex);
    } else if (strcmp(path, "/none") == 0) {
        reply_text(ex, 204, "nothing of this goes");
    } else if (strcmp(path, "/echo") == 0 || strcmp(path, "/small") == 0) {
        echo(ex);
    } else {
        (void)snprintf(text, sizeof text, "%s %.200s?%.200s", rl_http_method(ex), path,
                       rl_http_query(ex));
        reply_text(ex, 200, text);
    }
}

static void refuse(void *ctx, int status, const char *text, rl_buf *body)
{
    (void)ctx;
    (void)rl_buf_addf(body, "{\"status\":%d,\"text\":\"%s\"}", status, text);
}

static void ended(void *ctx, const rl_http_record *r)
{
    bed *b = ctx;

    (void)pthread_mutex_lock(&b->lock);
    b->record.r = *r;
    (void)snprintf(b->record.id, sizeof b->record.id, "%s", r->id);
    (void)snprintf(b->record.method, sizeof b->record.method, "%s", r->method);
    (void)snprintf(b->record.path, sizeof b->record.path, "%.79s", r->path);
    (void)snprintf(b->record.peer, sizeof b->record.peer, "%s", r->peer);
    (void)snprintf(b->record.traceparent, sizeof b->record.traceparent, "%.79s",
                   r->traceparent ? r->traceparent : "none");
    (void)pthread_mutex_unlock(&b->lock);
    atomic_fetch_add(&b->ended, 1);
}

void bed_start(bed *b, rl_http_opts opts)
{
    realm_error err = { 0 };

    memset(b, 0, sizeof *b);
    (void)pthread_mutex_init(&b->lock, NULL);
    opts.admit = admit;
    opts.handle = handle;
    opts.refuse = refuse;
    opts.ended = ended;
    opts.refuse_type = "application/json";
    opts.ctx = b;
    if (rl_http_start(&b->http, &opts, &err) != REALM_OK)
        fail_msg("%s", err.text);
    assert_true(rl_http_port(b->http) > 0);
}

void bed_stop(bed *b)
{
    rl_http_free(b->http);
    rl_http_unref(b->held);
    (void)pthread_mutex_destroy(&b->lock);
}

static rl_http_exchange *held_now(bed *b)
{
    rl_http_exchange *ex;

    (void)pthread_mutex_lock(&b->lock);
    ex = b->held;
    b->held = NULL;
    (void)pthread_mutex_unlock(&b->lock);
    return ex;
}

rl_http_exchange *bed_held(bed *b)
{
    rl_http_exchange *ex = NULL;

    bed_until((ex = ex ? ex : held_now(b)) != NULL);
    return ex;
}

bed_record bed_ended(bed *b, int n)
{
    bed_record r;

    bed_until(atomic_load(&b->ended) == n);
    (void)pthread_mutex_lock(&b->lock);
    r = b->record;
    (void)pthread_mutex_unlock(&b->lock);
    return r;
}

void bed_reset(bed *b)
{
    feed *f = &b->feed;

    atomic_store(&f->ready, 0);
    atomic_store(&f->then, 0);
    atomic_store(&f->taken, 0);
    atomic_store(&f->asked, 0);
    atomic_store(&f->gone, 0);
    atomic_store(&f->done, 0);
}

void bed_nap(void)
{
    (void)poll(NULL, 0, 1);
}

/* --- the client ----------------------------------------------------------------------------- */

static int open_with(const bed *b, int rcvbuf)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(rl_http_port(b->http)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (rcvbuf)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

int client_try(const bed *b)
{
    return open_with(b, 0);
}

int client_open(const bed *b)
{
    int fd = open_with(b, 0);

    assert_true(fd >= 0);
    return fd;
}

int client_open_small(const bed *b)
{
    int fd = open_with(b, 32 * 1024);

    assert_true(fd >= 0);
    return fd;
}

bool client_send(int fd, const void *p, size_t n)
{
    const char *at = p;

    while (n) {
        ssize_t done = send(fd, at, n, MSG_NOSIGNAL);

        if (done < 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

bool client_say(int fd, const char *text)
{
    return client_send(fd, text, strlen(text));
}

/* -> the length of the whole answer at p, 0: it is not complete */
static size_t answer_length(const char *p, size_t n, bool head_only, int *status)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    const char *field;
    size_t head, body = 0;

    if (!end || n < 12 || memcmp(p, "HTTP/1.1 ", 9) != 0)
        return 0;
    *status = (int)strtol(p + 9, NULL, 10);
    head = (size_t)(end - p) + 4;
    if (head_only || *status == 100)
        return head;
    field = memmem(p, head, "\r\nTransfer-Encoding: chunked", 28);
    if (field) {
        end = memmem(p + head, n - head, "0\r\n\r\n", 5);
        return end ? (size_t)(end - p) + 5 : 0;
    }
    field = memmem(p, head, "\r\nContent-Length: ", 18);
    if (field)
        body = (size_t)strtoul(field + 18, NULL, 10);
    return n - head >= body ? head + body : 0;
}

static void count_answers(answers *a, bool head_only)
{
    size_t at = 0;
    int status = 0;

    a->count = a->continues = 0;
    while (at < a->n) {
        size_t n = answer_length(a->data + at, a->n - at, head_only, &status);

        if (n == 0)
            break;
        at += n;
        if (status == 100)
            a->continues++;
        else if (a->count < 16)
            a->status[a->count++] = status;
    }
    a->ragged = at < a->n;
}

void client_read(int fd, answers *a, int count, bool head_only)
{
    a->n = 0;
    a->data[0] = 0;
    a->closed = a->reset = false;
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;

        count_answers(a, head_only);
        if (count > 0 && a->count >= count)
            return;
        if (poll(&p, 1, BED_WAIT_MS) <= 0)
            fail_msg("no answer");
        n = recv(fd, a->data + a->n, sizeof a->data - 1 - a->n, 0);
        if (n <= 0) {
            a->closed = true;
            a->reset = n < 0;
            return;
        }
        a->n += (size_t)n;
        a->data[a->n] = 0;
    }
}

size_t client_skip(int fd, size_t n)
{
    char away[16384];
    size_t got = 0;

    while (got < n) {
        size_t want = n - got < sizeof away ? n - got : sizeof away;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t k;

        if (poll(&p, 1, BED_WAIT_MS) <= 0)
            fail_msg("no bytes");
        k = recv(fd, away, want, 0);
        if (k <= 0)
            break;
        got += (size_t)k;
    }
    return got;
}

void client_reset(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(fd);
}

int client_ask(const bed *b, const char *text, answers *a)
{
    int fd = client_open(b);

    (void)client_say(fd, text);
    client_read(fd, a, 1, false);
    (void)close(fd);
    return a->count ? a->status[0] : 0;
}
