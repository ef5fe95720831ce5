/* Helpers: two threads with room to work (8 MiB stacks) for what must not run on a guest's fiber or
 * hold up a worker: model loads, templates, JSON of requests, long encodes. Also the life of ops.
 */
#include "guest/op.h"

#include "guest/runtime.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/thread.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#define HELPER_NICE 5

/* ---- ops ------------------------------------------------------------------------------------- */

void *rl_op_new(struct rl_run *run, size_t bytes, void (*work)(rl_op *op),
                void (*destroy)(rl_op *op))
{
    rl_op *op = rl_alloc(bytes);

    RL_ASSERT(bytes >= sizeof *op);
    if (!op)
        return NULL;
    op->work = work;
    op->destroy = destroy;
    /* The reference keeps the record, not the guest: a run may be over long before its op. */
    op->run = run;
    atomic_store(&op->refs, 1);
    rl_run_ref(run);
    atomic_fetch_add(&run->rt->ops, 1);
    return op;
}

void rl_op_unref(rl_op *op)
{
    rl_runtime *rt;

    if (!op || atomic_fetch_sub(&op->refs, 1) != 1)
        return;
    rt = op->run->rt;
    if (op->destroy)
        op->destroy(op);
    rl_run_unref(op->run);
    rl_free(op);
    atomic_fetch_sub(&rt->ops, 1); /* the last touch: the runtime may go now */
}

void rl_op_begin(rl_op *op)
{
    atomic_fetch_add(&op->refs, 1);
}

/* The wake comes before our reference goes: it keeps the run alive. */
void rl_op_finish(rl_op *op)
{
    atomic_store(&op->finished, true);
    rl_run_wake(op->run);
    rl_op_unref(op);
}

realm_status rl_op_post(rl_op *op, realm_error *err)
{
    rl_op_begin(op);
    if (rl_queue_push(op->run->rt->tasks, op) == REALM_OK)
        return REALM_OK;
    rl_op_unref(op);
    return realm_fail(err, REALM_EBUSY, "the helpers have too much to do: try again");
}

static void abandon_op(rl_call *c)
{
    rl_op *op = c->state;

    rl_cancel_drop_op(c->run);
    /* An engine job can be cancelled; a helper is waited for by nobody and finishes on its own. */
    if (op->cancel)
        op->cancel(op);
    rl_op_unref(op);
}

/* The continuation of rl_op_wait: nothing before the op is done, then its `then`. */
static int64_t resume_op(rl_call *c)
{
    rl_op *op = c->state;
    int64_t r;

    if (!atomic_load(&op->finished))
        return RL_PARKED;
    r = op->then(c);
    if (r != RL_PARKED || c->state != op)
        rl_op_unref(op); /* `then` may have parked the call on something else */
    return r;
}

int64_t rl_op_park(rl_call *c, rl_op *op, int64_t (*then)(rl_call *c))
{
    op->then = then;
    return rl_call_park(c, resume_op, abandon_op, op, 0);
}

int64_t rl_op_wait(rl_call *c, rl_op *op, int64_t (*then)(rl_call *c))
{
    realm_error err;

    if (!op)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the call");
    if (rl_op_post(op, &err) != REALM_OK) {
        rl_op_unref(op);
        return rl_call_fail_err(c, &err);
    }
    return rl_op_park(c, op, then);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *helper_main(void *arg)
{
    rl_runtime *rt = arg;

    rl_thread_name("helper", 0);
    (void)setpriority(PRIO_PROCESS, 0, HELPER_NICE); /* of this thread, on Linux */
    for (;;) {
        rl_op *op = rl_queue_pop(rt->tasks, -1);

        if (!op)
            return NULL; /* woken without an item: rl_helpers_stop */
        /* No status is looked at: the waiting call does that, in its own `then`. */
        op->work(op);
        rl_op_finish(op);
    }
}

/* Each parked run waits on one op at most, so the queue has room for all of them. */
realm_status rl_helpers_start(rl_runtime *rt, realm_error *err)
{
    pthread_attr_t attr;
    int rc = 0;

    rt->tasks = rl_queue_new(rt->max_guests * 2 + 64);
    if (!rt->tasks || pthread_attr_init(&attr) != 0)
        return realm_fail(err, REALM_ENOMEM, "no memory for the helpers");
    (void)pthread_attr_setstacksize(&attr, RL_HELPER_STACK);
    while (rc == 0 && rt->n_helpers < RL_N_HELPERS) {
        rc = pthread_create(&rt->helpers[rt->n_helpers], &attr, helper_main, rt);
        rt->n_helpers += rc == 0;
    }
    (void)pthread_attr_destroy(&attr);
    if (rc != 0)
        return realm_fail(err, REALM_ENOMEM, "no thread for a helper: %s", strerror(rc));
    return REALM_OK;
}

void rl_helpers_stop(rl_runtime *rt)
{
    uint32_t i;

    for (i = 0; i < rt->n_helpers; i++)
        rl_queue_wake(rt->tasks);
    for (i = 0; i < rt->n_helpers; i++)
        (void)pthread_join(rt->helpers[i], NULL);
    rt->n_helpers = 0;
    rl_queue_free(rt->tasks);
    rt->tasks = NULL;
}
