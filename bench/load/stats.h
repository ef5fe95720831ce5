/* Stats: what the requests of a run came to. Fixed memory. */
#ifndef RL_LOAD_STATS_H
#define RL_LOAD_STATS_H

#include "load/hist.h"
#include "load/result.h"

#define RL_LOAD_STATUSES 1000

typedef struct rl_load_group { /* idle or slow clients */
    uint32_t n, opened, held;  /* asked for; got a header; still open at the end */
    uint64_t ended, failed, events;
    uint64_t by_reason[RL_LOAD_REASONS];
} rl_load_group;

typedef struct rl_load_stats {
    uint64_t started, ok, rejected, failed; /* started: the sum of the others */
    uint64_t by_status[RL_LOAD_STATUSES];   /* [0]: no answer */
    uint64_t by_reason[RL_LOAD_REASONS];
    char why[RL_LOAD_REASONS][160]; /* the first of each kind */

    rl_load_hist first, gap, whole; /* of complete requests; gap of all streams */
    rl_load_hist reject, late;

    uint64_t tokens, prompt_tokens, prompt_least, prompt_most, n_usage;
    uint64_t usage_missing, usage_differs, usage_impossible, shorter;
    uint64_t good; /* complete within good_ns */
    uint64_t good_ns;
    uint64_t retry_after, no_retry_after; /* of the rejected */

    rl_load_group idle, slow;
} rl_load_stats;

/* Counts a request of the measured clients. */
void rl_load_stats_add(rl_load_stats *s, const rl_load_result *r);

/* Counts one of an idle or slow client. */
void rl_load_group_add(rl_load_group *g, const rl_load_result *r);

#endif
