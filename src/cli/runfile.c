#include "cli/runfile.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/units.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX  ((size_t)64 << 10)
#define PATH_SIZE ((size_t)4096)
#define SERVERS   256u /* more are not told */
#define TRIES     3    /* a file may be read while it is written */

/* ---- processes ------------------------------------------------------------------------------- */

/* The 22nd field of stat; the 2nd may hold anything, parentheses too. */
uint64_t rl_runfile_birth(int64_t pid)
{
    char path[64], line[1024];
    const char *at;
    FILE *f;
    size_t n;

    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    n = fread(line, 1, sizeof line - 1, f);
    (void)fclose(f);
    line[n] = 0;
    at = strrchr(line, ')');
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return at ? strtoull(at, NULL, 10) : 0;
}

/* In whole MiB: less is noise, and would be written each second. */
uint64_t rl_runfile_memory(void)
{
    return rl_fs_resident() >> 20 << 20;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool take_uint(const json_t *o, const char *key, uint64_t *out)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static bool take_text(const json_t *o, const char *key, char *out, size_t cap)
{
    const char *text = json_string_value(json_object_get(o, key));
    int n = text ? snprintf(out, cap, "%s", text) : -1;

    return n >= 0 && (size_t)n < cap;
}

static bool take_row(const json_t *o, rl_runfile_row *row)
{
    uint64_t pid = 0, started = 0;
    bool ok = take_uint(o, "pid", &pid) && take_uint(o, "birth", &row->birth) &&
              take_uint(o, "started", &started) &&
              take_text(o, "address", row->address, sizeof row->address) &&
              take_text(o, "models", row->models, sizeof row->models) &&
              take_uint(o, "running", &row->running) && take_uint(o, "waiting", &row->waiting) &&
              take_uint(o, "requests", &row->requests) &&
              take_uint(o, "prompt_tokens", &row->prompt_tokens) &&
              take_uint(o, "generated_tokens", &row->generated_tokens) &&
              take_uint(o, "tokens_per_second", &row->tokens_per_s) &&
              take_uint(o, "memory", &row->memory);

    row->pid = (int64_t)pid;
    row->started_s = (int64_t)started;
    return ok;
}

static bool read_row(const char *path, rl_runfile_row *row)
{
    bool ok = false;

    for (int i = 0; i < TRIES && !ok; i++) {
        json_t *o = NULL;
        rl_buf text;

        rl_buf_init(&text, TEXT_MAX);
        if (rl_fs_read(path, &text, NULL) == REALM_OK && text.len)
            o = json_loadb(text.data, text.len, 0, NULL);
        ok = take_row(o, row);
        json_decref(o);
        rl_buf_deinit(&text);
    }
    return ok;
}

/* "<pid>.json" -> its pid; 0: another name */
static int64_t pid_of(const char *name)
{
    char digits[24];
    size_t n = strspn(name, "0123456789");
    uint64_t pid = 0;

    if (n == 0 || n >= sizeof digits || strcmp(name + n, ".json") != 0)
        return 0;
    memcpy(digits, name, n);
    digits[n] = 0;
    return rl_units_uint(digits, &pid) && pid <= INT32_MAX ? (int64_t)pid : 0;
}

static bool put_path(char *out, const char *home, const char *name)
{
    int n = snprintf(out, PATH_SIZE, "%s/run%s%s", home, *name ? "/" : "", name);

    return n > 0 && (size_t)n < PATH_SIZE;
}

static int by_pid(const void *a, const void *b)
{
    const rl_runfile_row *x = a, *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Looks at each file. rows NULL: only removes stale ones. */
static size_t walk(DIR *dir, const char *home, rl_runfile_row *rows)
{
    char path[PATH_SIZE];
    rl_runfile_row row;
    struct dirent *e;
    size_t n = 0;

    while ((e = readdir(dir)) != NULL && n < SERVERS) {
        int64_t pid = pid_of(e->d_name);
        uint64_t birth = pid ? rl_runfile_birth(pid) : 0;
        bool read;

        if (!pid || !put_path(path, home, e->d_name))
            continue;
        row = (rl_runfile_row){ .pid = 0 };
        read = read_row(path, &row) && row.pid == pid;
        if (rows && read && birth && birth == row.birth)
            rows[n++] = row;
        if (!rows && (!birth || (read && birth != row.birth))) /* one just made is still empty */
            (void)unlink(path);
    }
    return n;
}

realm_status rl_runfile_list(const char *home, rl_runfile_row **rows, size_t *n, realm_error *err)
{
    char path[PATH_SIZE];
    DIR *dir;

    *rows = NULL;
    *n = 0;
    if (!put_path(path, home, ""))
        return realm_fail(err, REALM_EINVAL, "%.100s: the path is too long", home);
    dir = opendir(path);
    if (!dir && errno != ENOENT)
        return realm_fail(err, REALM_EIO, "%.200s: %s", path, strerror(errno));
    *rows = rl_alloc_array(SERVERS, sizeof **rows);
    if (*rows && dir)
        *n = walk(dir, home, *rows);
    if (dir)
        (void)closedir(dir);
    if (!*rows)
        return realm_fail(err, REALM_ENOMEM, "no memory for the list of servers");
    qsort(*rows, *n, sizeof **rows, by_pid);
    return REALM_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void remove_stale(const char *home, const char *folder)
{
    DIR *dir = opendir(folder);

    if (!dir)
        return;
    (void)walk(dir, home, NULL);
    (void)closedir(dir);
}

realm_status rl_runfile_open(rl_runfile *f, const char *home, realm_error *err)
{
    char path[PATH_SIZE], name[32];
    realm_status st;

    *f = (rl_runfile){ .fd = -1 };
    rl_buf_init(&f->text, TEXT_MAX);
    (void)snprintf(name, sizeof name, "%lld.json", (long long)getpid());
    if (!put_path(path, home, ""))
        return realm_fail(err, REALM_EINVAL, "%.100s: the path is too long", home);
    st = rl_fs_mkdirs(path, err);
    if (st != REALM_OK)
        return st;
    remove_stale(home, path);
    if (!put_path(path, home, name))
        return realm_fail(err, REALM_EINVAL, "%.100s: the path is too long", home);
    (void)unlink(path); /* of an earlier process with this number */
    f->path = rl_strdup(path);
    if (!f->path)
        return realm_fail(err, REALM_ENOMEM, "no memory for %.100s", path);
    f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd >= 0)
        return REALM_OK;
    st = realm_fail(err, rl_fs_errno_status(errno), "%.200s: %s", path, strerror(errno));
    rl_runfile_close(f);
    return st;
}

static void put_row(rl_buf *out, const rl_runfile_row *row)
{
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    rl_json_int(&j, "pid", row->pid);
    rl_json_uint(&j, "birth", row->birth);
    rl_json_int(&j, "started", row->started_s);
    rl_json_string(&j, "address", row->address);
    rl_json_string(&j, "models", row->models);
    rl_json_uint(&j, "running", row->running);
    rl_json_uint(&j, "waiting", row->waiting);
    rl_json_uint(&j, "requests", row->requests);
    rl_json_uint(&j, "prompt_tokens", row->prompt_tokens);
    rl_json_uint(&j, "generated_tokens", row->generated_tokens);
    rl_json_uint(&j, "tokens_per_second", row->tokens_per_s);
    rl_json_uint(&j, "memory", row->memory);
    rl_json_end_object(&j);
}

/* One write over all that lies there: what is longer than the new text becomes spaces. */
void rl_runfile_write(rl_runfile *f, const rl_runfile_row *row)
{
    rl_buf text;

    if (f->fd < 0)
        return;
    rl_buf_init(&text, TEXT_MAX);
    put_row(&text, row);
    while (text.len < f->text.len && !text.failed)
        (void)rl_buf_add(&text, " ", 1);
    if (text.failed ||
        (text.len == f->text.len && memcmp(text.data, f->text.data, text.len) == 0) ||
        pwrite(f->fd, text.data, text.len, 0) != (ssize_t)text.len) {
        rl_buf_deinit(&text);
        return;
    }
    rl_buf_deinit(&f->text);
    f->text = text;
}

void rl_runfile_close(rl_runfile *f)
{
    if (f->fd >= 0) {
        (void)unlink(f->path);
        (void)close(f->fd);
    }
    rl_free(f->path);
    rl_buf_deinit(&f->text);
    *f = (rl_runfile){ .fd = -1 };
}
