#include "../test.h"

#include "base/alloc.h"
#include "base/nearest.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const rl_opt opts[] = {
    { "model", 'm', "NAME", "a model" }, { "json", 0, NULL, "json" },
    { "top", 'k', "N", "count" },        { "max-memory", 0, "SIZE", "size" },
    { "time", 0, "TIME", "time" },       { "temp", 0, "X", "float" },
    { "ids", 0, "N,N", "list" },         { NULL, 0, NULL, NULL },
};
static const rl_verb verb = {
    .name = "try", .synopsis = "FILE [MORE]", .opts = opts, .min_pos = 1, .max_pos = 2, .rest = true
};
static const rl_verb strict = { .name = "strict", .synopsis = "", .opts = opts };

/* Parses the words up to a NULL. What it says on stderr is not the test's business. */
static int parse(rl_cli *c, const rl_verb *v, const char *const *words)
{
    int n = 0;

    while (words[n])
        n++;
    memset(c, 0, sizeof *c);
    c->verb = v;
    return rl_cli_parse(c, n, words);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void options_come_in_every_form(void **state)
{
    rl_cli c;

    (void)state;
    assert_int_equal(parse(&c, &verb, WORDS("a", "--model", "x", "-k", "3", "b", "--json")), 0);
    assert_int_equal(c.n_pos, 2);
    assert_string_equal(c.pos[1], "b");
    assert_string_equal(rl_cli_get(&c, "model"), "x");
    assert_string_equal(rl_cli_get(&c, "top"), "3");
    assert_true(rl_cli_has(&c, "json"));
    assert_false(rl_cli_has(&c, "temp"));
    assert_int_equal(parse(&c, &verb, WORDS("a", "--model=y=z", "-k7")), 0);
    assert_string_equal(rl_cli_get(&c, "model"), "y=z");
    assert_string_equal(rl_cli_get(&c, "top"), "7");
    assert_int_equal(parse(&c, &verb, WORDS("a", "--model=", "-m", "last")), 0);
    assert_string_equal(rl_cli_get(&c, "model"), "last");
}

static void values_may_begin_with_a_dash(void **state)
{
    rl_cli c;

    (void)state;
    assert_int_equal(parse(&c, &verb, WORDS("-", "--model", "--json")), 0);
    assert_string_equal(c.pos[0], "-");
    assert_string_equal(rl_cli_get(&c, "model"), "--json");
    assert_false(rl_cli_has(&c, "json"));
}

static void the_rest_is_left_alone(void **state)
{
    rl_cli c;

    (void)state;
    assert_int_equal(parse(&c, &verb, WORDS("a", "--", "--json", "b", "c")), 0);
    assert_int_equal(c.n_pos, 1);
    assert_int_equal(c.n_rest, 3);
    assert_string_equal(c.rest[0], "--json");
    assert_false(rl_cli_has(&c, "json"));
    assert_int_equal(parse(&c, &strict, WORDS("--", "x")), RL_EXIT_USAGE);
}

static void wrong_usage_is_refused(void **state)
{
    rl_cli c;

    (void)state;
    assert_int_equal(parse(&c, &verb, WORDS("--json")), RL_EXIT_USAGE);      /* too few */
    assert_int_equal(parse(&c, &verb, WORDS("a", "b", "c")), RL_EXIT_USAGE); /* too many */
    assert_int_equal(parse(&c, &verb, WORDS("a", "--nope")), RL_EXIT_USAGE); /* unknown */
    assert_int_equal(parse(&c, &verb, WORDS("a", "-z")), RL_EXIT_USAGE);
    assert_int_equal(parse(&c, &verb, WORDS("a", "--js")), RL_EXIT_USAGE);     /* no short forms */
    assert_int_equal(parse(&c, &verb, WORDS("a", "--json=1")), RL_EXIT_USAGE); /* flag with value */
    assert_int_equal(parse(&c, &verb, WORDS("a", "--model")), RL_EXIT_USAGE);  /* value missing */
}

static void typed_values_are_checked(void **state)
{
    uint64_t v = 5;
    double x = 0.5;
    rl_cli c;

    (void)state;
    assert_int_equal(parse(&c, &verb, WORDS("a")), 0);
    assert_true(rl_cli_uint(&c, "top", 1, 9, &v) && v == 5); /* absent: stays */
    assert_int_equal(
        parse(&c, &verb,
              WORDS("a", "--top", "9", "--max-memory", "2KiB", "--time", "3s", "--temp", "1.25")),
        0);
    assert_true(rl_cli_uint(&c, "top", 1, 9, &v) && v == 9);
    assert_false(rl_cli_uint(&c, "top", 1, 8, &v));
    assert_true(rl_cli_size(&c, "max-memory", &v) && v == 2048);
    assert_true(rl_cli_duration(&c, "time", &v) && v == 3000);
    assert_true(rl_cli_float(&c, "temp", 0, 2, &x) && x == 1.25);
    assert_false(rl_cli_float(&c, "temp", 0, 1, &x));
    assert_int_equal(
        parse(&c, &verb, WORDS("a", "--temp", "nan", "--max-memory", "0", "--time", "0s")), 0);
    assert_false(rl_cli_float(&c, "temp", 0, 2, &x));
    assert_false(rl_cli_size(&c, "max-memory", &v));
    assert_false(rl_cli_duration(&c, "time", &v));
}

static void lists_are_numbers_and_commas(void **state)
{
    static const char *const bad[] = {
        "", ",", "1,", ",1", "1,,2", "1 ,2", "a", "1;2", "100", "11111111111111111111111111111111"
    };
    uint32_t *list;
    size_t n;
    rl_cli c = { .verb = &verb };

    (void)state;
    assert_true(rl_cli_list(&c, "ids", "1,22,0", 99, &list, &n));
    assert_int_equal(n, 3);
    assert_int_equal(list[1], 22);
    assert_int_equal(list[2], 0);
    rl_free(list);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(rl_cli_list(&c, "ids", bad[i], 99, &list, &n));
        assert_null(list);
    }
}

