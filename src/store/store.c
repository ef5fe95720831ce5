/* Opening and closing the registry: where it lives, its lock while it is set up, its connection.
 *
 * 1. Opening is serialised between threads and processes by a lock on <home>/realm.lock, so the
 *    switch to WAL and migrations happen once. Reading and writing later needs no lock of ours:
 *    SQLite's, with a busy timeout.
 * 2. A store is one connection without mutexes: one thread at a time. */
#include "base/alloc.h"
#include "store/internal.h"
#include "store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 10000

static realm_status status_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return REALM_EBUSY;
    case SQLITE_NOMEM:
        return REALM_ENOMEM;
    case SQLITE_CONSTRAINT:
        return REALM_ECONFLICT;
    default:
        return REALM_EIO;
    }
}

/* SQLite itself tells a full disk only by ENOSPC. A quota or a limit is a failed write to it, whose
 * errno it keeps for some calls and leaves in place for others; an index of its log that cannot
 * grow has none. */
static bool is_full(sqlite3 *db, int rc)
{
    int left = errno, kept = db ? sqlite3_system_errno(db) : 0;

    if ((rc & 0xff) != SQLITE_IOERR || !db)
        return (rc & 0xff) == SQLITE_FULL;
    switch (sqlite3_extended_errcode(db)) {
    case SQLITE_IOERR_SHMSIZE:
        return true;
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_TRUNCATE:
    case SQLITE_IOERR_FSYNC:
        return rl_fs_errno_status(kept ? kept : left) == REALM_EDISK;
    default:
        return false;
    }
}

realm_status rl_store_fail(realm_error *err, sqlite3 *db, int rc, const char *path)
{
    if (is_full(db, rc))
        return realm_fail(err, REALM_EDISK,
                          "%s cannot grow, the disk is full: free some space (realm rm, realm "
                          "prune) and try again",
                          path);
    switch (rc & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return realm_fail(err, REALM_EIO,
                          "%s is damaged; move it away (or put a .bak copy beside it in its place) "
                          "and import the models again",
                          path);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return realm_fail(err, REALM_EIO,
                          "%s cannot be written; make its folder writable or set REALM_HOME to one "
                          "that is",
                          path);
    case SQLITE_BUSY:
        return realm_fail(err, REALM_EBUSY, "%s is in use by another process; try again", path);
    default:
        return realm_fail(err, status_of(rc), "%s: %s", path,
                          db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    }
}

sqlite3_stmt *rl_store_stmt(rl_store *s, rl_store_sql which, realm_status *st, realm_error *err)
{
    static const char *const sql[] = {
#define SQL_TEXT(name, text) text,
        RL_STORE_SQL(SQL_TEXT)
#undef SQL_TEXT
    };
    int rc = SQLITE_OK;

    if (!s->stmts[which])
        rc = sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[which],
                                NULL);
    if (rc != SQLITE_OK) {
        *st = rl_store_fail(err, s->db, rc, s->path);
        return NULL;
    }
    (void)sqlite3_reset(s->stmts[which]);
    (void)sqlite3_clear_bindings(s->stmts[which]);
    return s->stmts[which];
}

int rl_store_step_done(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    (void)sqlite3_reset(stmt);
    return rc;
}

/* "<a><b>" on the heap, without slashes at the end of it. */
static char *joined(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b);
    char *p = rl_alloc(n + 1);

    if (!p)
        return NULL;
    (void)snprintf(p, n + 1, "%s%s", a, b);
    while (n > 1 && p[n - 1] == '/')
        p[--n] = 0;
    return p;
}

static const char *set_env(const char *name)
{
    const char *v = getenv(name);

    return v && *v ? v : NULL;
}

