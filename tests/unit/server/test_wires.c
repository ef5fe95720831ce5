/* Wires: pieces of runs as OpenAI's clients read them. */
#include "../test.h"

#include "server/internal.h"

#include <string.h>

#define TOKEN                                                                                      \
    "{\"id\":5,\"text\":\"b\\u00e9\",\"bytes\":[98,195,169],\"logprob\":-0.5,\"top\":["            \
    "{\"id\":5,\"text\":\"b\\u00e9\",\"bytes\":[98,195,169],\"logprob\":-0.5}]}"

typedef struct bed {
    rl_ask ask;
    rl_said said;
    rl_buf sse;
} bed;

static void set_up(bed *b, rl_api api, const rl_wire *wire, const char *body)
{
    rl_ask_why why;
    realm_error err;

    assert_int_equal(rl_ask_read(&b->ask, api, body, strlen(body), &why, &err), REALM_OK);
    assert_true(rl_said_init(&b->said, wire, &b->ask));
    rl_buf_init(&b->sse, SIZE_MAX);
}

static void tear_down(bed *b)
{
    rl_said_deinit(&b->said);
    rl_ask_deinit(&b->ask);
    rl_buf_deinit(&b->sse);
}

static void add(bed *b, uint32_t choice, rl_reply_kind kind, const char *data, bool stream)
{
    rl_said_add(&b->said, &b->said.choices[choice], kind, data, strlen(data),
                stream ? &b->sse : NULL);
}

static void end(bed *b, uint32_t choice, uint64_t prompt, uint64_t generated, bool stream)
{
    const rl_run_result r = { .prompt_tokens = prompt,
                              .generated_tokens = generated,
                              .cached_tokens = prompt > generated ? prompt - generated : 0 };

    rl_said_end(&b->said, &b->said.choices[choice], &r, stream ? &b->sse : NULL);
}

/* Takes the stream's next event. */
static json_t *next(bed *b)
{
    const char *from = b->sse.data, *to = strstr(from, "\n\n");
    json_t *e;

    assert_non_null(to);
    assert_memory_equal(from, "data: ", 6);
    e = json_loadb(from + 6, (size_t)(to - from) - 6, 0, NULL);
    assert_non_null(e);
    rl_buf_consume(&b->sse, (size_t)(to - from) + 2);
    return e;
}

/* Compares what is at choices[0] (or at the top) and frees the event. */
static void expect(json_t *e, const char *json)
{
    json_t *want = json_loads(json, 0, NULL), *list = json_object_get(e, "choices");

    assert_non_null(want);
    if (!json_equal(json_array_size(list) ? json_array_get(list, 0) : e, want))
        fail_msg("%s\nis not %s", json_dumps(e, 0), json);
    json_decref(want);
    json_decref(e);
}

static json_t *whole(bed *b)
{
    rl_buf body;
    json_t *root;

    rl_buf_init(&body, SIZE_MAX);
    b->said.wire->whole(&b->said, &body);
    assert_false(body.failed || b->said.failed);
    root = json_loadb(body.data, body.len, 0, NULL);
    assert_non_null(root);
    rl_buf_deinit(&body);
    return root;
}

#define CHAT "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void test_chat_stream(void **state)
{
    bed b;
    json_t *e;

    (void)state;
    set_up(&b, RL_API_CHAT, &rl_wire_chat, CHAT ",\"stream_options\":{\"include_usage\":true}}");
    rl_wire_chat.open(&b.said, &b.sse);
    add(&b, 0, RL_REPLY_TEXT, "h\"i", true);
    add(&b, 0, RL_REPLY_LOG, "not for clients", true);
    add(&b, 0, RL_REPLY_EVENT, "{\"event\":\"mine\",\"text\":\"nor this\"}", true);
    add(&b, 0, RL_REPLY_EVENT, "{\"event\":\"finish\",\"choice\":0,\"reason\":\"length\"}", true);
    end(&b, 0, 3, 4, true);
    rl_wire_chat.close(&b.said, &b.sse);
    e = next(&b);
    assert_string_equal(json_string_value(json_object_get(e, "object")), "chat.completion.chunk");
    assert_true(json_is_null(json_object_get(e, "usage")));
    expect(e, "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
              "\"finish_reason\":null}");
    expect(next(&b), "{\"index\":0,\"delta\":{\"content\":\"h\\\"i\"},\"logprobs\":null,"
                     "\"finish_reason\":null}");
    expect(next(&b), "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}");
    e = next(&b);
    assert_int_equal(json_array_size(json_object_get(e, "choices")), 0);
    expect(json_incref(json_object_get(e, "usage")),
           "{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,\"prompt_tokens_"
           "details\":{\"cached_tokens\":0}}");
    json_decref(e);
    assert_string_equal(b.sse.data, "data: [DONE]\n\n");
    tear_down(&b);
}

#define CALL                                                                                       \
    "{\"event\":\"tool\",\"choice\":0,\"index\":0,\"id\":\"call_1\",\"name\":\"f\",\"args\":\"\"}"
