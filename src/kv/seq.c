/* A sequence's block tables: reserve, truncate, fork. Both groups' tables always have the same
 * length. Engine thread only; reading the tables during a forward pass is what they are for. */
#include "base/alloc.h"
#include "base/assert.h"
#include "kv/pool.h"

#include <string.h>

void rl_kv_seq_init(rl_kv_seq *s, rl_kv_pool *pool)
{
    *s = (rl_kv_seq){ .pool = pool };
}

void rl_kv_seq_deinit(rl_kv_seq *s)
{
    if (s->pool)
        rl_kv_truncate(s, 0);
    for (uint32_t g = 0; g < RL_KV_GROUPS; g++)
        rl_free(s->blocks[g]);
    *s = (rl_kv_seq){ .pool = s->pool };
}

static uint32_t blocks_of(uint64_t tokens)
{
    return (uint32_t)((tokens + RL_KV_BLOCK - 1) / RL_KV_BLOCK);
}

static bool grow_tables(rl_kv_seq *s, uint32_t need)
{
    uint32_t cap = s->cap_blocks ? s->cap_blocks : 8;

    if (need <= s->cap_blocks)
        return true;
    while (cap < need)
        cap *= 2;
    for (uint32_t g = 0; g < s->pool->layout.n_groups; g++) {
        void *p = rl_realloc(s->blocks[g], cap * sizeof *s->blocks[g]);

        if (!p)
            return false;
        s->blocks[g] = p;
    }
    s->cap_blocks = cap;
    return true;
}

/* Puts `n` new blocks per group behind the tables' ends, or none at all. */
static bool stage_blocks(rl_kv_seq *s, uint32_t n)
{
    for (uint32_t g = 0; g < s->pool->layout.n_groups; g++) {
        for (uint32_t i = 0; i < n; i++) {
            void *b = rl_kv_block_new(s->pool, g);

            if (b) {
                s->blocks[g][s->n_blocks + i] = b;
                continue;
            }
            while (i--)
                rl_kv_block_unref(s->pool, s->blocks[g][s->n_blocks + i]);
            while (g--) {
                for (i = 0; i < n; i++)
                    rl_kv_block_unref(s->pool, s->blocks[g][s->n_blocks + i]);
            }
            return false;
        }
    }
    return true;
}

static bool is_shared(const rl_kv_seq *s, uint32_t index)
{
    return rl_kv_block_refs(s->pool, s->blocks[0][index]) > 1;
}

/* Replaces the shared blocks of [first, n_blocks) by copies in the staged blocks at the end. */
static void copy_shared(rl_kv_seq *s, uint32_t first, uint32_t staged)
{
    for (uint32_t i = s->n_blocks; i-- > first;) {
        if (!is_shared(s, i))
            continue;
        staged--;
        for (uint32_t g = 0; g < s->pool->layout.n_groups; g++) {
            void *own = s->blocks[g][s->n_blocks + staged];

            memcpy(own, s->blocks[g][i], s->pool->block_bytes[g]);
            rl_kv_block_unref(s->pool, s->blocks[g][i]);
            s->blocks[g][i] = own;
        }
    }
}

realm_status rl_kv_reserve(rl_kv_seq *s, uint32_t from, uint32_t n, realm_error *err)
{
    uint32_t need = blocks_of((uint64_t)from + n), first = from / RL_KV_BLOCK;
    uint32_t add = need > s->n_blocks ? need - s->n_blocks : 0, shared = 0;

    RL_ASSERT(from <= (uint64_t)s->n_blocks * RL_KV_BLOCK);
    if (n == 0)
        return REALM_OK;
    for (uint32_t i = first; i < s->n_blocks; i++)
        shared += is_shared(s, i);
    if (add + shared == 0)
        return REALM_OK;
    if (!grow_tables(s, s->n_blocks + add + shared))
        return realm_fail(err, REALM_ENOMEM, "no memory for a block table");
    if (!stage_blocks(s, add + shared))
        return realm_fail(err, REALM_ENOMEM,
                          "no KV room for %u tokens: %zu of %zu bytes are in use", n,
                          rl_kv_budget_used(s->pool->budget), s->pool->budget->bytes);
    copy_shared(s, first, add + shared);
    s->n_blocks += add;
    return REALM_OK;
}

realm_status rl_kv_seq_place(rl_kv_seq *s, uint32_t index, void *const *blocks, realm_error *err)
{
    bool there = index < s->n_blocks;

    RL_ASSERT(index <= s->n_blocks);
    if (!grow_tables(s, index + 1))
        return realm_fail(err, REALM_ENOMEM, "no memory for a block table");
    for (uint32_t g = 0; g < s->pool->layout.n_groups; g++) {
        rl_kv_block_ref(s->pool, blocks[g]); /* first: it may be the one that is there */
        if (there)
            rl_kv_block_unref(s->pool, s->blocks[g][index]);
        s->blocks[g][index] = blocks[g];
    }
    s->n_blocks += !there;
    return REALM_OK;
}

void rl_kv_truncate(rl_kv_seq *s, uint32_t keep)
{
    uint32_t blocks = blocks_of(keep);

    while (s->n_blocks > blocks) {
        s->n_blocks--;
        for (uint32_t g = 0; g < s->pool->layout.n_groups; g++)
            rl_kv_block_unref(s->pool, s->blocks[g][s->n_blocks]);
    }
}

realm_status rl_kv_fork(rl_kv_seq *dst, const rl_kv_seq *src, uint32_t n, realm_error *err)
{
    uint32_t blocks = blocks_of(n);

    RL_ASSERT(dst->pool == src->pool && dst->n_blocks == 0 && blocks <= src->n_blocks);
    if (!grow_tables(dst, blocks))
        return realm_fail(err, REALM_ENOMEM, "no memory for a block table");
    for (uint32_t g = 0; g < src->pool->layout.n_groups; g++) {
        for (uint32_t i = 0; i < blocks; i++) {
            dst->blocks[g][i] = src->blocks[g][i];
            rl_kv_block_ref(src->pool, src->blocks[g][i]);
        }
    }
    dst->n_blocks = blocks;
    return REALM_OK;
}
