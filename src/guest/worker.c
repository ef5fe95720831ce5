/* A worker: one look at a run after the other, each at most a millisecond in its guest. A run is in
 * the ready queue once at most and has one timer. */
#include "guest/worker.h"

#include "guest/entry.h"
#include "guest/models.h"
#include "guest/runtime.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define WORKER_NICE  5
#define WORKER_STACK ((size_t)2 << 20)

/* ---- the run queue --------------------------------------------------------------------------- */

/* The queue holds a reference to each run in it. */
void rl_run_wake(rl_run *run)
{
    rl_worker *w = run->worker;

    (void)pthread_mutex_lock(&w->lock);
    /* Already queued is enough: the look to come sees whatever this wake is about. */
    if (!run->queued) {
        rl_run_ref(run);
        run->queued = true;
        run->next_ready = NULL;
        if (w->tail)
            w->tail->next_ready = run;
        else
            w->head = run;
        w->tail = run;
        (void)pthread_cond_signal(&w->filled);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* With the lock: until a run is woken or the first timer is due. */
static void wait_ready(rl_worker *w)
{
    uint64_t at_ns;
    struct timespec at;

    if (!rl_timer_next(w, &at_ns)) {
        (void)pthread_cond_wait(&w->filled, &w->lock);
        return;
    }
    at = (struct timespec){ .tv_sec = (time_t)(at_ns / 1000000000u),
                            .tv_nsec = (long)(at_ns % 1000000000u) };
    (void)pthread_cond_timedwait(&w->filled, &w->lock, &at);
}

/* The next run to look at. *stop: none is left and none will come. NULL: a timer may be due. */
static rl_run *next_run(rl_worker *w, bool *stop)
{
    rl_run *run;

    (void)pthread_mutex_lock(&w->lock);
    if (!w->head && !w->stop)
        wait_ready(w);
    run = w->head;
    if (run) {
        w->head = run->next_ready;
        if (!w->head)
            w->tail = NULL;
        /* Before the look, not after it: a wake during the look must queue it again. */
        run->queued = false;
    }
    *stop = !run && w->stop;
    (void)pthread_mutex_unlock(&w->lock);
    return run;
}

/* ---- the end of a run ------------------------------------------------------------------------ */

/* The guest first: its future, then its store. Then what the host kept for it. */
static void drop_guest(rl_run *run)
{
    rl_call *c = &run->call;

    if (c->parked && c->abandon)
        c->abandon(c);
    c->parked = false;
    rl_emit_drop(run);
    rl_entry_deinit(run);
    rl_models_deinit(run);
    rl_handles_deinit(&run->handles);
    if (run->wasi_free)
        run->wasi_free(run->wasi);
    run->wasi = NULL;
}

/* The place is free once the store is: a new run finds a slot in the pool. */
static void count_run(rl_run *run)
{
    rl_runtime *rt = run->rt;

    run->result.wall_ns = rl_clock_ns() - run->start_ns;
    run->result.http_status = atomic_load(&run->http_status);
    atomic_fetch_add(&rt->host_calls, run->result.host_calls);
    atomic_fetch_add(&rt->traps, run->result.trapped);
    atomic_fetch_add(&rt->ended[run->result.limit], 1);
    atomic_fetch_add(&rt->runs_done, 1);
    atomic_fetch_sub(&rt->live, 1);
}

/* Tells the outside. After `released` the notify target and the runtime may be gone. */
static void release(rl_run *run)
{
    atomic_store(&run->done, true);
    rl_reply_close(&run->reply);
    /* After `done`: who is told finds the result. Before `released`: rl_run_close keeps the target
     * alive until then. */
    if (run->notify)
        run->notify(run->notify_ctx);
    (void)pthread_mutex_lock(&run->reply.lock);
    run->released = true;
    (void)pthread_cond_broadcast(&run->reply.filled);
    (void)pthread_mutex_unlock(&run->reply.lock);
    rl_run_unref(run);
}

/* The end of every run, however it came. */
static void finish(rl_worker *w, rl_run *run)
{
    rl_timer_remove(w, run);
    drop_guest(run);
    count_run(run);
    run->phase = RL_PHASE_OVER;
    release(run);
}

/* ---- one look at a run ----------------------------------------------------------------------- */

/* In the order of what a caller would rather hear. */
static void check_limits(rl_run *run, uint64_t now)
{
    if (atomic_load(&run->cancelled)) {
        rl_run_end(run, REALM_ECANCELLED, "cancelled");
    } else if (now >= run->deadline_ns) {
        rl_run_limit(run, RL_LIMIT_TIME);
        rl_run_end(run, REALM_ETIMEOUT, "time limit of %llu ms reached",
                   (unsigned long long)run->max_time_ms);
    } else if (run->result.cpu_ns > run->max_cpu_ms * 1000000u) {
        rl_run_limit(run, RL_LIMIT_CPU);
        rl_run_end(run, REALM_EQUOTA, "CPU limit of %llu ms reached",
                   (unsigned long long)run->max_cpu_ms);
    }
}

/* Asks a parked call whether it is over. -> true: the guest may go on, or the run has ended */
static bool resume(rl_run *run)
{
    rl_call *c = &run->call;
    int64_t r;

    if (!c->parked)
        return true;
    r = c->resume(c);
    if (r == RL_PARKED)
        return false;
    c->parked = false;
    c->result = r;
    return true;
}

/* Every run that waits has one: its deadline at the latest. */
static void set_timer(rl_worker *w, rl_run *run)
{
    uint64_t at = run->deadline_ns;

    if (run->call.parked && run->call.wake_ns && run->call.wake_ns < at)
        at = run->call.wake_ns;
    rl_timer_set(w, run, at);
}

/* CPU is charged for the whole look, the host's part of calls included. */
static void compute(rl_worker *w, rl_run *run)
{
    uint64_t cpu = rl_clock_thread_cpu_ns();
    rl_step step = RL_STEP_WAIT;

    /* Only inside a guest does the ticker have to run: waiting costs no timer. */
    if (resume(run)) {
        rl_ticker_enter(&w->rt->ticker);
        step = run->ended ? RL_STEP_OVER : rl_entry_step(run);
        rl_ticker_leave(&w->rt->ticker);
    }
    cpu = rl_clock_thread_cpu_ns() - cpu;
    run->result.cpu_ns += cpu;
    atomic_fetch_add_explicit(&w->rt->cpu_ns, cpu, memory_order_relaxed);
    check_limits(run, rl_clock_ns());
    if (step == RL_STEP_OVER || run->ended)
        finish(w, run);
    else if (step == RL_STEP_AGAIN)
        rl_run_wake(run);
    else
        set_timer(w, run);
    /* Once per look, however many pieces it added: a reader that is called for each would do
     * nothing else. */
    if (run->phase != RL_PHASE_OVER && run->notify && rl_reply_take_news(&run->reply))
        run->notify(run->notify_ctx);
}

/* One run's turn. It ends after at most a millisecond in the guest (the epoch), or when it waits.
 */
static void look_at(rl_worker *w, rl_run *run)
{
    bool was_parked = run->call.parked;

    if (run->phase == RL_PHASE_OVER)
        return; /* a wake that came late */
    check_limits(run, rl_clock_ns());
    if (run->ended)
        finish(w, run);
    else
        compute(w, run);
    if (run->call.parked && !was_parked)
        atomic_fetch_add(&w->rt->parked, 1);
    else if (!run->call.parked && was_parked)
        atomic_fetch_sub(&w->rt->parked, 1);
}

/* Polls what is due, a parked call's timer or a deadline. */
static void fire_timers(rl_worker *w)
{
    uint64_t now = rl_clock_ns();
    rl_run *run;

    while ((run = rl_timer_due(w, now)) != NULL)
        rl_run_wake(run);
}

static void *worker_main(void *arg)
{
    rl_worker *w = arg;
    bool stop = false;

    rl_thread_name("guest", (uint32_t)(w - w->rt->workers) + 1);
    realm_thread_init();                             /* not first on some guest's stack */
    (void)setpriority(PRIO_PROCESS, 0, WORKER_NICE); /* of this thread, on Linux */
    while (!stop) {
        rl_run *run = next_run(w, &stop);

        if (run) {
            look_at(w, run);
            rl_run_unref(run);
        }
        /* After a look too: a busy worker never comes to wait, and deadlines must fire all the
         * same. */
        if (w->n_heap)
            fire_timers(w);
    }
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Timers are monotonic: so is the condition variable that waits for them. */
static void init_locks(rl_worker *w)
{
    pthread_condattr_t attr;

    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->filled, &attr);
    (void)pthread_condattr_destroy(&attr);
}

realm_status rl_worker_start(rl_worker *w, rl_runtime *rt, uint32_t cap, realm_error *err)
{
    pthread_attr_t attr;
    int rc;

    w->rt = rt;
    w->cap = cap;
    w->heap = rl_alloc_array(cap, sizeof(rl_run *));
    if (!w->heap || pthread_attr_init(&attr) != 0)
        return realm_fail(err, REALM_ENOMEM, "no memory for a guest worker");
    init_locks(w);
    (void)pthread_attr_setstacksize(&attr, WORKER_STACK);
    rc = pthread_create(&w->thread, &attr, worker_main, w);
    w->started = rc == 0;
    (void)pthread_attr_destroy(&attr);
    if (rc != 0)
        return realm_fail(err, REALM_ENOMEM, "no thread for a guest worker: %s", strerror(rc));
    return REALM_OK;
}

void rl_worker_stop(rl_worker *w)
{
    if (w->started) {
        (void)pthread_mutex_lock(&w->lock);
        w->stop = true;
        (void)pthread_cond_signal(&w->filled);
        (void)pthread_mutex_unlock(&w->lock);
        (void)pthread_join(w->thread, NULL);
        (void)pthread_cond_destroy(&w->filled);
        (void)pthread_mutex_destroy(&w->lock);
        w->started = false;
    }
    rl_free(w->heap);
    w->heap = NULL;
}
