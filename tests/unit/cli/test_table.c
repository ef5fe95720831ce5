#include "../test.h"

#include "cli/table.h"

static void columns_line_up_by_characters(void **state)
{
    static const char *const cells[] = { "NAME", "SIZE", "NOTE", "größe", "1",  "x",
                                         "a",    "1000", "",     "b",     "20", "" };
    rl_table t;
    rl_buf out;

    (void)state;
    rl_buf_init(&out, 4096);
    rl_table_init(&t, "lrl");
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        rl_table_add(&t, cells[i]);
    rl_table_show(&t, "  ", &out);
    assert_string_equal(out.data, "  NAME   SIZE  NOTE\n"
                                  "  größe     1  x\n"
                                  "  a      1000\n"
                                  "  b        20\n");
    rl_table_deinit(&t);
    rl_buf_deinit(&out);
}

static void control_characters_stay_out(void **state)
{
    rl_table t;
    rl_buf out;

    (void)state;
    rl_buf_init(&out, 4096);
    rl_table_init(&t, "l");
    rl_table_add(&t, "a\033[31mred\nnext\x7f");
    rl_table_show(&t, "", &out);
    assert_string_equal(out.data, "a\\x1b[31mred\\nnext\\x7f\n");
    rl_table_deinit(&t);
    rl_buf_deinit(&out);
}

static void an_unfinished_row_is_left_out(void **state)
{
    rl_table t;
    rl_buf out;

    (void)state;
    rl_buf_init(&out, 4096);
    rl_table_init(&t, "ll");
    rl_table_addf(&t, "%d", 1);
    rl_table_show(&t, "", &out);
    assert_int_equal(out.len, 0);
    rl_table_deinit(&t);
    rl_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_line_up_by_characters),
        cmocka_unit_test(control_characters_stay_out),
        cmocka_unit_test(an_unfinished_row_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
