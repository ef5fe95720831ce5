/* Merge: the loop that BPE and SPM share. A text is a row of symbols; the pair of neighbours with
 * the lowest priority number is merged, of equal ones the leftmost, until no pair merges.
 *
 * Time n log n for n symbols (a heap; rows of up to RL_MERGE_SHORT symbols are scanned instead,
 * which is faster for words). Scratch belongs to one call of rl_encode. */
#ifndef RL_TOKEN_MERGE_H
#define RL_TOKEN_MERGE_H

#include "token/ids.h"

#include "realm/status.h"

#define RL_MERGE_SHORT 40u
#define RL_MERGE_NEVER UINT32_MAX

typedef struct rl_symbol {
    uint32_t id;    /* RL_NO_TOKEN: no token (yet) has this text */
    uint32_t begin; /* in the piece's bytes; a symbol ends where the next one begins */
} rl_symbol;

/* What the pair of neighbours [left, right), with bytes text[0..n), becomes.
 * -> its priority, lower is earlier, and *merged; RL_MERGE_NEVER when it does not merge. */
typedef uint32_t (*rl_merge_fn)(const void *ctx, rl_symbol left, rl_symbol right, const char *text,
                                size_t n, uint32_t *merged);

typedef struct rl_merge {
    rl_merge_fn pair;
    const void *ctx;             /* borrowed */
    rl_symbol *symbols;          /* owned; [cap + 1] the row; on return the merged one */
    struct rl_merge_link *links; /* owned; [cap] */
    struct rl_merge_cand *heap;  /* owned; [heap_cap] */
    size_t cap, links_cap, heap_cap;
    uint64_t n_tried; /* pairs looked up so far: what tests bound */
} rl_merge;           /* zero but for pair and ctx */

void rl_merge_deinit(rl_merge *m);

/* Room for a row of n symbols in m->symbols. -> OK | ENOMEM */
realm_status rl_merge_reserve(rl_merge *m, size_t n) REALM_MUST_USE;

/* Merges m->symbols[0..*n) over text[0..n_text); *n becomes the number left. -> OK | ENOMEM */
realm_status rl_merge_run(rl_merge *m, const char *text, size_t n_text, size_t *n) REALM_MUST_USE;

#endif
