/* Slices, results and errors at the border between guest and host; memory of one page. */
#include "bed.h"

#include <stdio.h>
#include <string.h>

static rl_runtime *rt;

static int open_rt(void **state)
{
    (void)state;
    rt = bed_open(NULL, 1);
    return 0;
}

static int close_rt(void **state)
{
    (void)state;
    rl_runtime_free(rt);
    return 0;
}

/* realm.random(ptr, cap) */
static int32_t random_at(int64_t ptr, int64_t cap)
{
    char body[128];

    (void)snprintf(body, sizeof body, "(call $f (i32.const %lld) (i32.const %lld))", (long long)ptr,
                   (long long)cap);
    return bed_answer(rt, bed_call(rt, "random", "(param i32 i32) (result i32)", body));
}

static void test_bytes(void **state)
{
    (void)state;
    assert_int_equal(random_at(0, 8), 8);
    assert_int_equal(random_at(65528, 8), 8);
    assert_int_equal(random_at(65529, 8), REALM_EINVAL);
    assert_int_equal(random_at(0, 65536), 65536);
    assert_int_equal(random_at(0, 65537), REALM_EINVAL);
    assert_int_equal(random_at(65536, 0), 0);
    assert_int_equal(random_at(65537, 0), REALM_EINVAL);
    assert_int_equal(random_at(-1, 2), REALM_EINVAL);
    assert_int_equal(random_at(8, -1), REALM_EINVAL);
    assert_int_equal(random_at(-8, 8), REALM_EINVAL);
}

/* The same in a memory64 program, whose sums could overflow 64 bits. */
static int32_t random_wide(const char *ptr, const char *cap)
{
    char wat[512];

    (void)snprintf(wat, sizeof wat,
                   "(module (import \"realm\" \"random\" (func $f (param i64 i64) (result i32)))"
                   "(memory (export \"memory\") i64 1)"
                   "(func (export \"run\") (result i32) (call $f (i64.const %s) (i64.const %s))))",
                   ptr, cap);
    return bed_answer(rt, bed_wat(rt, wat));
}

static void test_wide(void **state)
{
    (void)state;
    assert_int_equal(random_wide("65528", "8"), 8);
    assert_int_equal(random_wide("65529", "8"), REALM_EINVAL);
    assert_int_equal(random_wide("0xffffffffffffffff", "2"), REALM_EINVAL);
    assert_int_equal(random_wide("0xfffffffffffffff8", "8"), REALM_EINVAL);
    assert_int_equal(random_wide("8", "0xfffffffffffffff8"), REALM_EINVAL);
    assert_int_equal(random_wide("0x100000000", "8"), REALM_EINVAL);
}

/* A program with a data segment, for texts. */
static int32_t log_text(const char *data, uint32_t n)
{
    char wat[512];

    (void)snprintf(wat, sizeof wat,
                   "(module (import \"realm\" \"log\" (func $f (param i32 i32 i32) (result i32)))"
                   "(memory (export \"memory\") 1 1) (data (i32.const 16) \"%s\")"
                   "(func (export \"run\") (result i32) "
                   "(call $f (i32.const 1) (i32.const 16) (i32.const %u))))",
                   data, n);
    return bed_answer(rt, bed_wat(rt, wat));
}

static void test_text(void **state)
{
    (void)state;
    assert_int_equal(log_text("hello", 5), 0);
    assert_int_equal(log_text("", 0), 0);
    assert_int_equal(log_text("\\c3\\a9", 2), 0);
    assert_int_equal(log_text("\\c3\\a9", 1), REALM_EINVAL);
    assert_int_equal(log_text("\\ff", 1), REALM_EINVAL);
    assert_int_equal(log_text("\\ed\\a0\\80", 3), REALM_EINVAL);
}

/* Over the row's limit of 64 KiB: memory is large enough, the text is not wanted. */
static void test_limit(void **state)
{
    rl_program *p =
        bed_wat(rt, "(module (import \"realm\" \"log\" (func $f (param i32 i32 i32) (result i32)))"
                    "(memory (export \"memory\") 3)"
                    "(func (export \"run\") (result i32) "
                    "(call $f (i32.const 1) (i32.const 0) (i32.const 65537))))");

    (void)state;
    assert_int_equal(bed_answer(rt, p), REALM_ETOOBIG);
}

