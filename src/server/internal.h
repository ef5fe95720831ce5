/* The server's own: what its files share. Private to src/server. */
#ifndef RL_SERVER_INTERNAL_H
#define RL_SERVER_INTERNAL_H

#include "server/server.h"

#include "base/buf.h"
#include "base/queue.h"
#include "http/http.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define RL_SERVER_ID 41 /* "chatcmpl-" and 32 digits, with a NUL, or shorter */

struct rl_server {
    rl_server_opts o; /* its texts and lists are owned */
    rl_http *http;
    rl_store *store; /* of the http thread */
    bool needs_key;
    rl_queue *intake;     /* rl_answer; each is in it once at most */
    uint32_t max_answers; /* so many fit it; those of clients that have left count until closed */
    pthread_t thread;
    bool has_thread;
    atomic_bool draining, stopping;
    _Atomic uint32_t n_answers; /* not freed */
};

/* ---- routes.c: http thread */

typedef enum rl_principal { RL_ANYONE, RL_KEY_HOLDER } rl_principal;

typedef struct rl_route {
    const char *method, *path; /* a path ending in '/' takes one more part */
    rl_principal who;
    void (*handle)(rl_server *s, rl_http_exchange *ex);
} rl_route;

extern const rl_route rl_routes[];
extern const size_t rl_n_routes;

/* The route of a request; NULL: none. *known: the path exists with another method. */
const rl_route *rl_route_find(const char *method, const char *path, bool *known);
void rl_routes_admit(void *ctx, rl_http_exchange *ex);
void rl_routes_handle(void *ctx, rl_http_exchange *ex);
void rl_routes_refuse(void *ctx, int status, const char *text, rl_buf *body);

/* ---- guard.c: http thread. Each answers the request and says false when it may not go on. */

realm_status rl_guard_init(rl_server *s, realm_error *err) REALM_MUST_USE;
bool rl_guard_host(rl_server *s, rl_http_exchange *ex);
bool rl_guard_origin(rl_server *s, rl_http_exchange *ex);
bool rl_guard_key(rl_server *s, rl_http_exchange *ex);

/* ---- reply.c: any thread */

/* What is wrong, in OpenAI's words. */
typedef struct rl_complaint {
    int status;        /* HTTP */
    const char *param; /* or NULL */
    const char *code;  /* or NULL */
    const char *text;
} rl_complaint;

/* n random hex digits behind a prefix. */
void rl_reply_id(char out[RL_SERVER_ID], const char *prefix);
/* Sends a JSON body, which is taken; a failed body becomes 503. */
void rl_reply_json(rl_http_exchange *ex, int status, rl_buf *body);
void rl_reply_complain(rl_http_exchange *ex, const rl_complaint *c);
/* An error of ours by the error table. */
void rl_reply_error(rl_http_exchange *ex, const realm_error *err, const char *param);
void rl_reply_put_error(rl_buf *body, const rl_complaint *c);

/* ---- request.c: intake thread */

typedef struct rl_openai {
    char model[RL_NAME_MAX + 1];
    bool chat, stream, include_usage, logprobs;
    rl_buf request; /* the Request of the guest ABI, as JSON */
} rl_openai;

/* Translates a body. -> OK, or a status with err and *param (constant, or NULL) */
realm_status rl_openai_read(rl_openai *out, bool chat, const char *body, size_t n,
                            const char **param, realm_error *err) REALM_MUST_USE;
void rl_openai_deinit(rl_openai *o);

/* ---- answer.c */

/* Takes a complete request for a completion. http thread. */
void rl_answer_begin(rl_server *s, rl_http_exchange *ex, bool chat);
void *rl_answer_intake(void *server); /* the intake thread */

#endif
