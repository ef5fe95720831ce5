#include "../test.h"

#include "base/alloc.h"
#include "load/stats.h"

#include <string.h>

#define MS UINT64_C(1000000)

static rl_load_result stream(uint64_t tokens, uint32_t texts)
{
    return (rl_load_result){ .reason = RL_LOAD_OK,
                             .status = 200,
                             .intended_ns = 100 * MS,
                             .first_ns = 110 * MS,
                             .last_ns = 140 * MS,
                             .end_ns = 150 * MS,
                             .has_usage = true,
                             .prompt_tokens = 20,
                             .completion_tokens = tokens,
                             .max_tokens = 8,
                             .n_events = texts + 2,
                             .n_texts = texts };
}

static void complete_streams(void **state)
{
    rl_load_stats *s = rl_alloc(sizeof *s);
    rl_load_result r = stream(8, 8);

    (void)state;
    s->good_ns = 50 * MS;
    rl_load_stats_add(s, &r); /* 50 ms: just good */
    r.end_ns++;
    r.prompt_tokens = 22;
    rl_load_stats_add(s, &r);
    assert_int_equal(s->ok, 2);
    assert_int_equal(s->good, 1);
    assert_int_equal(s->tokens, 16);
    assert_int_equal(s->first.n, 2);
    assert_int_equal(s->first.most, 10 * MS);
    assert_int_equal(s->whole.least, 50 * MS);
    assert_int_equal(s->prompt_least, 20);
    assert_int_equal(s->prompt_most, 22);
    assert_int_equal(s->by_status[200], 2);
    assert_int_equal(s->usage_differs + s->usage_missing + s->usage_impossible + s->shorter, 0);
    rl_free(s);
}

static void the_usage_is_not_believed_blindly(void **state)
{
    static const struct {
        uint64_t tokens;
        uint32_t texts;
        bool has_usage;
        uint64_t differs, impossible, shorter, missing, counted;
    } rows[] = {
        { 8, 7, true, 1, 0, 0, 0, 8 }, /* a token without text */
        { 7, 8, true, 1, 1, 1, 0, 7 }, /* fewer than came */
        { 9, 8, true, 1, 1, 0, 0, 9 }, /* more than were asked for */
        { 5, 5, true, 0, 0, 1, 0, 5 }, /* it ended early */
        { 0, 8, false, 0, 0, 0, 1, 8 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rl_load_stats *s = rl_alloc(sizeof *s);
        rl_load_result r = stream(rows[i].tokens, rows[i].texts);

        r.has_usage = rows[i].has_usage;
        rl_load_stats_add(s, &r);
        assert_int_equal(s->usage_differs, rows[i].differs);
        assert_int_equal(s->usage_impossible, rows[i].impossible);
        assert_int_equal(s->shorter, rows[i].shorter);
        assert_int_equal(s->usage_missing, rows[i].missing);
        assert_int_equal(s->tokens, rows[i].counted);
        rl_free(s);
    }
}

static void rejects_and_failures_are_no_latencies_of_streams(void **state)
{
    rl_load_stats *s = rl_alloc(sizeof *s);
    rl_load_result reject = { .reason = RL_LOAD_REJECTED,
                              .status = 429,
                              .intended_ns = MS,
                              .end_ns = 3 * MS,
                              .retry_after = true };
    rl_load_result cut = { .reason = RL_LOAD_CUT, .status = 200, .end_ns = MS };

    (void)state;
    rl_load_result_say(&reject, "full\x1b[31m\n\xc3\xa4");
    rl_load_stats_add(s, &reject);
    reject.retry_after = false;
    reject.status = 503;
    rl_load_stats_add(s, &reject);
    rl_load_stats_add(s, &cut);
    assert_int_equal(s->started, 3);
    assert_int_equal(s->rejected, 2);
    assert_int_equal(s->failed, 1);
    assert_int_equal(s->retry_after, 1);
    assert_int_equal(s->no_retry_after, 1);
    assert_int_equal(s->reject.least, 2 * MS);
    assert_int_equal(s->whole.n + s->first.n, 0);
    assert_int_equal(s->by_reason[RL_LOAD_CUT], 1);
    assert_string_equal(s->why[RL_LOAD_REJECTED], "full?[31m???"); /* nothing for the terminal */
    rl_free(s);
}

static void what_is_said_is_cut_to_fit(void **state)
{
    rl_load_result r = { .why = "" };
    char text[400];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    rl_load_result_say(&r, text);
    assert_int_equal(strlen(r.why), sizeof r.why - 1);
    rl_load_result_say(&r, "");
    assert_string_equal(r.why, "");
}

static void every_reason_has_words(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RL_LOAD_REASONS; i++) {
        assert_true(strlen(rl_load_reason_key((rl_load_reason)i)) > 1);
        assert_true(strlen(rl_load_reason_text((rl_load_reason)i)) > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_streams),
        cmocka_unit_test(the_usage_is_not_believed_blindly),
        cmocka_unit_test(rejects_and_failures_are_no_latencies_of_streams),
        cmocka_unit_test(what_is_said_is_cut_to_fit),
        cmocka_unit_test(every_reason_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
