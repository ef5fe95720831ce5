/* Beginnings of a text that comes in pieces, at every cut. */
#include "../test.h"

#include "sample/heads.h"

#include <string.h>

static rl_heads heads_of(const char *const *texts, uint32_t n)
{
    rl_head list[4];
    rl_heads h;

    for (uint32_t i = 0; i < n; i++) {
        list[i].n = (uint32_t)strlen(texts[i]);
        memcpy(list[i].text, texts[i], list[i].n);
    }
    assert_true(rl_heads_init(&h, list, n));
    return h;
}

static const char *const some[] = { "<call>", "<calls ", "{" };

/* The text in two pieces: which of the two gives it a head. 0: neither */
static void expect(const char *text, uint32_t cut, int which)
{
    rl_heads h = heads_of(some, 3), copy;
    bool first = rl_heads_would(&h, text, cut), second;

    assert_int_equal(rl_heads_add(&h, text, cut), first);
    assert_true(rl_heads_dup(&copy, &h));
    second = rl_heads_would(&copy, text + cut, strlen(text) - cut);
    assert_int_equal(rl_heads_add(&copy, text + cut, strlen(text) - cut), second);
    assert_int_equal(first ? 1 : second ? 2 : 0, which);
    rl_heads_deinit(&h);
    rl_heads_deinit(&copy);
}

static void finds_a_beginning(void **state)
{
    (void)state;
    for (uint32_t cut = 0; cut <= 7; cut++) {
        expect("<call>x", cut, cut < 6 ? 2 : 1);
        expect("<calls ", cut, cut < 7 ? 2 : 1);
        expect("<callsx", cut, 0);
        expect("<<call>", cut, 0);
        expect("{<call>", cut, cut < 1 ? 2 : 1);
    }
}

static void knows_what_is_missing(void **state)
{
    rl_heads h = heads_of(some, 2);

    (void)state;
    assert_int_equal(rl_heads_least(&h), 6);
    assert_false(rl_heads_add(&h, "<ca", 3));
    assert_int_equal(rl_heads_least(&h), 3);
    assert_false(rl_heads_add(&h, "lls", 3));
    assert_int_equal(h.n, 1);
    assert_int_equal(rl_heads_least(&h), 1);
    assert_false(rl_heads_add(&h, "x", 1));
    assert_int_equal(h.n, 0);
    assert_int_equal(rl_heads_least(&h), SIZE_MAX);
    assert_false(rl_heads_add(&h, "<call>", 6));
    rl_heads_deinit(&h);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_beginning),
        cmocka_unit_test(knows_what_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
