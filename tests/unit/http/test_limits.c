/* Limits, each at its boundary and one beyond; what is too slow; too many connections. */
#include "bed.h"

#include "base/alloc.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: realm\r\n"
#define END  "\r\n"

static void pad(rl_buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)rl_buf_add(b, "a", 1);
}

static int ask(const bed *b, rl_buf *text, answers *a)
{
    int fd = client_open(b), status;

    assert_false(text->failed);
    (void)client_send(fd, text->data, text->len);
    client_read(fd, a, 1, false);
    status = a->count ? a->status[0] : 0;
    (void)close(fd);
    rl_buf_deinit(text);
    return status;
}

/* A request whose line has n bytes. */
static int line_of(const bed *b, size_t n, answers *a)
{
    rl_buf t;

    rl_buf_init(&t, (size_t)1 << 20);
    (void)rl_buf_adds(&t, "GET /");
    pad(&t, n - strlen("GET / HTTP/1.1"));
    (void)rl_buf_adds(&t, " HTTP/1.1\r\n" HOST END);
    return ask(b, &t, a);
}

/* A request with fields of n bytes in all, `lines` of them. */
static int fields_of(const bed *b, size_t n, size_t lines, answers *a)
{
    size_t rest = n - strlen(HOST);
    rl_buf t;

    rl_buf_init(&t, (size_t)1 << 20);
    (void)rl_buf_adds(&t, "GET / HTTP/1.1\r\n" HOST);
    for (size_t i = 1; i + 1 < lines; i++, rest -= 6)
        (void)rl_buf_adds(&t, "A: b\r\n");
    (void)rl_buf_adds(&t, "A: ");
    pad(&t, rest - 5);
    (void)rl_buf_adds(&t, END END);
    return ask(b, &t, a);
}

static int body_of(const bed *b, const char *path, size_t n, bool chunked, answers *a)
{
    rl_buf t;

    rl_buf_init(&t, (size_t)4 << 20);
    (void)rl_buf_addf(&t, "POST %s HTTP/1.1\r\n" HOST, path);
    if (chunked)
        (void)rl_buf_addf(&t, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", n);
    else
        (void)rl_buf_addf(&t, "Content-Length: %zu\r\n\r\n", n);
    pad(&t, n);
    if (chunked)
        (void)rl_buf_adds(&t, "\r\n0\r\n\r\n");
    return ask(b, &t, a);
}

static void test_head(void **state)
{
    answers *a = test_malloc(sizeof *a);
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    assert_int_equal(line_of(&b, 8192, a), 200);
    assert_int_equal(line_of(&b, 8193, a), 414);
    assert_int_equal(line_of(&b, 100000, a), 414);
    assert_int_equal(fields_of(&b, 16384, 2, a), 200);
    assert_int_equal(fields_of(&b, 16385, 2, a), 431);
    assert_int_equal(fields_of(&b, 16384, 100, a), 200);
    assert_int_equal(fields_of(&b, 2000, 100, a), 200);
    assert_int_equal(fields_of(&b, 2000, 101, a), 431);
    assert_int_equal(fields_of(&b, 100000, 10000, a), 431);
    bed_stop(&b);
    test_free(a);
}

/* Both limits at once, with a cookie of the full size. */
static void test_head_all(void **state)
{
    answers *a = test_malloc(sizeof *a);
    rl_buf t;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    rl_buf_init(&t, (size_t)1 << 20);
    (void)rl_buf_adds(&t, "GET /");
    pad(&t, 8192 - strlen("GET / HTTP/1.1"));
    (void)rl_buf_adds(&t, " HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 98; i++)
        (void)rl_buf_adds(&t, "A: b\r\n");
    (void)rl_buf_adds(&t, "Cookie: ");
    pad(&t, 16384 - strlen(HOST) - (size_t)98 * 6 - strlen("Cookie: \r\n"));
    (void)rl_buf_adds(&t, END END);
    assert_int_equal(ask(&b, &t, a), 200);
    bed_stop(&b);
    test_free(a);
}

static void test_body(void **state)
{
    answers *a = test_malloc(sizeof *a);
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .body_max = 100000 });
    assert_int_equal(body_of(&b, "/echo", 100000, false, a), 200);
    assert_int_equal(body_of(&b, "/echo", 100001, false, a), 413);
    assert_int_equal(body_of(&b, "/echo", 100000, true, a), 200);
    assert_int_equal(body_of(&b, "/echo", 100001, true, a), 413);
    assert_int_equal(body_of(&b, "/small", 16, false, a), 200);
    assert_int_equal(body_of(&b, "/small", 17, false, a), 413);
    assert_int_equal(body_of(&b, "/small", 16, true, a), 200);
    assert_int_equal(body_of(&b, "/small", 17, true, a), 413);
    bed_stop(&b);
    bed_start(&b, (rl_http_opts){ 0 });
    assert_int_equal(body_of(&b, "/count", (size_t)1 << 20, false, a), 200);
    assert_int_equal(body_of(&b, "/count", ((size_t)1 << 20) + 1, false, a), 413);
    bed_stop(&b);
    test_free(a);
}

