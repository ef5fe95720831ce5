/* The file by which a server is listed: whole at every moment, gone at the end, stale when its
 * process is. */
#include "../test.h"

#include "base/alloc.h"
#include "cli/runfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char home[64];
static rl_runfile_row *rows;
static size_t n;

static void list(void)
{
    realm_error err;

    rl_free(rows);
    assert_int_equal(rl_runfile_list(home, &rows, &n, &err), REALM_OK);
}

static void put_file(const char *name, const char *text)
{
    char path[200];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/run/%s", home, name);
    f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static bool is_there(const char *name)
{
    char path[200];

    (void)snprintf(path, sizeof path, "%s/run/%s", home, name);
    return access(path, F_OK) == 0;
}

static rl_runfile_row own_row(void)
{
    rl_runfile_row row = { .pid = getpid(),
                           .birth = rl_runfile_birth(getpid()),
                           .started_s = 1700000000,
                           .address = "http://127.0.0.1:1",
                           .models = "a,b",
                           .running = 1,
                           .tokens_per_s = 12345678,
                           .memory = 1 << 20 };

    return row;
}

static void from_start_to_end(void **state)
{
    rl_runfile_row row = own_row();
    char name[32], path[200];
    struct stat sb;
    rl_runfile f;
    realm_error err;

    (void)state;
    list();
    assert_int_equal(n, 0); /* there is no folder yet */
    assert_int_equal(rl_runfile_open(&f, home, &err), REALM_OK);
    list();
    assert_int_equal(n, 0); /* nothing was told yet */
    rl_runfile_write(&f, &row);
    list();
    assert_int_equal(n, 1);
    assert_memory_equal(&rows[0], &row, sizeof row);
    row.tokens_per_s = 7; /* a shorter text over a longer one */
    row.models[0] = 0;
    rl_runfile_write(&f, &row);
    rl_runfile_write(&f, &row);
    list();
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].tokens_per_s, 7);
    assert_string_equal(rows[0].models, "");
    (void)snprintf(name, sizeof name, "%d.json", (int)getpid());
    (void)snprintf(path, sizeof path, "%s/run/%s", home, name);
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    rl_runfile_close(&f);
    assert_false(is_there(name));
    list();
    assert_int_equal(n, 0);
    rl_runfile_close(&f); /* again: nothing */
}

static void stale_ones_and_strangers(void **state)
{
    char name[32], text[400];
    rl_runfile f;
    realm_error err;
    pid_t gone = fork();

    (void)state;
    if (gone == 0)
        _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    assert_int_equal(rl_runfile_birth(gone), 0);
    (void)snprintf(name, sizeof name, "%d.json", (int)gone);
    put_file(name, "{}");
    (void)snprintf(text, sizeof text,
                   "{\"pid\":%d,\"birth\":1,\"started\":1,\"address\":\"\",\"models\":\"\","
                   "\"running\":0,\"waiting\":0,\"requests\":0,\"prompt_tokens\":0,"
                   "\"generated_tokens\":0,\"tokens_per_second\":0,\"memory\":0}",
                   (int)getppid());
    put_file("1.json", "");           /* lives, and has not told anything yet */
    put_file("x.json", "{}");         /* not ours */
    put_file("99999999999.json", ""); /* no process has that number */
    (void)snprintf(name, sizeof name, "%d.json", (int)getppid());
    put_file(name, text); /* the number is another process's now */
    list();
    assert_int_equal(n, 0);
    assert_true(is_there(name)); /* looking changes nothing */
    assert_int_equal(rl_runfile_open(&f, home, &err), REALM_OK);
    assert_false(is_there(name));
    (void)snprintf(name, sizeof name, "%d.json", (int)gone);
    assert_false(is_there(name));
    assert_true(is_there("1.json"));
    assert_true(is_there("x.json"));
    rl_runfile_close(&f);
}

static void broken_ones_are_not_listed(void **state)
{
    static const char *const bad[] = {
        "", "{", "[]", "null", "{\"pid\":-1}", "{\"pid\":1e99}", "\xff\xfe"
    };
    char name[32];

    (void)state;
    (void)snprintf(name, sizeof name, "%d.json", (int)getpid());
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_file(name, bad[i]);
        list();
        assert_int_equal(n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_start_to_end),
        cmocka_unit_test(stale_ones_and_strangers),
        cmocka_unit_test(broken_ones_are_not_listed),
    };
    char command[100];
    int failed;

    (void)snprintf(home, sizeof home, "/tmp/realm-runfile-XXXXXX");
    if (!mkdtemp(home))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rl_free(rows);
    (void)snprintf(command, sizeof command, "rm -r '%s'", home);
    return system(command) != 0 || failed;
}
