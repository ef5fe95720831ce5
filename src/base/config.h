/* Config: settings by one table. Each row has a name, a type, a default, a range, a sentence; its
 * value comes from the last of these that gives one: the default, files in order, the environment,
 * flags. Every value remembers where it came from.
 *
 * 1. Whatever a source says is checked by the row; the first mistake ends the reading with a
 *    sentence that names the place, what was there and what may stand there. A name that no row
 *    has is a mistake in a file, in the environment it is somebody else's.
 * 2. A config is filled by one thread and then only read. To load it again, fill another. */
#ifndef RL_BASE_CONFIG_H
#define RL_BASE_CONFIG_H

#include "base/arena.h"
#include "realm/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum rl_config_type {
    RL_CONFIG_TEXT, /* without control characters */
    RL_CONFIG_INT,  /* a whole number, 0 or more */
    RL_CONFIG_SIZE, /* bytes: a number, or a text with a unit */
    RL_CONFIG_BOOL, /* true or false */
    RL_CONFIG_WORD, /* one of some words */
    RL_CONFIG_LIST, /* texts; on one line with commas between them */
} rl_config_type;

typedef struct rl_config_row {
    const char *table; /* of a file; "": above all tables */
    const char *name;  /* its key there, lower case with _; unique in all tables. REALM_<NAME> */
    const char *flag;  /* without the dashes */
    rl_config_type type;
    const char *preset;  /* the default as a text; NULL: none, and the sentence says what then */
    int64_t least, most; /* of INT and SIZE; bytes of a TEXT and of a text of a LIST */
    const char *words;   /* of WORD, with spaces between them */
    bool reloadable;     /* takes effect when the config is loaded again */
    const char *text;    /* one sentence */
} rl_config_row;

typedef struct rl_config_value {
    const char *text;        /* as it was written; NULL: not set */
    int64_t number;          /* of INT and SIZE; of BOOL 0 or 1; of WORD which one */
    const char *const *list; /* of LIST; [n_list] */
    size_t n_list;
    const char *from; /* "default", "<file>:<line>", "REALM_PORT", "--port" */
} rl_config_value;

typedef struct rl_config {
    const rl_config_row *rows; /* borrowed; [n_rows] */
    size_t n_rows;
    rl_config_value *values; /* [n_rows], of the arena */
    rl_arena arena;          /* owned */
} rl_config;

/* All defaults. -> OK | ENOMEM (it need not be deinited then, but may be) */
realm_status rl_config_init(rl_config *c, const rl_config_row *rows, size_t n_rows,
                            realm_error *err) REALM_MUST_USE;
void rl_config_deinit(rl_config *c);

/* Reads a TOML file; where there is none, that is fine. -> OK | EINVAL | EIO | ENOMEM */
realm_status rl_config_read(rl_config *c, const char *path, realm_error *err) REALM_MUST_USE;

/* Reads the environment: <prefix><NAME> for each row. An empty value counts as none. */
realm_status rl_config_read_env(rl_config *c, const char *prefix, realm_error *err) REALM_MUST_USE;

/* Sets the row of a flag; err begins with "--<flag>". No such flag: ENOTFOUND. */
realm_status rl_config_set(rl_config *c, const char *flag, const char *text,
                           realm_error *err) REALM_MUST_USE;

/* The value of a row that exists; borrowed. */
const rl_config_value *rl_config_get(const rl_config *c, const char *name);

#endif
