/* Client: one connection and the request that is under way on it. Never blocks.
 *
 * 1. A connection whose answer ended well is kept for the next request. If the server closed it
 *    meanwhile, before a byte of the answer, the request goes out once more on a new one.
 * 2. Everything that the server sends is checked; what is wrong ends the request with a reason.
 * 3. A request ends exactly once: start, ready, read_some or fail answers true then, and the result
 *    is complete. */
#ifndef RL_LOAD_CLIENT_H
#define RL_LOAD_CLIENT_H

#include "load/hist.h"
#include "load/http.h"
#include "load/result.h"
#include "load/sse.h"
#include "load/url.h"

#include <stdbool.h>
#include <stdint.h>

#define RL_LOAD_IN_BYTES   (64u << 10)
#define RL_LOAD_PLAIN_MAX  (16u << 20) /* a plain answer */
#define RL_LOAD_REFUSE_MAX (64u << 10) /* the body of an answer other than 200; more is dropped */

typedef struct rl_load_counts {
    uint64_t bytes_in, bytes_out, connects;
    uint64_t again; /* requests sent once more: the kept connection had been closed */
    uint64_t stray; /* times that bytes came which no request asked for */
    uint64_t events, texts;
} rl_load_counts;

/* What all clients share. */
typedef struct rl_load_wire {
    rl_load_addr addr;
    int ep;             /* the epoll set; a client's events carry its address */
    bool plain;         /* no streams */
    rl_load_hist *gaps; /* borrowed; or NULL: not measured yet */
    rl_load_counts count;
    char in[RL_LOAD_IN_BYTES];
} rl_load_wire;

typedef enum rl_load_kind { RL_LOAD_GOOD, RL_LOAD_IDLE, RL_LOAD_SLOW } rl_load_kind;

typedef enum rl_load_client_state {
    RL_LOAD_CLIENT_RESTING, /* no request; the connection may be open */
    RL_LOAD_CLIENT_CONNECTING,
    RL_LOAD_CLIENT_SENDING,
    RL_LOAD_CLIENT_READING
} rl_load_client_state;

typedef struct rl_load_client {
    rl_load_wire *wire; /* borrowed */
    rl_load_kind kind;
    rl_load_client_state state;
    int fd;           /* or -1 */
    uint32_t watched; /* the events asked for */
    bool reused;      /* the request went out on a kept connection */
    bool got_byte;    /* of this answer */
    bool done;        /* [DONE] was seen */
    bool opened;      /* for the caller: it was seen to stream */
    uint64_t started_ns;
    rl_buf out; /* owned; the request, for the caller to write */
    size_t n_sent;
    rl_buf body;       /* owned; of an answer that is no stream */
    rl_load_http http; /* owned */
    rl_load_sse sse;   /* owned */
    rl_load_result result;
} rl_load_client;

void rl_load_client_init(rl_load_client *c, rl_load_wire *wire, rl_load_kind kind);
void rl_load_client_deinit(rl_load_client *c);

/* Sends what is in c->out. The client rests. -> whether the request ended already (it failed) */
bool rl_load_client_start(rl_load_client *c, uint64_t intended_ns, uint32_t max_tokens);

/* epoll's events of this client. -> whether its request ended now */
bool rl_load_client_ready(rl_load_client *c, uint32_t events);

/* Reads at most `most` bytes, whether they were announced or not: slow clients. The same answer. */
bool rl_load_client_read_some(rl_load_client *c, size_t most);

/* Ends the request that is under way, and the connection. -> true */
bool rl_load_client_fail(rl_load_client *c, rl_load_reason reason, const char *why);

#endif
