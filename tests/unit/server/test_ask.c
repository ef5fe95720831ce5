/* Ask: bodies of clients, good and hostile, and the Requests that become of them. */
#include "../test.h"

#include "base/assert.h"
#include "server/ask.h"

#include <stdio.h>
#include <string.h>

static realm_status read_as(rl_api api, const char *body, rl_ask *ask, char param[RL_ASK_PARAM])
{
    rl_ask_why why;
    realm_error err;
    realm_status st = rl_ask_read(ask, api, body, strlen(body), &why, &err);

    (void)snprintf(param, RL_ASK_PARAM, "%s", why.param);
    return st;
}

/* The Request of choice i, parsed. */
static json_t *request(rl_ask *ask, uint32_t i)
{
    realm_error err;
    rl_buf text;
    json_t *root;

    rl_buf_init(&text, SIZE_MAX);
    assert_int_equal(rl_ask_request(ask, i, &text, &err), REALM_OK);
    root = json_loadb(text.data, text.len, 0, NULL);
    assert_non_null(root);
    rl_buf_deinit(&text);
    return root;
}

/* Whether the Request of choice i has these members, given as JSON. */
static void expect_request(rl_ask *ask, uint32_t i, const char *members)
{
    json_t *got = request(ask, i), *want = json_loads(members, 0, NULL), *v;
    const char *key;

    assert_non_null(want);
    json_object_foreach(want, key, v)
    {
        const json_t *have = json_object_get(got, key);

        if (strcmp(key, "params") == 0) {
            const char *name;
            json_t *x;

            json_object_foreach(v, name, x)
            {
                if (!json_equal(json_object_get(have, name), x))
                    fail_msg("params.%s of %s", name, json_dumps(got, 0));
            }
        } else if (!json_equal(have, v)) {
            fail_msg("%s: %s", key, json_dumps(got, 0));
        }
    }
    json_decref(got);
    json_decref(want);
}

static void expect(rl_api api, const char *body, uint32_t choices, const char *members)
{
    char param[RL_ASK_PARAM];
    rl_ask ask;

    if (read_as(api, body, &ask, param) != REALM_OK)
        fail_msg("%s: %s", body, param);
    assert_int_equal(rl_ask_choices(&ask), choices);
    expect_request(&ask, choices - 1, members);
    rl_ask_deinit(&ask);
}

#define M  "\"model\":\"m\","
#define HI M "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void test_chat(void **state)
{
    (void)state;
    expect(RL_API_CHAT, "{" HI "}", 1,
           "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
           "\"params\":{\"temperature\":1.0,\"top_p\":1.0,\"top_k\":0,\"max_tokens\":2048}}");
    expect(RL_API_CHAT,
           "{" HI ",\"max_tokens\":3,\"max_completion_tokens\":7,\"stop\":[\"a\"],\"seed\":-1,"
           "\"logit_bias\":{\"5\":-100},\"top_k\":9,\"unheard\":1,\"user\":null}",
           1,
           "{\"params\":{\"max_tokens\":7,\"stop\":[\"a\"],\"seed\":9223372036854775807,"
           "\"logit_bias\":{\"5\":-100},\"top_k\":9}}");
    expect(RL_API_CHAT,
           "{" M
           "\"messages\":[{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
           "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":null,"
           "\"tool_calls\":[1]}]}",
           1,
           "{\"messages\":[{\"role\":\"system\",\"content\":\"ab\"},"
           "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[1]}]}");
    expect(RL_API_CHAT, "{" HI ",\"n\":3}", 3, "{\"params\":{\"choice\":2}}");
    expect(RL_API_CHAT, "{" HI ",\"response_format\":{\"type\":\"json_object\"}}", 1,
           "{\"params\":{\"json_schema\":{\"type\":\"object\"}}}");
    expect(RL_API_CHAT,
           "{" HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
           "\"schema\":{\"type\":\"string\"}}}}",
           1, "{\"params\":{\"json_schema\":{\"type\":\"string\"}}}");
    expect(RL_API_CHAT, "{" HI ",\"logprobs\":true,\"top_logprobs\":20}", 1,
           "{\"params\":{\"logprobs\":true,\"top_logprobs\":20}}");
    expect(RL_API_CHAT,
           "{" HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
           "\"tool_choice\":\"required\",\"parallel_tool_calls\":false}",
           1,
           "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
           "\"tool_choice\":\"required\",\"parallel_tool_calls\":false}");
}

