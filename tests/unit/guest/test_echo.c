/* Echoes: a prompt's text and tokens before what is drawn, in every way to read a stream. */
#include "stream_bed.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

typedef struct told {
    uint32_t ids[2100], n, n_nulls; /* n_nulls: tokens without a prediction */
    double logprobs[2100];
    rl_buf text, joined; /* of the deltas; of their tokens */
} told;

static void add_token(told *t, const json_t *token, size_t n_top)
{
    const json_t *logprob = json_object_get(token, "logprob"), *top = json_object_get(token, "top");

    assert_true(t->n < 2100);
    t->n_nulls += json_is_null(logprob);
    if (t->n == 0 && json_is_null(logprob)) {
        assert_true(json_is_null(top));
    } else {
        assert_true(json_is_number(logprob) && json_number_value(logprob) <= 0);
        assert_int_equal(json_array_size(top), n_top);
    }
    t->ids[t->n] = (uint32_t)json_integer_value(json_object_get(token, "id"));
    t->logprobs[t->n++] = json_number_value(logprob);
    (void)rl_buf_adds(&t->joined, json_string_value(json_object_get(token, "text")));
}

/* What a spliced stream with logprobs says. */
static void hear(told *t, const char *request, size_t n_top)
{
    json_t *e, *token;
    char *line, *end;
    bed_out out;
    size_t i;

    bed_stream(SPLICE(0), request, &out);
    *t = (told){ .n = 0 };
    rl_buf_init(&t->text, 1 << 20);
    rl_buf_init(&t->joined, 1 << 20);
    for (line = out.events.data; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        e = json_loadb(line, (size_t)(end - line), 0, NULL);
        assert_non_null(e);
        assert_true(end - line < 65536);
        if (json_object_get(e, "text"))
            (void)rl_buf_adds(&t->text, json_string_value(json_object_get(e, "text")));
        json_array_foreach(json_object_get(e, "tokens"), i, token) add_token(t, token, n_top);
        json_decref(e);
    }
    bed_free(&out);
}

static void forget(told *t)
{
    rl_buf_deinit(&t->text);
    rl_buf_deinit(&t->joined);
}

/* Text and ids come back before what is drawn, in every way to read. */
static void test_echo(void **state)
{
    static const char ids[] = "{\"ids\":[300,301,302],\"echo\":true,\"max_tokens\":0}";
    char expected[512];
    rl_buf want;
    bed_out out;

    (void)state;
    bed_direct(24, &want);
    (void)snprintf(expected, sizeof expected, BED_PROMPT "%s", want.data);
    bed_stream(SPLICE(0), REQUEST(",\"echo\":true"), &out);
    assert_string_equal(out.text.data, expected);
    assert_int_equal(out.result.generated_tokens, 24);
    bed_free(&out);
    bed_stream(COPY("read"), REQUEST(",\"echo\":true"), &out);
    assert_string_equal(out.text.data, expected);
    bed_free(&out);
    bed_stream(COPY("event"), REQUEST(",\"echo\":true"), &out);
    assert_non_null(strstr(out.text.data, "\"completion_tokens\":24,"));
    bed_free(&out);
    bed_stream(SPLICE(0), ids, &out);
    assert_int_equal(out.text.len, 3); /* letters */
    assert_int_equal(out.result.prompt_tokens, 3);
    assert_int_equal(out.result.generated_tokens, 0);
    assert_non_null(strstr(out.events.data, "\"reason\":\"length\""));
    bed_free(&out);
    rl_buf_deinit(&want);
}

#define SCORED ",\"logprobs\":true,\"top_logprobs\":3"

/* A token of a prompt has the number that it had when it was drawn. */
static void test_echo_tokens(void **state)
{
    static told before, whole, again;
    char request[2048];
    rl_buf b;

    (void)state;
    hear(&before, REQUEST(SCORED), 3);
    hear(&whole, REQUEST(SCORED ",\"echo\":true"), 3);
    assert_int_equal(before.n, 24);
    assert_int_equal(before.n_nulls, 0);
    assert_int_equal(whole.n_nulls, 1);
    assert_string_equal(whole.text.data, whole.joined.data);
    assert_memory_equal(whole.text.data, BED_PROMPT, strlen(BED_PROMPT));
    assert_string_equal(whole.text.data + strlen(BED_PROMPT), before.text.data);
    rl_buf_init(&b, sizeof request); /* all of it as a prompt, behind the BOS that was added */
    (void)rl_buf_adds(&b, "{\"ids\":[1");
    for (uint32_t i = 0; i < whole.n; i++)
        (void)rl_buf_addf(&b, ",%u", whole.ids[i]);
    (void)rl_buf_adds(&b, "],\"echo\":true,\"max_tokens\":0" SCORED "}");
    hear(&again, b.data, 3);
    assert_int_equal(again.n, whole.n + 1);
    assert_memory_equal(again.ids + 1, whole.ids, whole.n * sizeof *whole.ids);
    for (uint32_t i = 1; i < whole.n; i++)
        assert_true(again.logprobs[i + 1] == whole.logprobs[i]);
    for (uint32_t i = 0; i < 24; i++)
        assert_true(whole.logprobs[whole.n - 24 + i] == before.logprobs[i]);
    rl_buf_deinit(&b);
    forget(&before);
    forget(&whole);
    forget(&again);
}

/* In events of the size that any stream's have. */
static void test_echo_of_a_long_prompt(void **state)
{
    static told long_one;
    char prompt[2001], request[3000];

    (void)state;
    for (size_t i = 0; i < 2000; i++)
        prompt[i] = (char)('A' + i * i % 26);
    prompt[2000] = 0;
    (void)snprintf(request, sizeof request,
                   "{\"prompt\":\"%s\",\"echo\":true,\"max_tokens\":0,\"logprobs\":true,"
                   "\"top_logprobs\":5}",
                   prompt);
    hear(&long_one, request, 5);
    assert_int_equal(long_one.n, 2000);
    assert_string_equal(long_one.text.data, prompt);
    assert_string_equal(long_one.joined.data, prompt);
    forget(&long_one);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_echo_tokens),
        cmocka_unit_test(test_echo_of_a_long_prompt),
    };

    return cmocka_run_group_tests(tests, bed_open_tiny, bed_close_tiny);
}
