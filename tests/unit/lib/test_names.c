#include "../test.h"

#include "lib/internal.h"

#include <string.h>

static void files_give_good_names(void **state)
{
    static const char *const rows[][2] = {
        { "/a/b/Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf", "qwen2.5-coder-0.5b-instruct-q4_k_m" },
        { "gemma3_270m.GGUF", "gemma3_270m" },
        { "My Model (final).gguf", "my-model-final" },
        { "..hidden..x.gguf", "hidden.x" },
        { "---.gguf", "model" },
        { ".gguf", "gguf" },
        { "\xc3\xbc.gguf", "model" },
        { "plain", "plain" },
    };
    char name[RL_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rl_lib_name_of_path(rows[i][0], name);
        assert_string_equal(name, rows[i][1]);
        assert_int_equal(rl_store_check_name(name, strlen(name), NULL), REALM_OK);
    }
}

static void long_files_are_cut(void **state)
{
    char path[600], name[RL_NAME_MAX + 1];

    (void)state;
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = 0;
    rl_lib_name_of_path(path, name);
    assert_int_equal(strlen(name), RL_NAME_MAX);
    assert_int_equal(rl_store_check_name(name, strlen(name), NULL), REALM_OK);
}

static void paths_are_told_from_names(void **state)
{
    (void)state;
    assert_true(rl_lib_is_path("/x"));
    assert_true(rl_lib_is_path("./x"));
    assert_true(rl_lib_is_path("../x"));
    assert_true(rl_lib_is_path("x.gguf"));
    assert_true(rl_lib_is_path("X.GGUF"));
    assert_false(rl_lib_is_path("x"));
    assert_false(rl_lib_is_path("org/x"));
    assert_false(rl_lib_is_path(".gguf")); /* no file's name before the ending */
    assert_false(rl_lib_is_path(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_give_good_names),
        cmocka_unit_test(long_files_are_cut),
        cmocka_unit_test(paths_are_told_from_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
