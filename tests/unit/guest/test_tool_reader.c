/* Calls in a model's text: every format, cut into pieces at every byte, with all that can look like
 * a call and is none. */
#include "../test.h"

#include "guest/tool_reader.h"

#include <string.h>

static char names[2][RL_TOOL_NAME + 1] = { "get_weather", "f" };

static rl_tools tools_of(const char *format)
{
    return (rl_tools){ .format = rl_tool_format_named(format), .n = 2, .names = names };
}

/* What the reader gave, as text: calls as [index name] and their arguments in ( ), bare text as it
 * is; items that are neighbours are joined. */
typedef struct shown {
    rl_buf out;
    bool in_args;
} shown;

static void show(shown *s, const rl_tool_item *item)
{
    if (s->in_args && item->part != RL_TOOL_ARGS) {
        (void)rl_buf_adds(&s->out, ")");
        s->in_args = false;
    }
    if (item->part == RL_TOOL_BEGIN)
        (void)rl_buf_addf(&s->out, "[%u %.*s]", item->index, (int)item->n, item->p);
    if (item->part == RL_TOOL_ARGS && !s->in_args) {
        (void)rl_buf_adds(&s->out, "(");
        s->in_args = true;
    }
    if (item->part != RL_TOOL_BEGIN)
        (void)rl_buf_add(&s->out, item->p, item->n);
}

static void take(rl_tool_reader *r, shown *s, size_t cap)
{
    rl_tool_item item;

    for (;;) {
        bool ready = rl_tool_reader_ready(r);

        assert_int_equal(rl_tool_reader_next(r, &item, cap), ready);
        if (!ready)
            return;
        assert_true(item.n > 0);
        assert_true(item.part == RL_TOOL_BEGIN || item.n <= cap);
        show(s, &item);
    }
}

/* Feeds text in pieces of `step` bytes (the first of `first`), taking items of at most cap bytes.
 */
static void feed(const char *format, const char *text, size_t first, size_t step, size_t cap,
                 const char *want)
{
    bool formed = format[0] == '+'; /* beside a form */
    rl_tools tools = tools_of(format + formed);
    size_t n = strlen(text), at = 0;
    rl_tool_reader r;
    shown s = { .in_args = false };

    tools.formed = formed;
    rl_buf_init(&s.out, 1 << 20);
    rl_tool_reader_init(&r, &tools, 0);
    for (size_t k = first; at < n; k = step) {
        if (k > n - at)
            k = n - at;
        rl_tool_reader_add(&r, text + at, k);
        at += k;
        take(&r, &s, cap);
    }
    rl_tool_reader_end(&r);
    take(&r, &s, cap);
    if (s.in_args)
        (void)rl_buf_adds(&s.out, ")");
    if (strcmp(s.out.data ? s.out.data : "", want) != 0)
        fail_msg("%s in pieces of %zu, %zu: %s\ngave   %s\nwanted %s", format, first, step, text,
                 s.out.data, want);
    assert_false(r.in.failed);
    rl_buf_deinit(&s.out);
    rl_tool_reader_deinit(&r);
}

/* Whole, byte by byte, and in two pieces cut at every place. */
static void expect(const char *format, const char *text, const char *want)
{
    size_t n = strlen(text);

    feed(format, text, n, n, SIZE_MAX, want);
    feed(format, text, 1, 1, SIZE_MAX, want);
    feed(format, text, 1, 1, 4, want);
    feed(format, text, n, n, 5, want);
    for (size_t i = 1; i < n; i++)
        feed(format, text, i, n, SIZE_MAX, want);
}

#define H(args)     "<tool_call>\n{\"name\": \"f\", \"arguments\": " args "}\n</tool_call>"
#define H2(name, a) "<tool_call>\n{\"name\": \"" name "\", \"arguments\": " a "}\n</tool_call>"
#define CUT(args)   "<tool_call>\n{\"name\": \"f\", \"arguments\": " args
#define MORE(a)     "{\"name\": \"f\", \"arguments\": " a "}"
#define LLAMA(a)    "{\"name\": \"f\", \"parameters\": " a "}"

