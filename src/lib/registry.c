/* The models of the registry as the library shows them: importing, listing, removing, verifying.
 *
 * The row of a name is written last, when its packed file is complete; a packed file is deleted
 * only after its last row. The two may cross in different processes, so an import looks once more
 * for its packed file after writing the row and packs again when it is gone. */
#include "lib/internal.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_MARGIN ((uint64_t)64 << 20)

static uint64_t file_bytes(const char *path)
{
    struct stat sb;

    return stat(path, &sb) == 0 && S_ISREG(sb.st_mode) ? (uint64_t)sb.st_size : 0;
}

static void to_entry(rl_store *s, const rl_store_model *m, realm_entry *e)
{
    char path[RL_LIB_PATH];

    memset(e, 0, sizeof *e);
    memcpy(e->name, m->name, sizeof e->name);
    memcpy(e->sha256, m->sha256, sizeof e->sha256);
    memcpy(e->arch, m->arch, sizeof e->arch);
    memcpy(e->source, m->source, sizeof e->source);
    e->source_bytes = m->source_bytes;
    e->packed_bytes = m->packed_bytes;
    e->n_params = m->n_params;
    e->created_s = m->created_s;
    rl_store_packed_path(s, m->sha256, RL_PACK_LAYOUT, path, sizeof path);
    e->usable = m->packed_bytes && file_bytes(path) == m->packed_bytes;
}

/* ---- importing ------------------------------------------------------------------------------- */

/* Reads what a packed file says of itself. -> OK | why it cannot be used */
static realm_status read_packed(const char *packed, rl_store_model *m)
{
    rl_model_opts opts = { .look = true };
    rl_model *model = NULL;
    rl_vocab *vocab = NULL;
    realm_status st = rl_model_open(&model, packed, &opts, NULL);

    if (st == REALM_OK)
        st = rl_vocab_open(&vocab, rl_model_gguf(model), NULL);
    rl_vocab_close(vocab);
    if (st == REALM_OK) {
        const rl_model_info *i = rl_model_get_info(model);

        (void)snprintf(m->arch, sizeof m->arch, "%s", i->arch);
        m->n_params = i->n_params;
        m->packed_bytes = file_bytes(packed);
    }
    rl_model_close(model);
    return st;
}

static realm_status check_disk(const char *packed, uint64_t needed, realm_error *err)
{
    char dir[RL_LIB_PATH];
    struct statvfs fs;
    uint64_t room;

    (void)snprintf(dir, sizeof dir, "%s", packed);
    *strrchr(dir, '/') = 0;
    if (statvfs(dir, &fs) < 0)
        return realm_fail(err, REALM_EIO, "%s: %s", dir, strerror(errno));
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= needed)
        return REALM_OK;
    return realm_fail(
        err, REALM_EDISK,
        "%s has %.1f GiB free, the model needs %.1f; free some (realm rm, realm prune) "
        "or set REALM_HOME",
        dir, (double)room / 0x1p30, (double)needed / 0x1p30);
}

/* The tokenizer's tables, made once and kept in the packed file. */
static realm_status make_tables(const rl_gguf *g, rl_buf *out, realm_error *err)
{
    rl_vocab *vocab = NULL;
    realm_status st = rl_vocab_open(&vocab, g, err);

    if (st == REALM_OK)
        st = rl_vocab_save(vocab, out, err);
    rl_vocab_close(vocab);
    return st;
}

/* Packs the checked file, with its tables attached, and fills in what is known of it then. Its
 * digest is of the bytes that were packed, whatever the file was before or is by now. */
static realm_status pack_checked(realm *r, rl_store *s, const rl_gguf *g, rl_store_model *m,
                                 char *packed, realm_error *err)
{
    rl_lib_step step = { .r = r, .what = "packing" };
    rl_packed fresh = { .path = NULL };
    realm_status st;

    (void)snprintf(packed, RL_LIB_PATH, "%s/models/import", rl_store_home(s));
    st = check_disk(packed, rl_gguf_file_bytes(g) + DISK_MARGIN, err);
    if (st == REALM_OK)
        st = rl_model_pack(&fresh, g, packed, rl_lib_progress, &step, err);
    if (st != REALM_OK)
        return st;
    memcpy(m->sha256, fresh.sha256, sizeof m->sha256);
    m->source_bytes = rl_gguf_file_bytes(g);
    rl_store_packed_path(s, m->sha256, RL_PACK_LAYOUT, packed, RL_LIB_PATH);
    st = rl_packed_keep(&fresh, packed, err);
    if (st == REALM_OK)
        st = rl_store_digest_put(s, rl_gguf_file_id(g), m->sha256, err);
    rl_packed_drop(&fresh);
    return st;
}

