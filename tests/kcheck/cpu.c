/* REALM_CPU with a word that is no level (set by the test list): told, and not obeyed. */
#include "kcheck.h"

static void a_wrong_word_is_told(void **state)
{
    (void)state;
    assert_non_null(rl_kernels_check());
    assert_non_null(strstr(rl_kernels_check(), "REALM_CPU=fastest"));
    assert_non_null(strstr(rl_kernels_check(), "ref, avx2 or avx512"));
}

static void the_best_level_serves(void **state)
{
    (void)state;
    assert_int_equal(rl_kernels_get()->level, rl_level_of_cpu());
    assert_ptr_equal(rl_kernels_get(), rl_kernels_of(rl_level_of_cpu()));
}

static void levels_the_cpu_has_are_all_there(void **state)
{
    (void)state;
    for (rl_level l = RL_LEVEL_REF; l < RL_LEVELS; l++) {
        if (l > rl_level_of_cpu()) {
            assert_null(rl_kernels_of(l));
            continue;
        }
        assert_non_null(rl_kernels_of(l));
        assert_int_equal(rl_kernels_of(l)->level, l);
    }
    assert_true(strlen(rl_cpu_name()) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_word_is_told),
        cmocka_unit_test(the_best_level_serves),
        cmocka_unit_test(levels_the_cpu_has_are_all_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
