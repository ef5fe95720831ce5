/* Result: how one request ended, and the table of the ways. */
#ifndef RL_LOAD_RESULT_H
#define RL_LOAD_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, key in the report, what it means) */
#define RL_LOAD_REASON_MAP(X)                                                                      \
    X(OK, "ok", "complete")                                                                        \
    X(REJECTED, "rejected", "429 or 503")                                                          \
    X(STATUS, "status", "another status than 200")                                                 \
    X(CONNECT, "connect", "no connection")                                                         \
    X(RESET, "reset", "the connection broke")                                                      \
    X(CUT, "cut", "the connection ended inside an answer")                                         \
    X(HTTP, "bad_http", "malformed HTTP")                                                          \
    X(NOT_STREAM, "not_a_stream", "a stream was asked for, another type came")                     \
    X(EVENT, "bad_event", "an event or body that is not what the API has")                         \
    X(TOO_LONG, "too_long", "an event or body over its limit")                                     \
    X(ERROR, "error_event", "an error inside a stream")                                            \
    X(NO_DONE, "no_done", "a stream without [DONE]")                                               \
    X(TIMEOUT, "timeout", "not complete within --timeout")                                         \
    X(NO_CLIENT, "no_client", "open loop: all clients were busy")                                  \
    X(STOPPED, "stopped", "the run was broken off")

typedef enum rl_load_reason {
#define RL_LOAD_REASON_ENUM(name, key, text) RL_LOAD_##name,
    RL_LOAD_REASON_MAP(RL_LOAD_REASON_ENUM)
#undef RL_LOAD_REASON_ENUM
        RL_LOAD_REASONS
} rl_load_reason;

typedef struct rl_load_result {
    rl_load_reason reason;
    int status; /* 0: no answer */
    bool retry_after;
    bool has_usage;
    uint64_t intended_ns, first_ns, last_ns, end_ns; /* first, last: of text; 0: none */
    uint64_t prompt_tokens, completion_tokens;       /* with has_usage */
    uint32_t max_tokens;
    uint32_t n_events, n_texts; /* JSON events; those of them that brought text */
    char why[160];              /* what the server said, or what was wrong; "" for OK */
} rl_load_result;

const char *rl_load_reason_key(rl_load_reason r);
const char *rl_load_reason_text(rl_load_reason r);

/* Sets r->why: printable ASCII, whatever the server said. */
void rl_load_result_say(rl_load_result *r, const char *why);

#endif
