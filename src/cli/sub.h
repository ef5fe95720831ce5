/* Verbs that are several: the first argument says which. Their arguments and options are checked
 * here, so that an option which the verb has for another of them is not silently ignored. */
#ifndef RL_CLI_SUB_H
#define RL_CLI_SUB_H

#include "cli/cli.h"

typedef struct rl_sub {
    const char *name;
    unsigned least, most; /* arguments after the name: c->pos[1] and on */
    const char *args;     /* what they are, for the one who forgot them: "ID" */
    const char *opts;     /* its options beside --home, with spaces between them */
    int (*run)(rl_cli *c);
} rl_sub;

/* Runs the one of subs [n] that c->pos[0] names. -> its exit code, or RL_EXIT_USAGE */
int rl_cli_sub(rl_cli *c, const rl_sub *subs, size_t n);

#endif
