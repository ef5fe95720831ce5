/* Rows of installed programs: a name and the digest of its module, whose file is
 * <home>/programs/<sha256>.wasm. Programs and models share one space of names, because a request
 * names either: the triggers of the schema keep it so, whoever writes. */
#include "store/internal.h"

#include <stdio.h>
#include <string.h>

static const char kind[] = "a program";

static int bind_program(sqlite3_stmt *q, const rl_store_program *p)
{
    int rc = sqlite3_bind_text(q, 2, p->sha256, -1, SQLITE_TRANSIENT);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 3, (sqlite3_int64)p->bytes);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 4, p->created_s);
    return rc;
}

/* The statement with ?1 bound to a checked name; NULL with *st and err set. */
static sqlite3_stmt *by_name(rl_store *s, rl_store_sql which, const char *name, realm_status *st,
                             realm_error *err)
{
    *st = rl_store_check_name_of(kind, name, strnlen(name, RL_NAME_MAX + 1), err);
    return *st == REALM_OK ? rl_store_stmt_of(s, which, name, st, err) : NULL;
}

realm_status rl_store_program_put(rl_store *s, const rl_store_program *p, bool replace,
                                  realm_error *err)
{
    rl_store_sql which = replace ? RL_SQL_PROGRAM_REPLACE : RL_SQL_PROGRAM_INSERT;
    realm_status st;
    sqlite3_stmt *q = by_name(s, which, p->name, &st, err);
    int rc;

    if (!q)
        return st;
    rc = bind_program(q, p);
    if (rc == SQLITE_OK)
        rc = rl_store_step_done(q);
    if (rc == SQLITE_DONE)
        return REALM_OK;
    if (rl_store_hit(s, rc, SQLITE_CONSTRAINT_PRIMARYKEY))
        return realm_fail(err, REALM_ECONFLICT,
                          "the name %s is taken; choose another, or remove it first", p->name);
    if (rl_store_hit(s, rc, SQLITE_CONSTRAINT_TRIGGER))
        return rl_store_names_model(p->name, err);
    return rl_store_fail(err, s->db, rc, s->path);
}

realm_status rl_store_names_model(const char *name, realm_error *err)
{
    return realm_fail(err, REALM_ECONFLICT,
                      "%.64s is the name of a model; choose another for the program, or remove the "
                      "model first: realm rm %.64s",
                      name, name);
}

static void read_program(sqlite3_stmt *q, void *row)
{
    rl_store_program *p = row;

    rl_store_text(q, 0, p->name, sizeof p->name);
    rl_store_text(q, 1, p->sha256, sizeof p->sha256);
    p->bytes = (uint64_t)sqlite3_column_int64(q, 2);
    p->created_s = sqlite3_column_int64(q, 3);
}

static realm_status told(realm_status st, const char *name, realm_error *err)
{
    return st == REALM_ENOTFOUND ? realm_fail(err, st, "there is no program named %s", name) : st;
}

realm_status rl_store_program_get(rl_store *s, const char *name, rl_store_program *out,
                                  realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q = by_name(s, RL_SQL_PROGRAM_GET, name, &st, err);

    return q ? told(rl_store_one(s, q, read_program, out, err), name, err) : st;
}

realm_status rl_store_program_delete(rl_store *s, const char *name, realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q = by_name(s, RL_SQL_PROGRAM_DELETE, name, &st, err);

    return q ? told(rl_store_change(s, q, err), name, err) : st;
}

realm_status rl_store_program_list(rl_store *s, rl_store_program **list, size_t *n,
                                   realm_error *err)
{
    void *rows;
    realm_status st =
        rl_store_rows(s, RL_SQL_PROGRAM_LIST, sizeof **list, read_program, &rows, n, err);

    *list = rows;
    return st;
}

void rl_store_program_path(const rl_store *s, const char *sha256, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s/programs/%.64s.wasm", s->home, sha256);
}
