#include "../test.h"

#include "sample/philox.h"

/* Known answers published with the paper's reference implementation (Random123). */
static void known_answers(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } row[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    uint32_t out[4];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        rl_philox(row[i].counter, row[i].key, out);
        assert_memory_equal(out, row[i].out, sizeof out);
    }
}

static void uniform_is_in_range_and_keyed(void **state)
{
    double mean = 0;

    (void)state;
    for (uint64_t i = 0; i < 1000000; i++) {
        double u = rl_philox_uniform(7, 0, i, 0);

        assert_true(u >= 0 && u < 1);
        mean += u / 1000000;
    }
    assert_true(mean > 0.499 && mean < 0.501);
    assert_true(rl_philox_uniform(7, 0, 3, 0) == rl_philox_uniform(7, 0, 3, 0));
    assert_true(rl_philox_uniform(7, 0, 3, 0) != rl_philox_uniform(8, 0, 3, 0));
    assert_true(rl_philox_uniform(7, 0, 3, 0) != rl_philox_uniform(7, 1, 3, 0));
    assert_true(rl_philox_uniform(7, 0, 3, 0) !=
                rl_philox_uniform(7, 0, 3 + ((uint64_t)1 << 32), 0));
    assert_true(rl_philox_uniform(7, 0, 3, 0) !=
                rl_philox_uniform(7 + ((uint64_t)1 << 32), 0, 3, 0));
    for (uint32_t nth = 1; nth < 5; nth++)
        assert_true(rl_philox_uniform(7, 0, 3, 0) != rl_philox_uniform(7, 0, 3, nth));
    assert_true(rl_philox_uniform(7, 0, 3, 2) != rl_philox_uniform(7, 0, 3, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(uniform_is_in_range_and_keyed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