static void test_hermes(void **state)
{
    (void)state;
    expect("hermes", H("{}"), "[0 f]({})");
    expect("hermes", H2("get_weather", "{\"city\": \"Paris\"}"),
           "[0 get_weather]({\"city\": \"Paris\"})");
    expect("hermes", "Let me see.\n" H("{\"a\": 1}"), "Let me see.[0 f]({\"a\": 1})");
    expect("hermes", H("{\"a\": 1}") "\n" H("{\"a\": 2}") "\n",
           "[0 f]({\"a\": 1})[1 f]({\"a\": 2})");
    expect("hermes", H("{}") "\nand so on ", "[0 f]({})\nand so on ");
    /* the frame's white space is the model's own business */
    expect("hermes", "<tool_call>{\"name\":\"f\" ,\n\"arguments\":{\"a\" :1} }</tool_call>",
           "[0 f]({\"a\" :1})");
}

static void test_arguments(void **state)
{
    (void)state;
    expect("hermes", H("{\"a\": {\"b\": [1, {}, []]}, \"c\": []}"),
           "[0 f]({\"a\": {\"b\": [1, {}, []]}, \"c\": []})");
    expect("hermes", H("{\"a\": \"}\\\"]{ </tool_call> <tool_call>\\\\\"}"),
           "[0 f]({\"a\": \"}\\\"]{ </tool_call> <tool_call>\\\\\"})");
    expect("hermes", H("{\"\xc3\xa9\": \"\xe6\x97\xa5\xf0\x9f\x98\x80\\u00e9\"}"),
           "[0 f]({\"\xc3\xa9\": \"\xe6\x97\xa5\xf0\x9f\x98\x80\\u00e9\"})");
}

static void test_no_calls(void **state)
{
    static const char *const texts[] = {
        "",
        "plain",
        " \n two lines \n ",
        "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80",
        "<tool_cal",
        "a < b <tool <tool_call <too",
        "<tool_call>",
        "<<tool_call>",
        "<tool_call>\n{\"name\": \"f\"",
        "<tool_call>\n{\"name\": \"f\"}\n</tool_call>",
        "<tool_call>\n{\"name\": \"undeclared\", \"arguments\": {}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"parameters\": {}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": [1]}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": \"{}\"}\n</tool_call>",
        "<tool_call>{\"name\": \"\", \"arguments\": {}}",
        "<tool_call> <tool_call> x",
        "</tool_call>",
        "x {\"name\": \"f\", \"arguments\": {}}",
        "{\"name\": \"Ann\", \"arguments\": {}}",
        "{\"name\": \"f\", \"parameters\": {}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect("hermes", texts[i], texts[i]);
    /* and the call behind one that is none is one */
    expect("hermes", "<tool_call> no " H("{}"), "<tool_call> no[0 f]({})");
    expect("hermes", "<tool_call>" H("{}"), "<tool_call>[0 f]({})");
    expect("hermes", "<tool_ca" H("{}"), "<tool_ca[0 f]({})");
}

/* max_tokens may end a text anywhere. */
static void test_cut(void **state)
{
    (void)state;
    expect("hermes", CUT("{\"a\": \"x"), "[0 f]({\"a\": \"x)");
    expect("hermes", CUT("{\"a\": 1}"), "[0 f]({\"a\": 1})");
    expect("hermes", CUT("{\"a\": 1}}"), "[0 f]({\"a\": 1})");
    expect("hermes", CUT("{\"a\": 1}}\n</tool"), "[0 f]({\"a\": 1})");
    expect("hermes", CUT("{"), "[0 f]({)");
    expect("hermes", CUT(""), "<tool_call>\n{\"name\": \"f\", \"arguments\": ");
    expect("hermes", H("{}") "\n<tool_call>\n{\"na", "[0 f]({})\n<tool_call>\n{\"na");
    /* what does not belong behind a call is text */
    expect("hermes", CUT("{}, \"id\": 7}") " x", "[0 f]({}), \"id\": 7} x");
    expect("hermes", CUT("{}} and"), "[0 f]({}) and");
}

