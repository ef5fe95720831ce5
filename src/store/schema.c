/* Migrations of realm.db.
 *
 * 1. A step is never edited once released; a change of the schema is a further step.
 * 2. Steps and the new user_version are one transaction: a crash leaves the old schema or the new.
 * 3. A database that is not empty must carry Realm's application id. */
#include "store/schema.h"

#include "base/assert.h"
#include "base/fs.h"
#include "store/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define APPLICATION_ID 0x52656c6d /* "Relm" */

const char *const rl_schema_steps[] = {
    "CREATE TABLE models ("
    " name TEXT PRIMARY KEY NOT NULL,"
    " sha256 TEXT NOT NULL CHECK (length(sha256) = 64),"
    " arch TEXT NOT NULL,"
    " source TEXT NOT NULL,"
    " source_bytes INTEGER NOT NULL,"
    " packed_bytes INTEGER NOT NULL,"
    " n_params INTEGER NOT NULL,"
    " created_s INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX models_by_sha256 ON models (sha256);"
    "CREATE TABLE digests ("
    " dev INTEGER NOT NULL, ino INTEGER NOT NULL, size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,"
    " sha256 TEXT NOT NULL CHECK (length(sha256) = 64),"
    " seen_s INTEGER NOT NULL,"
    " PRIMARY KEY (dev, ino)"
    ") STRICT;",

    "CREATE TABLE keys ("
    " id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 12),"
    " sha256 TEXT NOT NULL CHECK (length(sha256) = 64)," /* of the secret */
    " label TEXT NOT NULL,"
    " created_s INTEGER NOT NULL,"
    " last_used_s INTEGER,"
    " revoked_s INTEGER"
    ") STRICT;",

    "CREATE TABLE programs ("
    " name TEXT PRIMARY KEY NOT NULL,"
    " sha256 TEXT NOT NULL CHECK (length(sha256) = 64),"
    " bytes INTEGER NOT NULL,"
    " created_s INTEGER NOT NULL"
    ") STRICT;"
    /* one space of names */
    "CREATE TRIGGER programs_leave_models BEFORE INSERT ON programs"
    " WHEN EXISTS (SELECT 1 FROM models WHERE name = NEW.name)"
    " BEGIN SELECT RAISE(ABORT, 'the name of a model'); END;"
    "CREATE TRIGGER models_leave_programs BEFORE INSERT ON models"
    " WHEN EXISTS (SELECT 1 FROM programs WHERE name = NEW.name)"
    " BEGIN SELECT RAISE(ABORT, 'the name of a program'); END;",
};
const int rl_schema_n_steps = (int)RL_COUNT(rl_schema_steps);

static realm_status pragma_int(sqlite3 *db, const char *path, const char *sql, int *out,
                               realm_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? REALM_OK : rl_store_fail(err, db, rc, path);
}

static realm_status run_sql(sqlite3 *db, const char *path, const char *sql, realm_error *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? REALM_OK : rl_store_fail(err, db, rc, path);
}

/* VACUUM INTO writes a whole, consistent copy; the rename makes it appear at once. */
static realm_status backup(sqlite3 *db, const char *path, int version, realm_error *err)
{
    char tmp[4300], bak[4200];
    sqlite3_stmt *stmt = NULL;
    int rc;

    (void)snprintf(bak, sizeof bak, "%s.v%d.bak", path, version);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", bak);
    (void)unlink(tmp);
    rc = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, tmp, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    (void)sqlite3_finalize(stmt);
    if (rc != SQLITE_DONE) {
        (void)unlink(tmp);
        return rl_store_fail(err, db, rc, bak);
    }
    if (rename(tmp, bak) < 0)
        return realm_fail(err, REALM_EIO, "%s: %s", bak, strerror(errno));
    return rl_fs_sync_parent(bak, err);
}

static realm_status migrate(sqlite3 *db, const char *path, const char *const *steps, int from,
                            int n_steps, realm_error *err)
{
    char sql[96];
    realm_status st = run_sql(db, path, "BEGIN IMMEDIATE", err);

    if (st != REALM_OK)
        return st;
    for (int i = from; st == REALM_OK && i < n_steps; i++)
        st = run_sql(db, path, steps[i], err);
    (void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
                   APPLICATION_ID, n_steps);
    if (st == REALM_OK)
        st = run_sql(db, path, sql, err);
    if (st == REALM_OK)
        st = run_sql(db, path, "COMMIT", err);
    if (st != REALM_OK && !sqlite3_get_autocommit(db))
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

realm_status rl_schema_apply(sqlite3 *db, const char *path, const char *const *steps, int n_steps,
                             realm_error *err)
{
    int version = 0, id = 0, tables = 0;
    realm_status st = pragma_int(db, path, "PRAGMA user_version", &version, err);

    if (st == REALM_OK)
        st = pragma_int(db, path, "PRAGMA application_id", &id, err);
    if (st == REALM_OK)
        st = pragma_int(db, path, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (st != REALM_OK)
        return st;
    if (version < 0 || ((version > 0 || tables > 0) && id != APPLICATION_ID))
        return realm_fail(err, REALM_EINVAL,
                          "%s is another program's database; set REALM_HOME to a folder of Realm's "
                          "own",
                          path);
    if (version > n_steps)
        return realm_fail(err, REALM_EUNSUPPORTED,
                          "%s has schema %d, written by a newer realm (this one knows %d); update "
                          "realm or use another REALM_HOME",
                          path, version, n_steps);
    if (version == n_steps)
        return REALM_OK;
    if (version > 0)
        st = backup(db, path, version, err);
    return st == REALM_OK ? migrate(db, path, steps, version, n_steps, err) : st;
}