static void test_input(void **state)
{
    static const char wat[] =
        "(module (import \"realm\" \"input_len\" (func $len (result i64)))"
        "(import \"realm\" \"input_read\" (func $read (param i64 i32 i32) (result i32)))"
        "(import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"
        "(memory (export \"memory\") 1)"
        "(func (export \"run\") (result i32)"
        " (call $emit (i32.const 100) (call $read (i64.const 2) (i32.const 100) (i32.const 3)))"
        " (if (i32.ne (i32.const 0)) (then (return (i32.const 99))))"
        " (if (i32.ne (call $read (i64.const 9) (i32.const 100) (i32.const 3)) (i32.const 0))"
        "   (then (return (i32.const 98))))"
        " (if (i32.ne (call $read (i64.const 10) (i32.const 100) (i32.const 3))"
        "   (i32.const -1)) (then (return (i32.const 97))))"
        " (if (i32.ne (call $read (i64.const -1) (i32.const 100) (i32.const 3))"
        "   (i32.const -1)) (then (return (i32.const 96))))"
        " (i32.sub (i32.wrap_i64 (call $len)) (i32.const 9))))";
    bed_out out;

    (void)state;
    bed_run(rt, bed_wat(rt, wat), (rl_run_opts){ .input = "123456789", .n_input = 9 }, &out);
    assert_int_equal(out.result.exit_code, 0);
    assert_int_equal(out.result.status, REALM_OK);
    assert_string_equal(out.text.data, "345");
    assert_int_equal(out.result.host_calls, 6);
    assert_int_equal(out.result.peak_memory, 65536);
    bed_free(&out);
}

static void test_capability(void **state)
{
    char body[] = "(call $f (i32.const 0) (i32.const 0))";
    const char *type = "(param i32 i32) (result i32)";
    rl_run_opts with = { .caps = RL_CAP_INFER };
    bed_out out;

    (void)state;
    assert_int_equal(bed_answer(rt, bed_call(rt, "model_open", type, body)), REALM_EDENIED);
    bed_run(rt, bed_call(rt, "model_open", type, body), with, &out);
    assert_int_equal(out.result.exit_code, REALM_ENOTFOUND); /* allowed, but there is none */
    bed_free(&out);
}

static void test_error_text(void **state)
{
    static const char wat[] =
        "(module (import \"realm\" \"random\" (func $random (param i32 i32) (result i32)))"
        "(import \"realm\" \"error_text\" (func $text (param i32 i32 i32) (result i32)))"
        "(import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"
        "(memory (export \"memory\") 1)"
        "(func $say (param $st i32) (result i32)"
        " (call $emit (i32.const 0) (call $text (local.get $st) (i32.const 0) (i32.const 240))))"
        "(func (export \"run\") (result i32)"
        " (drop (call $random (i32.const 65530) (i32.const 8)))"
        " (drop (call $say (i32.const 0)))"
        " (drop (call $say (i32.const -6)))"
        " (call $text (i32.const -77) (i32.const 0) (i32.const 240))))";
    bed_out out;

    (void)state;
    bed_run(rt, bed_wat(rt, wat), (rl_run_opts){ 0 }, &out);
    assert_int_equal(out.result.exit_code, REALM_EINVAL);
    assert_string_equal(out.text.data, "random: 8 bytes at 65530 are not inside the memory"
                                       "input over its limit");
    bed_free(&out);
}

/* What is not offered still links, so that old programs start. */
static void test_not_offered(void **state)
{
    rl_program *p = bed_wat(rt, "(module (import \"env\" \"memory64_read\""
                                " (func $f (param i64 i32 i32) (result i32)))"
                                "(memory (export \"memory\") 1)"
                                "(func (export \"run\") (result i32)"
                                " (call $f (i64.const 0) (i32.const 0) (i32.const 8))))");

    (void)state;
    assert_int_equal(bed_answer(rt, p), REALM_EUNSUPPORTED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),      cmocka_unit_test(test_wide),
        cmocka_unit_test(test_text),       cmocka_unit_test(test_limit),
        cmocka_unit_test(test_input),      cmocka_unit_test(test_capability),
        cmocka_unit_test(test_error_text), cmocka_unit_test(test_not_offered),
    };

    return cmocka_run_group_tests(tests, open_rt, close_rt);
}
