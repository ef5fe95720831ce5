/* The lines of requests and of completions: JSON, one line each, whatever a client sends. */
#include "../test.h"

#include "server/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rl_server s;

/* What was logged since the log was opened on a pipe. */
typedef struct tape {
    int ends[2];
    char text[1 << 16];
} tape;

static void record(tape *t)
{
    realm_error err;

    assert_int_equal(pipe(t->ends), 0);
    assert_int_equal(rl_log_open(t->ends[1], &err), REALM_OK);
    rl_log_set_level(RL_LOG_INFO);
}

/* -> the only line, as JSON */
static json_t *play(tape *t)
{
    size_t n = 0;
    ssize_t k;
    json_t *o;

    rl_log_close();
    (void)close(t->ends[1]);
    while ((k = read(t->ends[0], t->text + n, sizeof t->text - n)) > 0)
        n += (size_t)k;
    (void)close(t->ends[0]);
    assert_true(n > 1 && n <= RL_LOG_LINE && t->text[n - 1] == '\n');
    assert_null(memchr(t->text, '\n', n - 1));
    for (size_t i = 0; i + 1 < n; i++)
        assert_true((unsigned char)t->text[i] >= 0x20 && t->text[i] != 0x7f);
    o = json_loadb(t->text, n, 0, NULL);
    assert_non_null(o);
    return o;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    if (!text)
        fail_msg("no %s", key);
    return text;
}

