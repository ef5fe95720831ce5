/* Remembered digests of files: (device, inode, size, mtime, ctime) -> SHA-256.
 *
 * A remembered digest is only as good as the times of the file: a file changed less than two
 * seconds ago is hashed but not remembered, because a further change could fall on the same clock
 * tick. */
#include "base/clock.h"
#include "store/internal.h"

#include <string.h>

#define SETTLE_S 2

static int bind_id(sqlite3_stmt *q, const rl_file_id *id)
{
    const int64_t v[] = { id->dev, id->ino, id->size, id->mtime_ns, id->ctime_ns };
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < 5; i++)
        rc = sqlite3_bind_int64(q, i + 1, v[i]);
    return rc;
}

realm_status rl_store_digest_get(rl_store *s, const rl_file_id *id, char hex[RL_SHA256_HEX],
                                 realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q = rl_store_stmt(s, RL_SQL_DIGEST_GET, &st, err);
    int rc;

    if (!q)
        return st;
    rc = bind_id(q, id);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        const unsigned char *p = sqlite3_column_text(q, 0);

        if (p && strlen((const char *)p) == RL_SHA256_HEX - 1)
            memcpy(hex, p, RL_SHA256_HEX);
        else
            rc = SQLITE_DONE;
    }
    (void)sqlite3_reset(q);
    if (rc == SQLITE_DONE)
        return realm_fail(err, REALM_ENOTFOUND, "no digest of this file is remembered");
    return rc == SQLITE_ROW ? REALM_OK : rl_store_fail(err, s->db, rc, s->path);
}

static realm_status remember(rl_store *s, const rl_file_id *id, const char *hex, realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q = rl_store_stmt(s, RL_SQL_DIGEST_PUT, &st, err);
    int rc;

    if (!q)
        return st;
    rc = bind_id(q, id);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 6, hex, -1, SQLITE_TRANSIENT);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 7, rl_clock_unix_s());
    if (rc == SQLITE_OK)
        rc = rl_store_step_done(q);
    if (rc == SQLITE_DONE) {
        q = rl_store_stmt(s, RL_SQL_DIGEST_TRIM, &st, err);
        if (!q)
            return st;
        rc = rl_store_step_done(q);
    }
    return rc == SQLITE_DONE ? REALM_OK : rl_store_fail(err, s->db, rc, s->path);
}

static bool settled(const rl_file_id *id)
{
    int64_t last = id->mtime_ns > id->ctime_ns ? id->mtime_ns : id->ctime_ns;

    return last / 1000000000 + SETTLE_S < rl_clock_unix_s();
}

realm_status rl_store_digest_put(rl_store *s, const rl_file_id *id, const char *hex,
                                 realm_error *err)
{
    return settled(id) ? remember(s, id, hex, err) : REALM_OK;
}

bool rl_store_knows_size(rl_store *s, uint64_t bytes)
{
    realm_status st;
    sqlite3_stmt *q = rl_store_stmt(s, RL_SQL_SIZE_KNOWN, &st, NULL);
    bool known = q && sqlite3_bind_int64(q, 1, (sqlite3_int64)bytes) == SQLITE_OK &&
                 sqlite3_step(q) == SQLITE_ROW;

    if (q)
        (void)sqlite3_reset(q);
    return known;
}

realm_status rl_store_digest(rl_store *s, const char *path, char hex[RL_SHA256_HEX],
                             rl_progress_fn progress, void *ctx, realm_error *err)
{
    rl_file_id before = { .dev = 0 }, after = { .dev = 0 };
    realm_status st = rl_fs_identify(path, &before, err);

    if (st != REALM_OK)
        return st;
    st = rl_store_digest_get(s, &before, hex, err);
    if (st != REALM_ENOTFOUND)
        return st;
    st = rl_fs_sha256(path, hex, progress, ctx, err);
    if (st == REALM_OK)
        st = rl_fs_identify(path, &after, err);
    if (st != REALM_OK)
        return st;
    if (!rl_file_id_same(&before, &after))
        return realm_fail(err, REALM_ECONFLICT, "%s changed while it was read; try again", path);
    return rl_store_digest_put(s, &before, hex, err);
}
