#include "home.h"

#include "base/alloc.h"

static rl_store_model sample(const char *name)
{
    rl_store_model m = { .arch = "qwen2",
                         .source = "a file's name; DROP TABLE models",
                         .source_bytes = (uint64_t)5 << 32,
                         .packed_bytes = 7,
                         .n_params = 494000000,
                         .created_s = 1700000000 };

    (void)snprintf(m.name, sizeof m.name, "%s", name);
    rl_sha256(name, strlen(name), m.sha256);
    return m;
}

static void names_follow_the_rule(void **state)
{
    static const char *const good[] = { "a", "0", "qwen2.5-coder-0.5b", "hub/a_b:c.d-e", "a." };
    static const char *const bad[] = { "",       ".a",          "-a",   "A",    "a b",
                                       "../etc", "a/../b",      "a..",  "a\nb", "a'b",
                                       "a;b",    "caf\xc3\xa9", "/a",   "%s",   "a\x7f",
                                       "_a",     "a\\b",        "a\"b", "a@b",  "@" };
    char longest[RL_NAME_MAX + 2];
    realm_error err;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(rl_store_check_name(good[i], strlen(good[i]), NULL), REALM_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(rl_store_check_name(bad[i], strlen(bad[i]), &err), REALM_EINVAL);
    assert_int_equal(rl_store_check_name("a\0b", 3, NULL), REALM_EINVAL);
    memset(longest, 'a', sizeof longest);
    assert_int_equal(rl_store_check_name(longest, RL_NAME_MAX, NULL), REALM_OK);
    assert_int_equal(rl_store_check_name(longest, RL_NAME_MAX + 1, NULL), REALM_EINVAL);
}

static void a_row_comes_back_as_it_went_in(void **state)
{
    rl_store_model m = sample("org/model:q4"), got;
    rl_store *s = opened();

    (void)state;
    assert_int_equal(rl_store_model_put(s, &m, false, NULL), REALM_OK);
    memset(&got, 0xff, sizeof got);
    assert_int_equal(rl_store_model_get(s, "org/model:q4", &got, NULL), REALM_OK);
    assert_string_equal(got.name, m.name);
    assert_string_equal(got.sha256, m.sha256);
    assert_string_equal(got.arch, m.arch);
    assert_string_equal(got.source, m.source);
    assert_true(got.source_bytes == m.source_bytes && got.packed_bytes == m.packed_bytes);
    assert_true(got.n_params == m.n_params && got.created_s == m.created_s);
    rl_store_close(s);
}

static void a_taken_name_is_a_conflict_unless_replaced(void **state)
{
    rl_store_model m = sample("m"), got;
    rl_store *s = opened();
    realm_error err;

    (void)state;
    assert_int_equal(rl_store_model_put(s, &m, false, NULL), REALM_OK);
    m.packed_bytes = 8;
    assert_int_equal(rl_store_model_put(s, &m, false, &err), REALM_ECONFLICT);
    assert_non_null(strstr(err.text, "m is taken"));
    assert_int_equal(rl_store_model_get(s, "m", &got, NULL), REALM_OK);
    assert_true(got.packed_bytes == 7);
    assert_int_equal(rl_store_model_put(s, &m, true, NULL), REALM_OK);
    assert_int_equal(rl_store_model_get(s, "m", &got, NULL), REALM_OK);
    assert_true(got.packed_bytes == 8);
    rl_store_close(s);
}

static void hostile_names_reach_no_statement(void **state)
{
    rl_store_model m = sample("x"), got;
    rl_store *s = opened();

    (void)state;
    (void)snprintf(m.name, sizeof m.name, "x'); DROP TABLE models;--");
    assert_int_equal(rl_store_model_put(s, &m, true, NULL), REALM_EINVAL);
    assert_int_equal(rl_store_model_get(s, m.name, &got, NULL), REALM_EINVAL);
    assert_int_equal(rl_store_model_delete(s, m.name, NULL), REALM_EINVAL);
    memset(m.name, 'a', sizeof m.name); /* no NUL inside the field */
    assert_int_equal(rl_store_model_put(s, &m, true, NULL), REALM_EINVAL);
    assert_int_equal(rl_store_model_get(s, "x", &got, NULL), REALM_ENOTFOUND);
    rl_store_close(s);
}

static void the_list_is_in_order_of_names(void **state)
{
    static const char *const names[] = { "c", "a", "e", "b", "d" };
    rl_store_model *list;
    rl_store *s = opened();
    size_t n;

    (void)state;
    assert_int_equal(rl_store_model_list(s, &list, &n, NULL), REALM_OK);
    assert_int_equal(n, 0);
    rl_free(list);
    for (size_t i = 0; i < 5; i++) {
        rl_store_model m = sample(names[i]);

        assert_int_equal(rl_store_model_put(s, &m, false, NULL), REALM_OK);
    }
    assert_int_equal(rl_store_model_delete(s, "b", NULL), REALM_OK);
    assert_int_equal(rl_store_model_delete(s, "b", NULL), REALM_ENOTFOUND);
    assert_int_equal(rl_store_model_list(s, &list, &n, NULL), REALM_OK);
    assert_int_equal(n, 4);
    assert_string_equal(list[0].name, "a");
    assert_string_equal(list[1].name, "c");
    assert_string_equal(list[2].name, "d");
    assert_string_equal(list[3].name, "e");
    rl_free(list);
    rl_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOME_TEST(names_follow_the_rule),
        HOME_TEST(a_row_comes_back_as_it_went_in),
        HOME_TEST(a_taken_name_is_a_conflict_unless_replaced),
        HOME_TEST(hostile_names_reach_no_statement),
        HOME_TEST(the_list_is_in_order_of_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
