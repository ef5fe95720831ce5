/* Work: a pool of compute threads that run one function over many items and meet at a barrier.
 *
 * 1. The caller of rl_work_run is worker 0 and computes too; only one thread calls it at a time.
 * 2. Items are claimed one by one from a counter, so which worker computes an item is not fixed:
 *    an item's result must not depend on the worker.
 * 3. Workers spin ~30 us for the next region, then sleep; an idle pool burns no core. */
#ifndef RL_BASE_WORK_H
#define RL_BASE_WORK_H

#include <stdint.h>

typedef struct rl_work rl_work;

/* item: 0 <= item < n_items. worker: 0 <= worker < rl_work_threads(), for per-worker scratch. */
typedef void (*rl_work_fn)(void *ctx, uint32_t item, uint32_t worker);

rl_work *rl_work_new(uint32_t n_threads); /* 1..64, the caller included; NULL on failure */
void rl_work_free(rl_work *w);            /* NULL is fine */
uint32_t rl_work_threads(const rl_work *w);
void rl_work_run(rl_work *w, uint32_t n_items, rl_work_fn fn, void *ctx);

#endif
