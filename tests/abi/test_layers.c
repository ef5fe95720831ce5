/* A guest that drives the layers gets, bit for bit, the logits of a whole forward pass. */
#include "house.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define PROMPT "the water was long and very little could be made of it."

static house the;

/* The logits after PROMPT by the engine's own job. -> [*n], rl_free */
static float *whole_pass(const char *model, size_t *n)
{
    char path[512];
    realm_error err;
    rl_engine *engine = NULL;
    rl_lm *lm = NULL;
    rl_job job = { .kind = RL_JOB_LOGITS };
    uint32_t *ids = NULL;
    size_t n_ids;

    assert_int_equal(rl_engine_new(&engine, &(rl_engine_opts){ .n_threads = 2 }, &err), REALM_OK);
    assert_int_equal(house_model(model, path, sizeof path, &err), REALM_OK);
    assert_int_equal(rl_lm_open(&lm, engine, path, &(rl_lm_opts){ 0 }, &err), REALM_OK);
    assert_int_equal(rl_encode(rl_lm_vocab(lm), PROMPT, strlen(PROMPT),
                               RL_ENCODE_ADD_SPECIAL | RL_ENCODE_PARSE_SPECIAL, &ids, &n_ids, &err),
                     REALM_OK);
    *n = rl_model_get_info(rl_lm_model(lm))->n_vocab;
    job.logits = rl_alloc_array(*n, sizeof(float));
    job.seq = rl_seq_new(engine, lm, 1);
    job.ids = ids;
    job.n_ids = (uint32_t)n_ids;
    assert_int_equal(rl_engine_run(engine, &job, &err), REALM_OK);
    rl_seq_close(job.seq);
    rl_free(ids);
    rl_lm_unref(lm);
    rl_engine_free(engine);
    return job.logits;
}

static void compare(const char *model, const char *chunk, const float *want, size_t n)
{
    const char *args[] = { "logits", chunk };
    rl_program *p = house_program(&the, "logits");
    rl_run_opts opts = house_opts(p, PROMPT);
    house_out out;

    opts.model = model;
    opts.args = args;
    opts.n_args = 2;
    opts.max_output = (size_t)4 << 20;
    house_run(&the, &opts, &out);
    house_assert_ok(&out);
    assert_int_equal(out.text.len, n * sizeof(float));
    assert_memory_equal(out.text.data, want, n * sizeof(float));
    house_out_free(&out);
    rl_program_unref(p);
}

static void layer_by_layer_gives_the_same_bits(void **state)
{
    size_t n;
    float *want = whole_pass("tiny", &n);

    (void)state;
    house_open(&the, 0, 1);
    compare("tiny", "1", want, n);
    compare("tiny", "5", want, n);
    compare("tiny", "1000", want, n);
    house_close(&the);
    rl_free(want);
}

/* Without the capability the calls are refused, and nothing else changes. */
static void layers_need_their_capability(void **state)
{
    const char *args[] = { "logits", "1" };
    rl_program *p;
    rl_run_opts opts;
    house_out out;

    (void)state;
    house_open(&the, 0, 1);
    p = house_program(&the, "logits");
    opts = house_opts(p, PROMPT);
    opts.args = args;
    opts.n_args = 2;
    opts.caps = RL_CAP_INFER;
    house_run(&the, &opts, &out);
    assert_int_equal(out.result.status, REALM_EDENIED);
    assert_non_null(strstr(out.result.err.text, "capability"));
    assert_non_null(strstr(out.log.data, "capability"));
    house_out_free(&out);
    rl_program_unref(p);
    house_close(&the);
}

/* A gap in the positions is refused; a smaller position truncates. */
static void positions_follow_their_rules(void **state)
{
    rl_program *p;
    rl_run_opts opts;
    house_out out;

    (void)state;
    house_open(&the, 0, 1);
    p = house_program(&the, "positions");
    opts = house_opts(p, PROMPT);
    house_run(&the, &opts, &out);
    assert_string_equal(house_text(&out), "0 wrong\n");
    house_assert_ok(&out);
    house_out_free(&out);
    rl_program_unref(p);
    house_close(&the);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_by_layer_gives_the_same_bits),
        cmocka_unit_test(layers_need_their_capability),
        cmocka_unit_test(positions_follow_their_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
