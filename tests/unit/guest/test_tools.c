/* What a Request says of tools, read and refused; tools in words. */
#include "tools_bed.h"

#include "guest/tools.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rl_chat *chat;

static int setup(void **state)
{
    realm_error err;

    (void)state;
    tools_open();
    tools_must(rl_chat_open(&chat, tools_gguf, tools_vocab, &err), &err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rl_chat_close(chat);
    tools_close();
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

#define TOOL(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"

static void test_choices(void **state)
{
    static const struct {
        const char *request;
        int choice; /* -1: none */
        bool parallel;
    } rows[] = {
        { "{}", -1, false },
        { "{\"tools\":null,\"tool_choice\":null}", -1, false },
        { "{\"tools\":[],\"tool_choice\":\"auto\"}", -1, false },
        { "{\"tool_choice\":\"none\"}", -1, false },
        { "{\"tools\":[" TOOL("f") "]}", RL_TOOL_AUTO, true },
        { "{\"tools\":[" TOOL("f") "],\"tool_choice\":\"auto\"}", RL_TOOL_AUTO, true },
        { "{\"tools\":[" TOOL("f") "],\"tool_choice\":\"none\"}", -1, false },
        { "{\"tools\":[" TOOL("f") "],\"tool_choice\":\"required\",\"parallel_tool_calls\":false}",
          RL_TOOL_REQUIRED, false },
        { "{\"tools\":[" TOOL("f") "," TOOL("g") "],\"tool_choice\":" PICK("g") "}", RL_TOOL_NAMED,
          false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *root = tools_parsed(rows[i].request);
        realm_error err;
        rl_tools *t;

        tools_must(rl_tools_read(&t, root, chat, tools_vocab, &err), &err);
        assert_int_equal(t ? (int)t->choice : -1, rows[i].choice);
        if (t) {
            assert_int_equal(t->parallel, rows[i].parallel);
            assert_string_equal(t->format->name, "hermes");
        }
        if (rows[i].choice == RL_TOOL_NAMED)
            assert_int_equal(t->only, 1);
        rl_tools_free(t);
        json_decref(root);
    }
}

static void refused(const char *request, const char *text)
{
    json_t *root = tools_parsed(request);
    realm_error err = { 0 };
    rl_tools *t;

    if (rl_tools_read(&t, root, NULL, tools_vocab, &err) != REALM_EINVAL || !strstr(err.text, text))
        fail_msg("%s: %s (wanted: %s)", request, err.text, text);
    assert_null(t);
    json_decref(root);
}

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_refused(void **state)
{
    char *many = rl_alloc(20000), *at = many;

    (void)state;
    refused("{\"tools\":7}", "tools must be a list");
    refused("{\"tools\":[7]}", "tools[0]");
    refused("{\"tools\":[null]}", "tools[0]");
    refused("{\"tools\":[" TOOL("f") ",{\"type\":\"custom\"}]}", "tools[1]");
    refused("{\"tools\":[{\"type\":\"function\"}]}", "tools[0]");
    refused("{\"tools\":[{\"type\":\"function\",\"function\":{}}]}", "tools[0]: name");
    refused("{\"tools\":[" TOOL("") "]}", "tools[0]: name");
    refused("{\"tools\":[" TOOL("a b") "]}", "tools[0]: name");
    refused("{\"tools\":[" TOOL("a\\\"") "]}", "tools[0]: name");
    refused("{\"tools\":[" TOOL("\xc3\xa9") "]}", "tools[0]: name");
    refused("{\"tools\":[" TOOL(A64 "a") "]}", "tools[0]: name");
    refused("{\"tools\":[" TOOL("f") "," TOOL("g") "," TOOL("f") "]}", "tools[2]: the name f");
    refused("{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":[]}}]}",
            "tools[0]: parameters");
    refused("{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":1}}]}",
            "tools[0]: description");
    refused("{\"tool_choice\":\"required\"}", "there are no tools");
    refused("{\"tools\":[" TOOL("f") "],\"tool_choice\":\"f\"}", "tool_choice must be");
    refused("{\"tools\":[" TOOL("f") "],\"tool_choice\":7}", "tool_choice must be");
    refused("{\"tools\":[" TOOL("f") "],\"tool_choice\":" PICK("g") "}", "name g");
    refused("{\"tool_choice\":" PICK("g") "}", "name g");
    refused("{\"tools\":[" TOOL("f") "],\"parallel_tool_calls\":1}", "parallel_tool_calls");
    at += snprintf(at, 128, "{\"tools\":[");
    for (int i = 0; i <= 128; i++)
        at += snprintf(at, 128, "%s{\"type\":\"function\",\"function\":{\"name\":\"f%d\"}}",
                       i ? "," : "", i);
    (void)snprintf(at, 128, "]}");
    refused(many, "up to 128");
    rl_free(many);
}

