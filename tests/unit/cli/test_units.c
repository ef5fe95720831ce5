#include "../test.h"

#include "cli/units.h"

#include <stdbool.h>
#include <stdlib.h>

static void sizes_are_whole_numbers_with_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        { "0", 0 },
        { "4096", 4096 },
        { "4096B", 4096 },
        { "1KiB", 1024 },
        { "64MiB", 67108864 },
        { "2GiB", 2147483648 },
        { "1TiB", 1099511627776 },
        { "5kB", 5000 },
        { "5MB", 5000000 },
        { "5GB", 5000000000 },
    };
    uint64_t v;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(rl_units_size(good[i].text, &v));
        assert_true(v == good[i].bytes);
    }
}

static void what_is_not_quite_a_size_is_refused(void **state)
{
    static const char *const bad[] = { "",
                                       "MiB",
                                       "64 MiB",
                                       "64mib",
                                       "64M",
                                       "64Mi",
                                       "-1",
                                       "+1",
                                       "1.5GiB",
                                       "0x10",
                                       "64MiBx",
                                       " 64",
                                       "64MiB ",
                                       "1e3",
                                       "1PiB",
                                       "٣",
                                       "8388608TiB",
                                       "9223372036854775808",
                                       "99999999999999999999999" };
    uint64_t v = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (rl_units_size(bad[i], &v))
            fail_msg("accepted: %s", bad[i]);
    }
    assert_true(v == 7);
    assert_true(rl_units_size("8388607TiB", &v)); /* just below 2^63 */
}

static void durations_need_a_unit(void **state)
{
    uint64_t ms = 0;

    (void)state;
    assert_true(rl_units_duration("250ms", &ms) && ms == 250);
    assert_true(rl_units_duration("300s", &ms) && ms == 300000);
    assert_true(rl_units_duration("5m", &ms) && ms == 300000);
    assert_true(rl_units_duration("2h", &ms) && ms == 7200000);
    assert_false(rl_units_duration("300", &ms));
    assert_false(rl_units_duration("1d", &ms));
    assert_false(rl_units_duration("1m30s", &ms));
    assert_false(rl_units_duration("s", &ms));
    assert_false(rl_units_duration("9223372036854775807h", &ms));
}

static void numbers_have_nothing_else(void **state)
{
    uint64_t v = 0;

    (void)state;
    assert_true(rl_units_uint("18", &v) && v == 18);
    assert_false(rl_units_uint("18B", &v));
    assert_false(rl_units_uint("-18", &v));
    assert_false(rl_units_uint("", &v));
}

static void people_see_three_digits(void **state)
{
    char out[RL_UNITS_TEXT];

    (void)state;
    assert_string_equal(rl_units_show_size(0, out), "0 B");
    assert_string_equal(rl_units_show_size(1023, out), "1023 B");
    assert_string_equal(rl_units_show_size(1024, out), "1.00 KiB");
    assert_string_equal(rl_units_show_size(253113024, out), "241 MiB");
    assert_string_equal(rl_units_show_size(1048575, out), "1.00 MiB");
    assert_string_equal(rl_units_show_size(10485760, out), "10.0 MiB");
    assert_string_equal(rl_units_show_size(UINT64_MAX, out), "16777216 TiB");
    assert_string_equal(rl_units_show_count(999, out), "999");
    assert_string_equal(rl_units_show_count(494032768, out), "494 M");
    assert_string_equal(rl_units_show_count(1543714304, out), "1.54 B");
    assert_string_equal(rl_units_show_ns(420000, out), "0.42 ms");
    assert_string_equal(rl_units_show_ns(2310000000, out), "2.31 s");
    assert_string_equal(rl_units_show_ns(200000000000, out), "3 min 20 s");
}

static void dates_are_local(void **state)
{
    char out[RL_UNITS_TEXT];

    (void)state;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    assert_string_equal(rl_units_show_date(1700000000, out), "2023-11-14 22:13");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_whole_numbers_with_a_unit),
        cmocka_unit_test(what_is_not_quite_a_size_is_refused),
        cmocka_unit_test(durations_need_a_unit),
        cmocka_unit_test(numbers_have_nothing_else),
        cmocka_unit_test(people_see_three_digits),
        cmocka_unit_test(dates_are_local),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
