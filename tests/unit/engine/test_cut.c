#include "../test.h"

#include "engine/cut.h"

#include "base/utf8.h"

#include <string.h>

/* Feeds `text` in pieces of n bytes (to whole characters), -> what came out in all */
static void feed(rl_cut *c, const char *text, size_t n, rl_buf *out)
{
    size_t len = strlen(text), at = 0;

    rl_buf_init(out, 1 << 20);
    while (at < len) {
        size_t m = n < len - at ? n : len - at;

        while (rl_utf8_whole(text + at, m) != m)
            m++;
        rl_cut_add(c, text + at, m, out);
        at += m;
    }
    rl_cut_flush(c, out);
    assert_false(out->failed);
}

static void expect(const char *const *stops, uint32_t n_stops, size_t max_bytes, const char *text,
                   const char *want, const char *finish)
{
    for (size_t n = 1; n <= strlen(text) + 1; n++) {
        rl_cut c;
        rl_buf out;

        assert_int_equal(rl_cut_init(&c, stops, n_stops, max_bytes, NULL), REALM_OK);
        feed(&c, text, n, &out);
        assert_string_equal(out.data ? out.data : "", want);
        assert_int_equal(c.n_released, strlen(want));
        if (finish)
            assert_string_equal(c.finish, finish);
        else
            assert_null(c.finish);
        rl_buf_deinit(&out);
        rl_cut_deinit(&c);
    }
}

static void stops_at_the_first_one(void **state)
{
    (void)state;
    expect((const char *[]){ "END" }, 1, 0, "one END two END", "one ", "stop");
    expect((const char *[]){ "two", "ne" }, 2, 0, "one two", "o", "stop");
    expect((const char *[]){ "abab" }, 1, 0, "ababab", "", "stop");
    expect((const char *[]){ "aab" }, 1, 0, "xaaab", "xa", "stop");
    expect((const char *[]){ "\n\n" }, 1, 0, "a\nb\n\nc", "a\nb", "stop");
    expect((const char *[]){ "\xe6\x97\xa5" }, 1, 0, "ab\xe6\x97\xa5z", "ab", "stop");
}

static void gives_back_what_was_no_stop(void **state)
{
    (void)state;
    expect(NULL, 0, 0, "any text", "any text", NULL);
    expect((const char *[]){ "END" }, 1, 0, "EN EEN EN", "EN EEN EN", NULL);
    expect((const char *[]){ "abcabd" }, 1, 0, "abcabcab", "abcabcab", NULL);
    expect((const char *[]){ "END" }, 1, 0, "", "", NULL);
}

static void limits_bytes_at_a_character(void **state)
{
    (void)state;
    expect(NULL, 0, 3, "abcdef", "abc", "length");
    expect(NULL, 0, 6, "abcdef", "abcdef", "length");
    expect(NULL, 0, 7, "abcdef", "abcdef", NULL);
    expect(NULL, 0, 4, "ab\xe6\x97\xa5z", "ab", "length"); /* the character needs 3 */
    expect(NULL, 0, 5, "ab\xe6\x97\xa5z", "ab\xe6\x97\xa5", "length");
    expect((const char *[]){ "ef" }, 1, 3, "abcdef", "abc", "length");
    expect((const char *[]){ "d" }, 1, 5, "abcdef", "abc", "stop");
}

static void holds_back_only_what_may_be_a_stop(void **state)
{
    rl_cut c;
    rl_buf out;

    (void)state;
    rl_buf_init(&out, 100);
    assert_int_equal(rl_cut_init(&c, (const char *[]){ "<end>", "xyz" }, 2, 0, NULL), REALM_OK);
    rl_cut_add(&c, "hello <e", 8, &out);
    assert_string_equal(out.data, "hello ");
    rl_cut_add(&c, "lse> xy", 7, &out);
    assert_string_equal(out.data, "hello <else> ");
    rl_cut_add(&c, "z", 1, &out);
    assert_string_equal(c.finish, "stop");
    rl_cut_add(&c, "more", 4, &out);
    rl_cut_flush(&c, &out);
    assert_string_equal(out.data, "hello <else> ");
    rl_buf_deinit(&out);
    rl_cut_deinit(&c);
}

static void bad_stops_are_refused(void **state)
{
    static char long_stop[300];
    const char *many[17];
    const char *const bad[] = { "", NULL, "\xff", "a\xe6\x97", long_stop };
    realm_error err;
    rl_cut c;

    (void)state;
    memset(long_stop, 'a', 257);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rl_cut_init(&c, &bad[i], 1, 0, &err), REALM_EINVAL);
        assert_non_null(strstr(err.text, "stop string"));
        rl_cut_deinit(&c);
    }
    for (size_t i = 0; i < 17; i++)
        many[i] = "x";
    assert_int_equal(rl_cut_init(&c, many, 17, 0, &err), REALM_EINVAL);
    rl_cut_deinit(&c);
    long_stop[256] = 0;
    assert_int_equal(rl_cut_init(&c, (const char *[]){ long_stop }, 1, 0, &err), REALM_OK);
    rl_cut_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_at_the_first_one),
        cmocka_unit_test(gives_back_what_was_no_stop),
        cmocka_unit_test(limits_bytes_at_a_character),
        cmocka_unit_test(holds_back_only_what_may_be_a_stop),
        cmocka_unit_test(bad_stops_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
