/* The global byte budget: a reserved range of addresses, handed out in 2 MiB superblocks. Pages are
 * touched only when a block is zeroed, and stay with the process until the budget is freed, so that
 * memory moving between models costs no page faults. Engine thread only. */
#include "base/alloc.h"
#include "base/assert.h"
#include "kv/pool.h"

rl_kv_budget *rl_kv_budget_new(size_t bytes)
{
    rl_kv_budget *b = rl_alloc(sizeof *b);
    size_t n = bytes / RL_KV_SUPERBLOCK;

    if (!b)
        return NULL;
    if (n > UINT32_MAX / 2)
        n = UINT32_MAX / 2;
    b->n_super = (uint32_t)n;
    b->bytes = n * RL_KV_SUPERBLOCK;
    /* an array of pointers: NOLINTNEXTLINE(bugprone-sizeof-expression) */
    b->owner = rl_alloc_array(n, sizeof *b->owner);
    b->base = n ? rl_pages_map(b->bytes) : NULL;
    if (!b->owner || (n && !b->base)) {
        rl_kv_budget_free(b);
        return NULL;
    }
    return b;
}

void rl_kv_budget_free(rl_kv_budget *b)
{
    if (!b)
        return;
    RL_ASSERT(b->n_used == 0);
    if (b->base)
        rl_pages_unmap(b->base, b->bytes);
    rl_free(b->owner);
    rl_free(b);
}

size_t rl_kv_budget_used(const rl_kv_budget *b)
{
    return b->n_used * RL_KV_SUPERBLOCK;
}

/* First fit: a budget has hundreds of superblocks and a chunk serves many blocks. */
uint32_t rl_kv_budget_take(rl_kv_budget *b, uint32_t n, rl_kv_chunk *c)
{
    uint32_t run = 0;

    for (uint32_t i = 0; i < b->n_super; i++) {
        run = b->owner[i] ? 0 : run + 1;
        if (run < n)
            continue;
        for (uint32_t k = 0; k < n; k++)
            b->owner[i - k] = c;
        b->n_used += n;
        return i + 1 - n;
    }
    return b->n_super;
}

void rl_kv_budget_give(rl_kv_budget *b, uint32_t first, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        b->owner[first + k] = NULL;
    b->n_used -= n;
}
