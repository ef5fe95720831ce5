/* Bad programs and bad input: each ends with its own status and sentence, and a run beside it gives
 * the text it gives alone. */
#include "house.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEIGHBOUR "24 the water was"

static house the;
static rl_program *hello, *parked;
static char *alone; /* the neighbour's text without anyone beside it */

static int setup(void **state)
{
    house_out out;
    rl_run_opts opts;

    (void)state;
    house_open(&the, 0, 1);
    hello = house_program(&the, "hello");
    parked = house_program(&the, "parked");
    opts = house_opts(parked, NEIGHBOUR);
    house_run(&the, &opts, &out);
    house_assert_ok(&out);
    assert_true(out.text.len > 20);
    alone = rl_buf_take(&out.text);
    house_out_free(&out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(alone);
    rl_program_unref(hello);
    rl_program_unref(parked);
    house_close(&the);
    return 0;
}

/* Runs `opts` while a neighbour waits for its completion. */
static void run_beside(const rl_run_opts *opts, house_out *out)
{
    rl_run_opts neighbour = house_opts(parked, NEIGHBOUR);
    rl_run *run = house_start(&the, &neighbour);
    house_out calm;

    house_run(&the, opts, out);
    house_finish(run, &calm);
    house_assert_ok(&calm);
    assert_string_equal(house_text(&calm), alone);
    house_out_free(&calm);
}

/* The run must end so; `says` must be in its sentence. */
static void expect(const rl_run_opts *opts, realm_status status, const char *says)
{
    house_out out;

    run_beside(opts, &out);
    if (out.result.status != status || strstr(out.result.err.text, says) == NULL)
        fail_msg("%s: '%s'; expected %s with '%s'", realm_status_name(out.result.status),
                 out.result.err.text, realm_status_name(status), says);
    house_out_free(&out);
}

static void expect_wat(const char *wat, realm_status status, const char *says)
{
    rl_program *p = house_wat(&the, wat);
    rl_run_opts opts = house_opts(p, "");

    opts.max_cpu_ms = 200;
    expect(&opts, status, says);
    rl_program_unref(p);
}

static void expect_refused(const char *wat, const char *says)
{
    realm_error err;
    rl_program *p = NULL;

    if (house_try_wat(&the, &p, wat, &err) != REALM_EINVAL || strstr(err.text, says) == NULL)
        fail_msg("%s: '%s'; expected EINVAL with '%s'", realm_status_name(err.status), err.text,
                 says);
    assert_null(p);
}

/* ---- models ---------------------------------------------------------------------------------- */

static void an_unknown_model_is_named(void **state)
{
    rl_run_opts opts = house_opts(hello, "x");

    (void)state;
    opts.model = "nobody";
    expect(&opts, REALM_ENOTFOUND, "nobody");
}

static void a_path_is_no_model_name(void **state)
{
    static const char *const names[] = { "../tiny", "/etc/passwd", "a/../tiny", "tiny/..",
                                         "Tiny",    "ti ny",       ".tiny",     "ti\ny" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        rl_run_opts opts = house_opts(hello, "x");

        opts.model = names[i];
        expect(&opts, REALM_ENOTFOUND, "model");
    }
}

/* The same from inside a guest, by both doors: it gets the numbers and goes on. */
static void a_guest_cannot_open_paths_either(void **state)
{
    static const char form[] =
        "(module (import \"env\" \"realm_host_load_model_by_name\""
        " (func $env (param i32 i32) (result i32)))"
        " (import \"realm\" \"model_open\" (func $open (param i32 i32) (result i32)))"
        " (memory (export \"memory\") 1) (data (i32.const 8) \"%s\")"
        " (func (export \"run\") (result i32)"
        "  (if (i32.ne (call $env (i32.const 8) (i32.const %d)) (i32.const %d))"
        "   (then (return (i32.const 1))))"
        "  (if (i32.ne (call $open (i32.const 8) (i32.const %d)) (i32.const %d))"
        "   (then (return (i32.const 2))))"
        "  (i32.const 0)))";
    static const struct {
        const char *name;
        realm_status status;
    } names[] = { { "../../etc/passwd", REALM_EINVAL },
                  { "/etc/passwd", REALM_EINVAL },
                  { "a..b", REALM_EINVAL },
                  { "nobody", REALM_ENOTFOUND } };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int n = (int)strlen(names[i].name), st = (int)names[i].status;
        char wat[1024];
        rl_program *p;
        rl_run_opts opts;
        house_out out;

        (void)snprintf(wat, sizeof wat, form, names[i].name, n, st, n, st);
        p = house_wat(&the, wat);
        opts = house_opts(p, "");
        run_beside(&opts, &out);
        house_assert_ok(&out);
        house_out_free(&out);
        rl_program_unref(p);
    }
}

/* ---- modules --------------------------------------------------------------------------------- */

