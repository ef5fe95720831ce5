#include "base/work.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/thread.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPIN_NS 30000u

typedef struct worker {
    rl_work *pool;
    pthread_t thread;
    uint32_t index;
} worker;

/* One region at a time. `epoch` is raised to start it; each helper adds one to `finished` when the
 * counter has run out. The caller reuses the fields only after all helpers finished. */
struct rl_work {
    uint32_t n_threads;
    _Atomic bool stop;
    rl_work_fn fn;
    void *ctx;
    uint32_t n_items;
    _Alignas(64) _Atomic uint32_t next;     /* first unclaimed item */
    _Alignas(64) _Atomic uint32_t epoch;    /* futex of the sleeping helpers */
    _Alignas(64) _Atomic uint32_t finished; /* futex of the waiting caller */
    _Atomic uint32_t sleepers;
    worker workers[];
};

static void futex_wait(_Atomic uint32_t *at, uint32_t seen)
{
    (void)syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *at)
{
    (void)syscall(SYS_futex, at, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void claim_items(rl_work *w, uint32_t index)
{
    for (;;) {
        uint32_t item = atomic_fetch_add_explicit(&w->next, 1, memory_order_relaxed);

        if (item >= w->n_items)
            return;
        w->fn(w->ctx, item, index);
    }
}

/* Spins for SPIN_NS, then sleeps, until *at is no longer `seen`. */
static uint32_t wait_change(rl_work *w, _Atomic uint32_t *at, uint32_t seen)
{
    uint64_t end = rl_clock_ns() + SPIN_NS;
    uint32_t now;

    for (uint32_t i = 0; (now = atomic_load_explicit(at, memory_order_acquire)) == seen; i++) {
        pause_cpu();
        if (i % 64 != 63 || rl_clock_ns() < end)
            continue;
        atomic_fetch_add(&w->sleepers, 1);
        futex_wait(at, seen);
        atomic_fetch_sub(&w->sleepers, 1);
    }
    return now;
}

static void *worker_main(void *arg)
{
    worker *me = arg;
    rl_work *w = me->pool;
    uint32_t epoch = 0;

    rl_thread_name("work", me->index);
    for (;;) {
        epoch = wait_change(w, &w->epoch, epoch);
        if (atomic_load(&w->stop))
            return NULL;
        claim_items(w, me->index);
        atomic_fetch_add(&w->finished, 1);
        if (atomic_load(&w->sleepers))
            futex_wake(&w->finished);
    }
}

static void stop_threads(rl_work *w, uint32_t started)
{
    atomic_store(&w->stop, true);
    atomic_fetch_add(&w->epoch, 1);
    futex_wake(&w->epoch);
    for (uint32_t i = 1; i < started; i++)
        (void)pthread_join(w->workers[i].thread, NULL);
}

rl_work *rl_work_new(uint32_t n_threads)
{
    rl_work *w;

    RL_ASSERT(n_threads >= 1 && n_threads <= 64);
    w = rl_alloc_aligned(64, sizeof *w + n_threads * sizeof(worker));
    if (!w)
        return NULL;
    w->n_threads = n_threads;
    for (uint32_t i = 1; i < n_threads; i++) {
        w->workers[i] = (worker){ .pool = w, .index = i };
        if (pthread_create(&w->workers[i].thread, NULL, worker_main, &w->workers[i])) {
            stop_threads(w, i);
            rl_free(w);
            return NULL;
        }
    }
    return w;
}

void rl_work_free(rl_work *w)
{
    if (!w)
        return;
    stop_threads(w, w->n_threads);
    rl_free(w);
}

uint32_t rl_work_threads(const rl_work *w)
{
    return w->n_threads;
}

void rl_work_run(rl_work *w, uint32_t n_items, rl_work_fn fn, void *ctx)
{
    uint32_t helpers = w->n_threads - 1, done;

    if (helpers == 0 || n_items < 2) {
        for (uint32_t i = 0; i < n_items; i++)
            fn(ctx, i, 0);
        return;
    }
    w->fn = fn;
    w->ctx = ctx;
    w->n_items = n_items;
    atomic_store_explicit(&w->finished, 0, memory_order_relaxed);
    atomic_store_explicit(&w->next, 0, memory_order_relaxed);
    atomic_fetch_add(&w->epoch, 1);
    if (atomic_load(&w->sleepers))
        futex_wake(&w->epoch);
    claim_items(w, 0);
    while ((done = atomic_load_explicit(&w->finished, memory_order_acquire)) < helpers)
        (void)wait_change(w, &w->finished, done);
}
