/* Replies of a model that has tools and may answer without them: text beside calls, its tokens, and
 * the form that a Request gives it. */
#include "calls_bed.h"

#include <stdio.h>
#include <string.h>

/* Random weights hardly ever call anything: with auto it is text, in events; with none, as ever. */
static void test_text(void **state)
{
    bed_out out, bare;
    calls c;

    (void)state;
    bed_stream(SPLICE(0), TOOLS "\"seed\":5,\"max_tokens\":30}", &out);
    assert_int_equal(out.text.len, 0);
    calls_read(&c, &out, 0);
    assert_int_equal(c.n, 0);
    assert_true(c.text.len > 0);
    assert_string_equal(c.finish, "length");
    calls_free(&c);
    bed_free(&out);
    bed_stream(SPLICE(0), TOOLS "\"seed\":5,\"max_tokens\":30,\"tool_choice\":\"none\"}", &out);
    bed_stream(SPLICE(0), USER "\"seed\":5,\"max_tokens\":30}", &bare);
    assert_string_equal(out.text.data, bare.text.data);
    assert_string_equal(out.events.data, bare.events.data);
    assert_int_equal(out.result.prompt_tokens, bare.result.prompt_tokens);
    bed_free(&bare);
    /* with auto the prompt tells of the tools, and the grammar moves no draw */
    bed_stream(SPLICE(0), TOOLS "\"seed\":5,\"max_tokens\":30}", &bare);
    assert_true(bare.result.prompt_tokens > out.result.prompt_tokens + 100);
    bed_free(&bare);
    bed_free(&out);
}

/* Text has its tokens as it has them without tools, calls have none. */
static void test_logprobs(void **state)
{
    static const char *const more[] = { "", ",\"top_logprobs\":3", ",\"top_logprobs\":20" };
    static const uint32_t most[] = { 21, 5, 1 };
    char request[2048];
    bed_out out;
    calls c;

    (void)state;
    for (int k = 0; k < 30; k++) {
        (void)snprintf(request, sizeof request,
                       TOOLS "\"seed\":%d,\"max_tokens\":40,\"logprobs\":true%s}", k, more[k % 3]);
        bed_stream(k % 2 ? SPLICE(0) : WAIT_COPY("event", "emit_event", 65536), request, &out);
        calls_read(&c, &out, 0);
        if (c.n == 0) {
            assert_int_equal(c.n_tokens, 40);
            assert_string_equal(c.tokens.data, c.text.data);
            assert_true(c.most_tokens <= most[k % 3]);
        }
        calls_free(&c);
        bed_free(&out);
        (void)snprintf(request, sizeof request,
                       TOOLS "\"seed\":%d,\"max_tokens\":1000,\"logprobs\":true%s,"
                             "\"tool_choice\":\"required\"}",
                       k, more[k % 3]);
        bed_stream(SPLICE(0), request, &out);
        calls_read(&c, &out, 0);
        assert_true(c.n >= 1 && c.n_tokens == 0 && c.text.len == 0);
        calls_check(&c);
        calls_free(&c);
        bed_free(&out);
    }
    bed_stream(WAIT_COPY("read", "emit", 100),
               TOOLS "\"seed\":5,\"max_tokens\":40,\"logprobs\":true}", &out);
    assert_true(out.text.len > 40);
    bed_free(&out);
    bed_expect(bed_rt, bed_streamer("(call $event (local.get $s) (i32.const 0) (i32.const 65535))"),
               bed_with(TOOLS "\"logprobs\":true}"), REALM_ESPACE, "65536 bytes");
}

/* Where the Request has a form for the text too, each reply is calls or has the form. */
static void test_formed(void **state)
{
    static const char *const models[] = { "tiny", "mistral" };

    (void)state;
    for (int k = 0; k < 4; k++) {
        uint32_t called = 0, said = 0;

        for (int seed = 0; seed < 40; seed++) {
            char request[2048];
            bed_out out;
            calls c;

            (void)snprintf(request, sizeof request,
                           TOOLS "\"seed\":%d,\"max_tokens\":1000,\"logprobs\":%s,"
                                 "\"parallel_tool_calls\":false,\"regex\":\"(yes|no)[0-9]{2}\","
                                 "\"logit_bias\":{\"3\":%d}}",
                           seed, k % 2 ? "true" : "false", k / 2 && seed % 4 == 0 ? 1000 : 0);
            bed_stream_on(models[k / 2], SPLICE(0), request, &out);
            calls_read(&c, &out, 0);
            calls_check(&c);
            if (c.n > 0) {
                called++;
                assert_int_equal(c.text.len, 0);
                assert_string_equal(c.finish, "tool_calls");
            } else {
                size_t n = c.text.len;

                said++;
                assert_true(n == 4 || n == 5);
                assert_memory_equal(c.text.data, n == 4 ? "no" : "yes", n - 2);
                assert_int_equal(strspn(c.text.data + n - 2, "0123456789"), 2);
                assert_string_equal(c.finish, "stop");
            }
            assert_int_equal(c.n_tokens > 0, k % 2 && c.n == 0);
            calls_free(&c);
            bed_free(&out);
        }
        if (called == 0 || said == 0)
            fail_msg("%s: %u called, %u said", models[k / 2], called, said);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_formed),
    };

    return cmocka_run_group_tests(tests, calls_open, bed_close_tiny);
}