/* A client that sends a byte now and then is told 408, in the head and in the body, however long it
 * would go on; and one that sends nothing between requests is let go without a word. */
static void slow(const bed *b, const char *begin, int status, answers *a)
{
    int fd = client_open(b);

    assert_true(client_say(fd, begin));
    for (int i = 0; i < BED_WAIT_MS / 10; i++) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (poll(&p, 1, 10) > 0 || !client_say(fd, "a"))
            break;
    }
    client_read(fd, a, 0, false);
    assert_true(a->closed);
    assert_int_equal(a->count, status ? 1 : 0);
    if (status)
        assert_int_equal(a->status[0], status);
    (void)close(fd);
}

static void test_slow(void **state)
{
    answers *a = test_malloc(sizeof *a);
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .head_ms = 150, .body_rate = 1000000 });
    slow(&b, "GET /", 408, a);
    slow(&b, "GET / HTTP/1.1\r\nHost: ", 408, a);
    slow(&b, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n" END, 408, a);
    slow(&b, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "fff\r\n", 408, a);
    slow(&b, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "5;", 408, a);
    fd = client_open(&b); /* a second head on a connection that was good */
    assert_true(client_say(fd, "GET / HTTP/1.1\r\n" HOST END));
    client_read(fd, a, 1, false);
    assert_true(client_say(fd, "GE"));
    client_read(fd, a, 0, false);
    assert_int_equal(a->status[0], 408);
    (void)close(fd);
    bed_stop(&b);
    test_free(a);
}

/* Whoever says half of something, reads nothing, or nothing at all, costs no turn until it goes on.
 */
static void test_no_spin(void **state)
{
    static const char *const halves[] = {
        "",
        "GE",
        "GET / HTTP/1.1\r\nHost: re",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n" END "a",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "5\r\nhe",
        "GET /wait HTTP/1.1\r\n" HOST END "GET / HT",
        "GET /stream HTTP/1.1\r\n" HOST END,
    };
    enum { N = sizeof halves / sizeof halves[0] };
    rl_http_counts before, after;
    int fds[N];
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .sndbuf = 16 * 1024 });
    atomic_store(&b.feed.ready, 1 << 30);
    for (int i = 0; i < N; i++) {
        fds[i] = client_open_small(&b);
        assert_true(client_say(fds[i], halves[i]));
    }
    bed_until(atomic_load(&b.feed.taken) > 16 * 1024);
    for (int still = 0; still < 50; still++) { /* the stream has filled its sockets */
        int64_t taken = atomic_load(&b.feed.taken);

        bed_nap();
        if (atomic_load(&b.feed.taken) != taken)
            still = 0;
    }
    rl_http_count(b.http, &before);
    assert_int_equal(before.connections, N);
    for (int i = 0; i < 300; i++)
        bed_nap();
    rl_http_count(b.http, &after);
    assert_true(after.turns - before.turns < 30);
    for (int i = 0; i < N; i++)
        (void)close(fds[i]);
    bed_stop(&b);
}

