/* The merging loop against the definition (search all pairs, merge the best, again), and its cost.
 */
#include "../test.h"

#include "base/alloc.h"
#include "token/merge.h"
#include "token/token.h"

#include <string.h>

#define LETTERS 4u

/* Random rules: which pair of ids becomes what, and when. Ids below LETTERS are single bytes. */
typedef struct rules {
    uint32_t n_ids;
    uint32_t priority[64][64];
    uint32_t merged[64][64];
} rules;

static uint64_t seed = 0x2545f4914f6cdd1du;

static uint32_t draw(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % n;
}

static uint32_t pair(const void *ctx, rl_symbol left, rl_symbol right, const char *text, size_t n,
                     uint32_t *merged)
{
    const rules *r = ctx;

    (void)text;
    (void)n;
    *merged = r->merged[left.id][right.id];
    return r->priority[left.id][right.id];
}

static void draw_rules(rules *r, uint32_t percent, uint32_t n_priorities)
{
    for (uint32_t i = 0; i < 64; i++) {
        for (uint32_t k = 0; k < 64; k++) {
            r->priority[i][k] = draw(100) < percent ? draw(n_priorities) : RL_MERGE_NEVER;
            r->merged[i][k] = LETTERS + draw(64 - LETTERS);
        }
    }
}

/* The definition. -> symbols left in ids */
static size_t merge_slowly(const rules *r, uint32_t *ids, size_t n)
{
    for (;;) {
        size_t best = 0;
        uint32_t priority = RL_MERGE_NEVER;

        for (size_t i = 0; i + 1 < n; i++) {
            if (r->priority[ids[i]][ids[i + 1]] < priority) {
                priority = r->priority[ids[i]][ids[i + 1]];
                best = i;
            }
        }
        if (priority == RL_MERGE_NEVER)
            return n;
        ids[best] = r->merged[ids[best]][ids[best + 1]];
        memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof *ids);
        n--;
    }
}

static void fill(rl_merge *m, uint32_t *ids, size_t n)
{
    assert_int_equal(rl_merge_reserve(m, n), REALM_OK);
    for (size_t i = 0; i < n; i++) {
        uint32_t id = draw(LETTERS);

        m->symbols[i] = (rl_symbol){ id, (uint32_t)i };
        if (ids)
            ids[i] = id;
    }
}

static void short_and_long_rows_merge_alike(void **state)
{
    rules r;
    rl_merge m = { .pair = pair, .ctx = &r };
    char text[301] = { 0 };
    uint32_t ids[301];

    (void)state;
    for (unsigned round = 0; round < 1500; round++) {
        size_t n = round % 300 + 1, left = n;

        draw_rules(&r, 5 + round % 60, 1 + round % 40);
        fill(&m, ids, n);
        assert_int_equal(rl_merge_run(&m, text, n, &left), REALM_OK);
        assert_int_equal(left, merge_slowly(&r, ids, n));
        for (size_t i = 0; i < left; i++)
            assert_int_equal(m.symbols[i].id, ids[i]);
        assert_int_equal(m.symbols[0].begin, 0);
        if (n > 1)
            assert_int_equal(m.symbols[left].begin, n);
    }
    rl_merge_deinit(&m);
}

/* Each merge looks at two new pairs: never more than 3 n look-ups, however the rules are. */
static void look_ups_are_linear(void **state)
{
    enum { N = 1 << 20 };
    rules r;
    rl_merge m = { .pair = pair, .ctx = &r };
    char *text = rl_alloc(N);

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        size_t left = N;

        draw_rules(&r, 100, round ? 1000 : 1); /* everything merges */
        fill(&m, NULL, N);
        m.n_tried = 0;
        assert_int_equal(rl_merge_run(&m, text, N, &left), REALM_OK);
        assert_int_equal(left, 1);
        assert_in_range(m.n_tried, N, 3 * (uint64_t)N);
    }
    rl_free(text);
    rl_merge_deinit(&m);
}

static void rows_of_none_and_one_stay(void **state)
{
    rules r;
    rl_merge m = { .pair = pair, .ctx = &r };
    size_t n = 0;

    (void)state;
    draw_rules(&r, 100, 1);
    fill(&m, NULL, 1);
    assert_int_equal(rl_merge_run(&m, "", 0, &n), REALM_OK);
    assert_int_equal(n, 0);
    n = 1;
    assert_int_equal(rl_merge_run(&m, "x", 1, &n), REALM_OK);
    assert_int_equal(n, 1);
    rl_merge_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_and_long_rows_merge_alike),
        cmocka_unit_test(look_ups_are_linear),
        cmocka_unit_test(rows_of_none_and_one_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
