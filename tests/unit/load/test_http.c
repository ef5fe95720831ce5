#include "../test.h"

#include "base/alloc.h"
#include "load/http.h"

#include <stdio.h>
#include <string.h>

#define OK "HTTP/1.1 200 OK\r\n"

typedef enum outcome { ENDS, ENDS_AT_EOF, CUT, MALFORMED } outcome;

typedef struct answer {
    const char *text;
    outcome outcome;
    int status;
    const char *body;
    size_t left; /* bytes behind the end */
    bool keep_alive, event_stream, retry_after;
} answer;

static const answer good[] = {
    { OK "Content-Length: 5\r\n\r\nhello", ENDS, 200, "hello", 0, true, false, false },
    { OK "Content-Length: 0\r\n\r\nxyz", ENDS, 200, "", 3, true, false, false },
    { OK "content-length:\t5 \r\nConnection: Upgrade , cLose\r\n\r\nhello", ENDS, 200, "hello", 0,
      false, false, false },
    { OK "Transfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
         "3\r\ndat\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
      ENDS, 200, "dat0123456789", 0, true, true, false },
    { OK "Transfer-Encoding: Chunked\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n"
         "0001\r\na\r\n000\r\nTrailer: x\r\nOther: y\r\n\r\nHTTP",
      ENDS, 200, "a", 4, true, true, false },
    { OK "Content-Type: text/event-streams\r\nContent-Length: 1\r\n\r\na", ENDS, 200, "a", 0, true,
      false, false },
    { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: x\r\n\r\n" OK
      "Content-Length: 1\r\n\r\na",
      ENDS, 200, "a", 0, true, false, false },
    { "HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}", ENDS, 429, "{}", 0,
      true, false, true },
    { "HTTP/1.1 503\r\nRetry-After:\r\nContent-Length: 0\r\n\r\n", ENDS, 503, "", 0, true, false,
      false },
    { "HTTP/1.1 204 None\r\n\r\n", ENDS, 204, "", 0, true, false, false },
    { "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", ENDS, 200, "a", 0, false, false, false },
    { "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", ENDS, 200, "a", 0,
      true, false, false },
    { OK "X: \xc3\xa4\r\n\r\nto the end", ENDS_AT_EOF, 200, "to the end", 0, false, false, false },
    { OK "Content-Length: 6\r\n\r\nhello", CUT, 200, "hello", 0, true, false, false },
    { OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", CUT, 200, "hel", 0, true, false, false },
    { OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", CUT, 200, "hello", 0, true, false,
      false },
    { OK "X: 1\r\n", CUT, 0, "", 0, false, false, false },
};

static const char *const malformed[] = {
    "HTTP/2 200 OK\r\n\r\n",
    "HTTP/1.2 200 OK\r\n\r\n",
    "http/1.1 200 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 2x0 OK\r\n\r\n",
    "HTTP/1.1 200 O\x01K\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\n\r\n",
    OK "Content-Length: 1\n\r\na",
    OK "Content-Length : 1\r\n\r\na",
    OK " folded: 1\r\n\r\n",
    OK "X: 1\r\n more\r\n\r\n",
    OK ": 1\r\n\r\n",
    OK "no colon\r\n\r\n",
    OK "X: a\rb\r\n\r\n",
    OK "X: a\x7f\r\n\r\n",
    OK "Content-Length: -1\r\n\r\n",
    OK "Content-Length: +1\r\n\r\n",
    OK "Content-Length: 1, 1\r\n\r\na",
    OK "Content-Length: 0x1\r\n\r\na",
    OK "Content-Length:\r\n\r\n",
    OK "Content-Length: 1000000000000000\r\n\r\n",
    OK "Content-Length: 18446744073709551617\r\n\r\n",
    OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\nhello\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n1000000000000\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
    "HTTP/1.1 101 Switching\r\n\r\n",
    "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\na",
};

typedef struct seen {
    outcome outcome;
    char body[64];
    size_t n_body, left;
    rl_load_http_next last;
} seen;

/* One piece, in memory of exactly its size. */
static void feed(rl_load_http *h, seen *s, const char *text, size_t n)
{
    char *copy = rl_alloc(n ? n : 1);
    const char *p = copy, *body;
    size_t n_body;

    memcpy(copy, text, n);
    while (s->last != RL_LOAD_HTTP_BAD && s->last != RL_LOAD_HTTP_END) {
        s->last = rl_load_http_read(h, &p, &n, &body, &n_body);
        if (s->last == RL_LOAD_HTTP_MORE) {
            assert_int_equal(n, 0);
            break;
        }
        if (s->last == RL_LOAD_HTTP_BODY) {
            assert_true(n_body > 0 && s->n_body + n_body < sizeof s->body);
            memcpy(s->body + s->n_body, body, n_body);
            s->n_body += n_body;
        }
    }
    s->left += n;
    rl_free(copy);
}

/* The text in three pieces: [0, i) [i, j) [j, n). */
static seen run(rl_load_http *h, const char *text, size_t n, size_t i, size_t j)
{
    seen s = { .last = RL_LOAD_HTTP_MORE };

    rl_load_http_reset(h);
    feed(h, &s, text, i);
    feed(h, &s, text + i, j - i);
    feed(h, &s, text + j, n - j);
    if (s.last == RL_LOAD_HTTP_BAD)
        s.outcome = MALFORMED;
    else if (s.last == RL_LOAD_HTTP_END)
        s.outcome = ENDS;
    else
        s.outcome = rl_load_http_eof(h) ? ENDS_AT_EOF : CUT;
    return s;
}

static void same(rl_load_http *h, const answer *a, const seen *s)
{
    if (s->outcome != a->outcome)
        fail_msg("outcome %d, not %d (%s): %s", (int)s->outcome, (int)a->outcome,
                 h->why ? h->why : "", a->text);
    assert_int_equal(s->n_body, strlen(a->body));
    assert_memory_equal(s->body, a->body, s->n_body);
    assert_int_equal(s->left, a->left);
    assert_int_equal(h->head_done, a->status != 0);
    if (!a->status)
        return;
    assert_int_equal(h->status, a->status);
    assert_int_equal(h->keep_alive, a->keep_alive);
    assert_int_equal(h->event_stream, a->event_stream);
    assert_int_equal(h->retry_after, a->retry_after);
}

static void every_answer_in_every_three_pieces(void **state)
{
    rl_load_http h;

    (void)state;
    rl_load_http_init(&h);
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        size_t n = strlen(good[k].text);

        for (size_t i = 0; i <= n; i++) {
            for (size_t j = i; j <= n; j++) {
                seen s = run(&h, good[k].text, n, i, j);

                same(&h, &good[k], &s);
            }
        }
    }
    rl_load_http_deinit(&h);
}

