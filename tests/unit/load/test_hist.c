#include "../test.h"

#include "base/alloc.h"
#include "load/hist.h"
#include "load/rng.h"

#include <math.h>
#include <stdlib.h>

#define N 20000u

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Against the sorted values themselves, nearest rank. */
static void near(const rl_load_hist *h, const uint64_t *sorted, double q)
{
    size_t rank = (size_t)ceil(q * N);
    uint64_t exact = sorted[rank ? rank - 1 : 0], got = rl_load_hist_at(h, q);
    double off = fabs((double)got - (double)exact);

    if (off > 0.01 * (double)exact)
        fail_msg("at %g: %llu, not %llu", q, (unsigned long long)got, (unsigned long long)exact);
    if (exact < 256)
        assert_int_equal(got, exact);
}

static void percentiles_are_off_by_less_than_one_percent(void **state)
{
    static const double at[] = { 0, 0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 1 };
    uint64_t *v = rl_alloc_array(N, sizeof *v);
    rl_load_rng r = { 7 };

    (void)state;
    for (unsigned bits = 1; bits <= 64; bits++) { /* values of all sizes up to 2^bits */
        rl_load_hist *h = rl_alloc(sizeof *h);
        double sum = 0;

        for (size_t i = 0; i < N; i++) {
            v[i] = rl_load_rng_next(&r) >> (64 - bits) >> (rl_load_rng_next(&r) % bits);
            rl_load_hist_add(h, v[i]);
            sum += (double)v[i];
        }
        qsort(v, N, sizeof *v, by_value);
        for (size_t k = 0; k < sizeof at / sizeof *at; k++)
            near(h, v, at[k]);
        assert_int_equal(h->least, v[0]);
        assert_int_equal(h->most, v[N - 1]);
        assert_true(fabs(rl_load_hist_mean(h) - sum / N) <= 1e-9 * sum / N);
        rl_free(h);
    }
    rl_free(v);
}

static void every_power_of_two_and_its_neighbours(void **state)
{
    rl_load_hist *h = rl_alloc(sizeof *h);

    (void)state;
    for (unsigned b = 0; b < 64; b++) {
        for (int d = -1; d <= 1; d++) {
            uint64_t v = (UINT64_C(1) << b) + (uint64_t)(int64_t)d, got;

            *h = (rl_load_hist){ .n = 0 };
            rl_load_hist_add(h, 0);
            rl_load_hist_add(h, v);
            rl_load_hist_add(h, UINT64_MAX);
            got = rl_load_hist_at(h, 0.5);
            assert_true(fabs((double)got - (double)v) <= 0.004 * (double)v);
        }
    }
    rl_free(h);
}

static void an_empty_one_answers_zero(void **state)
{
    rl_load_hist *h = rl_alloc(sizeof *h);

    (void)state;
    assert_int_equal(rl_load_hist_at(h, 0.5), 0);
    assert_true(rl_load_hist_mean(h) == 0);
    rl_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_off_by_less_than_one_percent),
        cmocka_unit_test(every_power_of_two_and_its_neighbours),
        cmocka_unit_test(an_empty_one_answers_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
