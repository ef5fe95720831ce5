/* Deleting files that no row names: packed models of runs on a path and of imports that broke off,
 * modules of programs that were replaced while the disk failed. */
#include "lib/internal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STALE_SECONDS 3600 /* a temporary file this old is not being written any more */
#define FILE_NAME     96u  /* of a file that a row names: digest, layout, ending */

typedef struct pruning {
    const char *folder;       /* of the home */
    const char *suffix;       /* of its complete files */
    char (*named)[FILE_NAME]; /* owned [n_named]; those that rows name */
    size_t n_named;
    bool dry;
    uint32_t *n_files;
    uint64_t *bytes;
} pruning;

/* Whether a file serves nobody: neither that of a row nor one that is being written. */
static bool is_stray(const pruning *p, const char *file, const struct stat *sb)
{
    const char *dot = strrchr(file, '.');

    RL_ASSERT(p->named || p->n_named == 0);
    for (size_t i = 0; i < p->n_named; i++)
        if (strcmp(p->named[i], file) == 0)
            return false;
    return (dot && strcmp(dot, p->suffix) == 0) ||
           sb->st_mtim.tv_sec + STALE_SECONDS < rl_clock_unix_s();
}

static realm_status prune_dir(const pruning *p, DIR *dir, realm_error *err)
{
    struct dirent *d;
    struct stat sb;

    while ((d = readdir(dir))) {
        if (fstatat(dirfd(dir), d->d_name, &sb, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(sb.st_mode) ||
            !is_stray(p, d->d_name, &sb))
            continue;
        if (!p->dry && unlinkat(dirfd(dir), d->d_name, 0) < 0)
            return realm_fail(err, REALM_EIO, "%s/%s: %s", p->folder, d->d_name, strerror(errno));
        ++*p->n_files;
        *p->bytes += (uint64_t)sb.st_size;
    }
    return REALM_OK;
}

static realm_status prune_folder(const rl_store *s, const pruning *p, realm_error *err)
{
    char path[RL_LIB_PATH];
    realm_status st;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/%s", rl_store_home(s), p->folder);
    dir = opendir(path);
    if (!dir && errno == ENOENT) /* made with the first file in it */
        return REALM_OK;
    if (!dir)
        return realm_fail(err, REALM_EIO, "%s: %s", path, strerror(errno));
    st = prune_dir(p, dir, err);
    (void)closedir(dir);
    return st;
}

static realm_status room_for(pruning *p, size_t n, realm_error *err)
{
    p->named = rl_alloc_array(n ? n : 1, sizeof *p->named);
    return p->named ? REALM_OK
                    : realm_fail(err, REALM_ENOMEM, "no memory to look for files without a name");
}

static void add_named(pruning *p, const char *path)
{
    (void)snprintf(p->named[p->n_named++], FILE_NAME, "%.95s", strrchr(path, '/') + 1);
}

/* Both fill p->named from the rows. */
static realm_status name_models(rl_store *s, pruning *p, realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_model *rows;
    size_t n;
    realm_status st = rl_store_model_list(s, &rows, &n, err);

    if (st == REALM_OK)
        st = room_for(p, n, err);
    for (size_t i = 0; st == REALM_OK && i < n; i++) {
        rl_store_packed_path(s, rows[i].sha256, RL_PACK_LAYOUT, path, sizeof path);
        add_named(p, path);
    }
    rl_free(rows);
    return st;
}

static realm_status name_programs(rl_store *s, pruning *p, realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_program *rows;
    size_t n;
    realm_status st = rl_store_program_list(s, &rows, &n, err);

    if (st == REALM_OK)
        st = room_for(p, n, err);
    for (size_t i = 0; st == REALM_OK && i < n; i++) {
        rl_store_program_path(s, rows[i].sha256, path, sizeof path);
        add_named(p, path);
    }
    rl_free(rows);
    return st;
}

realm_status realm_prune(realm *r, bool dry, uint32_t *n_files, uint64_t *bytes, realm_error *err)
{
    pruning models = { .folder = "models", .suffix = ".realm" };
    pruning programs = { .folder = "programs", .suffix = ".wasm" };
    rl_store *s;
    realm_status st = rl_lib_store_lock(r, &s, err);

    *n_files = 0;
    *bytes = 0;
    if (st != REALM_OK)
        return st;
    models.dry = programs.dry = dry;
    models.n_files = programs.n_files = n_files;
    models.bytes = programs.bytes = bytes;
    st = name_models(s, &models, err);
    if (st == REALM_OK)
        st = prune_folder(s, &models, err);
    /* A module lies there before its row does, under the write lock (installed.c). */
    if (st == REALM_OK && !dry)
        st = rl_store_begin(s, err);
    if (st == REALM_OK) {
        st = name_programs(s, &programs, err);
        if (st == REALM_OK)
            st = prune_folder(s, &programs, err);
        if (!dry)
            st = rl_store_end(s, st, err);
    }
    rl_free(models.named);
    rl_free(programs.named);
    rl_lib_store_unlock(r);
    return st;
}
