#include "../test.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "load/event.h"
#include "load/rng.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static rl_load_event look(const char *text, size_t n)
{
    char *copy = rl_alloc(n ? n : 1); /* of exactly its size */
    rl_load_event e;

    memcpy(copy, text, n);
    rl_load_event_read(&e, copy, n);
    rl_free(copy);
    return e;
}

static bool overflows(const char *text, size_t n)
{
    json_error_t why;
    json_t *v = json_loadb(text, n, 0, &why);

    json_decref(v);
    return !v && json_error_code(&why) == json_error_numeric_overflow;
}

/* Both readers say the same. -> whether it was valid */
static bool agree(const char *text, size_t n)
{
    rl_load_event a = look(text, n), b;

    if (overflows(text, n))
        return false;
    rl_load_event_read_whole(&b, text, n);
    if (a.kind != b.kind || a.n_texts != b.n_texts || a.has_usage != b.has_usage ||
        a.prompt_tokens != b.prompt_tokens || a.completion_tokens != b.completion_tokens ||
        strcmp(a.error, b.error) != 0)
        fail_msg("kind %d and %d, texts %u and %u: %.*s", (int)a.kind, (int)b.kind, a.n_texts,
                 b.n_texts, (int)n, text);
    return a.kind != RL_LOAD_EVENT_BAD;
}

/* ---- known events ---------------------------------------------------------------------------- */

static void known_events(void **state)
{
    static const struct {
        const char *text;
        rl_load_event_kind kind;
        unsigned n_texts;
    } rows[] = {
        { "[DONE]", RL_LOAD_EVENT_DONE, 0 },
        { "[DONE] ", RL_LOAD_EVENT_BAD, 0 },
        { "{}", RL_LOAD_EVENT_CHUNK, 0 },
        { "[]", RL_LOAD_EVENT_BAD, 0 },
        { "", RL_LOAD_EVENT_BAD, 0 },
        { "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}]}",
          RL_LOAD_EVENT_CHUNK, 0 },
        { "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}",
          RL_LOAD_EVENT_CHUNK, 0 },
        { "{\"choices\":[{\"finish_reason\":null,\"delta\":{\"content\":\" a\"}}],\"id\":\"x\"}",
          RL_LOAD_EVENT_CHUNK, 1 },
        { "{\"choices\":[{\"text\":\"a\"},{\"text\":\"\"},{\"text\":\"\\\"\"}]}",
          RL_LOAD_EVENT_CHUNK, 2 },
        { "{\"choices\":[{\"delta\":{\"reasoning_content\":\"a\"}}]}", RL_LOAD_EVENT_CHUNK, 1 },
        { "{\"choices\":[{\"delta\":{\"tool_calls\":[{}]}}]}", RL_LOAD_EVENT_CHUNK, 1 },
        { "{\"choices\":[{\"delta\":{\"tool_calls\":[]}}]}", RL_LOAD_EVENT_CHUNK, 0 },
        { "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}", RL_LOAD_EVENT_CHUNK, 1 },
        { "{\"content\":\"a\",\"delta\":{\"content\":\"a\"}}", RL_LOAD_EVENT_CHUNK, 0 },
        { "{\"choices\":[{\"x\":{\"content\":\"a\"}}]}", RL_LOAD_EVENT_CHUNK, 0 },
        { "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"choices\":[]}", RL_LOAD_EVENT_CHUNK,
          0 },
        { "{\"choices\":[{\"delta\":{\"c\\u006fntent\":\"a\"}}]}", RL_LOAD_EVENT_CHUNK, 1 },
        { "{\"usage\":null,\"error\":null}", RL_LOAD_EVENT_CHUNK, 0 },
        { "{\"usage\":{\"prompt_tokens\":1}}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":-1}}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1.5}}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"error\":{}}", RL_LOAD_EVENT_ERROR, 0 },
        { "{\"error\":5}", RL_LOAD_EVENT_ERROR, 0 },
        { "{\"a\":1,}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"a\":[1,]}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"a\":01}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"a\":nullx}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"a\":\"\\ud800\"}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"a\":\"\\u0000\"}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"a\":\"\xff\"}", RL_LOAD_EVENT_BAD, 0 },
        { "{\"a\":1}x", RL_LOAD_EVENT_BAD, 0 },
        { "{\"a\":1", RL_LOAD_EVENT_BAD, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rl_load_event e = look(rows[i].text, strlen(rows[i].text));

        if (e.kind != rows[i].kind || e.n_texts != rows[i].n_texts)
            fail_msg("kind %d, %u texts: %s", (int)e.kind, e.n_texts, rows[i].text);
        (void)agree(rows[i].text, strlen(rows[i].text));
    }
}

static void usage_and_error_are_read(void **state)
{
    static const char usage[] = "{\"choices\":[],\"usage\":{\"completion_tokens\":64,"
                                "\"prompt_tokens\":238,\"total_tokens\":302}}";
    static const char error[] = "{\"error\":{\"code\":500,\"message\":\"no \\\"room\\\"\"}}";
    rl_load_event e = look(usage, sizeof usage - 1);

    (void)state;
    assert_true(e.has_usage);
    assert_int_equal(e.prompt_tokens, 238);
    assert_int_equal(e.completion_tokens, 64);
    e = look(error, sizeof error - 1);
    assert_int_equal(e.kind, RL_LOAD_EVENT_ERROR);
    assert_string_equal(e.error, "no \"room\"");
}

