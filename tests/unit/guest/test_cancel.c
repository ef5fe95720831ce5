/* Generations that are not read to their end: streams closed early or left behind, handles and
 * their limits, runs cancelled in the middle. */
#include "stream_bed.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void test_handles(void **state)
{
    static const struct {
        const char *body;
        int32_t answer;
    } calls[] = {
        { "(call $read (i32.const 77) (i32.const 0) (i32.const 8))", REALM_ENOTFOUND },
        { "(call $read (i32.const 0) (i32.const 0) (i32.const 8))", REALM_ENOTFOUND },
        { "(drop (call $close (local.get $s))) (call $close (local.get $s))", REALM_ENOTFOUND },
        /* a model's handle is no stream */
        { "(call $close (call $open (i32.const 0) (i32.const 0)))", REALM_ENOTFOUND },
        { "(call $event (local.get $s) (i32.const 0) (i32.const 20))", REALM_ESPACE },
        /* eight generations may run, and here each is refused once they do */
        { "(loop $l (br_if $l (i32.gt_s (call $start) (i32.const 0)))) (call $start)",
          REALM_EQUOTA },
        { "(loop $l (br_if $l (i32.gt_s (call $open (i32.const 0) (i32.const 0)) (i32.const 0))))"
          "(call $open (i32.const 0) (i32.const 0))",
          REALM_EQUOTA },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof calls / sizeof *calls; i++) {
        bed_out out;

        bed_run(bed_rt, bed_streamer(calls[i].body), bed_with(REQUEST("")), &out);
        if (out.result.exit_code != calls[i].answer)
            fail_msg("call %zu: %d (%s)", i, out.result.exit_code, out.result.err.text);
        bed_free(&out);
    }
}

/* Closing a stream early does not make its tokens free. */
static void test_no_free_tokens(void **state)
{
    rl_run_opts o = bed_with(REQUEST(""));
    bed_out out;

    (void)state;
    o.max_tokens = 60;
    bed_run(bed_rt,
            bed_streamer("(loop $l"
                         " (drop (call $read (local.get $s) (i32.const 8192) (i32.const 4096)))"
                         " (drop (call $read (local.get $s) (i32.const 8192) (i32.const 4096)))"
                         " (drop (call $close (local.get $s)))"
                         " (local.set $s (call $start)) (br $l)) (i32.const 0)"),
            o, &out);
    assert_int_equal(out.result.status, REALM_EQUOTA);
    assert_non_null(strstr(out.result.err.text, "token limit of 60 tokens reached"));
    assert_true(out.result.generated_tokens <= 60);
    bed_free(&out);
}

/* A run that is cancelled or closed in the middle of a generation lets go of everything. */
static void test_cancel(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 8; i++) {
        rl_program *p = bed_streamer(SPLICE(0));
        rl_run_opts o = bed_with("{\"prompt\":\"a\",\"max_tokens\":2000}");
        rl_reply_kind kind;
        rl_run *run;
        char piece[64];
        size_t n;

        o.program = p;
        run = bed_start(bed_rt, &o);
        rl_program_unref(p);
        if (i % 2)
            assert_int_equal(rl_run_read(run, &kind, piece, sizeof piece, &n, -1), REALM_OK);
        rl_run_close(run);
    }
}

static atomic_bool held, inside;

/* The run's worker waits here: it looks at nothing. */
static void hold(void *ctx)
{
    (void)ctx;
    atomic_store(&inside, true);
    while (atomic_load(&held))
        (void)usleep(100);
}

/* Until the engine has ended all it was given, a minute at most. */
static void wait_idle(rl_engine_stats *es)
{
    for (int i = 0; i < 600000; i++) {
        rl_engine_get_stats(bed_engine, es);
        if (es->jobs_done == es->jobs_posted)
            return;
        (void)usleep(100);
    }
}

/* The engine hears of a cancel from who cancels, whatever the worker does. */
static void test_cancel_needs_no_worker(void **state)
{
    rl_program *p = bed_streamer(SPLICE(0));
    rl_run_opts o = bed_with("{\"prompt\":\"a\",\"max_tokens\":2000}");
    rl_engine_stats before, es;
    uint64_t asked = 0;
    rl_run *run;

    (void)state;
    wait_idle(&before);
    o.program = p;
    o.notify = hold;
    atomic_store(&held, true);
    run = bed_start(bed_rt, &o);
    rl_program_unref(p);
    while (!atomic_load(&inside))
        (void)usleep(100);
    rl_run_cancel(run);
    wait_idle(&es);
    atomic_store(&held, false);
    rl_run_close(run);
    assert_int_equal(es.jobs_done, es.jobs_posted);
    for (size_t i = 0; i + 1 < RL_CANCEL_STEPS; i++)
        asked += es.jobs_cancelled[i] - before.jobs_cancelled[i];
    assert_int_equal(asked, 1);
    assert_int_equal(es.jobs_cancelled[RL_CANCEL_STEPS - 1], 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handles),
        cmocka_unit_test(test_no_free_tokens),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_needs_no_worker),
    };

    return cmocka_run_group_tests(tests, bed_open_tiny, bed_close_tiny);
}