/* ---- words ----------------------------------------------------------------------------------- */

static const char *content(const json_t *messages, size_t i)
{
    return json_string_value(json_object_get(json_array_get(messages, i), "content"));
}

static const char *role(const json_t *messages, size_t i)
{
    return json_string_value(json_object_get(json_array_get(messages, i), "role"));
}

static void test_words(void **state)
{
    json_t *list = tools_parsed("[" TOOL("f") "]");
    json_t *in = tools_parsed(
        "[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"hi\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
        "{\"id\":\"x\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
        "\"{\\\"a\\\":[1]}\"}},{\"function\":{\"name\":\"g\",\"arguments\":\"no JSON\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"7\"},"
        "{\"role\":\"tool\",\"content\":\"8\"},{\"role\":\"assistant\",\"content\":\"15\"}]");
    json_t *out = rl_tools_messages(in, list);

    (void)state;
    assert_int_equal(json_array_size(out), 5);
    assert_string_equal(role(out, 0), "system");
    assert_true(strncmp(content(out, 0), "Be brief.\n\nYou can call", 22) == 0);
    assert_non_null(strstr(content(out, 0), "<tools>\n{\"type\": \"function\", \"function\": "
                                            "{\"name\": \"f\"}}\n</tools>"));
    assert_string_equal(content(out, 1), "hi");
    assert_string_equal(role(out, 2), "assistant");
    assert_string_equal(
        content(out, 2),
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1]}}\n</tool_call>\n"
        "<tool_call>\n{\"name\": \"g\", \"arguments\": \"no JSON\"}\n</tool_call>");
    assert_string_equal(role(out, 3), "user");
    assert_string_equal(content(out, 3), "<tool_response>\n7\n</tool_response>\n"
                                         "<tool_response>\n8\n</tool_response>");
    assert_string_equal(content(out, 4), "15");
    json_decref(out);
    /* without a system message there is one, without tools there is none */
    (void)json_array_remove(in, 0);
    out = rl_tools_messages(in, list);
    assert_int_equal(json_array_size(out), 5);
    assert_true(strncmp(content(out, 0), "You can call", 12) == 0);
    json_decref(out);
    out = rl_tools_messages(in, NULL);
    assert_int_equal(json_array_size(out), 4);
    assert_string_equal(content(out, 0), "hi");
    json_decref(out);
    json_decref(in);
    json_decref(list);
}

static void test_hostile_words(void **state)
{
    json_t *list = tools_parsed("[" TOOL("f") "]");
    json_t *in = tools_parsed("[7,{\"role\":\"tool\"},{\"role\":\"tool\",\"content\":[1]},null,"
                              "{\"role\":\"assistant\",\"tool_calls\":[7,{}]},{\"role\":{}}]");
    json_t *out = rl_tools_messages(in, list);

    (void)state;
    assert_int_equal(json_array_size(out), 6);
    assert_string_equal(content(out, 2), "<tool_response>\nnull\n</tool_response>\n"
                                         "<tool_response>\n[1]\n</tool_response>");
    json_decref(out);
    json_decref(in);
    json_decref(list);
}

static void test_short_ids(void **state)
{
    json_t *in = tools_parsed(
        "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"call_0123456789abcdef01234567\"},"
        "{\"id\":\"a-b\"},7]},{\"role\":\"tool\",\"tool_call_id\":\"call_"
        "0123456789abcdef01234567\"},"
        "{\"role\":\"tool\"},null]");
    json_t *out = rl_tools_short_ids(in, 9);
    char *text = json_dumps(out, JSON_COMPACT);

    (void)state;
    assert_string_equal(
        text, "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"f01234567\"},"
              "{\"id\":\"0000000ab\"},7]},{\"role\":\"tool\",\"tool_call_id\":\"f01234567\"},"
              "{\"role\":\"tool\",\"tool_call_id\":\"000000000\"},null]");
    free(text);
    json_decref(out);
    json_decref(in);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_words),     cmocka_unit_test(test_hostile_words),
        cmocka_unit_test(test_short_ids),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
