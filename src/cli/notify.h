/* Notify: what a service manager is told about the life of a server (systemd's protocol: datagrams
 * to the socket that NOTIFY_SOCKET names, by path or, after @, in the abstract namespace). Without
 * one, nothing happens. One thread. */
#ifndef RL_CLI_NOTIFY_H
#define RL_CLI_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Sends lines like "READY=1"; never blocks. -> whether a manager got them */
bool rl_notify(const char *lines);
/* That settings are being read again; rl_notify("READY=1") says when it is over. */
bool rl_notify_reloading(void);

/* How often the manager wants to hear "WATCHDOG=1", in nanoseconds; 0: not at all. */
uint64_t rl_notify_watchdog_ns(void);

#endif
