/* The table of settings itself, and its agreement with the options of verbs. */
#include "../test.h"

#include "cli/settings.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static void every_row_is_whole(void **state)
{
    rl_config c;

    (void)state;
    assert_true(rl_n_settings >= 15);
    for (size_t i = 0; i < rl_n_settings; i++) {
        const rl_config_row *row = &rl_settings[i];

        assert_non_null(strstr(row->text, "(default"));
        assert_int_equal(strlen(row->flag), strlen(row->name));
        for (size_t k = 0; row->name[k]; k++) {
            assert_true(islower((unsigned char)row->name[k]) || row->name[k] == '_');
            assert_int_equal(row->flag[k], row->name[k] == '_' ? '-' : row->name[k]);
        }
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rl_settings[k].name, row->name);
    }
    assert_int_equal(rl_config_init(&c, rl_settings, rl_n_settings, NULL), REALM_OK);
    for (size_t i = 0; i < rl_n_settings; i++) /* the sentence states the default */
        if (c.values[i].text && *c.values[i].text && !strstr(rl_settings[i].text, c.values[i].text))
            fail_msg("%s does not state %s", rl_settings[i].text, c.values[i].text);
    rl_config_deinit(&c);
}

static void the_words_of_kv_are_the_librarys(void **state)
{
    rl_config c;

    (void)state;
    assert_int_equal(rl_config_init(&c, rl_settings, rl_n_settings, NULL), REALM_OK);
    assert_int_equal(rl_config_set(&c, "kv", "bf16", NULL), REALM_OK);
    assert_int_equal(rl_config_get(&c, "kv")->number, REALM_KV_BF16);
    assert_int_equal(rl_config_set(&c, "kv", "f16", NULL), REALM_OK);
    assert_int_equal(rl_config_get(&c, "kv")->number, REALM_KV_F16);
    assert_int_equal(rl_config_set(&c, "kv", "f32", NULL), REALM_OK);
    assert_int_equal(rl_config_get(&c, "kv")->number, REALM_KV_F32);
    rl_config_deinit(&c);
}

/* An option that is named like a setting is this setting. */
static void options_say_what_the_table_says(void **state)
{
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < rl_n_verbs; i++) {
        for (const rl_opt *o = rl_verbs[i].opts; o->name; o++) {
            for (size_t k = 0; k < rl_n_settings; k++) {
                if (strcmp(rl_settings[k].flag, o->name) != 0)
                    continue;
                assert_string_equal(o->text, rl_settings[k].text);
                assert_non_null(o->value);
                n++;
            }
        }
    }
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(the_words_of_kv_are_the_librarys),
        cmocka_unit_test(options_say_what_the_table_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
