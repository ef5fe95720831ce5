/* What a Request says of tools, read and refused; tools in words; and texts drawn at random inside
 * the grammar of each format, which the reader must find to be calls. */
#include "../test.h"

#include "guest/tool_reader.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rl_gguf *gguf;
static rl_vocab *vocab;
static rl_chat *chat;
static rl_grammar_env *env;

static void must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

static int setup(void **state)
{
    realm_error err;

    (void)state;
    must(rl_gguf_open(&gguf, TINY_GGUF, &err), &err);
    must(rl_vocab_open(&vocab, gguf, &err), &err);
    must(rl_chat_open(&chat, gguf, vocab, &err), &err);
    must(rl_grammar_env_new(&env, vocab, &err), &err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rl_grammar_env_free(env);
    rl_chat_close(chat);
    rl_vocab_close(vocab);
    rl_gguf_close(gguf);
    return 0;
}

static json_t *parsed(const char *json)
{
    json_error_t why;
    json_t *v = json_loads(json, JSON_DECODE_ANY, &why);

    if (!v)
        fail_msg("%s: %s", why.text, json);
    return v;
}

/* ---- reading --------------------------------------------------------------------------------- */

#define TOOL(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"
#define PICK(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"

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
        json_t *root = parsed(rows[i].request);
        realm_error err;
        rl_tools *t;

        must(rl_tools_read(&t, root, chat, vocab, &err), &err);
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
    json_t *root = parsed(request);
    realm_error err = { 0 };
    rl_tools *t;

    if (rl_tools_read(&t, root, NULL, vocab, &err) != REALM_EINVAL || !strstr(err.text, text))
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
    json_t *list = parsed("[" TOOL("f") "]");
    json_t *in = parsed(
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
    json_t *list = parsed("[" TOOL("f") "]");
    json_t *in = parsed("[7,{\"role\":\"tool\"},{\"role\":\"tool\",\"content\":[1]},null,"
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
    json_t *in = parsed(
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

/* ---- grammars -------------------------------------------------------------------------------- */

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"city\":{\"enum\":[\"Paris\",\"\\u00e9 "                \
    "<tool_call>\"]},"                                                                             \
    "\"days\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":99},"                                \
    "\"deep\":{\"$ref\":\"#/$defs/x\"}},"                                                          \
    "\"required\":[\"city\",\"days\",\"deep\"],\"additionalProperties\":false,"                    \
    "\"$defs\":{\"x\":{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"maxItems\":2}}}"
#define TWO                                                                                        \
    "[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":" SCHEMA "}},"      \
    "{\"type\":\"function\",\"function\":{\"name\":\"stop_it\",\"parameters\":"                    \
    "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}}}]"

static rl_sampler *sampler(uint64_t seed, rl_grammar *g)
{
    rl_sample_params p = { .temperature = 1, .has_seed = true, .seed = seed };
    realm_error err;
    rl_sampler *s;

    must(rl_sampler_new(&s, &p, rl_vocab_get_info(vocab)->n_tokens, &err), &err);
    must(rl_sampler_take_grammar(s, g, &err), &err);
    return s;
}

static float random_logit(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(*state >> 40) / (float)(1 << 22) - 2;
}

/* Draws random ids after those that `begin` is made of, until an end token or `most` ids. */
static bool write_text(rl_sampler *s, uint64_t seed, const char *begin, uint32_t most, rl_buf *out)
{
    uint32_t n = rl_vocab_get_info(vocab)->n_tokens, id = 0, *ids;
    float *logits = rl_alloc_array(n, sizeof *logits);
    uint64_t rnd = seed + 1;
    realm_error err;
    size_t n_ids;

    rl_buf_init(out, 1 << 20);
    must(rl_encode(vocab, begin, strlen(begin), 0, &ids, &n_ids, &err), &err);
    for (uint32_t i = 0; i < most + n_ids; i++) {
        rl_text bytes;

        for (uint32_t j = 0; j < n; j++)
            logits[j] = random_logit(&rnd);
        must(rl_sampler_draw(s, logits, i, &id, &err), &err);
        if (i < n_ids)
            id = ids[i];
        if (rl_vocab_is_eog(vocab, id))
            break;
        bytes = rl_token_bytes(vocab, id);
        (void)rl_buf_add(out, bytes.p, bytes.n);
        must(rl_sampler_advance(s, id, &err), &err);
    }
    rl_free(ids);
    rl_free(logits);
    return rl_vocab_is_eog(vocab, id);
}

static void check_args(const char *name, const char *args, size_t n)
{
    json_t *o = json_loadb(args, n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *days = json_object_get(o, "days"), *deep = json_object_get(o, "deep");

    if (!json_is_object(o))
        fail_msg("no object: %.*s", (int)n, args);
    if (strcmp(name, "weather") == 0) {
        assert_int_equal(json_object_size(o), 3);
        assert_true(json_is_integer(days) && json_integer_value(days) >= 0 &&
                    json_integer_value(days) <= 99);
        assert_true(json_is_array(deep) && json_array_size(deep) <= 2);
        assert_true(json_is_string(json_object_get(o, "city")));
    } else {
        assert_string_equal(name, "stop_it");
        assert_int_equal(json_object_size(o), 0);
    }
    json_decref(o);
}

/* Every call in the text is declared, and its arguments valid. -> how many; *n_text: bytes around
 */
static uint32_t check_calls(const rl_tools *t, const rl_buf *text, size_t *n_text)
{
    rl_tool_reader r;
    rl_tool_item item;
    char name[RL_TOOL_NAME + 1] = "";
    rl_buf args;
    uint32_t n;

    *n_text = 0;
    rl_buf_init(&args, 1 << 16);
    rl_tool_reader_init(&r, t);
    rl_tool_reader_add(&r, text->data ? text->data : "", text->len);
    rl_tool_reader_end(&r);
    while (rl_tool_reader_next(&r, &item, SIZE_MAX)) {
        if (item.part == RL_TOOL_BEGIN) {
            if (item.index > 0)
                check_args(name, args.data, args.len);
            rl_buf_clear(&args);
            (void)snprintf(name, sizeof name, "%.*s", (int)item.n, item.p);
        } else if (item.part == RL_TOOL_ARGS) {
            (void)rl_buf_add(&args, item.p, item.n);
        } else {
            *n_text += item.n;
        }
    }
    n = r.n_calls;
    if (n > 0)
        check_args(name, args.data, args.len);
    rl_buf_deinit(&args);
    rl_tool_reader_deinit(&r);
    return n;
}

static rl_tools *read_tools(const char *list, const char *format, const char *choice, bool parallel)
{
    char request[4096];
    json_t *root;
    realm_error err;
    rl_tools *t;

    (void)snprintf(request, sizeof request,
                   "{\"tools\":%s,\"tool_choice\":%s,\"parallel_tool_calls\":%s}", list, choice,
                   parallel ? "true" : "false");
    root = parsed(request);
    must(rl_tools_read(&t, root, NULL, vocab, &err), &err);
    t->format = rl_tool_format_named(format);
    json_decref(root);
    return t;
}

static rl_grammar *grammar(const rl_tools *t, const char *list)
{
    json_t *v = parsed(list);
    realm_error err;
    rl_grammar *g;

    must(rl_tools_grammar(&g, t, v, env, &err), &err);
    json_decref(v);
    return g;
}

static const char *const formats[] = { "hermes", "mistral", "llama" };

static void test_forced(void **state)
{
    (void)state;
    for (size_t f = 0; f < 3; f++) {
        uint32_t most = 0, ended = 0;
        rl_tools *t = read_tools(TWO, formats[f], "\"required\"", true);
        rl_grammar *g = grammar(t, TWO), *mine;

        for (uint64_t seed = 0; seed < 100; seed++) {
            rl_sampler *s;
            rl_buf text;
            uint32_t n;
            size_t n_text;

            assert_int_equal(rl_grammar_clone(&mine, g, NULL), REALM_OK);
            s = sampler(seed, mine);
            if (write_text(s, seed, "", 4000, &text)) {
                ended++;
                n = check_calls(t, &text, &n_text);
                assert_true(n >= 1);
                assert_int_equal(n_text, 0);
                most = n > most ? n : most;
            }
            rl_buf_deinit(&text);
            rl_sampler_free(s);
        }
        assert_true(ended >= 90);
        assert_true(most > 1); /* parallel calls come about */
        rl_grammar_free(g);
        rl_tools_free(t);
    }
}

static void test_exactly_one(void **state)
{
    static const char *const choices[] = { "\"required\"", PICK("stop_it") };

    (void)state;
    for (size_t k = 0; k < 6; k++) {
        rl_tools *t = read_tools(TWO, formats[k / 2], choices[k % 2], k % 2);
        rl_grammar *g = grammar(t, TWO), *mine;

        for (uint64_t seed = 0; seed < 30; seed++) {
            rl_sampler *s;
            rl_buf text;
            size_t n_text;

            assert_int_equal(rl_grammar_clone(&mine, g, NULL), REALM_OK);
            s = sampler(seed, mine);
            assert_true(write_text(s, seed, "", 1000, &text));
            assert_int_equal(check_calls(t, &text, &n_text), 1);
            assert_int_equal(n_text, 0);
            if (k % 2)
                assert_non_null(strstr(text.data, "stop_it"));
            rl_buf_deinit(&text);
            rl_sampler_free(s);
        }
        rl_grammar_free(g);
        rl_tools_free(t);
    }
}

/* What the model begins must end as a call; before that it is free. */
static void test_auto(void **state)
{
    static const char *const begins[] = { "so <tool_call>", "[TOOL_CALLS]", " {\"name\": \"" };
    static const char *const frees[] = { "so <tool_cal", "[TOOL_CALLX]", "x {\"name\": \"" };

    (void)state;
    for (size_t f = 0; f < 3; f++) {
        rl_tools *t = read_tools(TWO, formats[f], "\"auto\"", false);
        rl_grammar *g = grammar(t, TWO), *mine;

        assert_true(rl_grammar_waits(g));
        for (uint64_t seed = 0; seed < 30; seed++) {
            size_t n_text;
            rl_sampler *s;
            rl_buf text;

            assert_int_equal(rl_grammar_clone(&mine, g, NULL), REALM_OK);
            s = sampler(seed, mine);
            assert_true(write_text(s, seed, begins[f], 1000, &text));
            assert_int_equal(check_calls(t, &text, &n_text), 1);
            assert_int_equal(n_text, f == 0 ? 2 : 0);
            rl_buf_deinit(&text);
            rl_sampler_free(s);
            assert_int_equal(rl_grammar_clone(&mine, g, NULL), REALM_OK);
            s = sampler(seed, mine);
            (void)write_text(s, seed, frees[f], 40, &text);
            assert_true(rl_grammar_waits(mine));
            assert_int_equal(check_calls(t, &text, &n_text), 0);
            rl_buf_deinit(&text);
            rl_sampler_free(s);
        }
        rl_grammar_free(g);
        rl_tools_free(t);
    }
}

/* After a call the text is free again, where the format has it so. */
static void test_auto_again(void **state)
{
    rl_tools *t = read_tools(TWO, "hermes", "\"auto\"", true);
    rl_sampler *s = sampler(3, grammar(t, TWO));
    static const char call[] =
        "<tool_call>\n{\"name\": \"stop_it\", \"arguments\": {}}\n</tool_call>";
    size_t n_text;
    rl_buf text;
    char two[512];

    (void)state;
    (void)snprintf(two, sizeof two, "%s, %s free <tool_call>", call, call);
    assert_false(write_text(s, 3, two, 200, &text) && text.len < strlen(two));
    assert_true(check_calls(t, &text, &n_text) >= 3);
    assert_true(n_text >= 6);
    rl_buf_deinit(&text);
    rl_sampler_free(s);
    rl_tools_free(t);
}

static void test_bad_schemas(void **state)
{
    static const struct {
        const char *schema, *text;
    } rows[] = {
        { "{\"type\":\"string\"}", "tools[0]: parameters must describe an object" },
        { "{\"type\":[\"null\"]}", "tools[0]: parameters must describe an object" },
        { "{\"properties\":{\"a\":{\"type\":\"nonsense\"}}}", "tools: " },
        { "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/missing\"}}}", "tools: " },
        { "{\"properties\":{\"a\":{\"pattern\":\"(\",\"type\":\"string\"}}}", "tools: " },
        { "{\"x-guidance\":7}", "tools: " },
    };

    (void)state;
    for (size_t k = 0; k < 2 * (sizeof rows / sizeof *rows); k++) {
        char list[1024];
        realm_error err = { 0 };
        rl_grammar *g;
        rl_tools *t;
        json_t *v;

        (void)snprintf(list, sizeof list,
                       "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":%s}}]",
                       rows[k / 2].schema);
        t = read_tools(list, "hermes", k % 2 ? "\"auto\"" : "\"required\"", true);
        v = parsed(list);
        if (rl_tools_grammar(&g, t, v, env, &err) != REALM_EINVAL ||
            !strstr(err.text, rows[k / 2].text))
            fail_msg("%s: %s", list, err.text);
        json_decref(v);
        rl_tools_free(t);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_words),       cmocka_unit_test(test_hostile_words),
        cmocka_unit_test(test_short_ids),   cmocka_unit_test(test_forced),
        cmocka_unit_test(test_exactly_one), cmocka_unit_test(test_auto),
        cmocka_unit_test(test_auto_again),  cmocka_unit_test(test_bad_schemas),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
