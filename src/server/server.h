/* Server: OpenAI's API over HTTP. Every completion is a run of a guest; the server translates.
 *
 * 1. The http thread looks who calls and which route is meant, and moves text from a run's reply to
 *    its client. The intake thread does what takes longer: JSON of requests, starting and closing
 * of runs, whole answers.
 * 2. No inference starts outside a guest. The server knows no sockets and no models.
 * 3. A client that leaves cancels its run. A client that does not read fills the run's reply, and
 * the guest waits.
 * 4. Failures have OpenAI's shape; their HTTP status is that of the error table. */
#ifndef RL_SERVER_SERVER_H
#define RL_SERVER_SERVER_H

#include "guest/guest.h"
#include "store/store.h"

typedef struct rl_server rl_server;

typedef enum rl_server_keys {
    RL_SERVER_KEYS_AUTO, /* needed when there is one, or when others than this machine can call */
    RL_SERVER_KEYS_YES,
    RL_SERVER_KEYS_NO, /* only on a loopback address */
} rl_server_keys;

/* The programs behind the API, borrowed: completions of every kind, embeddings (bytes of floats),
 * and the texts and ids of /tokenize and /detokenize. */
typedef struct rl_server_programs {
    rl_program *chat, *embed, *tokenize, *detokenize;
} rl_server_programs;

typedef struct rl_server_opts {
    const char *address; /* NULL: 127.0.0.1 */
    uint16_t port;       /* 0: any free one */
    const char *home;    /* of the registry: keys and names of models */
    rl_runtime *runtime; /* borrowed; outlives the server */
    rl_server_programs builtin;
    /* Loads an installed program; *out is a reference. Called for each of them by rl_server_start,
     * and on the intake thread for those installed later: then it should not have to compile.
     * -> OK | ENOTFOUND | ... NULL: there are none */
    realm_status (*load)(void *ctx, const char *name, rl_program **out, realm_error *err);
    void *ctx;
    rl_server_keys keys;
    const char *const *hosts; /* [n_hosts] names a request's Host may have */
    size_t n_hosts;
    const char *const *origins; /* [n_origins] origins of pages that may call */
    size_t n_origins;
    uint32_t max_connections, max_connections_per_ip; /* 0: the http room's */
    size_t max_body;                                  /* 0: 1 MiB */
    uint32_t max_latency_ms; /* what would be answered later is refused at once; 0: nothing is */
    uint32_t stall_seconds;  /* work without a step for so long: not ready; 0: 30 */
} rl_server_opts;

/* Texts are copied. -> OK | EAUTH (keys are needed and there is none) | EIO (the address) | ... */
realm_status rl_server_start(rl_server **out, const rl_server_opts *opts,
                             realm_error *err) REALM_MUST_USE;
uint16_t rl_server_port(const rl_server *s);
/* Applies keys, hosts, origins, max_body, max_latency_ms and stall_seconds of `opts` as one, from
 * the next request on; keys are counted anew. On failure all is as before. Any thread but the http
 * thread. -> OK | as rl_server_start */
realm_status rl_server_reload(rl_server *s, const rl_server_opts *opts,
                              realm_error *err) REALM_MUST_USE;
/* Whether it takes requests and its engine makes steps. *why: a word for the reason (constant);
 * "ok" when it is. Any thread. */
bool rl_server_is_ready(const rl_server *s, const char **why);

/* No new connections, not ready any more; what runs goes on. */
void rl_server_drain(rl_server *s);
bool rl_server_idle(const rl_server *s); /* no answer is under way */
void rl_server_free(rl_server *s);       /* ends what runs. NULL is fine */

/* What can be asked for, constant: endpoint i of all, in the order of a list for people. */
typedef struct rl_server_endpoint {
    const char *method, *path;
    bool named; /* a name follows the path */
    const char *text;
} rl_server_endpoint;
bool rl_server_endpoint_at(size_t i, rl_server_endpoint *out); /* -> false: there is none */

/* ---- what it does now: any thread ---- */

typedef struct rl_server_status {
    uint32_t running, waiting; /* sequences */
    uint32_t answers;          /* completions under way */
    uint64_t requests, prompt_tokens, generated_tokens;
} rl_server_status;
void rl_server_get_status(const rl_server *s, rl_server_status *out);

typedef struct rl_server_model {
    char name[RL_NAME_MAX + 1];
    char sha256[RL_SHA256_HEX];
    bool loaded;
    uint32_t running, waiting; /* sequences */
} rl_server_model;
/* The models of the registry, by name; store: a connection of the caller's. *list is rl_alloc'ed.
 */
realm_status rl_server_models(const rl_server *s, rl_store *store, rl_server_model **list,
                              size_t *n, realm_error *err) REALM_MUST_USE;

#endif