/* Small models forget the marker. */
static void test_bare(void **state)
{
    (void)state;
    expect("hermes", MORE("{\"a\": 1}"), "[0 f]({\"a\": 1})");
    expect("hermes", "\n" MORE("{}") "\n" MORE("{\"a\": 1}") "\n", "[0 f]({})[1 f]({\"a\": 1})");
    expect("hermes", MORE("{}") "\n</tool_call>\n", "[0 f]({})");
    expect("hermes", MORE("{}") " so " H("{}"), "[0 f]({}) so[1 f]({})");
    expect("mistral", MORE("{}"), MORE("{}"));
}

static void test_mistral(void **state)
{
    (void)state;
    expect("mistral", "[TOOL_CALLS] [" MORE("{}") "]", "[0 f]({})");
    expect("mistral", "[TOOL_CALLS][" MORE("{\"a\": [1]}") "," MORE("{\"b\": \"], {\"}") "]",
           "[0 f]({\"a\": [1]})[1 f]({\"b\": \"], {\"})");
    expect("mistral", "text [TOOL_CALLS] [" MORE("{}") ", " MORE("{}") "] more",
           "text[0 f]({})[1 f]({}) more");
    expect("mistral", "[TOOL_CALLS] get_weather", "[TOOL_CALLS] get_weather");
    expect("mistral", "[TOOL", "[TOOL");
    expect("mistral", "[TOOL_CALLS] [" MORE("{}") ", {\"name\": \"g", "[0 f]({}), {\"name\": \"g");
}

static void test_llama(void **state)
{
    (void)state;
    expect("llama", LLAMA("{}"), "[0 f]({})");
    expect("llama", " \n" LLAMA("{\"a\": 1}") "\n", "[0 f]({\"a\": 1})");
    expect("llama", "<|python_tag|>" LLAMA("{}"), "[0 f]({})");
    expect("llama", LLAMA("{}") "; " LLAMA("{\"a\": 2}"), "[0 f]({})[1 f]({\"a\": 2})");
    expect("llama", LLAMA("{}") " that is it", "[0 f]({}) that is it");
    expect("llama", "<|python_tag|>print(1)", "<|python_tag|>print(1)");
    /* a call is the beginning, or none */
    expect("llama", "So: " LLAMA("{}"), "So: " LLAMA("{}"));
    expect("llama", "{\"name\": \"Ann\"}", "{\"name\": \"Ann\"}");
    expect("llama", "  {\"a\": 1}", "  {\"a\": 1}");
}

/* Beside a form of the text a call is the beginning of all, to the letter, or there is none. */
static void test_formed(void **state)
{
    static const char *const texts[] = {
        "",          "{}",        "<tool_cal", "<tool_call>", "<tool_call> no",
        " " H("{}"), "x" H("{}"), MORE("{}"),
    };

    (void)state;
    expect("+hermes", H("{}"), "[0 f]({})");
    expect("+hermes", H("{\"a\": 1}") "\n" H("{}"), "[0 f]({\"a\": 1})[1 f]({})");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect("+hermes", texts[i], texts[i]);
    expect("+mistral", "[TOOL_CALLS] [" MORE("{}") ", " MORE("{}") "]", "[0 f]({})[1 f]({})");
    expect("+mistral", "[1, [TOOL_CALLS] [" MORE("{}") "]", "[1, [TOOL_CALLS] [" MORE("{}") "]");
    expect("+llama", LLAMA("{}"), "[0 f]({})");
    expect("+llama", "\n" LLAMA("{}"), "\n" LLAMA("{}"));
    expect("+llama", "{\"name\":\"f\",\"parameters\":{}}", "{\"name\":\"f\",\"parameters\":{}}");
    expect("+llama", "<|python_tag|>" LLAMA("{}"), "<|python_tag|>" LLAMA("{}"));
    expect("+llama", "{\"name\": \"g\", \"parameters\": {}}",
           "{\"name\": \"g\", \"parameters\": {}}");
}

/* ---- tokens ---------------------------------------------------------------------------------- */

typedef struct part {
    const char *p;
    bool text;
} part;

#define TOKENS 4000u

/* Texts and calls, and what of both is text. */
typedef struct story {
    char bytes[TOKENS];
    bool text[TOKENS];
    size_t n;
} story;

static void tell(story *s, const part *parts)
{
    s->n = 0;
    for (; parts->p; parts++) {
        for (size_t i = 0; parts->p[i]; i++) {
            assert_true(s->n < TOKENS);
            s->text[s->n] = parts->text;
            s->bytes[s->n++] = parts->p[i];
        }
    }
}

