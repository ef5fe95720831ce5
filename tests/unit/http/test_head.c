/* What a head may be, on its text alone; and the framing of events. What reaches this through a
 * socket is in test_raw.c. */
#include "../test.h"

#include "http/head.h"
#include "http/http.h"

#include <stdio.h>
#include <string.h>

static rl_http_span span(const char *s)
{
    return (rl_http_span){ s, strlen(s) };
}

static void test_path(void **state)
{
    static const struct {
        const char *raw, *plain; /* NULL: refused */
    } rows[] = {
        { "/", "/" },
        { "/v1/models", "/v1/models" },
        { "/a%20b", "/a b" },
        { "/org%2Fmodel", "/org/model" },
        { "/%C3%A9", "/\xc3\xa9" },
        { "/...", "/..." },
        { "/a..b/.c", "/a..b/.c" },
        { "//", "//" },
        { "/%", NULL },
        { "/%4", NULL },
        { "/%zz", NULL },
        { "/%00", NULL },
        { "/%1f", NULL },
        { "/%7F", NULL },
        { "/%ff", NULL },
        { "/%C3", NULL },
        { "/..", NULL },
        { "/../a", NULL },
        { "/a/..", NULL },
        { "/a/./b", NULL },
        { "/%2e%2E/a", NULL },
        { "/a%2f..%2fb", NULL },
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool ok = rl_http_path_decode(span(rows[i].raw), out);

        if (ok != (rows[i].plain != NULL) || (ok && strcmp(out, rows[i].plain) != 0))
            fail_msg("%s", rows[i].raw);
    }
}

/* A sound head that the rows below change in one place. */
static rl_http_head sound(rl_http_line lines[4])
{
    rl_http_head h = { .method = span("POST"),
                       .target = span("/a?b=c"),
                       .version = span("HTTP/1.1"),
                       .lines = lines,
                       .n_lines = 2,
                       .line_bytes = 20,
                       .field_bytes = 40 };

    lines[0] = (rl_http_line){ span("host"), span("realm:80") };
    lines[1] = (rl_http_line){ span("Content-Length"), span("12") };
    return h;
}

static const rl_http_limits LIMITS = { 8192, 16384, 100 };

static void test_sound(void **state)
{
    rl_http_line lines[4];
    rl_http_head h = sound(lines);

    (void)state;
    assert_int_equal(rl_http_head_check(&h, &LIMITS).status, 0);
    assert_int_equal(h.length, 12);
    assert_false(h.chunked);
    assert_int_equal(h.path.n, 2);
    assert_int_equal(h.query.n, 3);
    assert_int_equal(h.host.n, 8);
    lines[1] = (rl_http_line){ span("transfer-encoding"), span("Chunked") };
    assert_int_equal(rl_http_head_check(&h, &LIMITS).status, 0);
    assert_true(h.chunked);
    assert_int_equal(h.length, 0);
    h.target = span("HTTP://realm:80?x");
    assert_int_equal(rl_http_head_check(&h, &LIMITS).status, 0);
    assert_memory_equal(h.path.p, "/", 1);
    assert_memory_equal(h.query.p, "x", 1);
    h.target = span("http://realm:80");
    assert_int_equal(rl_http_head_check(&h, &LIMITS).status, 0);
    assert_int_equal(h.path.n, 1);
}

static void test_limits(void **state)
{
    rl_http_line lines[4];
    rl_http_head h = sound(lines);

    (void)state;
    h.line_bytes = 8192;
    h.field_bytes = 16384;
    assert_int_equal(rl_http_head_check(&h, &LIMITS).status, 0);
    h.line_bytes++;
    assert_int_equal(rl_http_head_check(&h, &LIMITS).status, 414);
    h.line_bytes--;
    h.field_bytes++;
    assert_int_equal(rl_http_head_check(&h, &LIMITS).status, 431);
    h.field_bytes--;
    h.n_lines = 101; /* only the first of them were kept */
    assert_int_equal(rl_http_head_check(&h, &LIMITS).status, 431);
}

/* Content-Length: what fits counts, what cannot be a length is refused, nothing wraps around. */
static void test_length(void **state)
{
    static const struct {
        const char *text;
        int status;
        uint64_t length;
    } rows[] = {
        { "0", 0, 0 },
        { "007", 0, 7 },
        { "999999999999999999", 0, 999999999999999999u },
        { "1000000000000000000", 413, 0 },
        { "18446744073709551616", 413, 0 },
        { "", 400, 0 },
        { "-1", 400, 0 },
        { "+1", 400, 0 },
        { "1 1", 400, 0 },
        { "0x1", 400, 0 },
        { "1,1", 400, 0 },
        { "99999999999999999999x", 400, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rl_http_line lines[4];
        rl_http_head h = sound(lines);

        lines[1].value = span(rows[i].text);
        if (rl_http_head_check(&h, &LIMITS).status != rows[i].status)
            fail_msg("%s", rows[i].text);
        if (!rows[i].status)
            assert_true(h.length == rows[i].length);
    }
}

static void event_is(const char *event, const char *data, const char *framed)
{
    rl_buf b;

    rl_buf_init(&b, 1000);
    rl_http_sse(&b, event, data, strlen(data));
    assert_string_equal(b.data, framed);
    rl_buf_deinit(&b);
}

static void test_sse(void **state)
{
    (void)state;
    event_is(NULL, "{\"a\":1}", "data: {\"a\":1}\n\n");
    event_is(NULL, "[DONE]", "data: [DONE]\n\n");
    event_is("ping", "", "event: ping\ndata: \n\n");
    event_is(NULL, "a\nb", "data: a\ndata: b\n\n");
    event_is(NULL, "a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n");
    event_is("x\ndata: y", "z", "event: x\ndata: z\n\n");
    event_is(NULL, "\n\n", "data: \ndata: \ndata: \n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),   cmocka_unit_test(test_sound), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_length), cmocka_unit_test(test_sse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
