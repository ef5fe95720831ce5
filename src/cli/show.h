/* What several verbs show: entries of the registry, tokens. */
#ifndef RL_CLI_SHOW_H
#define RL_CLI_SHOW_H

#include "base/json.h"
#include "cli/table.h"
#include "realm/realm.h"

void rl_show_entry(rl_json *j, const realm_entry *e); /* one object */
/* A cell: the token's bytes between quotes, what is not printable written out. */
void rl_show_token(rl_table *t, const realm_tokenizer *tok, uint32_t id);

#endif
