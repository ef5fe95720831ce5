/* Replies in open forms, on the real engine and a tiny model with random weights, which would
 * hardly ever close what it opened: within max_tokens each is complete, valid and ended by itself.
 */
#include "calls_bed.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define RUNS 125 /* of each kind: 500 in all */

#define STORY                                                                                      \
    "{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"rows\":{\"type\":"     \
    "\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"},"        \
    "\"v\":{\"type\":\"number\"}},\"required\":[\"k\",\"v\"]}}},\"required\":[\"title\","          \
    "\"rows\"],\"additionalProperties\":false}"
#define NOTE                                                                                       \
    "{\"type\":\"function\",\"function\":{\"name\":\"note\",\"parameters\":{\"type\":\"object\","  \
    "\"properties\":{\"text\":{\"type\":\"string\"},\"tags\":{\"type\":\"array\",\"items\":"       \
    "{\"type\":\"string\"}}},\"required\":[\"text\"]}}}"
#define LONG                                                                                       \
    "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\",\"minLength\":1500}},"     \
    "\"required\":[\"text\"],\"additionalProperties\":false}"
#define FORCED USER "\"tools\":[" NOTE "," HALT "],\"tool_choice\":\"required\","

static const json_t *text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    assert_true(json_is_string(v));
    return v;
}

static void check_story(const json_t *o)
{
    const json_t *rows = json_object_get(o, "rows"), *row;
    size_t i;

    assert_int_equal(json_object_size(o), 2);
    assert_non_null(text_of(o, "title"));
    assert_true(json_is_array(rows));
    json_array_foreach(rows, i, row)
    {
        assert_non_null(text_of(row, "k"));
        assert_true(json_is_number(json_object_get(row, "v")));
    }
}

static json_t *object_of(const rl_buf *text)
{
    json_error_t why;
    json_t *o = json_loadb(text->data ? text->data : "", text->len, 0, &why);

    if (!json_is_object(o))
        fail_msg("%s: %.*s", why.text, (int)text->len, text->data);
    return o;
}

static void run(const char *request, int most, calls *c)
{
    bed_out out;

    bed_stream(WAIT_COPY("event", "emit_event", 8192), request, &out);
    calls_read(c, &out, 0);
    if (strcmp(c->finish, "length") == 0)
        fail_msg("cut: %s -> %s", request, out.events.data);
    assert_true(out.result.generated_tokens < (uint64_t)most); /* the end is one of them */
    bed_free(&out);
}

static void texts(const char *form, int least, void (*check)(const json_t *o))
{
    int longest = 0;

    for (int seed = 0; seed < RUNS; seed++) {
        int most = least + seed % 60;
        char request[2048];
        json_t *o;
        calls c;

        (void)snprintf(request, sizeof request,
                       USER "\"json_schema\":%s,\"seed\":%d,\"max_tokens\":%d}", form, seed, most);
        run(request, most, &c);
        assert_string_equal(c.finish, "stop");
        o = object_of(&c.text);
        if (check)
            check(o);
        longest = (int)c.text.len > longest ? (int)c.text.len : longest;
        json_decref(o);
        calls_free(&c);
    }
    assert_true(longest > 40); /* what there is room for is used */
}

static void test_object(void **state)
{
    (void)state;
    texts("{\"type\":\"object\"}", 3, NULL);
}

static void test_schema(void **state)
{
    (void)state;
    texts(STORY, 30, check_story);
}

static void forced(bool parallel)
{
    uint32_t many = 0;

    for (int seed = 0; seed < RUNS; seed++) {
        int most = 110 + seed % 300;
        char request[2048];
        calls c;

        (void)snprintf(request, sizeof request,
                       FORCED "\"parallel_tool_calls\":%s,\"seed\":%d,\"max_tokens\":%d}",
                       parallel ? "true" : "false", seed, most);
        run(request, most, &c);
        assert_string_equal(c.finish, "tool_calls");
        assert_int_equal(c.text.len, 0);
        assert_true(c.n >= 1 && (parallel || c.n == 1));
        for (uint32_t i = 0; i < c.n; i++) {
            json_t *o = object_of(&c.args[i]);

            if (strcmp(c.name[i], "note") == 0)
                assert_non_null(text_of(o, "text"));
            else
                assert_int_equal(json_object_size(o), 0);
            json_decref(o);
        }
        many += c.n > 1;
        calls_free(&c);
    }
    assert_true(!parallel || many > 0);
}

static void test_calls(void **state)
{
    (void)state;
    forced(false);
}

static void test_parallel_calls(void **state)
{
    (void)state;
    forced(true);
}

/* The same request again is the same reply, however many others there were beside it. */
static void test_the_same_again(void **state)
{
    static const char request[] = USER "\"json_schema\":" STORY ",\"seed\":7,\"max_tokens\":45}";
    calls a, b;

    (void)state;
    run(request, 45, &a);
    run(request, 45, &b);
    assert_string_equal(a.text.data, b.text.data);
    calls_free(&a);
    calls_free(&b);
}

/* The context is an end like max_tokens. */
static void test_context(void **state)
{
    (void)state;
    for (int seed = 0; seed < 6; seed++) {
        char request[2048];
        json_t *o;
        calls c;

        (void)snprintf(request, sizeof request,
                       USER "\"json_schema\":" LONG ",\"seed\":%d,\"max_tokens\":100000}", seed);
        run(request, 100000, &c);
        o = object_of(&c.text);
        assert_true(c.text.len > 1500);
        json_decref(o);
        calls_free(&c);
    }
}

/* What cannot be complete in time is cut, as ever. */
static void test_no_room(void **state)
{
    bed_out out;
    calls c;

    (void)state;
    bed_stream(SPLICE(0), FORCED "\"seed\":1,\"max_tokens\":12}", &out);
    calls_read(&c, &out, 0);
    assert_string_equal(c.finish, "length");
    calls_free(&c);
    bed_free(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object),         cmocka_unit_test(test_schema),
        cmocka_unit_test(test_calls),          cmocka_unit_test(test_parallel_calls),
        cmocka_unit_test(test_the_same_again), cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_context),
    };

    return cmocka_run_group_tests(tests, calls_open, bed_close_tiny);
}