static void depth_is_no_danger(void **state)
{
    enum { DEEP = 100000 };
    char *text = rl_alloc(DEEP);
    static const char head[] = "{\"a\":";

    (void)state;
    memset(text, '[', DEEP);
    memcpy(text, head, sizeof head - 1);
    assert_int_equal(look(text, DEEP).kind, RL_LOAD_EVENT_BAD);
    for (size_t n = 1; n < 100; n++) { /* around the depth where jansson takes over */
        memset(text, '[', DEEP);
        memcpy(text, head, sizeof head - 1);
        memset(text + sizeof head - 1 + n, ']', n);
        text[sizeof head - 1 + 2 * n] = '}';
        assert_true(agree(text, sizeof head + 2 * n));
    }
    rl_free(text);
}

/* ---- random events --------------------------------------------------------------------------- */

static const char *const names[] = {
    "choices",
    "delta",
    "message",
    "content",
    "text",
    "reasoning_content",
    "refusal",
    "usage",
    "error",
    "tool_calls",
    "id",
    "index",
    "prompt_tokens",
    "completion_tokens",
    "x",
    "",
    "cont\\u0065nt",
};
static const char *const strings[] = {
    "",           "a", "\\n", "\\u00e4", "\\\"", "\xc3\xa4", "\\ud83d\\ude00", "data: [DONE]",
    "{\\\"a\\\"", " "
};
static const char *const plain[] = { "null", "true", "false", "0", "-1", "12", "1.5", "2e3", "-0" };

static unsigned draw(rl_load_rng *r, unsigned n)
{
    return (unsigned)(rl_load_rng_next(r) % n);
}

static void gap(rl_load_rng *r, rl_buf *out)
{
    if (draw(r, 8) == 0)
        (void)rl_buf_adds(out, draw(r, 2) ? " " : "\n\t");
}

static void value(rl_load_rng *r, rl_buf *out, unsigned depth, const char *name);

static void object(rl_load_rng *r, rl_buf *out, unsigned depth)
{
    unsigned n = draw(r, 5);

    (void)rl_buf_adds(out, "{");
    for (unsigned i = 0; i < n; i++) {
        const char *name = names[draw(r, sizeof names / sizeof *names)];

        gap(r, out);
        (void)rl_buf_addf(out, "%s\"%s\"", i ? "," : "", name);
        gap(r, out);
        (void)rl_buf_adds(out, ":");
        value(r, out, depth, name);
    }
    gap(r, out);
    (void)rl_buf_adds(out, "}");
}

static void array(rl_load_rng *r, rl_buf *out, unsigned depth)
{
    unsigned n = draw(r, 4);

    (void)rl_buf_adds(out, "[");
    for (unsigned i = 0; i < n; i++) {
        if (i)
            (void)rl_buf_adds(out, ",");
        if (draw(r, 3))
            object(r, out, depth);
        else
            value(r, out, depth, "");
    }
    (void)rl_buf_adds(out, "]");
}

/* Mostly of the kind that belongs to the name. */
static void value(rl_load_rng *r, rl_buf *out, unsigned depth, const char *name)
{
    unsigned kind = draw(r, 5);

    if (draw(r, 4)) {
        kind = strstr("choices tool_calls", name) && *name               ? 0
               : strstr("delta message usage", name) && *name            ? 1
               : strstr("content text reasoning_content", name) && *name ? 2
                                                                         : kind;
    }
    gap(r, out);
    if (kind == 0 && depth)
        array(r, out, depth - 1);
    else if (kind == 1 && depth)
        object(r, out, depth - 1);
    else if (kind <= 2)
        (void)rl_buf_addf(out, "\"%s\"", strings[draw(r, sizeof strings / sizeof *strings)]);
    else
        (void)rl_buf_adds(out, plain[draw(r, sizeof plain / sizeof *plain)]);
}

/* Changes, drops or doubles a byte. */
static void harm(rl_load_rng *r, rl_buf *text)
{
    static const char bytes[] = "{}[]\",:\\u0e1.-ntf \x01\x80\xc3\xff";
    size_t at = draw(r, (unsigned)text->len);
    char c = bytes[draw(r, sizeof bytes)]; /* the NUL too */

    switch (draw(r, 3)) {
    case 0:
        text->data[at] = c;
        break;
    case 1:
        memmove(text->data + at, text->data + at + 1, text->len - at);
        text->len--;
        break;
    default:
        (void)rl_buf_add(text, "", 1);
        memmove(text->data + at + 1, text->data + at, text->len - at - 1);
        text->data[at] = c;
    }
}

static void random_events_read_as_jansson_does(void **state)
{
    rl_load_rng r = { 20261122 };
    unsigned valid = 0, texts = 0, harmed = 0;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        rl_buf text;

        rl_buf_init(&text, 1 << 20);
        object(&r, &text, 6);
        assert_false(text.failed);
        valid += agree(text.data, text.len);
        texts += look(text.data, text.len).n_texts > 0;
        for (unsigned k = draw(&r, 3); k > 0 && text.len > 1; k--)
            harm(&r, &text);
        harmed += !agree(text.data, text.len);
        rl_buf_deinit(&text);
    }
    assert_true(valid > 15000 && texts > 100 && harmed > 2000); /* all kinds were there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_events),
        cmocka_unit_test(usage_and_error_are_read),
        cmocka_unit_test(depth_is_no_danger),
        cmocka_unit_test(random_events_read_as_jansson_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
