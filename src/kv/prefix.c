/* A hash table of nodes, and their list by last use. An eviction looks from the old end for one
 * without children and users; there are a few thousand at most, and one is looked for when 32
 * tokens found no room. */
#include "kv/prefix.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "kv/pool.h"

#include <string.h>

#define LEAST_BUCKETS 64u

struct rl_kv_node {
    rl_kv_node *parent; /* NULL: a first block */
    rl_kv_node *chain;  /* next in its bucket */
    rl_kv_node *older, *newer;
    uint64_t hash, used;
    uint32_t domain, depth, n_children;
    uint32_t ids[RL_KV_BLOCK];
    void *blocks[RL_KV_GROUPS]; /* a reference each */
};

struct rl_kv_prefix {
    rl_kv_pool *pool; /* borrowed */
    rl_kv_node **buckets;
    uint32_t n_buckets, n; /* a power of two; nodes */
    rl_kv_node *oldest, *newest;
};

rl_kv_prefix *rl_kv_prefix_new(rl_kv_pool *pool)
{
    rl_kv_prefix *x = rl_alloc(sizeof *x);

    if (!x)
        return NULL;
    x->pool = pool;
    x->n_buckets = LEAST_BUCKETS;
    x->buckets = rl_alloc_array(LEAST_BUCKETS, sizeof(void *));
    if (x->buckets)
        return x;
    rl_free(x);
    return NULL;
}

/* ---- the list by use ------------------------------------------------------------------------- */

static void list_remove(rl_kv_prefix *x, rl_kv_node *node)
{
    if (node->older)
        node->older->newer = node->newer;
    else
        x->oldest = node->newer;
    if (node->newer)
        node->newer->older = node->older;
    else
        x->newest = node->older;
}

static void list_add(rl_kv_prefix *x, rl_kv_node *node)
{
    node->newer = NULL;
    node->older = x->newest;
    if (x->newest)
        x->newest->newer = node;
    else
        x->oldest = node;
    x->newest = node;
}

