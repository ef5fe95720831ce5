/* Sequences, samplers and the streams on them, as a guest sees them, in both pointer widths; and
 * what is left when a run ends in the middle of them. */
#include "house.h"

#include <string.h>

#define PROMPT "the water was long and very little could be made of it."

static const rl_header headers[] = { { "Authorization", "Bearer secret" }, { "x-trace", "abc12" } };

static rl_run_opts seqs_opts(rl_program *p)
{
    rl_run_opts opts = house_opts(p, PROMPT);

    opts.headers = headers;
    opts.n_headers = 2;
    return opts;
}

static void runs_right(const char *name)
{
    house the;
    rl_program *p;
    rl_run_opts opts;
    house_out out;

    house_open(&the, 0, 1);
    p = house_program(&the, name);
    opts = seqs_opts(p);
    house_run(&the, &opts, &out);
    assert_string_equal(house_text(&out), "0 wrong\n");
    house_assert_ok(&out);
    assert_int_equal(out.result.http_status, 203);
    assert_true(out.result.prompt_tokens > 100 && out.result.generated_tokens > 60);
    house_out_free(&out);
    rl_program_unref(p);
    house_close(&the);
}

static void wasm32_guests_drive_sequences(void **state)
{
    (void)state;
    runs_right("seqs");
}

static void memory64_guests_drive_sequences(void **state)
{
    (void)state;
    runs_right("seqs64");
}

static uint32_t kv_blocks(const house *h)
{
    rl_engine_stats s;

    rl_engine_get_stats(h->engine, &s);
    return s.kv_blocks_in_use;
}

/* Cut after ever more engine steps, so in every kind of call; the engine takes all blocks back and
 * goes on serving. */
static void a_run_may_end_anywhere(void **state)
{
    house the;
    rl_program *p;
    house_out out;
    uint32_t unfinished = 0;

    (void)state;
    house_open(&the, 0, 2);
    p = house_program(&the, "seqs");
    for (uint64_t steps = 1; steps < 120; steps += 3) {
        rl_run_opts opts = seqs_opts(p);
        rl_run *run = house_start(&the, &opts);
        rl_engine_stats begin, now;
        rl_runtime_stats runs;

        rl_engine_get_stats(the.engine, &begin);
        do {
            rl_engine_get_stats(the.engine, &now);
            rl_runtime_get_stats(the.rt, &runs);
        } while (now.steps < begin.steps + steps && runs.runs_done < runs.runs_started);
        rl_run_cancel(run);
        house_finish(run, &out);
        unfinished += out.result.status == REALM_ECANCELLED;
        house_out_free(&out);
    }
    assert_true(unfinished > 10);
    while (kv_blocks(&the) > 0)
        ; /* the last jobs are being cancelled */
    rl_program_unref(p);
    house_close(&the);
}

/* The run's limit of tokens holds for single draws too. */
static void draws_count_as_tokens(void **state)
{
    house the;
    rl_program *p;
    rl_run_opts opts;
    house_out out;

    (void)state;
    house_open(&the, 0, 1);
    p = house_program(&the, "seqs");
    opts = seqs_opts(p);
    opts.max_tokens = 7;
    house_run(&the, &opts, &out);
    assert_int_equal(out.result.status, REALM_EQUOTA);
    assert_non_null(strstr(out.result.err.text, "token limit of 7"));
    assert_int_equal(out.result.generated_tokens, 7);
    house_out_free(&out);
    rl_program_unref(p);
    house_close(&the);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wasm32_guests_drive_sequences),
        cmocka_unit_test(memory64_guests_drive_sequences),
        cmocka_unit_test(a_run_may_end_anywhere),
        cmocka_unit_test(draws_count_as_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
