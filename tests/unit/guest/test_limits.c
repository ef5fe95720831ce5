/* Faults and limits: each ends its own run, with a status and a sentence of its own. */
#include "bed.h"

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
    (void)state;
    rl_runtime_free(rt);
    return 0;
}

#define MEM       "(memory (export \"memory\") 1)"
#define RUN(body) "(func $run (export \"run\") (result i32) " body ")"
#define SPIN      "(loop $l (br $l))"

static void expect(const char *wat, rl_run_opts opts, realm_status st, const char *text)
{
    bed_expect(rt, bed_wat(rt, wat), opts, st, text);
}

static void test_traps(void **state)
{
    rl_run_opts o = { 0 };
    bed_out out;

    (void)state;
    expect("(module " MEM RUN("unreachable") ")", o, REALM_EINVAL, "trap: unreachable");
    expect("(module " MEM RUN("unreachable") ")", o, REALM_EINVAL, "in run");
    expect("(module " MEM RUN("(i32.load (i32.const 65536))") ")", o, REALM_EINVAL,
           "trap: memory access out of bounds");
    expect("(module " MEM RUN("(i32.div_u (i32.const 1) (i32.const 0))") ")", o, REALM_EINVAL,
           "division by zero");
    expect("(module (memory (export \"memory\") i64 1)" RUN(
               "(i32.load (i64.const 0x7fffffffffffffff))") ")",
           o, REALM_EINVAL, "out of bounds");
    bed_run(rt, bed_wat(rt, "(module " MEM RUN("unreachable") ")"), o, &out);
    assert_true(out.result.trapped);
    bed_free(&out);
}

static void test_recursion(void **state)
{
    (void)state;
    expect("(module " MEM RUN("(i32.add (call $run) (i32.const 1))") ")", (rl_run_opts){ 0 },
           REALM_EINVAL, "trap: call stack exhausted");
}

static void test_exit_codes(void **state)
{
    bed_out out;

    (void)state;
    bed_run(rt, bed_wat(rt, "(module " MEM RUN("(i32.const 3)") ")"), (rl_run_opts){ 0 }, &out);
    assert_int_equal(out.result.exit_code, 3);
    assert_int_equal(out.result.status, REALM_EINVAL);
    assert_false(out.result.trapped);
    bed_free(&out);
    bed_run(rt, bed_wat(rt, "(module " MEM "(func (export \"_start\")))"), (rl_run_opts){ 0 },
            &out);
    assert_int_equal(out.result.status, REALM_OK);
    bed_free(&out);
}

static void test_abort(void **state)
{
    (void)state;
    expect("(module (import \"env\" \"abort\" (func $a (param i32 i32 i32 i32)))" MEM
           "(data (i32.const 4) \"\\06\\00\\00\\00o\\00n\\00o\\00\")" RUN(
               "(call $a (i32.const 8) (i32.const 0) (i32.const 12) (i32.const 5))"
               "(i32.const 0)") ")",
           (rl_run_opts){ 0 }, REALM_EINVAL, "abort called at line 12, column 5: ono");
}

static void test_cpu(void **state)
{
    rl_run_opts o = { .max_cpu_ms = 20 };

    (void)state;
    expect("(module " MEM RUN(SPIN "(i32.const 0)") ")", o, REALM_EQUOTA,
           "CPU limit of 20 ms reached");
    expect("(module " MEM "(func $s " SPIN ") (start $s)" RUN("(i32.const 0)") ")", o, REALM_EQUOTA,
           "CPU limit of 20 ms reached");
    expect("(module " MEM "(func (export \"_initialize\") " SPIN ")" RUN("(i32.const 0)") ")", o,
           REALM_EQUOTA, "CPU limit of 20 ms reached");
    expect("(module " MEM "(func (export \"malloc\") (param i32) (result i32) " SPIN
           "(i32.const 0))"
           "(func (export \"generate\") (param i32 i32) (result i32) (i32.const 0)))",
           o, REALM_EQUOTA, "CPU limit of 20 ms reached");
}

static void test_time(void **state)
{
    rl_run_opts o = { .max_time_ms = 30, .max_cpu_ms = 60000 };

    (void)state;
    expect("(module " MEM RUN(SPIN "(i32.const 0)") ")", o, REALM_ETIMEOUT,
           "time limit of 30 ms reached");
    /* asleep far beyond it */
    expect("(module (import \"realm\" \"sleep_ms\" (func $f (param i64) (result i32)))" MEM RUN(
               "(call $f (i64.const 0x7fffffffffffffff))") ")",
           o, REALM_ETIMEOUT, "time limit of 30 ms reached");
}

#define GROW_LOOP "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 4)) (i32.const -1))))"

