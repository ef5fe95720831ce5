#include "../test.h"

#include "load/url.h"

#include <string.h>

static void addresses_in_every_form(void **state)
{
    static const struct {
        const char *text, *host, *port, *prefix;
    } rows[] = {
        { "http://127.0.0.1:8080", "127.0.0.1", "8080", "" },
        { "http://127.0.0.1:8080/", "127.0.0.1", "8080", "" },
        { "http://example.org/v1", "example.org", "80", "" },
        { "http://example.org/v1/", "example.org", "80", "" },
        { "http://example.org:1/api/v1", "example.org", "1", "/api" },
        { "localhost:65535", "localhost", "65535", "" },
        { "localhost", "localhost", "80", "" },
        { "http://[::1]:99/x/y/", "::1", "99", "/x/y" },
        { "[fe80::1]", "fe80::1", "80", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rl_load_url u;
        realm_error err;

        assert_int_equal(rl_load_url_parse(&u, rows[i].text, &err), REALM_OK);
        assert_string_equal(u.host, rows[i].host);
        assert_string_equal(u.port, rows[i].port);
        assert_string_equal(u.prefix, rows[i].prefix);
    }
}

static void what_is_no_address(void **state)
{
    static const char *const rows[] = {
        "",
        "http://",
        "http://:80",
        "https://example.org",
        "ftp://example.org",
        "http://example.org:0",
        "http://example.org:65536",
        "http://example.org:123456",
        "http://example.org:",
        "http://example.org:8x",
        "http://[::1",
        "http://[::1]x",
        "http://user@example.org",
        "http://example.org/a?b",
        "http://example.org/a#b",
        "http://example.org/a b",
        "http://exa mple.org",
        "http://example.org/\r\nX: 1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rl_load_url u;
        realm_error err;

        if (rl_load_url_parse(&u, rows[i], &err) == REALM_OK)
            fail_msg("taken: %s", rows[i]);
        assert_true(strlen(err.text) > 10);
    }
}

static void numbers_resolve_without_asking(void **state)
{
    rl_load_url u;
    rl_load_addr a;
    realm_error err;

    (void)state;
    assert_int_equal(rl_load_url_parse(&u, "http://127.0.0.1:80", &err), REALM_OK);
    assert_int_equal(rl_load_url_resolve(&u, &a, &err), REALM_OK);
    assert_int_equal(a.at.ss_family, AF_INET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_in_every_form),
        cmocka_unit_test(what_is_no_address),
        cmocka_unit_test(numbers_resolve_without_asking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