static void test_texts(void **state)
{
    (void)state;
    expect(RL_API_TEXT, "{" M "\"prompt\":\"x\"}", 1,
           "{\"prompt\":\"x\",\"params\":{\"max_tokens\":16}}");
    expect(RL_API_TEXT, "{" M "\"prompt\":[1,2]}", 1, "{\"ids\":[1,2]}");
    expect(RL_API_TEXT, "{" M "\"prompt\":[\"a\",\"b\"],\"n\":2}", 4,
           "{\"prompt\":\"b\",\"params\":{\"choice\":1}}");
    expect(RL_API_TEXT, "{" M "\"prompt\":[[1],[2,3]]}", 2, "{\"ids\":[2,3]}");
    expect(RL_API_TEXT, "{" M "\"prompt\":[1,2],\"echo\":true,\"logprobs\":1,\"max_tokens\":0}", 1,
           "{\"ids\":[1,2],\"echo\":true,\"params\":{\"max_tokens\":0,\"logprobs\":true}}");
    expect(RL_API_TEXT, "{" M "\"prompt\":\"x\",\"logprobs\":0}", 1,
           "{\"params\":{\"logprobs\":true,\"top_logprobs\":0}}");
    expect(RL_API_EMBED, "{" M "\"input\":\"x\"}", 1, "{\"input\":[\"x\"],\"kind\":\"embed\"}");
    expect(RL_API_EMBED, "{" M "\"input\":[1,2]}", 1, "{\"input\":[[1,2]]}");
    expect(RL_API_EMBED, "{" M "\"input\":[\"x\",\"y\"]}", 1, "{\"input\":[\"x\",\"y\"]}");
    expect(RL_API_TOKENIZE, "{" M "\"prompt\":\"x\",\"add_special_tokens\":false}", 1,
           "{\"prompt\":\"x\",\"add_special\":false}");
    expect(RL_API_TOKENIZE, "{" HI "}", 1,
           "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    expect(RL_API_DETOKENIZE, "{" M "\"tokens\":[7]}", 1, "{\"ids\":[7]}");
}

/* Texts and ids side by side: a Request has one of the two, whichever was made before. */
static void test_mixed_prompts(void **state)
{
    static const uint32_t order[] = { 0, 1, 0, 1 };
    char param[RL_ASK_PARAM];
    rl_ask ask;

    (void)state;
    assert_int_equal(read_as(RL_API_TEXT, "{" M "\"prompt\":[[2,3],\"b\"]}", &ask, param),
                     REALM_OK);
    for (size_t i = 0; i < RL_COUNT(order); i++) {
        json_t *got = request(&ask, order[i]);

        assert_int_equal(json_object_get(got, "ids") != NULL, order[i] == 0);
        assert_int_equal(json_object_get(got, "prompt") != NULL, order[i] == 1);
        json_decref(got);
    }
    rl_ask_deinit(&ask);
}

typedef struct bad {
    rl_api api;
    const char *body, *param;
} bad;

static void test_bad(void **state)
{
    static const bad rows[] = {
        { RL_API_CHAT, "", "" },
        { RL_API_CHAT, "[]", "" },
        { RL_API_CHAT, "{}", "model" },
        { RL_API_CHAT, "{\"model\":7}", "model" },
        { RL_API_CHAT, "{\"model\":\"\"}", "model" },
        { RL_API_CHAT, "{" M "\"messages\":[]}", "messages" },
        { RL_API_CHAT, "{" M "\"messages\":{}}", "messages" },
        { RL_API_CHAT, "{" M "\"messages\":[7]}", "messages[0]" },
        { RL_API_CHAT, "{" M "\"messages\":[{\"role\":\"user\"}]}", "messages[0].content" },
        { RL_API_CHAT, "{" M "\"messages\":[{\"role\":\"user\",\"content\":7}]}",
          "messages[0].content" },
        { RL_API_CHAT,
          "{" M "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
          "messages[0].content[0]" },
        { RL_API_CHAT, "{" HI ",\"n\":9}", "n" },
        { RL_API_CHAT, "{" HI ",\"n\":0}", "n" },
        { RL_API_CHAT, "{" HI ",\"n\":\"1\"}", "n" },
        { RL_API_CHAT, "{" HI ",\"stream\":1}", "stream" },
        { RL_API_CHAT, "{" HI ",\"stream_options\":[]}", "stream_options" },
        { RL_API_CHAT, "{" HI ",\"temperature\":2.1}", "temperature" },
        { RL_API_CHAT, "{" HI ",\"temperature\":\"1\"}", "temperature" },
        { RL_API_CHAT, "{" HI ",\"top_p\":1e308}", "top_p" },
        { RL_API_CHAT, "{" HI ",\"seed\":1e308}", "seed" },
        { RL_API_CHAT, "{" HI ",\"seed\":9223372036854775808}", "seed" },
        { RL_API_CHAT, "{" HI ",\"seed\":-9223372036854775809}", "seed" },
        { RL_API_CHAT, "{" HI ",\"temperature\":1e400}", "temperature" },
        { RL_API_CHAT, "{" HI ",\"temperature\":-99999999999999999999}", "temperature" },
        { RL_API_CHAT, "{" HI ",\"logit_bias\":{\"1\":9223372036854775808}}", "logit_bias" },
        { RL_API_CHAT,
          "{" HI ",\"n\":1,\"x\":\"\\\"99999999999999999999\",\"top_p\":18446744073709551616}",
          "top_p" },
        { RL_API_CHAT, "{" HI ",\"x\":99999999999999999999", "" },
        { RL_API_CHAT, "{" HI ",\"x\":99999999999999999999-1}", "" },
        { RL_API_CHAT, "{" HI ",\"x\":99999999999999999999,\"\\", "" },
        { RL_API_TEXT, "{" M "\"prompt\":[9223372036854775808]}", "prompt" },
        { RL_API_EMBED, "{" M "\"input\":[9223372036854775808]}", "input" },
        { RL_API_CHAT, "{" HI ",\"max_tokens\":0}", "max_tokens" },
        { RL_API_CHAT, "{" HI ",\"max_completion_tokens\":2147483648}", "max_completion_tokens" },
        { RL_API_CHAT, "{" HI ",\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\"]}", "stop" },
        { RL_API_CHAT, "{" HI ",\"stop\":7}", "stop" },
        { RL_API_CHAT, "{" HI ",\"stop\":[7]}", "stop" },
        { RL_API_CHAT, "{" HI ",\"logit_bias\":[]}", "logit_bias" },
        { RL_API_CHAT, "{" HI ",\"logit_bias\":{\"x\":1}}", "logit_bias" },
        { RL_API_CHAT, "{" HI ",\"logit_bias\":{\"1\":101}}", "logit_bias" },
        { RL_API_CHAT, "{" HI ",\"top_logprobs\":1}", "top_logprobs" },
        { RL_API_CHAT, "{" HI ",\"logprobs\":true,\"top_logprobs\":21}", "top_logprobs" },
        { RL_API_CHAT, "{" HI ",\"logprobs\":2}", "logprobs" },
        { RL_API_CHAT, "{" HI ",\"response_format\":{\"type\":\"xml\"}}", "response_format" },
        { RL_API_CHAT, "{" HI ",\"response_format\":7}", "response_format" },
        { RL_API_CHAT, "{" HI ",\"tools\":7}", "tools" },
        { RL_API_CHAT, "{" HI ",\"tools\":[7]}", "tools[0].type" },
        { RL_API_CHAT, "{" HI ",\"tools\":[{\"type\":\"web_search\"}]}", "tools[0].type" },
        { RL_API_CHAT, "{" HI ",\"store\":true}", "store" },
        { RL_API_CHAT, "{" HI ",\"modalities\":[\"text\",\"audio\"]}", "modalities" },
        { RL_API_CHAT, "{" HI ",\"regex\":7}", "regex" },
        { RL_API_TEXT, "{" M "\"prompt\":7}", "prompt" },
        { RL_API_TEXT, "{" M "\"prompt\":[]}", "prompt" },
        { RL_API_TEXT, "{" M "\"prompt\":[\"a\",7]}", "prompt" },
        { RL_API_TEXT, "{" M "\"prompt\":\"x\",\"logprobs\":true}", "logprobs" },
        { RL_API_TEXT, "{" M "\"prompt\":\"x\",\"best_of\":2}", "best_of" },
        { RL_API_TEXT, "{" M "\"prompt\":\"x\",\"echo\":1}", "echo" },
        { RL_API_TEXT, "{" M "\"prompt\":\"x\",\"max_tokens\":0}", "max_tokens" },
        { RL_API_TEXT, "{" M "\"prompt\":\"x\",\"echo\":true,\"max_tokens\":-1}", "max_tokens" },
        { RL_API_TEXT, "{" M "\"prompt\":\"x\",\"echo\":true,\"logprobs\":21}", "logprobs" },
        { RL_API_CHAT, "{" HI ",\"echo\":true,\"max_tokens\":0}", "max_tokens" },
        { RL_API_EMBED, "{" M "\"input\":[]}", "input" },
        { RL_API_EMBED, "{" M "\"input\":\"\"}", "input" },
        { RL_API_EMBED, "{" M "\"input\":[\"a\",\"\"]}", "input" },
        { RL_API_EMBED, "{" M "\"input\":\"x\",\"encoding_format\":\"hex\"}", "encoding_format" },
        { RL_API_EMBED, "{" M "\"input\":\"x\",\"dimensions\":0}", "dimensions" },
        { RL_API_TOKENIZE, "{" M "\"prompt\":7}", "prompt" },
        { RL_API_DETOKENIZE, "{" M "\"tokens\":[\"a\"]}", "tokens" },
    };
    char param[RL_ASK_PARAM];
    rl_ask ask;

    (void)state;
    for (size_t i = 0; i < RL_COUNT(rows); i++) {
        if (read_as(rows[i].api, rows[i].body, &ask, param) == REALM_OK ||
            strcmp(param, rows[i].param) != 0)
            fail_msg("%s: \"%s\"", rows[i].body, param);
        assert_null(ask.body);
    }
}

/* 64 deep is a body, 65 is none; brackets inside of texts are text. */
static void test_depth(void **state)
{
    char body[1024], param[RL_ASK_PARAM], open[80], close[80];
    rl_ask ask;

    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        memset(open, '[', sizeof open);
        memset(close, ']', sizeof close);
        open[63 + extra] = close[63 + extra] = 0;
        (void)snprintf(body, sizeof body, "{" HI ",\"x\":%s%s,\"y\":\"[[[\"}", open, close);
        assert_int_equal(read_as(RL_API_CHAT, body, &ask, param) == REALM_OK, extra == 0);
        rl_ask_deinit(&ask);
    }
}

