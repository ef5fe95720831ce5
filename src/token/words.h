/* Words: texts of tokens -> their ids, by hash, and the texts themselves. Both are flat arrays
 * without pointers, so that they lie in a packed file as they lie in memory (tables.h).
 *
 * 1. The hash is keyed by random bits drawn when the table was made (SipHash 1-3): nobody can
 *    prepare texts that collide.
 * 2. Filled by one thread; after that any thread may look up. */
#ifndef RL_TOKEN_WORDS_H
#define RL_TOKEN_WORDS_H

#include "gguf/index.h"

#define RL_NO_WORD UINT32_MAX

/* Texts one behind the other: text i is pool[starts[i], starts[i + 1]). */
typedef struct rl_texts {
    uint32_t *starts; /* owned or borrowed; [n + 1], ascending */
    char *pool;       /* owned or borrowed; [starts[n]] */
} rl_texts;

static inline rl_text rl_texts_at(const rl_texts *t, uint32_t i)
{
    return (rl_text){ t->pool + t->starts[i], t->starts[i + 1] - t->starts[i] };
}

typedef struct rl_words {
    rl_texts texts;   /* borrowed */
    uint64_t *slots;  /* [mask + 1] hash's upper half << 32 | number + 1; 0 is empty, one is */
    uint32_t mask;    /* slots are a power of two; owned or borrowed */
    uint64_t key[2];  /* of the hash */
    uint64_t n_added; /* texts that were put here; 0 for a table that came with a file */
    bool borrowed;
} rl_words; /* all zero finds nothing */

/* Room for n texts (n <= 2^30). -> OK | ENOMEM */
realm_status rl_words_init(rl_words *w, const rl_texts *texts, uint32_t n) REALM_MUST_USE;
void rl_words_deinit(rl_words *w);

/* Puts text i; of equal ones the first stays. */
void rl_words_add(rl_words *w, uint32_t i);

/* -> the number of an equal text, RL_NO_WORD without one. */
uint32_t rl_words_find(const rl_words *w, const char *p, size_t n);

#endif
