#include "../test.h"

#include "engine/lookup.h"

#include <string.h>

/* The same by its words: every place, the most ids, the latest of equals. */
static uint32_t slow_find(const uint32_t *ids, uint32_t n, uint32_t *at)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n; i++) {
        uint32_t same = 0;

        if (n - i > RL_LOOKUP_REACH)
            continue;
        while (same < i && same < RL_LOOKUP_MOST && ids[i - 1 - same] == ids[n - 1 - same])
            same++;
        if (same >= RL_LOOKUP_LEAST && same >= best) {
            best = same;
            *at = i;
        }
    }
    return best;
}

static void finds_what_stood_there(void **state)
{
    static const uint32_t ids[] = { 1, 2, 3, 9, 5, 2, 3, 8, 1, 2, 3 };
    uint32_t at = 77;

    (void)state;
    assert_int_equal(rl_lookup_find(ids, 11, &at), 3); /* 1 2 3, not the later 2 3 */
    assert_int_equal(at, 3);
    assert_int_equal(rl_lookup_find(ids, 7, &at), 2);
    assert_int_equal(at, 3);
    at = 77;
    assert_int_equal(rl_lookup_find(ids, 6, &at), 0); /* 5 2 is new */
    for (uint32_t n = 0; n <= 3; n++)
        assert_int_equal(rl_lookup_find(ids, n, &at), 0);
    assert_int_equal(at, 77);
}

static void the_latest_of_equals(void **state)
{
    static const uint32_t ids[] = { 4, 5, 1, 4, 5, 2, 4, 5 };
    uint32_t at;

    (void)state;
    assert_int_equal(rl_lookup_find(ids, 8, &at), 2);
    assert_int_equal(at, 5);
}

static void a_round_goes_on(void **state)
{
    uint32_t ids[16] = { 6, 7, 8, 7, 8 }, at;
    static const uint32_t want[] = { 6, 7, 8, 7, 8, 7, 8, 7, 8, 7 };
    uint32_t ones[32] = { 1, 1, 1 };

    (void)state;
    assert_int_equal(rl_lookup_find(ids, 5, &at), 2);
    assert_int_equal(at, 3);
    rl_lookup_copy(ids, 5, at, 5);
    assert_memory_equal(ids, want, sizeof want);
    assert_int_equal(ids[10], 0);
    assert_int_equal(rl_lookup_find(ones, 3, &at), 2);
    assert_int_equal(at, 2);
    rl_lookup_copy(ones, 3, at, 20);
    for (uint32_t i = 0; i < 23; i++)
        assert_int_equal(ones[i], 1);
    assert_int_equal(rl_lookup_find(ones, 23, &at), RL_LOOKUP_MOST);
    assert_int_equal(at, 22);
}

/* Few different ids, so that there is much to find. */
static void it_is_what_the_words_say(void **state)
{
    static uint32_t ids[600];
    uint64_t x = 3;

    (void)state;
    for (uint32_t i = 0; i < 600; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (uint32_t)(x >> 33) % (2 + i / 100);
    }
    for (uint32_t n = 0; n <= 600; n++) {
        uint32_t at = 0, at2 = 0, same = rl_lookup_find(ids, n, &at);

        assert_int_equal(same, slow_find(ids, n, &at2));
        assert_int_equal(at, at2);
    }
}

static void it_looks_no_further_than_it_reaches(void **state)
{
    static uint32_t ids[RL_LOOKUP_REACH + 10];
    uint32_t n = RL_LOOKUP_REACH + 4, at = 0;

    (void)state;
    for (uint32_t i = 0; i < n; i++)
        ids[i] = 100 + i;
    ids[n - 2] = ids[4] = 1;
    ids[n - 1] = ids[5] = 2;
    assert_int_equal(rl_lookup_find(ids, n, &at), 2);
    assert_int_equal(at, 6);
    ids[4] = 104;
    ids[5] = 105;
    ids[3] = 1;
    ids[4] = 2;
    assert_int_equal(rl_lookup_find(ids, n, &at), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_stood_there),
        cmocka_unit_test(the_latest_of_equals),
        cmocka_unit_test(a_round_goes_on),
        cmocka_unit_test(it_is_what_the_words_say),
        cmocka_unit_test(it_looks_no_further_than_it_reaches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
