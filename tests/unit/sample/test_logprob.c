#include "../test.h"

#include "base/alloc.h"
#include "sample/sample.h"

#include <math.h>

static double naive_lse(const float *l, uint32_t n)
{
    double max = -INFINITY, sum = 0;

    for (uint32_t i = 0; i < n; i++)
        max = l[i] > max ? (double)l[i] : max;
    for (uint32_t i = 0; i < n; i++)
        sum += isnan(l[i]) ? 0 : exp((double)l[i] - max);
    return max + log(sum);
}

static void same_as_naive(void **state)
{
    static const uint32_t sizes[] = { 1, 7, 64, 1000, 4096, 4097, 50000 };

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint32_t n = sizes[s], k = n < 20 ? n : 20;
        float *l = rl_alloc_array(n, sizeof *l), lp;
        rl_logprob *top = rl_alloc_array(n, sizeof *top);
        double lse;

        for (uint32_t i = 0; i < n; i++)
            l[i] = (float)((uint64_t)i * 2654435761u % 1009) / 40;
        if (n > 10)
            l[n / 2] = NAN;
        lse = rl_logprobs(l, n, n - 1, &lp, top, k);
        assert_true(fabs(lse - naive_lse(l, n)) < 1e-6);
        assert_true(fabsf(lp - (float)((double)l[n - 1] - lse)) < 1e-6f);
        for (uint32_t i = 0; i < k; i++) { /* as many are better as stand before it */
            uint32_t better = 0;

            for (uint32_t j = 0; j < n; j++)
                better += l[j] > l[top[i].id] || (l[j] == l[top[i].id] && j < top[i].id);
            assert_int_equal(better, i);
            assert_true(top[i].logprob == (float)((double)l[top[i].id] - lse));
        }
        (void)rl_logprobs(l, n, 0, NULL, top, n); /* all of them */
        for (uint32_t i = 1; i < n; i++)
            assert_true(top[i].logprob <= top[i - 1].logprob);
        rl_free(l);
        rl_free(top);
    }
}

static void nothing_finite(void **state)
{
    float l[3] = { NAN, -INFINITY, NAN }, lp = 0;
    rl_logprob top[2];

    (void)state;
    assert_true(rl_logprobs(l, 3, 0, &lp, top, 2) == -INFINITY);
    assert_true(lp == -INFINITY && top[1].id == UINT32_MAX && top[1].logprob == -INFINITY);
    l[1] = 3;
    (void)rl_logprobs(l, 3, 1, &lp, top, 2);
    assert_true(lp == 0 && top[0].id == 1 && top[1].id == UINT32_MAX);
    (void)rl_logprobs(l, 3, 77, &lp, NULL, 0); /* not in the vocabulary */
    assert_true(lp == -INFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_naive),
        cmocka_unit_test(nothing_finite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