static void a_request(void **state)
{
    const rl_http_record rec = { .id = "req-1",
                                 .method = "POST",
                                 .path = "/v1/chat/completions",
                                 .peer = "192.0.2.1",
                                 .traceparent =
                                     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                 .status = 200,
                                 .body_bytes = 1234,
                                 .ns = 1234567890,
                                 .first_ns = 1000,
                                 .note = "7m4qk2x9c0ta" };
    static tape t;
    json_t *o;

    (void)state;
    record(&t);
    rl_server_ended(&s, &rec);
    o = play(&t);
    assert_int_equal(strlen(text_of(o, "ts")), strlen("2026-11-22T14:05:06.789Z"));
    assert_int_equal(text_of(o, "ts")[23], 'Z');
    assert_string_equal(text_of(o, "level"), "info");
    assert_string_equal(text_of(o, "msg"), "request");
    assert_string_equal(text_of(o, "id"), "req-1");
    assert_string_equal(text_of(o, "trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(text_of(o, "parent_id"), "00f067aa0ba902b7");
    assert_int_equal(strlen(text_of(o, "span_id")), 16);
    assert_string_equal(text_of(o, "peer"), "192.0.2.1");
    assert_string_equal(text_of(o, "method"), "POST");
    assert_string_equal(text_of(o, "path"), "/v1/chat/completions");
    assert_int_equal(json_integer_value(json_object_get(o, "status")), 200);
    assert_int_equal(json_integer_value(json_object_get(o, "bytes")), 1234);
    assert_true(json_number_value(json_object_get(o, "ms")) == 1234.567);
    assert_string_equal(text_of(o, "key"), "7m4qk2x9c0ta");
    assert_null(json_object_get(o, "refused"));
    json_decref(o);
}

/* The longest and the worst that can stand in a path, all of it to be escaped. */
static void a_hostile_request(void **state)
{
    static char path[9000], id[65], method[3000];
    static tape t;
    rl_http_record rec = {
        .id = id, .method = method, .path = path, .peer = "::1", .status = 500, .refused = true
    };
    json_t *o;

    (void)state;
    for (size_t i = 0; i < sizeof path - 1; i++)
        path[i] = "\n\r\x1b\x7f\x01\"\\{\xff"[i % 9];
    memset(method, '\x02', sizeof method - 1);
    memset(id, '\x03', sizeof id - 1);
    rec.note = "";
    record(&t);
    rl_server_ended(&s, &rec);
    o = play(&t);
    assert_string_equal(text_of(o, "level"), "warn");
    assert_true(json_is_true(json_object_get(o, "refused")));
    assert_null(json_object_get(o, "key"));
    assert_memory_equal(text_of(o, "path"), "\n\r\x1b\x7f\x01\"\\{\xef\xbf\xbd", 11);
    json_decref(o);
}

static json_t *of_run(const rl_run_result *result, const rl_timing *timing, const char *finish)
{
    const rl_server_run run = { .id = "req-1",
                                .key = "",
                                .model = "tiny\n\"x",
                                .finish = finish,
                                .timing = timing,
                                .result = result };
    static tape t;

    record(&t);
    rl_server_run_ended(&s, &run);
    return play(&t);
}

static void runs(void **state)
{
    rl_run_result result = { .prompt_tokens = 12,
                             .generated_tokens = 34,
                             .cpu_ns = 2500000,
                             .err = { .text = "the secret of the prompt" } };
    rl_timing timing = { .begin_ns = 1000, .first_ns = 5001000 };
    json_t *o = of_run(&result, &timing, "length");

    (void)state;
    assert_string_equal(text_of(o, "msg"), "run");
    assert_string_equal(text_of(o, "model"), "tiny\n\"x");
    assert_string_equal(text_of(o, "finish"), "length");
    assert_int_equal(json_integer_value(json_object_get(o, "prompt_tokens")), 12);
    assert_int_equal(json_integer_value(json_object_get(o, "completion_tokens")), 34);
    assert_true(json_number_value(json_object_get(o, "ttft_ms")) == 5);
    assert_true(json_number_value(json_object_get(o, "guest_cpu_ms")) == 2.5);
    json_decref(o);

    o = of_run(&result, &timing, "content_filter");
    assert_string_equal(text_of(o, "finish"), "content_filter");
    json_decref(o);

    result.http_status = 403;
    o = of_run(&result, &timing, "");
    assert_string_equal(text_of(o, "finish"), "refused");
    assert_string_equal(text_of(o, "level"), "info");
    assert_null(json_object_get(o, "error"));
    json_decref(o);

    result.status = REALM_EQUOTA; /* whatever status it set before it failed */
    timing.first_ns = 0;
    o = of_run(&result, &timing, "");
    assert_string_equal(text_of(o, "finish"), "error");
    assert_string_equal(text_of(o, "error"), realm_status_name(REALM_EQUOTA));
    assert_string_equal(text_of(o, "level"), "warn");
    assert_true(json_is_null(json_object_get(o, "ttft_ms")));
    json_decref(o);

    result.status = REALM_ECANCELLED;
    o = of_run(&result, &timing, "");
    assert_string_equal(text_of(o, "finish"), "cancelled");
    assert_string_equal(text_of(o, "level"), "info");
    json_decref(o);
    assert_int_equal(atomic_load(&s.metrics.counts[RL_COUNT_finishes][RL_FINISHED_LENGTH]), 1);
    assert_int_equal(atomic_load(&s.metrics.counts[RL_COUNT_finishes][RL_FINISHED_FAILED]), 1);
    assert_int_equal(atomic_load(&s.metrics.counts[RL_COUNT_finishes][RL_FINISHED_FILTERED]), 1);
    assert_int_equal(atomic_load(&s.metrics.counts[RL_COUNT_finishes][RL_FINISHED_REFUSED]), 1);
    assert_int_equal(atomic_load(&s.metrics.counts[RL_COUNT_finishes][RL_FINISHED_STOP]), 0);
    assert_int_equal(atomic_load(&s.metrics.counts[RL_COUNT_finishes][RL_FINISHED_CANCELLED]), 1);
}

static void below_the_level_nothing_is_written(void **state)
{
    const rl_http_record rec = { .id = "a", .method = "GET", .path = "/", .peer = "", .note = "" };
    static tape t;
    char c;

    (void)state;
    record(&t);
    rl_log_set_level(RL_LOG_ERROR);
    rl_server_ended(&s, &rec);
    rl_log_close();
    (void)close(t.ends[1]);
    assert_int_equal(read(t.ends[0], &c, 1), 0);
    (void)close(t.ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request),
        cmocka_unit_test(a_hostile_request),
        cmocka_unit_test(runs),
        cmocka_unit_test(below_the_level_nothing_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
