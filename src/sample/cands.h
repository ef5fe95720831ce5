/* Cands: the ids that are still candidates of a draw, in rising id, and the filters that cut them
 * down. No sorting: a filter finds the place where it cuts by counting mass per bucket of the sort
 * key's bits, best bucket first, and looks closer only into the bucket that holds the place.
 * One owner at a time. */
#ifndef RL_SAMPLE_CANDS_H
#define RL_SAMPLE_CANDS_H

#include "realm/status.h"

#include <stdint.h>

typedef struct rl_cand {
    uint64_t key; /* order of the filter at work: larger is better */
    double mass;  /* exp(logit - max), not normalised */
    float logit;  /* > -inf */
    uint32_t id;
} rl_cand;

typedef struct rl_cands {
    rl_cand *at; /* owned; [n] */
    uint32_t n, cap;
} rl_cands; /* all zero is an empty list */

realm_status rl_cands_add(rl_cands *c, uint32_t id, float logit); /* OK | ENOMEM */
void rl_cands_deinit(rl_cands *c);
void rl_cands_sort(rl_cands *c); /* by rising id */

/* mass = exp((logit - best logit of the list) / temperature). -> their sum */
double rl_cands_weigh(rl_cands *c, float temperature);

/* Each keeps at least one. Masses must be set for the last three (rl_cands_weigh with 1). */
void rl_cands_top_k(rl_cands *c, uint32_t k);
void rl_cands_typical(rl_cands *c, double p);
void rl_cands_top_p(rl_cands *c, double least_mass); /* best first until least_mass is reached */
void rl_cands_min_p(rl_cands *c, double p);

/* Sum of the masses in rising id, and the id at which the running sum passes target. */
double rl_cands_sum(const rl_cands *c);
uint32_t rl_cands_walk(const rl_cands *c, double target);

#endif
