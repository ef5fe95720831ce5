/* Index: texts of an array -> their numbers, by hash. The texts stay where they are (borrowed).
 *
 * 1. Names come from files and guests: the hash is keyed with random bytes of this process (SipHash
 *    1-3), so nobody can prepare names that collide.
 * 2. Filled by one thread; after that any thread may look up. */
#ifndef RL_GGUF_INDEX_H
#define RL_GGUF_INDEX_H

#include "gguf/gguf.h"

#define RL_INDEX_NONE UINT32_MAX

typedef struct rl_gguf_index {
    const char *texts; /* borrowed; the first rl_text of the array */
    size_t stride;     /* bytes from one rl_text to the next */
    uint64_t *slots;   /* owned; [mask + 1] hash tag << 32 | number + 1; 0 is empty */
    uint32_t mask;
} rl_gguf_index; /* all zero finds nothing */

/* Room for n texts (n <= 2^30) that lie `stride` bytes apart, the first at `texts`. -> OK | ENOMEM
 */
realm_status rl_gguf_index_init(rl_gguf_index *ix, const rl_text *texts, size_t stride,
                                uint32_t n) REALM_MUST_USE;
void rl_gguf_index_deinit(rl_gguf_index *ix);

/* Adds text number i. -> i, or the number of an equal text that was added before (i is not). */
uint32_t rl_gguf_index_add(rl_gguf_index *ix, uint32_t i);

/* -> the number of an equal text, RL_INDEX_NONE without one. */
uint32_t rl_gguf_index_find(const rl_gguf_index *ix, const char *p, size_t n);

/* The same for a block of texts, several times faster in a large index: the memory they need is
 * fetched side by side.
 * texts, out  [n]; out[i] is what finding texts[i] answers */
void rl_gguf_index_find_many(const rl_gguf_index *ix, const rl_text *texts, uint32_t n,
                             uint32_t *out);

/* Adds the texts of numbers[0..n); of equal ones the first stays. */
void rl_gguf_index_add_many(rl_gguf_index *ix, const uint32_t *numbers, uint32_t n);

/* 128 fresh random bits: the key of another hash table over names or numbers that a file chose. */
void rl_gguf_draw_key(uint64_t key[2]);

/* SipHash 1-3 of a text. The same in every process, so that a table may be kept with its key. */
uint64_t rl_gguf_hash(const uint64_t key[2], const char *p, size_t n);

#endif
