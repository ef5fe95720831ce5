/* Models ready to serve: one load for all who ask, failures remembered, the last reference frees.
 */
#include "house.h"

#include "base/fs.h"
#include "engine/internal.h" /* private: the clock */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static rl_engine *engine;
static const char *path;
static _Atomic(rl_lm *) opened[8];

static void *open_one(void *arg)
{
    rl_lm *lm;

    if (rl_lm_open(&lm, engine, path, NULL, NULL) == REALM_OK)
        atomic_store(&opened[(uintptr_t)arg], lm);
    return NULL;
}

static void concurrent_opens_share_one_model(void **state)
{
    pthread_t threads[8];

    (void)state;
    path = house_packed("llama");
    assert_int_equal(rl_engine_new(&engine, NULL, NULL), REALM_OK);
    for (uintptr_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_one, (void *)i), 0);
    for (uint32_t i = 0; i < 8; i++)
        (void)pthread_join(threads[i], NULL);
    assert_non_null(atomic_load(&opened[0]));
    for (uint32_t i = 1; i < 8; i++)
        assert_ptr_equal(atomic_load(&opened[i]), atomic_load(&opened[0]));
    for (uint32_t i = 0; i < 8; i++)
        rl_lm_unref(atomic_load(&opened[i]));
    rl_lm_unref(NULL);
    rl_engine_free(engine);
}

static void options_make_another_model(void **state)
{
    rl_lm_opts f32 = { .kv = RL_KV_F32 }, ctx = { .n_ctx = 100 }, ref = { .reference = true };
    rl_lm_opts big = { .n_ctx = 1u << 30 }, bad = { .kv = (rl_kv_type)7 };
    realm_error err;
    rl_lm *a, *b, *c, *d, *none;

    (void)state;
    path = house_packed("llama");
    assert_int_equal(rl_engine_new(&engine, NULL, NULL), REALM_OK);
    assert_int_equal(rl_lm_open(&a, engine, path, NULL, NULL), REALM_OK);
    assert_int_equal(rl_lm_open(&b, engine, path, &f32, NULL), REALM_OK);
    assert_int_equal(rl_lm_open(&c, engine, path, &ctx, NULL), REALM_OK);
    assert_int_equal(rl_lm_open(&d, engine, path, &ref, NULL), REALM_OK);
    assert_true(a != b && a != c && b != c && d != a);
    assert_int_equal(rl_lm_n_ctx(a), rl_model_get_info(rl_lm_model(a))->n_ctx);
    assert_int_equal(rl_lm_n_ctx(c), 100);
    assert_int_equal(rl_lm_open(&none, engine, path, &big, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "context"));
    assert_null(none);
    assert_int_equal(rl_lm_open(&none, engine, path, &bad, &err), REALM_EINVAL);
    assert_null(rl_lm_chat(a, &err)); /* these have no template */
    assert_int_equal(err.status, REALM_EUNSUPPORTED);
    rl_lm_unref(a);
    rl_lm_unref(b);
    rl_lm_unref(c);
    rl_lm_unref(d);
    rl_engine_free(engine);
}

static _Atomic uint64_t now_ns;

static uint64_t test_clock(void)
{
    return atomic_load(&now_ns);
}

static void failures_are_remembered_for_five_seconds(void **state)
{
    char missing[400];
    realm_error err;
    rl_lm *lm;

    (void)state;
    (void)snprintf(missing, sizeof missing, "%s.late", house_packed("llama"));
    assert_int_equal(rl_engine_new(&engine, NULL, NULL), REALM_OK);
    atomic_store(&now_ns, 1000);
    engine->now = test_clock;
    assert_int_equal(rl_lm_open(&lm, engine, missing, NULL, &err), REALM_ENOTFOUND);
    assert_int_equal(link(house_packed("llama"), missing), 0); /* now it is there */
    atomic_store(&now_ns, 1000 + RL_FAILURE_NS - 1);
    err.text[0] = 0;
    assert_int_equal(rl_lm_open(&lm, engine, missing, NULL, &err), REALM_ENOTFOUND);
    assert_true(err.text[0] != 0);
    atomic_store(&now_ns, 1000 + RL_FAILURE_NS);
    assert_int_equal(rl_lm_open(&lm, engine, missing, NULL, &err), REALM_OK);
    rl_lm_unref(lm);
    (void)unlink(missing);
    rl_engine_free(engine);
}

/* The handle may go before the sequence and its job. */
static void a_sequence_keeps_its_model(void **state)
{
    static house_gen g;
    uint32_t ids[30];
    rl_seq *s;
    house h;

    (void)state;
    house_ids(ids, 30, 5);
    for (uint32_t round = 0; round < 5; round++) {
        house_open(&h, "qwen2", NULL, NULL);
        s = house_seq(&h, 1);
        rl_lm_unref(h.lm);
        house_gen_start(&h, &g, s, ids, 30, 0, 20);
        rl_seq_close(s);
        house_gen_wait(&g);
        assert_int_equal(g.job.status, REALM_OK);
        house_wait_empty(&h);
        assert_int_equal(rl_lm_open(&h.lm, h.e, house_packed("qwen2"), NULL, NULL), REALM_OK);
        house_close(&h);
    }
}

/* Two models at once: steps go from one to the other. */
static void models_take_turns(void **state)
{
    static house_gen g[8];
    uint32_t ids[30], want[2][100];
    rl_seq *s[8];
    house h[2];
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20 };

    (void)state;
    house_ids(ids, 30, 6);
    house_open(&h[0], "llama", &eo, NULL);
    h[1] = h[0];
    assert_int_equal(rl_lm_open(&h[1].lm, h[0].e, house_packed("gemma3"), NULL, NULL), REALM_OK);
    h[1].n_vocab = rl_model_get_info(rl_lm_model(h[1].lm))->n_vocab;
    for (uint32_t i = 0; i < 2; i++) {
        s[i] = house_seq(&h[i], 1);
        house_generate(&h[i], s[i], ids, 30, 1, want[i], 100);
        rl_seq_close(s[i]);
    }
    for (uint32_t i = 0; i < 8; i++) {
        s[i] = house_seq(&h[i % 2], i);
        house_gen_start(&h[i % 2], &g[i], s[i], ids, 30, 1, 100);
    }
    for (uint32_t i = 0; i < 8; i++) {
        house_gen_wait(&g[i]);
        assert_int_equal(g[i].job.status, REALM_OK);
        assert_memory_equal(g[i].out, want[i % 2], sizeof want[0]);
        rl_seq_close(s[i]);
    }
    rl_lm_unref(h[1].lm);
    house_wait_empty(&h[0]);
    house_close(&h[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(concurrent_opens_share_one_model),
        cmocka_unit_test(options_make_another_model),
        cmocka_unit_test(failures_are_remembered_for_five_seconds),
        cmocka_unit_test(a_sequence_keeps_its_model),
        cmocka_unit_test(models_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
