/* Job: engine jobs of a run, as an op: one, or several that run side by side. The call that waits
 * is parked; when the run ends before, the jobs are cancelled, and what they use lives on until the
 * engine lets go. */
#ifndef RL_GUEST_JOB_H
#define RL_GUEST_JOB_H

#include "guest/op.h"
#include "guest/run.h"

#include "engine/engine.h"

#define RL_JOINT_MAX RL_MAX_SEQUENCES

/* Put it first in a struct of your own. op.status and op.err are the job's once it is done. */
typedef struct rl_job_op {
    rl_op op;
    rl_job job;
    int64_t (*over)(rl_call *c);
} rl_job_op;

/* bytes: of the whole struct. The job's kind and sequence are set; ctx and done are the op's own.
 * destroy frees what the struct holds, when both the call and the engine are done with it. NULL
 * without memory. */
void *rl_job_op_new(rl_call *c, size_t bytes, rl_job_kind kind, rl_seq *seq,
                    void (*destroy)(rl_op *op));

/* Posts the job and parks; `over` gives the answer, with the op in c->state: it looks at op.status
 * first. Takes the op; NULL (no memory) is a failed call. Counts as one of the run's jobs
 * meanwhile.
 * -> RL_PARKED, or the failed call's answer: then `over` is not called */
int64_t rl_job_op_run(rl_call *c, rl_job_op *op, int64_t (*over)(rl_call *c));

/* Several at once. A job that was not OK before it was posted is left out; status and err of each
 * are there when `over` is called. */
typedef struct rl_jobs_op {
    rl_op op;
    _Atomic uint32_t left; /* not done yet */
    uint32_t n;
    rl_job job[RL_JOINT_MAX]; /* ctx and done are the op's own */
    int64_t (*over)(rl_call *c);
} rl_jobs_op;

/* Takes the op; `over` is always called, at once when no job could be posted. */
int64_t rl_jobs_op_run(rl_call *c, rl_jobs_op *op, int64_t (*over)(rl_call *c));

#endif
