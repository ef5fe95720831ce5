/* The settings of Realm (config.def) and where they are read: defaults, /etc/realm/realm.toml,
 * $XDG_CONFIG_HOME/realm/realm.toml, REALM_*, the flags of the verb. */
#ifndef RL_CLI_SETTINGS_H
#define RL_CLI_SETTINGS_H

#include "base/config.h"
#include "cli/cli.h"

extern const rl_config_row rl_settings[];
extern const size_t rl_n_settings;

/* Reads all sources; rl_config_deinit when it worked. A mistake in a flag is wrong usage, elsewhere
 * a failure. -> 0 | an exit code, with the reason on stderr */
int rl_settings_load(const rl_cli *c, rl_config *out);
/* The same for who goes on when it fails. */
realm_status rl_settings_read(const rl_cli *c, rl_config *out, realm_error *err) REALM_MUST_USE;

#endif
