/* A temporary $REALM_HOME per test, and SQL on its database behind the store's back. */
#ifndef RL_TEST_STORE_HOME_H
#define RL_TEST_STORE_HOME_H

#include "../test.h"

#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[80], work[64];

static inline int make_home(void **state)
{
    (void)state;
    (void)snprintf(work, sizeof work, "/tmp/realm-store-XXXXXX");
    if (!mkdtemp(work))
        return -1;
    (void)snprintf(home, sizeof home, "%s/home", work);
    return 0;
}

static inline int drop_home(void **state)
{
    char cmd[128];

    (void)state;
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", work);
    return system(cmd); /* NOLINT(cert-env33-c,bugprone-command-processor): our own folder */
}

static inline void in_home(char *out, size_t cap, const char *name)
{
    (void)snprintf(out, cap, "%s/%s", home, name);
}

static inline void put_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void sql(const char *db_name, const char *text)
{
    char path[128];
    sqlite3 *db = NULL;

    in_home(path, sizeof path, db_name);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline int sql_int(const char *db_name, const char *text)
{
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    int v;

    in_home(path, sizeof path, db_name);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    v = sqlite3_column_int(q, 0);
    (void)sqlite3_finalize(q);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return v;
}

static inline rl_store *opened(void)
{
    rl_store *s = NULL;
    realm_error err = { .text = "" };
    realm_status st = rl_store_open(&s, home, &err);

    if (st != REALM_OK)
        print_error("open: %s\n", err.text);
    assert_int_equal(st, REALM_OK);
    return s;
}

#define HOME_TEST(f) cmocka_unit_test_setup_teardown(f, make_home, drop_home)

#endif
