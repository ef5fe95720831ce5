#include "token/words.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>

realm_status rl_words_init(rl_words *w, const rl_texts *texts, uint32_t n)
{
    uint32_t cap = 8;

    RL_ASSERT(n <= (uint32_t)1 << 30);
    while (cap < 2 * n)
        cap *= 2;
    *w = (rl_words){ .texts = *texts, .mask = cap - 1 };
    rl_gguf_draw_key(w->key);
    w->slots = rl_alloc_array(cap, sizeof *w->slots);
    return w->slots ? REALM_OK : REALM_ENOMEM;
}

void rl_words_deinit(rl_words *w)
{
    if (!w->borrowed)
        rl_free(w->slots);
    *w = (rl_words){ 0 };
}

/* The slot that holds the text, or the empty one where it would go. */
static uint64_t *seek(const rl_words *w, uint64_t hash, const char *p, size_t n)
{
    uint32_t tag = (uint32_t)(hash >> 32);

    for (uint32_t s = (uint32_t)hash & w->mask;; s = (s + 1) & w->mask) {
        uint64_t slot = w->slots[s];
        rl_text t;

        if (!slot)
            return &w->slots[s];
        if ((uint32_t)(slot >> 32) != tag)
            continue;
        t = rl_texts_at(&w->texts, (uint32_t)slot - 1);
        if (t.n == n && memcmp(t.p, p, n) == 0)
            return &w->slots[s];
    }
}

void rl_words_add(rl_words *w, uint32_t i)
{
    rl_text t = rl_texts_at(&w->texts, i);
    uint64_t hash = rl_gguf_hash(w->key, t.p, t.n);
    uint64_t *slot = seek(w, hash, t.p, t.n);

    if (*slot)
        return;
    *slot = (hash >> 32) << 32 | (i + 1);
    w->n_added++;
}

uint32_t rl_words_find(const rl_words *w, const char *p, size_t n)
{
    uint64_t slot;

    if (!w->slots)
        return RL_NO_WORD;
    slot = *seek(w, rl_gguf_hash(w->key, p, n), p, n);
    return slot ? (uint32_t)slot - 1 : RL_NO_WORD;
}