static void every_answer_byte_by_byte(void **state)
{
    rl_load_http h;

    (void)state;
    rl_load_http_init(&h);
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        seen s = { .last = RL_LOAD_HTTP_MORE };

        rl_load_http_reset(&h);
        for (const char *p = good[k].text; *p; p++)
            feed(&h, &s, p, 1);
        if (good[k].outcome == ENDS)
            assert_int_equal(s.last, RL_LOAD_HTTP_END);
        else
            assert_int_equal(rl_load_http_eof(&h), good[k].outcome == ENDS_AT_EOF);
        assert_int_equal(s.n_body, strlen(good[k].body));
        assert_memory_equal(s.body, good[k].body, s.n_body);
    }
    rl_load_http_deinit(&h);
}

static void what_is_malformed_is_so_in_every_split(void **state)
{
    rl_load_http h;

    (void)state;
    rl_load_http_init(&h);
    for (size_t k = 0; k < sizeof malformed / sizeof *malformed; k++) {
        const char *text = malformed[k], *why = NULL;
        size_t n = strlen(text);

        for (size_t i = 0; i <= n; i++) {
            seen s = run(&h, text, n, i, i);

            if (s.outcome != MALFORMED)
                fail_msg("taken, split at %zu: %s", i, text);
            assert_non_null(h.why);
            assert_true(why == NULL || why == h.why);
            why = h.why;
        }
    }
    rl_load_http_deinit(&h);
}

/* n_lines header lines of n_text bytes without their line ends. */
static rl_load_http_next with_header(size_t n_lines, size_t n_text)
{
    size_t n = strlen(OK) + n_lines * (n_text + 2) + 2;
    char *text = rl_alloc(n), *at = text;
    const char *p = text, *body;
    size_t n_body;
    rl_load_http_next next;
    rl_load_http h;

    memcpy(at, OK, strlen(OK));
    at += strlen(OK);
    for (size_t i = 0; i < n_lines; i++) {
        memset(at, 'x', n_text);
        at[1] = ':';
        memcpy(at + n_text, "\r\n", 2);
        at += n_text + 2;
    }
    memcpy(at, "\r\n", 2);
    rl_load_http_init(&h);
    next = rl_load_http_read(&h, &p, &n, &body, &n_body);
    rl_load_http_deinit(&h);
    rl_free(text);
    return next;
}

static void the_limits_are_where_they_are_said_to_be(void **state)
{
    (void)state;
    assert_int_equal(with_header(1, RL_LOAD_HTTP_LINE - 2), RL_LOAD_HTTP_MORE);
    assert_int_equal(with_header(1, RL_LOAD_HTTP_LINE - 1), RL_LOAD_HTTP_BAD);
    assert_int_equal(with_header(RL_LOAD_HTTP_LINES - 1, 10), RL_LOAD_HTTP_MORE);
    assert_int_equal(with_header(RL_LOAD_HTTP_LINES, 10), RL_LOAD_HTTP_BAD);
    assert_int_equal(with_header(3, RL_LOAD_HTTP_LINE - 2), RL_LOAD_HTTP_MORE);
    assert_int_equal(with_header(4, RL_LOAD_HTTP_LINE - 2), RL_LOAD_HTTP_BAD);
}

static void interim_answers_end_somewhere(void **state)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    rl_load_http h;
    seen s = { .last = RL_LOAD_HTTP_MORE };

    (void)state;
    rl_load_http_init(&h);
    for (unsigned i = 0; i < RL_LOAD_HTTP_INTERIM; i++)
        feed(&h, &s, interim, sizeof interim - 1);
    assert_int_equal(s.last, RL_LOAD_HTTP_MORE);
    feed(&h, &s, interim, sizeof interim - 1);
    assert_int_equal(s.last, RL_LOAD_HTTP_BAD);
    rl_load_http_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_in_every_three_pieces),
        cmocka_unit_test(every_answer_byte_by_byte),
        cmocka_unit_test(what_is_malformed_is_so_in_every_split),
        cmocka_unit_test(the_limits_are_where_they_are_said_to_be),
        cmocka_unit_test(interim_answers_end_somewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