#define ARGS(text) "{\"event\":\"tool\",\"choice\":0,\"index\":0,\"args\":\"" text "\"}"

static void test_chat_tools(void **state)
{
    bed b;
    json_t *e;

    (void)state;
    set_up(&b, RL_API_CHAT, &rl_wire_chat, CHAT "}");
    add(&b, 0, RL_REPLY_EVENT, CALL, true);
    add(&b, 0, RL_REPLY_EVENT, ARGS("{\\\"a\\\":"), true);
    expect(next(&b), "{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\","
                     "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},"
                     "\"logprobs\":null,\"finish_reason\":null}");
    expect(next(&b), "{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
                     "\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]},"
                     "\"logprobs\":null,\"finish_reason\":null}");
    tear_down(&b);
    set_up(&b, RL_API_CHAT, &rl_wire_chat, CHAT "}");
    add(&b, 0, RL_REPLY_EVENT, CALL, false);
    add(&b, 0, RL_REPLY_EVENT, ARGS("{\\\"a\\\":"), false);
    add(&b, 0, RL_REPLY_EVENT, ARGS("1}"), false);
    add(&b, 0, RL_REPLY_EVENT, "{\"event\":\"finish\",\"choice\":0,\"reason\":\"tool_calls\"}",
        false);
    end(&b, 0, 1, 1, false);
    e = whole(&b);
    expect(e,
           "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"refusal\":null,"
           "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
           "\"arguments\":\"{\\\"a\\\":1}\"}}]},\"logprobs\":null,"
           "\"finish_reason\":\"tool_calls\"}");
    tear_down(&b);
}

#define DELTA "{\"event\":\"delta\",\"choice\":0,\"text\":\"b\\u00e9\",\"tokens\":[" TOKEN "]}"
#define ENTRY "{\"token\":\"b\\u00e9\",\"logprob\":-0.5,\"bytes\":[98,195,169]"

static void test_chat_logprobs(void **state)
{
    bed b;

    (void)state;
    set_up(&b, RL_API_CHAT, &rl_wire_chat, CHAT ",\"logprobs\":true,\"top_logprobs\":1}");
    add(&b, 0, RL_REPLY_EVENT, DELTA, false);
    add(&b, 0, RL_REPLY_EVENT, DELTA, false);
    end(&b, 0, 1, 2, false);
    expect(whole(&b),
           "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"b\\u00e9b\\u00e9\","
           "\"refusal\":null},\"logprobs\":{\"content\":[" ENTRY ",\"top_logprobs\":[" ENTRY
           "}]}," ENTRY ",\"top_logprobs\":[" ENTRY
           "}]}],\"refusal\":null},\"finish_reason\":\"stop\"}");
    tear_down(&b);
}

static void test_choices(void **state)
{
    bed b;
    json_t *e, *list;

    (void)state;
    set_up(
        &b, RL_API_TEXT, &rl_wire_text,
        "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":2,\"echo\":true}"); /* told by the run */
    for (uint32_t i = 4; i-- > 0;) {
        add(&b, i, RL_REPLY_TEXT, i % 2 ? "odd" : "even", false);
        end(&b, i, 10, i, false);
    }
    e = whole(&b);
    list = json_object_get(e, "choices");
    assert_int_equal(json_array_size(list), 4);
    expect(json_incref(json_array_get(list, 2)),
           "{\"index\":2,\"text\":\"even\",\"logprobs\":null,\"finish_reason\":\"stop\"}");
    expect(json_incref(json_object_get(e, "usage")), /* of two prompts, and all choices */
           "{\"prompt_tokens\":20,\"completion_tokens\":6,\"total_tokens\":26,\"prompt_tokens_"
           "details\":{\"cached_tokens\":16}}");
    json_decref(e);
    tear_down(&b);
}

/* In the place of an echoed prompt's first token nothing was predicted. */
static void test_text_echo(void **state)
{
    bed b;

    (void)state;
    set_up(&b, RL_API_TEXT, &rl_wire_text,
           "{\"model\":\"m\",\"prompt\":[5],\"logprobs\":1,\"echo\":true}");
    for (int i = 0; i < 2; i++) {
        add(&b, 0, RL_REPLY_EVENT,
            "{\"event\":\"delta\",\"choice\":0,\"text\":\"\\u00e9b\\u00e9\",\"tokens\":["
            "{\"id\":7,\"text\":\"\\u00e9\",\"bytes\":[195,169],\"logprob\":null,\"top\":null}"
            "," TOKEN "]}",
            i == 0);
        if (i == 0)
            expect(next(&b), "{\"index\":0,\"text\":\"\\u00e9b\\u00e9\",\"logprobs\":{"
                             "\"tokens\":[\"\\u00e9\",\"b\\u00e9\"],"
                             "\"token_logprobs\":[null,-0.5],"
                             "\"top_logprobs\":[null,{\"b\\u00e9\":-0.5}],"
                             "\"text_offset\":[0,1]},\"finish_reason\":null}");
    }
    end(&b, 0, 2, 0, false);
    expect(whole(&b), "{\"index\":0,\"text\":\"\\u00e9b\\u00e9\",\"logprobs\":{"
                      "\"tokens\":[\"\\u00e9\",\"b\\u00e9\"],"
                      "\"token_logprobs\":[null,-0.5],"
                      "\"top_logprobs\":[null,{\"b\\u00e9\":-0.5}],"
                      "\"text_offset\":[3,4]},\"finish_reason\":\"stop\"}");
    tear_down(&b);
}

