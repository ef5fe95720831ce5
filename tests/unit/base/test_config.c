#include "../test.h"

#include "base/config.h"
#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const rl_config_row rows[] = {
    { "", "home", "home", RL_CONFIG_TEXT, NULL, 1, 8, NULL, false, "a folder" },
    { "net", "port", "port", RL_CONFIG_INT, "8080", 1, 65535, NULL, false, "a port" },
    { "net", "max_body", "max-body", RL_CONFIG_SIZE, "1MiB", 1024, 1 << 30, NULL, true, "a size" },
    { "net", "memory", "memory", RL_CONFIG_SIZE, NULL, 1, INT64_MAX, NULL, true, "a size" },
    { "net", "safe", "safe", RL_CONFIG_BOOL, "true", 0, 0, NULL, true, "a switch" },
    { "net", "origins", "origins", RL_CONFIG_LIST, "", 1, 8, NULL, true, "a list" },
    { "engine", "kv", "kv", RL_CONFIG_WORD, "bf16", 0, 0, "bf16 f16 f32", false, "a word" },
};

static char file[64];
static rl_config config;

static int set_up(void **state)
{
    int fd;

    (void)state;
    (void)snprintf(file, sizeof file, "/tmp/realm-config-XXXXXX");
    fd = mkstemp(file);
    return fd < 0 || close(fd) < 0 || rl_config_init(&config, rows, 7, NULL) != REALM_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    rl_config_deinit(&config);
    return unlink(file);
}

static realm_status read_text(const char *text, realm_error *err)
{
    assert_int_equal(rl_fs_write(file, text, strlen(text), NULL), REALM_OK);
    return rl_config_read(&config, file, err);
}

static void reads(const char *text)
{
    realm_error err = { .text = "" };

    if (read_text(text, &err) != REALM_OK)
        fail_msg("%s: %s", text, err.text);
}

static void refuses(const char *text, unsigned line, const char *sentence)
{
    realm_error err = { .text = "" };
    char expected[256];

    (void)snprintf(expected, sizeof expected, "%s:%u: %s", file, line, sentence);
    if (read_text(text, &err) != REALM_EINVAL || strcmp(err.text, expected) != 0)
        fail_msg("<%s> answered <%s>, not <%s>", text, err.text, expected);
}

static void is(const char *name, const char *text, int64_t number, const char *from)
{
    const rl_config_value *v = rl_config_get(&config, name);

    if (text)
        assert_string_equal(v->text, text);
    else
        assert_null(v->text);
    assert_true(v->number == number);
    assert_string_equal(v->from, from);
}

static void defaults(void **state)
{
    (void)state;
    is("home", NULL, 0, "default");
    is("port", "8080", 8080, "default");
    is("max_body", "1MiB", 1 << 20, "default");
    is("safe", "true", 1, "default");
    is("origins", "", 0, "default");
    is("kv", "bf16", 0, "default");
}

static void a_file_says_where(void **state)
{
    char from[96];
    const rl_config_value *v;

    (void)state;
    reads("home = '/srv'\n[net]\nport = 1\nmax_body = 2048\nmemory = \"2GiB\"\nsafe = false\n"
          "origins = [\"a\", \"b, c\"]\n[engine]\nkv = \"f32\"\n");
    (void)snprintf(from, sizeof from, "%s:1", file);
    is("home", "/srv", 0, from);
    (void)snprintf(from, sizeof from, "%s:3", file);
    is("port", "1", 1, from);
    (void)snprintf(from, sizeof from, "%s:4", file);
    is("max_body", "2048", 2048, from);
    (void)snprintf(from, sizeof from, "%s:5", file);
    is("memory", "2GiB", (int64_t)2 << 30, from);
    (void)snprintf(from, sizeof from, "%s:6", file);
    is("safe", "false", 0, from);
    (void)snprintf(from, sizeof from, "%s:9", file);
    is("kv", "f32", 2, from);
    v = rl_config_get(&config, "origins");
    assert_int_equal(v->n_list, 2);
    assert_string_equal(v->list[0], "a");
    assert_string_equal(v->list[1], "b, c");
}

static void later_sources_win(void **state)
{
    realm_error err;
    char from[96];

    (void)state;
    reads("[net]\nport = 1\nmax_body = 2048\nsafe = false\n");
    assert_int_equal(setenv("CTEST_PORT", "2", 1), 0);
    assert_int_equal(setenv("CTEST_MAX_BODY", "4KiB", 1), 0);
    assert_int_equal(setenv("CTEST_KV", "", 1), 0); /* counts as none */
    assert_int_equal(setenv("CTEST_ORIGINS", " a , b", 1), 0);
    assert_int_equal(setenv("CTEST_UNKNOWN", "x", 1), 0); /* somebody else's */
    assert_int_equal(rl_config_read_env(&config, "CTEST_", &err), REALM_OK);
    assert_int_equal(rl_config_set(&config, "max-body", "8KiB", &err), REALM_OK);
    assert_int_equal(rl_config_set(&config, "nothing", "x", &err), REALM_ENOTFOUND);
    is("port", "2", 2, "CTEST_PORT");
    is("max_body", "8KiB", 8192, "--max-body");
    is("kv", "bf16", 0, "default");
    (void)snprintf(from, sizeof from, "%s:4", file);
    is("safe", "false", 0, from);
    assert_int_equal(rl_config_get(&config, "origins")->n_list, 2);
    assert_string_equal(rl_config_get(&config, "origins")->list[0], "a");
    assert_string_equal(rl_config_get(&config, "origins")->list[1], "b");
}

