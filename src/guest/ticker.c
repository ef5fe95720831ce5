/* Ticker: one thread that raises wasmtime's epoch every millisecond while some worker computes in a
 * guest. It goes to sleep after a while without any, so an idle system has no timer. */
#include "guest/runtime.h"

#include "base/thread.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define TICK_NS    1000000L
#define IDLE_TICKS 50u

/* Sleeps until a worker enters a guest. The flag and the counter are sequentially consistent:
 * either the worker sees `asleep` or this sees the worker. */
static void sleep_idle(rl_ticker *t)
{
    (void)pthread_mutex_lock(&t->lock);
    atomic_store(&t->asleep, true);
    while (!atomic_load(&t->stop) && atomic_load(&t->computing) == 0)
        (void)pthread_cond_wait(&t->wanted, &t->lock);
    atomic_store(&t->asleep, false);
    (void)pthread_mutex_unlock(&t->lock);
}

/* The epoch also rises for a while after the last guest has left: starting a timer costs more than
 * some idle ticks. */
static void *ticker_main(void *arg)
{
    rl_ticker *t = arg;
    struct timespec tick = { .tv_nsec = TICK_NS };
    uint32_t idle = 0;

    rl_thread_name("ticker", 0);
    while (!atomic_load(&t->stop)) {
        /* A late tick is no harm: it only lets a guest compute a little longer. */
        (void)nanosleep(&tick, NULL);
        wasmtime_engine_increment_epoch(t->wasm);
        idle = atomic_load(&t->computing) ? 0 : idle + 1;
        if (idle >= IDLE_TICKS) {
            sleep_idle(t);
            idle = 0;
        }
    }
    return NULL;
}

realm_status rl_ticker_start(rl_ticker *t, const wasm_engine_t *wasm, realm_error *err)
{
    int rc;

    t->wasm = wasm;
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->wanted, NULL);
    rc = pthread_create(&t->thread, NULL, ticker_main, t);
    t->started = rc == 0;
    if (rc != 0)
        return realm_fail(err, REALM_ENOMEM, "no thread for the ticker: %s", strerror(rc));
    return REALM_OK;
}

static void wake(rl_ticker *t)
{
    (void)pthread_mutex_lock(&t->lock);
    (void)pthread_cond_signal(&t->wanted);
    (void)pthread_mutex_unlock(&t->lock);
}

void rl_ticker_stop(rl_ticker *t)
{
    if (!t->started)
        return;
    atomic_store(&t->stop, true);
    wake(t);
    (void)pthread_join(t->thread, NULL);
    (void)pthread_cond_destroy(&t->wanted);
    (void)pthread_mutex_destroy(&t->lock);
    t->started = false;
}

/* The counter first, then the flag: see sleep_idle. */
void rl_ticker_enter(rl_ticker *t)
{
    atomic_fetch_add(&t->computing, 1);
    if (atomic_load(&t->asleep))
        wake(t);
}

void rl_ticker_leave(rl_ticker *t)
{
    atomic_fetch_sub(&t->computing, 1);
}
