#include "quoted.h"

#include "base/dump.h"

#include <stdlib.h>
#include <string.h>

const char *quoted(const char *json)
{
    static char out[8192];
    size_t n = strlen(json);

    assert_true(n < sizeof out);
    for (size_t i = 0; i <= n; i++)
        out[i] = json[i];
    for (char *p = out; (p = strchr(p, '\'')) != NULL;)
        *p = '"';
    return out;
}

json_t *parsed(const char *json)
{
    json_t *v = json_loads(quoted(json), JSON_DECODE_ANY, NULL);

    assert_non_null(v);
    return v;
}

json_t *at(const json_t *v, const char *path)
{
    char key[64];

    while (*path) {
        size_t n = strcspn(path, ".");

        assert_true(n < sizeof key);
        memcpy(key, path, n);
        key[n] = 0;
        v = json_is_array(v) ? json_array_get(v, (size_t)strtoul(key, NULL, 10))
                             : json_object_get(v, key);
        path += n + (path[n] == '.');
    }
    return (json_t *)(uintptr_t)v;
}

const char *text_at(const json_t *v, const char *path)
{
    const char *s = json_string_value(at(v, path));

    assert_non_null(s);
    return s;
}

void expect(const json_t *v, const char *path, const char *json)
{
    json_t *want = parsed(json);

    if (!json_equal(at(v, path), want)) {
        rl_buf has;

        rl_buf_init(&has, (size_t)1 << 20);
        if (at(v, path))
            (void)rl_dump(&has, at(v, path));
        print_error("%s is %s, not %s\n", path, has.data ? has.data : "absent", json);
        rl_buf_deinit(&has);
        fail();
    }
    json_decref(want);
}

realm_status read_body(rl_ask *a, rl_api api, rl_ask_why *why, const char *json)
{
    const char *body = quoted(json);
    realm_error err = { .text = "" };
    realm_status st = rl_ask_read(a, api, body, strlen(body), why, &err);

    assert_true(st == REALM_OK || err.text[0] != 0);
    return st;
}
