/* Handles: the per-instance numbers (>= 1) behind which a run's models, streams, sequences and
 * samplers stand. A number is not given out again soon: it holds a count of how often its row was
 * used. Worker only. */
#ifndef RL_GUEST_HANDLES_H
#define RL_GUEST_HANDLES_H

#include "guest/seqs.h"

#define RL_MAX_HANDLES   64u
#define RL_MAX_SEQUENCES 16u
#define RL_MAX_JOBS      8u

typedef enum rl_handle_kind {
    RL_HANDLE_NONE,
    RL_HANDLE_MODEL,
    RL_HANDLE_STREAM,
    RL_HANDLE_SEQ,
    RL_HANDLE_SAMPLER,
} rl_handle_kind;

typedef struct rl_handle {
    rl_handle_kind kind;
    uint32_t uses; /* of this row so far */
    union {
        rl_lm *lm;                 /* owned reference */
        struct rl_gstream *stream; /* owned, like the next two */
        rl_gseq *seq;
        rl_gsampler *sampler;
    };
} rl_handle;

typedef struct rl_handles {
    rl_handle row[RL_MAX_HANDLES];
} rl_handles;

/* A free row, still of kind NONE, or NULL: 64 are open. *number is what the guest gets. */
rl_handle *rl_handle_new(rl_handles *h, uint32_t *number);
/* The row of a number, or NULL: unknown, closed or of another kind. */
rl_handle *rl_handle_get(rl_handles *h, uint64_t number, rl_handle_kind kind);
void rl_handle_free(rl_handle *row); /* closes what it holds */
void rl_handles_deinit(rl_handles *h);

#endif
