#include "server/admission.h"

#include "base/assert.h"

#define SMOOTH    16u /* requests */
#define SPREADS   2u  /* so far above the mean are few: about one of 20 (normally spread) */
#define UNKNOWN   4u  /* so many may go while nobody knows what one takes */
#define SECOND_NS 1000000000u

void rl_admission_init(rl_admission *a, uint64_t most_ns)
{
    *a = (rl_admission){ .most_ns = most_ns };
    (void)pthread_mutex_init(&a->lock, NULL);
}

void rl_admission_deinit(rl_admission *a)
{
    (void)pthread_mutex_destroy(&a->lock);
}

void rl_admission_set(rl_admission *a, uint64_t most_ns)
{
    (void)pthread_mutex_lock(&a->lock);
    a->most_ns = most_ns;
    (void)pthread_mutex_unlock(&a->lock);
}

/* With the lock. Two threads may come in another order than they read the engine's time. */
static void look(rl_admission *a, rl_admission_load now)
{
    if (now.busy_ns <= a->busy_ns)
        return;
    if (a->n_computing > 0)
        a->v_ns += (now.busy_ns - a->busy_ns) / a->n_computing;
    a->busy_ns = now.busy_ns;
}

/* With the lock, after somebody came or went. */
static void count(rl_admission *a, uint32_t jobs)
{
    uint64_t at_work = (uint64_t)jobs + a->n_young;

    a->n_computing = at_work < a->n ? (uint32_t)at_work : a->n;
}

/* With the lock: how much later than allowed one more would end; 0: in time. One alone is always
 * let in, or nothing would ever be measured again. */
static uint64_t late_ns(const rl_admission *a)
{
    uint64_t takes = (a->n_computing + (uint64_t)1) * (a->cost_ns + SPREADS * a->spread_ns);

    if (!a->most_ns || a->n_computing == 0)
        return 0;
    if (!a->cost_ns)
        return a->n_computing < UNKNOWN ? 0 : 1;
    return takes > a->most_ns ? takes - a->most_ns : 0;
}

bool rl_admission_begin(rl_admission *a, rl_admission_load now, uint64_t *v_ns, uint32_t *retry_s)
{
    uint64_t late;

    (void)pthread_mutex_lock(&a->lock);
    look(a, now);
    count(a, now.jobs);
    late = late_ns(a);
    *v_ns = a->v_ns;
    *retry_s = (uint32_t)((late + SECOND_NS - 1) / SECOND_NS);
    a->n += late == 0;
    a->n_young += late == 0;
    count(a, now.jobs);
    (void)pthread_mutex_unlock(&a->lock);
    return late == 0;
}

void rl_admission_started(rl_admission *a)
{
    (void)pthread_mutex_lock(&a->lock);
    RL_ASSERT(a->n_young > 0);
    a->n_young--;
    (void)pthread_mutex_unlock(&a->lock);
}

/* With the lock. The first one's own spread is not known. */
static void learn(rl_admission *a, uint64_t took)
{
    uint64_t off = took > a->cost_ns ? took - a->cost_ns : a->cost_ns - took;

    if (!a->cost_ns) {
        a->cost_ns = took;
        return;
    }
    a->spread_ns = (a->spread_ns * (SMOOTH - 1) + off) / SMOOTH;
    a->cost_ns = (a->cost_ns * (SMOOTH - 1) + took) / SMOOTH;
}

void rl_admission_end(rl_admission *a, rl_admission_load now, uint64_t v_ns, bool started)
{
    (void)pthread_mutex_lock(&a->lock);
    look(a, now);
    RL_ASSERT(a->n > 0 && v_ns <= a->v_ns);
    a->n--;
    a->n_young -= !started;
    count(a, now.jobs);
    learn(a, a->v_ns - v_ns);
    (void)pthread_mutex_unlock(&a->lock);
}

uint64_t rl_admission_cost(rl_admission *a)
{
    uint64_t cost;

    (void)pthread_mutex_lock(&a->lock);
    cost = a->cost_ns;
    (void)pthread_mutex_unlock(&a->lock);
    return cost;
}
