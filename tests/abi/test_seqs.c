/* Sequences, samplers and the streams on them, as a guest sees them, in both pointer widths; and
 * what is left when a run ends in the middle of them. */
#include "house.h"

#include <jansson.h>
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

static const json_t *entry(const json_t *o, json_int_t *id, double *logprob)
{
    const json_t *bytes = json_object_get(o, "bytes");

    assert_true(json_is_string(json_object_get(o, "text")) && json_is_array(bytes));
    assert_true(json_is_number(json_object_get(o, "logprob")));
    *id = json_integer_value(json_object_get(o, "id"));
    *logprob = json_number_value(json_object_get(o, "logprob"));
    return bytes;
}

/* Adds a delta's text to `text`, and the bytes of its tokens to `bytes`. -> its tokens */
static size_t read_delta(const char *line, size_t n, rl_buf *text, rl_buf *bytes)
{
    json_t *root = json_loadb(line, n, 0, NULL), *token, *byte;
    size_t i, k, n_tokens;

    assert_non_null(root);
    (void)rl_buf_adds(text, json_string_value(json_object_get(root, "text")));
    n_tokens = json_array_size(json_object_get(root, "tokens"));
    json_array_foreach(json_object_get(root, "tokens"), i, token)
    {
        const json_t *top = json_object_get(token, "top"), *list;
        json_int_t id, best;
        double logprob, most;

        list = entry(token, &id, &logprob);
        assert_int_equal(json_array_size(top), 4);
        (void)entry(json_array_get(top, 0), &best, &most);
        assert_int_equal(id, best); /* the run is greedy */
        assert_true(logprob == most && logprob <= 0);
        json_array_foreach(list, k, byte)
        {
            char c = (char)json_integer_value(byte);

            (void)rl_buf_add(bytes, &c, 1);
        }
    }
    json_decref(root);
    return n_tokens;
}

static void run_chat(house *h, const char *request, house_out *out)
{
    rl_program *p = house_program(h, "chat");
    rl_run_opts opts = house_opts(p, request);

    house_run(h, &opts, out);
    rl_program_unref(p);
}

/* A spliced stream with logprobs: its events carry the tokens whose bytes are the text. */
static void events_carry_tokens(void **state)
{
    static const char *const bad[] = { "{\"prompt\": \"a\", \"logprobs\": 2}",
                                       "{\"prompt\": \"a\", \"top_logprobs\": 2}",
                                       "{\"prompt\": \"a\", \"logprobs\": true, "
                                       "\"top_logprobs\": 21}",
                                       "{\"prompt\": \"a\", \"logprobs\": true, "
                                       "\"top_logprobs\": -1}" };
    rl_buf text, bytes;
    house_out plain, out;
    size_t n_tokens = 0;
    char *line, *end;
    house the;

    (void)state;
    house_open(&the, 0, 1);
    rl_buf_init(&text, 1 << 20);
    rl_buf_init(&bytes, 1 << 20);
    run_chat(&the, "{\"prompt\": \"the water\", \"max_tokens\": 40, \"temperature\": 0}", &plain);
    run_chat(&the,
             "{\"prompt\": \"the water\", \"max_tokens\": 40, \"temperature\": 0, "
             "\"logprobs\": true, \"top_logprobs\": 4}",
             &out);
    house_assert_ok(&out);
    assert_int_equal(out.text.len, 0);
    for (line = out.events.data; (end = strchr(line, '\n')) != NULL; line = end + 1)
        if (strncmp(line, "{\"event\":\"delta\"", 16) == 0)
            n_tokens += read_delta(line, (size_t)(end - line), &text, &bytes);
    assert_string_equal(text.data, house_text(&plain));
    assert_int_equal(n_tokens, out.result.generated_tokens);
    assert_true(strncmp(bytes.data, text.data, text.len) == 0);
    house_out_free(&plain);
    house_out_free(&out);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run_chat(&the, bad[i], &out);
        assert_int_equal(out.result.status, REALM_EINVAL);
        assert_non_null(strstr(out.result.err.text, "logprobs"));
        house_out_free(&out);
    }
    rl_buf_deinit(&text);
    rl_buf_deinit(&bytes);
    house_close(&the);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wasm32_guests_drive_sequences),
        cmocka_unit_test(memory64_guests_drive_sequences),
        cmocka_unit_test(a_run_may_end_anywhere),
        cmocka_unit_test(draws_count_as_tokens),
        cmocka_unit_test(events_carry_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