static void what_is_no_module_is_refused(void **state)
{
    static const char whole[] = "\0asm\1\0\0\0\1\4\1\140\0\0\3\2\1\0\12\4\1\2\0\13";
    realm_error err;
    rl_program *p = NULL;

    (void)state;
    assert_int_equal(rl_program_load(&p, the.rt, "", 0, &err), REALM_EINVAL);
    assert_int_equal(rl_program_load(&p, the.rt, "#!/bin/sh\n", 10, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "WebAssembly"));
    for (size_t n = 0; n < sizeof whole - 1; n++)
        assert_int_equal(rl_program_load(&p, the.rt, whole, n, &err), REALM_EINVAL);
    assert_null(p);
}

static void unknown_imports_are_refused_by_name(void **state)
{
    (void)state;
    expect_refused("(module (import \"env\" \"steal\" (func)) (memory (export \"memory\") 1)"
                   " (func (export \"run\") (result i32) (i32.const 0)))",
                   "env.steal");
    expect_refused("(module (import \"env\" \"memory\" (memory 1)) (export \"memory\" (memory 0))"
                   " (func (export \"run\") (result i32) (i32.const 0)))",
                   "env.memory");
    /* a known name with another type, and both forms of one name */
    expect_refused("(module (import \"realm\" \"emit\" (func (param i32) (result i32)))"
                   " (memory (export \"memory\") 1)"
                   " (func (export \"run\") (result i32) (i32.const 0)))",
                   "realm.emit");
}

static void a_missing_export_is_named(void **state)
{
    (void)state;
    expect_refused("(module (memory (export \"memory\") 1) (func (export \"start\")))", "_start");
    expect_refused("(module (import \"realm\" \"input_len\" (func (result i64)))"
                   " (func (export \"run\") (result i32) (i32.const 0)))",
                   "memory");
    expect_refused("(module (memory (export \"memory\") 1)"
                   " (func (export \"run\") (param f64) (result i32) (i32.const 0)))",
                   "run");
}

/* ---- programs that misbehave ----------------------------------------------------------------- */

static void a_trap_ends_its_run_alone(void **state)
{
    static const char run[] = "(module (memory (export \"memory\") 1)"
                              " (func (export \"run\") (result i32) ";
    char wat[512];
    rl_program *p;
    rl_run_opts opts;
    house_out out;

    (void)state;
    (void)snprintf(wat, sizeof wat, "%s unreachable))", run);
    expect_wat(wat, REALM_EINVAL, "unreachable");
    (void)snprintf(wat, sizeof wat, "%s (i32.load (i32.const 65536))))", run);
    expect_wat(wat, REALM_EINVAL, "memory");
    (void)snprintf(wat, sizeof wat, "%s (i32.div_s (i32.const 1) (i32.const 0))))", run);
    p = house_wat(&the, wat);
    opts = house_opts(p, "");
    run_beside(&opts, &out);
    assert_true(out.result.trapped);
    house_out_free(&out);
    rl_program_unref(p);
}

static void assemblyscript_abort_is_a_trap(void **state)
{
    (void)state;
    expect_wat("(module (import \"env\" \"abort\" (func $abort (param i32 i32 i32 i32)))"
               " (memory (export \"memory\") 1)"
               " (func (export \"run\") (result i32)"
               "  (call $abort (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2))"
               "  (i32.const 0)))",
               REALM_EINVAL, "abort");
}

static void an_endless_loop_meets_its_limit(void **state)
{
    (void)state;
    expect_wat("(module (memory (export \"memory\") 1)"
               " (func (export \"run\") (result i32) (loop (br 0)) (i32.const 0)))",
               REALM_EQUOTA, "CPU");
    /* in a start function, before there is an instance */
    expect_wat("(module (memory (export \"memory\") 1) (func $s (loop (br 0))) (start $s)"
               " (func (export \"run\") (result i32) (i32.const 0)))",
               REALM_EQUOTA, "CPU");
    /* in the allocator that the host calls for the classic prompt */
    expect_wat("(module (memory (export \"memory\") 1)"
               " (func (export \"malloc\") (param i32) (result i32) (loop (br 0)) (i32.const 0))"
               " (func (export \"generate\") (param i32 i32) (result i32) (i32.const 8)))",
               REALM_EQUOTA, "CPU");
}

static void a_deadline_ends_a_sleeper(void **state)
{
    rl_program *p =
        house_wat(&the, "(module (import \"realm\" \"sleep_ms\" (func $sleep (param i64)"
                        " (result i32))) (memory (export \"memory\") 1)"
                        " (func (export \"run\") (result i32)"
                        "  (call $sleep (i64.const 3600000))))");
    rl_run_opts opts = house_opts(p, "");

    (void)state;
    opts.max_time_ms = 100;
    expect(&opts, REALM_ETIMEOUT, "100 ms");
    rl_program_unref(p);
}

