/* Many runs: parking, preemption, the reply and its backpressure, the classic program. */
#include "bed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static rl_runtime *rt;

static int open_rt(void **state)
{
    (void)state;
    rt = bed_open(NULL, 2);
    return 0;
}

static int close_rt(void **state)
{
    rl_runtime_stats s;

    (void)state;
    rl_runtime_get_stats(rt, &s);
    assert_int_equal(s.live, 0);
    assert_int_equal(s.parked, 0);
    assert_int_equal(s.runs_started, s.runs_done);
    rl_runtime_free(rt);
    return 0;
}

#define MEM    "(memory (export \"memory\") 1)"
#define N_RUNS 200

#define N_SHORT   1000
#define IN_FLIGHT 8

/* Each sleeps, computes a while, emits its input and sleeps again. */
static const char busy[] =
    "(module (import \"realm\" \"sleep_ms\" (func $sleep (param i64) (result i32)))"
    "(import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"
    "(import \"realm\" \"input_read\" (func $read (param i64 i32 i32) (result i32)))" MEM
    "(func (export \"run\") (result i32) (local $i i32)"
    " (drop (call $sleep (i64.const 5)))"
    " (local.set $i (i32.const 200000))"
    " (loop $l (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    " (drop (call $emit (i32.const 0) (call $read (i64.const 0) (i32.const 0) (i32.const 64))))"
    " (drop (call $sleep (i64.const 5)))"
    " (i32.const 0)))";

static void test_many(void **state)
{
    static rl_run *runs[N_RUNS];
    rl_program *p = bed_wat(rt, busy);
    char input[32];
    int i;

    (void)state;
    for (i = 0; i < N_RUNS; i++) {
        int n = snprintf(input, sizeof input, "run %d", i);
        rl_run_opts o = { .program = p, .input = input, .n_input = (size_t)n };

        runs[i] = bed_start(rt, &o);
    }
    rl_program_unref(p);
    for (i = 0; i < N_RUNS; i++) {
        bed_out out;

        bed_finish(runs[i], &out);
        (void)snprintf(input, sizeof input, "run %d", i);
        assert_int_equal(out.result.status, REALM_OK);
        assert_string_equal(out.text.data, input);
        bed_free(&out);
    }
}

/* Many more short runs than places: memories and stacks go from a run that ends on one worker to
 * one that begins on another, and nobody finds what was another's. */
static void test_places_are_reused(void **state)
{
    static const char wat[] =
        "(module (import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"
        "(import \"realm\" \"input_read\" (func $read (param i64 i32 i32) (result i32)))" MEM
        "(func (export \"run\") (result i32)"
        " (if (i32.load (i32.const 100)) (then (return (i32.const 1))))"
        " (i32.store (i32.const 100) (i32.const 1))"
        " (drop (call $emit (i32.const 100)"
        "  (call $read (i64.const 0) (i32.const 100) (i32.const 64))))"
        " (i32.const 0)))";
    rl_runtime_opts ro = { .n_workers = 4, .max_guests = IN_FLIGHT, .max_memory = 65536 };
    rl_runtime *crowd = bed_open_with(&ro);
    rl_program *p = bed_wat(crowd, wat);
    rl_run *runs[IN_FLIGHT];
    char input[32];
    int i;

    (void)state;
    for (i = 0; i < N_SHORT + IN_FLIGHT; i++) {
        rl_run_opts o = { .program = p, .input = input, .max_memory = 65536 };
        bed_out out;

        if (i >= IN_FLIGHT) {
            bed_finish(runs[i % IN_FLIGHT], &out);
            (void)snprintf(input, sizeof input, "run %d", i - IN_FLIGHT);
            assert_int_equal(out.result.status, REALM_OK);
            assert_string_equal(out.text.data, input);
            bed_free(&out);
        }
        o.n_input = (size_t)snprintf(input, sizeof input, "run %d", i);
        if (i < N_SHORT)
            runs[i % IN_FLIGHT] = bed_start(crowd, &o);
    }
    rl_program_unref(p);
    rl_runtime_free(crowd);
}

