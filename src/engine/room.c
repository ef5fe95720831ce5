/* KV room. When the budget is empty: first blocks that are known but of no sequence, then those of
 * sequences without a job, least recently used, then those of jobs junior to the one that asks,
 * youngest first. They keep their ids and are computed again when they go on, to the same bits. So
 * the eldest job always gets what there is. Tainted sequences cannot be computed again and keep
 * their blocks. Engine thread only. */
#include "engine/internal.h"

static bool evictable(const rl_seq *v)
{
    return !v->tainted && v->kv.n_blocks > 0 && !v->run.in_batch && v->run.place != RL_PLACE_LAYERS;
}

static rl_seq *idle_victim(const rl_engine *e)
{
    rl_seq *best = NULL;

    for (rl_seq *v = e->known; v; v = v->known_next)
        if (!v->run.job && evictable(v) && (!best || v->used < best->used))
            best = v;
    return best;
}

/* The youngest that is younger than `order`. */
static rl_seq *junior_victim(const rl_engine *e, uint64_t order, bool paused)
{
    rl_seq *best = NULL;

    for (rl_seq *v = e->known; v; v = v->known_next)
        if (v->run.job && evictable(v) && v->run.order > order &&
            (!paused || v->run.place == RL_PLACE_PAUSED) &&
            (!best || v->run.order > best->run.order))
            best = v;
    return best;
}

static void evict(rl_seq *v)
{
    rl_kv_truncate(&v->kv, 0);
    v->n_computed = 0;
    rl_prefix_leave(v, 0);
}

/* Asked before a job begins: what has no room even alone must not cost others their blocks. */
realm_status rl_room_fits(const rl_seq *s, uint64_t n_tokens, realm_error *err)
{
    if (rl_kv_pool_fits(s->lm->pool, n_tokens))
        return REALM_OK;
    return realm_fail(err, REALM_ENOMEM,
                      "%llu tokens have no KV room in a budget of %zu bytes, even alone: shorten "
                      "the prompt or raise the budget",
                      (unsigned long long)n_tokens, s->engine->opts.kv_bytes);
}

realm_status rl_room_reserve(rl_seq *s, uint32_t from, uint32_t n)
{
    rl_engine *e = s->engine;
    rl_seq *v;

    s->run.waiting = false;
    while (rl_kv_reserve(&s->kv, from, n, &s->run.job->err) != REALM_OK) {
        if (rl_prefix_evict(e))
            continue;
        v = idle_victim(e);
        if (!v)
            v = junior_victim(e, s->run.order, false);
        if (!v) {
            s->run.waiting = true;
            return REALM_EBUSY;
        }
        evict(v);
    }
    return REALM_OK;
}

static rl_seq *eldest_waiter(const rl_engine *e)
{
    rl_seq *best = NULL;

    for (rl_seq *s = e->known; s; s = s->known_next)
        if (s->run.job && s->run.waiting && (!best || s->run.order < best->run.order))
            best = s;
    return best;
}

/* Nothing runs, so nothing will free room by itself. Paused jobs give theirs, whatever their rank;
 * after that the eldest of those that wait has more than there is. */
bool rl_room_unstick(rl_engine *e)
{
    rl_seq *s = eldest_waiter(e), *v;

    if (!s)
        return false;
    v = junior_victim(e, 0, true);
    if (v)
        evict(v);
    else
        rl_job_finish(s, REALM_ENOMEM, RL_FINISH_NONE); /* its err is the reserve's */
    return true;
}