static void a_memory_bomb_stays_in_its_limit(void **state)
{
    rl_program *p = house_wat(&the, "(module (memory (export \"memory\") 1)"
                                    " (func (export \"run\") (result i32)"
                                    "  (loop $more (br_if $more (i32.ne (i32.const -1)"
                                    "   (memory.grow (i32.const 1)))))"
                                    "  (i32.const 0)))");
    rl_run_opts opts = house_opts(p, "");
    realm_error err;
    house_out out;
    rl_run *run = NULL;

    (void)state;
    opts.max_memory = 1 << 20;
    run_beside(&opts, &out);
    house_assert_ok(&out); /* growing fails for the guest, which is no trap */
    assert_int_equal(out.result.peak_memory, 1 << 20);
    house_out_free(&out);
    rl_program_unref(p);

    p = house_wat(&the, "(module (memory (export \"memory\") 40)"
                        " (func (export \"run\") (result i32) (i32.const 0)))");
    opts = house_opts(p, "");
    opts.max_memory = 1 << 20;
    assert_int_equal(rl_run_start(&run, the.rt, &opts, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "2621440"));
    rl_program_unref(p);
}

static void deep_recursion_is_a_trap(void **state)
{
    (void)state;
    expect_wat("(module (memory (export \"memory\") 1)"
               " (func $deep (param i32) (result i32)"
               "  (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))"
               " (func (export \"run\") (result i32) (call $deep (i32.const 0))))",
               REALM_EINVAL, "stack");
}

/* A classic program that answers an address outside its memory, or none. */
static void a_wild_reply_fails_the_run(void **state)
{
    (void)state;
    expect_wat("(module (memory (export \"memory\") 1)"
               " (func (export \"generate\") (param i32 i32) (result i32) (i32.const -4)))",
               REALM_EINVAL, "generate");
    expect_wat("(module (memory (export \"memory\") 1)"
               " (func (export \"generate\") (param i32 i32) (result i32) (i32.const 0)))",
               REALM_EINVAL, "generate");
    /* an allocator that answers nonsense */
    expect_wat("(module (memory (export \"memory\") 1)"
               " (func (export \"malloc\") (param i32) (result i32) (i32.const -8))"
               " (func (export \"generate\") (param i32 i32) (result i32) (i32.const 8)))",
               REALM_EINVAL, "allocator");
}

static void too_much_output_meets_its_limit(void **state)
{
    rl_program *p = house_wat(&the, "(module (import \"realm\" \"emit\" (func $emit (param i32 i32)"
                                    " (result i32))) (memory (export \"memory\") 1)"
                                    " (func (export \"run\") (result i32)"
                                    "  (loop $more (br_if $more (i32.eqz"
                                    "   (call $emit (i32.const 0) (i32.const 60000)))))"
                                    "  (i32.const 0)))");
    rl_run_opts opts = house_opts(p, "");

    (void)state;
    opts.max_output = 100000;
    expect(&opts, REALM_EQUOTA, "100000");
    rl_program_unref(p);
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* hello answers NULL when generating fails, and says why in its log. */
static void expect_prompt(const void *prompt, size_t n, const char *says)
{
    rl_run_opts opts = house_opts(hello, "");
    house_out out;

    opts.input = prompt;
    opts.n_input = n;
    run_beside(&opts, &out);
    assert_int_not_equal(out.result.status, REALM_OK);
    if (out.log.data == NULL || strstr(out.log.data, says) == NULL)
        fail_msg("the log says '%s', not '%s'", out.log.data ? out.log.data : "", says);
    house_out_free(&out);
}

static void a_prompt_longer_than_the_context_is_refused(void **state)
{
    static char prompt[20000];

    (void)state;
    memset(prompt, '7', sizeof prompt);
    expect_prompt(prompt, sizeof prompt, "2048");
}

static void invalid_utf8_is_refused(void **state)
{
    (void)state;
    expect_prompt("ab\xff\xfe", 4, "UTF-8");
    expect_prompt("\xc0\x80", 2, "UTF-8");
    expect_prompt("\xed\xa0\x80", 3, "UTF-8");
    expect_prompt("abc\xe2\x82", 5, "UTF-8");
}

/* An empty prompt is a beginning of text for a model that has one. */
static void an_empty_prompt_completes_from_the_beginning(void **state)
{
    rl_run_opts opts = house_opts(parked, "8 ");
    house_out out;

    (void)state;
    run_beside(&opts, &out);
    house_assert_ok(&out);
    assert_true(out.text.len > 0);
    house_out_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_model_is_named),
        cmocka_unit_test(a_path_is_no_model_name),
        cmocka_unit_test(a_guest_cannot_open_paths_either),
        cmocka_unit_test(what_is_no_module_is_refused),
        cmocka_unit_test(unknown_imports_are_refused_by_name),
        cmocka_unit_test(a_missing_export_is_named),
        cmocka_unit_test(a_trap_ends_its_run_alone),
        cmocka_unit_test(assemblyscript_abort_is_a_trap),
        cmocka_unit_test(an_endless_loop_meets_its_limit),
        cmocka_unit_test(a_deadline_ends_a_sleeper),
        cmocka_unit_test(a_memory_bomb_stays_in_its_limit),
        cmocka_unit_test(deep_recursion_is_a_trap),
        cmocka_unit_test(a_wild_reply_fails_the_run),
        cmocka_unit_test(too_much_output_meets_its_limit),
        cmocka_unit_test(a_prompt_longer_than_the_context_is_refused),
        cmocka_unit_test(invalid_utf8_is_refused),
        cmocka_unit_test(an_empty_prompt_completes_from_the_beginning),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
