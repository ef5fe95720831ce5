/* Shared prefixes: counts of what is computed, by whom and for whom. That the bits are those of a
 * fresh computation is test_bits' business. */
#include "house.h"

#include "base/alloc.h"

#include <string.h>

#define PROMPT 300u /* nine full blocks and twelve tokens more */
#define FULL   288u
#define DRAWN  8u

static house h;
static uint32_t ids[2000];
static float *logits;

static void open_house(size_t kv_bytes, uint32_t chunk, bool share)
{
    rl_engine_opts eo = {
        .n_threads = 2, .kv_bytes = kv_bytes, .chunk = chunk, .share_prefixes = share
    };

    house_open(&h, "llama", &eo, NULL);
    logits = rl_alloc_array(h.n_vocab, sizeof *logits);
    house_ids(ids, 2000, 1);
}

static void close_house(void)
{
    house_wait_empty(&h);
    house_close(&h);
    rl_free(logits);
}

static rl_engine_stats stats(void)
{
    rl_engine_stats st;

    rl_engine_get_stats(h.e, &st);
    return st;
}

/* Computes ids[0, n) for an owner. -> rows that took; *cached: what was known */
static uint64_t compute(uint32_t owner, uint32_t n, uint32_t *cached)
{
    uint64_t before = stats().rows;
    rl_seq *s = house_seq(&h, owner);
    rl_job job = { .kind = RL_JOB_LOGITS, .seq = s, .ids = ids, .n_ids = n, .logits = logits };

    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    *cached = job.n_cached;
    rl_seq_close(s);
    return stats().rows - before;
}

static void the_second_computes_the_rest(void **state)
{
    uint32_t cached;

    (void)state;
    open_house((size_t)64 << 20, 0, true);
    assert_int_equal(compute(1, PROMPT, &cached), PROMPT);
    assert_int_equal(cached, 0);
    assert_int_equal(compute(1, PROMPT, &cached), PROMPT - FULL);
    assert_int_equal(cached, FULL);
    assert_int_equal(compute(1, 100, &cached), 4);
    assert_int_equal(cached, 96);
    assert_int_equal(compute(1, 96, &cached), 32); /* the last token is always computed */
    assert_int_equal(cached, 64);
    ids[40]++;
    assert_int_equal(compute(1, PROMPT, &cached), PROMPT - 32);
    assert_int_equal(stats().cached_tokens, FULL + 96 + 64 + 32);
    assert_int_equal(stats().prompt_tokens, 3 * PROMPT + 196);
    close_house();
}

/* Another owner's request is in every count what it is in an engine that has seen nothing. */
static void owners_share_nothing(void **state)
{
    rl_engine_stats fresh, before, after;
    uint32_t cached;

    (void)state;
    open_house((size_t)64 << 20, 64, true);
    assert_int_equal(compute(2, PROMPT, &cached), PROMPT);
    fresh = stats();
    close_house();
    open_house((size_t)64 << 20, 64, true);
    (void)compute(1, PROMPT, &cached);
    before = stats();
    assert_int_equal(compute(2, PROMPT, &cached), PROMPT);
    assert_int_equal(cached, 0);
    after = stats();
    assert_int_equal(after.steps - before.steps, fresh.steps);
    assert_int_equal(after.cached_tokens, 0);
    close_house();
}

static void it_is_an_option(void **state)
{
    uint32_t cached;

    (void)state;
    open_house((size_t)64 << 20, 0, false);
    (void)compute(1, PROMPT, &cached);
    assert_int_equal(compute(1, PROMPT, &cached), PROMPT);
    assert_int_equal(cached, 0);
    house_wait_empty(&h);
    assert_int_equal(stats().kv_blocks_cached, 0);
    close_house();
}

/* Sixteen of one prompt at once, in chunks: each block is computed by one of them. */
static void those_who_come_together_share(void **state)
{
    static house_gen g[16];
    rl_seq *s[16];
    uint64_t before;
    uint32_t cached = 0;

    (void)state;
    open_house((size_t)64 << 20, 64, true);
    before = stats().rows;
    for (uint32_t i = 0; i < 16; i++) {
        s[i] = house_seq(&h, 1);
        house_gen_start(&h, &g[i], s[i], ids, PROMPT, 0, DRAWN);
    }
    for (uint32_t i = 0; i < 16; i++) {
        house_gen_wait(&g[i]);
        assert_int_equal(g[i].job.status, REALM_OK);
        assert_memory_equal(g[i].out, g[0].out, DRAWN * sizeof(uint32_t));
        cached += g[i].job.n_cached;
        rl_seq_close(s[i]);
    }
    assert_int_equal(cached, 15 * FULL);
    assert_int_equal(stats().rows - before, PROMPT + 15 * (PROMPT - FULL) + 16 * (DRAWN - 1));
    close_house();
}

