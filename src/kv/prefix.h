/* Prefix index: full blocks whose content is known by the ids that made it, so that whoever begins
 * with the same ids need not compute them again.
 *
 * 1. A node is one full block of every layer group. Its key is (domain, parent node, 32 ids),
 *    compared exactly; the parents stand for all ids before. Domains never share a node.
 * 2. The index holds a reference to a node's blocks. A sequence that follows a path holds those
 *    very blocks (put and attach see to it), so a node on the path of some sequence is never
 *    evicted, and its address stays valid as long as the sequence keeps the blocks.
 * 3. Blocks in the index are written by nobody: they count as shared (kv.h, 3).
 * 4. Touched by the engine thread only. */
#ifndef RL_KV_PREFIX_H
#define RL_KV_PREFIX_H

#include "kv/kv.h"

typedef struct rl_kv_prefix rl_kv_prefix; /* of one pool */
typedef struct rl_kv_node rl_kv_node;

rl_kv_prefix *rl_kv_prefix_new(rl_kv_pool *pool); /* pool: borrowed. NULL without memory */
void rl_kv_prefix_free(rl_kv_prefix *x);          /* gives all blocks back; NULL is fine */

/* The block of these ids behind `parent` (NULL: the first one). NULL: it is not known.
 * ids: [RL_KV_BLOCK] */
rl_kv_node *rl_kv_prefix_find(rl_kv_prefix *x, uint32_t domain, rl_kv_node *parent,
                              const uint32_t *ids);
/* Puts a node's blocks where they belong in s, which follows its parent: behind the end, or in
 * place of blocks that were reserved there. `now` orders uses. -> OK | ENOMEM */
realm_status rl_kv_prefix_attach(rl_kv_prefix *x, rl_kv_node *node, rl_kv_seq *s, uint64_t now,
                                 realm_error *err) REALM_MUST_USE;
/* Makes known the block of s behind `parent`, which s follows: full, of these ids. If it was known,
 * s gets that one in place of its own. NULL without memory, or when the block is another
 * domain's: s goes on by itself. */
rl_kv_node *rl_kv_prefix_put(rl_kv_prefix *x, uint32_t domain, rl_kv_node *parent,
                             const uint32_t *ids, rl_kv_seq *s, uint64_t now);

uint32_t rl_kv_node_depth(const rl_kv_node *node); /* blocks up to it; NULL: 0 */
rl_kv_node *rl_kv_node_up(rl_kv_node *node,
                          uint32_t depth); /* its ancestor of that depth or less */

/* When the one was used that would be evicted next. UINT64_MAX: every node has users. */
uint64_t rl_kv_prefix_oldest(const rl_kv_prefix *x);
/* Drops that one: least recently used, of no sequence and without children. -> false: none */
bool rl_kv_prefix_evict(rl_kv_prefix *x);
uint32_t rl_kv_prefix_nodes(const rl_kv_prefix *x);

#endif
