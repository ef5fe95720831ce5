/* Clients that leave, in every way and in every phase of their request: `gone` exactly once, `done`
 * exactly once and after it, nothing left behind. */
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
#define TIMES  50

typedef enum way { CLOSE, FIN, RST, N_WAYS } way;

/* What is still open of the client: to be closed when the server is through. */
static int leave(int fd, way how)
{
    if (how == CLOSE)
        (void)close(fd);
    if (how == FIN)
        (void)shutdown(fd, SHUT_WR);
    if (how == RST)
        client_reset(fd);
    return how == FIN ? fd : -1;
}

static void nothing_left(bed *b)
{
    rl_http_counts c;

    bed_until(atomic_load(&b->feed.done) == 1);
    assert_int_equal(atomic_load(&b->feed.gone), 1);
    bed_until((rl_http_count(b->http, &c), c.exchanges) == 0);
    assert_int_equal(c.suspended, 0);
    bed_until((rl_http_count(b->http, &c), c.connections) == 0);
    assert_int_equal(atomic_load(&b->feed.done), 1);
    assert_int_equal(atomic_load(&b->feed.gone), 1);
}

static void begin_waiting(bed *b, int fd)
{
    assert_true(client_say(fd, WAIT));
    (void)b;
}

static void begin_stream(bed *b, int fd)
{
    atomic_store(&b->feed.ready, 100);
    assert_true(client_say(fd, STREAM));
    bed_until(atomic_load(&b->feed.taken) == 100);
}

/* More than the sockets hold, and nobody reads. */
static void begin_sending(bed *b, int fd)
{
    atomic_store(&b->feed.ready, 1 << 30);
    assert_true(client_say(fd, STREAM));
    bed_until(atomic_load(&b->feed.taken) > 32 * 1024);
}

static void leave_in(void (*begin)(bed *b, int fd))
{
    bed b;

    bed_start(&b, (rl_http_opts){ .sndbuf = 16 * 1024 });
    for (int i = 0; i < TIMES; i++) {
        for (way how = CLOSE; how < N_WAYS; how++) {
            int fd = client_open_small(&b), rest;
            rl_http_exchange *ex;

            bed_reset(&b);
            begin(&b, fd);
            ex = bed_held(&b);
            rest = leave(fd, how);
            nothing_left(&b);
            rl_http_wake(ex);
            rl_http_unref(ex);
            if (rest >= 0)
                (void)close(rest);
        }
    }
    bed_stop(&b);
}

static void test_while_waiting(void **state)
{
    (void)state;
    leave_in(begin_waiting);
}

static void test_in_a_suspended_stream(void **state)
{
    (void)state;
    leave_in(begin_stream);
}

static void test_in_a_sending_stream(void **state)
{
    (void)state;
    leave_in(begin_sending);
}

/* The client has closed its side before its request is even looked at. */
static void test_before_it_is_read(void **state)
{
    answers *a = test_malloc(sizeof *a);
    bed b;
    int fd;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    for (int i = 0; i < TIMES; i++) {
        for (int streams = 0; streams < 2; streams++) {
            bed_reset(&b);
            fd = client_open(&b);
            assert_true(client_say(fd, streams ? STREAM : WAIT));
            (void)shutdown(fd, SHUT_WR);
            nothing_left(&b);
            rl_http_unref(bed_held(&b));
            (void)close(fd);
        }
        fd = client_open(&b); /* what is answered whole at once is still sent */
        assert_true(client_say(fd, "GET / HTTP/1.1\r\n" HOST END));
        (void)shutdown(fd, SHUT_WR);
        client_read(fd, a, 0, false);
        assert_int_equal(a->count, 1);
        assert_int_equal(a->status[0], 200);
        (void)close(fd);
    }
    bed_stop(&b);
    test_free(a);
}

/* After the client left, an answer is refused and a source is not taken. */
static void test_answer_after_leaving(void **state)
{
    rl_http_answer a = { .status = 200 };
    rl_http_source source = { feed_fill, feed_gone, feed_done, NULL };
    rl_http_exchange *ex;
    bed b;
    int fd;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    source.ctx = &b.feed;
    fd = client_open(&b);
    assert_true(client_say(fd, WAIT));
    ex = bed_held(&b);
    (void)close(fd);
    bed_until(atomic_load(&b.feed.gone) == 1);
    assert_int_equal(rl_http_stream(ex, &a, &source), REALM_ECANCELLED);
    assert_int_equal(rl_http_reply(ex, &a, rl_strdup("x"), 1), REALM_ECANCELLED);
    nothing_left(&b);
    rl_http_unref(ex);
    bed_stop(&b);
}

/* --- races ---------------------------------------------------------------------------------- */

typedef struct waker {
    rl_http_exchange *ex;
    feed *feed;
    _Atomic bool *stop;
    bool replies;
} waker;

