/* Texts drawn at random inside the grammar of each format, which the reader must find to be calls,
 * or to have the form that a text may have beside them. */
#include "tools_bed.h"

#include "guest/tool_reader.h"

#include "base/alloc.h"
#include "sample/ending.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

static rl_grammar_env *env;

static int setup(void **state)
{
    realm_error err;

    (void)state;
    tools_open();
    tools_must(rl_grammar_env_new(&env, tools_vocab, &err), &err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rl_grammar_env_free(env);
    tools_close();
    return 0;
}

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
    rl_ending *e;
    rl_sampler *s;

    tools_must(rl_sampler_new(&s, &p, rl_vocab_get_info(tools_vocab)->n_tokens, &err), &err);
    tools_must(rl_sampler_take_grammar(s, g, &err), &err);
    tools_must(rl_ending_new(&e, g, RL_ENDING_MAX, RL_ENDING_AHEAD, &err), &err);
    rl_sampler_take_ending(s, e);
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
    uint32_t n = rl_vocab_get_info(tools_vocab)->n_tokens, id = 0, *ids;
    float *logits = rl_alloc_array(n, sizeof *logits);
    uint64_t rnd = seed + 1;
    realm_error err;
    size_t n_ids;

    rl_buf_init(out, 1 << 20);
    tools_must(rl_encode(tools_vocab, begin, strlen(begin), 0, &ids, &n_ids, &err), &err);
    for (uint32_t i = 0; i < most + n_ids; i++) {
        rl_text bytes;

        rl_sampler_set_left(s, most + n_ids - i);
        for (uint32_t j = 0; j < n; j++)
            logits[j] = random_logit(&rnd);
        tools_must(rl_sampler_draw(s, logits, i, &id, &err), &err);
        if (i < n_ids)
            id = ids[i];
        if (rl_vocab_is_eog(tools_vocab, id))
            break;
        bytes = rl_token_bytes(tools_vocab, id);
        (void)rl_buf_add(out, bytes.p, bytes.n);
        tools_must(rl_sampler_advance(s, id, &err), &err);
    }
    rl_free(ids);
    rl_free(logits);
    return rl_vocab_is_eog(tools_vocab, id);
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
    rl_tool_reader_init(&r, t, 0);
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
    root = tools_parsed(request);
    tools_must(rl_tools_read(&t, root, NULL, tools_vocab, &err), &err);
    t->format = rl_tool_format_named(format);
    json_decref(root);
    return t;
}

static rl_grammar *grammar(const rl_tools *t, const char *list)
{
    json_t *v = tools_parsed(list);
    realm_error err;
    rl_grammar *g;

    tools_must(rl_tools_grammar(&g, t, v, env, &err), &err);
    json_decref(v);
    return g;
}

static const char *const formats[] = { "hermes", "mistral", "llama" };

