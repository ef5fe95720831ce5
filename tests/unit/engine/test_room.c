/* Little KV room: everybody waits for a turn and ends with the same ids as with plenty; what can
 * never fit is told. A tiny llama's block of 32 tokens takes 32 KiB in bf16: a superblock of 2 MiB
 * holds 64, 2,048 tokens. */
#include "house.h"

#include "base/alloc.h"

#include <string.h>
#include <unistd.h>

#define SEQS  20u
#define DRAWN 60u

static void prompt_of(uint32_t i, uint32_t *ids, uint32_t *n)
{
    *n = 150 + i * 20;
    house_ids(ids, *n, i + 1);
}

static void everybody_ends_with_the_same_ids(void **state)
{
    rl_engine_opts plenty = { .n_threads = 2, .kv_bytes = (size_t)64 << 20 };
    rl_engine_opts little = { .n_threads = 2, .kv_bytes = (size_t)2 << 20, .chunk = 64 };
    static uint32_t ids[SEQS][600], want[SEQS][DRAWN];
    static house_gen g[SEQS];
    rl_seq *s[SEQS];
    uint32_t n[SEQS];
    house h;

    (void)state;
    house_open(&h, "llama", &plenty, NULL);
    for (uint32_t i = 0; i < SEQS; i++) {
        s[i] = house_seq(&h, i % 3);
        prompt_of(i, ids[i], &n[i]);
        house_generate(&h, s[i], ids[i], n[i], 1, want[i], DRAWN);
        rl_seq_close(s[i]);
    }
    house_close(&h);
    house_open(&h, "llama", &little, NULL);
    for (uint32_t i = 0; i < SEQS; i++) {
        s[i] = house_seq(&h, i % 3);
        house_gen_start(&h, &g[i], s[i], ids[i], n[i], 1, DRAWN);
    }
    for (uint32_t i = 0; i < SEQS; i++) {
        house_gen_wait(&g[i]);
        if (g[i].job.status != REALM_OK)
            fail_msg("%s", g[i].job.err.text);
        assert_memory_equal(g[i].out, want[i], sizeof want[i]);
    }
    /* All are idle now and most lost their blocks: they go on from their ids. */
    for (uint32_t i = 0; i < SEQS; i++) {
        uint32_t more[10];

        house_generate(&h, s[i], NULL, 0, 0, more, 10);
        assert_int_equal(rl_seq_len(s[i]), n[i] + DRAWN + 10);
        rl_seq_close(s[i]);
    }
    house_wait_empty(&h);
    house_close(&h);
}

/* Rows given before an eviction are not given again. */
static uint32_t n_rows;

static void count_row(rl_job *job, uint32_t index, const float *logits)
{
    (void)job;
    (void)logits;
    assert_int_equal(index, n_rows++);
}

static void scoring_survives_eviction(void **state)
{
    rl_engine_opts little = { .n_threads = 1, .kv_bytes = (size_t)2 << 20, .chunk = 16 };
    static uint32_t ids[1900];
    static house_gen g;
    rl_seq *s, *t;
    rl_job job;
    house h;

    (void)state;
    house_ids(ids, 1900, 3);
    house_open(&h, "llama", &little, NULL);
    s = house_seq(&h, 1);
    t = house_seq(&h, 2);
    house_gen_start(&h, &g, s, ids, 100, 0, 500); /* senior and growing */
    job = (rl_job){ .kind = RL_JOB_SCORE, .seq = t, .ids = ids, .n_ids = 1700, .row = count_row };
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    assert_int_equal(n_rows, 1700);
    house_gen_wait(&g);
    assert_int_equal(g.job.status, REALM_OK);
    rl_seq_close(s);
    rl_seq_close(t);
    house_wait_empty(&h);
    house_close(&h);
}

static void what_never_fits_is_told(void **state)
{
    rl_engine_opts none = { .n_threads = 1, .kv_bytes = 100 };
    rl_engine_opts little = { .n_threads = 1, .kv_bytes = (size_t)2 << 20 };
    rl_lm_opts f32 = { .kv = RL_KV_F32 }; /* 1,024 tokens in a superblock */
    static uint32_t ids[1500];
    float *logits;
    rl_seq *s, *t;
    rl_job job;
    realm_error err;
    house h;

    (void)state;
    house_ids(ids, 1500, 3);
    house_open(&h, "llama", &none, NULL);
    logits = rl_alloc_array(h.n_vocab, sizeof *logits);
    s = house_seq(&h, 1);
    job = (rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .ids = ids, .n_ids = 5, .logits = logits };
    assert_int_equal(rl_engine_run(h.e, &job, &err), REALM_ENOMEM);
    assert_non_null(strstr(err.text, "budget"));
    rl_seq_close(s);
    house_close(&h);
    house_open(&h, "llama", &little, &f32);
    s = house_seq(&h, 1);
    t = house_seq(&h, 1);
    house_logits(&h, t, ids, 500, logits);
    job = (rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .ids = ids, .n_ids = 1500, .logits = logits };
    assert_int_equal(rl_engine_run(h.e, &job, &err), REALM_ENOMEM);
    assert_non_null(strstr(err.text, "KV room"));
    assert_int_equal(rl_seq_len(s), 0);
    job.n_ids = 900;
    assert_int_equal(rl_engine_run(h.e, &job, &err), REALM_OK);
    rl_seq_close(s);
    rl_seq_close(t);
    house_wait_empty(&h);
    rl_free(logits);
    house_close(&h);
}

