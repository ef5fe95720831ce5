/* program: installed programs, which run and are served by their names. */
#include "cli/cli.h"

#include "base/assert.h"
#include "base/json.h"
#include "cli/sub.h"
#include "cli/table.h"
#include "cli/units.h"

#include <stdio.h>

#define OUT_MAX ((size_t)64 << 20)

static void show(rl_json *j, const realm_installed *p)
{
    rl_json_object(j, NULL);
    rl_json_string(j, "name", p->name);
    rl_json_string(j, "sha256", p->sha256);
    rl_json_uint(j, "bytes", p->bytes);
    rl_json_int(j, "installed", p->created_s);
    rl_json_bool(j, "usable", p->usable);
    rl_json_end_object(j);
}

/* ---- add ------------------------------------------------------------------------------------- */

static int add_program(rl_cli *c)
{
    realm_import_options o = { .name = rl_cli_get(c, "name"), .replace = rl_cli_has(c, "replace") };
    char size[RL_UNITS_TEXT];
    realm_installed p;
    realm_error err;
    rl_buf out;
    int code;

    if (!o.name || !*o.name)
        return rl_cli_usage(c->verb, "program add needs --name NAME");
    code = rl_cli_open(c, NULL);
    if (code)
        return code;
    if (realm_program_add(c->r, c->pos[1], &o, &p, &err) != REALM_OK)
        return rl_cli_fail(&err);
    rl_buf_init(&out, 65536);
    if (rl_cli_has(c, "json")) {
        rl_json j = rl_json_on(&out);

        show(&j, &p);
        (void)rl_buf_adds(&out, "\n");
    } else {
        (void)rl_buf_addf(&out, "%s: %s, sha256 %.12s\n", p.name, rl_units_show_size(p.bytes, size),
                          p.sha256);
    }
    return rl_cli_print(&out);
}

/* ---- list ------------------------------------------------------------------------------------ */

static void list_json(rl_buf *out, const realm_installed *list, size_t n)
{
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    rl_json_array(&j, "programs");
    for (size_t i = 0; i < n; i++)
        show(&j, &list[i]);
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}

static void list_table(rl_buf *out, const realm_installed *list, size_t n)
{
    static const char *const heads[] = { "NAME", "SIZE", "SHA256", "INSTALLED", "" };
    char text[RL_UNITS_TEXT];
    rl_table t;

    rl_table_init(&t, "lrlll");
    for (size_t i = 0; i < RL_COUNT(heads); i++)
        rl_table_add(&t, heads[i]);
    for (size_t i = 0; i < n; i++) {
        rl_table_add(&t, list[i].name);
        rl_table_add(&t, rl_units_show_size(list[i].bytes, text));
        rl_table_addf(&t, "%.12s", list[i].sha256);
        rl_table_add(&t, rl_units_show_date(list[i].created_s, text));
        rl_table_add(&t, list[i].usable ? "" : "not usable: install it again");
    }
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

static int list_programs(rl_cli *c)
{
    int code = rl_cli_open(c, NULL);
    realm_installed *list;
    realm_error err;
    rl_buf out;
    size_t n;

    if (code)
        return code;
    if (realm_program_list(c->r, &list, &n, &err) != REALM_OK)
        return rl_cli_fail(&err);
    rl_buf_init(&out, OUT_MAX);
    if (rl_cli_has(c, "json"))
        list_json(&out, list, n);
    else if (n)
        list_table(&out, list, n);
    else
        (void)fputs("no programs yet; install one: realm program add FILE.wasm --name NAME\n",
                    stderr);
    realm_free(list);
    return rl_cli_print(&out);
}

/* ---- rm -------------------------------------------------------------------------------------- */

static int remove_programs(rl_cli *c)
{
    int code = rl_cli_open(c, NULL);
    realm_error err;

    for (unsigned i = 1; code == 0 && i < c->n_pos; i++) {
        if (realm_program_remove(c->r, c->pos[i], &err) != REALM_OK)
            code = rl_cli_fail(&err);
        else
            (void)fprintf(stderr, "removed %s\n", c->pos[i]);
    }
    return code;
}

int rl_verb_program(rl_cli *c)
{
    static const rl_sub subs[] = {
        { "add", 1, 1, "FILE.wasm", "name replace json", add_program },
        { "list", 0, 0, "", "json", list_programs },
        { "rm", 1, RL_CLI_MAX_POS - 1, "NAME", "", remove_programs },
    };

    return rl_cli_sub(c, subs, RL_COUNT(subs));
}
