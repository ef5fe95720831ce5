/* Trace: how a request is known in everybody's logs (W3C Trace Context, traceparent). */
#ifndef RL_SERVER_TRACE_H
#define RL_SERVER_TRACE_H

#include <stdbool.h>

#define RL_TRACE_ID   33 /* 32 digits and a NUL */
#define RL_TRACE_SPAN 17

typedef struct rl_trace {
    char id[RL_TRACE_ID];
    char span[RL_TRACE_SPAN];   /* of the request here */
    char parent[RL_TRACE_SPAN]; /* the caller's; "" when the trace begins here */
} rl_trace;

/* Reads a header's value strictly: version, trace, parent and flags in lower-case hex, none of the
 * three all zero or reserved. -> false: it is none, and out is as it was */
bool rl_trace_parse(const char *traceparent, rl_trace *out);

/* The trace of the request `id`: the caller's when traceparent (NULL: none) is valid, else a new
 * one. Who asks again for the same request is told the same, so nobody has to keep it. */
void rl_trace_of(const char *traceparent, const char *id, rl_trace *out);

#endif
