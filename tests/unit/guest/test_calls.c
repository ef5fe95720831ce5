/* Calls of tools on the real engine and a tiny model with random weights: what a guest's stream
 * gives when the model must call. */
#include "calls_bed.h"

#include <stdio.h>
#include <string.h>

static void test_required(void **state)
{
    uint32_t both = 0, most = 0;

    (void)state;
    for (int seed = 0; seed < 100; seed++) {
        char request[2048];
        bed_out out;
        calls c;

        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":\"required\",\"seed\":%d,\"max_tokens\":1000}", seed);
        bed_stream(SPLICE(0), request, &out);
        assert_int_equal(out.text.len, 0);
        calls_read(&c, &out, 0);
        assert_int_equal(c.text.len, 0);
        assert_true(c.n >= 1);
        assert_string_equal(c.finish, "tool_calls");
        calls_check(&c);
        both |= strcmp(c.name[0], "light") == 0 ? 1 : 2;
        most = c.n > most ? c.n : most;
        calls_free(&c);
        bed_free(&out);
    }
    assert_int_equal(both, 3);
    assert_true(most > 1);
}

static void test_one(void **state)
{
    (void)state;
    for (int seed = 0; seed < 20; seed++) {
        char request[2048];
        bed_out out;
        calls c;

        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":\"required\",\"parallel_tool_calls\":false,"
                             "\"seed\":%d,\"max_tokens\":1000}",
                       seed);
        bed_stream(SPLICE(0), request, &out);
        calls_read(&c, &out, 0);
        assert_int_equal(c.n, 1);
        assert_string_equal(c.finish, "tool_calls");
        calls_check(&c);
        calls_free(&c);
        bed_free(&out);
        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
                             "\"light\"}},\"seed\":%d,\"max_tokens\":1000,\"regex\":\"wins not\"}",
                       seed);
        bed_stream(SPLICE(0), request, &out);
        calls_read(&c, &out, 0);
        assert_int_equal(c.n, 1);
        assert_string_equal(c.name[0], "light");
        assert_string_equal(c.finish, "stop");
        calls_check(&c);
        calls_free(&c);
        bed_free(&out);
    }
}

/* The same events one by one, whatever the room; and stream_read gives none of a call. */
static void test_events(void **state)
{
    static const char request[] =
        TOOLS "\"tool_choice\":\"required\",\"seed\":5,\"max_tokens\":1000}";
    bed_out spliced, out;
    calls a, b;

    (void)state;
    bed_stream(SPLICE(0), request, &spliced);
    calls_read(&a, &spliced, 0);
    bed_stream(WAIT_COPY("event", "emit_event", 4096), request, &out);
    calls_read(&b, &out, 0);
    assert_int_equal(a.n, b.n);
    for (uint32_t i = 0; i < a.n; i++) {
        assert_string_equal(a.args[i].data, b.args[i].data);
        assert_string_equal(a.name[i], b.name[i]);
    }
    calls_free(&b);
    bed_free(&out);
    bed_stream(WAIT_COPY("event", "emit_event", 256), request, &out);
    calls_read(&b, &out, 0);
    assert_int_equal(a.n, b.n);
    assert_string_equal(a.args[0].data, b.args[0].data);
    calls_free(&b);
    bed_free(&out);
    bed_stream(WAIT_COPY("read", "emit", 100), request, &out);
    assert_int_equal(out.text.len, 0);
    bed_free(&out);
    bed_expect(bed_rt, bed_streamer("(call $event (local.get $s) (i32.const 0) (i32.const 255))"),
               bed_with(request), REALM_ESPACE, "256 bytes");
    calls_free(&a);
    bed_free(&spliced);
}

/* A call may be cut like any text. */
static void test_cut(void **state)
{
    bed_out out;
    calls c;

    (void)state;
    for (int most = 1; most < 60; most += 6) {
        char request[2048];

        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
                             "\"light\"}},\"seed\":1,\"max_tokens\":%d}",
                       most);
        bed_stream(SPLICE(0), request, &out);
        calls_read(&c, &out, 0);
        assert_true(c.n + (c.text.len > 0) == 1); /* the beginning is text, or a call */
        if (out.result.generated_tokens == (uint64_t)most)
            assert_string_equal(c.finish, "length");
        calls_free(&c);
        bed_free(&out);
    }
}

