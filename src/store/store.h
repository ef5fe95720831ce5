/* Store: the SQLite registry under $REALM_HOME (realm.db): models by name, installed
 * programs, remembered digests, keys. Later: tenants, usage. One rl_store per thread that uses it
 * (each has its own connection; WAL mode); a newer schema refuses to open. */
#ifndef RL_STORE_STORE_H
#define RL_STORE_STORE_H

#include "base/fs.h"
#include "realm/status.h"

#include <stdint.h>

typedef struct rl_store rl_store;

/* home NULL: $REALM_HOME, else $XDG_DATA_HOME/realm, else ~/.local/share/realm. Creates it (0700),
 * migrates the schema in one transaction after a backup copy. */
realm_status rl_store_open(rl_store **out, const char *home, realm_error *err) REALM_MUST_USE;
void rl_store_close(rl_store *s); /* NULL is fine */
const char *rl_store_home(const rl_store *s);

#define RL_NAME_MAX 128

typedef struct rl_store_model {
    char name[RL_NAME_MAX + 1];
    char sha256[RL_SHA256_HEX];
    char arch[32];
    char source[1024]; /* path or address it came from, for people */
    uint64_t source_bytes, packed_bytes, n_params;
    int64_t created_s;
} rl_store_model;

/* [a-z0-9][a-z0-9._:/-]{0,127} without "..". -> OK | EINVAL with the rule in err */
realm_status rl_store_check_name(const char *name, size_t n, realm_error *err) REALM_MUST_USE;

/* -> OK | ECONFLICT (the name exists and !replace, or it is a program's) | ... */
realm_status rl_store_model_put(rl_store *s, const rl_store_model *m, bool replace,
                                realm_error *err) REALM_MUST_USE;
realm_status rl_store_model_get(rl_store *s, const char *name, rl_store_model *out,
                                realm_error *err) REALM_MUST_USE; /* ENOTFOUND */
realm_status rl_store_model_delete(rl_store *s, const char *name, realm_error *err) REALM_MUST_USE;
/* All models by name; *list is rl_alloc'ed, the caller rl_frees it. */
realm_status rl_store_model_list(rl_store *s, rl_store_model **list, size_t *n,
                                 realm_error *err) REALM_MUST_USE;

/* Path of the packed file of a digest: <home>/models/<sha256>.<layout>.realm. out [4096] */
void rl_store_packed_path(const rl_store *s, const char *sha256, uint32_t layout, char *out,
                          size_t cap);

/* The remembered digest of a file in this state. OK | ENOTFOUND | why the registry failed */
realm_status rl_store_digest_get(rl_store *s, const rl_file_id *id, char hex[RL_SHA256_HEX],
                                 realm_error *err) REALM_MUST_USE;

/* Remembers it, unless the file is too young to tell its next change from this state. */
realm_status rl_store_digest_put(rl_store *s, const rl_file_id *id, const char *hex,
                                 realm_error *err) REALM_MUST_USE;

/* Whether some file that was imported had this size: only then can a digest be known. */
bool rl_store_knows_size(rl_store *s, uint64_t bytes);

/* SHA-256 of a file, remembered or read; see digest.c. ECONFLICT: it changed meanwhile. */
realm_status rl_store_digest(rl_store *s, const char *path, char hex[RL_SHA256_HEX],
                             rl_progress_fn progress, void *ctx, realm_error *err) REALM_MUST_USE;

/* A transaction that writes: the writers of other connections wait for its end, so files that go
 * with rows can be changed under it too. */
realm_status rl_store_begin(rl_store *s, realm_error *err) REALM_MUST_USE;
/* With st OK commits, else takes everything back. -> st, or why it could not be committed */
realm_status rl_store_end(rl_store *s, realm_status st, realm_error *err) REALM_MUST_USE;

/* ---- programs (programs.c) ---- */

typedef struct rl_store_program {
    char name[RL_NAME_MAX + 1]; /* by the rule of models, and not the name of one */
    char sha256[RL_SHA256_HEX]; /* of the module */
    uint64_t bytes;
    int64_t created_s;
} rl_store_program;

/* -> OK | EINVAL (the name) | ECONFLICT (it exists and !replace, or it is a model's) | ... */
realm_status rl_store_program_put(rl_store *s, const rl_store_program *p, bool replace,
                                  realm_error *err) REALM_MUST_USE;
realm_status rl_store_program_get(rl_store *s, const char *name, rl_store_program *out,
                                  realm_error *err) REALM_MUST_USE; /* ENOTFOUND */
realm_status rl_store_program_delete(rl_store *s, const char *name,
                                     realm_error *err) REALM_MUST_USE;
/* All programs by name; *list is rl_alloc'ed. */
realm_status rl_store_program_list(rl_store *s, rl_store_program **list, size_t *n,
                                   realm_error *err) REALM_MUST_USE;

/* Path of the module of a digest: <home>/programs/<sha256>.wasm. out [4096] */
void rl_store_program_path(const rl_store *s, const char *sha256, char *out, size_t cap);

/* ECONFLICT with the sentence for a name that a model, or a program, has already. */
realm_status rl_store_names_model(const char *name, realm_error *err);
realm_status rl_store_names_program(const char *name, realm_error *err);

/* ---- keys (keys.c) ---- */

/* rk_<id>_<secret>: the id in the clear, the secret as 260 random bits, both in lower-case base 32.
 */
#define RL_KEY_ID     12
#define RL_KEY_SECRET 52
#define RL_KEY_TEXT   (3 + RL_KEY_ID + 1 + RL_KEY_SECRET)
#define RL_LABEL_MAX  128

typedef struct rl_store_key {
    char id[RL_KEY_ID + 1];
    char label[RL_LABEL_MAX + 1];
    int64_t created_s, last_used_s, revoked_s; /* the last two 0: never */
} rl_store_key;

/* Makes a key. text: the only time that it is told. out may be NULL. -> OK | EINVAL (the label) */
realm_status rl_store_key_new(rl_store *s, const char *label, char text[RL_KEY_TEXT + 1],
                              rl_store_key *out, realm_error *err) REALM_MUST_USE;

/* Whether text [n] is a key that was made and is not revoked; any bytes. Only reads. out may be
 * NULL. -> OK | EAUTH, in one sentence for every reason | why the registry failed */
realm_status rl_store_key_check(rl_store *s, const char *text, size_t n, rl_store_key *out,
                                realm_error *err) REALM_MUST_USE;

/* Remembers that a checked key is used now. Writes at most once a minute for a key as checked
 * afresh. */
realm_status rl_store_key_used(rl_store *s, const rl_store_key *k, realm_error *err) REALM_MUST_USE;

/* All keys, oldest first, revoked ones too; *list is rl_alloc'ed. */
realm_status rl_store_key_list(rl_store *s, rl_store_key **list, size_t *n,
                               realm_error *err) REALM_MUST_USE;

/* How many keys are not revoked. */
realm_status rl_store_key_count(rl_store *s, uint64_t *n, realm_error *err) REALM_MUST_USE;

/* The key is refused from now on; revoking it again changes nothing. -> OK | ENOTFOUND | EINVAL */
realm_status rl_store_key_revoke(rl_store *s, const char *id, realm_error *err) REALM_MUST_USE;

#endif
