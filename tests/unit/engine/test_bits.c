/* A result depends on the request alone: logits and ids of one sequence, bit for bit, whatever runs
 * beside it and however its prompt was cut. Run as `test_bits ARCH`. */
#include "house.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

#define PROMPT 300u /* more than a segment of 256 keys, and many windows */
#define DRAWN  24u

static const char *arch = "llama";

/* What a fresh sequence alone on one thread gives. */
typedef struct truth {
    uint32_t prompt[PROMPT], greedy[DRAWN], drawn[DRAWN];
    float *logits, *after; /* after the prompt; after the first 100 of it */
    float *rows;           /* [PROMPT][n_vocab] */
    float *mean;           /* [n_embd] of all states of the prompt */
} truth;

static void keep_row(rl_job *job, uint32_t index, const float *logits)
{
    house *h = ((void **)job->ctx)[0];
    float *rows = ((void **)job->ctx)[1];
    uint32_t *count = ((void **)job->ctx)[2];

    assert_int_equal(index, (*count)++); /* each once, in order */
    memcpy(rows + (size_t)index * h->n_vocab, logits, h->n_vocab * sizeof(float));
}

static void score_from(house *h, rl_seq *s, const uint32_t *ids, uint32_t n, int32_t first,
                       float *rows)
{
    uint32_t count = 0;
    void *ctx[3] = { h, rows, &count };
    rl_job job = { .kind = RL_JOB_SCORE, .seq = s, .ctx = ctx, .ids = ids, .n_ids = n };

    job.row = keep_row;
    job.first_row = first;
    assert_int_equal(rl_engine_run(h->e, &job, NULL), REALM_OK);
    assert_int_equal(count, (int32_t)n - first);
}

static void score(house *h, rl_seq *s, const uint32_t *ids, uint32_t n, float *rows)
{
    score_from(h, s, ids, n, 0, rows);
}

static uint32_t n_embd_of(const house *h)
{
    return rl_model_get_info(rl_lm_model(h->lm))->n_embd;
}

static void embed(house *h, const uint32_t *ids, uint32_t n, float *mean)
{
    rl_job job = { .kind = RL_JOB_EMBED, .seq = house_seq(h, 3), .ids = ids, .n_ids = n };

    job.hidden = mean;
    assert_int_equal(rl_engine_run(h->e, &job, NULL), REALM_OK);
    assert_int_equal(rl_seq_len(job.seq), n);
    rl_seq_close(job.seq);
}

static void same(const float *a, const float *b, size_t n)
{
    if (memcmp(a, b, n * sizeof *a) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a))
            fail_msg("logit %zu: %.9g, not %.9g", i, (double)a[i], (double)b[i]);
}

static void make_truth(truth *t, rl_kv_type kv)
{
    rl_engine_opts eo = { .n_threads = 1, .kv_bytes = (size_t)64 << 20 };
    rl_lm_opts lo = { .kv = kv };
    house h;
    rl_seq *s;

    house_open(&h, arch, &eo, &lo);
    t->logits = rl_alloc_array(h.n_vocab, sizeof(float));
    t->after = rl_alloc_array(h.n_vocab, sizeof(float));
    t->rows = rl_alloc_array((size_t)h.n_vocab * PROMPT, sizeof(float));
    house_ids(t->prompt, PROMPT, 1);
    s = house_seq(&h, 1);
    house_logits(&h, s, t->prompt, PROMPT, t->logits);
    house_generate(&h, s, NULL, 0, 0, t->greedy, DRAWN);
    rl_seq_close(s);
    s = house_seq(&h, 1);
    house_generate(&h, s, t->prompt, PROMPT, 1, t->drawn, DRAWN);
    rl_seq_close(s);
    s = house_seq(&h, 1);
    house_logits(&h, s, t->prompt, 100, t->after);
    rl_seq_close(s);
    s = house_seq(&h, 1);
    score(&h, s, t->prompt, PROMPT, t->rows);
    same(t->rows + (size_t)(PROMPT - 1) * h.n_vocab, t->logits, h.n_vocab);
    same(t->rows + (size_t)99 * h.n_vocab, t->after, h.n_vocab);
    rl_seq_close(s);
    t->mean = rl_alloc_array(n_embd_of(&h), sizeof(float));
    embed(&h, t->prompt, PROMPT, t->mean);
    house_close(&h);
}