static void near_words_are_found(void **state)
{
    static const char *const words[] = { "run", "chat", "models", "perplexity" };

    (void)state;
    assert_string_equal(rl_nearest("chta", words, 4), "chat");
    assert_string_equal(rl_nearest("model", words, 4), "models");
    assert_string_equal(rl_nearest("perp", words, 4), "perplexity");
    assert_string_equal(rl_nearest("rnu", words, 4), "run");
    assert_null(rl_nearest("serve", words, 4));
    assert_null(rl_nearest("xy", words, 4));
    assert_null(rl_nearest("a-word-much-longer-than-any-verb-of-realm", words, 4));
}

/* The table itself: what help, completions and the man page are made of. */
static void every_verb_is_whole(void **state)
{
    (void)state;
    assert_true(rl_n_verbs >= 15);
    for (size_t i = 0; i < rl_n_verbs; i++) {
        const rl_verb *v = &rl_verbs[i];

        assert_non_null(v->run);
        assert_non_null(v->opts);
        assert_true(strlen(v->summary) > 5 && strlen(v->summary) < 60);
        assert_true(strlen(v->about) > 10 && v->about[strlen(v->about) - 1] == '.');
        assert_true(v->max_pos <= RL_CLI_MAX_POS && v->min_pos <= v->max_pos);
        assert_ptr_equal(rl_verb_find(v->name), v);
        for (const rl_opt *o = v->opts; o->name; o++) {
            for (const rl_opt *p = v->opts; p != o; p++) {
                assert_string_not_equal(p->name, o->name);
                assert_true(!o->letter || p->letter != o->letter);
            }
        }
    }
    assert_null(rl_verb_find("nope"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_come_in_every_form),
        cmocka_unit_test(values_may_begin_with_a_dash),
        cmocka_unit_test(the_rest_is_left_alone),
        cmocka_unit_test(wrong_usage_is_refused),
        cmocka_unit_test(typed_values_are_checked),
        cmocka_unit_test(lists_are_numbers_and_commas),
        cmocka_unit_test(near_words_are_found),
        cmocka_unit_test(every_verb_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
