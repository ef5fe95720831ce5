/* Loop: drives the clients of a run, one thread, one epoll set.
 *
 * 1. First the idle and slow clients are opened, a few at a time. Then the measured time begins:
 * all that the totals count is between `from` and `to`.
 * 2. Closed loop: a client sends when its last request ended. Open loop: requests have an intended
 *    time, and every latency counts from it, also when no connection or time was left to send them
 *    then (coordinated omission).
 * 3. After the last send, requests under way are waited for, at most --timeout each. */
#ifndef RL_LOAD_LOOP_H
#define RL_LOAD_LOOP_H

#include "load/args.h"
#include "load/bodies.h"
#include "load/client.h"
#include "load/machine.h"
#include "load/stats.h"

#include <signal.h>

typedef struct rl_load_totals {
    rl_load_machine from, opened,
        to;               /* opened: with all idle and slow clients, before the others */
    rl_load_counts count; /* of the measured time */
    uint64_t wall_ns;     /* to the last end of a request */
    uint32_t idle_streams, idle_connections; /* still there at the end */
    uint32_t slow_streams;
    bool stopped; /* broken off by a signal */
} rl_load_totals;

typedef struct rl_load_plan {
    const rl_load_options *o;
    rl_load_addr addr;
    const rl_load_bodies *bodies;
    const rl_load_bodies *idle_bodies;
    uint32_t n_good;                   /* clients of the measured load */
    const volatile sig_atomic_t *stop; /* set by a signal */
} rl_load_plan;                        /* borrowed, all of it */

/* How many clients the measured load has: open loop takes fewer than --max-clients when files do
 * not suffice. */
uint32_t rl_load_loop_clients(const rl_load_options *o);

/* s: zeroed, with good_ns set. OK | ENOMEM | EQUOTA | EIO */
realm_status rl_load_loop_run(const rl_load_plan *plan, rl_load_stats *s, rl_load_totals *t,
                              realm_error *err) REALM_MUST_USE;

#endif