static realm_status pack_file(realm *r, rl_store *s, const char *path, rl_store_model *m,
                              char *packed, realm_error *err)
{
    rl_gguf *g = NULL;
    rl_buf tables;
    realm_status st = rl_gguf_open(&g, path, err);

    rl_buf_init(&tables, SIZE_MAX / 4);
    if (st == REALM_OK)
        st = rl_model_check(g, err);
    if (st == REALM_OK)
        st = make_tables(g, &tables, err);
    if (st == REALM_OK) {
        rl_gguf_attach(g, tables.data, tables.len);
        st = pack_checked(r, s, g, m, packed, err);
    }
    rl_gguf_close(g);
    rl_buf_deinit(&tables);
    if (st != REALM_OK)
        return st;
    st = read_packed(packed, m);
    return st == REALM_OK ? st
                          : realm_fail(err, st, "%.150s: its packed file cannot be read", path);
}

/* Makes sure the packed form of the file exists and fills m, all but its name. A file is hashed
 * beforehand only when the digest may be that of a packed one. */
static realm_status pack(realm *r, rl_store *s, const char *path, rl_store_model *m, char *packed,
                         realm_error *err)
{
    rl_lib_step step = { .r = r, .what = "reading" };
    rl_file_id id = { .dev = 0 };
    realm_status st = rl_fs_identify(path, &id, err);

    if (st != REALM_OK)
        return st;
    st = rl_store_digest_get(s, &id, m->sha256, err);
    if (st == REALM_ENOTFOUND && rl_store_knows_size(s, (uint64_t)id.size))
        st = rl_store_digest(s, path, m->sha256, rl_lib_progress, &step, err);
    if (st != REALM_OK && st != REALM_ENOTFOUND)
        return st;
    m->source_bytes = (uint64_t)id.size;
    rl_store_packed_path(s, m->sha256, RL_PACK_LAYOUT, packed, RL_LIB_PATH);
    if (st == REALM_OK)
        st = read_packed(packed, m);
    if (st == REALM_ENOMEM)
        return realm_fail(err, st, "%.150s: no memory to look at its packed file", path);
    if (st == REALM_OK)
        return REALM_OK;
    return pack_file(r, s, path, m, packed, err);
}

/* A name may be given again to the same model, to another one only with `replace`. */
static realm_status put_row(rl_store *s, const rl_store_model *m, bool replace, realm_error *err)
{
    rl_store_model old;
    realm_status st = rl_store_model_get(s, m->name, &old, err);

    if (st == REALM_OK && strcmp(old.sha256, m->sha256) != 0 && !replace)
        return realm_fail(err, REALM_ECONFLICT,
                          "%s already names another model; choose a name with --name, or remove it "
                          "first: realm rm %s",
                          m->name, m->name);
    if (st != REALM_OK && st != REALM_ENOTFOUND)
        return st;
    return rl_store_model_put(s, m, true, err);
}

static realm_status digest_is_named(rl_store *s, const char *sha256, bool *named, realm_error *err)
{
    rl_store_model *rows;
    size_t n;
    realm_status st = rl_store_model_list(s, &rows, &n, err);

    *named = false;
    if (st != REALM_OK)
        return st;
    for (size_t i = 0; i < n; i++)
        *named = *named || strcmp(rows[i].sha256, sha256) == 0;
    rl_free(rows);
    return REALM_OK;
}

/* A full disk keeps nothing of an import that failed: neither does its packed file stay that was
 * complete before its row found no room. */
static void drop_unnamed(rl_store *s, const char *sha256, const char *packed)
{
    bool named = true;

    if (sha256[0] && digest_is_named(s, sha256, &named, NULL) == REALM_OK && !named)
        (void)unlink(packed);
}

/* Before the work: a program may have this name. */
static realm_status check_no_program(rl_store *s, const char *name, realm_error *err)
{
    rl_store_program p;
    realm_status st = name[0] ? rl_store_program_get(s, name, &p, err) : REALM_ENOTFOUND;

    if (st == REALM_OK)
        return rl_store_names_program(name, err);
    return st == REALM_ENOTFOUND ? REALM_OK : st;
}

static realm_status import_with(realm *r, rl_store *s, const char *path, rl_store_model *m,
                                bool replace, realm_error *err)
{
    char packed[RL_LIB_PATH] = "";
    realm_status st = check_no_program(s, m->name, err);

    if (st != REALM_OK)
        return st;
    for (int attempt = 0; attempt < 3; attempt++) {
        st = pack(r, s, path, m, packed, err);
        if (st == REALM_OK && m->name[0])
            st = put_row(s, m, replace, err);
        if (st == REALM_EDISK)
            drop_unnamed(s, m->sha256, packed);
        if (st != REALM_OK || rl_fs_exists(packed))
            return st;
    }
    return realm_fail(err, REALM_EBUSY, "%s is removed by others as fast as it is imported", path);
}

