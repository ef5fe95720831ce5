/* Models of a run: its own (id 0 of module env), those it opens by name, and the jobs and tokens it
 * may have. Worker only, but for the helper's part of an opening. */
#ifndef RL_GUEST_MODELS_H
#define RL_GUEST_MODELS_H

#include "guest/op.h"
#include "guest/run.h"

#define RL_MODEL_NAME 128u

/* An opening on a helper thread: resolve the name, load or join. */
typedef struct rl_open_op {
    rl_op op;
    char name[1024]; /* a guest's is at most RL_MODEL_NAME bytes; the run's own may be a path */
    rl_lm *lm;       /* the op's until rl_open_take */
    uint64_t start_ns, end_ns;
} rl_open_op;

/* n bytes of a name; NULL without memory. */
rl_open_op *rl_open_new(rl_run *run, const char *name, size_t n);
rl_lm *rl_open_take(rl_open_op *op); /* of a finished op that is OK; adds its time to load_ns */

/* Waits for the run's own model, when the program can use one. -> true: go on (or the run ended) */
bool rl_models_begin(rl_run *run);
void rl_models_deinit(rl_run *run);

/* Finds a model of module env by its id. -> 0, or the failed call's answer */
int64_t rl_env_get(rl_call *c, uint64_t id, rl_env_model **out);
/* Gives a model the next free id, taking the reference. -> id, or EQUOTA */
int64_t rl_env_add(rl_call *c, rl_lm *lm);
/* Releases a model of module env, its implicit sequence too. */
void rl_env_drop(rl_env_model *m);

/* Finds a model handle of module realm. -> 0, or the failed call's answer */
int64_t rl_model_get(rl_call *c, uint64_t handle, rl_lm **out);

#endif
