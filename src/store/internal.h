/* What the files of the store share: the connection, its prepared statements, SQLite's errors as
 * rows of the error table. Not for other rooms. */
#ifndef RL_STORE_INTERNAL_H
#define RL_STORE_INTERNAL_H

#include "store/store.h"

#include <sqlite3.h>

/* X(name, SQL): every statement, prepared at its first use and kept. */
#define RL_STORE_SQL(X)                                                                            \
    X(MODEL_INSERT, "INSERT INTO models (name, sha256, arch, source, source_bytes, packed_bytes,"  \
                    " n_params, created_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")               \
    X(MODEL_REPLACE,                                                                               \
      "INSERT OR REPLACE INTO models (name, sha256, arch, source, source_bytes,"                   \
      " packed_bytes, n_params, created_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")               \
    X(MODEL_GET, "SELECT name, sha256, arch, source, source_bytes, packed_bytes, n_params,"        \
                 " created_s FROM models WHERE name = ?1")                                         \
    X(MODEL_LIST, "SELECT name, sha256, arch, source, source_bytes, packed_bytes, n_params,"       \
                  " created_s FROM models ORDER BY name")                                          \
    X(MODEL_DELETE, "DELETE FROM models WHERE name = ?1")                                          \
    X(DIGEST_GET, "SELECT sha256 FROM digests WHERE dev = ?1 AND ino = ?2 AND size = ?3"           \
                  " AND mtime_ns = ?4 AND ctime_ns = ?5")                                          \
    X(DIGEST_PUT, "INSERT OR REPLACE INTO digests (dev, ino, size, mtime_ns, ctime_ns, sha256,"    \
                  " seen_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                  \
    X(KEY_INSERT, "INSERT INTO keys (id, sha256, label, created_s) VALUES (?1, ?2, ?3, ?4)")       \
    X(KEY_GET, "SELECT id, label, created_s, last_used_s, revoked_s, sha256 FROM keys"             \
               " WHERE id = ?1")                                                                   \
    X(KEY_LIST, "SELECT id, label, created_s, last_used_s, revoked_s FROM keys"                    \
                " ORDER BY created_s, id")                                                         \
    X(KEY_COUNT, "SELECT count(*) FROM keys WHERE revoked_s IS NULL")                              \
    X(KEY_USED, "UPDATE keys SET last_used_s = ?2 WHERE id = ?1")                                  \
    X(KEY_REVOKE, "UPDATE keys SET revoked_s = coalesce(revoked_s, ?2) WHERE id = ?1")             \
    X(PROGRAM_INSERT, "INSERT INTO programs (name, sha256, bytes, created_s)"                      \
                      " VALUES (?1, ?2, ?3, ?4)")                                                  \
    X(PROGRAM_REPLACE, "INSERT OR REPLACE INTO programs (name, sha256, bytes, created_s)"          \
                       " VALUES (?1, ?2, ?3, ?4)")                                                 \
    X(PROGRAM_GET, "SELECT name, sha256, bytes, created_s FROM programs WHERE name = ?1")          \
    X(PROGRAM_LIST, "SELECT name, sha256, bytes, created_s FROM programs ORDER BY name")           \
    X(PROGRAM_DELETE, "DELETE FROM programs WHERE name = ?1")                                      \
    X(SIZE_KNOWN, "SELECT 1 FROM models WHERE source_bytes = ?1"                                   \
                  " UNION ALL SELECT 1 FROM digests WHERE size = ?1 LIMIT 1")                      \
    X(DIGEST_TRIM, "DELETE FROM digests WHERE rowid NOT IN"                                        \
                   " (SELECT rowid FROM digests ORDER BY seen_s DESC LIMIT 4096)")

typedef enum rl_store_sql {
#define RL_STORE_SQL_ENUM(name, sql) RL_SQL_##name,
    RL_STORE_SQL(RL_STORE_SQL_ENUM)
#undef RL_STORE_SQL_ENUM
        RL_SQL_COUNT
} rl_store_sql;

struct rl_store {
    sqlite3 *db;                       /* owned */
    char *home;                        /* owned; no slash at its end */
    char *path;                        /* owned; <home>/realm.db */
    sqlite3_stmt *stmts[RL_SQL_COUNT]; /* owned; NULL until used */
};

/* SQLite's answer `rc` as a status with a sentence about the database `path`. */
realm_status rl_store_fail(realm_error *err, sqlite3 *db, int rc, const char *path);

/* The statement, reset and without bindings. NULL with err set. */
sqlite3_stmt *rl_store_stmt(rl_store *s, rl_store_sql which, realm_status *st, realm_error *err);

/* Steps a statement that gives no rows and resets it. SQLite's answer: SQLITE_DONE when it worked.
 */
int rl_store_step_done(sqlite3_stmt *stmt);

/* Whether the step that answered rc ran into this constraint (an extended code). */
bool rl_store_hit(const rl_store *s, int rc, int constraint);

/* rl_store_check_name for "a program" or "a model". */
realm_status rl_store_check_name_of(const char *kind, const char *name, size_t n,
                                    realm_error *err) REALM_MUST_USE;

/* ---- rows (rows.c) ---- */

/* The text of a column, cut to cap - 1 bytes; "" for NULL. */
void rl_store_text(sqlite3_stmt *q, int col, char *out, size_t cap);

/* The statement with ?1 bound to a copy of text; NULL with *st and err set. */
sqlite3_stmt *rl_store_stmt_of(rl_store *s, rl_store_sql which, const char *text, realm_status *st,
                               realm_error *err);

/* Fills all of one row. */
typedef void (*rl_store_read_fn)(sqlite3_stmt *q, void *row);

/* Steps a bound statement of at most one row and reads it. -> OK | ENOTFOUND (the sentence is the
 * caller's) | why it failed */
realm_status rl_store_one(rl_store *s, sqlite3_stmt *q, rl_store_read_fn read, void *row,
                          realm_error *err) REALM_MUST_USE;

/* Steps a bound statement that changes rows. -> OK | ENOTFOUND (none changed; the sentence is the
 * caller's) | why it failed */
realm_status rl_store_change(rl_store *s, sqlite3_stmt *q, realm_error *err) REALM_MUST_USE;

/* All rows of a statement into *list [*n], rl_alloc'ed; NULL and 0 when there are none. */
realm_status rl_store_rows(rl_store *s, rl_store_sql which, size_t row_bytes, rl_store_read_fn read,
                           void **list, size_t *n, realm_error *err) REALM_MUST_USE;

#endif
