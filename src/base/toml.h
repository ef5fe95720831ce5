/* Reading TOML (1.0), as much of it as a configuration needs: tables of one name, texts on one
 * line, whole numbers in decimal, booleans, lists of texts. What is accepted means what TOML says
 * it means; the rest of the language is refused by its name, and so is anything said twice. The
 * input may be any bytes. (Ours, because Debian 12 has no C library for it, and because a setting
 * that is unknown or wrong must name its line.) Any thread. */
#ifndef RL_BASE_TOML_H
#define RL_BASE_TOML_H

#include "realm/status.h"

#include <stddef.h>
#include <stdint.h>

#define RL_TOML_BYTES ((size_t)64 << 10) /* of a file */
#define RL_TOML_NAMES 1024u              /* tables and keys of a file */
#define RL_TOML_NAME  64u                /* characters of a table's or key's name */
#define RL_TOML_ITEMS 256u               /* of a list */

typedef enum rl_toml_type { RL_TOML_TEXT, RL_TOML_INT, RL_TOML_BOOL, RL_TOML_LIST } rl_toml_type;

typedef struct rl_toml_value {
    rl_toml_type type;
    unsigned line;
    const char *text;        /* of TEXT: UTF-8 without NULs, ends with one; may have newlines */
    int64_t number;          /* of INT; of BOOL 0 or 1 */
    const char *const *list; /* of LIST; [n_list] texts */
    size_t n_list;
} rl_toml_value;

/* Told every table (key and v NULL) and every key, in order; what lies above the first table is in
 * the table "". All is borrowed for the call. -> OK, or a status and a sentence that end the
 * reading */
typedef realm_status (*rl_toml_fn)(void *ctx, const char *table, const char *key,
                                   const rl_toml_value *v, realm_error *err);

/* text [n]; file is for messages, which begin with "file:line: ". -> OK | EINVAL | ENOMEM | what fn
 * answered */
realm_status rl_toml_parse(const char *text, size_t n, const char *file, rl_toml_fn fn, void *ctx,
                           realm_error *err) REALM_MUST_USE;

#endif
