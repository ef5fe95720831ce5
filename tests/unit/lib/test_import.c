/* Imports that fail half way: the file changes under them, the disk is full. Nothing of them stays,
 * the registry is what it was, and the same import works once the cause is gone. */
#include "../test.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "realm/realm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int __wrap_fallocate(int fd, int mode, off_t at, off_t n);
int __real_fallocate(int fd, int mode, off_t at, off_t n);

static char home[64], file[128];
static realm *lib;
static void (*when_packing)(void); /* called once, by the progress of packing */
static bool no_fallocate;          /* as on file systems that cannot reserve */

int __wrap_fallocate(int fd, int mode, off_t at, off_t n)
{
    if (!no_fallocate)
        return __real_fallocate(fd, mode, at, n);
    errno = EOPNOTSUPP;
    return -1;
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        realm_error err = { .text = "" };                                                          \
        if ((call) != REALM_OK)                                                                    \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

static bool watch(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    void (*act)(void) = when_packing;

    (void)ctx;
    (void)done;
    (void)total;
    if (act && strcmp(what, "packing") == 0) {
        when_packing = NULL;
        act();
    }
    return false;
}

static void put_source(void)
{
    const char *tiny = getenv("REALM_TINY");
    rl_buf bytes;

    assert_non_null(tiny);
    rl_buf_init(&bytes, 1u << 26);
    OK(rl_fs_read(tiny, &bytes, &err));
    OK(rl_fs_write(file, bytes.data, bytes.len, &err));
    rl_buf_deinit(&bytes);
}

static void open_at(const char *at)
{
    realm_options o = { .home = at, .progress = watch };

    OK(realm_open(&lib, &o, &err));
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(home, sizeof home, "/tmp/realm-import-XXXXXX");
    if (!mkdtemp(home))
        return -1;
    (void)snprintf(file, sizeof file, "%s/model.gguf", home);
    put_source();
    open_at(home);
    return 0;
}

static int tear_down(void **state)
{
    char cmd[128];

    (void)state;
    realm_close(lib);
    no_fallocate = false;
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", home);
    return system(cmd); /* NOLINT(cert-env33-c,bugprone-command-processor): our own folder */
}

static size_t n_models(void)
{
    realm_entry *list;
    size_t n;

    OK(realm_list(lib, &list, &n, &err));
    realm_free(list);
    return n;
}

/* Files in <at>/models. */
static int n_files(const char *at)
{
    char path[128];
    struct dirent *d;
    DIR *dir;
    int n = 0;

    (void)snprintf(path, sizeof path, "%s/models", at);
    dir = opendir(path);
    assert_non_null(dir);
    while ((d = readdir(dir)))
        n += d->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

static void fails(const char *name, realm_status want, const char *says)
{
    realm_import_options o = { .name = name };
    realm_error err = { .text = "" };
    realm_status st = realm_import(lib, file, &o, NULL, &err);

    if (st != want || !strstr(err.text, says))
        fail_msg("%d instead of %d: %s", st, want, err.text);
}

static void works(const char *name)
{
    realm_import_options o = { .name = name };

    OK(realm_import(lib, file, &o, NULL, &err));
    OK(realm_verify(lib, name, &err));
}

static void cut_file(void)
{
    assert_int_equal(truncate(file, 5000), 0);
}

static void replace_file(void)
{
    assert_int_equal(unlink(file), 0);
    put_source();
}

static void a_file_that_changes_is_refused(void **state)
{
    (void)state;
    when_packing = cut_file;
    fails("a", REALM_ECONFLICT, file);
    fails("a", REALM_EINVAL, "cut off"); /* and is damaged from now on */
    put_source();
    when_packing = replace_file;
    fails("a", REALM_ECONFLICT, "changed while it was read");
    assert_int_equal(n_models(), 0);
    assert_int_equal(n_files(home), 0);
    works("a");
    assert_int_equal(n_files(home), 1);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit r;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = bytes < r.rlim_max ? bytes : r.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void limit_now(void)
{
    limit_files(8192);
}

/* A limit on the size of files stands for the full disk: it needs no rights and meets every write.
 */
static void a_write_that_finds_no_room_is_edisk(void **state)
{
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(n_models(), 0); /* makes the registry */
    for (int late = 0; late <= 1; late++) {
        no_fallocate = late != 0;
        limit_files((rlim_t)512 << 10);
        fails("a", REALM_EDISK, "no room for");
        limit_files(RLIM_INFINITY);
        assert_int_equal(n_models(), 0);
        assert_int_equal(n_files(home), 0);
    }
    works("a");
}

/* The packed file is complete, the row is what finds no room. */
static void a_row_that_finds_no_room_is_edisk(void **state)
{
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    works("a");
    limit_now();
    fails("b", REALM_EDISK, "realm.db cannot grow");
    limit_files(RLIM_INFINITY);
    assert_int_equal(n_models(), 1);
    assert_int_equal(n_files(home), 1); /* that of a, which is its own */
    OK(realm_verify(lib, "a", &err));
    OK(realm_remove(lib, "a", NULL, &err));
    works("b");
}

/* A tiny file system of our own; false where we may not mount. */
static bool mount_small(const char *at)
{
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    (void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return mkdir(at, 0700) == 0 && mount("realm", at, "tmpfs", 0, "size=72m") == 0;
}

/* Writes until the file system is full, less `leave` bytes. */
static void fill(const char *path, size_t leave)
{
    static char block[65536];
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    off_t end;

    assert_true(fd >= 0);
    while (write(fd, block, sizeof block) > 0) {
    }
    assert_int_equal(errno, ENOSPC);
    end = lseek(fd, 0, SEEK_END);
    assert_int_equal(ftruncate(fd, end - (off_t)leave), 0);
    assert_int_equal(close(fd), 0);
}

static void a_full_file_system_is_edisk(void **state)
{
    char small[96], filler[128];

    (void)state;
    (void)snprintf(small, sizeof small, "%s/small", home);
    (void)snprintf(filler, sizeof filler, "%s/filler", small);
    if (!mount_small(small))
        skip();
    realm_close(lib);
    open_at(small);
    assert_int_equal(n_models(), 0);
    fill(filler, (size_t)1 << 20);
    fails("a", REALM_EDISK, "GiB free, the model needs");
    assert_int_equal(n_files(small), 0);
    assert_int_equal(unlink(filler), 0);
    works("a");
    fill(filler, 0);
    fails("b", REALM_EDISK, "realm.db cannot grow");
    assert_int_equal(n_models(), 1);
    assert_int_equal(unlink(filler), 0);
    works("b");
    realm_close(lib);
    assert_int_equal(umount(small), 0);
    open_at(home);
}

/* The one packed file of the home. */
static void packed_path(char *out, size_t n)
{
    char pattern[96];
    glob_t found = { 0 };

    (void)snprintf(pattern, sizeof pattern, "%s/models/*.realm", home);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    (void)snprintf(out, n, "%s", found.gl_pathv[0]);
    globfree(&found);
}

static void damage_tables(const char *path)
{
    static const char begins[] = "RLTOKEN";
    rl_buf bytes;
    char *at;

    rl_buf_init(&bytes, 1u << 26);
    OK(rl_fs_read(path, &bytes, &err));
    at = memmem(bytes.data, bytes.len, begins, sizeof begins);
    assert_non_null(at);
    at[8] = (char)(at[8] ^ 0x40); /* the version */
    OK(rl_fs_write(path, bytes.data, bytes.len, &err));
    rl_buf_deinit(&bytes);
}

/* They are refused, and importing the model again makes the packed file anew. */
static void damaged_tables_are_made_again(void **state)
{
    realm_error why = { .text = "" };
    realm_tokenizer *t;
    char path[256];
    uint32_t *ids;
    size_t n = 0;

    (void)state;
    works("a");
    packed_path(path, sizeof path);
    damage_tables(path);
    assert_int_equal(realm_tokenizer_open(&t, lib, "a", &why), REALM_EINVAL);
    assert_non_null(strstr(why.text, "import the model again"));
    assert_int_equal(realm_verify(lib, "a", &why), REALM_EINVAL);
    works("a");
    OK(realm_tokenizer_open(&t, lib, "a", &err));
    OK(realm_tokenize(t, "hello", 5, 0, &ids, &n, &err));
    assert_true(n > 0);
    realm_free(ids);
    realm_tokenizer_close(t);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_file_that_changes_is_refused),    T(a_write_that_finds_no_room_is_edisk),
        T(a_row_that_finds_no_room_is_edisk), T(a_full_file_system_is_edisk),
        T(damaged_tables_are_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