/* Without a seed no two answers are the same draw. */
static void test_seeds(void **state)
{
    char param[RL_ASK_PARAM];
    json_t *a, *b;
    rl_ask ask;

    (void)state;
    assert_int_equal(read_as(RL_API_CHAT, "{" HI "}", &ask, param), REALM_OK);
    a = request(&ask, 0);
    rl_ask_deinit(&ask);
    assert_int_equal(read_as(RL_API_CHAT, "{" HI "}", &ask, param), REALM_OK);
    b = request(&ask, 0);
    rl_ask_deinit(&ask);
    assert_false(json_equal(json_object_get(json_object_get(a, "params"), "seed"),
                            json_object_get(json_object_get(b, "params"), "seed")));
    json_decref(a);
    json_decref(b);
}

static void expect_tame(const char *body, const char *want)
{
    rl_buf got;

    rl_buf_init(&got, 4096);
    assert_int_equal(rl_ask_tame_numbers(&got, body, strlen(body)), REALM_OK);
    assert_string_equal(got.data, want);
    rl_buf_deinit(&got);
}

/* What fits stays as it is, to the digit; texts are texts. */
static void test_large_numbers(void **state)
{
    char digits[401], body[1024];
    rl_buf none;

    (void)state;
    expect_tame("[9223372036854775807,-9223372036854775808]",
                "[9223372036854775807,-9223372036854775808]");
    expect_tame("[9223372036854775808,-9223372036854775809]",
                "[9223372036854775808.0,-9223372036854775809.0]");
    expect_tame("{\"a\":9007199254740993,\"b\":0.1,\"c\":1E5,\"d\":-0}",
                "{\"a\":9007199254740993,\"b\":0.1,\"c\":1E5,\"d\":-0}");
    expect_tame("[1e400,-1e400,1e-400]", "[1e308,-1e308,1e-400]");
    expect_tame("\"99999999999999999999\\\"\\\\\",99999999999999999999",
                "\"99999999999999999999\\\"\\\\\",99999999999999999999.0");
    expect_tame("[\"99999999999999999999", "[\"99999999999999999999");
    expect_tame("[\"\\", "[\"\\");
    memset(digits, '9', sizeof digits - 1);
    digits[sizeof digits - 1] = 0;
    (void)snprintf(body, sizeof body, "[%s,-%s]", digits, digits);
    expect_tame(body, "[1e308,-1e308]");
    rl_buf_init(&none, 8);
    assert_int_equal(rl_ask_tame_numbers(&none, "[1,2,3,4,5]", 11), REALM_ENOMEM);
    rl_buf_deinit(&none);
    expect(RL_API_CHAT, "{" HI ",\"seed\":9007199254740993,\"x\":99999999999999999999}", 1,
           "{\"params\":{\"seed\":9007199254740993}}"); /* 2^53 + 1: no real has it */
    expect(RL_API_CHAT, "{" HI ",\"seed\":9223372036854775807}", 1,
           "{\"params\":{\"seed\":9223372036854775807}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chat),          cmocka_unit_test(test_texts),
        cmocka_unit_test(test_bad),           cmocka_unit_test(test_depth),
        cmocka_unit_test(test_seeds),         cmocka_unit_test(test_large_numbers),
        cmocka_unit_test(test_mixed_prompts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
