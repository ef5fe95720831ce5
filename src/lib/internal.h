/* What the files of the library share: the handle's insides, resolving of names, waiting for jobs.
 *
 * `lock` of a handle guards the lazily made parts (store, engine, runtime, chat) and the list of
 * models opened by a path. It is held for look-ups in the registry, never while a file is read, a
 * model is opened or the engine works. */
#ifndef RL_LIB_INTERNAL_H
#define RL_LIB_INTERNAL_H

#include "base/fs.h"
#include "base/json.h"
#include "engine/engine.h"
#include "guest/guest.h"
#include "realm/realm.h"
#include "store/store.h"

#include <pthread.h>

#define RL_LIB_PATH 4096

struct realm {
    realm_options opts; /* home is ours */
    char *home;         /* owned; NULL: the default */
    pthread_mutex_t lock;
    rl_store *store;             /* owned; NULL until needed; used under the lock only */
    rl_engine *engine;           /* owned; NULL until needed */
    rl_runtime *runtime;         /* owned; NULL until needed */
    char (*pins)[RL_SHA256_HEX]; /* owned [n_pins]; models that runs may name as sha256:<digest> */
    size_t n_pins;
};

struct realm_tokenizer {
    const rl_vocab *vocab; /* owned when gguf or model is set, else the engine's */
    rl_gguf *gguf;         /* owned or NULL */
    rl_model *model;       /* owned or NULL */
};

struct realm_model {
    realm *r;  /* borrowed */
    rl_lm *lm; /* owned reference */
    realm_model_info info;
    realm_tokenizer tokenizer; /* of the engine's vocabulary */
};

/* ---- handle (realm.c) ---- */

/* Locks the handle and gives its open store; unlock it when OK. */
realm_status rl_lib_store_lock(realm *r, rl_store **out, realm_error *err) REALM_MUST_USE;
void rl_lib_store_unlock(realm *r);
realm_status rl_lib_engine(realm *r, rl_engine **out, realm_error *err) REALM_MUST_USE;
realm_status rl_lib_runtime(realm *r, rl_runtime **out, realm_error *err) REALM_MUST_USE;
rl_lm_opts rl_lib_lm_opts(const realm *r, bool reference);
/* "<home>/<name>" of the open registry into out [RL_LIB_PATH]. */
realm_status rl_lib_home_path(realm *r, const char *name, char *out,
                              realm_error *err) REALM_MUST_USE;

/* A step of long work, told to the handle's progress; also an rl_progress_fn with ctx. */
typedef struct rl_lib_step {
    realm *r;
    const char *what;
    uint64_t done, total;
} rl_lib_step;
bool rl_lib_progress(void *step, uint64_t done, uint64_t total);

/* ---- registry (registry.c, names.c) ---- */

/* Whether the text can only be a path: it begins with / ./ ../ or ends in .gguf. */
bool rl_lib_is_path(const char *s);
/* A good model name made from a file's name; "model" when nothing of it is usable. out [129] */
void rl_lib_name_of_path(const char *path, char *out);
/* The row of a name and its packed file's path [RL_LIB_PATH]. -> OK | ENOTFOUND | EINVAL | EMODEL
 * (the packed file is not there; m is filled) */
realm_status rl_lib_find(realm *r, const char *name, rl_store_model *m, char *path,
                         realm_error *err) REALM_MUST_USE;
/* The packed file of a name or path into path [RL_LIB_PATH]; *m is the row (name "" for a path). */
realm_status rl_lib_locate(realm *r, const char *name_or_path, rl_store_model *m, char *path,
                           realm_error *err) REALM_MUST_USE;
/* "there are: a, b and 3 more (realm models)", or that there are none. rows [n] begin with a name.
 */
void rl_lib_list_names(const void *rows, size_t row_bytes, size_t n, const char *more, rl_buf *out);
/* Allows runs of this handle to name the model as sha256:<digest>. */
realm_status rl_lib_pin(realm *r, const char *sha256, realm_error *err) REALM_MUST_USE;
/* The resolver of the runtime: a name, or a pinned sha256:<digest>. */
realm_status rl_lib_resolve(void *r, const char *name, char *path, size_t cap,
                            realm_error *err) REALM_MUST_USE;
/* The runtime's list of what runs may open, as JSON. */
realm_status rl_lib_list(void *r, rl_buf *json, realm_error *err) REALM_MUST_USE;

/* ---- installed programs (installed.c) ---- */

/* The row of a program and the path [RL_LIB_PATH] of its module. -> OK | ENOTFOUND | EINVAL */
realm_status rl_lib_program_find(realm *r, const char *name, rl_store_program *p, char *path,
                                 realm_error *err) REALM_MUST_USE;
/* Compares the module with its digest. -> OK | EINVAL (damaged) | EIO (missing) */
realm_status rl_lib_program_verify(realm *r, const rl_store_program *p, const char *path,
                                   realm_error *err) REALM_MUST_USE;

/* ---- inspect (inspect.c, inspect_gguf.c) ---- */

realm_status rl_lib_describe_gguf(const rl_gguf *g, uint64_t packed_bytes, rl_buf *json,
                                  realm_error *err) REALM_MUST_USE;

/* ---- waiting for the engine (wait.c) ---- */

/* Posts all jobs and waits until each is done; told to stop by progress, cancels them and still
 * waits. The jobs' ctx and done are used here. step may be NULL. -> OK | the first failure */
realm_status rl_lib_run_jobs(rl_engine *e, rl_job *jobs, uint32_t n, rl_lib_step *step,
                             realm_error *err) REALM_MUST_USE;

#endif
