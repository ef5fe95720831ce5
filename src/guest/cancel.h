/* Cancel: what a run has at the engine, so that who cancels the run stops that at once and does not
 * wait for the worker, which may be in the middle of some guest.
 *
 * 1. A job is posted between rl_cancel_begin and rl_cancel_end: a cancel finds every job that was
 *    posted before it, and after it none is posted.
 * 2. What is watched lives: it is dropped from here before it is freed.
 * 3. The lock is held for a post, never longer; under it only the engine's own is taken. */
#ifndef RL_GUEST_CANCEL_H
#define RL_GUEST_CANCEL_H

#include "realm/status.h"

#include <pthread.h>

struct rl_run;
struct rl_op;
struct rl_gstream;

typedef struct rl_cancel {
    pthread_mutex_t lock;
    struct rl_op *op;           /* under lock: the jobs that the parked call waits for, or NULL */
    struct rl_gstream *streams; /* under lock: those that were not closed, linked by `next` */
} rl_cancel;

void rl_cancel_init(rl_cancel *c);
void rl_cancel_deinit(rl_cancel *c);

/* Worker. -> OK: the lock is held until rl_cancel_end | ECANCELLED: the run is over */
realm_status rl_cancel_begin(struct rl_run *run, realm_error *err) REALM_MUST_USE;
void rl_cancel_watch_op(struct rl_run *run, struct rl_op *op); /* with the lock, like the next */
void rl_cancel_watch(struct rl_gstream *s);
void rl_cancel_end(struct rl_run *run);

void rl_cancel_drop_op(struct rl_run *run); /* worker; the parked call waits no more */
void rl_cancel_drop(struct rl_gstream *s);  /* worker */

/* Any thread, once `cancelled` is set: the engine is asked to end all of it. */
void rl_cancel_all(struct rl_run *run);

#endif
