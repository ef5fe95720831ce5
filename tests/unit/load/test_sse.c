#include "../test.h"

#include "base/alloc.h"
#include "load/rng.h"
#include "load/sse.h"

#include <string.h>

typedef struct stream {
    const char *text;
    const char *events; /* each followed by a bar */
} stream;

static const stream streams[] = {
    { "data: a\n\ndata: b\n\n", "a|b|" },
    { "data: a\r\n\r\ndata: b\r\n\r\n", "a|b|" },
    { "data: a\r\rdata: b\r\r", "a|b|" },
    { "data: a\r\n\rdata: b\n\r\n", "a|b|" },
    { "data:a\n\n", "a|" },
    { "data:  a\n\n", " a|" },
    { "data\n\n", "|" },
    { "data:\n\n", "|" },
    { "data: a\ndata: b\ndata\n\n", "a\nb\n|" },
    { ": a comment\n\ndata: a\n: more\nevent: x\nid: 1\nretry: 5\n\n", "a|" },
    { "event: x\n\n\n\ndata: a\n\n", "a|" },
    { "datax: a\ndat: b\n data: c\nDATA: d\n\n", "" },
    { "\xef\xbb\xbf"
      "data: a\n\n\xef\xbb\xbf"
      "data: b\n\n",
      "a|" },
    { "data: a", "" },
    { "data: a\n", "" },
    { "\n\n\ndata: [DONE]\n\n", "[DONE]|" },
};

typedef struct seen {
    char text[256];
    size_t n;
} seen;

/* One piece, in memory of exactly its size. */
static void feed(rl_load_sse *s, seen *out, const char *text, size_t n)
{
    char *copy = rl_alloc(n ? n : 1);
    const char *p = copy, *data;
    size_t n_data;

    memcpy(copy, text, n);
    for (;;) {
        rl_load_sse_next next = rl_load_sse_read(s, &p, &n, &data, &n_data);

        if (next == RL_LOAD_SSE_MORE)
            break;
        assert_int_equal(next, RL_LOAD_SSE_EVENT);
        assert_true(out->n + n_data + 1 < sizeof out->text);
        memcpy(out->text + out->n, data, n_data);
        out->n += n_data;
        out->text[out->n++] = '|';
    }
    assert_int_equal(n, 0);
    rl_free(copy);
}

static void every_stream_in_every_three_pieces(void **state)
{
    rl_load_sse s;

    (void)state;
    rl_load_sse_init(&s);
    for (size_t k = 0; k < sizeof streams / sizeof *streams; k++) {
        const char *text = streams[k].text;
        size_t n = strlen(text);

        for (size_t i = 0; i <= n; i++) {
            for (size_t j = i; j <= n; j++) {
                seen out = { .n = 0 };

                rl_load_sse_reset(&s);
                feed(&s, &out, text, i);
                feed(&s, &out, text + i, j - i);
                feed(&s, &out, text + j, n - j);
                assert_string_equal(out.text, streams[k].events);
            }
        }
    }
    rl_load_sse_deinit(&s);
}

/* "data: xxx..." with n bytes of data, in pieces. */
static rl_load_sse_next long_event(size_t n, size_t piece)
{
    static const char x[4096] = { 'x' };
    const char *p = "data: ", *data;
    size_t left = 6, n_data;
    rl_load_sse_next next;
    rl_load_sse s;

    rl_load_sse_init(&s);
    next = rl_load_sse_read(&s, &p, &left, &data, &n_data);
    while (n && next == RL_LOAD_SSE_MORE) {
        size_t take = n < piece ? n : piece;

        p = x;
        left = take;
        next = rl_load_sse_read(&s, &p, &left, &data, &n_data);
        n -= take;
    }
    if (next == RL_LOAD_SSE_MORE) {
        p = "\n\n";
        left = 2;
        next = rl_load_sse_read(&s, &p, &left, &data, &n_data);
    }
    rl_load_sse_deinit(&s);
    return next;
}

static void an_event_has_a_limit(void **state)
{
    (void)state;
    assert_int_equal(long_event(RL_LOAD_SSE_MAX - 6, 4096), RL_LOAD_SSE_EVENT);
    assert_int_equal(long_event(RL_LOAD_SSE_MAX - 5, 4096), RL_LOAD_SSE_BAD);
}

static void many_lines_have_the_same_limit(void **state)
{
    static const char line[] = "data: 0123456789\n";
    rl_load_sse_next next = RL_LOAD_SSE_MORE;
    rl_load_sse s;
    size_t fed = 0;

    (void)state;
    rl_load_sse_init(&s);
    for (; next == RL_LOAD_SSE_MORE && fed < 2 * RL_LOAD_SSE_MAX; fed += 11) {
        const char *p = line, *data;
        size_t n = sizeof line - 1, n_data;

        next = rl_load_sse_read(&s, &p, &n, &data, &n_data);
    }
    assert_int_equal(next, RL_LOAD_SSE_BAD);
    assert_true(fed >= RL_LOAD_SSE_MAX - 22 && fed <= RL_LOAD_SSE_MAX + 22);
    rl_load_sse_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stream_in_every_three_pieces),
        cmocka_unit_test(an_event_has_a_limit),
        cmocka_unit_test(many_lines_have_the_same_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
