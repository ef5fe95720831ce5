#include "../test.h"

#include "load/schedule.h"

#include <math.h>

#define N 200000u

static void poisson_gaps_have_their_mean_and_spread(void **state)
{
    static const double rates[] = { 0.5, 10, 5000 };

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        rl_load_schedule s;
        double mean = 1e9 / rates[k], sum = 0, squares = 0;
        uint64_t last = 0;
        unsigned over = 0;

        rl_load_schedule_init(&s, rates[k], false, k);
        for (unsigned i = 0; i < N; i++) {
            uint64_t at = rl_load_schedule_next(&s);
            double gap = (double)(at - last);

            assert_true(at >= last);
            last = at;
            sum += gap;
            squares += gap * gap;
            over += gap > mean;
        }
        /* the mean's own spread is mean / sqrt(N) = 0.22 %: 5 of that */
        assert_true(fabs(sum / N / mean - 1) < 0.012);
        /* exponential: the second moment is 2 mean^2, and a share of 1/e is over the mean */
        assert_true(fabs(squares / N / (2 * mean * mean) - 1) < 0.03);
        assert_true(fabs((double)over / N - exp(-1)) < 0.006);
    }
}

static void uniform_gaps_are_equal(void **state)
{
    rl_load_schedule s;

    (void)state;
    rl_load_schedule_init(&s, 8, true, 1);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(rl_load_schedule_next(&s), i * 125000000u);
}

static void a_seed_says_it_all(void **state)
{
    rl_load_schedule a, b, c;
    unsigned same = 0;

    (void)state;
    rl_load_schedule_init(&a, 100, false, 5);
    rl_load_schedule_init(&b, 100, false, 5);
    rl_load_schedule_init(&c, 100, false, 6);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t at = rl_load_schedule_next(&a);

        assert_int_equal(at, rl_load_schedule_next(&b));
        same += at == rl_load_schedule_next(&c);
    }
    assert_true(same < 10);
}

static void the_slowest_rate_does_not_overflow(void **state)
{
    rl_load_schedule s;
    uint64_t last = 0;

    (void)state;
    rl_load_schedule_init(&s, 1e-6, false, 1);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t at = rl_load_schedule_next(&s);

        assert_true(at >= last && at <= UINT64_C(1000000000) * 1000000000u);
        last = at;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poisson_gaps_have_their_mean_and_spread),
        cmocka_unit_test(uniform_gaps_are_equal),
        cmocka_unit_test(a_seed_says_it_all),
        cmocka_unit_test(the_slowest_rate_does_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
