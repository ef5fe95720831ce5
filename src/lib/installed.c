/* Installed programs: modules of the registry, known by name.
 *
 * A module is checked before it is kept. Its file is complete and durable before its row is
 * written, and goes after its last row; both happen under the registry's write lock, so two
 * processes that install, remove and prune at once leave no row without its file. */
#include "lib/internal.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_there(const rl_store_program *p, const char *path)
{
    struct stat sb;

    return stat(path, &sb) == 0 && S_ISREG(sb.st_mode) && (uint64_t)sb.st_size == p->bytes;
}

static void to_installed(const rl_store *s, const rl_store_program *p, realm_installed *out)
{
    char path[RL_LIB_PATH];

    memset(out, 0, sizeof *out);
    memcpy(out->name, p->name, sizeof out->name);
    memcpy(out->sha256, p->sha256, sizeof out->sha256);
    out->bytes = p->bytes;
    out->created_s = p->created_s;
    rl_store_program_path(s, p->sha256, path, sizeof path);
    out->usable = is_there(p, path);
}

/* ---- adding ---------------------------------------------------------------------------------- */

/* Reads the file and lets the runtime refuse it as it would refuse to run it. */
static realm_status read_module(realm *r, const char *path, rl_buf *wasm, realm_error *err)
{
    realm_error why = { .text = "" };
    rl_program *p = NULL;
    rl_runtime *rt = NULL;
    realm_status st = rl_fs_read(path, wasm, err);

    if (st == REALM_ETOOBIG)
        return realm_fail(err, st, "%.150s is over the %u MiB that an installed program may have",
                          path, (unsigned)(REALM_PROGRAM_MAX >> 20));
    if (st == REALM_OK)
        st = rl_lib_runtime(r, &rt, err);
    if (st != REALM_OK)
        return st;
    st = rl_program_load(&p, rt, wasm->data, wasm->len, &why);
    if (st != REALM_OK)
        return realm_fail(err, st, "%.90s: %.140s", path, why.text);
    rl_program_unref(p);
    return REALM_OK;
}

/* A file that the last name left. */
static realm_status drop_unnamed(rl_store *s, const char *sha256, realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_program *rows = NULL;
    bool named = false;
    size_t n = 0;
    realm_status st = rl_store_begin(s, err);

    if (st != REALM_OK)
        return st;
    st = rl_store_program_list(s, &rows, &n, err);
    for (size_t i = 0; i < n; i++)
        named = named || strcmp(rows[i].sha256, sha256) == 0;
    rl_free(rows);
    rl_store_program_path(s, sha256, path, sizeof path);
    if (st == REALM_OK && !named && unlink(path) < 0 && errno != ENOENT)
        st = realm_fail(err, REALM_EIO, "%s: %s", path, strerror(errno));
    return rl_store_end(s, st, err);
}

static realm_status write_module(rl_store *s, const rl_store_program *p, const rl_buf *wasm,
                                 realm_error *err)
{
    char path[RL_LIB_PATH];
    realm_status st;

    (void)snprintf(path, sizeof path, "%s/programs", rl_store_home(s));
    st = rl_fs_mkdirs(path, err);
    rl_store_program_path(s, p->sha256, path, sizeof path);
    return st == REALM_OK ? rl_fs_write(path, wasm->data, wasm->len, err) : st;
}

/* Under the write lock. old: the digest that the name had, "" when it is new. */
static realm_status keep(rl_store *s, const rl_store_program *p, const rl_buf *wasm, bool replace,
                         char old[RL_SHA256_HEX], realm_error *err)
{
    rl_store_program had;
    realm_status st = rl_store_program_get(s, p->name, &had, err);

    if (st == REALM_OK)
        memcpy(old, had.sha256, RL_SHA256_HEX);
    if (st == REALM_OK && strcmp(had.sha256, p->sha256) != 0 && !replace)
        return realm_fail(err, REALM_ECONFLICT,
                          "%.64s already names another program; choose a name with --name, or "
                          "replace it with --replace",
                          p->name);
    if (st != REALM_OK && st != REALM_ENOTFOUND)
        return st;
    st = write_module(s, p, wasm, err);
    return st == REALM_OK ? rl_store_program_put(s, p, true, err) : st;
}

static realm_status install(rl_store *s, const rl_store_program *p, const rl_buf *wasm,
                            bool replace, realm_error *err)
{
    char old[RL_SHA256_HEX] = "";
    realm_status st = rl_store_begin(s, err);

    if (st != REALM_OK)
        return st;
    st = rl_store_end(s, keep(s, p, wasm, replace, old, err), err);
    if (st != REALM_OK)
        (void)drop_unnamed(s, p->sha256, NULL);
    else if (old[0] && strcmp(old, p->sha256) != 0)
        (void)drop_unnamed(s, old, NULL); /* what stays, prune finds */
    return st;
}

/* Before the work: whether a program may have this name at all. */
static realm_status check_name(rl_store *s, const char *name, realm_error *err)
{
    rl_store_program p;
    rl_store_model m;
    realm_status st = rl_store_program_get(s, name, &p, err);

    if (st != REALM_OK && st != REALM_ENOTFOUND)
        return st;
    st = rl_store_model_get(s, name, &m, err);
    if (st == REALM_OK)
        return rl_store_names_model(name, err);
    return st == REALM_ENOTFOUND ? REALM_OK : st;
}

