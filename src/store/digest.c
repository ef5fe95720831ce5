/* Remembered digests of files: (device, inode, size, mtime, ctime) -> SHA-256.
 *
 * A remembered digest is only as good as the times of the file: a file changed less than two
 * seconds ago is hashed but not remembered, because a further change could fall on the same clock
 * tick. */
#include "base/clock.h"
#include "store/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define SETTLE_S 2

typedef struct file_id {
    int64_t dev, ino, size, mtime_ns, ctime_ns;
} file_id;

static int64_t to_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static realm_status identify(const char *path, file_id *id, realm_error *err)
{
    struct stat sb;

    if (stat(path, &sb) < 0)
        return realm_fail(err, errno == ENOENT ? REALM_ENOTFOUND : REALM_EIO, "%s: %s", path,
                          strerror(errno));
    if (!S_ISREG(sb.st_mode))
        return realm_fail(err, REALM_EINVAL, "%s: not a regular file", path);
    *id = (file_id){ .dev = (int64_t)sb.st_dev,
                     .ino = (int64_t)sb.st_ino,
                     .size = sb.st_size,
                     .mtime_ns = to_ns(sb.st_mtim),
                     .ctime_ns = to_ns(sb.st_ctim) };
    return REALM_OK;
}

static int bind_id(sqlite3_stmt *q, const file_id *id)
{
    const int64_t v[] = { id->dev, id->ino, id->size, id->mtime_ns, id->ctime_ns };
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < 5; i++)
        rc = sqlite3_bind_int64(q, i + 1, v[i]);
    return rc;
}

/* -> OK with hex, ENOTFOUND when the file is not remembered, or why the registry failed. */
static realm_status recall(rl_store *s, const file_id *id, char *hex, realm_error *err)
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
        return REALM_ENOTFOUND;
    return rc == SQLITE_ROW ? REALM_OK : rl_store_fail(err, s->db, rc, s->path);
}

static realm_status remember(rl_store *s, const file_id *id, const char *hex, realm_error *err)
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

static bool settled(const file_id *id)
{
    int64_t last = id->mtime_ns > id->ctime_ns ? id->mtime_ns : id->ctime_ns;

    return last / 1000000000 + SETTLE_S < rl_clock_unix_s();
}

realm_status rl_store_digest(rl_store *s, const char *path, char hex[RL_SHA256_HEX],
                             rl_progress_fn progress, void *ctx, realm_error *err)
{
    file_id before = { .dev = 0 }, after = { .dev = 0 };
    realm_status st = identify(path, &before, err);

    if (st != REALM_OK)
        return st;
    st = recall(s, &before, hex, err);
    if (st != REALM_ENOTFOUND)
        return st;
    st = rl_fs_sha256(path, hex, progress, ctx, err);
    if (st == REALM_OK)
        st = identify(path, &after, err);
    if (st != REALM_OK)
        return st;
    if (memcmp(&before, &after, sizeof before) != 0)
        return realm_fail(err, REALM_ECONFLICT, "%s changed while it was read; try again", path);
    return settled(&before) ? remember(s, &before, hex, err) : REALM_OK;
}
