/* Private to the room: superblocks, chunks and blocks behind kv.h.
 *
 * 1. The budget is one reserved range of addresses cut into 2 MiB superblocks. A pool takes runs of
 *    them: a chunk, cut into blocks of one layer group.
 * 2. A block is known by its base address: (address -> superblock -> chunk -> index), so the tables
 *    of sequences hold nothing but the addresses that attention reads.
 * 3. A block is used as long as a sequence's table or the prefix index refers to it; a chunk with
 * no used block goes back to the budget at once. */
#ifndef RL_KV_POOL_H
#define RL_KV_POOL_H

#include "kv/kv.h"

#include <stdbool.h>

#define RL_KV_SUPERBLOCK ((size_t)2 << 20)

typedef struct rl_kv_chunk {
    struct rl_kv_chunk *prev,
        *next;        /* in the pool's list of its group; those with room come first */
    rl_kv_pool *pool; /* borrowed */
    uint8_t *base;
    uint32_t first, n_super; /* superblocks */
    uint32_t group, n_blocks, n_used;
    uint32_t free_head; /* first free block, n_blocks when full; linked through refs */
    uint32_t refs[]; /* [n_blocks]: KEPT_BIT | count of a used block, else FREE_BIT | next free */
} rl_kv_chunk;

struct rl_kv_budget {
    uint8_t *base; /* owned mapping, [n_super] superblocks */
    size_t bytes;
    uint32_t n_super, n_used;
    rl_kv_chunk **owner; /* [n_super]; NULL: free */
};

struct rl_kv_pool {
    rl_kv_budget *budget; /* borrowed */
    rl_kv_layout layout;
    size_t block_bytes[RL_KV_GROUPS];
    uint32_t chunk_super[RL_KV_GROUPS]; /* superblocks per chunk */
    rl_kv_chunk *chunks[RL_KV_GROUPS];  /* owned list */
    uint32_t in_use, n_idle; /* blocks with a reference; those that only the prefix index has */
    bool poison;
};

/* A run of n superblocks for chunk c. -> the first one's index, or n_super when there is no room.
 */
uint32_t rl_kv_budget_take(rl_kv_budget *b, uint32_t n, rl_kv_chunk *c);
void rl_kv_budget_give(rl_kv_budget *b, uint32_t first, uint32_t n);

void *rl_kv_block_new(rl_kv_pool *p, uint32_t group); /* zeroed, one reference; NULL: no room */
void rl_kv_block_ref(rl_kv_pool *p, void *block);
void rl_kv_block_unref(rl_kv_pool *p, void *block);
uint32_t rl_kv_block_refs(const rl_kv_pool *p, const void *block);
/* The prefix index's reference, one at most. */
bool rl_kv_block_is_kept(const rl_kv_pool *p, const void *block);
void rl_kv_block_keep(rl_kv_pool *p, void *block);
void rl_kv_block_forget(rl_kv_pool *p, void *block);

/* Makes `blocks` (one of each group) the sequence's number `index`, in place of what is there, or
 * behind the end. -> OK | ENOMEM */
realm_status rl_kv_seq_place(rl_kv_seq *s, uint32_t index, void *const *blocks, realm_error *err);

#endif