static void test_forced(void **state)
{
    (void)state;
    for (size_t f = 0; f < 3; f++) {
        uint32_t most = 0;
        rl_tools *t = read_tools(TWO, formats[f], "\"required\"", true);
        rl_grammar *g = grammar(t, TWO), *mine;

        for (uint64_t seed = 0; seed < 100; seed++) {
            rl_sampler *s;
            rl_buf text;
            uint32_t n;
            size_t n_text;

            assert_int_equal(rl_grammar_clone(&mine, g, NULL), REALM_OK);
            s = sampler(seed, mine);
            assert_true(write_text(s, seed, "", 120 + 4 * (uint32_t)seed, &text));
            n = check_calls(t, &text, &n_text);
            assert_true(n >= 1);
            assert_int_equal(n_text, 0);
            most = n > most ? n : most;
            rl_buf_deinit(&text);
            rl_sampler_free(s);
        }
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
            assert_true(write_text(s, seed, "", 120, &text));
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

/* ---- calls or a form ------------------------------------------------------------------------- */

#define COUNT                                                                                      \
    "{\"x-guidance\":{\"whitespace_pattern\":\" "                                                  \
    "\"},\"type\":\"object\",\"properties\":{\"named\":{"                                          \
    "\"type\":\"integer\",\"minimum\":0,\"maximum\":99}},\"required\":[\"named\"],"                \
    "\"additionalProperties\":false}"

static const struct {
    rl_grammar_kind kind;
    const char *source, *posix; /* every text of the one is one of the other */
} forms[] = {
    { RL_GRAMMAR_JSON_SCHEMA, COUNT, "^[{] ?\"named\" ?: ?[0-9]{1,2} ?[}]$" },
    { RL_GRAMMAR_REGEX, "(yes|no)[0-9]{2}", "^(yes|no)[0-9]{2}$" },
    /* what it ignores, the calls do not */
    { RL_GRAMMAR_LARK, "start: \"cat\" (\",\" \"cat\")~0..3\n%ignore / /",
      "^cat *(, *cat *){0,3}$" },
};

static rl_tools *formed_tools(const char *format)
{
    rl_tools *t = read_tools(TWO, format, "\"auto\"", true);

    t->formed = true;
    return t;
}

static rl_grammar *formed(const rl_tools *t, rl_grammar_kind kind, const char *source)
{
    rl_grammar *g = grammar(t, TWO), *form;
    realm_error err;

    tools_must(rl_grammar_new(&form, env, kind, source, strlen(source), &err), &err);
    tools_must(rl_tools_or_form(g, form, t, &err), &err);
    assert_false(rl_grammar_waits(g));
    return g;
}

/* A text of a clone of g. -> the calls in it; none: it matches, if there is anything to match */
static uint32_t write_formed(const rl_tools *t, const rl_grammar *g, uint64_t seed,
                             const char *begin, const regex_t *re, bool *ended)
{
    rl_grammar *mine;
    rl_sampler *s;
    size_t n_text;
    rl_buf text;
    uint32_t n = 0;

    assert_int_equal(rl_grammar_clone(&mine, g, NULL), REALM_OK);
    s = sampler(seed, mine);
    *ended = write_text(s, seed, begin, 2000, &text);
    if (*ended) {
        n = check_calls(t, &text, &n_text);
        assert_true(n == 0 || n_text == 0);
        if (n == 0 && re && regexec(re, text.data ? text.data : "", 0, NULL, 0) != 0)
            fail_msg("%s: neither a call nor in form: %s", t->format->name, text.data);
    }
    rl_buf_deinit(&text);
    rl_sampler_free(s);
    return n;
}

/* Both come about, and each is whole. */
static void test_formed(void **state)
{
    (void)state;
    for (size_t k = 0; k < 9; k++) {
        rl_tools *t = formed_tools(formats[k / 3]);
        rl_grammar *g = formed(t, forms[k % 3].kind, forms[k % 3].source);
        uint32_t calls = 0, texts = 0;
        regex_t re;

        assert_int_equal(regcomp(&re, forms[k % 3].posix, REG_EXTENDED | REG_NOSUB), 0);
        for (uint64_t seed = 0; seed < 200; seed++) {
            bool ended;
            uint32_t n = write_formed(t, g, seed, "", &re, &ended);

            if (!ended)
                fail_msg("%s, form %zu: seed %u is cut", t->format->name, k % 3, (unsigned)seed);
            calls += n > 0;
            texts += n == 0;
        }
        if (calls == 0 || texts == 0)
            fail_msg("%s, form %zu: %u calls, %u texts", t->format->name, k % 3, calls, texts);
        regfree(&re);
        rl_grammar_free(g);
        rl_tools_free(t);
    }
}

/* In a form that allows any text nothing that the reader takes for a call is outside of the calls'
 * grammar, however the model begins it. */
static void test_formed_heads(void **state)
{
    static const char *const begins[3][4] = {
        { "<tool_call", "<tool_call>", "<tool_call>\n{\"name\": \"weather\", \"arguments\": {",
          "<" },
        { "[TOOL_CALLS", "[TOOL_CALLS]", "[TOOL_CALLS] [{\"name\": \"stop_it\"", "[" },
        { "{\"name\": \"weather\", \"parameters\":", "{\"name\": \"weather\", \"parameters\": ",
          "{\"name\": \"stop_it\", \"parameters\": {", "{\"name\": \"weather\", \"param" },
    };
    uint32_t calls = 0, texts = 0;

    (void)state;
    for (size_t k = 0; k < 12; k++) {
        rl_tools *t = formed_tools(formats[k / 4]);
        rl_grammar *g = formed(t, RL_GRAMMAR_REGEX, "(.|\n){0,150}");

        for (uint64_t seed = 0; seed < 60; seed++) {
            bool ended;
            uint32_t n = write_formed(t, g, seed, begins[k / 4][k % 4], NULL, &ended);

            if (k % 4 == 1 || k % 4 == 2)
                assert_true(!ended || n > 0);
            calls += ended && n > 0;
            texts += ended && n == 0;
        }
        rl_grammar_free(g);
        rl_tools_free(t);
    }
    assert_true(calls > 100 && texts > 50);
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
        v = tools_parsed(list);
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
        cmocka_unit_test(test_forced),      cmocka_unit_test(test_exactly_one),
        cmocka_unit_test(test_auto),        cmocka_unit_test(test_auto_again),
        cmocka_unit_test(test_formed),      cmocka_unit_test(test_formed_heads),
        cmocka_unit_test(test_bad_schemas),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
