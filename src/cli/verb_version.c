#include "cli/cli.h"

#include "base/json.h"

int rl_verb_version(rl_cli *c)
{
    rl_buf out;

    rl_buf_init(&out, 4096);
    if (rl_cli_has(c, "json")) {
        rl_json j = rl_json_on(&out);

        rl_json_object(&j, NULL);
        rl_json_string(&j, "version", realm_version());
        rl_json_end_object(&j);
        (void)rl_buf_adds(&out, "\n");
    } else {
        (void)rl_buf_addf(&out, "realm %s\n", realm_version());
    }
    return rl_cli_print(&out);
}
