/* WASI preview 1 as programs built with a C library see it. */
#include "house.h"

#include <string.h>
#include <unistd.h>

static house the;

static int setup(void **state)
{
    (void)state;
    house_open(&the, 0, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    house_close(&the);
    return 0;
}

static void run_program(const char *name, const char *const *args, uint32_t n_args,
                        const char *input, house_out *out)
{
    rl_program *p = house_program(&the, name);
    rl_run_opts opts = house_opts(p, input);

    opts.model = NULL;
    opts.args = args;
    opts.n_args = n_args;
    house_run(&the, &opts, out);
    rl_program_unref(p);
}

static void input_output_and_log_are_the_three_descriptors(void **state)
{
    static const char *const args[] = { "echo", "\xc3\xa9 b" };
    house_out out;

    (void)state;
    run_program("wasi_echo", args, 2, "Hello, guest.\n", &out);
    house_assert_ok(&out);
    assert_string_equal(house_text(&out), "HELLO, GUEST.\n");
    assert_non_null(strstr(out.log.data, "echo"));
    assert_non_null(strstr(out.log.data, "\xc3\xa9 b"));
    assert_int_equal(out.result.exit_code, 0);
    house_out_free(&out);
}

static void an_exit_code_is_a_failure_that_keeps_the_output(void **state)
{
    static const char *const args[] = { "echo", "fail" };
    house_out out;

    (void)state;
    run_program("wasi_echo", args, 2, "partly", &out);
    assert_int_equal(out.result.exit_code, 3);
    assert_int_not_equal(out.result.status, REALM_OK);
    assert_false(out.result.trapped);
    assert_non_null(strstr(out.result.err.text, "exit code 3"));
    assert_string_equal(house_text(&out), "PARTLY");
    house_out_free(&out);
}

static void a_long_input_arrives_whole(void **state)
{
    static char input[300001];
    house_out out;

    (void)state;
    for (size_t i = 0; i < sizeof input - 1; i++)
        input[i] = (char)('A' + i % 26);
    run_program("wasi_echo", NULL, 0, input, &out);
    house_assert_ok(&out);
    assert_string_equal(house_text(&out), input);
    house_out_free(&out);
}

static void every_function_answers_as_documented(void **state)
{
    static const char *const args[] = { "calls", "two" };
    house_out out;

    (void)state;
    run_program("wasi_calls", args, 2, "input", &out);
    assert_string_equal(house_text(&out), "0 wrong\n");
    house_assert_ok(&out);
    house_out_free(&out);
}

static void waiting_parks_and_ends_in_time(void **state)
{
    house_out out;

    (void)state;
    run_program("wasi_poll", NULL, 0, "input", &out);
    assert_string_equal(house_text(&out), "0 wrong\n");
    house_assert_ok(&out);
    /* 60 ms of waiting must not be 60 ms of computing */
    assert_true(out.result.wall_ns >= 60000000u);
    assert_true(out.result.cpu_ns < out.result.wall_ns);
    house_out_free(&out);
}

/* Nobody reads: the guest sleeps in fd_write with a full reply; another run on the same worker is
 * not held up; when it is read, everything is there in order. */
static void a_writer_parks_until_it_is_read(void **state)
{
    rl_program *p = house_program(&the, "wasi_flood");
    rl_run_opts opts = house_opts(p, "");
    rl_run *run;
    rl_runtime_stats stats;
    house_out out;

    (void)state;
    opts.model = NULL;
    run = house_start(&the, &opts);
    do {
        usleep(1000);
        rl_runtime_get_stats(the.rt, &stats);
    } while (stats.parked != 1);
    run_program("wasi_echo", NULL, 0, "beside", &out);
    house_assert_ok(&out);
    assert_string_equal(house_text(&out), "BESIDE");
    house_out_free(&out);
    house_finish(run, &out);
    house_assert_ok(&out);
    assert_int_equal(out.text.len, 1000000);
    for (size_t i = 0; i < out.text.len; i++)
        assert_int_equal(out.text.data[i], 'a' + (int)(i % 26));
    house_out_free(&out);
    rl_program_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_output_and_log_are_the_three_descriptors),
        cmocka_unit_test(an_exit_code_is_a_failure_that_keeps_the_output),
        cmocka_unit_test(a_long_input_arrives_whole),
        cmocka_unit_test(every_function_answers_as_documented),
        cmocka_unit_test(waiting_parks_and_ends_in_time),
        cmocka_unit_test(a_writer_parks_until_it_is_read),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