/* Takes what there is: the text goes to `out`, the ids of tokens to `ids`. */
static void take_tokens(rl_tool_reader *r, rl_buf *out, uint32_t *ids, uint32_t *n, uint32_t most)
{
    rl_tool_item item;

    for (;;) {
        bool ready = rl_tool_reader_ready(r);

        assert_int_equal(rl_tool_reader_next(r, &item, SIZE_MAX), ready);
        if (!ready)
            return;
        assert_true(item.n_tokens <= most);
        assert_true(item.n > 0 || item.n_tokens > 0);
        assert_true(item.part == RL_TOOL_TEXT || item.n_tokens == 0);
        if (item.part == RL_TOOL_TEXT)
            (void)rl_buf_add(out, item.p, item.n);
        for (uint32_t i = 0; i < item.n_tokens; i++) {
            assert_true(*n < TOKENS);
            ids[(*n)++] = item.tokens[i].id;
        }
    }
}

/* Every token that has a byte of text comes, in order and once, and no other. Token k is the bytes
 * from k * step on. */
static void check_story(const char *format, const story *s, size_t step, uint32_t most)
{
    rl_tools tools = tools_of(format);
    uint32_t ids[TOKENS], n = 0, want = 0;
    rl_tool_reader r;
    rl_buf out;

    rl_buf_init(&out, 1 << 20);
    rl_tool_reader_init(&r, &tools, most);
    for (size_t at = 0; at < s->n; at += step) {
        rl_stream_token t = { .id = (uint32_t)(at / step) };

        rl_tool_reader_add(&r, s->bytes + at, step < s->n - at ? step : s->n - at);
        rl_tool_reader_add_token(&r, &t);
        take_tokens(&r, &out, ids, &n, most);
    }
    rl_tool_reader_end(&r);
    take_tokens(&r, &out, ids, &n, most);
    for (size_t at = 0, done = 0; at < s->n; at += step) {
        bool text = false;

        for (size_t i = at; i < at + step && i < s->n; i++) {
            text = text || s->text[i];
            if (s->text[i])
                assert_int_equal(out.data[done++], s->bytes[i]);
        }
        if (text && (want == n || ids[want] != at / step))
            fail_msg("%s by %zu: token %zu of %.*s is not there", format, step, at / step,
                     (int)s->n, s->bytes);
        want += text;
    }
    assert_int_equal(n, want);
    assert_false(r.in.failed);
    rl_buf_deinit(&out);
    rl_tool_reader_deinit(&r);
}

static void test_tokens(void **state)
{
    static const part hermes[] = { { "Let me <tool_ see.", true },
                                   { "\n" H("{\"a\": [\"b\", {}]}") "\n" H("{}"), false },
                                   { " so <tool_call> no", true },
                                   { " \n\n" H2("get_weather", "{}") "\n ", false },
                                   { 0 } };
    static const part mistral[] = { { "text", true },
                                    { " [TOOL_CALLS] [" MORE("{}") ", " MORE("{}") "]", false },
                                    { " more ", true },
                                    { 0 } };
    static const part llama[] = { { LLAMA("{}") "; " LLAMA("{\"a\": 2}"), false },
                                  { " that is it", true },
                                  { 0 } };
    static const part plain[] = { { "{\"name\": \"Ann\"} <tool_call> {\"name\" <<tool_call", true },
                                  { 0 } };
    static const struct {
        const char *format;
        const part *parts;
    } rows[] = { { "hermes", hermes }, { "mistral", mistral }, { "llama", llama },
                 { "hermes", plain },  { "mistral", plain },   { "llama", plain } };
    story s;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tell(&s, rows[i].parts);
        for (size_t step = 1; step < 40; step++) {
            check_story(rows[i].format, &s, step, 1);
            check_story(rows[i].format, &s, step, 3);
            check_story(rows[i].format, &s, step, RL_HELD_MAX);
        }
    }
}

/* Tokens without text: they come before the text behind them, those of a call do not, those at the
 * end come at the end; and however many there are, not for ever are they held. */
