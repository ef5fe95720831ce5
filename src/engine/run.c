/* Posts a job and waits for its end. */
#include "base/assert.h"
#include "engine/internal.h"

typedef struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool done;
} waiter;

static void run_done(rl_job *job)
{
    waiter *w = job->waiter;

    (void)pthread_mutex_lock(&w->lock);
    w->done = true;
    (void)pthread_cond_signal(&w->over);
    (void)pthread_mutex_unlock(&w->lock);
}

realm_status rl_engine_run(rl_engine *e, rl_job *job, realm_error *err)
{
    waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER };
    void (*done)(rl_job *) = job->done;
    realm_status st;

    RL_ASSERT(!pthread_equal(pthread_self(), e->thread)); /* it would wait for itself */
    job->done = run_done;
    job->waiter = &w;
    st = rl_engine_post(e, job, err);
    if (st == REALM_OK) {
        (void)pthread_mutex_lock(&w.lock);
        while (!w.done)
            (void)pthread_cond_wait(&w.over, &w.lock);
        (void)pthread_mutex_unlock(&w.lock);
        st = job->status;
        if (st != REALM_OK)
            st = realm_fail(err, st, "%s", job->err.text);
    }
    job->done = done;
    (void)pthread_mutex_destroy(&w.lock);
    (void)pthread_cond_destroy(&w.over);
    return st;
}