/* Endless loops on both workers do not keep a third run from its work. */
static void test_preempted(void **state)
{
    rl_program *p = bed_wat(rt, "(module " MEM "(func (export \"run\") (result i32)"
                                " (loop $l (br $l)) (i32.const 0)))");
    rl_run_opts o = { .program = p };
    rl_run *spin[4];
    size_t i;

    (void)state;
    for (i = 0; i < 4; i++)
        spin[i] = bed_start(rt, &o);
    rl_program_unref(p);
    for (i = 0; i < 2; i++)
        assert_int_equal(bed_answer(rt, bed_call(rt, "sleep_ms", "(param i64) (result i32)",
                                                 "(drop (call $f (i64.const 1))) (i32.const 42)")),
                         42);
    for (i = 0; i < 4; i++)
        rl_run_close(spin[i]);
}

/* ---- the reply ------------------------------------------------------------------------------- */

static atomic_int notified;

static void count_notify(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&notified, 1);
}

/* 300,000 bytes through a reply that holds 65,536: the writer waits, nothing is lost. */
static void test_backpressure(void **state)
{
    rl_program *p =
        bed_wat(rt, "(module (import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"
                    "(memory (export \"memory\") 5)"
                    "(func (export \"run\") (result i32) (local $i i32)"
                    " (loop $l (i32.store8 (local.get $i) (i32.add (i32.const 97)"
                    "   (i32.rem_u (local.get $i) (i32.const 23))))"
                    "  (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
                    "   (i32.const 300000))))"
                    " (call $emit (i32.const 0) (i32.const 300000))))");
    rl_run_opts o = { .program = p, .notify = count_notify };
    rl_run *run = bed_start(rt, &o);
    rl_runtime_stats s;
    bed_out out;
    size_t i;

    (void)state;
    do
        rl_runtime_get_stats(rt, &s); /* nobody reads: it must park */
    while (s.parked == 0);
    rl_program_unref(p);
    bed_finish(run, &out);
    assert_int_equal(out.result.status, REALM_OK);
    assert_int_equal(out.text.len, 300000);
    for (i = 0; i < out.text.len; i++)
        if (out.text.data[i] != (char)(97 + i % 23))
            fail_msg("byte %zu is wrong", i);
    assert_true(atomic_load(&notified) >= 2);
    bed_free(&out);
}

static void test_events(void **state)
{
    static const char wat[] =
        "(module (import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"
        "(import \"realm\" \"emit_event\" (func $event (param i32 i32) (result i32)))"
        "(import \"realm\" \"log\" (func $log (param i32 i32 i32) (result i32)))" MEM
        "(data (i32.const 0) \"{\\\"event\\\":\\\"tool\\\"}\")"
        "(data (i32.const 32) \"{\\\"event\\\":\\\"usage\\\"}\")"
        "(data (i32.const 64) \"hello\")"
        "(func (export \"run\") (result i32)"
        " (drop (call $emit (i32.const 64) (i32.const 2)))"
        " (drop (call $log (i32.const 2) (i32.const 64) (i32.const 5)))"
        " (drop (call $event (i32.const 0) (i32.const 16)))"
        " (drop (call $emit (i32.const 66) (i32.const 3)))"
        " (if (i32.ne (call $event (i32.const 32) (i32.const 17)) (i32.const -3))"
        "  (then (return (i32.const 1))))"
        " (if (i32.ne (call $event (i32.const 64) (i32.const 5)) (i32.const -1))"
        "  (then (return (i32.const 2))))"
        " (i32.const 0)))";
    bed_out out;

    (void)state;
    bed_run(rt, bed_wat(rt, wat), (rl_run_opts){ 0 }, &out);
    assert_int_equal(out.result.exit_code, 0);
    assert_string_equal(out.text.data, "hello");
    assert_string_equal(out.events.data, "{\"event\":\"tool\"}\n");
    assert_string_equal(out.log.data, "warning: hello\n");
    bed_free(&out);
}

