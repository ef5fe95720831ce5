#include "gguf/index.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#define BLOCK 32u /* texts whose memory is fetched together */

static uint64_t secret[2]; /* written once, before any index exists */
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

void rl_gguf_draw_key(uint64_t key[2])
{
    size_t n = 2 * sizeof *key;

    if (getrandom(key, n, 0) == (ssize_t)n)
        return;
    key[0] = rl_clock_ns(); /* a kernel without getrandom: better than nothing */
    key[1] = (uint64_t)(uintptr_t)&secret_once;
}

static void draw_secret(void)
{
    rl_gguf_draw_key(secret);
}

static uint64_t rotl(uint64_t x, unsigned b)
{
    return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein 2012), little endian as everything Realm runs on. */
uint64_t rl_gguf_hash(const uint64_t key[2], const char *p, size_t n)
{
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                      key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u };
    uint64_t last = (uint64_t)n << 56;
    uint64_t tail = 0;

    for (; n >= 8; p += 8, n -= 8) {
        uint64_t m;

        memcpy(&m, p, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    if (n)
        memcpy(&tail, p, n);
    last |= tail;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t sip13(const char *p, size_t n)
{
    return rl_gguf_hash(secret, p, n);
}

realm_status rl_gguf_index_init(rl_gguf_index *ix, const rl_text *texts, size_t stride, uint32_t n)
{
    uint32_t cap = 8;

    RL_ASSERT(n <= (uint32_t)1 << 30);
    (void)pthread_once(&secret_once, draw_secret);
    while (cap < 2 * n)
        cap *= 2;
    *ix = (rl_gguf_index){ .texts = (const char *)texts, .stride = stride, .mask = cap - 1 };
    ix->slots = rl_alloc_array(cap, sizeof *ix->slots);
    return ix->slots ? REALM_OK : REALM_ENOMEM;
}

void rl_gguf_index_deinit(rl_gguf_index *ix)
{
    rl_free(ix->slots);
    *ix = (rl_gguf_index){ 0 };
}

static const rl_text *text_at(const rl_gguf_index *ix, uint32_t i)
{
    return (const rl_text *)(const void *)(ix->texts + ix->stride * (size_t)i);
}

/* The slot that holds the text, or the empty one where it would go. */
static uint64_t *seek(const rl_gguf_index *ix, uint64_t hash, const char *p, size_t n)
{
    uint32_t tag = (uint32_t)(hash >> 32);

    for (uint32_t s = (uint32_t)hash & ix->mask;; s = (s + 1) & ix->mask) {
        uint64_t slot = ix->slots[s];
        const rl_text *t;

        if (!slot)
            return &ix->slots[s];
        if ((uint32_t)(slot >> 32) != tag)
            continue;
        t = text_at(ix, (uint32_t)slot - 1);
        if (t->n == n && memcmp(t->p, p, n) == 0)
            return &ix->slots[s];
    }
}

static uint32_t add_hashed(rl_gguf_index *ix, uint32_t i, uint64_t hash)
{
    const rl_text *t = text_at(ix, i);
    uint64_t *slot = seek(ix, hash, t->p, t->n);

    if (*slot)
        return (uint32_t)*slot - 1;
    *slot = (hash >> 32) << 32 | (i + 1);
    return i;
}

uint32_t rl_gguf_index_add(rl_gguf_index *ix, uint32_t i)
{
    const rl_text *t = text_at(ix, i);

    return add_hashed(ix, i, sip13(t->p, t->n));
}

uint32_t rl_gguf_index_find(const rl_gguf_index *ix, const char *p, size_t n)
{
    uint64_t slot;

    if (!ix->slots)
        return RL_INDEX_NONE;
    slot = *seek(ix, sip13(p, n), p, n);
    return slot ? (uint32_t)slot - 1 : RL_INDEX_NONE;
}

/* First all slots are asked for, then the texts they name, then the bytes of these. */
static void find_block(const rl_gguf_index *ix, const rl_text *texts, uint32_t n, uint32_t *out)
{
    uint64_t hash[BLOCK];
    const rl_text *near[BLOCK];

    for (uint32_t i = 0; i < n; i++) {
        hash[i] = sip13(texts[i].p, texts[i].n);
        __builtin_prefetch(&ix->slots[(uint32_t)hash[i] & ix->mask]);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t slot = ix->slots[(uint32_t)hash[i] & ix->mask];

        near[i] = slot ? text_at(ix, (uint32_t)slot - 1) : &texts[i];
        __builtin_prefetch(near[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        __builtin_prefetch(near[i]->p);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t slot = *seek(ix, hash[i], texts[i].p, texts[i].n);

        out[i] = slot ? (uint32_t)slot - 1 : RL_INDEX_NONE;
    }
}

void rl_gguf_index_find_many(const rl_gguf_index *ix, const rl_text *texts, uint32_t n,
                             uint32_t *out)
{
    for (uint32_t i = 0; i < n; i += BLOCK)
        find_block(ix, texts + i, n - i < BLOCK ? n - i : BLOCK, out + i);
}

void rl_gguf_index_add_many(rl_gguf_index *ix, const uint32_t *numbers, uint32_t n)
{
    uint64_t hash[BLOCK];

    for (uint32_t from = 0; from < n; from += BLOCK) {
        uint32_t some = n - from < BLOCK ? n - from : BLOCK;

        for (uint32_t i = 0; i < some; i++) {
            const rl_text *t = text_at(ix, numbers[from + i]);

            hash[i] = sip13(t->p, t->n);
            __builtin_prefetch(&ix->slots[(uint32_t)hash[i] & ix->mask], 1);
        }
        for (uint32_t i = 0; i < some; i++)
            (void)add_hashed(ix, numbers[from + i], hash[i]);
    }
}
