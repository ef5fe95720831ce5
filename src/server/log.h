/* Log: what the server writes down, one JSON line for each request and one for each completion.
 * Never a text of a prompt or a reply, never a key's secret: keys are told by their ids. */
#ifndef RL_SERVER_LOG_H
#define RL_SERVER_LOG_H

#include "server/internal.h"

/* Counts it and writes its line. ctx: the rl_server. http thread; never blocks. */
void rl_server_ended(void *ctx, const rl_http_record *rec);

/* A completion whose run is over. */
typedef struct rl_server_run {
    const char *id, *traceparent, *key; /* of its request, as in the record */
    const char *model;
    const char *finish; /* what the guest told: "stop", "length", ...; "" for none */
    const rl_timing *timing;
    const rl_run_result *result;
} rl_server_run;

/* Counts it and writes its line. Any thread; never blocks. */
void rl_server_run_ended(rl_server *s, const rl_server_run *run);

#endif
