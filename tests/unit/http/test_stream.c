/* Streams and answers from other threads: what a client reads, in order and whole, and how much the
 * room takes from a source that nobody reads. */
#include "bed.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST   "Host: realm\r\n"
#define END    "\r\n"
#define STREAM "GET /stream HTTP/1.1\r\n" HOST END
#define WAIT   "GET /wait HTTP/1.1\r\n" HOST END

/* Each wake gives what came since; the end comes as the last chunk, and the connection goes on. */
static void test_events(void **state)
{
    answers *a = test_malloc(sizeof *a);
    rl_http_exchange *ex;
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    fd = client_open(&b);
    assert_true(client_say(fd, STREAM));
    ex = bed_held(&b);
    for (int i = 0; i < 100; i++) {
        atomic_fetch_add(&b.feed.ready, 10);
        rl_http_wake(ex);
        bed_until(atomic_load(&b.feed.taken) == (i + 1) * 10);
    }
    atomic_store(&b.feed.then, -1);
    rl_http_wake(ex);
    client_read(fd, a, 1, false);
    assert_int_equal(a->status[0], 200);
    assert_non_null(strstr(a->data, "\r\nContent-Type: text/event-stream\r\n"));
    assert_non_null(strstr(a->data, "\r\nA\r\nxxxxxxxxxx\r\n"));
    bed_until(atomic_load(&b.feed.done) == 1);
    assert_int_equal(atomic_load(&b.feed.gone), 0);
    rl_http_wake(ex); /* dead: harmless */
    rl_http_unref(ex);
    assert_true(client_say(fd, "GET / HTTP/1.1\r\n" HOST END));
    client_read(fd, a, 1, false);
    assert_int_equal(a->status[0], 200);
    (void)close(fd);
    bed_stop(&b);
    test_free(a);
}

/* A source that fails cuts the connection: the client sees no last chunk. */
static void test_failure(void **state)
{
    answers *a = test_malloc(sizeof *a);
    rl_http_exchange *ex;
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    fd = client_open(&b);
    assert_true(client_say(fd, STREAM));
    ex = bed_held(&b);
    atomic_fetch_add(&b.feed.ready, 10);
    atomic_store(&b.feed.then, -2);
    rl_http_wake(ex);
    client_read(fd, a, 0, false);
    assert_true(a->closed);
    assert_int_equal(a->count, 0);
    assert_non_null(strstr(a->data, "xxxxxxxxxx"));
    bed_until(atomic_load(&b.feed.done) == 1);
    assert_int_equal(atomic_load(&b.feed.gone), 0);
    rl_http_unref(ex);
    (void)close(fd);
    bed_stop(&b);
    test_free(a);
}

/* HTTP/1.0 has no chunks: the end of the stream is the end of the connection. HEAD has no body at
 * all. */
static void test_old_and_head(void **state)
{
    answers *a = test_malloc(sizeof *a);
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    atomic_store(&b.feed.ready, 100000);
    atomic_store(&b.feed.then, -1);
    fd = client_open(&b);
    assert_true(client_say(fd, "GET /stream HTTP/1.0\r\n\r\n"));
    client_read(fd, a, 0, true);
    assert_int_equal(a->status[0], 200);
    assert_null(strstr(a->data, "chunked"));
    assert_true(a->n > 100000 && a->n < 101000);
    bed_until(atomic_load(&b.feed.done) == 1);
    (void)close(fd);
    bed_reset(&b);
    atomic_store(&b.feed.ready, 1000);
    fd = client_open(&b);
    assert_true(client_say(fd, "HEAD /stream HTTP/1.1\r\n" HOST "Connection: close\r\n" END));
    client_read(fd, a, 0, true);
    assert_int_equal(a->count, 1);
    assert_false(a->ragged);
    bed_until(atomic_load(&b.feed.done) == 1);
    assert_int_equal(atomic_load(&b.feed.taken), 0);
    (void)close(fd);
    bed_stop(&b);
    test_free(a);
}

/* Nobody reads: the source is asked for what fits the sockets' buffers and 64 KiB, and no more,
 * however long one looks. Then somebody reads, and it goes on. */
static void test_backpressure(void **state)
{
    enum { SNDBUF = 16 * 1024, TOTAL = 4 * 1024 * 1024 };
    int64_t bound, taken = 0;
    socklen_t n = sizeof(int);
    int fd, rcvbuf = 0;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .sndbuf = SNDBUF });
    atomic_store(&b.feed.ready, TOTAL);
    atomic_store(&b.feed.then, -1);
    fd = client_open_small(&b);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, &n), 0);
    bound = (int64_t)64 * 1024 + 2 * SNDBUF + rcvbuf;
    assert_true(client_say(fd, STREAM));
    bed_until(atomic_load(&b.feed.taken) > 0);
    for (int still = 0; still < 300; still++) {
        if (atomic_load(&b.feed.taken) != taken)
            still = 0;
        taken = atomic_load(&b.feed.taken);
        if (taken > bound)
            fail_msg("%lld bytes taken, nobody reads", (long long)taken);
        bed_nap();
    }
    assert_int_equal(client_skip(fd, TOTAL), TOTAL);
    bed_until(atomic_load(&b.feed.taken) == TOTAL);
    (void)close(fd);
    bed_until(atomic_load(&b.feed.done) == 1);
    bed_stop(&b);
}

/* A client that takes nothing is cut, and nothing is left of its connection. */
static void test_stall(void **state)
{
    rl_http_counts counts;
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .sndbuf = 16 * 1024, .stall_ms = 300 });
    atomic_store(&b.feed.ready, 1 << 30);
    fd = client_open_small(&b);
    assert_true(client_say(fd, STREAM));
    bed_until(atomic_load(&b.feed.done) == 1);
    assert_int_equal(atomic_load(&b.feed.gone), 1);
    bed_until((rl_http_count(b.http, &counts), counts.connections) == 0);
    (void)close(fd);
    bed_stop(&b);
}

