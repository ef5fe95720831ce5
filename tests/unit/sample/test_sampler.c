#include "../test.h"

#include "sample/sample.h"

#include <math.h>
#include <string.h>

static rl_sampler *sampler(const rl_sample_params *p, uint32_t n_vocab)
{
    rl_sampler *s;
    realm_error err;

    if (rl_sampler_new(&s, p, n_vocab, &err) != REALM_OK)
        fail_msg("%s", err.text);
    return s;
}

static uint32_t draw(rl_sampler *s, const float *logits, uint64_t position)
{
    uint32_t id = UINT32_MAX;

    assert_int_equal(rl_sampler_draw(s, logits, position, &id, NULL), REALM_OK);
    return id;
}

static void fill(float *logits, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        logits[i] = (float)(i * 37 % 101) / 20;
}

static void a_seed_repeats(void **state)
{
    rl_sample_params p = { .temperature = 1 };
    float logits[200];
    rl_sampler *a = sampler(&p, 200), *b, *c = sampler(&p, 200);
    uint32_t differ = 0;

    (void)state;
    fill(logits, 200);
    assert_true(rl_sampler_seed(a) != rl_sampler_seed(c)); /* drawn from the system */
    p.has_seed = true;
    p.seed = rl_sampler_seed(a);
    b = sampler(&p, 200);
    assert_int_equal(rl_sampler_n_vocab(b), 200);
    for (uint64_t i = 50; i-- > 0;) { /* any order of positions */
        uint32_t id = draw(a, logits, i);

        assert_int_equal(id, draw(b, logits, i));
        differ += id != draw(c, logits, i);
    }
    assert_true(differ > 10);
    rl_sampler_free(a);
    rl_sampler_free(b);
    rl_sampler_free(c);
    rl_sampler_free(NULL);
}

static void a_clone_goes_its_own_way(void **state)
{
    rl_logit_bias bias[2] = { { 9, 1 }, { 3, -1 } };
    rl_sample_params p = { .presence_penalty = 2, .bias = bias, .n_bias = 2 };
    float logits[10] = { 0 };
    rl_sampler *a = sampler(&p, 10), *b;
    uint32_t nine = 9;

    (void)state;
    rl_sampler_accept(a, &nine, 1);
    assert_int_equal(rl_sampler_clone(&b, a, NULL), REALM_OK);
    assert_int_equal(rl_sampler_seed(a), rl_sampler_seed(b));
    rl_sampler_free(a);
    assert_int_equal(draw(b, logits, 0), 0); /* 9 has 1 - 2 */
    for (uint32_t i = 0; i < 64; i++)        /* 9 leaves the window; 0 and 1 are in it */
        rl_sampler_accept(b, &(uint32_t){ i % 2 }, 1);
    assert_int_equal(draw(b, logits, 0), 9);
    rl_sampler_free(b);
}

static void the_window_is_64_ids(void **state)
{
    rl_sample_params p = { .frequency_penalty = 0.01f };
    float logits[100] = { [5] = 0.005f };
    rl_sampler *s = sampler(&p, 100);
    uint32_t ids[200];

    (void)state;
    for (uint32_t i = 0; i < 200; i++)
        ids[i] = 7;
    ids[0] = 5;
    rl_sampler_accept(s, ids, 64);
    assert_int_equal(draw(s, logits, 0), 0); /* 5 is the oldest of 64: still in */
    rl_sampler_accept(s, ids + 1, 1);
    assert_int_equal(draw(s, logits, 0), 5);
    rl_sampler_accept(s, ids, 200); /* more at once than fit: the last 64 count */
    assert_int_equal(draw(s, logits, 0), 5);
    rl_sampler_accept(s, ids, 1);
    assert_int_equal(draw(s, logits, 0), 0);
    rl_sampler_accept(s, &(uint32_t){ UINT32_MAX }, 1); /* not in the vocabulary: no harm */
    assert_int_equal(draw(s, logits, 0), 0);
    rl_sampler_free(s);
}

static void bad(rl_sample_params p, const char *name)
{
    rl_sampler *s;
    realm_error err = { 0 };

    assert_int_equal(rl_sampler_new(&s, &p, 100, &err), REALM_EINVAL);
    assert_null(s);
    if (!strstr(err.text, name))
        fail_msg("'%s' does not name %s", err.text, name);
}

static void out_of_range_is_refused(void **state)
{
    rl_logit_bias past[1] = { { 100, 1 } }, twice[2] = { { 4, 1 }, { 4, 2 } };
    rl_logit_bias many[101] = { { 0, 0 } };
    rl_logit_bias inf[1] = { { 4, INFINITY } }, nan[1] = { { 4, NAN } };

    (void)state;
    bad((rl_sample_params){ .temperature = -0.1f }, "temperature");
    bad((rl_sample_params){ .temperature = 100.5f }, "temperature");
    bad((rl_sample_params){ .temperature = NAN }, "temperature");
    bad((rl_sample_params){ .temperature = INFINITY }, "temperature");
    bad((rl_sample_params){ .top_p = -1 }, "top_p");
    bad((rl_sample_params){ .top_p = NAN }, "top_p");
    bad((rl_sample_params){ .min_p = 1 }, "min_p");
    bad((rl_sample_params){ .min_p = -0.5f }, "min_p");
    bad((rl_sample_params){ .typical_p = -INFINITY }, "typical_p");
    bad((rl_sample_params){ .repetition_penalty = -1 }, "repetition_penalty");
    bad((rl_sample_params){ .presence_penalty = 2.1f }, "presence_penalty");
    bad((rl_sample_params){ .frequency_penalty = NAN }, "frequency_penalty");
    bad((rl_sample_params){ .bias = past, .n_bias = 1 }, "100");
    bad((rl_sample_params){ .bias = twice, .n_bias = 2 }, "twice");
    bad((rl_sample_params){ .bias = inf, .n_bias = 1 }, "logit_bias");
    bad((rl_sample_params){ .bias = nan, .n_bias = 1 }, "logit_bias");
    bad((rl_sample_params){ .n_bias = 1 }, "logit_bias");
    bad((rl_sample_params){ .bias = many, .n_bias = 101 }, "logit_bias");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_repeats),
        cmocka_unit_test(a_clone_goes_its_own_way),
        cmocka_unit_test(the_window_is_64_ids),
        cmocka_unit_test(out_of_range_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
