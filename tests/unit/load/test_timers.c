#include "../test.h"

#include "load/rng.h"
#include "load/timers.h"

#define N 500u

static void they_come_in_the_order_of_time(void **state)
{
    rl_load_timers t;
    rl_load_rng r = { 3 };
    uint64_t at[N] = { 0 };
    uint32_t n = 0;

    (void)state;
    assert_true(rl_load_timers_init(&t, N));
    assert_true(rl_load_timers_next(&t) == UINT64_MAX);
    for (unsigned i = 0; i < 20000; i++) {
        if (n < N && rl_load_rng_next(&r) % 2) {
            uint32_t free_one = 0;

            while (at[free_one])
                free_one++;
            at[free_one] = 1 + rl_load_rng_next(&r) % 1000; /* many are equal */
            rl_load_timers_add(&t, at[free_one], free_one);
            n++;
        } else if (n) {
            uint64_t next = rl_load_timers_next(&t);
            uint32_t who = rl_load_timers_take(&t);

            assert_true(at[who] == next);
            for (unsigned k = 0; k < N; k++)
                assert_true(at[k] == 0 || at[k] >= next);
            at[who] = 0;
            n--;
        }
        assert_int_equal(t.n, n);
    }
    rl_load_timers_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(they_come_in_the_order_of_time) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
