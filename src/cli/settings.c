#include "cli/settings.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const rl_config_row rl_settings[] = {
#define SETTING(table, name, flag, letter, placeholder, type, preset, least, most, words,          \
                reloadable, text)                                                                  \
    { table, #name, flag, RL_CONFIG_##type, preset, least, most, words, reloadable, text },
#include "cli/config.def"
#undef SETTING
};
const size_t rl_n_settings = RL_COUNT(rl_settings);

/* The file of the person who runs it; false: nobody knows where. */
static bool own_file(char *out, size_t cap)
{
    const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = 0;

    if (dir && *dir)
        n = snprintf(out, cap, "%s/realm/realm.toml", dir);
    else if (home && *home)
        n = snprintf(out, cap, "%s/.config/realm/realm.toml", home);
    return n > 0 && (size_t)n < cap;
}

static realm_status read_sources(rl_config *c, realm_error *err)
{
    char path[4096];
    realm_status st = rl_config_read(c, "/etc/realm/realm.toml", err);

    if (st == REALM_OK && own_file(path, sizeof path))
        st = rl_config_read(c, path, err);
    return st == REALM_OK ? rl_config_read_env(c, "REALM_", err) : st;
}

/* Options of the verb that are settings, as they were given. */
static realm_status read_flags(const rl_cli *c, rl_config *config, realm_error *err)
{
    for (unsigned i = 0; i < c->n_set; i++) {
        realm_status st = rl_config_set(config, c->set[i].opt->name, c->set[i].value, err);

        if (st != REALM_OK && st != REALM_ENOTFOUND) /* an option of the verb's own */
            return st;
    }
    return REALM_OK;
}

/* *flag: it was a flag that was wrong. */
static realm_status load(const rl_cli *c, rl_config *out, bool *flag, realm_error *err)
{
    realm_status st = rl_config_init(out, rl_settings, rl_n_settings, err);

    *flag = false;
    if (st == REALM_OK)
        st = read_sources(out, err);
    if (st == REALM_OK) {
        st = read_flags(c, out, err);
        *flag = st == REALM_EINVAL;
    }
    if (st != REALM_OK)
        rl_config_deinit(out);
    return st;
}

realm_status rl_settings_read(const rl_cli *c, rl_config *out, realm_error *err)
{
    bool flag;

    return load(c, out, &flag, err);
}

int rl_settings_load(const rl_cli *c, rl_config *out)
{
    realm_error err;
    bool flag;

    if (load(c, out, &flag, &err) == REALM_OK)
        return 0;
    return flag ? rl_cli_usage(c->verb, "%s", err.text) : rl_cli_fail(&err);
}
