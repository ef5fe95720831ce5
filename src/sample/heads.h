/* Heads: fixed beginnings, and which of them a text that comes piece by piece may still have. One
 * owner at a time. */
#ifndef RL_SAMPLE_HEADS_H
#define RL_SAMPLE_HEADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RL_HEAD_MAX 128u

typedef struct rl_head {
    char text[RL_HEAD_MAX]; /* [n]; n 1..RL_HEAD_MAX */
    uint32_t n;
} rl_head;

typedef struct rl_heads {
    rl_head *list; /* owned; [n] those that the text may still come to begin with */
    uint32_t n;    /* 0: it begins otherwise, or with one of them */
    uint32_t said; /* bytes of the text: all in the list begin with them and are longer */
} rl_heads;

bool rl_heads_init(rl_heads *h, const rl_head *list, uint32_t n); /* copies; false: no memory */
bool rl_heads_dup(rl_heads *out, const rl_heads *h);              /* false: no memory */
void rl_heads_deinit(rl_heads *h);

size_t rl_heads_least(const rl_heads *h); /* bytes that make the text have one, at the fewest */
/* Whether the text, gone on by p [n], begins with one of them; add does go on. */
bool rl_heads_would(const rl_heads *h, const char *p, size_t n);
bool rl_heads_add(rl_heads *h, const char *p, size_t n);

#endif