static void test_idle(void **state)
{
    answers *a = test_malloc(sizeof *a);
    int fresh, used;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .head_ms = 40, .idle_ms = 400 });
    fresh = client_open(&b);
    used = client_open(&b);
    assert_true(client_say(used, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n" END "hi"));
    client_read(used, a, 1, false);
    assert_int_equal(a->status[0], 200);
    client_read(used, a, 0, false);
    assert_int_equal(a->n, 0);
    client_read(fresh, a, 0, false);
    assert_int_equal(a->n, 0);
    (void)close(fresh);
    (void)close(used);
    bed_stop(&b);
    test_free(a);
}

/* Extensions and trailers that do not end. */
static void test_endless_extension(void **state)
{
    static const char *const begins[] = { "5;", "5;a=\"", "0\r\nA: " };
    answers *a = test_malloc(sizeof *a);
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    for (int i = 0; i < 3; i++) {
        rl_buf t;

        rl_buf_init(&t, (size_t)1 << 20);
        (void)rl_buf_adds(&t, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END);
        (void)rl_buf_adds(&t, begins[i]);
        pad(&t, 200000);
        assert_int_equal(ask(&b, &t, a), 431);
        assert_int_equal(client_ask(&b, "GET / HTTP/1.1\r\n" HOST END, a), 200);
    }
    bed_stop(&b);
    test_free(a);
}

/* A body that nobody will read: the client sends it all the same, and still gets its answer and an
 * orderly end, from the callbacks as from the room. */
static void test_lingering(void **state)
{
    enum { BODY = 3 * 1024 * 1024 };
    static const struct {
        const char *path;
        int status;
    } rows[] = { { "/deny", 403 }, { "/small", 413 }, { "/%", 400 } };
    answers *a = test_malloc(sizeof *a);
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .body_max = (size_t)2 * BODY });
    for (int i = 0; i < 3; i++) {
        rl_http_counts counts;
        int fd = client_open(&b);
        rl_buf t;

        rl_buf_init(&t, (size_t)8 << 20);
        (void)rl_buf_addf(&t, "POST %s HTTP/1.1\r\n" HOST "Content-Length: %d\r\n" END,
                          rows[i].path, (int)BODY);
        pad(&t, BODY);
        assert_true(client_send(fd, t.data, t.len));
        client_read(fd, a, 0, false);
        assert_int_equal(a->count, 1);
        assert_int_equal(a->status[0], rows[i].status);
        assert_true(a->closed);
        assert_false(a->reset);
        (void)close(fd);
        rl_buf_deinit(&t);
        bed_until((rl_http_count(b.http, &counts), counts.connections) == 0);
    }
    bed_stop(&b);
    test_free(a);
}

/* Whether the server takes what a client goes on sending. When it has closed, the first piece is
 * answered by a reset and the second cannot be sent. */
static bool takes_more(int fd)
{
    static const char piece[16 * 1024];

    for (int i = 0; i < 32; i++)
        if (!client_send(fd, piece, sizeof piece))
            return false;
    return true;
}

/* More clients that are told to stop, and do not, than the server listens to: each is told, and it
 * is the first ones that are not listened to any more. */
static void test_many_lingering(void **state)
{
    enum { N = 80 };
    answers *a = test_malloc(sizeof *a);
    int fds[N];
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    for (int i = 0; i < N; i++) {
        fds[i] = client_open(&b);
        assert_true(client_say(fds[i], "POST /deny HTTP/1.1\r\n" HOST
                                       "Content-Length: 1000000\r\n" END "the beginning of it"));
        client_read(fds[i], a, 1, false);
        assert_int_equal(a->count, 1);
        assert_int_equal(a->status[0], 403);
        assert_false(a->reset);
    }
    assert_true(takes_more(fds[N - 1]));
    assert_false(takes_more(fds[0]));
    for (int i = 0; i < N; i++)
        (void)close(fds[i]);
    assert_int_equal(client_ask(&b, "GET / HTTP/1.1\r\n" HOST END, a), 200);
    bed_stop(&b);
    test_free(a);
}

static void test_connections(void **state)
{
    answers *a = test_malloc(sizeof *a);
    rl_http_counts counts;
    int fds[4];
    bed b;

    (void)state;
    for (int per_ip = 0; per_ip < 2; per_ip++) {
        bed_start(&b, (rl_http_opts){ .conns_max = per_ip ? 100 : 4,
                                      .conns_per_ip_max = per_ip ? 4 : 100 });
        for (int i = 0; i < 4; i++) {
            fds[i] = client_open(&b);
            assert_true(client_say(fds[i], "GET / HTTP/1.1\r\n" HOST END));
            client_read(fds[i], a, 1, false);
            assert_int_equal(a->status[0], 200);
        }
        assert_int_equal(client_ask(&b, "GET / HTTP/1.1\r\n" HOST END, a), 503);
        assert_non_null(strstr(a->data, "\r\nRetry-After: 1\r\n"));
        assert_non_null(strstr(a->data, "{\"status\":503"));
        rl_http_count(b.http, &counts);
        assert_int_equal(counts.turned_away, 1);
        assert_int_equal(counts.connections, 4);
        (void)close(fds[0]);
        bed_until((rl_http_count(b.http, &counts), counts.connections) == 3);
        assert_int_equal(client_ask(&b, "GET / HTTP/1.1\r\n" HOST END, a), 200);
        for (int i = 1; i < 4; i++)
            (void)close(fds[i]);
        bed_stop(&b);
    }
    test_free(a);
}

