/* Generations of guests on the real engine and a tiny model: the same text as the engine alone
 * gives, streams and their events, the limit on tokens, and whose the engine's jobs are. */
#include "stream_bed.h"

#include <stdio.h>
#include <string.h>

/* ---- generate -------------------------------------------------------------------------------- */

/* Completes its input greedily: cap bytes of room, then emits the text and the byte behind it. */
static rl_program *completer(uint32_t max_tokens, uint32_t cap)
{
    char run[4096];

    (void)snprintf(run, sizeof run,
                   "(func (export \"run\") (result i32) (local $n i32)"
                   " (i32.store (i32.const 64) (i32.const %u))" /* max_tokens; the rest is 0 */
                   " (memory.fill (i32.const 8192) (i32.const 42) (i32.const 4096))"
                   " (local.set $n (call $generate (i32.const 0) (i32.const 4096)"
                   "  (call $input (i64.const 0) (i32.const 4096) (i32.const 4096))"
                   "  (i32.const 64) (i32.const 8192) (i32.const %u)))"
                   " (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return (local.get $n))))"
                   " (drop (call $emit (i32.const 8192) (i32.add (local.get $n) (i32.const 1))))"
                   " (i32.const 0))",
                   max_tokens, cap);
    return bed_module(run);
}

static void test_same_text(void **state)
{
    rl_buf want;
    bed_out out;

    (void)state;
    bed_direct(24, &want);
    bed_run_ok(completer(24, 4096), BED_PROMPT, &out);
    assert_int_equal(out.text.len, want.len + 1); /* the NUL was emitted too */
    assert_memory_equal(out.text.data, want.data, want.len);
    assert_int_equal(out.text.data[want.len], 0);
    assert_int_equal(out.result.generated_tokens, 24);
    assert_true(out.result.prompt_tokens > 0);
    assert_true(out.result.load_ns > 0);
    bed_free(&out);
    /* cut by the room: a beginning of the same text, without the NUL */
    bed_run_ok(completer(24, 10), BED_PROMPT, &out);
    assert_int_equal(out.text.len, 11);
    assert_memory_equal(out.text.data, want.data, 10);
    assert_int_equal(out.text.data[10], '*');
    bed_free(&out);
    rl_buf_deinit(&want);
}

static void test_generate_refused(void **state)
{
    rl_run_opts o = bed_with(BED_PROMPT);

    (void)state;
    bed_expect(bed_rt, completer(0, 100), o, REALM_EINVAL, "max_tokens is 0");
    bed_expect(bed_rt, completer(4, 0), o, REALM_ESPACE, "no room");
    bed_expect(bed_rt, completer(4, 1000000), o, REALM_EINVAL, "larger than the memory");
    bed_expect(bed_rt, completer(4, 262144), o, REALM_EINVAL, "not inside the memory");
    o.model = NULL;
    bed_expect(bed_rt, completer(4, 100), o, REALM_ENOTFOUND, "without a model of its own");
    o.model = "huge";
    bed_expect(bed_rt, completer(4, 100), o, REALM_ENOTFOUND, "no model named huge");
    o.model = "tiny";
    o.caps = 0;
    bed_expect(bed_rt, completer(4, 100), o, REALM_EDENIED, "capability");
}

