/* Bytes alone: where a head ends, what it falls apart into, and chunks. Each text is read whole and
 * in pieces of every size, and must be read in one way. */
#include "../test.h"

#include "http/wire.h"

#include <string.h>

#define B(text) text, sizeof(text) - 1

typedef struct row {
    const char *bytes;
    size_t n;
    size_t end; /* of the head or body; 0: there is none */
    bool bad;
} row;

static size_t find_end(const row *r, size_t piece, bool *bad)
{
    rl_http_fault f = { 0, NULL };
    size_t end = 0, seen = 0;

    for (size_t n = 0; !f.status && !end && n < r->n; seen = n) {
        n = r->n - n < piece ? r->n : n + piece;
        f = rl_http_wire_end(r->bytes, n, seen, &end);
    }
    *bad = f.status != 0;
    return end;
}

static void test_end(void **state)
{
    static const row rows[] = {
        { B("GET"), 0, false },
        { B("GET / HTTP/1.1\r\n"), 0, false },
        { B("GET / HTTP/1.1\r\n\r"), 0, false },
        { B("a\r\n\r\n"), 5, false },
        { B("GET / HTTP/1.1\r\nA:\tb\r\n\r\nmore\n"), 24, false },
        { B("a\r\n\r\n\r\n"), 5, false },
        { B("\r\n\r\n"), 0, true },
        { B("\n"), 0, true },
        { B("a\n"), 0, true },
        { B("a\r\r"), 0, true },
        { B("a\rb"), 0, true },
        { B("a\r\n\n"), 0, true },
        { B("a\r\n\rb"), 0, true },
        { B("a\r\n:\n"), 0, true },
        { B("a\r\n\0\n"), 0, true },
        { B("a\0"), 0, true },
        { B("a\x01"), 0, true },
        { B("a\x7f"), 0, true },
        { B("a\x80\xff\r\n\r\n"), 7, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t piece = 1; piece <= rows[i].n; piece++) {
            bool bad;
            size_t end = find_end(&rows[i], piece, &bad);

            if (bad != rows[i].bad || end != rows[i].end)
                fail_msg("row %zu by %zu: %zu", i, piece, end);
        }
}

static bool is(rl_http_span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static void test_split(void **state)
{
    static const char good[] =
        "GET /a?b HTTP/1.1\r\nHost:realm\r\nA: \t b c \t\r\nB:\r\n:d:e\r\n\r\n";
    static const char *const bad[] = {
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  HTTP/1.1 \r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET / a HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nA\r\n\r\n",
        "GET / HTTP/1.1\r\n A: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n\tc: d\r\n\r\n",
    };
    rl_http_line lines[3];
    rl_http_head head = { .lines = lines };

    (void)state;
    assert_int_equal(rl_http_wire_split(good, sizeof good - 1, 3, &head).status, 0);
    assert_true(is(head.method, "GET") && is(head.target, "/a?b") && is(head.version, "HTTP/1.1"));
    assert_int_equal(head.line_bytes, 17);
    assert_int_equal(head.field_bytes, sizeof good - 1 - 17 - 4);
    assert_int_equal(head.n_lines, 4); /* counted beyond the room for them */
    assert_true(is(lines[0].name, "Host") && is(lines[0].value, "realm"));
    assert_true(is(lines[1].name, "A") && is(lines[1].value, "b c"));
    assert_true(is(lines[2].name, "B") && is(lines[2].value, ""));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (rl_http_wire_split(bad[i], strlen(bad[i]), 3, &head).status != 400)
            fail_msg("%s", bad[i]);
}

/* -> bytes taken; what is the body is put into `body`. */
static size_t unchunk(const char *p, size_t n, size_t piece, rl_http_chunks *ch, char *body,
                      size_t *body_n)
{
    size_t at = 0, given = 0;

    *ch = (rl_http_chunks){ 0 };
    *body_n = 0;
    while (at < n && !ch->over && !ch->fault.status) {
        rl_http_span data;

        if (at == given)
            given = n - given < piece ? n : given + piece;
        at += rl_http_chunks_take(ch, p + at, given - at, &data);
        memcpy(body + *body_n, data.p, data.n);
        *body_n += data.n;
    }
    return at;
}

static void test_chunks(void **state)
{
    static const struct {
        const char *bytes;
        size_t n, end;
        int status; /* of the fault; end counts only without one */
        const char *body;
    } rows[] = {
        { B("0\r\n\r\nmore"), 5, 0, "" },
        { B("5\r\nhello\r\n0\r\n\r\n"), 15, 0, "hello" },
        { B("1\r\nh\r\n04\r\nello\r\n000\r\n\r\n0"), 23, 0, "hello" },
        { B("a\r\n0123456789\r\n0\r\n\r\n"), 20, 0, "0123456789" },
        { B("1;a;b=c;d=\"\\\"\t;\"\r\nx\r\n0;e\r\nA: b\r\nC:\r\n\r\n"), 38, 0, "x" },
        { B("2\r\n\r\n\r\n0\r\n\r\n"), 12, 0, "\r\n" },
        { B("5\r\nhel"), 6, 0, "hel" },
        { B("ffffffffffffffff\r\n"), 18, 0, "" },
        { B("fffffffffffffffff"), 0, 413, "" },
        { B("5\r\nhellox"), 0, 400, "hello" },
        { B("-1"), 0, 400, "" },
        { B("5\n"), 0, 400, "" },
        { B("5\r5"), 0, 400, "" },
        { B("5\r\nhello\n"), 0, 400, "hello" },
        { B("5\r\nhello\rx"), 0, 400, "hello" },
        { B("0\r\n\n"), 0, 400, "" },
        { B("0\r\n\rx"), 0, 400, "" },
        { B("0\r\nA\r"), 0, 400, "" },
        { B("0\r\nA: b\n"), 0, 400, "" },
        { B("0\r\nA: b\rx"), 0, 400, "" },
        { B("0\r\nA: b\r\n "), 0, 400, "" },
        { B("1;="), 0, 400, "" },
        { B("1;a=\r"), 0, 400, "" },
        { B("1;a=b=c"), 0, 400, "" },
        { B("1;a=\"\r"), 0, 400, "" },
        { B("1;a=\"\\\n"), 0, 400, "" },
        { B("1;a=\"b\"c"), 0, 400, "" },
        { B("1 "), 0, 400, "" },
        { B("\0"), 0, 400, "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t piece = 1; piece <= rows[i].n; piece++) {
            char body[64];
            rl_http_chunks ch;
            size_t n, at = unchunk(rows[i].bytes, rows[i].n, piece, &ch, body, &n);

            if (ch.fault.status != rows[i].status || n != strlen(rows[i].body) ||
                memcmp(body, rows[i].body, n) != 0 || (!rows[i].status && at != rows[i].end))
                fail_msg("row %zu by %zu: %d, %zu bytes", i, piece, ch.fault.status, at);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_chunks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
