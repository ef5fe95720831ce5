/* Prefixes: what one sequence has computed, others of its owner need not compute again. Blocks are
 * known as soon as they are full, so requests that arrive together share as well: whoever needs the
 * block that another one computes in this step waits for the next, and if that one goes away
 * meanwhile, goes on by itself. The last token of a prompt, and rows whose logits or states are
 * wanted, are always computed. Engine thread only. */
#include "engine/internal.h"

#include <string.h>

/* The ids of the block behind what is computed, when another's would do for it; else NULL. */
static const uint32_t *next_ids(const rl_seq *s)
{
    uint32_t pos = s->n_computed;

    if (!s->lm->prefix || s->tainted || pos != rl_kv_node_depth(s->node) * RL_KV_BLOCK ||
        pos + RL_KV_BLOCK > rl_batch_first_wanted(s))
        return NULL;
    return s->ids + pos;
}

static void count_cached(rl_seq *s)
{
    if (s->n_computed > s->run.reached) {
        s->run.job->n_cached += s->n_computed - s->run.reached;
        s->run.reached = s->n_computed;
    }
}

void rl_prefix_follow(rl_seq *s)
{
    const uint32_t *ids = next_ids(s);
    rl_kv_node *node = ids ? rl_kv_prefix_find(s->lm->prefix, s->owner, s->node, ids) : NULL;

    while (node &&
           rl_kv_prefix_attach(s->lm->prefix, node, &s->kv, s->engine->order, NULL) == REALM_OK) {
        s->node = node;
        s->n_computed += RL_KV_BLOCK;
        count_cached(s);
        ids = next_ids(s);
        node = ids ? rl_kv_prefix_find(s->lm->prefix, s->owner, s->node, ids) : NULL;
    }
}

bool rl_prefix_is_under_way(const rl_batch *b, const rl_seq *s)
{
    const uint32_t *ids = next_ids(s);

    for (uint32_t i = 0; ids && i < b->n; i++) {
        const rl_seq *t = b->seqs[i];

        /* As it is on the same path, it has not finished the block yet. */
        if (t->owner == s->owner && t->node == s->node && !t->tainted &&
            t->n_computed >= s->n_computed && t->len >= s->n_computed + RL_KV_BLOCK &&
            memcmp(t->ids + s->n_computed, ids, RL_KV_BLOCK * sizeof *ids) == 0)
            return true;
    }
    return false;
}

void rl_prefix_publish(rl_seq *s)
{
    uint32_t depth = rl_kv_node_depth(s->node);

    if (s->n_computed > s->run.reached)
        s->run.reached = s->n_computed;
    if (!s->lm->prefix || s->tainted)
        return;
    for (; (depth + 1) * RL_KV_BLOCK <= s->n_computed; depth++) {
        rl_kv_node *node =
            rl_kv_prefix_put(s->lm->prefix, s->owner, s->node, s->ids + (size_t)depth * RL_KV_BLOCK,
                             &s->kv, s->engine->order);

        if (!node)
            return; /* no memory: this sequence is computed for itself */
        s->node = node;
    }
}

void rl_prefix_leave(rl_seq *s, uint32_t keep)
{
    s->node = rl_kv_node_up(s->node, keep / RL_KV_BLOCK);
}

bool rl_prefix_evict(rl_engine *e)
{
    uint64_t oldest = UINT64_MAX;
    rl_kv_prefix *best = NULL;

    for (const rl_lm *lm = e->pools; lm; lm = lm->pool_next) {
        uint64_t used = lm->prefix ? rl_kv_prefix_oldest(lm->prefix) : UINT64_MAX;

        if (used < oldest) {
            oldest = used;
            best = lm->prefix;
        }
    }
    return best && rl_kv_prefix_evict(best);
}
