#include "base/queue.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <pthread.h>
#include <time.h>

struct rl_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    uint32_t cap, head, count, wakes;
    void *items[]; /* [cap] ring */
};

rl_queue *rl_queue_new(uint32_t cap)
{
    rl_queue *q = rl_alloc(sizeof *q + (size_t)cap * sizeof(void *));
    pthread_condattr_t attr;

    if (!q)
        return NULL;
    q->cap = cap;
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&q->filled, &attr);
    (void)pthread_condattr_destroy(&attr);
    return q;
}

void rl_queue_free(rl_queue *q)
{
    if (!q)
        return;
    (void)pthread_cond_destroy(&q->filled);
    (void)pthread_mutex_destroy(&q->lock);
    rl_free(q);
}

realm_status rl_queue_push(rl_queue *q, void *item)
{
    realm_status st = REALM_EBUSY;

    (void)pthread_mutex_lock(&q->lock);
    if (q->count < q->cap) {
        q->items[(q->head + q->count++) % q->cap] = item;
        (void)pthread_cond_signal(&q->filled);
        st = REALM_OK;
    }
    (void)pthread_mutex_unlock(&q->lock);
    return st;
}

/* Waits with the lock held until there is an item, a wake, or the deadline. */
static void wait_filled(rl_queue *q, int64_t wait_ns)
{
    uint64_t end = rl_clock_ns() + (uint64_t)(wait_ns > 0 ? wait_ns : 0);
    struct timespec at = { .tv_sec = (time_t)(end / 1000000000u),
                           .tv_nsec = (long)(end % 1000000000u) };

    while (!q->count && !q->wakes) {
        int rc = wait_ns < 0 ? pthread_cond_wait(&q->filled, &q->lock)
                             : pthread_cond_timedwait(&q->filled, &q->lock, &at);

        if (rc)
            return;
    }
}

void *rl_queue_pop(rl_queue *q, int64_t wait_ns)
{
    void *item = NULL;

    (void)pthread_mutex_lock(&q->lock);
    if (!q->count && wait_ns != 0)
        wait_filled(q, wait_ns);
    if (q->count) {
        item = q->items[q->head];
        q->head = (q->head + 1) % q->cap;
        q->count--;
    } else if (q->wakes) {
        q->wakes--;
    }
    (void)pthread_mutex_unlock(&q->lock);
    return item;
}

void rl_queue_wake(rl_queue *q)
{
    (void)pthread_mutex_lock(&q->lock);
    q->wakes++;
    (void)pthread_cond_signal(&q->filled);
    (void)pthread_mutex_unlock(&q->lock);
}
