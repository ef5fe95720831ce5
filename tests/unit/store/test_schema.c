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
        HOME_TEST(a_migration_keeps_rows_and_a_copy),
        HOME_TEST(a_failing_step_changes_nothing),
        HOME_TEST(a_newer_schema_is_refused),
        HOME_TEST(another_programs_database_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
