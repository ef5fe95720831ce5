/* Installed programs through the library: what is refused, what lies in the folder afterwards. */
#include "../test.h"

#include "base/fs.h"
#include "guest/guest.h"
#include "lib/serve.h"
#include "realm/realm.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[64], file[128];
static realm *lib;

#define OK(call)                                                                                   \
    do {                                                                                           \
        realm_error err = { .text = "" };                                                          \
        if ((call) != REALM_OK)                                                                    \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

static int set_up(void **state)
{
    realm_options o = { .home = home, .n_threads = 1 };
    realm_error err;

    (void)state;
    (void)snprintf(home, sizeof home, "/tmp/realm-installed-XXXXXX");
    if (!mkdtemp(home))
        return -1;
    (void)snprintf(file, sizeof file, "%s/module.wasm", home);
    return realm_open(&lib, &o, &err) == REALM_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    char cmd[128];

    (void)state;
    realm_close(lib);
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", home);
    return system(cmd); /* NOLINT(cert-env33-c,bugprone-command-processor): our own folder */
}

/* A module with a memory and run() -> `answer`, and as many bytes in a section of its own that it
 * has `total` of them; total 0: without that section. */
static void put_module(uint8_t answer, size_t total)
{
    static const uint8_t head[] = { 0, 'a', 's',  'm', 1,   0,   0,   0,   1,   5,   1, 0x60,
                                    0, 1,   0x7f, 3,   2,   1,   0,   5,   3,   1,   0, 1,
                                    7, 16,  2,    6,   'm', 'e', 'm', 'o', 'r', 'y', 2, 0,
                                    3, 'r', 'u',  'n', 0,   0,   10,  6,   1,   4,   0, 0x41 };
    uint8_t tail[] = { answer, 0x0b };
    rl_buf b;

    rl_buf_init(&b, (size_t)64 << 20);
    assert_int_equal(rl_buf_add(&b, head, sizeof head), REALM_OK);
    assert_int_equal(rl_buf_add(&b, tail, sizeof tail), REALM_OK);
    if (total) {
        size_t n = total - b.len - 5; /* the section's number and four bytes of size before it */
        uint8_t section[] = { 0, (uint8_t)((n & 127) | 128), (uint8_t)(((n >> 7) & 127) | 128),
                              (uint8_t)(((n >> 14) & 127) | 128), (uint8_t)(n >> 21) };

        assert_true(n >> 21 > 0 && n >> 28 == 0);
        assert_int_equal(rl_buf_add(&b, section, sizeof section), REALM_OK);
        while (b.len < total) /* a name of no bytes, then zeros */
            assert_int_equal(rl_buf_add(&b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                                        total - b.len < 16 ? total - b.len : 16),
                             REALM_OK);
    }
    OK(rl_fs_write(file, b.data, b.len, &err));
    rl_buf_deinit(&b);
}

static void add(const char *name, bool replace)
{
    realm_import_options o = { .name = name, .replace = replace };

    OK(realm_program_add(lib, file, &o, NULL, &err));
}

static void fails(const char *name, realm_status want, const char *says)
{
    realm_import_options o = { .name = name };
    realm_error err = { .text = "" };
    realm_status st = realm_program_add(lib, file, &o, NULL, &err);

    if (st != want || !strstr(err.text, says))
        fail_msg("%d instead of %d: %s", st, want, err.text);
}

/* Files in programs/; none while the folder is not there. */
static int n_files(void)
{
    char path[128];
    struct dirent *d;
    DIR *dir;
    int n = 0;

    (void)snprintf(path, sizeof path, "%s/programs", home);
    dir = opendir(path);
    if (!dir)
        return 0;
    while ((d = readdir(dir)))
        n += d->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

static void a_program_is_kept_under_its_name(void **state)
{
    realm_import_options o = { .name = "seven" };
    realm_installed p, *list;
    char hex[RL_SHA256_HEX], *path, *json;
    size_t n;

    (void)state;
    put_module(7, 0);
    OK(realm_program_add(lib, file, &o, &p, &err));
    OK(rl_fs_sha256(file, hex, NULL, NULL, &err));
    assert_string_equal(p.name, "seven");
    assert_string_equal(p.sha256, hex);
    assert_true(p.usable && p.bytes == 50 && p.created_s > 1700000000);
    assert_int_equal(unlink(file), 0);
    OK(realm_program_path(lib, "seven", &path, &err));
    OK(rl_fs_sha256(path, hex, NULL, NULL, &err));
    assert_string_equal(p.sha256, hex);
    realm_free(path);
    OK(realm_program_list(lib, &list, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].sha256, hex);
    realm_free(list);
    OK(realm_verify(lib, "seven", &err));
    OK(realm_inspect(lib, "seven", &json, &err));
    assert_non_null(strstr(json, "\"kind\":\"wasm\""));
    realm_free(json);
}

static void what_the_runtime_refuses_is_not_kept(void **state)
{
    (void)state;
    fails("x", REALM_ENOTFOUND, "module.wasm");
    OK(rl_fs_write(file, "no module", 9, &err));
    fails("x", REALM_EINVAL, "module.wasm: ");
    OK(rl_fs_write(file, "", 0, &err));
    fails("x", REALM_EINVAL, "module.wasm: ");
    OK(rl_fs_write(file, "\0asm\1\0\0\0\2\7\1\1a\1b\0\0", 17, &err)); /* imports a.b */
    fails("x", REALM_EINVAL, "module.wasm: ");
    put_module(0, 0);
    fails("Not A Name", REALM_EINVAL, "a program name is");
    fails("p@m", REALM_EINVAL, "a program name is");
    fails(NULL, REALM_EINVAL, "a name");
    assert_int_equal(n_files(), 0);
}

static void the_limit_of_bytes_is_exact(void **state)
{
    realm_installed p;

    (void)state;
    put_module(0, REALM_PROGRAM_MAX);
    add("large", false);
    OK(realm_program_find(lib, "large", &p, &err));
    assert_true(p.bytes == REALM_PROGRAM_MAX && p.usable);
    put_module(0, REALM_PROGRAM_MAX + 1);
    fails("larger", REALM_ETOOBIG, "16 MiB");
    assert_int_equal(n_files(), 1);
}

static void another_program_needs_replace(void **state)
{
    realm_installed a, b;

    (void)state;
    put_module(1, 0);
    add("p", false);
    add("p", false); /* the same again */
    OK(realm_program_find(lib, "p", &a, &err));
    put_module(2, 0);
    fails("p", REALM_ECONFLICT, "p already names another program");
    add("p", true);
    OK(realm_program_find(lib, "p", &b, &err));
    assert_string_not_equal(a.sha256, b.sha256);
    assert_int_equal(n_files(), 1); /* the replaced one is gone */
}

static void a_file_goes_with_its_last_name(void **state)
{
    realm_error why;

    (void)state;
    put_module(1, 0);
    add("a", false);
    add("b", false);
    assert_int_equal(n_files(), 1);
    OK(realm_program_remove(lib, "a", &err));
    OK(realm_verify(lib, "b", &err));
    OK(realm_program_remove(lib, "b", &err));
    assert_int_equal(n_files(), 0);
    assert_int_equal(realm_program_remove(lib, "b", &why), REALM_ENOTFOUND);
    assert_non_null(strstr(why.text, "no program is named b; there are none yet"));
}

static void a_name_is_a_models_or_a_programs(void **state)
{
    realm_import_options o = { .name = NULL };
    realm_error why;
    uint64_t bytes;
    uint32_t n;

    (void)state;
    put_module(1, 0);
    add("p", false);
    o.name = "p";
    o.replace = true;
    assert_int_equal(realm_import(lib, getenv("REALM_TINY"), &o, NULL, &why), REALM_ECONFLICT);
    assert_non_null(strstr(why.text, "p is the name of a program"));
    OK(realm_prune(lib, true, &n, &bytes, &err));
    assert_int_equal(n, 0); /* it was refused before it was packed */
    o.name = "tiny";
    OK(realm_import(lib, getenv("REALM_TINY"), &o, NULL, &err));
    fails("tiny", REALM_ECONFLICT, "tiny is the name of a model");
    OK(realm_program_find(lib, "p", NULL, &err));
}

static void damage_is_found_and_healed(void **state)
{
    realm_installed p;
    realm_error why;
    char *path, *again;

    (void)state;
    put_module(1, 0);
    add("p", false);
    OK(realm_program_path(lib, "p", &path, &err));
    OK(rl_fs_write(path, "12345678901234567890123456789012345678901234567890", 50, &err));
    assert_int_equal(realm_verify(lib, "p", &why), REALM_EINVAL);
    assert_non_null(strstr(why.text, "damaged"));
    assert_int_equal(truncate(path, 10), 0);
    OK(realm_program_find(lib, "p", &p, &err));
    assert_false(p.usable);
    assert_int_equal(realm_program_path(lib, "p", &again, &why), REALM_EIO);
    assert_non_null(strstr(why.text, "install it again"));
    assert_int_equal(realm_verify(lib, "p", &why), REALM_EIO);
    add("p", false);
    OK(realm_verify(lib, "p", &err));
    realm_free(path);
}

static void prune_takes_what_no_row_names(void **state)
{
    char path[192];
    uint32_t n;
    uint64_t bytes;

    (void)state;
    put_module(1, 0);
    add("p", false);
    (void)snprintf(path, sizeof path,
                   "%s/programs/"
                   "0000000000000000000000000000000000000000000000000000000000000000.wasm",
                   home);
    OK(rl_fs_write(path, "abc", 3, &err));
    (void)snprintf(path, sizeof path, "%s/programs/fresh.wasm.AbCdEf", home);
    OK(rl_fs_write(path, "de", 2, &err));
    OK(realm_prune(lib, true, &n, &bytes, &err));
    assert_true(n == 1 && bytes == 3);
    assert_int_equal(n_files(), 3);
    OK(realm_prune(lib, false, &n, &bytes, &err));
    assert_true(n == 1 && bytes == 3);
    assert_int_equal(n_files(), 2);
    OK(realm_verify(lib, "p", &err));
}

/* A server as another process has one: a handle of its own, begun to be served from. */
typedef struct server {
    realm *r;
    rl_runtime *rt;
    rl_lib_programs builtin;
} server;

static void begin(server *s)
{
    realm_options o = { .home = home, .n_threads = 1 };
    const char *folder;

    OK(realm_open(&s->r, &o, &err));
    OK(rl_lib_serve_begin(s->r, &s->rt, &s->builtin, &folder, &err));
}

static void end(server *s)
{
    rl_lib_serve_end(&s->builtin);
    realm_close(s->r);
}

static void use(const server *s, const char *name)
{
    rl_program *p;

    OK(rl_lib_serve_program(s->r, name, &p, &err));
    rl_program_unref(p);
}

/* How many modules it has compiled, and how many it found compiled. */
static void counts(const server *s, uint64_t compiled, uint64_t cached)
{
    rl_runtime_stats stats;

    rl_runtime_get_stats(s->rt, &stats);
    assert_int_equal(stats.modules_compiled, compiled);
    assert_int_equal(stats.modules_cached, cached);
}

static void what_was_installed_is_compiled(void **state)
{
    enum { BUILTIN = 4 };
    server first, second;

    (void)state;
    put_module(1, 0);
    add("p", false);
    begin(&first);
    counts(&first, BUILTIN, 0);
    use(&first, "p");
    counts(&first, BUILTIN, 1);
    put_module(2, 0); /* while it serves */
    add("p", true);
    add("q", false);
    use(&first, "p");
    use(&first, "q");
    counts(&first, BUILTIN, 3);
    begin(&second);
    use(&second, "q");
    counts(&second, 0, BUILTIN + 1);
    end(&second);
    end(&first);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_program_is_kept_under_its_name), TEST(what_the_runtime_refuses_is_not_kept),
        TEST(the_limit_of_bytes_is_exact),      TEST(another_program_needs_replace),
        TEST(a_file_goes_with_its_last_name),   TEST(a_name_is_a_models_or_a_programs),
        TEST(damage_is_found_and_healed),       TEST(prune_takes_what_no_row_names),
        TEST(what_was_installed_is_compiled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