static void test_memory(void **state)
{
    rl_run_opts o = { .max_memory = (size_t)1 << 20 };
    bed_out out;

    (void)state;
    expect("(module " MEM RUN(GROW_LOOP "unreachable") ")", o, REALM_EQUOTA,
           "memory limit of 1048576 bytes reached");
    expect("(module " MEM RUN(GROW_LOOP "(i32.const 1)") ")", o, REALM_EQUOTA,
           "memory limit of 1048576 bytes reached");
    /* one leap from far below */
    expect("(module " MEM RUN("(drop (memory.grow (i32.const 16))) unreachable") ")", o,
           REALM_EQUOTA, "memory limit of 1048576 bytes reached");
    /* a program that can live with less ends well */
    bed_run(rt, bed_wat(rt, "(module " MEM RUN(GROW_LOOP "(i32.const 0)") ")"), o, &out);
    assert_int_equal(out.result.status, REALM_OK);
    assert_int_equal(out.result.peak_memory, 65536 * 13);
    bed_free(&out);
    /* a trap without a refused growth is a trap, however much memory is in use */
    expect("(module (memory (export \"memory\") 16)" RUN("unreachable") ")", o, REALM_EINVAL,
           "trap: unreachable");
}

static void test_memory_opts(void **state)
{
    rl_program *p = bed_wat(rt, "(module (memory (export \"memory\") 2)" RUN("(i32.const 0)") ")");
    rl_run_opts o = { .program = p, .max_memory = 65536 };
    rl_run *run = NULL;
    realm_error err;

    (void)state;
    assert_int_equal(rl_run_start(&run, rt, &o, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "starts with 131072 bytes"));
    o.max_memory = (size_t)1 << 30;
    assert_int_equal(rl_run_start(&run, rt, &o, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "over the runtime's"));
    assert_null(run);
    rl_program_unref(p);
}

#define EMIT                                                                                       \
    "(import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))" MEM                    \
    "(data (i32.const 0) \"0123456789\")"

static void test_output(void **state)
{
    rl_run_opts o = { .max_output = 25 };
    rl_program *p =
        bed_wat(rt, "(module " EMIT RUN("(loop $l (drop (call $emit (i32.const 0) (i32.const 10)))"
                                        "(br $l)) (i32.const 0)") ")");
    bed_out out;

    (void)state;
    bed_run(rt, p, o, &out);
    assert_int_equal(out.result.status, REALM_EQUOTA);
    assert_string_equal(out.result.err.text, "output limit of 25 bytes reached");
    assert_int_equal(out.result.limit, RL_LIMIT_OUTPUT);
    assert_string_equal(out.text.data, "0123456789012345678901234");
    bed_free(&out);
    /* exactly the limit is no failure */
    o.max_output = 10;
    bed_run(rt, bed_wat(rt, "(module " EMIT RUN("(call $emit (i32.const 0) (i32.const 10))") ")"),
            o, &out);
    assert_int_equal(out.result.status, REALM_OK);
    bed_free(&out);
}

static void test_cancel(void **state)
{
    static const char *const wats[] = {
        "(module (import \"realm\" \"sleep_ms\" (func $f (param i64) (result i32)))" MEM RUN(
            "(call $f (i64.const 100000))") ")",
        "(module " MEM RUN(SPIN "(i32.const 0)") ")",
        "(module " MEM "(func $s " SPIN ") (start $s)" RUN("(i32.const 0)") ")",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof wats / sizeof *wats; i++) {
        rl_program *p = bed_wat(rt, wats[i]);
        rl_run_opts o = { .program = p };
        rl_run *run = bed_start(rt, &o);
        bed_out out;

        rl_program_unref(p);
        rl_run_cancel(run);
        bed_finish(run, &out);
        assert_int_equal(out.result.status, REALM_ECANCELLED);
        assert_int_equal(out.result.limit, RL_LIMIT_NONE);
        bed_free(&out);
        run = bed_start(rt, &(rl_run_opts){ .program = p = bed_wat(rt, wats[i]) });
        rl_program_unref(p);
        rl_run_close(run); /* at any moment of its life */
    }
}

static void test_guests(void **state)
{
    rl_runtime_opts ro = { .n_workers = 1, .max_guests = 2, .max_memory = 65536 };
    rl_runtime *small;
    realm_error err;
    rl_program *p;
    rl_run_opts o = { 0 };
    rl_run *runs[2], *third;

    (void)state;
    assert_int_equal(rl_runtime_new(&small, &ro, &err), REALM_OK);
    p = bed_call(small, "sleep_ms", "(param i64) (result i32)", "(call $f (i64.const 100000))");
    o.program = p;
    o.max_memory = 65536;
    runs[0] = bed_start(small, &o);
    runs[1] = bed_start(small, &o);
    assert_int_equal(rl_run_start(&third, small, &o, &err), REALM_EBUSY);
    rl_run_close(runs[0]);
    assert_int_equal(rl_run_start(&runs[0], small, &o, &err), REALM_OK); /* a place is free */
    rl_run_close(runs[0]);
    rl_run_close(runs[1]);
    rl_program_unref(p);
    rl_runtime_free(small);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traps),      cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_exit_codes), cmocka_unit_test(test_abort),
        cmocka_unit_test(test_cpu),        cmocka_unit_test(test_time),
        cmocka_unit_test(test_memory),     cmocka_unit_test(test_memory_opts),
        cmocka_unit_test(test_output),     cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_guests),
    };

    return cmocka_run_group_tests(tests, open_rt, close_rt);
}
