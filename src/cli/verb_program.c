/* program: installed programs, which run and are served by their names. */
#include "cli/cli.h"

#include "base/assert.h"
#include "cli/list.h"
#include "cli/sub.h"
#include "cli/units.h"

#include <stdio.h>

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

static void program_json(rl_json *j, const void *row)
{
    show(j, row);
}

static void program_cells(rl_table *t, const void *row)
{
    const realm_installed *p = row;
    char text[RL_UNITS_TEXT];

    rl_table_add(t, p->name);
    rl_table_add(t, rl_units_show_size(p->bytes, text));
    rl_table_addf(t, "%.12s", p->sha256);
    rl_table_add(t, rl_units_show_date(p->created_s, text));
    rl_table_add(t, p->usable ? "" : "not usable: install it again");
}

static int list_programs(rl_cli *c)
{
    static const char *const heads[] = { "NAME", "SIZE", "SHA256", "INSTALLED", "" };
    static const rl_list look = {
        .name = "programs",
        .align = "lrlll",
        .heads = heads,
        .none = "no programs yet; install one: realm program add FILE.wasm --name NAME",
        .row = sizeof(realm_installed),
        .json = program_json,
        .cells = program_cells
    };
    int code = rl_cli_open(c, NULL);
    realm_installed *list;
    realm_error err;
    size_t n;

    if (code)
        return code;
    if (realm_program_list(c->r, &list, &n, &err) != REALM_OK)
        return rl_cli_fail(&err);
    code = rl_list_print(c, &look, list, n);
    realm_free(list);
    return code;
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
