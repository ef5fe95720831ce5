/* The command line: what every verb gets, and how it talks.
 *
 * 1. stdout carries results only; progress, notes and errors go to stderr.
 * 2. A verb answers an exit code: 0 ok, 1 failure, 2 wrong usage, 130 stopped by Ctrl-C.
 * 3. The first Ctrl-C sets a flag that progress callbacks and read loops look at; the second ends
 * the process at once.
 * 4. One thread. */
#ifndef RL_CLI_CLI_H
#define RL_CLI_CLI_H

#include "base/buf.h"
#include "realm/realm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RL_EXIT_OK = 0, RL_EXIT_FAILED = 1, RL_EXIT_USAGE = 2, RL_EXIT_INTERRUPTED = 130 };

#define RL_CLI_MAX_POS   4u
#define RL_CLI_MAX_SET   32u
#define RL_CLI_MAX_VERBS 64u
#define RL_CLI_HEAD      64u /* bytes of a list's left column */

typedef struct rl_opt {
    const char *name;  /* without the dashes; NULL ends a list */
    char letter;       /* or 0 */
    const char *value; /* what stands for its value in the help ("SIZE"); NULL: a flag */
    const char *text;  /* one sentence, with the default */
} rl_opt;

typedef struct rl_cli rl_cli;

typedef struct rl_verb {
    const char *name;
    const char *synopsis; /* what follows the verb's name */
    const char *summary;  /* one line */
    const char *about;    /* paragraphs, with a line end between them */
    const char *list;     /* what `row` lists, for a heading; NULL: nothing */
    bool (*row)(size_t i, char head[RL_CLI_HEAD], const char **text); /* -> false: the end */
    const rl_opt *opts;
    const char *example; /* command lines, one per line */
    const char *first;   /* the first argument, for completions: "models", "verbs", or its words
                          * with spaces between them; NULL: a file */
    unsigned min_pos, max_pos;
    bool rest; /* takes further arguments after -- */
    int (*run)(rl_cli *c);
} rl_verb;

struct rl_cli {
    const rl_verb *verb;
    const char *pos[RL_CLI_MAX_POS];
    unsigned n_pos;
    const char *const *rest; /* [n_rest] arguments after -- */
    unsigned n_rest;
    struct {
        const rl_opt *opt;
        const char *value;
    } set[RL_CLI_MAX_SET];
    unsigned n_set;
    realm *r; /* opened by rl_cli_open, closed by main */
};

/* ---- arguments (args.c) ---- */

/* Reads argv [argc] (after the verb) by the verb's table. -> 0, or RL_EXIT_USAGE with the reason on
 * stderr */
int rl_cli_parse(rl_cli *c, int argc, const char *const *argv);
/* The value of an option, its last one; NULL: not given. Flags: "". */
const char *rl_cli_get(const rl_cli *c, const char *name);
bool rl_cli_has(const rl_cli *c, const char *name);
/* Typed values; absent: *out stays. -> false with the reason on stderr: answer RL_EXIT_USAGE */
bool rl_cli_uint(const rl_cli *c, const char *name, uint64_t least, uint64_t most, uint64_t *out);
bool rl_cli_size(const rl_cli *c, const char *name, uint64_t *bytes);
bool rl_cli_duration(const rl_cli *c, const char *name, uint64_t *ms);
bool rl_cli_float(const rl_cli *c, const char *name, double least, double most, double *out);
/* "1,2,3" -> *list, rl_free; each at most `most`. */
bool rl_cli_list(const rl_cli *c, const char *name, const char *text, uint64_t most,
                 uint32_t **list, size_t *n);
/* Says what is wrong with the usage. -> RL_EXIT_USAGE */
int rl_cli_usage(const rl_verb *v, const char *fmt, ...) REALM_PRINTF(2, 3);

/* ---- talking (talk.c) ---- */

void rl_cli_catch_interrupt(void);

/* Prints the error. -> RL_EXIT_FAILED, or RL_EXIT_INTERRUPTED when Ctrl-C was the reason */
int rl_cli_fail(const realm_error *err);
/* Keys pressed while a reply is written do not appear in it; they wait for the next prompt. */
void rl_cli_hush(bool on);
bool rl_cli_interrupted(void);
void rl_cli_clear_interrupt(void);
/* Opens c->r with what the configuration and its options say (settings.h), --reference and the rest
 * of opts. -> 0 | an exit code */
int rl_cli_open(rl_cli *c, const realm_options *opts);
struct rl_store;
/* Opens the registry itself, for what the library has no call for; rl_store_close it. -> 0 | an
 * exit code */
int rl_cli_store(const rl_cli *c, struct rl_store **out);
/* Writes what out holds to stdout and frees it. -> 0 | RL_EXIT_FAILED */
int rl_cli_print(rl_buf *out);
/* Before reading standard input: at a terminal, says that the `what` is waited for. */
void rl_cli_invite(const char *what);
/* All of stdin, or of the file `path`, into out. -> 0 | an exit code */
int rl_cli_read_all(const char *path, rl_buf *out);

/* ---- the table of verbs (verbs.c) ---- */

extern const rl_verb rl_verbs[];
extern const size_t rl_n_verbs;
const rl_verb *rl_verb_find(const char *name);

/* The verbs on stderr, for who said none. -> RL_EXIT_USAGE */
int rl_help_first(void);

int rl_verb_run(rl_cli *c);
int rl_verb_chat(rl_cli *c);
int rl_verb_import(rl_cli *c);
int rl_verb_models(rl_cli *c);
int rl_verb_rm(rl_cli *c);
int rl_verb_verify(rl_cli *c);
int rl_verb_prune(rl_cli *c);
int rl_verb_program(rl_cli *c);
int rl_verb_key(rl_cli *c);
int rl_verb_config(rl_cli *c);
int rl_verb_serve(rl_cli *c);
bool rl_serve_row(size_t i, char head[RL_CLI_HEAD], const char **text); /* its endpoints */
int rl_verb_ps(rl_cli *c);
int rl_verb_inspect(rl_cli *c);
int rl_verb_tokenize(rl_cli *c);
int rl_verb_logits(rl_cli *c);
int rl_verb_perplexity(rl_cli *c);
int rl_verb_bench(rl_cli *c);
int rl_verb_doctor(rl_cli *c);
int rl_verb_help(rl_cli *c);
int rl_verb_version(rl_cli *c);
int rl_verb_completions(rl_cli *c);

#endif