/* A marker that is a control token gives no text by itself, and no text can be it: both the grammar
 * and the reader know it by its number. With auto the model is made to begin by its bias. */
static void test_control_token(void **state)
{
    static const char *const choices[] = { "\"required\"", "\"auto\",\"logit_bias\":{\"3\":1000}" };

    (void)state;
    for (int k = 0; k < 40; k++) {
        char request[2048];
        bed_out out;
        calls c;

        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":%s,\"parallel_tool_calls\":false,\"seed\":%d,"
                             "\"max_tokens\":1000}",
                       choices[k % 2], k);
        bed_stream_on("mistral", SPLICE(0), request, &out);
        calls_read(&c, &out, 0);
        assert_int_equal(c.n, 1);
        assert_int_equal(c.text.len, 0);
        assert_string_equal(c.finish, "tool_calls");
        calls_check(&c);
        calls_free(&c);
        bed_free(&out);
    }
}

/* An event's choice is the stream's own and what emit_stream adds to it. */
static void test_choice(void **state)
{
    static const char text[] = USER "\"seed\":5,\"max_tokens\":8,\"choice\":2}";
    static const char request[] =
        TOOLS "\"params\":{\"choice\":2},\"tool_choice\":\"required\",\"max_tokens\":1000}";
    bed_out out;
    calls c;

    (void)state;
    bed_stream(SPLICE(0), request, &out);
    calls_read(&c, &out, 2);
    assert_true(c.n >= 1);
    calls_free(&c);
    bed_free(&out);
    bed_stream(SPLICE(3), text, &out);
    assert_int_equal(out.text.len, 0);
    calls_read(&c, &out, 5);
    assert_true(c.text.len > 0);
    calls_free(&c);
    bed_free(&out);
    bed_stream(WAIT_COPY("event", "emit_event", 4096), text, &out);
    calls_read(&c, &out, 2);
    assert_true(c.text.len > 0);
    calls_free(&c);
    bed_free(&out);
}

static void test_refused(void **state)
{
    static const struct {
        const char *request, *text;
        realm_status st;
    } bad[] = {
        { "{\"prompt\":\"a\",\"tools\":[" HALT "]}", "tools need messages", REALM_EINVAL },
        { TOOLS "\"json_schema\":7}", "json_schema must be", REALM_EINVAL },
        { TOOLS "\"params\":{\"regex\":\"(\"}}", "the grammar does not compile", REALM_EINVAL },
        { TOOLS "\"regex\":\"a\",\"lark\":\"start: \\\"a\\\"\"}", "one grammar", REALM_EINVAL },
        { USER "\"tools\":[" HALT "," HALT "]}", "tools[1]", REALM_EINVAL },
        { USER "\"tool_choice\":\"required\"}", "there are no tools", REALM_EINVAL },
        { USER "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
               "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/none\"}}}}}]}",
          "tools: ", REALM_EINVAL },
        { USER "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
               "{\"type\":\"array\"}}}],\"tool_choice\":\"none\",\"max_tokens\":0}",
          "max_tokens", REALM_EINVAL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        bed_expect(bed_rt, bed_streamer(SPLICE(0)), bed_with(bad[i].request), bad[i].st,
                   bad[i].text);
}

/* A conversation with calls and results in it goes through a template that knows none. */
static void test_conversation(void **state)
{
    bed_out out;

    (void)state;
    bed_stream(SPLICE(0),
               "{\"messages\":[{\"role\":\"user\",\"content\":\"light?\"},"
               "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\","
               "\"type\":\"function\",\"function\":{\"name\":\"halt\",\"arguments\":\"{}\"}}]},"
               "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"done\"}],"
               "\"tools\":[" HALT "],\"max_tokens\":5}",
               &out);
    assert_int_equal(out.result.generated_tokens, 5);
    bed_free(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_required),      cmocka_unit_test(test_one),
        cmocka_unit_test(test_events),        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_control_token), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_conversation),
    };

    return cmocka_run_group_tests(tests, calls_open, bed_close_tiny);
}