static void mistakes_in_a_file(void **state)
{
    (void)state;
    refuses("prt = 1", 1, "there is no setting prt; see realm help config");
    refuses("[net]\n\nprot = 1", 3, "there is no setting prot; did you mean port?");
    refuses("port = 1", 1, "port belongs below the line [net]");
    refuses("[net]\nkv = 'f32'", 2, "kv belongs below the line [engine]");
    refuses("[net]\nhome = '/x'", 2, "home belongs above the first [table]");
    refuses("[nets]", 1, "there is no table nets; did you mean [net]?");
    refuses("[x]", 1, "there is no table x; see realm help config");
    refuses("[net]\nport = 0", 2, "port 0: give a whole number from 1 to 65535");
    refuses("[net]\nport = 65536", 2, "port 65536: give a whole number from 1 to 65535");
    refuses("[net]\nport = -1", 2, "port -1: give a whole number from 1 to 65535");
    refuses("[net]\nport = '80'", 2, "port: give a whole number from 1 to 65535, without quotes");
    refuses("[net]\nmax_body = 1023", 2,
            "max_body 1023: give a size such as 512KiB, 64MiB or 2GiB, from 1024 to 1073741824 "
            "bytes");
    refuses("[net]\nmemory = '1 GiB'", 2,
            "memory 1 GiB: give a size such as 512KiB, 64MiB or 2GiB");
    refuses("[net]\nsafe = 'true'", 2, "safe: give true or false, without quotes");
    refuses("[net]\norigins = 'a'", 2,
            "origins: give texts of 1 to 8 bytes, at most 256, as [\"a\", \"b\"]");
    refuses("[net]\norigins = ['a', '123456789']", 2,
            "origins 123456789: give texts of 1 to 8 bytes, at most 256");
    refuses("[engine]\nkv = 'q8'", 2, "kv q8: give bf16, f16 or f32");
    refuses("[engine]\nkv = true", 2, "kv: give bf16, f16 or f32, between quotes");
    refuses("home = ''", 1, "home is empty");
    refuses("home = \"a\\nb\"", 1, "home a\nb: give a text of 1 to 8 bytes on one line");
    refuses("home = '123456789'", 1, "home 123456789: give a text of 1 to 8 bytes on one line");
}

static void mistakes_elsewhere(void **state)
{
    static const struct {
        const char *flag, *text, *sentence;
    } bad[] = {
        { "port", "x", "--port x: give a whole number from 1 to 65535" },
        { "port", "", "--port is empty" },
        { "port", "18446744073709551617", "--port 18446744073709551617: give a whole number from" },
        { "max-body", "1GB ", "--max-body 1GB : give a size" },
        { "safe", "TRUE", "--safe TRUE: give true or false" },
        { "kv", "bf16 f16", "--kv bf16 f16: give bf16, f16 or f32" },
        { "origins", "a,,b", "--origins is empty" },
        { "home", "caf\xe9", "--home caf\xe9: give a text" },
    };
    realm_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rl_config_set(&config, bad[i].flag, bad[i].text, &err), REALM_EINVAL);
        if (!strstr(err.text, bad[i].sentence))
            fail_msg("<%s>, not <%s>", err.text, bad[i].sentence);
    }
    assert_int_equal(setenv("BAD_PORT", "0", 1), 0);
    assert_int_equal(rl_config_read_env(&config, "BAD_", &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "BAD_PORT 0: give a whole number"));
}

static void no_file_is_fine_others_are_not(void **state)
{
    realm_error err;

    (void)state;
    assert_int_equal(rl_config_read(&config, "/nowhere/realm.toml", &err), REALM_OK);
    assert_int_equal(rl_config_read(&config, "/tmp", &err), REALM_EINVAL);
    assert_int_equal(truncate(file, 70000), 0);
    assert_int_equal(rl_config_read(&config, file, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "over 64 KiB"));
    assert_int_equal(truncate(file, 65537), 0);
    assert_int_equal(rl_config_read(&config, file, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "over 64 KiB"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults),           TEST(a_file_says_where),  TEST(later_sources_win),
        TEST(mistakes_in_a_file), TEST(mistakes_elsewhere), TEST(no_file_is_fine_others_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
