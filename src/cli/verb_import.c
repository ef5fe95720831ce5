#include "cli/cli.h"

#include "cli/progress.h"
#include "cli/show.h"
#include "cli/units.h"

#include <stdio.h>
#include <string.h>

/* The file's name without its folders, for the bar. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int rl_verb_import(rl_cli *c)
{
    realm_import_options o = { .name = rl_cli_get(c, "name"), .replace = rl_cli_has(c, "replace") };
    int code = rl_cli_open(c, NULL);
    char params[RL_UNITS_TEXT], size[RL_UNITS_TEXT];
    realm_entry e;
    realm_error err;
    rl_buf out;

    if (code)
        return code;
    if (o.name && !o.name[0])
        return rl_cli_usage(c->verb, "--name is empty");
    rl_progress_label(base_name(c->pos[0]));
    if (realm_import(c->r, c->pos[0], &o, &e, &err) != REALM_OK)
        return rl_cli_fail(&err);
    rl_buf_init(&out, 65536);
    if (rl_cli_has(c, "json")) {
        rl_json j = rl_json_on(&out);

        rl_show_entry(&j, &e);
        (void)rl_buf_adds(&out, "\n");
    } else {
        (void)rl_buf_addf(&out, "%s: %s, %s parameters, %s\n", e.name, e.arch,
                          rl_units_show_count(e.n_params, params),
                          rl_units_show_size(e.packed_bytes, size));
    }
    return rl_cli_print(&out);
}
