/* Special: finds the texts of special tokens in a text, leftmost and longest first, as tokenizers
 * define added tokens. Two sets in one trie: texts that always count (user-defined tokens) and
 * texts that count only when the caller parses special tokens (control tokens).
 *
 * Time: text length times the longest special text at worst, which rl_vocab_open bounds by
 * RL_SPECIAL_MAX. Filled by one thread, or mapped from a packed file (tables.h); then any thread
 * may search. */
#ifndef RL_TOKEN_SPECIAL_H
#define RL_TOKEN_SPECIAL_H

#include "token/map.h"

#include <stdbool.h>

#define RL_SPECIAL_MAX 256u /* bytes of one special text */

typedef struct rl_special_node {
    uint32_t always; /* the token that ends here and always counts, RL_NO_TOKEN without one */
    uint32_t parsed; /* the token that ends here and counts when special tokens are parsed */
} rl_special_node;

typedef struct rl_special {
    rl_map edges;           /* node << 8 | byte -> node, a higher number than its parent's */
    rl_special_node *nodes; /* like the slots of `edges`; [n_nodes], the first is the root */
    uint32_t n_nodes, cap;
    uint8_t may_begin[256]; /* bit 0: an always text begins so; bit 1: any text does */
} rl_special;

typedef struct rl_special_hit {
    size_t begin, end; /* in the text */
    uint32_t id;
} rl_special_hit;

/* Where in a text control tokens count. Zero: nowhere. */
typedef struct rl_special_scope {
    bool parse;            /* they count, but for texts that a mark lies in */
    const uint32_t *marks; /* borrowed; [n_marks] ascending byte positions */
    size_t n_marks;
    size_t next; /* the searches' own: marks before it are passed */
} rl_special_scope;

/* Room for texts of together n_bytes. -> OK | ENOMEM */
realm_status rl_special_init(rl_special *s, size_t n_bytes) REALM_MUST_USE;
void rl_special_deinit(rl_special *s);

/* Adds a text of 1..RL_SPECIAL_MAX bytes; of equal texts the first one stays. */
void rl_special_add(rl_special *s, rl_text text, uint32_t id, bool always);

/* After the last text: gives back the room that was not needed. -> OK | ENOMEM */
realm_status rl_special_finish(rl_special *s) REALM_MUST_USE;

/* Searches text[from..n); `from` never goes back in one scope.
 * -> false when there is none; else *hit. */
bool rl_special_find(const rl_special *s, const char *text, size_t n, size_t from,
                     rl_special_scope *scope, rl_special_hit *hit);

/* How far the bytes from text[at] on are, or at the text's end begin, a control token's text.
 * -> `at` when they are none, else the end of the longest. */
size_t rl_special_reach(const rl_special *s, const char *text, size_t n, size_t at);

#endif