/* Text is given in whole characters when the reader's buffer allows; an event never in parts. */
static void test_reading(void **state)
{
    rl_program *p = bed_wat(
        rt, "(module (import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"
            "(import \"realm\" \"emit_event\" (func $event (param i32 i32) (result i32)))" MEM
            "(data (i32.const 0) \"ab\\c3\\a9\\c3\\a9\")"
            "(data (i32.const 32) \"{\\\"event\\\":\\\"tool\\\"}\")"
            "(func (export \"run\") (result i32)"
            " (drop (call $emit (i32.const 0) (i32.const 6)))"
            " (call $event (i32.const 32) (i32.const 16))))");
    rl_run_opts o = { .program = p };
    rl_run *run = bed_start(rt, &o);
    static const size_t want[] = { 2, 2, 2 };
    rl_reply_kind kind;
    char piece[64];
    size_t i, n;

    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(rl_run_read(run, &kind, piece, 3, &n, -1), REALM_OK);
        assert_int_equal(n, want[i]);
    }
    assert_int_equal(rl_run_read(run, &kind, piece, 3, &n, -1), REALM_ESPACE);
    assert_int_equal(rl_run_read(run, &kind, piece, sizeof piece, &n, -1), REALM_OK);
    assert_int_equal(kind, RL_REPLY_EVENT);
    assert_int_equal(n, 16);
    assert_int_equal(rl_run_read(run, &kind, piece, sizeof piece, &n, -1), REALM_OK);
    assert_int_equal(n, 0);
    assert_true(rl_run_done(run, NULL));
    rl_run_close(run);
    rl_program_unref(p);
}

/* ---- the classic program --------------------------------------------------------------------- */

/* Answers its prompt between brackets; `%s` is its allocator. Its heap begins at 1024. */
#define CLASSIC(allocator)                                                                         \
    "(module " MEM "(global $heap (mut i32) (i32.const 1024))"                                     \
    "(func $take (param $n i32) (result i32) (local $p i32)"                                       \
    " (local.set $p (global.get $heap))"                                                           \
    " (global.set $heap (i32.add (global.get $heap) (local.get $n)))"                              \
    " (local.get $p))" allocator                                                                   \
    "(func (export \"generate\") (param $p i32) (param $n i32) (result i32)"                       \
    " (i32.store8 (i32.const 16) (i32.const 91))"                                                  \
    " (memory.copy (i32.const 17) (local.get $p) (local.get $n))"                                  \
    " (i32.store8 (i32.add (i32.const 17) (local.get $n)) (i32.const 93))"                         \
    " (i32.store8 (i32.add (i32.const 18) (local.get $n)) (i32.const 0))"                          \
    " (i32.const 16)))"

static void test_classic(void **state)
{
    static const char *const wats[] = {
        CLASSIC(""), /* grown pages */
        CLASSIC("(export \"realm_alloc\" (func $take))"),
        CLASSIC("(export \"malloc\" (func $take))"),
        CLASSIC("(export \"__alloc\" (func $take))"),
        CLASSIC("(func (export \"__alloc\") (param i32 i32) (result i32)"
                " (call $take (local.get 0)))"),
        CLASSIC("(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)"
                " (call $take (local.get 3)))"),
        CLASSIC("(func (export \"__new\") (param i32 i32) (result i32)"
                " (call $take (local.get 0)))"
                "(func (export \"__pin\") (param i32) (result i32) (local.get 0))"),
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof wats / sizeof *wats; i++) {
        rl_run_opts o = { .input = "prompt", .n_input = 6 };
        bed_out out;

        bed_run(rt, bed_wat(rt, wats[i]), o, &out);
        if (out.result.status != REALM_OK)
            fail_msg("allocator %zu: %s", i, out.result.err.text);
        assert_string_equal(out.text.data, "[prompt]");
        bed_free(&out);
    }
}

