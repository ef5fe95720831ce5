#include "../test.h"

#include "realm/status.h"

static void rows_are_dense_and_in_order(void **state)
{
    int next = 0;

    (void)state;
#define ROW(name, number, http, text) assert_int_equal(REALM_##name, next--);
    REALM_STATUS_MAP(ROW)
#undef ROW
    assert_int_equal(next, -19);
}

static void each_row_answers_for_itself(void **state)
{
    (void)state;
    assert_string_equal(realm_status_name(REALM_ECONTEXT), "ECONTEXT");
    assert_string_equal(realm_status_text(REALM_EQUOTA), "own limit reached");
    assert_int_equal(realm_status_http(REALM_EDISK), 507);
    assert_string_equal(realm_status_name((realm_status)-99), "?");
    assert_int_equal(realm_status_http((realm_status)7), 500);
}

static void fail_fills_and_returns(void **state)
{
    realm_error err;

    (void)state;
    assert_int_equal(realm_fail(&err, REALM_EIO, "%s: %d", "x", 7), REALM_EIO);
    assert_int_equal(err.status, REALM_EIO);
    assert_string_equal(err.text, "x: 7");
    assert_int_equal(realm_fail(NULL, REALM_EINVAL, "nobody reads this"), REALM_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_dense_and_in_order),
        cmocka_unit_test(each_row_answers_for_itself),
        cmocka_unit_test(fail_fills_and_returns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
