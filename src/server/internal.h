/* The server's own: what its files share. Private to src/server. */
#ifndef RL_SERVER_INTERNAL_H
#define RL_SERVER_INTERNAL_H

#include "server/admission.h"
#include "server/said.h"
#include "server/server.h"

#include "base/buf.h"
#include "base/queue.h"
#include "http/http.h"
#include "server/metrics.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

/* Who may call: of the http thread, replaced as a whole (guard.c). */
typedef struct rl_guard_rules {
    bool needs_key;
    size_t max_body;
    char **hosts, **origins; /* owned; [n_hosts], [n_origins] */
    size_t n_hosts, n_origins;
} rl_guard_rules;

struct rl_server {
    rl_server_opts o; /* address and home are owned; hosts and origins are in `rules` */
    rl_http *http;
    rl_store *store;                     /* of the http thread */
    rl_store *intake_store;              /* of the intake thread */
    struct rl_programs *programs;        /* of the intake thread; owned */
    rl_guard_rules *rules;               /* owned; of the http thread */
    _Atomic(rl_guard_rules *) new_rules; /* owned; NULL: none were given */
    rl_metrics metrics;
    rl_admission admission;
    double start_s; /* of the clock on the wall */
    _Atomic uint32_t stall_seconds;
    rl_queue *intake;     /* rl_answer; each is in it once at most */
    rl_queue *used_keys;  /* rl_store_key, rl_alloc'ed: their use is to be written down */
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
    void (*handle)(rl_server *s, rl_http_exchange *ex, const struct rl_route *r);
    rl_api api;       /* of what programs answer */
    const char *text; /* what it is for, in a few words */
} rl_route;

extern const rl_route rl_routes[];
extern const size_t rl_n_routes;

/* The route of a request; NULL: none. *known: the path exists with another method. */
const rl_route *rl_route_find(const char *method, const char *path, bool *known);
void rl_routes_admit(void *ctx, rl_http_exchange *ex);
void rl_routes_handle(void *ctx, rl_http_exchange *ex);
void rl_routes_refuse(void *ctx, int status, const char *text, rl_buf *body);

/* ---- guard.c: http thread. Each answers the request and says false when it may not go on. */

/* The first rules: before the http thread. */
realm_status rl_guard_init(rl_server *s, const rl_server_opts *o, realm_error *err) REALM_MUST_USE;
void rl_guard_deinit(rl_server *s);
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
    uint32_t retry_s; /* of 429 and 503: when to come again; 0: in a second */
} rl_complaint;

#define RL_REPLY_FIELDS 8

/* A prefix and 32 random hex digits. */
void rl_reply_id(char out[RL_ANSWER_ID], const char *prefix);
/* The header fields of an answer: one of its own (name NULL: none), and what a page of an origin
 * that may call needs to read it. -> out */
const rl_http_field *rl_reply_fields(const rl_http_exchange *ex, int status, const char *name,
                                     const char *value, rl_http_field out[RL_REPLY_FIELDS]);
/* What a page may send, before it does. */
void rl_reply_preflight(rl_http_exchange *ex);
/* Sends a JSON body, which is taken; a failed body becomes 503. */
void rl_reply_json(rl_http_exchange *ex, int status, rl_buf *body);
void rl_reply_complain(rl_http_exchange *ex, const rl_complaint *c);
/* An error of ours by the error table. */
void rl_reply_error(rl_http_exchange *ex, const realm_error *err, const char *param);
void rl_reply_put_error(rl_buf *body, const rl_complaint *c);

/* ---- programs.c: intake thread */

/* Which program answers, and with which model: "PROGRAM@MODEL", "PROGRAM" (model is ""), or the
 * built-in one of that API with a model. *out is a reference.
 * -> OK | ENOTFOUND | EINVAL | why a program could not be loaded */
realm_status rl_programs_find(rl_server *s, const rl_ask *ask, rl_program **out,
                              char model[RL_NAME_MAX + 1], realm_error *err) REALM_MUST_USE;
/* Loads what is installed, as far as it can. Before the intake thread. */
void rl_programs_warm(rl_server *s);
void rl_programs_free(struct rl_programs *p); /* NULL is fine */

/* ---- health.c: any thread */

bool rl_health_is_stalled(uint64_t work_ns, uint64_t now_ns, uint32_t stall_seconds);
bool rl_health_at(const rl_server *s, uint64_t now_ns, const char **why);

/* ---- stats.c */

/* Any thread. */
rl_admission_load rl_server_load(const rl_server *s);

/* http thread: all metrics as text of type RL_METRICS_TYPE. */
void rl_metrics_write(rl_server *s, rl_buf *out);

/* ---- answer.c */

/* Takes a complete request for what a program answers. http thread. */
void rl_answer_begin(rl_server *s, rl_http_exchange *ex, rl_api api);
void *rl_answer_intake(void *server); /* the intake thread */
/* Writes down which keys were used: the intake thread, or when there is none. */
void rl_answer_write_used(rl_server *s);

#endif
