/* Reading tokenizer.ggml.merges into the map of pairs that BPE merges by. */
#include "token/vocab.h"

#include "base/alloc.h"

#include <string.h>

#define BLOCK     32u   /* merges looked up together */
#define MAX_MERGE 1024u /* bytes of one "left right" */

/* A block of merges: for each its left, right and joined text, and the ids these turn out to be. */
typedef struct block {
    rl_text texts[3 * BLOCK];
    uint32_t ids[3 * BLOCK];
    char joined[BLOCK * MAX_MERGE];
    size_t n_joined;
    uint32_t n;
} block;

/* Cuts "left right" at its space. -> false when it is no such text */
static bool split(block *b, rl_text line)
{
    const char *space = line.n > 2 ? memchr(line.p + 1, ' ', line.n - 2) : NULL;
    rl_text *t = &b->texts[3 * (size_t)b->n];
    char *to = b->joined + b->n_joined;

    if (!space || line.n > MAX_MERGE)
        return false;
    t[0] = (rl_text){ line.p, (size_t)(space - line.p) };
    t[1] = (rl_text){ space + 1, line.n - t[0].n - 1 };
    t[2] = (rl_text){ to, line.n - 1 };
    memcpy(to, t[0].p, t[0].n);
    memcpy(to + t[0].n, t[1].p, t[1].n);
    b->n_joined += t[2].n;
    b->n++;
    return true;
}

/* Adds the merges of the block, whose first has the rank given. -> how many were good */
static uint32_t add_block(rl_vocab *v, const rl_gguf_index *ix, block *b, uint32_t rank)
{
    rl_gguf_index_find_many(ix, b->texts, 3 * b->n, b->ids);
    for (uint32_t i = 0; i < b->n; i++)
        rl_map_prefetch(&v->merges, (uint64_t)b->ids[3 * i] << 32 | b->ids[3 * i + 1]);
    for (uint32_t i = 0; i < b->n; i++) {
        const uint32_t *id = &b->ids[3 * (size_t)i];
        uint64_t key = (uint64_t)id[0] << 32 | id[1];
        rl_map_slot *slot;

        if (id[0] == RL_INDEX_NONE || id[1] == RL_INDEX_NONE || id[2] == RL_INDEX_NONE)
            return i;
        slot = rl_map_seek(&v->merges, key);
        if (!slot->key1) /* of equal pairs the first counts */
            rl_map_put(&v->merges, slot, key, (uint64_t)(rank + i) << 32 | id[2]);
    }
    return b->n;
}

static realm_status add_all(rl_vocab *v, const rl_gguf_index *ix, const rl_gguf_kv *kv, block *b,
                            realm_error *err)
{
    const uint8_t *at = kv->value;
    uint32_t rank = 0, n = (uint32_t)kv->n, good;

    while (rank < n) {
        b->n = 0;
        b->n_joined = 0;
        while (b->n < BLOCK && rank + b->n < n && split(b, rl_gguf_next_text(&at))) {
        }
        good = add_block(v, ix, b, rank);
        rank += good;
        if (good < b->n || (b->n < BLOCK && rank < n))
            return realm_fail(err, REALM_EINVAL,
                              "merge %u of the model file is not \"left right\" of known tokens",
                              rank);
    }
    return REALM_OK;
}

/* Merges never make control tokens: spelling one out in a text gives plain tokens. */
static bool is_part(const rl_vocab *v, uint32_t i)
{
    return v->kind[i] != RL_TOKEN_CONTROL && v->kind[i] != RL_TOKEN_UNKNOWN;
}

realm_status rl_merges_open(rl_vocab *v, const rl_gguf_kv *kv, realm_error *err)
{
    rl_gguf_index ix = { 0 };
    realm_status st;
    block *b = rl_alloc(sizeof *b);

    if (!b || rl_map_init(&v->merges, kv->n) != REALM_OK) {
        rl_free(b);
        return realm_fail(err, REALM_ENOMEM, "no memory for the vocabulary");
    }
    st = rl_vocab_index_raw(v, &ix, is_part, err);
    if (st == REALM_OK)
        st = add_all(v, &ix, kv, b, err);
    rl_gguf_index_deinit(&ix);
    rl_free(b);
    return st;
}
