#include "home.h"

#include "base/alloc.h"

static rl_store_program sample(const char *name, const char *of)
{
    rl_store_program p = { .bytes = 1234, .created_s = 1700000000 };

    (void)snprintf(p.name, sizeof p.name, "%s", name);
    rl_sha256(of, strlen(of), p.sha256);
    return p;
}

static rl_store_model model(const char *name)
{
    rl_store_model m = { .arch = "llama", .source = "file" };

    (void)snprintf(m.name, sizeof m.name, "%s", name);
    rl_sha256(name, strlen(name), m.sha256);
    return m;
}

static void a_row_comes_back_as_it_went_in(void **state)
{
    rl_store_program p = sample("org/hello:1", "x"), got;
    rl_store *s = opened();

    (void)state;
    assert_int_equal(rl_store_program_put(s, &p, false, NULL), REALM_OK);
    memset(&got, 0xff, sizeof got);
    assert_int_equal(rl_store_program_get(s, "org/hello:1", &got, NULL), REALM_OK);
    assert_string_equal(got.name, p.name);
    assert_string_equal(got.sha256, p.sha256);
    assert_true(got.bytes == 1234 && got.created_s == 1700000000);
    assert_int_equal(rl_store_program_delete(s, "org/hello:1", NULL), REALM_OK);
    assert_int_equal(rl_store_program_delete(s, "org/hello:1", NULL), REALM_ENOTFOUND);
    assert_int_equal(rl_store_program_get(s, "org/hello:1", &got, NULL), REALM_ENOTFOUND);
    rl_store_close(s);
}

static void a_taken_name_is_a_conflict_unless_replaced(void **state)
{
    rl_store_program p = sample("p", "one"), q = sample("p", "two"), got;
    rl_store *s = opened();
    realm_error err;

    (void)state;
    assert_int_equal(rl_store_program_put(s, &p, false, NULL), REALM_OK);
    assert_int_equal(rl_store_program_put(s, &q, false, &err), REALM_ECONFLICT);
    assert_non_null(strstr(err.text, "p is taken"));
    assert_int_equal(rl_store_program_put(s, &q, true, NULL), REALM_OK);
    assert_int_equal(rl_store_program_get(s, "p", &got, NULL), REALM_OK);
    assert_string_equal(got.sha256, q.sha256);
    rl_store_close(s);
}

/* Whichever came first, and however the row is put; removing the one makes room for the other. */
static void models_and_programs_share_their_names(void **state)
{
    rl_store_program p = sample("a", "x");
    rl_store_model m = model("b");
    rl_store *s = opened();
    realm_error err;

    (void)state;
    assert_int_equal(rl_store_program_put(s, &p, false, NULL), REALM_OK);
    assert_int_equal(rl_store_model_put(s, &m, false, NULL), REALM_OK);
    m = model("a");
    p = sample("b", "x");
    for (int replace = 0; replace < 2; replace++) {
        assert_int_equal(rl_store_model_put(s, &m, replace, &err), REALM_ECONFLICT);
        assert_non_null(strstr(err.text, "a is the name of a program"));
        assert_int_equal(rl_store_program_put(s, &p, replace, &err), REALM_ECONFLICT);
        assert_non_null(strstr(err.text, "b is the name of a model"));
    }
    assert_int_equal(sql_int("realm.db", "SELECT count(*) FROM models"), 1);
    assert_int_equal(sql_int("realm.db", "SELECT count(*) FROM programs"), 1);
    assert_int_equal(rl_store_program_delete(s, "a", NULL), REALM_OK);
    assert_int_equal(rl_store_model_put(s, &m, false, NULL), REALM_OK);
    rl_store_close(s);
}

static void names_follow_the_rule_of_models(void **state)
{
    static const char *const bad[] = { "", "A", "../x", "a b", "p@m", "@", "a@", "x'; --" };
    rl_store_program p = sample("x", "x"), got;
    rl_store *s = opened();
    realm_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(p.name, sizeof p.name, "%s", bad[i]);
        assert_int_equal(rl_store_program_put(s, &p, true, &err), REALM_EINVAL);
        assert_non_null(strstr(err.text, "a program name is"));
        assert_int_equal(rl_store_program_get(s, bad[i], &got, NULL), REALM_EINVAL);
        assert_int_equal(rl_store_program_delete(s, bad[i], NULL), REALM_EINVAL);
    }
    memset(p.name, 'a', sizeof p.name); /* no NUL inside the field */
    assert_int_equal(rl_store_program_put(s, &p, true, NULL), REALM_EINVAL);
    assert_int_equal(sql_int("realm.db", "SELECT count(*) FROM programs"), 0);
    rl_store_close(s);
}

static void the_list_is_in_order_of_names(void **state)
{
    static const char *const names[] = { "c", "a", "b" };
    rl_store_program *list;
    rl_store *s = opened();
    char path[4096], expected[256];
    size_t n;

    (void)state;
    assert_int_equal(rl_store_program_list(s, &list, &n, NULL), REALM_OK);
    assert_int_equal(n, 0);
    rl_free(list);
    for (size_t i = 0; i < 3; i++) {
        rl_store_program p = sample(names[i], "same");

        assert_int_equal(rl_store_program_put(s, &p, false, NULL), REALM_OK);
    }
    assert_int_equal(rl_store_program_list(s, &list, &n, NULL), REALM_OK);
    assert_int_equal(n, 3);
    assert_string_equal(list[0].name, "a");
    assert_string_equal(list[2].name, "c");
    rl_store_program_path(s, list[0].sha256, path, sizeof path);
    (void)snprintf(expected, sizeof expected, "%s/programs/%s.wasm", home, list[0].sha256);
    assert_string_equal(path, expected);
    rl_free(list);
    rl_store_close(s);
}

static void a_transaction_is_whole_or_nothing(void **state)
{
    rl_store_program p = sample("p", "x"), got;
    rl_store *s = opened(), *other = opened();
    realm_error err = { .text = "" };

    (void)state;
    assert_int_equal(rl_store_begin(s, &err), REALM_OK);
    assert_int_equal(rl_store_program_put(s, &p, false, &err), REALM_OK);
    assert_int_equal(rl_store_program_get(other, "p", &got, NULL), REALM_ENOTFOUND);
    assert_int_equal(rl_store_end(s, realm_fail(&err, REALM_EDISK, "why"), &err), REALM_EDISK);
    assert_string_equal(err.text, "why");
    assert_int_equal(rl_store_program_get(s, "p", &got, NULL), REALM_ENOTFOUND);
    assert_int_equal(rl_store_begin(s, &err), REALM_OK);
    assert_int_equal(rl_store_program_put(s, &p, false, &err), REALM_OK);
    assert_int_equal(rl_store_end(s, REALM_OK, &err), REALM_OK);
    assert_int_equal(rl_store_program_get(other, "p", &got, NULL), REALM_OK);
    assert_int_equal(rl_store_begin(other, &err), REALM_OK); /* the first has let go */
    assert_int_equal(rl_store_end(other, REALM_OK, &err), REALM_OK);
    rl_store_close(other);
    rl_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOME_TEST(a_row_comes_back_as_it_went_in),
        HOME_TEST(a_taken_name_is_a_conflict_unless_replaced),
        HOME_TEST(models_and_programs_share_their_names),
        HOME_TEST(names_follow_the_rule_of_models),
        HOME_TEST(the_list_is_in_order_of_names),
        HOME_TEST(a_transaction_is_whole_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
