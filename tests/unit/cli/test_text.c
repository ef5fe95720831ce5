#include "../test.h"

#include "cli/text.h"

#include <string.h>

static void expect_escaped(const char *s, size_t n, const char *want)
{
    rl_buf out;

    rl_buf_init(&out, 4096);
    rl_text_escape(&out, s, n);
    assert_string_equal(out.data ? out.data : "", want);
    rl_buf_deinit(&out);
}

static void what_steers_a_terminal_is_written_out(void **state)
{
    (void)state;
    expect_escaped("", 0, "");
    expect_escaped("größe 日本 🎉", strlen("größe 日本 🎉"), "größe 日本 🎉");
    expect_escaped("a\tb\n", 4, "a\\tb\\n");
    expect_escaped("\033[2J\x7f\r", 6, "\\x1b[2J\\x7f\\x0d");
    expect_escaped("a\0b", 3, "a\\x00b");
    expect_escaped("\xc2\x9b"
                   "2J",
                   4, "\\xc2\\x9b2J"); /* CSI as one character */
    expect_escaped("\x9b\xff", 2, "\\x9b\\xff");
    expect_escaped("\xe6\x97", 2, "\\xe6\\x97"); /* half of a character */
}

static void expect_wrapped(const char *text, size_t at, size_t indent, size_t columns,
                           const char *want)
{
    rl_buf out;

    rl_buf_init(&out, 4096);
    rl_text_wrap(&out, text, at, indent, columns);
    assert_string_equal(out.data, want);
    rl_buf_deinit(&out);
}

static void lines_break_at_spaces(void **state)
{
    (void)state;
    expect_wrapped("", 0, 0, 10, "\n");
    expect_wrapped("one two three", 0, 0, 80, "one two three\n");
    expect_wrapped("one two three", 0, 0, 7, "one two\nthree\n");
    expect_wrapped("one two three", 0, 0, 6, "one\ntwo\nthree\n");
    expect_wrapped("one two three", 4, 4, 11, "one two\n    three\n");
    expect_wrapped("a longerword b", 0, 2, 5, "a\n  longerword\n  b\n"); /* it stays whole */
}

static void characters_are_counted_not_bytes(void **state)
{
    (void)state;
    assert_int_equal(rl_text_width(""), 0);
    assert_int_equal(rl_text_width("größe"), 5);
    assert_int_equal(rl_text_width("░█"), 2);
    assert_int_equal(rl_text_width("\xff\xff"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_steers_a_terminal_is_written_out),
        cmocka_unit_test(lines_break_at_spaces),
        cmocka_unit_test(characters_are_counted_not_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
