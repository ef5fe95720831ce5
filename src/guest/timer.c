/* Timers of a worker: a binary heap of its runs, by the time each must be looked at (its deadline,
 * or the end of what it sleeps on). Worker thread only. */
#include "guest/worker.h"

#define NOT_IN UINT32_MAX /* heap_at of a run without a timer; run.c starts with it */

/* Keeps the run's own index true, so that it can be moved from the middle. */
static void put(rl_worker *w, uint32_t i, rl_run *run)
{
    w->heap[i] = run;
    run->heap_at = i;
}

static void sift_up(rl_worker *w, uint32_t i, rl_run *run)
{
    while (i > 0 && w->heap[(i - 1) / 2]->wake_ns > run->wake_ns) {
        put(w, i, w->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(w, i, run);
}

static void sift_down(rl_worker *w, uint32_t i, rl_run *run)
{
    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child + 1 < w->n_heap && w->heap[child + 1]->wake_ns < w->heap[child]->wake_ns)
            child++;
        if (child >= w->n_heap || w->heap[child]->wake_ns >= run->wake_ns)
            break;
        put(w, i, w->heap[child]);
        i = child;
    }
    put(w, i, run);
}

/* The last run takes the empty place and goes up or down from there. */
void rl_timer_remove(rl_worker *w, rl_run *run)
{
    uint32_t i = run->heap_at;
    rl_run *last;

    if (i == NOT_IN)
        return;
    run->heap_at = NOT_IN;
    last = w->heap[--w->n_heap];
    if (last == run)
        return;
    if (i > 0 && w->heap[(i - 1) / 2]->wake_ns > last->wake_ns)
        sift_up(w, i, last);
    else
        sift_down(w, i, last);
}

void rl_timer_set(rl_worker *w, rl_run *run, uint64_t at_ns)
{
    /* The usual case: a run woken early sets its deadline again. */
    if (run->heap_at != NOT_IN && run->wake_ns == at_ns)
        return;
    rl_timer_remove(w, run);
    run->wake_ns = at_ns;
    sift_up(w, w->n_heap++, run);
}

rl_run *rl_timer_due(rl_worker *w, uint64_t now_ns)
{
    rl_run *run = w->n_heap ? w->heap[0] : NULL;

    if (!run || run->wake_ns > now_ns)
        return NULL;
    rl_timer_remove(w, run);
    return run;
}

bool rl_timer_next(const rl_worker *w, uint64_t *at_ns)
{
    if (!w->n_heap)
        return false;
    *at_ns = w->heap[0]->wake_ns;
    return true;
}
