/* Machine: what the run cost, read from /proc, and how many files may be open. */
#ifndef RL_LOAD_MACHINE_H
#define RL_LOAD_MACHINE_H

#include "realm/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct rl_load_machine {
    uint64_t at_ns;
    double own_s;    /* CPU seconds of this process, user and system (getrusage) */
    double busy_s;   /* of the whole machine, idle and iowait left out; 0: not known */
    double server_s; /* of all threads of the server; with has_server */
    uint64_t server_rss, server_peak; /* bytes; 0: not known */
    bool has_server;
} rl_load_machine;

/* pid 0: no server. */
void rl_load_machine_read(rl_load_machine *m, uint32_t pid);

/* Makes room for `need` open files. OK | EQUOTA with what is missing */
realm_status rl_load_machine_files(uint64_t need, realm_error *err) REALM_MUST_USE;

/* How many files may be open at most: the hard limit. */
uint64_t rl_load_machine_most_files(void);

#endif
