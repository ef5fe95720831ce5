/* KV: paged key/value memory. Blocks of 32 tokens of one layer group, block tables per sequence.
 *
 * 1. A model has 1 or 2 layer groups (all full-attention layers; all sliding-window layers). A
 * block belongs to one group; inside it lie, per layer of the group and KV head, a K slab and a V
 * slab (kernels.h). All tables of a sequence have the same length.
 * 2. One rl_kv_budget per engine holds 2 MiB superblocks; each model's rl_kv_pool takes superblocks
 *    from it and cuts its blocks. A superblock whose blocks are all free goes back.
 * 3. A block has a reference count. Fork shares all blocks; the last, partly filled one is copied
 *    when one of its holders appends. Blocks are zeroed when allocated; freed ones are filled with
 *    NaN bytes when REALM_KV_POISON=1 or in debug builds.
 * 4. Touched by the engine thread only. No locks. */
#ifndef RL_KV_KV_H
#define RL_KV_KV_H

#include "kernels/kernels.h"
#include "realm/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RL_KV_GROUPS 2u

typedef struct rl_kv_budget rl_kv_budget; /* the global byte budget */
typedef struct rl_kv_pool rl_kv_pool;     /* one model's blocks */

/* What a model's blocks hold. */
typedef struct rl_kv_layout {
    rl_kv_type type;
    uint32_t n_groups;               /* 1..RL_KV_GROUPS */
    uint32_t n_layers[RL_KV_GROUPS]; /* layers of each group */
    uint32_t n_heads;                /* KV heads per layer */
    uint32_t head_dim;
} rl_kv_layout;

/* Bytes from a block's base to the K (V) slab of a group's layer (its index in the group) and head.
 */
size_t rl_kv_k_offset(const rl_kv_layout *l, uint32_t layer, uint32_t head);
size_t rl_kv_v_offset(const rl_kv_layout *l, uint32_t layer, uint32_t head);
size_t rl_kv_block_bytes(const rl_kv_layout *l, uint32_t group);

rl_kv_budget *rl_kv_budget_new(size_t bytes); /* NULL without memory; nothing is touched yet */
void rl_kv_budget_free(rl_kv_budget *b);
size_t rl_kv_budget_used(const rl_kv_budget *b); /* bytes in superblocks handed out */

realm_status rl_kv_pool_new(rl_kv_pool **out, rl_kv_budget *budget, const rl_kv_layout *layout,
                            realm_error *err) REALM_MUST_USE;
void rl_kv_pool_free(rl_kv_pool *p); /* no sequence may be left; NULL is fine */
/* Blocks of sequences, all groups; blocks that only the prefix index has. */
uint32_t rl_kv_pool_in_use(const rl_kv_pool *p);
uint32_t rl_kv_pool_idle(const rl_kv_pool *p);
size_t rl_kv_pool_bytes(const rl_kv_pool *p); /* of the blocks of sequences */
const rl_kv_layout *rl_kv_pool_layout(const rl_kv_pool *p);
/* Whether one sequence of n_tokens has room when it has the whole budget to itself. */
bool rl_kv_pool_fits(const rl_kv_pool *p, uint64_t n_tokens);

/* One sequence's block tables. Caller's storage. */
typedef struct rl_kv_seq {
    rl_kv_pool *pool;              /* borrowed */
    uint32_t n_blocks, cap_blocks; /* per group */
    void **blocks[RL_KV_GROUPS];   /* owned tables; [n_blocks] base addresses */
} rl_kv_seq;

void rl_kv_seq_init(rl_kv_seq *s, rl_kv_pool *pool);
void rl_kv_seq_deinit(rl_kv_seq *s); /* drops all blocks; zeroed storage is fine */

/* Makes positions [from, from + n) writable: copies a shared block that holds `from`, adds blocks.
 * On failure the sequence is as before. -> OK | ENOMEM (budget empty: wait or evict, then retry) */
realm_status rl_kv_reserve(rl_kv_seq *s, uint32_t from, uint32_t n,
                           realm_error *err) REALM_MUST_USE;

/* Drops the blocks past the first `keep` tokens. */
void rl_kv_truncate(rl_kv_seq *s, uint32_t keep);

/* dst (initialised, empty, same pool) shares src's blocks of the first n tokens. OK | ENOMEM */
realm_status rl_kv_fork(rl_kv_seq *dst, const rl_kv_seq *src, uint32_t n,
                        realm_error *err) REALM_MUST_USE;

#endif