static void test_token_limit(void **state)
{
    rl_run_opts o = bed_with(BED_PROMPT);
    bed_out out;

    (void)state;
    o.max_tokens = 5;
    bed_run(bed_rt, completer(24, 4096), o, &out);
    assert_int_equal(out.result.status, REALM_EQUOTA);
    assert_string_equal(out.result.err.text, "token limit of 5 tokens reached");
    assert_int_equal(out.result.limit, RL_LIMIT_TOKENS);
    assert_int_equal(out.result.generated_tokens, 5);
    bed_free(&out);
    o.max_tokens = 24; /* all of it, but no more, is no failure */
    bed_run(bed_rt, completer(24, 4096), o, &out);
    assert_int_equal(out.result.status, REALM_OK);
    bed_free(&out);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void test_streams(void **state)
{
    rl_buf want;
    bed_out out;

    (void)state;
    bed_direct(24, &want);
    bed_stream(SPLICE(0), REQUEST(""), &out);
    assert_string_equal(out.text.data, want.data);
    assert_string_equal(out.events.data,
                        "{\"event\":\"finish\",\"choice\":0,\"reason\":\"length\"}\n");
    bed_free(&out);
    bed_stream(COPY("read"), REQUEST(""), &out);
    assert_string_equal(out.text.data, want.data);
    bed_free(&out);
    bed_stream(COPY("event"), REQUEST(""), &out);
    assert_non_null(strstr(out.text.data, "{\"event\":\"delta\",\"choice\":0,\"text\":\""));
    assert_non_null(strstr(out.text.data, "{\"event\":\"finish\",\"choice\":0,"
                                          "\"reason\":\"length\"}{\"event\":\"usage\","));
    assert_non_null(strstr(out.text.data, "\"completion_tokens\":24,\"cached_tokens\":0}"));
    bed_free(&out);
    rl_buf_deinit(&want);
}

/* Splicing into another choice gives events that say which. */
static void test_choice(void **state)
{
    bed_out out;

    (void)state;
    bed_run_ok(bed_streamer("(call $splice (local.get $s) (i32.const 3))"), REQUEST(""), &out);
    assert_int_equal(out.text.len, 0);
    assert_non_null(strstr(out.events.data, "{\"event\":\"delta\",\"choice\":3,\"text\":\""));
    assert_non_null(strstr(out.events.data, "{\"event\":\"finish\",\"choice\":3,"));
    bed_free(&out);
}

static void test_messages(void **state)
{
    bed_out out;

    (void)state;
    bed_stream(SPLICE(0),
               "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":8,"
               "\"temperature\":0}",
               &out);
    assert_int_equal(out.result.generated_tokens, 8);
    bed_free(&out);
    bed_stream(SPLICE(0), "{\"ids\":[300,301],\"max_tokens\":3,\"seed\":7}", &out);
    assert_int_equal(out.result.generated_tokens, 3);
    assert_int_equal(out.result.prompt_tokens, 2);
    bed_free(&out);
}

static void test_bad_requests(void **state)
{
    static const struct {
        const char *request, *text;
        realm_status st;
    } bad[] = {
        { "", "not JSON", REALM_EINVAL },
        { "[]", "must be a JSON object", REALM_EINVAL },
        { "{}", "needs messages", REALM_EINVAL },
        { "{\"prompt\":7}", "needs messages", REALM_EINVAL },
        { "{\"ids\":[]}", "list of token ids", REALM_EINVAL },
        { "{\"ids\":[1,99999]}", "ids[1]", REALM_EINVAL },
        { "{\"ids\":[-1]}", "ids[0]", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"n\":2}", "n must be 1", REALM_EUNSUPPORTED },
        { "{\"prompt\":\"a\",\"max_tokens\":0}", "max_tokens", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"max_tokens\":-1,\"echo\":true}", "max_tokens", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"echo\":1}", "echo must be", REALM_EINVAL },
        { "{\"messages\":[],\"echo\":true}", "echo needs a prompt", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"stop\":[\"\"]}", "stop must be", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"temperature\":-1}", "temperature", REALM_EINVAL },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++)
        bed_expect(bed_rt, bed_streamer(SPLICE(0)), bed_with(bad[i].request), bad[i].st,
                   bad[i].text);
}

/* A stop string ends the text before itself. */
static void test_stop(void **state)
{
    rl_buf want;
    char request[256], stop[4];
    bed_out out;

    (void)state;
    bed_direct(24, &want);
    (void)snprintf(stop, sizeof stop, "%.3s", want.data + 8);
    assert_null(strpbrk(stop, "\"\\"));
    (void)snprintf(request, sizeof request, REQUEST(",\"stop\":[\"%s\"]"), stop);
    bed_stream(SPLICE(0), request, &out);
    *strstr(want.data, stop) = 0;
    assert_string_equal(out.text.data ? out.text.data : "", want.data);
    assert_non_null(strstr(out.events.data, "\"reason\":\"stop\""));
    bed_free(&out);
    rl_buf_deinit(&want);
}

/* ---- jobs ---------------------------------------------------------------------------------------
 */

static void test_side_by_side(void **state)
{
    enum { N_RUNS = 24 };
    rl_run *runs[N_RUNS];
    rl_program *p = bed_streamer(SPLICE(0));
    rl_run_opts o = bed_with(REQUEST(""));
    rl_buf want;
    size_t i;

    (void)state;
    bed_direct(24, &want);
    o.program = p;
    for (i = 0; i < N_RUNS; i++)
        runs[i] = bed_start(bed_rt, &o);
    rl_program_unref(p);
    for (i = 0; i < N_RUNS; i++) {
        bed_out out;

        bed_finish(runs[i], &out);
        assert_int_equal(out.result.status, REALM_OK);
        assert_string_equal(out.text.data, want.data);
        bed_free(&out);
    }
    rl_buf_deinit(&want);
}

static void count_jobs(uint64_t *all, uint64_t *from_guests)
{
    rl_runtime_stats rs;
    rl_engine_stats es;

    rl_engine_get_stats(bed_engine, &es);
    rl_runtime_get_stats(bed_rt, &rs);
    *all = es.jobs_posted;
    *from_guests = rs.jobs_from_guests;
}

/* A guest's job counts in both; one that no guest asked for in the first alone. */
static void test_jobs_of_nobody_show(void **state)
{
    uint64_t all, guests, all2, guests2;
    rl_buf text;
    bed_out out;

    (void)state;
    count_jobs(&all, &guests);
    bed_run_ok(completer(4, 4096), BED_PROMPT, &out);
    bed_free(&out);
    count_jobs(&all2, &guests2);
    assert_int_equal(all2 - all, 1);
    assert_int_equal(guests2 - guests, 1);
    bed_direct(4, &text);
    rl_buf_deinit(&text);
    count_jobs(&all, &guests);
    assert_int_equal(all - all2, 1);
    assert_int_equal(guests - guests2, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_text),    cmocka_unit_test(test_generate_refused),
        cmocka_unit_test(test_token_limit),  cmocka_unit_test(test_streams),
        cmocka_unit_test(test_choice),       cmocka_unit_test(test_messages),
        cmocka_unit_test(test_bad_requests), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_side_by_side), cmocka_unit_test(test_jobs_of_nobody_show),
    };

    return cmocka_run_group_tests(tests, bed_open_tiny, bed_close_tiny);
}
