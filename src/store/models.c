/* Rows of models: names and what they stand for. Names come from people and from guests, so they
 * are checked on every way in; everything else of a row is ours. */
#include "store/internal.h"

#include <string.h>

static bool name_char(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return true;
    return !first && c && strchr("._:/-", c) != NULL;
}

static bool good_name(const char *name, size_t n)
{
    if (n == 0 || n > RL_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!name_char(name[i], i == 0) || (name[i] == '.' && i && name[i - 1] == '.'))
            return false;
    }
    return true;
}

realm_status rl_store_check_name_of(const char *kind, const char *name, size_t n, realm_error *err)
{
    return good_name(name, n) ? REALM_OK
                              : realm_fail(err, REALM_EINVAL,
                                           "%s name is 1 to 128 of a-z 0-9 . _ : / -, begins with "
                                           "a letter or digit and has no \"..\"",
                                           kind);
}

realm_status rl_store_check_name(const char *name, size_t n, realm_error *err)
{
    return rl_store_check_name_of("a model", name, n, err);
}

static int bind_model(sqlite3_stmt *q, const rl_store_model *m)
{
    int rc = sqlite3_bind_text(q, 1, m->name, -1, SQLITE_STATIC);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 2, m->sha256, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 3, m->arch, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 4, m->source, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 5, (sqlite3_int64)m->source_bytes);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 6, (sqlite3_int64)m->packed_bytes);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 7, (sqlite3_int64)m->n_params);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 8, m->created_s);
    return rc;
}

realm_status rl_store_model_put(rl_store *s, const rl_store_model *m, bool replace,
                                realm_error *err)
{
    rl_store_sql which = replace ? RL_SQL_MODEL_REPLACE : RL_SQL_MODEL_INSERT;
    realm_status st = rl_store_check_name(m->name, strnlen(m->name, sizeof m->name), err);
    sqlite3_stmt *q;
    int rc;

    if (st != REALM_OK)
        return st;
    q = rl_store_stmt(s, which, &st, err);
    if (!q)
        return st;
    rc = bind_model(q, m);
    if (rc == SQLITE_OK)
        rc = rl_store_step_done(q);
    if (rc == SQLITE_DONE)
        return REALM_OK;
    if (rl_store_hit(s, rc, SQLITE_CONSTRAINT_PRIMARYKEY))
        return realm_fail(err, REALM_ECONFLICT,
                          "the name %s is taken; choose another, or remove it first", m->name);
    if (rl_store_hit(s, rc, SQLITE_CONSTRAINT_TRIGGER))
        return rl_store_names_program(m->name, err);
    return rl_store_fail(err, s->db, rc, s->path);
}

realm_status rl_store_names_program(const char *name, realm_error *err)
{
    return realm_fail(err, REALM_ECONFLICT,
                      "%.64s is the name of a program; choose another for the model (--name), or "
                      "remove the program first: realm program rm %.64s",
                      name, name);
}

static void read_model(sqlite3_stmt *q, void *row)
{
    rl_store_model *m = row;

    rl_store_text(q, 0, m->name, sizeof m->name);
    rl_store_text(q, 1, m->sha256, sizeof m->sha256);
    rl_store_text(q, 2, m->arch, sizeof m->arch);
    rl_store_text(q, 3, m->source, sizeof m->source);
    m->source_bytes = (uint64_t)sqlite3_column_int64(q, 4);
    m->packed_bytes = (uint64_t)sqlite3_column_int64(q, 5);
    m->n_params = (uint64_t)sqlite3_column_int64(q, 6);
    m->created_s = sqlite3_column_int64(q, 7);
}

static realm_status told(realm_status st, const char *name, realm_error *err)
{
    return st == REALM_ENOTFOUND ? realm_fail(err, st, "there is no model named %s", name) : st;
}

/* The statement with ?1 bound to a checked name; NULL with *st and err set. */
static sqlite3_stmt *by_name(rl_store *s, rl_store_sql which, const char *name, realm_status *st,
                             realm_error *err)
{
    *st = rl_store_check_name(name, strnlen(name, RL_NAME_MAX + 1), err);
    return *st == REALM_OK ? rl_store_stmt_of(s, which, name, st, err) : NULL;
}

realm_status rl_store_model_get(rl_store *s, const char *name, rl_store_model *out,
                                realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q = by_name(s, RL_SQL_MODEL_GET, name, &st, err);

    return q ? told(rl_store_one(s, q, read_model, out, err), name, err) : st;
}

realm_status rl_store_model_delete(rl_store *s, const char *name, realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q = by_name(s, RL_SQL_MODEL_DELETE, name, &st, err);

    return q ? told(rl_store_change(s, q, err), name, err) : st;
}

realm_status rl_store_model_list(rl_store *s, rl_store_model **list, size_t *n, realm_error *err)
{
    void *rows;
    realm_status st = rl_store_rows(s, RL_SQL_MODEL_LIST, sizeof **list, read_model, &rows, n, err);

    *list = rows;
    return st;
}
