/* One model's blocks: chunks of superblocks cut into blocks with reference counts. Engine thread
 * only. See pool.h for the invariants. */
#include "kv/pool.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#define FREE_BIT 0x80000000u
#define KEPT_BIT 0x40000000u /* the prefix index has a reference */

/* A block is never larger than this: 1,024 layers of hostile size would overflow nothing but
 * memory. */
#define MAX_BLOCK_BYTES ((size_t)1 << 30)

size_t rl_kv_k_offset(const rl_kv_layout *l, uint32_t layer, uint32_t head)
{
    return 2 * rl_kv_slab_bytes(l->type, l->head_dim) * ((size_t)layer * l->n_heads + head);
}

size_t rl_kv_v_offset(const rl_kv_layout *l, uint32_t layer, uint32_t head)
{
    return rl_kv_k_offset(l, layer, head) + rl_kv_slab_bytes(l->type, l->head_dim);
}

size_t rl_kv_block_bytes(const rl_kv_layout *l, uint32_t group)
{
    return rl_kv_k_offset(l, l->n_layers[group], 0);
}

const rl_kv_layout *rl_kv_pool_layout(const rl_kv_pool *p)
{
    return &p->layout;
}

/* As the pool takes them: whole chunks, each of one group. An empty budget is one run of
 * superblocks, so nothing is lost between chunks. */
bool rl_kv_pool_fits(const rl_kv_pool *p, uint64_t n_tokens)
{
    uint64_t n_blocks = n_tokens / RL_KV_BLOCK + (n_tokens % RL_KV_BLOCK != 0), need = 0;

    for (uint32_t g = 0; g < p->layout.n_groups; g++) {
        uint64_t per_chunk = p->chunk_super[g] * RL_KV_SUPERBLOCK / p->block_bytes[g];
        uint64_t n_chunks = (n_blocks + per_chunk - 1) / per_chunk;

        if (n_chunks > p->budget->n_super)
            return false; /* and the product below stays small */
        need += n_chunks * p->chunk_super[g];
    }
    return need <= p->budget->n_super;
}

uint32_t rl_kv_pool_in_use(const rl_kv_pool *p)
{
    return p->in_use - p->n_idle;
}

uint32_t rl_kv_pool_idle(const rl_kv_pool *p)
{
    return p->n_idle;
}

/* Sequences and the index have one block of every group or none. */
size_t rl_kv_pool_bytes(const rl_kv_pool *p)
{
    size_t bytes = 0;

    for (uint32_t g = 0; g < p->layout.n_groups; g++)
        bytes += rl_kv_pool_in_use(p) / p->layout.n_groups * p->block_bytes[g];
    return bytes;
}

/* Superblocks per chunk: as few as hold a block while at most an eighth of the chunk stays unused.
 */
static uint32_t chunk_superblocks(size_t block)
{
    uint32_t least = (uint32_t)((block + RL_KV_SUPERBLOCK - 1) / RL_KV_SUPERBLOCK), n;

    for (n = least; n < least + 7; n++) {
        if (n * RL_KV_SUPERBLOCK % block <= n * RL_KV_SUPERBLOCK / 8)
            return n;
    }
    return least;
}

static bool poison_wanted(void)
{
    const char *env = getenv("REALM_KV_POISON");

#ifndef NDEBUG
    return !env || strcmp(env, "0") != 0;
#else
    return env && strcmp(env, "1") == 0;
#endif
}

realm_status rl_kv_pool_new(rl_kv_pool **out, rl_kv_budget *budget, const rl_kv_layout *layout,
                            realm_error *err)
{
    rl_kv_pool *p;

    *out = NULL;
    RL_ASSERT(layout->n_groups >= 1 && layout->n_groups <= RL_KV_GROUPS);
    p = rl_alloc(sizeof *p);
    if (!p)
        return realm_fail(err, REALM_ENOMEM, "no memory for a KV pool");
    p->budget = budget;
    p->layout = *layout;
    p->poison = poison_wanted();
    for (uint32_t g = 0; g < layout->n_groups; g++) {
        size_t bytes = rl_kv_block_bytes(layout, g);

        RL_ASSERT(bytes > 0 && bytes <= MAX_BLOCK_BYTES);
        p->block_bytes[g] = bytes;
        p->chunk_super[g] = chunk_superblocks(bytes);
        if (p->chunk_super[g] > budget->n_super) {
            rl_free(p);
            return realm_fail(err, REALM_ENOMEM,
                              "the KV budget of %zu bytes holds not one block of this model "
                              "(%u superblocks of 2 MiB): raise the budget",
                              budget->bytes, chunk_superblocks(bytes));
        }
    }
    *out = p;
    return REALM_OK;
}

void rl_kv_pool_free(rl_kv_pool *p)
{
    if (!p)
        return;
    RL_ASSERT(p->in_use == 0);
    rl_free(p);
}

static void chunk_unlink(rl_kv_chunk *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        c->pool->chunks[c->group] = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->prev = c->next = NULL;
}