static void test_classic_wide(void **state)
{
    rl_program *p = bed_wat(
        rt, "(module (memory (export \"memory\") i64 1)"
            "(func (export \"generate\") (param $p i64) (param $n i64) (param i32) (param i64)"
            " (result i64)"
            " (memory.copy (i64.const 16) (local.get $p) (local.get $n)) (i64.const 16)))");
    bed_out out;

    (void)state;
    bed_run(rt, p, (rl_run_opts){ .input = "wide", .n_input = 4 }, &out);
    assert_int_equal(out.result.status, REALM_OK);
    assert_string_equal(out.text.data, "wide");
    bed_free(&out);
}

static void test_classic_bad(void **state)
{
    static const char bad[] = "(module " MEM "(func (export \"generate\") (param i32 i32)"
                              " (result i32) (i32.const %s))"
                              "(func (export \"malloc\") (param i32) (result i32)"
                              " (i32.const %s)))";
    char wat[512];
    rl_run_opts o = { .input = "x", .n_input = 1 };

    (void)state;
    (void)snprintf(wat, sizeof wat, bad, "0", "16");
    bed_expect(rt, bed_wat(rt, wat), o, REALM_EINVAL, "generate answered 0: no reply");
    (void)snprintf(wat, sizeof wat, bad, "65536", "16");
    bed_expect(rt, bed_wat(rt, wat), o, REALM_EINVAL, "an address outside its memory");
    (void)snprintf(wat, sizeof wat, bad, "16", "0");
    bed_expect(rt, bed_wat(rt, wat), o, REALM_EINVAL, "allocator answered 0");
    (void)snprintf(wat, sizeof wat, bad, "16", "65536");
    bed_expect(rt, bed_wat(rt, wat), o, REALM_EINVAL, "allocator answered 65536");
}

/* Without a NUL the reply ends where memory ends. */
static void test_classic_end(void **state)
{
    rl_program *p = bed_wat(rt, "(module " MEM "(data (i32.const 65533) \"end\")"
                                "(func (export \"malloc\") (param i32) (result i32)"
                                " (i32.const 16))"
                                "(func (export \"generate\") (param i32 i32) (result i32)"
                                " (i32.const 65533)))");
    bed_out out;

    (void)state;
    bed_run(rt, p, (rl_run_opts){ .input = "x", .n_input = 1 }, &out);
    assert_string_equal(out.text.data, "end");
    bed_free(&out);
}

/* Start functions may call the host before the instance is there: also parking calls. */
static void test_start_function(void **state)
{
    rl_program *p = bed_wat(
        rt, "(module (import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"
            "(import \"realm\" \"sleep_ms\" (func $sleep (param i64) (result i32)))" MEM
            "(data (i32.const 0) \"start\")"
            "(func $s (drop (call $sleep (i64.const 1)))"
            " (drop (call $emit (i32.const 0) (i32.const 5))))"
            "(start $s)"
            "(func (export \"_initialize\") (drop (call $emit (i32.const 0) (i32.const 1))))"
            "(func (export \"run\") (result i32) (i32.const 0)))");
    bed_out out;

    (void)state;
    bed_run(rt, p, (rl_run_opts){ 0 }, &out);
    assert_int_equal(out.result.status, REALM_OK);
    assert_string_equal(out.text.data, "starts");
    bed_free(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),           cmocka_unit_test(test_places_are_reused),
        cmocka_unit_test(test_preempted),      cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_events),         cmocka_unit_test(test_reading),
        cmocka_unit_test(test_classic),        cmocka_unit_test(test_classic_wide),
        cmocka_unit_test(test_classic_bad),    cmocka_unit_test(test_classic_end),
        cmocka_unit_test(test_start_function),
    };

    return cmocka_run_group_tests(tests, open_rt, close_rt);
}
