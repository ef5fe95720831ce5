/* What the golden tests of the forward pass share: a model packed from a GGUF file, opened with one
 * sequence's KV, and its logits for a list of ids in chunks of any size. Failures end the test. */
#ifndef RL_GOLDEN_RUN_H
#define RL_GOLDEN_RUN_H

#include "../unit/test.h"

#include "model/model.h"
#include "model/weights.h" /* private: levels and mutants */

#include <jansson.h>
#include <stdbool.h>

typedef struct golden_run {
    rl_model *model;
    rl_work *work;
    rl_forward *forward;
    rl_kv_budget *budget;
    rl_kv_pool *pool;
    rl_kv_seq kv;
} golden_run;

/* Packs `gguf` to `packed`, checks its digest when `sha256` is given. */
void golden_pack(const char *gguf, const char *packed, const char *sha256);

void golden_open(golden_run *r, const char *packed, bool reference, rl_kv_type kv,
                 uint32_t n_threads, uint32_t max_rows);
void golden_close(golden_run *r);

/* Logits of the last n_logits of n ids from an empty KV, `chunk` tokens a call (0: all at once),
 * into out [n_logits][n_vocab]. */
void golden_logits(golden_run *r, const uint32_t *ids, uint32_t n, uint32_t chunk,
                   uint32_t n_logits, float *out);

/* Kernel levels this run may use, from the lowest: `next` is NULL to start, NULL comes at the end.
 */
const rl_kernels *golden_next_level(const rl_kernels *now);

json_t *golden_json(const char *path);
uint32_t golden_ids(const json_t *array, uint32_t *out, uint32_t cap); /* -> how many */
double golden_log_sum_exp(const float *x, uint32_t n);

#endif
