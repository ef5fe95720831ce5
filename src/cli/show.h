/* Entries of the registry as JSON and for people; shared by the verbs that show them. */
#ifndef RL_CLI_SHOW_H
#define RL_CLI_SHOW_H

#include "base/json.h"
#include "realm/realm.h"

void rl_show_entry(rl_json *j, const realm_entry *e); /* one object */

#endif