/* A thousand connections that say nothing do not keep another from being served. */
static void test_many_idle(void **state)
{
    enum { MANY = 1000 };
    answers *a = test_malloc(sizeof *a);
    struct rlimit files;
    rl_http_counts counts;
    static int fds[MANY];
    bed b;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < 2 * MANY + 100)
        skip();
    files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    bed_start(&b, (rl_http_opts){ .conns_per_ip_max = 4096 });
    for (int i = 0; i < MANY; i++) {
        fds[i] = client_open(&b);
        if (i % 2)
            assert_true(client_say(fds[i], "GET / HTTP/1.1\r\n" HOST END));
    }
    for (int i = 1; i < MANY; i += 2) {
        client_read(fds[i], a, 1, false);
        assert_int_equal(a->status[0], 200);
    }
    bed_until((rl_http_count(b.http, &counts), counts.connections) == MANY);
    assert_int_equal(client_ask(&b, "GET / HTTP/1.1\r\n" HOST END, a), 200);
    for (int i = 0; i < MANY; i++)
        (void)close(fds[i]);
    bed_until((rl_http_count(b.http, &counts), counts.connections) == 0);
    bed_stop(&b);
    test_free(a);
}

/* Options that cannot be, and an address in use. */
static void never(void *ctx, rl_http_exchange *ex)
{
    (void)ctx;
    (void)ex;
}

static void test_start(void **state)
{
    rl_http_opts again = { .handle = never };
    rl_http *h = NULL;
    realm_error err;
    bed b;

    (void)state;
    assert_int_equal(rl_http_start(&h, &(rl_http_opts){ 0 }, &err), REALM_EINVAL);
    assert_null(h);
    bed_start(&b, (rl_http_opts){ 0 });
    again.port = rl_http_port(b.http);
    assert_int_equal(rl_http_start(&h, &again, &err), REALM_EIO);
    assert_null(h);
    assert_non_null(strstr(err.text, "choose another"));
    again.address = "no address";
    assert_int_equal(rl_http_start(&h, &again, &err), REALM_EINVAL);
    assert_null(h);
    bed_stop(&b);
    rl_http_free(NULL);
}

/* The same over IPv6, where the machine has it; the address is given as it is shown. */
static void test_six(void **state)
{
    struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    answers *a = test_malloc(sizeof *a);
    rl_http_exchange *ex;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bed b;

    (void)state;
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        if (fd >= 0)
            (void)close(fd);
        test_free(a);
        skip();
    }
    (void)close(fd);
    bed_start(&b, (rl_http_opts){ .address = "::1" });
    at.sin6_port = htons(rl_http_port(b.http));
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_true(client_say(fd, "GET /wait HTTP/1.1\r\n" HOST END));
    ex = bed_held(&b);
    assert_string_equal(rl_http_peer(ex), "::1");
    rl_http_unref(ex);
    (void)close(fd);
    bed_stop(&b);
    test_free(a);
}

/* --- without memory ------------------------------------------------------------------------- */

/* Answers as a careful caller does: what cannot be answered in full is answered with nothing. */
static void answer_or_503(void *ctx, rl_http_exchange *ex)
{
    rl_http_answer a = { .status = 200 };
    char *text = rl_strdup("text");

    (void)ctx;
    if (text && rl_http_reply(ex, &a, text, 4) == REALM_OK)
        return;
    a.status = 503;
    (void)rl_http_reply(ex, &a, NULL, 0);
}

/* Each allocation of a connection and its request fails in turn: the client is answered 200 or 503,
 * or let go; the next one is served. */
static void test_no_memory(void **state)
{
    static const char post[] = "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc";
    rl_http_opts opts = { .handle = answer_or_503 };
    answers *a = test_malloc(sizeof *a);
    bool failed = true;
    int denied = 0;
    bed b = { 0 };

    (void)state;
    assert_int_equal(rl_http_start(&b.http, &opts, NULL), REALM_OK);
    for (long k = 1; failed; k++) {
        int fd = client_open(&b);

        (void)rl_alloc_fail_at(k);
        assert_true(client_say(fd, post));
        client_read(fd, a, 1, false);
        (void)close(fd);
        failed = rl_alloc_fail_at(0);
        denied += failed && (a->count == 0 || a->status[0] == 503);
        assert_true(a->count == 0 || a->status[0] == 200 || a->status[0] == 503);
        assert_int_equal(client_ask(&b, post, a), 200);
    }
    assert_true(denied >= 5);
    rl_http_free(b.http);
    test_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_all),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_no_spin),
        cmocka_unit_test(test_endless_extension),
        cmocka_unit_test(test_lingering),
        cmocka_unit_test(test_many_lingering),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_many_idle),
        cmocka_unit_test(test_six),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