static void free_truth(truth *t)
{
    rl_free(t->logits);
    rl_free(t->after);
    rl_free(t->rows);
    rl_free(t->mean);
}

/* One sequence through everything that must not change its numbers. */
static void check_sequence(house *h, const truth *t)
{
    float *l = rl_alloc_array((size_t)h->n_vocab * PROMPT, sizeof *l);
    uint32_t ids[DRAWN];
    rl_seq *s = house_seq(h, 1), *f = house_seq(h, 2);

    house_logits(h, s, t->prompt, 100, l); /* in two jobs */
    same(l, t->after, h->n_vocab);
    house_fork(h, s, f);
    house_logits(h, s, t->prompt + 100, PROMPT - 100, l);
    same(l, t->logits, h->n_vocab);
    house_generate(h, s, NULL, 0, 0, ids, DRAWN); /* the last token once more */
    assert_memory_equal(ids, t->greedy, sizeof ids);
    house_truncate(h, s, 100); /* cut back, and again */
    house_generate(h, s, t->prompt + 100, PROMPT - 100, 1, ids, DRAWN);
    assert_memory_equal(ids, t->drawn, sizeof ids);
    house_generate(h, f, t->prompt + 100, PROMPT - 100, 0, ids, DRAWN); /* the fork */
    assert_memory_equal(ids, t->greedy, sizeof ids);
    house_truncate(h, f, 37);
    score(h, f, t->prompt + 37, PROMPT - 37, l);
    same(l, t->rows + (size_t)37 * h->n_vocab, (size_t)(PROMPT - 37) * h->n_vocab);
    house_truncate(h, f, 37); /* the last token's own row too, computed or not; then only some */
    score_from(h, f, t->prompt + 37, 3, -1, l);
    score_from(h, f, NULL, 0, -1, l + (size_t)4 * h->n_vocab);
    score_from(h, f, t->prompt + 40, 20, 15, l + (size_t)5 * h->n_vocab);
    same(l, t->rows + (size_t)36 * h->n_vocab, (size_t)4 * h->n_vocab);
    same(l + (size_t)4 * h->n_vocab, t->rows + (size_t)39 * h->n_vocab, h->n_vocab);
    same(l + (size_t)5 * h->n_vocab, t->rows + (size_t)55 * h->n_vocab, (size_t)5 * h->n_vocab);
    embed(h, t->prompt, PROMPT, l);
    same(l, t->mean, n_embd_of(h));
    house_truncate(h, f, 0);
    house_generate(h, f, t->prompt, PROMPT, 1, ids, DRAWN);
    assert_memory_equal(ids, t->drawn, sizeof ids);
    rl_seq_close(s);
    rl_seq_close(f);
    rl_free(l);
}

static void check_engine(const truth *t, rl_kv_type kv, uint32_t n_threads, uint32_t chunk,
                         uint32_t n_others, bool share)
{
    rl_engine_opts eo = { .n_threads = n_threads,
                          .chunk = chunk,
                          .kv_bytes = (size_t)64 << 20,
                          .share_prefixes = share,
                          .speculate = share ? RL_SPECULATE_ALWAYS : RL_SPECULATE_OFF };
    rl_lm_opts lo = { .kv = kv };
    house_gen *others = rl_alloc_array(13, sizeof *others);
    uint32_t ids[13][200];
    rl_seq *seqs[13];
    house h;

    assert_non_null(others);
    house_open(&h, arch, &eo, &lo);
    for (uint32_t i = 0; i < n_others; i++) { /* prompts of every length, some long runs */
        seqs[i] = house_seq(&h, i % 4);
        house_ids(ids[i], 200, i + 50);
        house_gen_start(&h, &others[i], seqs[i], ids[i], 1 + i * 15, (float)(i % 2), 300);
    }
    check_sequence(&h, t);
    if (share) /* and with all of it known */
        check_sequence(&h, t);
    for (uint32_t i = 0; i < n_others; i++) {
        rl_engine_cancel(h.e, &others[i].job);
        house_gen_wait(&others[i]);
        rl_seq_close(seqs[i]);
    }
    house_wait_empty(&h);
    house_close(&h);
    rl_free(others);
}

