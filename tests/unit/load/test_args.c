#include "../test.h"

#include "load/args.h"

#include <string.h>

/* Parses the words up to a NULL, behind the program's name. */
static realm_status parse(rl_load_options *o, char *const *words, realm_error *err)
{
    int n = 0;

    while (words[n])
        n++;
    return rl_load_args_parse(o, n, words, err);
}

#define WORDS(...) ((char *const[]){ "realm-load", __VA_ARGS__, NULL })
#define URL        "http://127.0.0.1:1"

static void what_is_not_said_has_a_default(void **state)
{
    rl_load_options o;

    (void)state;
    assert_int_equal(parse(&o, WORDS(URL), NULL), REALM_OK);
    assert_int_equal(o.clients, 1);
    assert_int_equal(o.requests, 0);
    assert_true(o.seconds == 10);
    assert_int_equal(o.prompt_tokens, 238);
    assert_int_equal(o.max_tokens, 64);
    assert_int_equal(parse(&o, WORDS(URL, "-n", "5"), NULL), REALM_OK);
    assert_true(o.seconds == 0);
}

static void options_come_in_every_form(void **state)
{
    rl_load_options o;

    (void)state;
    assert_int_equal(parse(&o,
                           WORDS("-c4", "--requests=7", URL, "--rate", "2.5", "--uniform", "-m",
                                 "9", "--key", "-x"),
                           NULL),
                     REALM_OK);
    assert_int_equal(o.clients, 4);
    assert_int_equal(o.requests, 7);
    assert_true(o.rate == 2.5 && o.uniform);
    assert_int_equal(o.max_tokens, 9);
    assert_string_equal(o.key, "-x");
    assert_int_equal(parse(&o, WORDS("--help"), NULL), REALM_OK);
    assert_true(o.help);
}

static void goodput_has_two_forms(void **state)
{
    rl_load_options o;

    (void)state;
    assert_int_equal(parse(&o, WORDS(URL, "--goodput-ms", "250"), NULL), REALM_OK);
    assert_true(rl_load_args_good_ms(&o) == 250);
    assert_int_equal(parse(&o, WORDS(URL, "--goodput-factor", "4", "--solo-ms", "50"), NULL),
                     REALM_OK);
    assert_true(rl_load_args_good_ms(&o) == 200);
}

static void what_is_wrong_is_said(void **state)
{
    static char *const rows[][6] = {
        { "realm-load" },
        { "realm-load", URL, URL },
        { "realm-load", URL, "--nothing" },
        { "realm-load", URL, "-x" },
        { "realm-load", URL, "-c" },
        { "realm-load", URL, "-c", "-1" },
        { "realm-load", URL, "-c", "1.5" },
        { "realm-load", URL, "-c", "100001" },
        { "realm-load", URL, "-c", "0" },
        { "realm-load", URL, "-n", "0" },
        { "realm-load", URL, "-n", "18446744073709551616" },
        { "realm-load", URL, "-d", "inf" },
        { "realm-load", URL, "-d", "1x" },
        { "realm-load", URL, "--rate", "nan" },
        { "realm-load", URL, "--json=1" },
        { "realm-load", URL, "--uniform" },
        { "realm-load", URL, "--goodput-factor", "4" },
        { "realm-load", URL, "--solo-ms", "4" },
        { "realm-load", URL, "--key", "a\r\nX: 1" },
        { "realm-load", URL, "--idle-bodies", "x" },
        { "realm-load", URL, "--no-stream", "--idle=1" },
        { "realm-load", URL, "-c0", "--idle=1", "-n1" },
        { "realm-load", "https://x" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rl_load_options o;
        realm_error err = { .text = "" };

        if (parse(&o, rows[i], &err) == REALM_OK)
            fail_msg("taken: row %zu", i);
        assert_true(strlen(err.text) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_a_default),
        cmocka_unit_test(options_come_in_every_form),
        cmocka_unit_test(goodput_has_two_forms),
        cmocka_unit_test(what_is_wrong_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
