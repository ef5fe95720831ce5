/* Drafts where room is little: what is drawn is what is drawn with plenty and without them, and no
 * guess is left in blocks, or known to others. What draws here draws from four letters. */
#include "house.h"

#include <string.h>

#define PROMPT 40u
#define LETTER 260u /* "a" */
#define SEQS   6u
#define DRAWN  90u

static rl_engine_stats stats(const house *h)
{
    rl_engine_stats st;

    rl_engine_get_stats(h->e, &st);
    return st;
}

static void post_long(house *h, house_gen *g, rl_seq *s, const uint32_t *ids, uint32_t n,
                      uint64_t seed)
{
    static const rl_logit_bias letters[] = {
        { LETTER, 50 }, { LETTER + 1, 50 }, { LETTER + 2, 50 }, { LETTER + 3, 50 }
    };
    rl_sample_params p = {
        .temperature = 0.8f, .has_seed = true, .seed = seed, .bias = letters, .n_bias = 4
    };

    house_gen_init(h, g, s, ids, n, 0, DRAWN);
    rl_sampler_free(g->job.sampler);
    assert_int_equal(rl_sampler_new(&g->job.sampler, &p, h->n_vocab, NULL), REALM_OK);
    assert_int_equal(rl_engine_post(h->e, &g->job, NULL), REALM_OK);
}

/* 2 MiB hold 2,048 tokens: less than the six need together. All at once, or one by one. */
static void draw_long(const rl_engine_opts *eo, bool together, uint32_t out[SEQS][DRAWN],
                      uint64_t *held)
{
    static house_gen g[SEQS];
    static uint32_t ids[SEQS][600];
    rl_seq *s[SEQS];
    house h;

    house_open(&h, "llama", eo, NULL);
    for (uint32_t i = 0; i < SEQS; i++) {
        s[i] = house_seq(&h, i % 2);
        house_ids(ids[i], 600, i / 2); /* two of each prompt, of different owners */
        post_long(&h, &g[i], s[i], ids[i], 250 + 31 * i, i);
        if (!together)
            house_gen_wait(&g[i]);
        if (!together)
            rl_seq_close(s[i]);
    }
    for (uint32_t i = 0; i < SEQS; i++) {
        if (together)
            house_gen_wait(&g[i]);
        if (together)
            rl_seq_close(s[i]);
        if (g[i].job.status != REALM_OK)
            fail_msg("%s", g[i].job.err.text);
        memcpy(out[i], g[i].out, sizeof out[i]);
    }
    house_wait_empty(&h);
    *held = stats(&h).accepted_tokens;
    house_close(&h);
}

static void little_memory_draws_the_same(void **state)
{
    rl_engine_opts plenty = { .n_threads = 1, .kv_bytes = (size_t)64 << 20 };
    rl_engine_opts little = {
        .n_threads = 2, .kv_bytes = (size_t)2 << 20, .chunk = 64, .speculate = RL_SPECULATE_ALWAYS
    };
    static uint32_t a[SEQS][DRAWN], b[SEQS][DRAWN];
    uint64_t held;

    (void)state;
    draw_long(&plenty, false, a, &held);
    assert_int_equal(held, 0);
    for (uint32_t i = 0; i < 3; i++) {
        little.share_prefixes = i > 0;
        little.speculate = i > 1 ? RL_SPECULATE_ON : RL_SPECULATE_ALWAYS;
        draw_long(&little, true, b, &held);
        assert_memory_equal(a, b, sizeof a);
        assert_true(held > 0 || i > 1);
    }
}

/* The last block of all: guesses have room in it, and none behind it. */
static void no_block_is_free_for_guesses(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)2 << 20 };
    static uint32_t ids[2048], a[DRAWN], b[DRAWN];
    static house_gen g;

    (void)state;
    for (uint32_t i = 0; i < 2048; i++)
        ids[i] = LETTER + i % 11 % 5;
    for (uint32_t i = 0; i < 2; i++) {
        rl_seq *s;
        house h;

        eo.speculate = i ? RL_SPECULATE_ALWAYS : RL_SPECULATE_OFF;
        house_open(&h, "llama", &eo, NULL);
        s = house_seq(&h, 1);
        post_long(&h, &g, s, ids, 2048 - DRAWN, 3);
        house_gen_wait(&g);
        assert_int_equal(g.job.status, REALM_OK);
        memcpy(i ? b : a, g.out, sizeof a);
        assert_true(stats(&h).accepted_tokens > 0 || !i);
        rl_seq_close(s);
        house_wait_empty(&h);
        house_close(&h);
    }
    assert_memory_equal(a, b, sizeof a);
}

/* What becomes known of a text is what it is, and never a guess. */
static void guesses_are_never_known(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20, .share_prefixes = true };
    static float after[2][512];
    uint32_t cached[2], again[2];

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        static house_gen g;
        static uint32_t all[PROMPT + DRAWN];
        rl_seq *s;
        rl_job job = {
            .kind = RL_JOB_LOGITS, .ids = all, .n_ids = PROMPT + DRAWN, .logits = after[i]
        };
        house h;

        eo.speculate = i ? RL_SPECULATE_ALWAYS : RL_SPECULATE_OFF;
        house_open(&h, "llama", &eo, NULL);
        assert_true(h.n_vocab <= 512);
        for (uint32_t k = 0; k < PROMPT; k++)
            all[k] = LETTER + k % 7;
        s = house_seq(&h, 1);
        post_long(&h, &g, s, all, PROMPT, 4);
        house_gen_wait(&g);
        rl_seq_close(s);
        house_wait_empty(&h);
        cached[i] = stats(&h).kv_blocks_cached;
        memcpy(all + PROMPT, g.out, DRAWN * sizeof *all);
        job.seq = house_seq(&h, 1);
        assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
        again[i] = job.n_cached;
        rl_seq_close(job.seq);
        house_wait_empty(&h);
        house_close(&h);
    }
    assert_memory_equal(after[0], after[1], sizeof after[0]);
    assert_int_equal(cached[0], cached[1]);
    assert_int_equal(again[0], again[1]);
    assert_int_equal(again[1], (PROMPT + DRAWN - 1) / 32 * 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_memory_draws_the_same),
        cmocka_unit_test(no_block_is_free_for_guesses),
        cmocka_unit_test(guesses_are_never_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
