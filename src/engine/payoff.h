/* Payoff: how many guessed ids are worth their rows in a step.
 *
 * A row more makes a step longer, a guess that holds saves a step. Both are learned: what steps of
 * so many rows took, by model, and how often guesses held, by sequence and by how many ids before
 * the guess were the same (lookup.h). Where guessing does not pay it stops, and is tried again with
 * one row after chances that passed by: 8, then twice as many after each failure, up to 128.
 *
 * It steers how much is computed and never what comes of it. Counts are of chances, not of time;
 * the times are the caller's. One thread at a time. */
#ifndef RL_ENGINE_PAYOFF_H
#define RL_ENGINE_PAYOFF_H

#include <stdbool.h>
#include <stdint.h>

#define RL_PAYOFF_ROWS                                                                             \
    8u /* a step with guesses has no more rows: beyond, each costs its full time */
#define RL_PAYOFF_MOST  4u /* guesses of one sequence in a step */
#define RL_PAYOFF_KINDS 4u /* of guesses: 2, 3, 4 to 7, 8 ids were the same */

/* Of a model. Zero: nothing was measured. */
typedef struct rl_payoff_cost {
    uint64_t ns[RL_PAYOFF_ROWS + 1]; /* smoothed time of a step with that many rows; 0: none yet */
} rl_payoff_cost;

void rl_payoff_measured(rl_payoff_cost *c, uint32_t rows, uint64_t ns);

/* Of a sequence. */
typedef struct rl_payoff {
    double held[RL_PAYOFF_KINDS]; /* moving share of the guesses that held */
    uint32_t passed, wait;        /* chances since the last guess; after so many one is tried */
} rl_payoff;

void rl_payoff_init(rl_payoff *p);

/* For a step that has `rows` rows and is expected to give *ids ids. same: of the guess.
 * -> 0..most (at most RL_PAYOFF_MOST, and rows + most at most RL_PAYOFF_ROWS); *ids grows by what
 * is expected of them */
uint32_t rl_payoff_choose(rl_payoff *p, uint32_t same, const rl_payoff_cost *c, uint32_t rows,
                          uint32_t most, double *ids);

/* What became of a guess whose turn came: those behind one that failed teach nothing. */
void rl_payoff_learn(rl_payoff *p, uint32_t same, bool held);

#endif
