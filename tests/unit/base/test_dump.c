/* Dump: compact JSON after what is there, whatever the value; nothing half written goes unseen. */
#include "../test.h"

#include "base/alloc.h"
#include "base/dump.h"

#include <stdio.h>
#include <string.h>

static void dumps(json_t *v, const char *want)
{
    rl_buf b;

    assert_non_null(v);
    rl_buf_init(&b, 4096);
    assert_int_equal(rl_dump(&b, v), REALM_OK);
    assert_string_equal(b.data, want);
    assert_int_equal(b.len, strlen(want));
    rl_buf_deinit(&b);
    json_decref(v);
}

static void values_of_every_kind(void **state)
{
    (void)state;
    dumps(json_null(), "null");
    dumps(json_true(), "true");
    dumps(json_integer(-9007199254740993), "-9007199254740993"); /* not by way of a double */
    dumps(json_real(0.5), "0.5");
    dumps(json_string(""), "\"\"");
    dumps(json_array(), "[]");
    dumps(json_object(), "{}");
    dumps(json_pack("{s:[i,{s:n},b],s:s}", "a", 1, "b", 1, "c", "d"),
          "{\"a\":[1,{\"b\":null},true],\"c\":\"d\"}"); /* no spaces; members in their order */
}

static void texts_are_escaped(void **state)
{
    (void)state;
    dumps(json_string("\"\\\n\x01"), "\"\\\"\\\\\\n\\u0001\"");
    dumps(json_stringn("a\0b", 3), "\"a\\u0000b\"");
    dumps(json_string("\xc3\xa4\xf0\x9f\x98\x80"), "\"\xc3\xa4\xf0\x9f\x98\x80\""); /* as it is */
}

static void it_comes_after_what_is_there(void **state)
{
    json_t *v = json_pack("[i]", 7);
    rl_buf b;

    (void)state;
    rl_buf_init(&b, 100);
    assert_int_equal(rl_buf_adds(&b, "data: "), REALM_OK);
    assert_int_equal(rl_dump(&b, v), REALM_OK);
    assert_int_equal(rl_dump(&b, v), REALM_OK);
    assert_string_equal(b.data, "data: [7][7]");
    rl_buf_deinit(&b);
    json_decref(v);
}

/* A value that nests deeper than people write, from outside: it goes round unchanged. */
static void deep_values(void **state)
{
    enum { DEPTH = 1000 };
    char want[2 * DEPTH + 1];
    json_t *v = json_array();

    (void)state;
    memset(want, '[', DEPTH);
    memset(want + DEPTH, ']', DEPTH);
    want[(size_t)2 * DEPTH] = 0;
    for (int i = 1; i < DEPTH; i++) {
        json_t *outer = json_array();

        assert_int_equal(json_array_append_new(outer, v), 0);
        v = outer;
    }
    dumps(v, want);
}

/* At each cap below the text's length it fails, and says so for good. */
static void the_cap_holds(void **state)
{
    static const char text[] = "{\"key\":[1,2,\"three\"]}";
    json_t *v = json_loads(text, 0, NULL);
    rl_buf b;

    (void)state;
    for (size_t max = 0; max < sizeof text - 1; max++) {
        rl_buf_init(&b, max);
        assert_int_equal(rl_dump(&b, v), REALM_ENOMEM);
        assert_true(b.failed && b.len <= max);
        assert_int_equal(rl_dump(&b, v), REALM_ENOMEM);
        rl_buf_deinit(&b);
    }
    rl_buf_init(&b, sizeof text - 1);
    assert_int_equal(rl_dump(&b, v), REALM_OK);
    assert_string_equal(b.data, text);
    rl_buf_deinit(&b);
    json_decref(v);
}

static void no_value_and_no_memory(void **state)
{
    json_t *v = json_pack("[s]", "text");
    rl_buf b;

    (void)state;
    rl_buf_init(&b, 100);
    assert_int_equal(rl_dump(&b, NULL), REALM_ENOMEM); /* it could not be made */
    assert_true(b.failed);
    rl_buf_deinit(&b);
    rl_buf_init(&b, 100);
    (void)rl_alloc_fail_at(1);
    assert_int_equal(rl_dump(&b, v), REALM_ENOMEM);
    assert_true(rl_alloc_fail_at(0) && b.failed);
    rl_buf_deinit(&b);
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(it_comes_after_what_is_there),
        cmocka_unit_test(deep_values),
        cmocka_unit_test(the_cap_holds),
        cmocka_unit_test(no_value_and_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
