/* Pretok: cuts a text into the pieces that byte-level BPE merges inside of. Each named pattern of
 * tokenizer.ggml.pre is a hand-written matcher; bytes that are not UTF-8 count as characters of no
 * class. Linear: no character is looked at more than a few times. Any thread. */
#ifndef RL_TOKEN_PRETOK_H
#define RL_TOKEN_PRETOK_H

#include "gguf/gguf.h"

typedef struct rl_pretok {
    const char *name; /* as files write it; static */
    /* Length of the piece at the beginning of s[0..n), n > 0. -> 1..n */
    size_t (*next)(const char *s, size_t n);
    bool whole_words; /* a piece that is a token stays whole, whatever the merges say */
    bool add_bos;     /* unless the file says otherwise */
} rl_pretok;

/* -> the pretokenizer of that name, NULL when it is not offered. */
const rl_pretok *rl_pretok_find(rl_text name);

#endif
