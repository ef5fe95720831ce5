#include "home.h"

#include "store/schema.h"

static const char *const two_steps[] = {
    "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (41);",
    "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;",
};

static sqlite3 *raw_open(char *path, size_t cap)
{
    sqlite3 *db = NULL;

    (void)snprintf(path, cap, "%s/t.db", work);
    (void)snprintf(home, sizeof home, "%s", work); /* sql_int looks here */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void a_migration_keeps_rows_and_a_copy(void **state)
{
    char path[128];
    sqlite3 *db = raw_open(path, sizeof path);

    (void)state;
    assert_int_equal(rl_schema_apply(db, path, two_steps, 1, NULL), REALM_OK);
    assert_int_equal(rl_schema_apply(db, path, two_steps, 2, NULL), REALM_OK);
    assert_int_equal(rl_schema_apply(db, path, two_steps, 2, NULL), REALM_OK); /* nothing to do */
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(sql_int("t.db", "SELECT y FROM a"), 42);
    assert_int_equal(sql_int("t.db", "PRAGMA user_version"), 2);
    assert_int_equal(sql_int("t.db.v1.bak", "PRAGMA user_version"), 1);
    assert_int_equal(sql_int("t.db.v1.bak", "SELECT x FROM a"), 41);
}

static void a_failing_step_changes_nothing(void **state)
{
    static const char *const bad[] = {
        "CREATE TABLE a (x INTEGER) STRICT;",
        "CREATE TABLE b (x INTEGER) STRICT;",
        "CREATE TABLE broken (",
    };
    char path[128];
    sqlite3 *db = raw_open(path, sizeof path);

    (void)state;
    assert_int_equal(rl_schema_apply(db, path, bad, 1, NULL), REALM_OK);
    assert_int_equal(rl_schema_apply(db, path, bad, 3, NULL), REALM_EIO);
    assert_true(sqlite3_get_autocommit(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(sql_int("t.db", "PRAGMA user_version"), 1);
    assert_int_equal(sql_int("t.db", "SELECT count(*) FROM sqlite_schema"), 1);
}

/* A home of the first release keeps what is in it. */
static void an_old_home_is_carried_over(void **state)
{
    char path[128];
    sqlite3 *db = NULL;
    rl_store *s;
    rl_store_model m;
    uint64_t n;

    (void)state;
    assert_int_equal(mkdir(home, 0700), 0);
    in_home(path, sizeof path, "realm.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(rl_schema_apply(db, path, rl_schema_steps, 1, NULL), REALM_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    sql("realm.db", "INSERT INTO models VALUES ('m', '"
                    "0000000000000000000000000000000000000000000000000000000000000000',"
                    " 'llama', 'file', 1, 2, 3, 4)");
    s = opened();
    assert_int_equal(rl_store_model_get(s, "m", &m, NULL), REALM_OK);
    assert_true(m.packed_bytes == 2 && m.created_s == 4);
    assert_int_equal(rl_store_key_count(s, &n, NULL), REALM_OK);
    assert_true(n == 0);
    rl_store_close(s);
    assert_int_equal(sql_int("realm.db", "PRAGMA user_version"), rl_schema_n_steps);
    assert_int_equal(sql_int("realm.db.v1.bak", "SELECT count(*) FROM models"), 1);
}

static void a_newer_schema_is_refused(void **state)
{
    rl_store *s = NULL;
    realm_error err;

    (void)state;
    rl_store_close(opened());
    sql("realm.db", "PRAGMA user_version = 99");
    assert_int_equal(rl_store_open(&s, home, &err), REALM_EUNSUPPORTED);
    assert_null(s);
    assert_non_null(strstr(err.text, "newer"));
    assert_int_equal(sql_int("realm.db", "PRAGMA user_version"), 99); /* untouched */
}

static void another_programs_database_is_refused(void **state)
{
    rl_store *s = NULL;
    realm_error err;

    (void)state;
    assert_int_equal(mkdir(home, 0700), 0);
    sql("realm.db", "CREATE TABLE photos (x)");
    assert_int_equal(rl_store_open(&s, home, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "another program"));
    assert_int_equal(sql_int("realm.db", "SELECT count(*) FROM sqlite_schema"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOME_TEST(a_migration_keeps_rows_and_a_copy),    HOME_TEST(a_failing_step_changes_nothing),
        HOME_TEST(an_old_home_is_carried_over),          HOME_TEST(a_newer_schema_is_refused),
        HOME_TEST(another_programs_database_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
