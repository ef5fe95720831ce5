/* Map: 64-bit keys -> 64-bit values, open addressing, filled once and then only read (any thread).
 * The keys come from model files: their order in the table depends on a secret of the table's own,
 * which goes with it into a packed file (tables.h). */
#ifndef RL_TOKEN_MAP_H
#define RL_TOKEN_MAP_H

#include "base/alloc.h"
#include "gguf/index.h"

#define RL_MAP_NONE UINT64_MAX

typedef struct rl_map_slot {
    uint64_t key1; /* key + 1; 0 is empty */
    uint64_t value;
} rl_map_slot;

typedef struct rl_map {
    rl_map_slot *slots; /* [mask + 1], a power of two, one of them empty; owned or borrowed */
    uint64_t mask;
    uint64_t secret;
    uint64_t n_added; /* keys that were put here; 0 for a table that came with a file */
    bool borrowed;
} rl_map;

/* Room for n keys. -> OK | ENOMEM */
static inline realm_status rl_map_init(rl_map *m, size_t n)
{
    size_t cap = 16;
    uint64_t key[2];

    while (cap - cap / 4 < n)
        cap *= 2;
    rl_gguf_draw_key(key);
    *m = (rl_map){ .mask = cap - 1, .secret = key[0] ^ key[1] };
    m->slots = rl_alloc_array(cap, sizeof *m->slots);
    return m->slots ? REALM_OK : REALM_ENOMEM;
}

static inline void rl_map_deinit(rl_map *m)
{
    if (!m->borrowed)
        rl_free(m->slots);
    *m = (rl_map){ 0 };
}

/* The multipliers are the finaliser of MurmurHash3. */
static inline uint64_t rl_map_hash(const rl_map *m, uint64_t key)
{
    uint64_t h = key ^ m->secret;

    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

static inline void rl_map_prefetch(const rl_map *m, uint64_t key)
{
    __builtin_prefetch(&m->slots[rl_map_hash(m, key) & m->mask]);
}

/* The slot of `key`, or the empty slot where it belongs. */
static inline rl_map_slot *rl_map_seek(const rl_map *m, uint64_t key)
{
    for (uint64_t h = rl_map_hash(m, key);; h++) {
        rl_map_slot *s = &m->slots[h & m->mask];

        if (!s->key1 || s->key1 == key + 1)
            return s;
    }
}

/* Puts a key into the empty slot where it belongs. */
static inline void rl_map_put(rl_map *m, rl_map_slot *slot, uint64_t key, uint64_t value)
{
    *slot = (rl_map_slot){ key + 1, value };
    m->n_added++;
}

/* Moves what was put into a table of just the size for it: it may have been less than there was
 * room for. -> OK | ENOMEM, and nothing changed */
static inline realm_status rl_map_shrink(rl_map *m)
{
    rl_map small;

    if (rl_map_init(&small, m->n_added) != REALM_OK)
        return REALM_ENOMEM;
    for (uint64_t i = 0; i <= m->mask; i++) {
        uint64_t key = m->slots[i].key1 - 1;

        if (m->slots[i].key1)
            rl_map_put(&small, rl_map_seek(&small, key), key, m->slots[i].value);
    }
    rl_map_deinit(m);
    *m = small;
    return REALM_OK;
}

static inline uint64_t rl_map_find(const rl_map *m, uint64_t key)
{
    const rl_map_slot *s = rl_map_seek(m, key);

    return s->key1 ? s->value : RL_MAP_NONE;
}

#endif