static realm_status find_home(const char *home, char **out, realm_error *err)
{
    const char *p;

    if (home && *home) {
        *out = joined(home, "");
    } else if ((p = set_env("REALM_HOME"))) {
        *out = joined(p, "");
    } else if ((p = set_env("XDG_DATA_HOME"))) {
        *out = joined(p, "/realm");
    } else if ((p = set_env("HOME"))) {
        *out = joined(p, "/.local/share/realm");
    } else {
        return realm_fail(err, REALM_EINVAL,
                          "no folder for models: set REALM_HOME to one that can be written");
    }
    if (!*out)
        return realm_fail(err, REALM_ENOMEM, "no memory to open the registry");
    /* Paths of packed files (digest and suffix) must fit a buffer of 4096. */
    if (strlen(*out) > 3900)
        return realm_fail(err, REALM_EINVAL, "REALM_HOME is longer than 3900 bytes");
    return REALM_OK;
}

static realm_status lock_home(const rl_store *s, int *fd, realm_error *err)
{
    char *path = joined(s->home, "/realm.lock");

    if (!path)
        return realm_fail(err, REALM_ENOMEM, "no memory to open the registry");
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    rl_free(path);
    if (*fd < 0)
        return realm_fail(err, rl_fs_errno_status(errno),
                          "%s cannot be written (%s); make it writable or set REALM_HOME to a "
                          "folder that is",
                          s->home, strerror(errno));
    while (flock(*fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return realm_fail(err, REALM_EIO, "%s: lock: %s", s->home, strerror(errno));
    return REALM_OK;
}

static realm_status open_db(rl_store *s, realm_error *err)
{
    int rc = sqlite3_open_v2(
        s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
    /* Hostile content of a database file must not reach functions with side effects. */
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", NULL,
                          NULL, NULL);
    if (rc != SQLITE_OK)
        return rl_store_fail(err, s->db, rc, s->path);
    return rl_schema_apply(s->db, s->path, rl_schema_steps, rl_schema_n_steps, err);
}

static realm_status set_up(rl_store *s, realm_error *err)
{
    char *models = joined(s->home, "/models");
    int fd = -1;
    realm_status st;

    s->path = joined(s->home, "/realm.db");
    if (!s->path || !models) {
        rl_free(models);
        return realm_fail(err, REALM_ENOMEM, "no memory to open the registry");
    }
    st = rl_fs_mkdirs(models, err);
    rl_free(models);
    if (st != REALM_OK)
        return st;
    st = lock_home(s, &fd, err);
    if (st == REALM_OK)
        st = open_db(s, err);
    if (fd >= 0)
        (void)close(fd); /* lets the lock go */
    return st;
}

realm_status rl_store_open(rl_store **out, const char *home, realm_error *err)
{
    rl_store *s = rl_alloc(sizeof *s);
    realm_status st;

    *out = NULL;
    if (!s)
        return realm_fail(err, REALM_ENOMEM, "no memory to open the registry");
    st = find_home(home, &s->home, err);
    if (st == REALM_OK)
        st = set_up(s, err);
    if (st != REALM_OK) {
        rl_store_close(s);
        return st;
    }
    *out = s;
    return REALM_OK;
}

void rl_store_close(rl_store *s)
{
    if (!s)
        return;
    for (int i = 0; i < RL_SQL_COUNT; i++)
        (void)sqlite3_finalize(s->stmts[i]);
    (void)sqlite3_close(s->db);
    rl_free(s->path);
    rl_free(s->home);
    rl_free(s);
}

const char *rl_store_home(const rl_store *s)
{
    return s->home;
}

realm_status rl_store_begin(rl_store *s, realm_error *err)
{
    int rc = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    return rc == SQLITE_OK ? REALM_OK : rl_store_fail(err, s->db, rc, s->path);
}

realm_status rl_store_end(rl_store *s, realm_status st, realm_error *err)
{
    int rc = SQLITE_OK;

    if (st == REALM_OK)
        rc = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        st = rl_store_fail(err, s->db, rc, s->path);
    if (!sqlite3_get_autocommit(s->db))
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

void rl_store_packed_path(const rl_store *s, const char *sha256, uint32_t layout, char *out,
                          size_t cap)
{
    (void)snprintf(out, cap, "%s/models/%.64s.%u.realm", s->home, sha256, (unsigned)layout);
}
