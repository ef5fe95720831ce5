#include "../test.h"

#include "base/alloc.h"
#include "sample/sample.h"

#include <math.h>
#include <string.h>

static realm_status parse(rl_sample_params *p, rl_logit_bias **bias, const char *json)
{
    realm_error err = { .text = "" };
    size_t n = strlen(json);
    char *exact = rl_alloc(n); /* no NUL behind it, so that reading past the end shows */
    realm_status st;

    memcpy(exact, json, n);
    st = rl_sample_params_parse(p, bias, exact, n, &err);
    rl_free(exact);
    assert_int_equal(st == REALM_OK, err.text[0] == 0);
    return st;
}

static void reads_every_key(void **state)
{
    rl_sample_params p = { 0 };
    rl_logit_bias *bias;

    (void)state;
    assert_int_equal(
        parse(&p, &bias,
              "{\"temperature\": 0.5, \"top_k\": 40, \"top_p\": 0.9, \"min_p\": 0.05, "
              "\"typical_p\": 1, \"repetition_penalty\": 1.1, \"presence_penalty\": -1.5, "
              "\"frequency_penalty\": 2, \"seed\": 42, \"choice\": 3.0, "
              "\"logit_bias\": {\"7\": -100, \"0\": 0.5}, \"other\": [1, {\"seed\": 9}]}"),
        REALM_OK);
    assert_true(p.temperature == 0.5f && p.top_k == 40 && p.top_p == 0.9f && p.min_p == 0.05f);
    assert_true(p.typical_p == 1 && p.repetition_penalty == 1.1f);
    assert_true(p.presence_penalty == -1.5f && p.frequency_penalty == 2);
    assert_true(p.has_seed && p.seed == 42 && p.choice == 3);
    assert_int_equal(p.n_bias, 2);
    assert_ptr_equal(p.bias, bias);
    assert_true((bias[0].id == 7) == (bias[0].bias == -100));
    assert_int_equal(bias[0].id + bias[1].id, 7);
    rl_free(bias);
}

static void absent_and_null_keep_what_was_there(void **state)
{
    rl_sample_params p = { .temperature = 0.7f, .top_k = 5 };
    rl_logit_bias *bias;

    (void)state;
    assert_int_equal(parse(&p, &bias, "{}"), REALM_OK);
    assert_int_equal(parse(&p, &bias,
                           "{\"temperature\": null, \"top_k\": null, \"seed\": null, "
                           "\"logit_bias\": null, \"TOP_P\": \"x\"}"),
                     REALM_OK);
    assert_true(p.temperature == 0.7f && p.top_k == 5 && !p.has_seed && !p.n_bias && !bias);
}

static void seeds_up_to_64_bits(void **state)
{
    static const struct {
        const char *json;
        uint64_t seed;
    } ok[] = {
        { "{\"seed\": 0}", 0 },
        { "{\"seed\": 9223372036854775807}", INT64_MAX },
        { "{\"seed\": 9223372036854775808}", (uint64_t)INT64_MAX + 1 },
        { "{\"a\": \"seed\", \"b\": {\"seed\": 1}, \"seed\" :\n18446744073709551615 }",
          UINT64_MAX },
        { "{\"x\\\"\": \"\\\\\", \"seed\":18446744073709551615}", UINT64_MAX },
        { "{\"seed\":3,\"top_k\":7,\"other\":99999999999999999999}", 3 },
        { "{\"seed\":1,\"seed\":18446744073709551614}", UINT64_MAX - 1 }, /* the last one counts */
    };
    static const char *const bad[] = {
        "{\"seed\": -1}",
        "{\"seed\": 18446744073709551616}",
        "{\"seed\": 1.5}",
        "{\"seed\": 1e3}",
        "{\"seed\": \"42\"}",
        "{\"seed\": true}",
        "{\"seed\": [1]}",
        "{\"seed\": -9223372036854775808}",
        "{\"seed\": -18446744073709551615}",
        "{\"seed\": 1e308}",
        "{\"seed\": {}}",
    };
    rl_logit_bias *bias;

    (void)state;
    for (size_t i = 0; i < sizeof ok / sizeof *ok; i++) {
        rl_sample_params p = { 0 };

        assert_int_equal(parse(&p, &bias, ok[i].json), REALM_OK);
        assert_true(p.has_seed);
        assert_true(p.seed == ok[i].seed);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rl_sample_params p = { 0 };

        if (parse(&p, &bias, bad[i]) != REALM_EINVAL)
            fail_msg("%s", bad[i]);
        assert_false(p.has_seed);
    }
}

static void hostile_text_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "null",
        "[]",
        "3",
        "\"x\"",
        "{",
        "}",
        "{\"a\":}",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{\"temperature\": \"1\"}",
        "{\"temperature\": true}",
        "{\"temperature\": 1e308}",
        "{\"temperature\": 1e999}",
        "{\"temperature\": -1}",
        "{\"temperature\": NaN}",
        "{\"temperature\": Infinity}",
        "{\"temperature\": [0.5]}",
        "{\"temperature\": 100.001}",
        "{\"top_k\": -1}",
        "{\"top_k\": 1.5}",
        "{\"top_k\": 4294967296}",
        "{\"top_k\": \"40\"}",
        "{\"top_k\": 1e308}",
        "{\"top_k\": 99999999999999999999999}",
        "{\"top_p\": -0.1}",
        "{\"top_p\": 1e308}",
        "{\"min_p\": 1}",
        "{\"min_p\": 2}",
        "{\"typical_p\": \"\"}",
        "{\"repetition_penalty\": -0.5}",
        "{\"repetition_penalty\": 1e9}",
        "{\"presence_penalty\": -2.5}",
        "{\"frequency_penalty\": 2.5}",
        "{\"choice\": -1}",
        "{\"choice\": 0.1}",
        "{\"logit_bias\": []}",
        "{\"logit_bias\": 5}",
        "{\"logit_bias\": {\"x\": 1}}",
        "{\"logit_bias\": {\"-1\": 1}}",
        "{\"logit_bias\": {\"01\": 1}}",
        "{\"logit_bias\": {\"\": 1}}",
        "{\"logit_bias\": {\"4294967296\": 1}}",
        "{\"logit_bias\": {\"1\": \"2\"}}",
        "{\"logit_bias\": {\"1\": 1e308}}",
        "{\"logit_bias\": {\"1\": null}}",
        "{\"temperature\": 0.5, \"top_k\": -5}",
        "{\"a\\u0000b\": 1}",
        "{\"a\": \"\xff\"}",
    };
    rl_sample_params before = { .temperature = 0.25f }, p = before;
    rl_logit_bias *bias;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse(&p, &bias, bad[i]) != REALM_EINVAL)
            fail_msg("%s", bad[i]);
        assert_null(bias);
        assert_memory_equal(&p, &before, sizeof p);
    }
}

static void deep_nesting_is_refused(void **state)
{
    static char json[200000];
    rl_sample_params p = { 0 };
    rl_logit_bias *bias;

    (void)state;
    memset(json, '[', sizeof json - 1);
    memcpy(json, "{\"a\":", 5);
    assert_int_equal(parse(&p, &bias, json), REALM_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_key),
        cmocka_unit_test(absent_and_null_keep_what_was_there),
        cmocka_unit_test(seeds_up_to_64_bits),
        cmocka_unit_test(hostile_text_is_refused),
        cmocka_unit_test(deep_nesting_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