realm_status realm_program_add(realm *r, const char *path, const realm_import_options *opts,
                               realm_installed *out, realm_error *err)
{
    rl_store_program p = { .created_s = rl_clock_unix_s() };
    rl_store *s = NULL;
    rl_buf wasm;
    realm_status st;

    if (!opts || !opts->name)
        return realm_fail(err, REALM_EINVAL, "a program is installed under a name: give one");
    rl_buf_init(&wasm, REALM_PROGRAM_MAX);
    /* A connection of its own: checking and writing take long. */
    st = rl_store_open(&s, r->home, err);
    if (st == REALM_OK)
        st = check_name(s, opts->name, err);
    if (st == REALM_OK)
        st = read_module(r, path, &wasm, err);
    if (st == REALM_OK) {
        (void)snprintf(p.name, sizeof p.name, "%s", opts->name);
        rl_sha256(wasm.data, wasm.len, p.sha256);
        p.bytes = wasm.len;
        st = install(s, &p, &wasm, opts->replace, err);
    }
    if (st == REALM_OK && out)
        to_installed(s, &p, out);
    rl_store_close(s);
    rl_buf_deinit(&wasm);
    return st;
}

/* ---- looking --------------------------------------------------------------------------------- */

realm_status realm_program_list(realm *r, realm_installed **list, size_t *n, realm_error *err)
{
    rl_store_program *rows = NULL;
    rl_store *s;
    realm_status st = rl_lib_store_lock(r, &s, err);

    *list = NULL;
    *n = 0;
    if (st != REALM_OK)
        return st;
    st = rl_store_program_list(s, &rows, n, err);
    if (st == REALM_OK) {
        *list = rl_alloc_array(*n ? *n : 1, sizeof **list);
        if (!*list)
            st = realm_fail(err, REALM_ENOMEM, "no memory for the list of programs");
    }
    for (size_t i = 0; *list && i < *n; i++)
        to_installed(s, &rows[i], &(*list)[i]);
    rl_free(rows);
    rl_lib_store_unlock(r);
    return st;
}

static realm_status unknown(rl_store *s, const char *name, realm_error *err)
{
    rl_store_program *rows = NULL;
    size_t n = 0;
    realm_status st;
    rl_buf have;

    rl_buf_init(&have, 512);
    if (rl_store_program_list(s, &rows, &n, NULL) == REALM_OK)
        rl_lib_list_names(rows, sizeof *rows, n, "realm program list", &have);
    rl_free(rows);
    st = realm_fail(err, REALM_ENOTFOUND,
                    "no program is named %.64s; %s. Install one: realm program add FILE.wasm "
                    "--name NAME",
                    name, have.data ? have.data : "");
    rl_buf_deinit(&have);
    return st;
}

realm_status rl_lib_program_find(realm *r, const char *name, rl_store_program *p, char *path,
                                 realm_error *err)
{
    rl_store *s;
    realm_status st = rl_lib_store_lock(r, &s, err);

    if (st != REALM_OK)
        return st;
    st = rl_store_program_get(s, name, p, err);
    if (st == REALM_OK)
        rl_store_program_path(s, p->sha256, path, RL_LIB_PATH);
    else if (st == REALM_ENOTFOUND)
        st = unknown(s, name, err);
    rl_lib_store_unlock(r);
    return st;
}

realm_status realm_program_find(realm *r, const char *name, realm_installed *out, realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_program p;
    rl_store *s;
    realm_status st = rl_lib_program_find(r, name, &p, path, err);

    if (st == REALM_OK && out)
        st = rl_lib_store_lock(r, &s, err);
    if (st != REALM_OK || !out)
        return st;
    to_installed(s, &p, out);
    rl_lib_store_unlock(r);
    return REALM_OK;
}

static realm_status missing(const char *name, realm_error *err)
{
    return realm_fail(err, REALM_EIO,
                      "the file of the program %.64s is missing or cut short; install it again: "
                      "realm program add FILE.wasm --name %.64s",
                      name, name);
}

realm_status realm_program_path(realm *r, const char *name, char **path, realm_error *err)
{
    char found[RL_LIB_PATH];
    rl_store_program p;
    realm_status st = rl_lib_program_find(r, name, &p, found, err);

    *path = NULL;
    if (st != REALM_OK)
        return st;
    if (!is_there(&p, found))
        return missing(name, err);
    *path = rl_strdup(found);
    return *path ? REALM_OK : realm_fail(err, REALM_ENOMEM, "no memory for a path");
}

realm_status rl_lib_program_verify(realm *r, const rl_store_program *p, const char *path,
                                   realm_error *err)
{
    rl_lib_step step = { .r = r, .what = "verifying" };
    char hex[RL_SHA256_HEX];
    realm_status st;

    if (!is_there(p, path))
        return missing(p->name, err);
    st = rl_fs_sha256(path, hex, rl_lib_progress, &step, err);
    if (st == REALM_OK && strcmp(hex, p->sha256) != 0)
        return realm_fail(err, REALM_EINVAL,
                          "the file of the program %.64s is damaged; install it again: realm "
                          "program add FILE.wasm --name %.64s",
                          p->name, p->name);
    return st;
}

/* ---- removing -------------------------------------------------------------------------------- */

realm_status realm_program_remove(realm *r, const char *name, realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_program p;
    rl_store *s;
    realm_status st = rl_lib_program_find(r, name, &p, path, err);

    if (st == REALM_OK)
        st = rl_lib_store_lock(r, &s, err);
    if (st != REALM_OK)
        return st;
    st = rl_store_program_delete(s, name, err);
    if (st == REALM_OK)
        st = drop_unnamed(s, p.sha256, err);
    rl_lib_store_unlock(r);
    return st;
}
