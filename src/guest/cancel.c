#include "guest/cancel.h"

#include "guest/generate.h"
#include "guest/op.h"
#include "guest/run.h"

void rl_cancel_init(rl_cancel *c)
{
    (void)pthread_mutex_init(&c->lock, NULL);
}

void rl_cancel_deinit(rl_cancel *c)
{
    (void)pthread_mutex_destroy(&c->lock);
}

/* The flag is set before rl_cancel_all takes the lock: one of the two sees the other. */
realm_status rl_cancel_begin(rl_run *run, realm_error *err)
{
    (void)pthread_mutex_lock(&run->jobs.lock);
    if (!atomic_load(&run->cancelled))
        return REALM_OK;
    rl_cancel_end(run);
    return realm_fail(err, REALM_ECANCELLED, "cancelled");
}

void rl_cancel_end(rl_run *run)
{
    (void)pthread_mutex_unlock(&run->jobs.lock);
}

void rl_cancel_watch_op(rl_run *run, rl_op *op)
{
    run->jobs.op = op;
}

void rl_cancel_watch(rl_gstream *s)
{
    s->next = s->run->jobs.streams;
    s->run->jobs.streams = s;
}

void rl_cancel_drop_op(rl_run *run)
{
    (void)pthread_mutex_lock(&run->jobs.lock);
    run->jobs.op = NULL;
    (void)pthread_mutex_unlock(&run->jobs.lock);
}

void rl_cancel_drop(rl_gstream *s)
{
    rl_gstream **at = &s->run->jobs.streams;

    (void)pthread_mutex_lock(&s->run->jobs.lock);
    while (*at && *at != s)
        at = &(*at)->next;
    if (*at)
        *at = s->next;
    (void)pthread_mutex_unlock(&s->run->jobs.lock);
}

void rl_cancel_all(rl_run *run)
{
    (void)pthread_mutex_lock(&run->jobs.lock);
    if (run->jobs.op)
        run->jobs.op->cancel(run->jobs.op);
    for (rl_gstream *s = run->jobs.streams; s; s = s->next)
        rl_stream_cancel(s->stream);
    (void)pthread_mutex_unlock(&run->jobs.lock);
}