static void touch(rl_kv_prefix *x, rl_kv_node *node, uint64_t now)
{
    node->used = now;
    list_remove(x, node);
    list_add(x, node);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* FNV-1a over words; the parent's hash stands for what is before. Ids are compared in any case. */
static uint64_t hash_of(uint32_t domain, const rl_kv_node *parent, const uint32_t *ids)
{
    uint64_t h = (parent ? parent->hash : 0xcbf29ce484222325u) ^ domain;

    for (uint32_t i = 0; i < RL_KV_BLOCK; i++)
        h = (h ^ ids[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

rl_kv_node *rl_kv_prefix_find(rl_kv_prefix *x, uint32_t domain, rl_kv_node *parent,
                              const uint32_t *ids)
{
    uint64_t hash = hash_of(domain, parent, ids);
    rl_kv_node *node = x->buckets[hash & (x->n_buckets - 1)];

    while (node && (node->hash != hash || node->domain != domain || node->parent != parent ||
                    memcmp(node->ids, ids, sizeof node->ids) != 0))
        node = node->chain;
    return node;
}

/* Without memory the chains get longer, which is slow and not wrong. */
static void grow(rl_kv_prefix *x)
{
    uint32_t n = x->n_buckets * 2;
    rl_kv_node **more = x->n < x->n_buckets ? NULL : rl_alloc_array(n, sizeof(void *));

    if (!more)
        return;
    for (rl_kv_node *node = x->oldest; node; node = node->newer) {
        node->chain = more[node->hash & (n - 1)];
        more[node->hash & (n - 1)] = node;
    }
    rl_free(x->buckets);
    x->buckets = more;
    x->n_buckets = n;
}

static void table_remove(rl_kv_prefix *x, rl_kv_node *node)
{
    rl_kv_node **at = &x->buckets[node->hash & (x->n_buckets - 1)];

    while (*at != node)
        at = &(*at)->chain;
    *at = node->chain;
}

static void drop(rl_kv_prefix *x, rl_kv_node *node)
{
    for (uint32_t g = 0; g < x->pool->layout.n_groups; g++)
        rl_kv_block_forget(x->pool, node->blocks[g]);
    if (node->parent)
        node->parent->n_children--;
    table_remove(x, node);
    list_remove(x, node);
    x->n--;
    rl_free(node);
}

void rl_kv_prefix_free(rl_kv_prefix *x)
{
    if (!x)
        return;
    for (rl_kv_node *node = x->oldest; node; node = node->newer)
        node->parent = NULL; /* which goes before it */
    while (x->oldest)
        drop(x, x->oldest);
    rl_free(x->buckets);
    rl_free(x);
}

/* ---- nodes and sequences --------------------------------------------------------------------- */

uint32_t rl_kv_node_depth(const rl_kv_node *node)
{
    return node ? node->depth : 0;
}

rl_kv_node *rl_kv_node_up(rl_kv_node *node, uint32_t depth)
{
    while (node && node->depth > depth)
        node = node->parent;
    return node;
}

realm_status rl_kv_prefix_attach(rl_kv_prefix *x, rl_kv_node *node, rl_kv_seq *s, uint64_t now,
                                 realm_error *err)
{
    realm_status st = rl_kv_seq_place(s, node->depth - 1, node->blocks, err);

    if (st == REALM_OK)
        touch(x, node, now);
    return st;
}

/* A block can be one node's only: that of another domain has it after a fork between owners. */
static rl_kv_node *add(rl_kv_prefix *x, uint32_t domain, rl_kv_node *parent, const uint32_t *ids,
                       const rl_kv_seq *s)
{
    uint32_t depth = rl_kv_node_depth(parent);
    bool kept = rl_kv_block_is_kept(x->pool, s->blocks[0][depth]);
    rl_kv_node *node = kept ? NULL : rl_alloc(sizeof *node), **bucket;

    if (!node)
        return NULL;
    node->parent = parent;
    node->domain = domain;
    node->depth = depth + 1;
    node->hash = hash_of(domain, parent, ids);
    memcpy(node->ids, ids, sizeof node->ids);
    for (uint32_t g = 0; g < x->pool->layout.n_groups; g++) {
        node->blocks[g] = s->blocks[g][depth];
        rl_kv_block_keep(x->pool, node->blocks[g]);
    }
    if (parent)
        parent->n_children++;
    grow(x);
    bucket = &x->buckets[node->hash & (x->n_buckets - 1)];
    node->chain = *bucket;
    *bucket = node;
    list_add(x, node);
    x->n++;
    return node;
}

rl_kv_node *rl_kv_prefix_put(rl_kv_prefix *x, uint32_t domain, rl_kv_node *parent,
                             const uint32_t *ids, rl_kv_seq *s, uint64_t now)
{
    rl_kv_node *node = rl_kv_prefix_find(x, domain, parent, ids);
    realm_status st = REALM_OK;

    RL_ASSERT(s->n_blocks > rl_kv_node_depth(parent));
    if (!node)
        node = add(x, domain, parent, ids, s);
    else
        st = rl_kv_seq_place(s, node->depth - 1, node->blocks, NULL);
    RL_ASSERT(st == REALM_OK); /* the tables are long enough */
    if (node)
        touch(x, node, now);
    return node;
}

/* ---- eviction -------------------------------------------------------------------------------- */

/* All groups' blocks of a node have the same holders. */
static bool is_free(const rl_kv_prefix *x, const rl_kv_node *node)
{
    return node->n_children == 0 && rl_kv_block_refs(x->pool, node->blocks[0]) == 1;
}

static rl_kv_node *next_victim(const rl_kv_prefix *x)
{
    rl_kv_node *node = x->oldest;

    while (node && !is_free(x, node))
        node = node->newer;
    return node;
}

uint64_t rl_kv_prefix_oldest(const rl_kv_prefix *x)
{
    const rl_kv_node *node = next_victim(x);

    return node ? node->used : UINT64_MAX;
}

bool rl_kv_prefix_evict(rl_kv_prefix *x)
{
    rl_kv_node *node = next_victim(x);

    if (node)
        drop(x, node);
    return node != NULL;
}

uint32_t rl_kv_prefix_nodes(const rl_kv_prefix *x)
{
    return x->n;
}
