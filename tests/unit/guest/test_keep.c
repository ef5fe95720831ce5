/* Keep: so many of the models opened last stay open, and nothing else holds or loses a reference.
 * The engine lists the models that are open: that is what is looked at. */
#include "../engine/house.h"

#include "guest/keep.h"

#include <pthread.h>
#include <string.h>

#define N_MODELS 5u

static rl_engine *engine;
static const char *paths[N_MODELS]; /* of models that differ */

static rl_lm *open_model(uint32_t i)
{
    realm_error err;
    rl_lm *lm;

    if (rl_lm_open(&lm, engine, paths[i], NULL, &err) != REALM_OK)
        fail_msg("%s", err.text);
    return lm;
}

/* As a run does it that ends at once. */
static void use(rl_keep *k, uint32_t i)
{
    rl_lm *lm = open_model(i);

    rl_keep_add(k, lm);
    rl_lm_unref(lm);
}

static void note(void *ctx, const rl_lm_stats *lm)
{
    char *open = ctx;

    for (uint32_t i = 0; i < N_MODELS; i++)
        if (strcmp(lm->path, paths[i]) == 0)
            open[i] = (char)('a' + i);
}

/* Which models are open: "ab..e". */
static void are_open(const char *want)
{
    char open[N_MODELS + 1] = ".....";

    rl_engine_each_lm(engine, note, open);
    assert_string_equal(open, want);
}

static void count(void *ctx, const rl_lm_stats *lm)
{
    (void)lm;
    ++*(uint32_t *)ctx;
}

static uint32_t n_open(void)
{
    uint32_t n = 0;

    rl_engine_each_lm(engine, count, &n);
    return n;
}

static void the_one_longest_not_opened_goes(void **state)
{
    rl_keep k;

    (void)state;
    rl_keep_init(&k, 4);
    for (uint32_t i = 0; i < 4; i++)
        use(&k, i);
    are_open("abcd.");
    use(&k, 4);
    are_open(".bcde");
    use(&k, 1); /* b is the youngest now, c the oldest */
    use(&k, 0);
    are_open("ab.de");
    use(&k, 2);
    are_open("abc.e");
    use(&k, 3);
    are_open("abcd.");
    rl_keep_deinit(&k);
    are_open(".....");
}

/* Each time again is no second reference, wherever in the list it is. */
static void the_same_one_is_kept_once(void **state)
{
    rl_keep k;

    (void)state;
    rl_keep_init(&k, 3);
    for (uint32_t i = 0; i < 20; i++)
        use(&k, i * i % 3);
    are_open("ab...");
    use(&k, 2);
    are_open("abc..");
    for (uint32_t i = 0; i < 20; i++)
        use(&k, i % 3);
    are_open("abc..");
    rl_keep_deinit(&k);
    are_open(".....");
}

/* One that a run still has stays open when it leaves the list. */
static void who_has_one_keeps_it(void **state)
{
    rl_lm *lm = open_model(0);
    rl_keep k;

    (void)state;
    rl_keep_init(&k, 1);
    rl_keep_add(&k, lm);
    use(&k, 1);
    are_open("ab...");
    rl_lm_unref(lm);
    are_open(".b...");
    rl_keep_deinit(&k);
    are_open(".....");
}

static void none_and_too_many(void **state)
{
    rl_keep k;

    (void)state;
    rl_keep_init(&k, 0);
    use(&k, 0);
    are_open(".....");
    rl_keep_deinit(&k);
    rl_keep_init(&k, UINT32_MAX);
    for (uint32_t i = 0; i < RL_KEEP_MAX + 3; i++) {
        rl_lm_opts o = { .n_ctx = 32 + i }; /* makes another model of the same file */
        rl_lm *lm;

        assert_int_equal(rl_lm_open(&lm, engine, paths[0], &o, NULL), REALM_OK);
        rl_keep_add(&k, lm);
        rl_lm_unref(lm);
    }
    assert_int_equal(n_open(), RL_KEEP_MAX);
    rl_keep_deinit(&k);
    assert_int_equal(n_open(), 0);
}

typedef struct user {
    pthread_t thread;
    rl_keep *keep;
    rl_lm **lms; /* [N_MODELS] */
    uint32_t random, wrong;
} user;

static void *use_many(void *arg)
{
    user *u = arg;

    for (uint32_t i = 0; i < 2000; i++) {
        u->random = u->random * 1664525u + 1013904223u;
        rl_keep_add(u->keep, u->lms[(u->random >> 16) % N_MODELS]);
    }
    for (uint32_t i = 0; i < 200; i++) { /* as helpers do it */
        uint32_t at = (u->random >> i % 16) % N_MODELS;
        rl_lm *lm;

        if (rl_lm_open(&lm, engine, paths[at], NULL, NULL) == REALM_OK)
            rl_keep_add(u->keep, lm);
        else
            u->wrong++;
        rl_lm_unref(lm);
    }
    return NULL;
}

static void used_from_several_threads(void **state)
{
    rl_lm *lms[N_MODELS];
    user users[4];
    rl_keep k;

    (void)state;
    rl_keep_init(&k, 2);
    for (uint32_t i = 0; i < N_MODELS; i++)
        lms[i] = open_model(i);
    for (uint32_t i = 0; i < 4; i++) {
        users[i] = (user){ .keep = &k, .lms = lms, .random = i };
        assert_int_equal(pthread_create(&users[i].thread, NULL, use_many, &users[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        (void)pthread_join(users[i].thread, NULL);
        assert_int_equal(users[i].wrong, 0);
    }
    are_open("abcde");
    for (uint32_t i = 0; i < N_MODELS; i++)
        rl_lm_unref(lms[i]);
    assert_int_equal(n_open(), 2);
    rl_keep_deinit(&k);
    assert_int_equal(n_open(), 0);
}

int main(void)
{
    static const char *const archs[N_MODELS] = { "llama", "llama3", "qwen2", "qwen3", "gemma3" };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_longest_not_opened_goes),
        cmocka_unit_test(the_same_one_is_kept_once),
        cmocka_unit_test(who_has_one_keeps_it),
        cmocka_unit_test(none_and_too_many),
        cmocka_unit_test(used_from_several_threads),
    };
    int failed;

    for (uint32_t i = 0; i < N_MODELS; i++)
        paths[i] = house_packed(archs[i]);
    if (rl_engine_new(&engine, NULL, NULL) != REALM_OK)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rl_engine_free(engine);
    return failed;
}
