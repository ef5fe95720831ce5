#include "guest/job.h"

#include "guest/runtime.h"

#include "base/assert.h"

/* ---- one ------------------------------------------------------------------------------------- */

/* rl_engine_cancel wants the job alive: our reference sees to that. */
static void cancel_one(rl_op *base)
{
    if (!atomic_load(&base->finished))
        rl_engine_cancel(base->run->rt->opts.engine, &((rl_job_op *)base)->job);
}

/* Engine thread. */
static void one_done(rl_job *job)
{
    rl_job_op *op = job->ctx;

    op->op.status = job->status;
    op->op.err = job->err;
    rl_op_finish(&op->op);
}

void *rl_job_op_new(rl_call *c, size_t bytes, rl_job_kind kind, rl_seq *seq,
                    void (*destroy)(rl_op *op))
{
    rl_job_op *op = rl_op_new(c->run, bytes, NULL, destroy);

    RL_ASSERT(bytes >= sizeof *op);
    if (!op)
        return NULL;
    op->op.cancel = cancel_one;
    op->job.kind = kind;
    op->job.seq = seq;
    op->job.ctx = op;
    op->job.done = one_done;
    return op;
}

static int64_t one_over(rl_call *c)
{
    rl_cancel_drop_op(c->run);
    c->run->n_jobs--;
    return ((rl_job_op *)c->state)->over(c);
}

static realm_status post_one(rl_run *run, rl_job_op *op, realm_error *err)
{
    realm_status st = rl_cancel_begin(run, err);

    if (st != REALM_OK)
        return st;
    st = rl_engine_post(run->rt->opts.engine, &op->job, err);
    if (st == REALM_OK)
        rl_cancel_watch_op(run, &op->op);
    rl_cancel_end(run);
    return st;
}

int64_t rl_job_op_run(rl_call *c, rl_job_op *op, int64_t (*over)(rl_call *c))
{
    realm_error err;

    if (!op)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the call");
    rl_op_begin(&op->op);
    if (post_one(c->run, op, &err) != REALM_OK) {
        rl_op_unref(&op->op);
        rl_op_unref(&op->op);
        return rl_call_fail_err(c, &err);
    }
    atomic_fetch_add(&c->run->rt->jobs_from_guests, rl_job_computes(&op->job));
    c->run->n_jobs++;
    op->over = over;
    return rl_op_park(c, &op->op, one_over);
}

/* ---- several --------------------------------------------------------------------------------- */

/* One that was never posted has nothing to cancel. */
static void cancel_all(rl_op *base)
{
    rl_jobs_op *op = (rl_jobs_op *)base;

    for (uint32_t i = 0; i < op->n && !atomic_load(&base->finished); i++)
        rl_engine_cancel(base->run->rt->opts.engine, &op->job[i]);
}

/* Engine thread. */
static void some_done(rl_job *job)
{
    rl_jobs_op *op = job->ctx;

    if (atomic_fetch_sub(&op->left, 1) == 1)
        rl_op_finish(&op->op);
}

static int64_t all_over(rl_call *c)
{
    rl_cancel_drop_op(c->run);
    c->run->n_jobs--;
    return ((rl_jobs_op *)c->state)->over(c);
}

/* -> true: some_done will be called for it */
static bool post(rl_call *c, rl_jobs_op *op, rl_job *job)
{
    realm_error err;

    if (job->status != REALM_OK)
        return false;
    job->ctx = op;
    job->done = some_done;
    atomic_fetch_add(&op->left, 1);
    if (rl_engine_post(c->run->rt->opts.engine, job, &err) == REALM_OK) {
        atomic_fetch_add(&c->run->rt->jobs_from_guests, 1); /* the job is the engine's now */
        return true;
    }
    atomic_fetch_sub(&op->left, 1);
    job->status = err.status;
    job->err = err;
    return false;
}

/* -> whether there is one to wait for */
static bool post_all(rl_call *c, rl_jobs_op *op)
{
    realm_error err;
    bool over = rl_cancel_begin(c->run, &err) != REALM_OK, posted = false;

    for (uint32_t i = 0; i < op->n; i++) {
        rl_job *job = &op->job[i];

        if (!over) {
            posted |= post(c, op, job);
        } else if (job->status == REALM_OK) {
            job->status = err.status;
            job->err = err;
        }
    }
    if (posted)
        rl_cancel_watch_op(c->run, &op->op);
    if (!over)
        rl_cancel_end(c->run);
    return posted;
}

int64_t rl_jobs_op_run(rl_call *c, rl_jobs_op *op, int64_t (*over)(rl_call *c))
{
    int64_t r;

    op->op.cancel = cancel_all;
    op->over = over;
    c->run->n_jobs++;
    atomic_store(&op->left, 1); /* ours, until all are posted */
    rl_op_begin(&op->op);
    if (post_all(c, op)) {
        (void)rl_op_park(c, &op->op, all_over);
        if (atomic_fetch_sub(&op->left, 1) == 1)
            rl_op_finish(&op->op); /* they were quicker; the wake finds the call parked */
        return RL_PARKED;
    }
    rl_op_unref(&op->op);
    c->state = op;
    r = all_over(c);
    rl_op_unref(&op->op);
    return r;
}
