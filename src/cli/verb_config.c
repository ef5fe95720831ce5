/* config: every setting, its value and where that came from. */
#include "cli/cli.h"

#include "base/json.h"
#include "cli/settings.h"
#include "cli/table.h"

#include <stdio.h>

#define OUT_MAX ((size_t)16 << 20)

/* The value as JSON has it: a number, true or false, a text, a list, or null. */
static void show_value(rl_json *j, const rl_config_row *row, const rl_config_value *v)
{
    if (!v->text) {
        rl_json_null(j, "value");
        return;
    }
    switch (row->type) {
    case RL_CONFIG_INT:
    case RL_CONFIG_SIZE:
        rl_json_int(j, "value", v->number);
        break;
    case RL_CONFIG_BOOL:
        rl_json_bool(j, "value", v->number != 0);
        break;
    case RL_CONFIG_LIST:
        rl_json_array(j, "value");
        for (size_t i = 0; i < v->n_list; i++)
            rl_json_string(j, NULL, v->list[i]);
        rl_json_end_array(j);
        break;
    default:
        rl_json_string(j, "value", v->text);
    }
}

static void show_json(rl_buf *out, const rl_config *c)
{
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    rl_json_array(&j, "config");
    for (size_t i = 0; i < c->n_rows; i++) {
        rl_json_object(&j, NULL);
        rl_json_string(&j, "table", c->rows[i].table);
        rl_json_string(&j, "name", c->rows[i].name);
        show_value(&j, &c->rows[i], &c->values[i]);
        rl_json_string(&j, "from", c->values[i].from);
        rl_json_bool(&j, "reloadable", c->rows[i].reloadable);
        rl_json_end_object(&j);
    }
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}

static void show_table(rl_buf *out, const rl_config *c)
{
    static const char *const heads[] = { "NAME", "VALUE", "FROM" };
    rl_table t;

    rl_table_init(&t, "lll");
    for (size_t i = 0; i < 3; i++)
        rl_table_add(&t, heads[i]);
    for (size_t i = 0; i < c->n_rows; i++) {
        const rl_config_row *row = &c->rows[i];
        const char *text = c->values[i].text;

        rl_table_addf(&t, "%s%s%s", row->table, *row->table ? "." : "", row->name);
        rl_table_add(&t, text && *text ? text : "-");
        rl_table_add(&t, c->values[i].from);
    }
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

int rl_verb_config(rl_cli *c)
{
    rl_config config;
    rl_buf out;
    int code = rl_settings_load(c, &config);

    if (code)
        return code;
    rl_buf_init(&out, OUT_MAX);
    if (rl_cli_has(c, "json"))
        show_json(&out, &config);
    else
        show_table(&out, &config);
    rl_config_deinit(&config);
    return rl_cli_print(&out);
}