static void test_text_logprobs(void **state)
{
    bed b;

    (void)state;
    set_up(&b, RL_API_TEXT, &rl_wire_text, "{\"model\":\"m\",\"prompt\":\"a\",\"logprobs\":1}");
    add(&b, 0, RL_REPLY_EVENT, DELTA, true);
    add(&b, 0, RL_REPLY_EVENT, DELTA, true);
    for (int i = 0; i < 2; i++)
        expect(next(&b),
               i == 0
                   ? "{\"index\":0,\"text\":\"b\\u00e9\",\"logprobs\":{\"tokens\":[\"b\\u00e9\"],"
                     "\"token_logprobs\":[-0.5],\"top_logprobs\":[{\"b\\u00e9\":-0.5}],"
                     "\"text_offset\":[0]},\"finish_reason\":null}"
                   : "{\"index\":0,\"text\":\"b\\u00e9\",\"logprobs\":{\"tokens\":[\"b\\u00e9\"],"
                     "\"token_logprobs\":[-0.5],\"top_logprobs\":[{\"b\\u00e9\":-0.5}],"
                     "\"text_offset\":[2]},\"finish_reason\":null}");
    tear_down(&b);
}

#define EMBED "{\"model\":\"m\",\"input\":[\"a\",\"b\"]"

static void add_floats(bed *b)
{
    static const float x[4] = { 0.6f, 0.8f, 1, 0 };

    rl_said_add(&b->said, b->said.choices, RL_REPLY_TEXT, (const char *)x, sizeof x, NULL);
    end(b, 0, 5, 0, false);
}

static void test_embeddings(void **state)
{
    bed b;

    (void)state;
    set_up(&b, RL_API_EMBED, &rl_wire_embed, EMBED ",\"encoding_format\":\"base64\"}");
    add_floats(&b);
    expect(whole(&b), "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
                      "\"embedding\":\"mpkZP83MTD8=\"},{\"object\":\"embedding\",\"index\":1,"
                      "\"embedding\":\"AACAPwAAAAA=\"}],\"model\":\"m\","
                      "\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}");
    tear_down(&b);
    set_up(&b, RL_API_EMBED, &rl_wire_embed, EMBED ",\"dimensions\":1}");
    add_floats(&b);
    expect(whole(&b), "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
                      "\"embedding\":[1]},{\"object\":\"embedding\",\"index\":1,"
                      "\"embedding\":[1]}],\"model\":\"m\","
                      "\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}");
    tear_down(&b);
    set_up(&b, RL_API_EMBED, &rl_wire_embed, EMBED ",\"dimensions\":3}");
    add_floats(&b);
    rl_wire_embed.whole(&b.said, &b.sse);
    assert_string_equal(b.said.param, "dimensions");
    tear_down(&b);
    set_up(&b, RL_API_EMBED, &rl_wire_embed, EMBED "}");
    add(&b, 0, RL_REPLY_TEXT, "no floats at all", false);
    rl_wire_embed.whole(&b.said, &b.sse); /* 4 of them for 2 texts: they pass for floats */
    assert_null(b.said.complaint);
    tear_down(&b);
    set_up(&b, RL_API_EMBED, &rl_wire_embed, EMBED "}");
    add(&b, 0, RL_REPLY_TEXT, "none", false);
    rl_wire_embed.whole(&b.said, &b.sse);
    assert_non_null(b.said.complaint);
    tear_down(&b);
}

static void test_tokens(void **state)
{
    static const char bytes[] = "\x07\0\0\0\x02\0\0\0hi\x2c\x01\0\0\0\0\0\0\x01\0\0\0\xff\0\0\0cut";
    bed b;

    (void)state;
    set_up(&b, RL_API_TOKENIZE, &rl_wire_tokenize,
           "{\"model\":\"m\",\"prompt\":\"a\",\"return_token_strs\":true}");
    rl_said_add(&b.said, b.said.choices, RL_REPLY_TEXT, bytes, sizeof bytes - 1, NULL);
    expect(whole(&b), "{\"tokens\":[7,300],\"count\":2,\"token_strs\":[\"hi\",\"\"]}");
    tear_down(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chat_stream),   cmocka_unit_test(test_chat_tools),
        cmocka_unit_test(test_chat_logprobs), cmocka_unit_test(test_choices),
        cmocka_unit_test(test_text_echo),     cmocka_unit_test(test_text_logprobs),
        cmocka_unit_test(test_embeddings),    cmocka_unit_test(test_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
