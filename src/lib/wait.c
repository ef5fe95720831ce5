/* Waiting for jobs of the engine on the caller's thread, with somebody who may say stop. */
#include "lib/internal.h"

#include <time.h>

#define LOOK_EVERY_NS 50000000L

typedef struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t pending;
} waiting;

static void job_done(rl_job *job)
{
    waiting *w = job->ctx;

    (void)pthread_mutex_lock(&w->lock);
    w->pending--;
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

static void soon(struct timespec *t)
{
    (void)clock_gettime(CLOCK_MONOTONIC, t);
    t->tv_nsec += LOOK_EVERY_NS;
    if (t->tv_nsec >= 1000000000) {
        t->tv_nsec -= 1000000000;
        t->tv_sec++;
    }
}

/* -> false when the wait was cut off with jobs still pending */
static bool wait_a_little(waiting *w)
{
    struct timespec until;
    bool done;

    soon(&until);
    (void)pthread_mutex_lock(&w->lock);
    while (w->pending && pthread_cond_timedwait(&w->changed, &w->lock, &until) == 0)
        ;
    done = w->pending == 0;
    (void)pthread_mutex_unlock(&w->lock);
    return done;
}

static realm_status init(waiting *w)
{
    pthread_condattr_t attr;

    if (pthread_condattr_init(&attr) != 0)
        return REALM_ENOMEM;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    w->pending = 0;
    if (pthread_mutex_init(&w->lock, NULL) != 0 || pthread_cond_init(&w->changed, &attr) != 0)
        return REALM_ENOMEM;
    (void)pthread_condattr_destroy(&attr);
    return REALM_OK;
}

/* Posts job after job. -> how many the engine took; *st says why not all. */
static uint32_t post_all(rl_engine *e, waiting *w, rl_job *jobs, uint32_t n, realm_status *st,
                         realm_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        jobs[i].ctx = w;
        jobs[i].done = job_done;
        (void)pthread_mutex_lock(&w->lock);
        w->pending++;
        (void)pthread_mutex_unlock(&w->lock);
        *st = rl_engine_post(e, &jobs[i], err);
        if (*st != REALM_OK) {
            (void)pthread_mutex_lock(&w->lock);
            w->pending--;
            (void)pthread_mutex_unlock(&w->lock);
            return i;
        }
    }
    return n;
}

static void cancel_all(rl_engine *e, rl_job *jobs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        rl_engine_cancel(e, &jobs[i]);
}

realm_status rl_lib_run_jobs(rl_engine *e, rl_job *jobs, uint32_t n, rl_lib_step *step,
                             realm_error *err)
{
    waiting w;
    realm_status st = init(&w);
    bool stopping = false;
    uint32_t posted;

    if (st != REALM_OK)
        return realm_fail(err, st, "no memory to wait for the engine");
    posted = post_all(e, &w, jobs, n, &st, err);
    if (posted < n)
        cancel_all(e, jobs, posted);
    while (!wait_a_little(&w)) {
        if (!stopping && step && rl_lib_progress(step, step->done, step->total)) {
            stopping = true;
            cancel_all(e, jobs, posted);
        }
    }
    (void)pthread_cond_destroy(&w.changed);
    (void)pthread_mutex_destroy(&w.lock);
    for (uint32_t i = 0; st == REALM_OK && i < n; i++) {
        if (jobs[i].status != REALM_OK)
            st = realm_fail(err, jobs[i].status, "%s", jobs[i].err.text);
    }
    return stopping && st == REALM_ECANCELLED ? realm_fail(err, st, "stopped") : st;
}
