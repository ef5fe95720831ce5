#include "load/timers.h"

#include "base/alloc.h"
#include "base/assert.h"

bool rl_load_timers_init(rl_load_timers *t, uint32_t cap)
{
    *t = (rl_load_timers){ .heap = rl_alloc_array(cap, sizeof *t->heap), .cap = cap };
    return t->heap != NULL;
}

void rl_load_timers_deinit(rl_load_timers *t)
{
    rl_free(t->heap);
    *t = (rl_load_timers){ .heap = NULL };
}

static void swap(rl_load_timer *a, rl_load_timer *b)
{
    rl_load_timer x = *a;

    *a = *b;
    *b = x;
}

void rl_load_timers_add(rl_load_timers *t, uint64_t at_ns, uint32_t client)
{
    uint32_t i = t->n++;

    RL_ASSERT(t->n <= t->cap);
    t->heap[i] = (rl_load_timer){ at_ns, client };
    for (; i && t->heap[i].at_ns < t->heap[(i - 1) / 2].at_ns; i = (i - 1) / 2)
        swap(&t->heap[i], &t->heap[(i - 1) / 2]);
}

uint64_t rl_load_timers_next(const rl_load_timers *t)
{
    return t->n ? t->heap[0].at_ns : UINT64_MAX;
}

uint32_t rl_load_timers_take(rl_load_timers *t)
{
    uint32_t first = t->heap[0].client;

    RL_ASSERT(t->n > 0);
    t->heap[0] = t->heap[--t->n];
    for (uint32_t i = 0;;) {
        uint32_t least = i;

        for (uint32_t kid = 2 * i + 1; kid <= 2 * i + 2 && kid < t->n; kid++) {
            if (t->heap[kid].at_ns < t->heap[least].at_ns)
                least = kid;
        }
        if (least == i)
            return first;
        swap(&t->heap[i], &t->heap[least]);
        i = least;
    }
}
