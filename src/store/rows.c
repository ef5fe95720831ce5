/* Reading rows, the same for every table. */
#include "base/alloc.h"
#include "store/internal.h"

#include <string.h>

void rl_store_text(sqlite3_stmt *q, int col, char *out, size_t cap)
{
    const unsigned char *p = sqlite3_column_text(q, col);
    size_t n = p ? strlen((const char *)p) : 0;

    if (n >= cap)
        n = cap - 1;
    if (p)
        memcpy(out, p, n);
    out[n] = 0;
}

sqlite3_stmt *rl_store_stmt_of(rl_store *s, rl_store_sql which, const char *text, realm_status *st,
                               realm_error *err)
{
    sqlite3_stmt *q = rl_store_stmt(s, which, st, err);
    int rc;

    if (!q)
        return NULL;
    rc = sqlite3_bind_text(q, 1, text, -1, SQLITE_TRANSIENT);
    if (rc == SQLITE_OK)
        return q;
    *st = rl_store_fail(err, s->db, rc, s->path);
    return NULL;
}

realm_status rl_store_one(rl_store *s, sqlite3_stmt *q, rl_store_read_fn read, void *row,
                          realm_error *err)
{
    int rc = sqlite3_step(q);

    if (rc == SQLITE_ROW)
        read(q, row);
    (void)sqlite3_reset(q);
    if (rc == SQLITE_DONE)
        return REALM_ENOTFOUND;
    return rc == SQLITE_ROW ? REALM_OK : rl_store_fail(err, s->db, rc, s->path);
}

bool rl_store_hit(const rl_store *s, int rc, int constraint)
{
    return (rc & 0xff) == SQLITE_CONSTRAINT && sqlite3_extended_errcode(s->db) == constraint;
}

realm_status rl_store_change(rl_store *s, sqlite3_stmt *q, realm_error *err)
{
    int rc = rl_store_step_done(q);

    if (rc != SQLITE_DONE)
        return rl_store_fail(err, s->db, rc, s->path);
    return sqlite3_changes(s->db) ? REALM_OK : REALM_ENOTFOUND;
}

/* Room for one more row; the array doubles. */
static void *grown(void *list, size_t n, size_t row_bytes)
{
    if (n && (n & (n - 1)))
        return list;
    return rl_realloc(list, (n ? 2 * n : 1) * row_bytes);
}

realm_status rl_store_rows(rl_store *s, rl_store_sql which, size_t row_bytes, rl_store_read_fn read,
                           void **list, size_t *n, realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q = rl_store_stmt(s, which, &st, err);
    void *rows = NULL, *more;
    int rc = SQLITE_DONE;

    *list = NULL;
    *n = 0;
    if (!q)
        return st;
    st = REALM_OK;
    while (st == REALM_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        more = grown(rows, *n, row_bytes);
        if (!more) {
            st = realm_fail(err, REALM_ENOMEM, "no memory for the rows of %s", s->path);
            break;
        }
        rows = more;
        read(q, (char *)rows + (*n)++ * row_bytes);
    }
    (void)sqlite3_reset(q);
    if (st == REALM_OK && rc != SQLITE_DONE)
        st = rl_store_fail(err, s->db, rc, s->path);
    if (st != REALM_OK) {
        rl_free(rows);
        *n = 0;
        return st;
    }
    *list = rows;
    return REALM_OK;
}