static void *wake_always(void *arg)
{
    waker *w = arg;
    rl_http_answer a = { .status = 200 };

    while (!atomic_load(w->stop)) {
        atomic_fetch_add(&w->feed->ready, 1);
        rl_http_wake(w->ex);
        if (w->replies)
            (void)rl_http_reply(w->ex, &a, rl_strdup("x"), 1);
    }
    rl_http_unref(w->ex);
    return NULL;
}

static void race(bed *b, bool replies, way how)
{
    enum { N = 4 };
    int fd = client_open_small(b), rest;
    pthread_t threads[N];
    waker wakers[N];
    _Atomic bool stop = false;
    rl_http_exchange *ex;

    bed_reset(b);
    assert_true(client_say(fd, replies ? WAIT : STREAM));
    ex = bed_held(b);
    for (int i = 0; i < N; i++) {
        wakers[i] = (waker){ rl_http_ref(ex), &b->feed, &stop, replies };
        assert_int_equal(pthread_create(&threads[i], NULL, wake_always, &wakers[i]), 0);
    }
    if (!replies)
        bed_until(atomic_load(&b->feed.taken) > 0);
    rest = leave(fd, how);
    bed_until(atomic_load(&b->feed.done) == 1);
    atomic_store(&stop, true);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&b->feed.done), 1);
    if (!replies)
        assert_int_equal(atomic_load(&b->feed.gone), 1);
    rl_http_unref(ex);
    if (rest >= 0)
        (void)close(rest);
}

/* Four threads wake, or answer, while the client leaves. */
static void test_race(void **state)
{
    rl_http_counts c;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .sndbuf = 16 * 1024 });
    for (int i = 0; i < TIMES; i++) {
        race(&b, false, (way)(i % N_WAYS));
        race(&b, true, (way)(i % N_WAYS));
    }
    bed_until((rl_http_count(b.http, &c), c.exchanges) == 0);
    assert_int_equal(c.suspended, 0);
    bed_stop(&b);
}

/* --- ending --------------------------------------------------------------------------------- */

/* Everything open is cut when the room ends, and late calls are harmless. */
static void test_stop(void **state)
{
    enum { MANY = 30 };
    rl_http_answer a = { .status = 200 };
    rl_http_exchange *held[MANY];
    int fds[MANY];
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    for (int i = 0; i < MANY; i++) {
        fds[i] = client_open(&b);
        assert_true(client_say(fds[i], i % 3 ? STREAM : WAIT));
        held[i] = bed_held(&b);
    }
    rl_http_free(b.http);
    b.http = NULL;
    assert_int_equal(atomic_load(&b.feed.gone), MANY);
    assert_int_equal(atomic_load(&b.feed.done), MANY);
    for (int i = 0; i < MANY; i++) {
        rl_http_wake(held[i]);
        assert_int_equal(rl_http_reply(held[i], &a, NULL, 0), REALM_ECANCELLED);
        assert_string_equal(rl_http_path(held[i]), i % 3 ? "/stream" : "/wait");
        rl_http_unref(held[i]);
        (void)close(fds[i]);
    }
    bed_stop(&b);
}

/* After stop_listening: no new connection, idle ones closed, open streams end as they would, with
 * the connection after them. */
static void test_drain(void **state)
{
    answers *a = test_malloc(sizeof *a);
    rl_http_exchange *ex;
    int idle, busy;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    idle = client_open(&b);
    assert_true(client_say(idle, "GET / HTTP/1.1\r\n" HOST END));
    client_read(idle, a, 1, false);
    busy = client_open(&b);
    assert_true(client_say(busy, WAIT));
    ex = bed_held(&b);
    rl_http_stop_listening(b.http);
    rl_http_stop_listening(b.http);
    assert_int_equal(client_try(&b), -1);
    client_read(idle, a, 0, false);
    assert_int_equal(a->n, 0);
    assert_int_equal(rl_http_reply(ex, &(rl_http_answer){ .status = 200 }, rl_strdup("end"), 3),
                     REALM_OK);
    client_read(busy, a, 0, false);
    assert_int_equal(a->status[0], 200);
    assert_non_null(strstr(a->data, "\r\n\r\nend"));
    bed_until(atomic_load(&b.feed.done) == 1);
    assert_int_equal(atomic_load(&b.feed.gone), 0);
    rl_http_unref(ex);
    (void)close(idle);
    (void)close(busy);
    bed_stop(&b);
    test_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_while_waiting),
        cmocka_unit_test(test_in_a_suspended_stream),
        cmocka_unit_test(test_in_a_sending_stream),
        cmocka_unit_test(test_before_it_is_read),
        cmocka_unit_test(test_answer_after_leaving),
        cmocka_unit_test(test_race),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
