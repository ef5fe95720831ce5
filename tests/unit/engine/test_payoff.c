#include "../test.h"

#include "engine/payoff.h"

#include <stdbool.h>
#include <stddef.h>

/* A step of r rows takes base + r * row. */
static void measure(rl_payoff_cost *c, uint64_t base, uint64_t row)
{
    for (uint32_t r = 1; r <= RL_PAYOFF_ROWS; r++)
        rl_payoff_measured(c, r, base + r * row);
}

/* For one sequence that decodes alone. */
static uint32_t choose(rl_payoff *p, uint32_t same, const rl_payoff_cost *c)
{
    double ids = 1;
    uint32_t n = rl_payoff_choose(p, same, c, 1, RL_PAYOFF_MOST, &ids);

    assert_true(n <= RL_PAYOFF_MOST);
    assert_true(n ? ids > 1 && ids <= 1 + n : ids == 1);
    return n;
}

static void learn(rl_payoff *p, uint32_t same, bool held, uint32_t n)
{
    while (n--)
        rl_payoff_learn(p, same, held);
}

static void what_costs_nothing_is_always_worth_it(void **state)
{
    rl_payoff_cost c = { { 0 } };
    rl_payoff p;

    (void)state;
    measure(&c, 1000, 0);
    rl_payoff_init(&p);
    for (uint32_t same = 2; same <= 8; same++)
        assert_int_equal(choose(&p, same, &c), RL_PAYOFF_MOST);
}

static void longer_matches_are_trusted_more(void **state)
{
    rl_payoff_cost c = { { 0 } };
    rl_payoff p;

    (void)state;
    rl_payoff_init(&p);
    assert_int_equal(choose(&p, 8, &c), RL_PAYOFF_MOST); /* nothing measured yet */
    assert_int_equal(choose(&p, 2, &c), 1);
    measure(&c, 800, 200);
    assert_true(choose(&p, 8, &c) > choose(&p, 3, &c));
    learn(&p, 8, false, 40);
    learn(&p, 2, true, 40); /* each kind for itself */
    assert_int_equal(choose(&p, 8, &c), 0);
    assert_int_equal(choose(&p, 2, &c), RL_PAYOFF_MOST);
    assert_true(choose(&p, 3, &c) > 0);
}

/* Chances until one is tried out of turn, that one included. */
static uint32_t until_tried(rl_payoff *p, const rl_payoff_cost *c)
{
    for (uint32_t i = 1; i < 1000; i++) {
        uint32_t n = choose(p, 5, c);

        assert_true(n <= 1);
        if (n)
            return i;
    }
    fail_msg("never tried");
    return 0;
}

static void what_does_not_pay_is_tried_now_and_then(void **state)
{
    static const uint32_t waits[] = { 8, 16, 32, 64, 128, 128, 128 };
    rl_payoff_cost c = { { 0 } };
    rl_payoff p;

    (void)state;
    measure(&c, 0, 1000);
    rl_payoff_init(&p);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        assert_int_equal(until_tried(&p, &c), waits[i]);
        rl_payoff_learn(&p, 5, false);
    }
    rl_payoff_learn(&p, 5, true);
    assert_int_equal(until_tried(&p, &c), 8);
}

static void hits_bring_it_back(void **state)
{
    rl_payoff_cost c = { { 0 } };
    rl_payoff p;
    uint32_t n = 0;

    (void)state;
    measure(&c, 800, 200);
    rl_payoff_init(&p);
    learn(&p, 5, false, 100);
    assert_int_equal(choose(&p, 5, &c), 0);
    while (choose(&p, 5, &c) == 0) {
        rl_payoff_learn(&p, 5, true);
        assert_true(++n < 10);
    }
    learn(&p, 5, true, 100);
    assert_int_equal(choose(&p, 5, &c), RL_PAYOFF_MOST);
}

/* Beside others a guess saves a smaller part of the step. */
static void others_make_it_dearer(void **state)
{
    rl_payoff_cost c = { { 0 } };
    rl_payoff p;
    double ids = 4;

    (void)state;
    measure(&c, 800, 200);
    rl_payoff_init(&p);
    assert_true(choose(&p, 4, &c) > 1);
    learn(&p, 4, false, 3);
    assert_true(choose(&p, 4, &c) > 0);
    for (uint32_t r = 5; r <= RL_PAYOFF_ROWS; r++)
        for (uint32_t i = 0; i < 40; i++) /* beyond four rows the time is that of each */
            rl_payoff_measured(&c, r, r * 400);
    assert_int_equal(rl_payoff_choose(&p, 4, &c, 4, RL_PAYOFF_MOST, &ids), 0);
    assert_true(ids == 4.0);
    assert_int_equal(rl_payoff_choose(&p, 8, &c, 4, 0, &ids), 0); /* no room */
}

static void one_slow_step_says_little(void **state)
{
    rl_payoff_cost c = { { 0 } };

    (void)state;
    rl_payoff_measured(&c, 1, 1000);
    rl_payoff_measured(&c, 1, 1000000);
    assert_true(c.ns[1] <= 1250);
    for (uint32_t i = 0; i < 60; i++)
        rl_payoff_measured(&c, 1, 3000);
    assert_true(c.ns[1] > 2900 && c.ns[1] <= 3000);
    rl_payoff_measured(&c, 0, 5); /* steps of other sizes are none of ours */
    rl_payoff_measured(&c, RL_PAYOFF_ROWS + 1, 5);
    assert_true(c.ns[0] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_costs_nothing_is_always_worth_it),
        cmocka_unit_test(longer_matches_are_trusted_more),
        cmocka_unit_test(what_does_not_pay_is_tried_now_and_then),
        cmocka_unit_test(hits_bring_it_back),
        cmocka_unit_test(others_make_it_dearer),
        cmocka_unit_test(one_slow_step_says_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
