#include "../test.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void json_writes_nested_values(void **state)
{
    rl_buf b;
    rl_json j;

    (void)state;
    rl_buf_init(&b, 1000);
    j = rl_json_on(&b);
    rl_json_object(&j, NULL);
    rl_json_string(&j, "a\"b", "x\n\x01\xff\xc3\xa9");
    rl_json_array(&j, "n");
    rl_json_uint(&j, NULL, 1);
    rl_json_double(&j, NULL, NAN, 5);
    rl_json_bool(&j, NULL, true);
    rl_json_end_array(&j);
    rl_json_int(&j, "z", -3);
    rl_json_end_object(&j);
    assert_string_equal(b.data, "{\"a\\\"b\":\"x\\n\\u0001\xef\xbf\xbd\xc3\xa9\","
                                "\"n\":[1,null,true],\"z\":-3}");
    rl_buf_deinit(&b);
}

static void every_code_point_goes_round(void **state)
{
    char out[4];
    uint32_t back;

    (void)state;
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        int n = rl_utf8_put(cp, out);

        if (cp >= 0xd800 && cp <= 0xdfff) {
            assert_int_equal(rl_utf8_next(out, 3, &back), 0);
            continue;
        }
        assert_int_equal(rl_utf8_next(out, (size_t)n, &back), n);
        assert_int_equal(back, cp);
        if (n > 1)
            assert_int_equal(rl_utf8_next(out, (size_t)n - 1, &back), -1);
    }
}

static void bad_utf8_is_seen(void **state)
{
    static const char *const bad[] = { "\x80",         "\xc0\x80",         "\xe0\x80\x80",
                                       "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                       "a\xff" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(rl_utf8_valid(bad[i], strlen(bad[i])));
    assert_true(rl_utf8_valid("h\xc3\xa9\xf0\x9f\x98\x80", 7));
    assert_int_equal(rl_utf8_whole("ab\xf0\x9f\x98", 5), 2);
    assert_int_equal(rl_utf8_whole("ab\xf0\x9f\x98\x80", 6), 6);
    assert_int_equal(rl_utf8_whole("ab\x80\x80", 4), 4);
    assert_int_equal(rl_utf8_whole("", 0), 0);
}

static void files_are_whole_or_absent(void **state)
{
    char dir[] = "/tmp/realm-test-XXXXXX", path[64], hex[RL_SHA256_HEX];
    rl_buf b;
    realm_error err;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/x/y", dir);
    assert_int_equal(rl_fs_mkdirs(path, &err), REALM_OK);
    assert_int_equal(rl_fs_mkdirs(path, &err), REALM_OK);
    (void)snprintf(path, sizeof path, "%s/x/y/f", dir);
    assert_int_equal(rl_fs_write(path, "abc", 3, &err), REALM_OK);
    rl_buf_init(&b, 2);
    assert_int_equal(rl_fs_read(path, &b, &err), REALM_ETOOBIG);
    rl_buf_deinit(&b);
    rl_buf_init(&b, 3);
    assert_int_equal(rl_fs_read(path, &b, &err), REALM_OK);
    assert_string_equal(b.data, "abc");
    rl_buf_deinit(&b);
    assert_int_equal(rl_fs_sha256(path, hex, NULL, NULL, &err), REALM_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(rl_fs_read(dir, &b, &err), REALM_EINVAL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rl_fs_read(path, &b, &err), REALM_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_writes_nested_values),
        cmocka_unit_test(every_code_point_goes_round),
        cmocka_unit_test(bad_utf8_is_seen),
        cmocka_unit_test(files_are_whole_or_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