static void test_tokens_without_text(void **state)
{
    static const char *const pieces[] = { "",   "a", "",      "", " <tool", "",
                                          "_c", "",  H("{}"), "", "b",      "" };
    rl_tools tools = tools_of("hermes");
    uint32_t ids[TOKENS], n = 0, wanted[] = { 0, 1, 2, 3, 4, 5, 6, 9, 10, 11 };
    rl_tool_reader r;
    rl_buf out;

    (void)state;
    rl_buf_init(&out, 1 << 20);
    rl_tool_reader_init(&r, &tools, 2);
    for (uint32_t i = 0; i < 12; i++) {
        rl_stream_token t = { .id = i };

        rl_tool_reader_add(&r, pieces[i], strlen(pieces[i]));
        rl_tool_reader_add_token(&r, &t);
        take_tokens(&r, &out, ids, &n, 2);
    }
    rl_tool_reader_end(&r);
    take_tokens(&r, &out, ids, &n, 2);
    assert_string_equal(out.data, "a <tool_cb");
    for (uint32_t i = 0; i < n; i++)
        if (n != sizeof wanted / sizeof *wanted || ids[i] != wanted[i])
            fail_msg("%u tokens, the one at %u is %u", n, i, ids[i]);
    rl_buf_clear(&out);
    rl_tool_reader_deinit(&r);
    rl_tool_reader_init(&r, &tools, 2);
    rl_tool_reader_add(&r, "<tool_call>", 11);
    n = 0;
    for (uint32_t i = 0; i < 3 * RL_HELD_MAX; i++) {
        rl_stream_token t = { .id = i };

        rl_tool_reader_add_token(&r, &t);
        take_tokens(&r, &out, ids, &n, 2);
        assert_true(rl_held_count(&r.held) < RL_HELD_MAX);
    }
    rl_tool_reader_end(&r);
    take_tokens(&r, &out, ids, &n, 2);
    assert_string_equal(out.data, "<tool_call>");
    assert_int_equal(n, 3 * RL_HELD_MAX);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(ids[i], i);
    assert_false(r.in.failed);
    rl_buf_deinit(&out);
    rl_tool_reader_deinit(&r);
}

/* However long the text is in which a call might yet begin, it is not held for ever. */
static void test_bounds(void **state)
{
    rl_tools tools = tools_of("hermes");
    rl_tool_reader r;
    rl_tool_item item;
    size_t n = 0;

    (void)state;
    rl_tool_reader_init(&r, &tools, 0);
    rl_tool_reader_add(&r, "<tool_call>", 11);
    for (size_t i = 0; i < 100 * RL_TOOL_HOLD; i++) {
        rl_tool_reader_add(&r, " ", 1);
        while (rl_tool_reader_next(&r, &item, SIZE_MAX)) {
            assert_int_equal(item.part, RL_TOOL_TEXT);
            n += item.n;
        }
        assert_true(r.in.len <= 2 * RL_TOOL_HOLD);
    }
    assert_true(n > 90 * RL_TOOL_HOLD);
    rl_tool_reader_deinit(&r);
}

/* A character that does not fit is told of, and is still there. */
static void test_small_room(void **state)
{
    rl_tools tools = tools_of("hermes");
    rl_tool_reader r;
    rl_tool_item item;

    (void)state;
    rl_tool_reader_init(&r, &tools, 0);
    rl_tool_reader_add(&r, "\xe6\x97\xa5x", 4);
    assert_true(rl_tool_reader_next(&r, &item, 2));
    assert_int_equal(item.n, 0);
    assert_true(rl_tool_reader_next(&r, &item, 3));
    assert_int_equal(item.n, 3);
    assert_true(rl_tool_reader_next(&r, &item, 3));
    assert_int_equal(item.n, 1);
    assert_false(rl_tool_reader_next(&r, &item, 3));
    rl_tool_reader_deinit(&r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hermes),     cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_no_calls),   cmocka_unit_test(test_cut),
        cmocka_unit_test(test_bare),       cmocka_unit_test(test_mistral),
        cmocka_unit_test(test_llama),      cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_small_room), cmocka_unit_test(test_formed),
        cmocka_unit_test(test_tokens),     cmocka_unit_test(test_tokens_without_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