/* --- answers from other threads ------------------------------------------------------------- */

static realm_status say(rl_http_exchange *ex, const char *text)
{
    rl_http_field fields[] = { { "X-A", "7" }, { NULL, NULL } };
    rl_http_answer a = { .status = 200, .type = "text/plain", .headers = fields };

    return rl_http_reply(ex, &a, rl_strdup(text), strlen(text));
}

static void test_later(void **state)
{
    answers *a = test_malloc(sizeof *a);
    rl_http_answer streamed = { .status = 200 };
    rl_http_source source = { feed_fill, feed_gone, feed_done, NULL };
    rl_http_exchange *ex;
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    source.ctx = &b.feed;
    fd = client_open(&b);
    for (int i = 0; i < 20; i++) {
        bed_reset(&b);
        assert_true(client_say(fd, WAIT));
        ex = bed_held(&b);
        rl_http_wake(ex); /* nothing to say yet */
        assert_int_equal(say(ex, "late"), REALM_OK);
        client_read(fd, a, 1, false);
        assert_int_equal(a->status[0], 200);
        assert_non_null(strstr(a->data, "\r\nX-A: 7\r\n"));
        assert_non_null(strstr(a->data, "\r\n\r\nlate"));
        bed_until(atomic_load(&b.feed.done) == 1);
        assert_int_equal(atomic_load(&b.feed.gone), 0);
        rl_http_unref(ex);
    }
    bed_reset(&b);
    assert_true(client_say(fd, WAIT));
    ex = bed_held(&b);
    atomic_store(&b.feed.ready, 5);
    atomic_store(&b.feed.then, -1);
    assert_int_equal(rl_http_stream(ex, &streamed, &source), REALM_OK);
    client_read(fd, a, 1, false);
    assert_non_null(strstr(a->data, "\r\n5\r\nxxxxx\r\n0\r\n\r\n"));
    bed_until(atomic_load(&b.feed.done) == 2); /* the watcher and the source */
    rl_http_unref(ex);
    (void)close(fd);
    bed_stop(&b);
    test_free(a);
}

/* What cannot be answered is said, and nothing of it is used. */
static void test_misuse(void **state)
{
    rl_http_field split[] = { { "X", "a\r\nSet-Cookie: b" }, { NULL, NULL } };
    rl_http_field named[] = { { "X Y", "a" }, { NULL, NULL } };
    rl_http_answer a = { .status = 200, .headers = split };
    rl_http_source source = { feed_fill, feed_gone, feed_done, NULL };
    rl_http_exchange *ex;
    answers *got = test_malloc(sizeof *got);
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    source.ctx = &b.feed;
    fd = client_open(&b);
    assert_true(client_say(fd, WAIT));
    ex = bed_held(&b);
    assert_int_equal(rl_http_reply(ex, &a, NULL, 0), REALM_EINVAL);
    a.headers = named;
    assert_int_equal(rl_http_stream(ex, &a, &source), REALM_EINVAL);
    a = (rl_http_answer){ .status = 100 };
    assert_int_equal(rl_http_reply(ex, &a, NULL, 0), REALM_EINVAL);
    assert_int_equal(rl_http_watch(ex, feed_gone, feed_done, &b.feed), REALM_ECONFLICT);
    assert_int_equal(say(ex, "once"), REALM_OK);
    client_read(fd, got, 1, false);
    assert_int_equal(got->status[0], 200);
    bed_until(atomic_load(&b.feed.done) == 1);
    assert_int_equal(say(ex, "twice"), REALM_ECANCELLED);
    assert_int_equal(rl_http_stream(ex, &a, &source), REALM_EINVAL);
    a.status = 200;
    assert_int_equal(rl_http_stream(ex, &a, &source), REALM_ECANCELLED);
    assert_int_equal(rl_http_watch(ex, feed_gone, feed_done, &b.feed), REALM_ECANCELLED);
    assert_int_equal(atomic_load(&b.feed.done), 1);
    rl_http_unref(ex);
    (void)close(fd);
    bed_stop(&b);
    test_free(got);
}

/* What the request said outlives the exchange, with a reference. */
static void test_accessors(void **state)
{
    rl_http_exchange *ex;
    size_t n;
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    fd = client_open(&b);
    assert_true(client_say(fd,
                           "POST /wai%74?a=1&b=x+y%21 HTTP/1.1\r\n"
                           "Host: realm:80\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\nabc"));
    ex = bed_held(&b);
    assert_int_equal(say(ex, "x"), REALM_OK);
    bed_until(atomic_load(&b.feed.done) == 1);
    (void)close(fd);
    assert_string_equal(rl_http_method(ex), "POST");
    assert_string_equal(rl_http_path(ex), "/wait");
    assert_string_equal(rl_http_query(ex), "a=1&b=x+y%21");
    assert_string_equal(rl_http_host(ex), "realm:80");
    assert_string_equal(rl_http_peer(ex), "127.0.0.1");
    assert_string_equal(rl_http_header(ex, "X-a"), "1");
    assert_null(rl_http_header(ex, "X-B"));
    assert_memory_equal(rl_http_body(ex, &n), "abc", 3);
    assert_int_equal(n, 3);
    rl_http_unref(ex);
    bed_stop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),       cmocka_unit_test(test_failure),
        cmocka_unit_test(test_old_and_head), cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_stall),        cmocka_unit_test(test_later),
        cmocka_unit_test(test_misuse),       cmocka_unit_test(test_accessors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
