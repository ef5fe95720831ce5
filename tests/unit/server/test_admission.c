/* Who is let in, with the engine's time as an argument: nobody waits. */
#include "../test.h"

#include "server/admission.h"

#define MS 1000000u

static rl_admission a;
static uint64_t v[64];
static uint32_t retry_s;

static int fresh(void **state)
{
    (void)state;
    rl_admission_init(&a, 1000 * (uint64_t)MS);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    rl_admission_deinit(&a);
    return 0;
}

/* With a job for everyone who is under way. */
static rl_admission_load at(uint64_t busy_ms)
{
    return (rl_admission_load){ .busy_ns = busy_ms * MS, .jobs = UINT32_MAX };
}

static bool begin(uint32_t i, uint64_t busy_ms)
{
    bool in = rl_admission_begin(&a, at(busy_ms), &v[i], &retry_s);

    if (in)
        rl_admission_started(&a);
    return in;
}

static void end(uint32_t i, uint64_t busy_ms)
{
    rl_admission_end(&a, at(busy_ms), v[i], true);
}

static void alone_costs_what_it_computes(void **state)
{
    (void)state;
    assert_true(begin(0, 500)); /* what was before it is not its own */
    end(0, 600);
    assert_int_equal(rl_admission_cost(&a), 100 * MS);
}

/* Ten side by side end in one step: each has had a tenth. */
static void those_side_by_side_share(void **state)
{
    (void)state;
    rl_admission_set(&a, 0);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(begin(i, 0));
    for (uint32_t i = 0; i < 10; i++)
        end(i, 2000);
    assert_int_equal(rl_admission_cost(&a), 200 * MS);
}

/* One that came halfway: 1000 ms alone is the first's, 1000 ms are shared. */
static void shares_follow_who_is_there(void **state)
{
    (void)state;
    assert_true(begin(0, 0));
    assert_true(begin(1, 1000));
    end(1, 2000);
    assert_int_equal(rl_admission_cost(&a), 500 * MS);
    end(0, 2000);
    assert_int_equal(rl_admission_cost(&a), (500 * 15 + 1500) / 16 * (uint64_t)MS +
                                                (500 * 15 + 1500) % 16 * (uint64_t)MS / 16);
}

static void as_many_as_end_in_time(void **state)
{
    (void)state;
    assert_true(begin(0, 0));
    end(0, 100); /* 100 ms each: ten in a second */
    for (uint32_t i = 0; i < 10; i++)
        assert_true(begin(i, 100));
    assert_false(begin(10, 100));
    assert_int_equal(retry_s, 1);
    end(0, 1100); /* it had its tenth of a second like the others */
    assert_true(begin(0, 1100));
}

/* 50 and 150 ms in turn: the mean is 100, but ten of 150 would not end in a second. */
static void uneven_ones_leave_room(void **state)
{
    uint64_t busy = 0;
    uint32_t n = 0;

    (void)state;
    for (uint32_t i = 0; i < 200; i++) {
        assert_true(begin(0, busy));
        busy += i % 2 ? 150 : 50;
        end(0, busy);
    }
    assert_in_range(rl_admission_cost(&a), 90 * MS, 110 * MS);
    assert_in_range(a.spread_ns, 45 * MS, 55 * MS);
    while (n < 64 && begin(n, busy))
        n++;
    assert_in_range(n, 4, 6);
}

static void the_limit_can_change(void **state)
{
    (void)state;
    assert_true(begin(0, 0));
    end(0, 100);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(begin(i, 100));
    rl_admission_set(&a, 0);
    for (uint32_t i = 10; i < 64; i++)
        assert_true(begin(i, 100));
    rl_admission_set(&a, 2000 * (uint64_t)MS);
    assert_false(rl_admission_begin(&a, at(100), &v[0], &retry_s));
    assert_int_equal(retry_s, 5); /* 65 of 100 ms are 4.5 s late */
}

/* What takes longer than the limit goes alone: else nobody could ever ask again. */
static void one_is_always_let_in(void **state)
{
    (void)state;
    assert_true(begin(0, 0));
    end(0, 50000);
    assert_true(begin(0, 50000));
    assert_false(begin(1, 50000));
    assert_int_equal(retry_s, 99);
    end(0, 50000);
    assert_true(begin(0, 50000));
}

static void few_while_nothing_is_known(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        assert_true(begin(i, 0));
    assert_false(begin(4, 0));
    assert_int_equal(retry_s, 1);
}

/* Two threads may come in another order than they read the time. */
static void time_never_goes_back(void **state)
{
    (void)state;
    assert_true(begin(0, 300));
    assert_true(begin(1, 200));
    end(0, 250);
    end(1, 300);
    assert_int_equal(rl_admission_cost(&a), 0);
    assert_int_equal(a.n, 0);
}

/* A hundred programs that sleep take nothing of the engine, and nothing from who computes. */
static void sleepers_do_not_count(void **state)
{
    const rl_admission_load asleep = { .busy_ns = 100 * (uint64_t)MS };
    uint64_t none;

    (void)state;
    assert_true(begin(0, 0));
    end(0, 100);
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(rl_admission_begin(&a, asleep, &none, &retry_s));
        rl_admission_started(&a);
    }
    for (uint32_t i = 0; i < 10; i++) /* those who come are counted before they have a job */
        assert_true(rl_admission_begin(&a, asleep, &v[i], &retry_s));
    assert_false(rl_admission_begin(&a, asleep, &none, &retry_s));
    for (uint32_t i = 0; i < 10; i++)
        rl_admission_end(&a, (rl_admission_load){ 1100 * (uint64_t)MS, 10 - i }, v[i], false);
    assert_in_range(rl_admission_cost(&a), 99 * MS, 101 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(alone_costs_what_it_computes, fresh, drop),
        cmocka_unit_test_setup_teardown(those_side_by_side_share, fresh, drop),
        cmocka_unit_test_setup_teardown(shares_follow_who_is_there, fresh, drop),
        cmocka_unit_test_setup_teardown(as_many_as_end_in_time, fresh, drop),
        cmocka_unit_test_setup_teardown(uneven_ones_leave_room, fresh, drop),
        cmocka_unit_test_setup_teardown(the_limit_can_change, fresh, drop),
        cmocka_unit_test_setup_teardown(one_is_always_let_in, fresh, drop),
        cmocka_unit_test_setup_teardown(few_while_nothing_is_known, fresh, drop),
        cmocka_unit_test_setup_teardown(time_never_goes_back, fresh, drop),
        cmocka_unit_test_setup_teardown(sleepers_do_not_count, fresh, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
