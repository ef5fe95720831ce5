/* What is said of every request: its id, in the answer and to the callbacks, and its record when it
 * is over. */
#include "bed.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST   "Host: realm\r\n"
#define END    "\r\n"
#define GET    "GET / HTTP/1.1\r\n" HOST
#define STREAM "GET /stream HTTP/1.1\r\n" HOST

static int times(const char *text, const char *what)
{
    int n = 0;

    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

/* --- ids ------------------------------------------------------------------------------------ */

#define SIXTEEN "0123456789abcdef"
#define LONGEST SIXTEEN SIXTEEN SIXTEEN "ABCDEFGHIJKL.-_Z"

static void test_theirs(void **state)
{
    bed_record r;
    static const char *const ids[] = { "a", "req-1", "A.b_C-9", LONGEST };
    answers *a = test_malloc(sizeof *a);
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    for (int i = 0; i < 4; i++) {
        char text[256];

        (void)snprintf(text, sizeof text, GET "x-REQUEST-id: %s\r\n" END, ids[i]);
        assert_int_equal(client_ask(&b, text, a), 200);
        (void)snprintf(text, sizeof text, "\r\nX-Request-Id: %s\r\n", ids[i]);
        assert_non_null(strstr(a->data, text));
        r = bed_ended(&b, i + 1);
        assert_string_equal(r.id, ids[i]);
    }
    bed_stop(&b);
    test_free(a);
}

/* "req-" and 32 hex digits. */
static bool is_ours(const char *id)
{
    return strncmp(id, "req-", 4) == 0 && strlen(id) == 36 &&
           strspn(id + 4, "0123456789abcdef") == 32;
}

static void test_ours(void **state)
{
    bed_record r;
    static const char *const fields[] = { "", "X-Request-Id: \r\n", "X-Request-Id: a b\r\n",
                                          "X-Request-Id: a\"b\r\n",
                                          "X-Request-Id: " LONGEST "1\r\n" };
    answers *a = test_malloc(sizeof *a);
    char before[80] = "";
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    for (int i = 0; i < 5; i++) {
        char text[256];

        (void)snprintf(text, sizeof text, GET "%s" END, fields[i]);
        assert_int_equal(client_ask(&b, text, a), 200);
        r = bed_ended(&b, i + 1);
        assert_true(is_ours(r.id));
        assert_string_not_equal(r.id, before);
        (void)snprintf(before, sizeof before, "%s", r.id);
        (void)snprintf(text, sizeof text, "\r\nX-Request-Id: %s\r\n", before);
        assert_non_null(strstr(a->data, text));
    }
    bed_stop(&b);
    test_free(a);
}

/* One id in an answer, whatever the caller gives; the callbacks see it; streams and refusals have
 * it too. */
static void test_everywhere(void **state)
{
    rl_http_field fields[] = { { "x-request-id", "theirs" }, { NULL, NULL } };
    rl_http_answer with = { .status = 200, .headers = fields };
    answers *a = test_malloc(sizeof *a);
    rl_http_exchange *ex;
    bed b;
    int fd;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    fd = client_open(&b);
    assert_true(client_say(fd, "GET /wait HTTP/1.1\r\n" HOST "X-Request-Id: one\r\n" END));
    ex = bed_held(&b);
    assert_string_equal(rl_http_id(ex), "one");
    assert_int_equal(rl_http_reply(ex, &with, rl_strdup("x"), 1), REALM_OK);
    client_read(fd, a, 1, false);
    assert_int_equal(times(a->data, "equest-"), 1);
    assert_non_null(strstr(a->data, "\r\nX-Request-Id: one\r\n"));
    bed_until(atomic_load(&b.feed.done) == 1);
    assert_string_equal(rl_http_id(ex), "one");
    rl_http_unref(ex);
    atomic_store(&b.feed.then, -1);
    assert_true(client_say(fd, STREAM "X-Request-Id: two\r\n" END));
    client_read(fd, a, 1, false);
    assert_non_null(strstr(a->data, "\r\nX-Request-Id: two\r\n"));
    (void)close(fd);
    assert_int_equal(client_ask(&b,
                                "POST /small HTTP/1.1\r\n" HOST
                                "X-Request-Id: three\r\nContent-Length: 17\r\n" END,
                                a),
                     413);
    assert_non_null(strstr(a->data, "\r\nX-Request-Id: three\r\n"));
    bed_stop(&b);
    test_free(a);
}

/* --- records -------------------------------------------------------------------------------- */

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void test_answered(void **state)
{
    bed_record r;
    answers *a = test_malloc(sizeof *a);
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    fd = client_open(&b);
    assert_true(client_say(fd, "POST /ech%6f?q HTTP/1.1\r\n" HOST "traceparent: " PARENT
                               "\r\nContent-Length: 5\r\n" END "hello"));
    client_read(fd, a, 1, false);
    r = bed_ended(&b, 1);
    assert_string_equal(r.method, "POST");
    assert_string_equal(r.path, "/echo");
    assert_string_equal(r.peer, "127.0.0.1");
    assert_string_equal(r.traceparent, PARENT);
    assert_int_equal(r.r.status, 200);
    assert_int_equal(r.r.body_bytes, 5);
    assert_true(r.r.first_ns > 0 && r.r.first_ns <= r.r.ns);
    assert_false(r.r.refused);
    atomic_store(&b.feed.ready, 100000);
    atomic_store(&b.feed.then, -1);
    assert_true(client_say(fd, STREAM END));
    client_read(fd, a, 1, false);
    r = bed_ended(&b, 2);
    assert_string_equal(r.path, "/stream");
    assert_string_equal(r.traceparent, "none");
    assert_int_equal(r.r.status, 200);
    assert_int_equal(r.r.body_bytes, 100000);
    assert_true(r.r.first_ns > 0 && r.r.first_ns <= r.r.ns);
    assert_true(client_say(fd, "GET /none HTTP/1.1\r\n" HOST END));
    client_read(fd, a, 1, false);
    assert_int_equal(a->status[0], 204);
    assert_false(a->ragged);
    assert_null(strstr(a->data, "Content-Length"));
    r = bed_ended(&b, 3);
    assert_int_equal(r.r.status, 204);
    assert_int_equal(r.r.body_bytes, 0);
    assert_int_equal(r.r.first_ns, 0);
    (void)close(fd);
    bed_stop(&b);
    test_free(a);
}

static void test_refused(void **state)
{
    bed_record r;
    answers *a = test_malloc(sizeof *a);
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .head_ms = 200 });
    assert_int_equal(client_ask(&b, GET ":\n", a), 400);
    r = bed_ended(&b, 1);
    assert_int_equal(r.r.status, 400);
    assert_true(r.r.refused);
    assert_true(is_ours(r.id));
    assert_string_equal(r.method, "");
    assert_string_equal(r.path, "");
    assert_true(r.r.body_bytes > 0);
    assert_int_equal(client_ask(&b, "GE", a), 408);
    r = bed_ended(&b, 2);
    assert_int_equal(r.r.status, 408);
    assert_true(r.r.refused);
    assert_true(r.r.ns >= 100u * 1000 * 1000);
    assert_int_equal(
        client_ask(&b, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 17\r\n" END, a), 413);
    r = bed_ended(&b, 3);
    assert_int_equal(r.r.status, 413);
    assert_true(r.r.refused);
    assert_string_equal(r.method, "POST");
    assert_string_equal(r.path, "/small");
    assert_int_equal(client_ask(&b, "GET /deny HTTP/1.1\r\n" HOST END, a), 403);
    r = bed_ended(&b, 4);
    assert_int_equal(r.r.status, 403);
    assert_false(r.r.refused); /* by a callback */
    bed_stop(&b);
    test_free(a);
}

static void test_left(void **state)
{
    bed_record r;
    bed b;
    int fd;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    fd = client_open(&b);
    assert_true(client_say(fd, "GET /wait HTTP/1.1\r\n" HOST END));
    rl_http_unref(bed_held(&b));
    (void)close(fd);
    r = bed_ended(&b, 1);
    assert_int_equal(r.r.status, 499);
    assert_int_equal(r.r.body_bytes, 0);
    assert_false(r.r.refused);
    fd = client_open(&b);
    assert_true(client_say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hel"));
    (void)shutdown(fd, SHUT_WR);
    r = bed_ended(&b, 2);
    assert_int_equal(r.r.status, 499);
    assert_string_equal(r.path, "/echo");
    (void)close(fd);
    bed_stop(&b);
}

/* OPTIONS, and any other method, is the callbacks' business. HEAD has no body, refused or not. */
static void test_methods(void **state)
{
    answers *a = test_malloc(sizeof *a);
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    assert_int_equal(client_ask(&b, "OPTIONS /v1/models HTTP/1.1\r\n" HOST END, a), 200);
    assert_non_null(strstr(a->data, "OPTIONS /v1/models?"));
    assert_int_equal(atomic_load(&b.admitted), 1);
    assert_int_equal(client_ask(&b, "OPTIONS * HTTP/1.1\r\n" HOST END, a), 200);
    assert_int_equal(client_ask(&b, "OPTIONS /deny HTTP/1.1\r\n" HOST END, a), 403);
    assert_int_equal(atomic_load(&b.admitted), 3);
    fd = client_open(&b);
    assert_true(client_say(fd, "HEAD /small HTTP/1.1\r\n" HOST "Content-Length: 17\r\n" END));
    client_read(fd, a, 0, true);
    assert_int_equal(a->status[0], 413);
    assert_false(a->ragged);
    (void)close(fd);
    bed_stop(&b);
    test_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_theirs),     cmocka_unit_test(test_ours),
        cmocka_unit_test(test_everywhere), cmocka_unit_test(test_answered),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_left),
        cmocka_unit_test(test_methods),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