static uint64_t rows_of(const house *h)
{
    rl_engine_stats st;

    rl_engine_get_stats(h->e, &st);
    return st.rows;
}

/* Another's blocks are worth something: a job that fails anyway must not take them first. One more
 * token of the other then costs one row, not its whole prompt again. */
static void what_never_fits_costs_nobody_his_blocks(void **state)
{
    rl_engine_opts little = { .n_threads = 1, .kv_bytes = (size_t)2 << 20 };
    rl_lm_opts f32 = { .kv = RL_KV_F32 }; /* 1,024 tokens in a superblock */
    static uint32_t ids[1025];
    float *logits, *hidden;
    rl_seq *s, *t;
    rl_job jobs[2];
    realm_error err;
    uint64_t before;
    house h;

    (void)state;
    house_ids(ids, 1025, 3);
    house_open(&h, "llama", &little, &f32);
    logits = rl_alloc_array(h.n_vocab, sizeof *logits);
    hidden =
        rl_alloc_array((size_t)1025 * rl_model_get_info(rl_lm_model(h.lm))->n_embd, sizeof *hidden);
    s = house_seq(&h, 1);
    t = house_seq(&h, 1);
    jobs[0] =
        (rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .ids = ids, .n_ids = 1025, .logits = logits };
    jobs[1] = (rl_job){ .kind = RL_JOB_LAYER, .seq = s, .hidden = hidden, .n_hidden = 1025 };
    house_logits(&h, t, ids, 500, logits);
    for (uint32_t i = 0; i < 2; i++) {
        before = rows_of(&h);
        assert_int_equal(rl_engine_run(h.e, &jobs[i], &err), REALM_ENOMEM);
        assert_non_null(strstr(err.text, "1025 tokens have no KV room"));
        assert_int_equal(rl_seq_len(s), 0);
        house_logits(&h, t, ids, 1, logits);
        assert_int_equal(rows_of(&h) - before, 1);
    }
    rl_seq_close(t);
    jobs[0].n_ids = 1024; /* all there is */
    assert_int_equal(rl_engine_run(h.e, &jobs[0], &err), REALM_OK);
    rl_seq_close(s);
    house_wait_empty(&h);
    rl_free(logits);
    rl_free(hidden);
    house_close(&h);
}

/* Sequences fed with hidden states cannot be computed again: they keep their room. */
static void tainted_sequences_are_not_evicted(void **state)
{
    rl_engine_opts little = { .n_threads = 1, .kv_bytes = (size_t)2 << 20 };
    rl_lm_opts f32 = { .kv = RL_KV_F32 };
    static uint32_t ids[900];
    uint32_t n_embd, n_layers;
    float *hidden, *logits, *want;
    rl_seq *s, *t;
    rl_job job;
    house h;

    (void)state;
    house_ids(ids, 900, 3);
    house_open(&h, "llama", &little, &f32);
    n_embd = rl_model_get_info(rl_lm_model(h.lm))->n_embd;
    n_layers = rl_model_get_info(rl_lm_model(h.lm))->n_layers;
    hidden = rl_alloc_array((size_t)400 * n_embd, sizeof *hidden);
    logits = rl_alloc_array(h.n_vocab, sizeof *logits);
    want = rl_alloc_array(h.n_vocab, sizeof *want);
    s = house_seq(&h, 1);
    t = house_seq(&h, 1);
    house_logits(&h, t, ids, 401, want);
    house_truncate(&h, t, 0);
    rl_model_embed(rl_lm_model(h.lm), ids, 400, hidden);
    for (uint32_t i = 0; i < n_layers; i++) {
        job = (rl_job){
            .kind = RL_JOB_LAYER, .seq = s, .layer = i, .hidden = hidden, .n_hidden = 400
        };
        assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    }
    job = (rl_job){ .kind = RL_JOB_LOGITS, .seq = t, .ids = ids, .n_ids = 900, .logits = logits };
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_ENOMEM);
    house_logits(&h, s, ids + 400, 1, logits);
    assert_memory_equal(logits, want, h.n_vocab * sizeof *want);
    rl_seq_close(s);
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    rl_seq_close(t);
    house_wait_empty(&h);
    house_close(&h);
    rl_free(hidden);
    rl_free(logits);
    rl_free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_ends_with_the_same_ids),
        cmocka_unit_test(scoring_survives_eviction),
        cmocka_unit_test(what_never_fits_is_told),
        cmocka_unit_test(what_never_fits_costs_nobody_his_blocks),
        cmocka_unit_test(tainted_sequences_are_not_evicted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
