/* Entry: the phases of a run, from its model and instance over its entry to the last byte. */
#ifndef RL_GUEST_ENTRY_H
#define RL_GUEST_ENTRY_H

#include "guest/program.h"
#include "guest/run.h"

typedef enum rl_step {
    RL_STEP_WAIT,  /* parked: a wake or the timer */
    RL_STEP_AGAIN, /* preempted: to the tail of the queue */
    RL_STEP_OVER,  /* the run has ended */
} rl_step;

/* Lets the guest compute until it parks, is preempted or the run ends. No parked call is left. */
rl_step rl_entry_step(rl_run *run);
void rl_entry_deinit(rl_run *run); /* future, store; reads the peak of memory before */

/* Begins a call of an export; vals [n] are converted to its parameter types. Ends the run on
 * failure. */
void rl_entry_call(rl_run *run, const rl_export *e, uint32_t n, const uint64_t *vals);
/* The answer of the call that ended, as an address or number. */
uint64_t rl_entry_answer(const rl_run *run);

/* classic.c: what the phase that ended leads to; begins the next call or ends the run. */
void rl_classic_begin(rl_run *run);
void rl_classic_next(rl_run *run);

#endif
