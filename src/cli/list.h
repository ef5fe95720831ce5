/* List: how every verb that lists things ends: {"NAME": [...]} with --json, else a table, or one
 * sentence on stderr when there is nothing. */
#ifndef RL_CLI_LIST_H
#define RL_CLI_LIST_H

#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"

typedef struct rl_list {
    const char *name;                            /* of the JSON's array */
    const char *align;                           /* of the table's columns */
    const char *const *heads;                    /* [strlen(align)] */
    const char *none;                            /* the sentence */
    size_t row;                                  /* bytes of a row */
    void (*json)(rl_json *j, const void *row);   /* one object */
    void (*cells)(rl_table *t, const void *row); /* one cell for each column */
} rl_list;

/* rows [n] of l->row bytes each. -> an exit code */
int rl_list_print(const rl_cli *c, const rl_list *l, const void *rows, size_t n);

#endif