static realm_status choose_name(const realm_import_options *opts, const char *path, char *name,
                                realm_error *err)
{
    if (opts && opts->name && !opts->name[0]) {
        name[0] = 0;
        return REALM_OK;
    }
    if (!opts || !opts->name) {
        rl_lib_name_of_path(path, name);
        return REALM_OK;
    }
    (void)snprintf(name, RL_NAME_MAX + 1, "%s", opts->name);
    return rl_store_check_name(opts->name, strlen(opts->name), err);
}

realm_status realm_import(realm *r, const char *path, const realm_import_options *opts,
                          realm_entry *out, realm_error *err)
{
    rl_store_model m = { .created_s = rl_clock_unix_s() };
    realm_status st = choose_name(opts, path, m.name, err);
    char full[PATH_MAX];
    rl_store *s = NULL;

    if (st != REALM_OK)
        return st;
    (void)snprintf(m.source, sizeof m.source, "%.1023s", realpath(path, full) ? full : path);
    /* A connection of its own: reading and packing take long. */
    st = rl_store_open(&s, r->home, err);
    if (st == REALM_OK)
        st = import_with(r, s, path, &m, opts && opts->replace, err);
    if (st == REALM_OK && out)
        to_entry(s, &m, out);
    rl_store_close(s);
    return st;
}

/* ---- looking --------------------------------------------------------------------------------- */

realm_status realm_list(realm *r, realm_entry **list, size_t *n, realm_error *err)
{
    rl_store_model *rows = NULL;
    rl_store *s;
    realm_status st = rl_lib_store_lock(r, &s, err);

    *list = NULL;
    *n = 0;
    if (st != REALM_OK)
        return st;
    st = rl_store_model_list(s, &rows, n, err);
    if (st == REALM_OK) {
        *list = rl_alloc_array(*n ? *n : 1, sizeof **list);
        if (!*list)
            st = realm_fail(err, REALM_ENOMEM, "no memory for the list of models");
    }
    for (size_t i = 0; *list && i < *n; i++)
        to_entry(s, &rows[i], &(*list)[i]);
    rl_free(rows);
    rl_lib_store_unlock(r);
    return st;
}

realm_status realm_find(realm *r, const char *name, realm_entry *out, realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_model m;
    rl_store *s;
    realm_status st;

    if (rl_lib_is_path(name))
        return realm_fail(err, REALM_EINVAL,
                          "%.100s is a path; name a model of the registry (realm models)", name);
    memset(&m, 0, sizeof m);
    st = rl_lib_find(r, name, &m, path, err);
    if (st != REALM_OK && st != REALM_EMODEL)
        return st;
    st = rl_lib_store_lock(r, &s, err);
    if (st != REALM_OK)
        return st;
    to_entry(s, &m, out);
    rl_lib_store_unlock(r);
    return REALM_OK;
}

realm_status realm_verify(realm *r, const char *name, realm_error *err)
{
    rl_lib_step step = { .r = r, .what = "verifying" };
    char path[RL_LIB_PATH];
    rl_store_model m;
    rl_store_program p;
    realm_status st = rl_lib_program_find(r, name, &p, path, NULL);
    realm_error why = { .text = "" };

    if (st == REALM_OK)
        return rl_lib_program_verify(r, &p, path, err);
    st = rl_lib_find(r, name, &m, path, err);
    if (st != REALM_OK)
        return st;
    st = rl_model_verify(path, rl_lib_progress, &step, &why);
    if (st == REALM_EINVAL)
        return realm_fail(err, st,
                          "%.64s is damaged (%.60s); remove it and import it again: realm rm %.64s",
                          name, why.text, name);
    return st == REALM_OK ? st : realm_fail(err, st, "%s", why.text);
}

/* ---- removing -------------------------------------------------------------------------------- */

static realm_status remove_with(rl_store *s, const char *name, uint64_t *freed, realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_model m;
    bool named;
    realm_status st = rl_store_model_get(s, name, &m, err);

    if (st == REALM_OK)
        st = rl_store_model_delete(s, name, err);
    if (st == REALM_OK)
        st = digest_is_named(s, m.sha256, &named, err);
    if (st != REALM_OK || named)
        return st;
    rl_store_packed_path(s, m.sha256, RL_PACK_LAYOUT, path, sizeof path);
    *freed = file_bytes(path);
    if (unlink(path) < 0 && errno != ENOENT)
        return realm_fail(err, REALM_EIO, "%s: %s", path, strerror(errno));
    return REALM_OK;
}

realm_status realm_remove(realm *r, const char *name, uint64_t *freed, realm_error *err)
{
    uint64_t bytes = 0;
    realm_entry e;
    rl_store *s;
    realm_status st = realm_find(r, name, &e, err); /* for its sentence about unknown names */

    if (st == REALM_OK)
        st = rl_lib_store_lock(r, &s, err);
    if (st != REALM_OK)
        return st;
    st = remove_with(s, name, &bytes, err);
    rl_lib_store_unlock(r);
    if (freed)
        *freed = bytes;
    return st;
}