static void bits_do_not_move(rl_kv_type kv)
{
    static const uint32_t chunks[] = { 1, 7, 64, 0 };
    truth t;

    make_truth(&t, kv);
    for (uint32_t i = 0; i < 4; i++)
        check_engine(&t, kv, 1, chunks[i], 0, false);
    check_engine(&t, kv, 1, 0, 13, false);
    check_engine(&t, kv, 2, 7, 13, true);
    check_engine(&t, kv, 2, 0, 0, true);
    check_engine(&t, kv, 2, 64, 3, true); /* few rows: guesses beside others */
    check_engine(&t, kv, 5, 64, 13, false);
    free_truth(&t);
}

/* The states of the prompt, layer by layer, and their root mean squares. -> [PROMPT][n_embd] */
static float *states_of(house *h, const uint32_t *ids, double rms[PROMPT])
{
    const rl_model *m = rl_lm_model(h->lm);
    uint32_t n = n_embd_of(h), n_layers = rl_model_get_info(m)->n_layers;
    float *x = rl_alloc_array((size_t)PROMPT * n, sizeof *x);
    rl_job job = { .kind = RL_JOB_LAYER, .seq = house_seq(h, 1), .hidden = x, .n_hidden = PROMPT };

    rl_model_embed(m, ids, PROMPT, x);
    for (; job.layer < n_layers; job.layer++)
        assert_int_equal(rl_engine_run(h->e, &job, NULL), REALM_OK);
    rl_seq_close(job.seq);
    for (uint32_t i = 0; i < PROMPT; i++) {
        double sum = 0;

        for (uint32_t k = 0; k < n; k++)
            sum += (double)x[i * n + k] * (double)x[i * n + k];
        rms[i] = sqrt(sum / n);
    }
    return x;
}

/* The mean of the normed states. The norm's weights come from the embedding of the first token. */
static void an_embedding_is_the_mean_state(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20 };
    rl_lm_opts lo = { .kv = RL_KV_F32 };
    uint32_t ids[PROMPT];
    double rms[PROMPT], worst = 0;
    float *x, *one, *mean;
    uint32_t n;
    house h;

    (void)state;
    house_open(&h, arch, &eo, &lo);
    n = n_embd_of(&h);
    one = rl_alloc_array(n, sizeof *one);
    mean = rl_alloc_array(n, sizeof *mean);
    house_ids(ids, PROMPT, 9);
    x = states_of(&h, ids, rms);
    embed(&h, ids, 1, one);
    embed(&h, ids, PROMPT, mean);
    for (uint32_t k = 0; k < n; k++) {
        double w = (double)one[k] * rms[0] / (double)x[k], want = 0;

        for (uint32_t i = 0; i < PROMPT; i++)
            want += w * (double)x[i * n + k] / rms[i] / PROMPT;
        worst = fmax(worst, fabs(want - (double)mean[k]) / (1e-3 + fabs(want)));
    }
    if (worst > 1e-2)
        fail_msg("off by %g", worst);
    rl_free(x);
    rl_free(one);
    rl_free(mean);
    house_close(&h);
}

static void with_f16(void **state)
{
    (void)state;
    bits_do_not_move(RL_KV_F16);
}

static void with_bf16(void **state)
{
    (void)state;
    bits_do_not_move(RL_KV_BF16);
}

static void with_f32(void **state)
{
    (void)state;
    bits_do_not_move(RL_KV_F32);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_f16),
        cmocka_unit_test(with_bf16),
        cmocka_unit_test(with_f32),
        cmocka_unit_test(an_embedding_is_the_mean_state),
    };

    if (argc > 1)
        arch = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
