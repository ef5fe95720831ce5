/* Worker: a thread that owns runs. It polls their guests, resumes their parked calls, keeps their
 * timers and ends them. A run stays with its worker for life. */
#ifndef RL_GUEST_WORKER_H
#define RL_GUEST_WORKER_H

#include "guest/run.h"

#include <pthread.h>

typedef struct rl_worker {
    rl_runtime *rt; /* borrowed */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    rl_run *head, *tail; /* under lock: runs to look at, in order */
    bool stop;           /* under lock */

    /* The thread's own: runs by the time they must be looked at, soonest first. */
    rl_run **heap; /* [cap] binary heap by wake_ns */
    uint32_t n_heap, cap;
} rl_worker;

/* cap: most runs it may own at a time. */
realm_status rl_worker_start(rl_worker *w, rl_runtime *rt, uint32_t cap,
                             realm_error *err) REALM_MUST_USE;
void rl_worker_stop(rl_worker *w); /* it owns no run any more */

/* timer.c: the worker's heap */
void rl_timer_set(rl_worker *w, rl_run *run, uint64_t at_ns); /* adds or moves */
void rl_timer_remove(rl_worker *w, rl_run *run);
rl_run *rl_timer_due(rl_worker *w, uint64_t now_ns); /* removed from the heap; NULL: none */
bool rl_timer_next(const rl_worker *w, uint64_t *at_ns);

#endif