/* Whoever waits for one that goes away goes on by itself. */
static void a_follower_takes_over(void **state)
{
    static house_gen first, second;
    uint32_t want[DRAWN];
    rl_seq *a, *b;

    (void)state;
    open_house((size_t)64 << 20, 32, true);
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t from;

        ids[0] = 10 + i; /* unknown from the first block on */
        a = house_seq(&h, 9);
        house_generate(&h, a, ids, 1900, 0, want, DRAWN);
        rl_seq_close(a);
        a = house_seq(&h, 1);
        b = house_seq(&h, 1);
        from = stats().rows;
        house_gen_start(&h, &first, a, ids, 1900, 0, DRAWN);
        house_gen_start(&h, &second, b, ids, 1900, 0, DRAWN);
        while (stats().rows < from + i * 200)
            ;
        rl_engine_cancel(h.e, &first.job);
        house_gen_wait(&first);
        house_gen_wait(&second);
        assert_int_equal(second.job.status, REALM_OK);
        assert_memory_equal(second.out, want, sizeof want);
        rl_seq_close(a);
        rl_seq_close(b);
    }
    close_house();
}

/* What was generated is known as well: the next turn of a talk begins with it. */
static void a_talk_goes_on(void **state)
{
    uint32_t cached;
    rl_seq *s;

    (void)state;
    open_house((size_t)64 << 20, 0, true);
    s = house_seq(&h, 1);
    house_generate(&h, s, ids, 40, 0, ids + 40, 60);
    rl_seq_close(s);
    assert_int_equal(compute(1, 120, &cached), 120 - 96); /* the last drawn id was not computed */
    assert_int_equal(cached, 96);
    close_house();
}

/* A superblock holds 64 blocks: ten prompts of nine and a bit leave no room, and lose it. */
static void known_blocks_make_room(void **state)
{
    uint32_t cached;

    (void)state;
    open_house((size_t)2 << 20, 0, true);
    for (uint32_t i = 0; i < 10; i++) {
        ids[0] = 10 + i;
        assert_int_equal(compute(1, PROMPT, &cached), PROMPT);
    }
    house_wait_empty(&h);
    assert_in_range(stats().kv_blocks_cached, 54, 64);
    assert_int_equal(compute(1, PROMPT, &cached), PROMPT - FULL); /* the latest is still there */
    ids[0] = 10;
    assert_int_equal(compute(1, PROMPT, &cached), PROMPT); /* the first is not */
    assert_int_equal(compute(1, 2000, &cached), 2000 - FULL);
    close_house();
}

/* Hidden states of a guest are no prefix of anybody's. */
static void tainted_blocks_are_unknown(void **state)
{
    const uint32_t n = 64;
    float *x;
    rl_job job = { .kind = RL_JOB_LAYER, .n_hidden = n };
    uint32_t cached;

    (void)state;
    open_house((size_t)64 << 20, 0, true);
    x = rl_alloc_array((size_t)n * rl_model_get_info(rl_lm_model(h.lm))->n_embd, sizeof *x);
    rl_model_embed(rl_lm_model(h.lm), ids, n, x);
    job.seq = house_seq(&h, 1);
    job.hidden = x;
    for (; job.layer < rl_model_get_info(rl_lm_model(h.lm))->n_layers; job.layer++)
        assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    rl_seq_close(job.seq);
    house_wait_empty(&h);
    assert_int_equal(stats().kv_blocks_cached, 0);
    assert_int_equal(compute(1, 65, &cached), 65);
    rl_free(x);
    close_house();
}

/* Layers over positions that are shared leave the shared blocks as they are. */
static void layers_do_not_write_what_is_known(void **state)
{
    uint32_t n_embd, cached;
    rl_job job = { .kind = RL_JOB_LAYER, .n_hidden = 1, .pos = 40 };
    float *want, *x;

    (void)state;
    open_house((size_t)64 << 20, 0, true);
    n_embd = rl_model_get_info(rl_lm_model(h.lm))->n_embd;
    (void)compute(1, PROMPT, &cached);
    want = rl_alloc_array(h.n_vocab, sizeof *want);
    memcpy(want, logits, h.n_vocab * sizeof *want);
    x = rl_alloc_array(n_embd, sizeof *x);
    job.hidden = x;
    job.seq = house_seq(&h, 1);
    house_logits(&h, job.seq, ids, PROMPT, logits); /* follows the known blocks */
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    rl_seq_close(job.seq);
    assert_int_equal(compute(1, PROMPT, &cached), PROMPT - FULL);
    assert_memory_equal(logits, want, h.n_vocab * sizeof *want);
    rl_free(want);
    rl_free(x);
    close_house();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_computes_the_rest),
        cmocka_unit_test(owners_share_nothing),
        cmocka_unit_test(it_is_an_option),
        cmocka_unit_test(those_who_come_together_share),
        cmocka_unit_test(a_follower_takes_over),
        cmocka_unit_test(a_talk_goes_on),
        cmocka_unit_test(known_blocks_make_room),
        cmocka_unit_test(tainted_blocks_are_unknown),
        cmocka_unit_test(layers_do_not_write_what_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