static void chunk_link_front(rl_kv_chunk *c)
{
    rl_kv_chunk **head = &c->pool->chunks[c->group];

    c->prev = NULL;
    c->next = *head;
    if (*head)
        (*head)->prev = c;
    *head = c;
}

static rl_kv_chunk *chunk_new(rl_kv_pool *p, uint32_t group)
{
    uint32_t n_super = p->chunk_super[group];
    uint32_t n = (uint32_t)(n_super * RL_KV_SUPERBLOCK / p->block_bytes[group]);
    rl_kv_chunk *c = rl_alloc(sizeof *c + n * sizeof c->refs[0]);

    if (!c)
        return NULL;
    c->pool = p;
    c->group = group;
    c->n_super = n_super;
    c->n_blocks = n;
    c->first = rl_kv_budget_take(p->budget, n_super, c);
    if (c->first == p->budget->n_super) {
        rl_free(c);
        return NULL;
    }
    c->base = p->budget->base + c->first * RL_KV_SUPERBLOCK;
    for (uint32_t i = 0; i < n; i++)
        c->refs[i] = FREE_BIT | (i + 1);
    chunk_link_front(c);
    return c;
}

/* Full chunks leave the list, so its head is a chunk with room or NULL. */
void *rl_kv_block_new(rl_kv_pool *p, uint32_t group)
{
    rl_kv_chunk *c = p->chunks[group] ? p->chunks[group] : chunk_new(p, group);
    uint32_t i;
    uint8_t *block;

    if (!c)
        return NULL;
    i = c->free_head;
    c->free_head = c->refs[i] & ~FREE_BIT;
    c->refs[i] = 1;
    c->n_used++;
    p->in_use++;
    if (c->n_used == c->n_blocks)
        chunk_unlink(c);
    block = c->base + i * p->block_bytes[group];
    memset(block, 0, p->block_bytes[group]);
    return block;
}

/* The chunk of a block and its index there. */
static rl_kv_chunk *chunk_of(const rl_kv_pool *p, const void *block, uint32_t *index)
{
    size_t at = (size_t)((const uint8_t *)block - p->budget->base);
    rl_kv_chunk *c;

    RL_ASSERT(at < p->budget->bytes);
    c = p->budget->owner[at / RL_KV_SUPERBLOCK];
    RL_ASSERT(c && c->pool == p);
    at = (size_t)((const uint8_t *)block - c->base);
    *index = (uint32_t)(at / p->block_bytes[c->group]);
    RL_ASSERT(*index < c->n_blocks && !(c->refs[*index] & FREE_BIT));
    return c;
}

/* Whether the prefix index alone has it. */
static bool is_idle(uint32_t refs)
{
    return refs == (KEPT_BIT | 1);
}

void rl_kv_block_ref(rl_kv_pool *p, void *block)
{
    uint32_t i;
    rl_kv_chunk *c = chunk_of(p, block, &i);

    p->n_idle -= is_idle(c->refs[i]);
    c->refs[i]++;
}

uint32_t rl_kv_block_refs(const rl_kv_pool *p, const void *block)
{
    uint32_t i;
    rl_kv_chunk *c = chunk_of(p, block, &i);

    return c->refs[i] & ~KEPT_BIT;
}

bool rl_kv_block_is_kept(const rl_kv_pool *p, const void *block)
{
    uint32_t i;
    const rl_kv_chunk *c = chunk_of(p, block, &i);

    return (c->refs[i] & KEPT_BIT) != 0;
}

void rl_kv_block_keep(rl_kv_pool *p, void *block)
{
    uint32_t i;
    rl_kv_chunk *c = chunk_of(p, block, &i);

    RL_ASSERT(!(c->refs[i] & KEPT_BIT));
    c->refs[i] = (c->refs[i] + 1) | KEPT_BIT;
}

void rl_kv_block_forget(rl_kv_pool *p, void *block)
{
    uint32_t i;
    rl_kv_chunk *c = chunk_of(p, block, &i);

    RL_ASSERT(c->refs[i] & KEPT_BIT);
    p->n_idle -= is_idle(c->refs[i]);
    c->refs[i] &= ~KEPT_BIT;
    rl_kv_block_unref(p, block);
}

void rl_kv_block_unref(rl_kv_pool *p, void *block)
{
    uint32_t i;
    rl_kv_chunk *c = chunk_of(p, block, &i);

    if (--c->refs[i]) {
        p->n_idle += is_idle(c->refs[i]);
        return;
    }
    if (p->poison) /* all ones is a NaN in f16, bf16 and f32 */
        memset(block, 0xff, p->block_bytes[c->group]);
    if (c->n_used == c->n_blocks)
        chunk_link_front(c);
    c->refs[i] = FREE_BIT | c->free_head;
    c->free_head = i;
    c->n_used--;
    p->in_use--;
    if (c->n_used)
        return;
    chunk_unlink(c);
    rl_kv_budget_give(p->budget, c->first, c->n_super);
    rl_free(c);
}
