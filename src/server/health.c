/* Health: whether the server should be sent requests. The engine says since when it has had work
 * without ending a step; a step that takes longer than anybody should wait is a stall, whatever the
 * reason. */
#include "server/internal.h"

#include "base/clock.h"

#define STALL_SECONDS 30u

bool rl_health_is_stalled(uint64_t work_ns, uint64_t now_ns, uint32_t stall_seconds)
{
    uint64_t most = (uint64_t)(stall_seconds ? stall_seconds : STALL_SECONDS) * 1000000000u;

    return work_ns && now_ns > work_ns && now_ns - work_ns > most;
}

bool rl_health_at(const rl_server *s, uint64_t now_ns, const char **why)
{
    const rl_engine *e = rl_runtime_engine(s->o.runtime);
    rl_engine_stats stats = { .work_ns = 0 };

    if (e)
        rl_engine_get_stats(e, &stats);
    *why = "ok";
    if (atomic_load(&s->draining))
        *why = "draining";
    else if (rl_health_is_stalled(stats.work_ns, now_ns, atomic_load(&s->stall_seconds)))
        *why = "stalled";
    else
        return true;
    return false;
}

bool rl_server_is_ready(const rl_server *s, const char **why)
{
    return rl_health_at(s, rl_clock_ns(), why);
}
