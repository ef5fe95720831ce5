/* Ids: a growing list of token ids. Like rl_buf, a failed append sticks: append many, check once.
 */
#ifndef RL_TOKEN_IDS_H
#define RL_TOKEN_IDS_H

#include "base/alloc.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct rl_ids {
    uint32_t *p; /* owned; [n] */
    size_t n, cap;
    bool failed; /* no memory */
} rl_ids;        /* all zero is empty */

static inline void rl_ids_add(rl_ids *ids, uint32_t id)
{
    if (ids->n == ids->cap) {
        size_t cap = ids->cap ? ids->cap * 2 : 64;
        uint32_t *p = ids->failed ? NULL : rl_realloc(ids->p, cap * sizeof *p);

        if (!p) {
            ids->failed = true;
            return;
        }
        ids->p = p;
        ids->cap = cap;
    }
    ids->p[ids->n++] = id;
}

#endif
