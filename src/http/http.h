/* Http: sockets, HTTP/1.1 and server-sent events. Knows no route, no JSON, no model.
 *
 * One thread, the http thread, owns every connection. A request is an exchange: `admit` is called
 * when its head is complete and passed every check of ours, `handle` when its body is; both on the
 * http thread, both must not block. It is answered once, whole (rl_http_reply) or as a stream
 * (rl_http_stream), in a callback or later from any thread.
 *
 * 1. The bytes of a request are read in one way or refused: by the grammar of RFC 9112 and nothing
 *    near it. What is refused by the room itself (malformed, over a limit, too slow) reaches no
 *    callback but `refuse` and `ended`, and its connection closes: no byte after it is ever read as
 *    a request.
 * 2. A stream's `fill` is asked only when the socket took what was filled before; the room holds at
 *    most 64 KiB a connection, request bodies aside.
 * 3. A client that closes, or only its sending half (FIN), or takes nothing for stall_ms, has left:
 *    `gone` is called at most once, and not after `done`.
 * 4. `done` is called exactly once, last; the exchange is dead then. Who holds a reference may
 * still read what the request said.
 * 5. Every answer, a refusal too, has X-Request-Id, Date and what frames it from the room.
 *
 * Threads: rl_http_start and _free from the owner; every other function from any thread, unless its
 * comment says callback. gone, done, fill and ended are called on the http thread, without a lock
 * held. */
#ifndef RL_HTTP_HTTP_H
#define RL_HTTP_HTTP_H

#include "base/buf.h"
#include "realm/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct rl_http rl_http;
typedef struct rl_http_exchange rl_http_exchange;

/* What became of a request. */
typedef struct rl_http_record {
    const char *id;          /* as rl_http_id */
    const char *method;      /* "" when the head was not understood, as is path */
    const char *path;        /* decoded */
    const char *peer;        /* the client's address, numeric */
    const char *traceparent; /* that header; NULL: none */
    int status;              /* of the answer; 499: the client left before there was one */
    uint64_t body_bytes;     /* of the answer's body, sent */
    uint64_t ns;             /* from the request's first byte to now */
    uint64_t first_ns;       /* from there to the first byte of the answer's body; 0: none was */
    bool refused;            /* by the room itself */
    const char *note;        /* of rl_http_note; "" without one */
} rl_http_record;

typedef struct rl_http_opts {
    const char *address;       /* numeric or a host name; NULL: 127.0.0.1 */
    uint16_t port;             /* 0: any free one */
    uint32_t line_max;         /* bytes of a request line; 0: 8 KiB */
    uint32_t head_max;         /* bytes of all header fields with their line ends; 0: 16 KiB */
    uint32_t fields_max;       /* header fields; 0: 100 */
    size_t body_max;           /* bytes of a body; 0: 1 MiB. rl_http_limit_body changes it */
    uint32_t conns_max;        /* open connections; 0: 4096 */
    uint32_t conns_per_ip_max; /* of one IPv4 address or IPv6 /64; 0: 1024 */
    uint32_t head_ms;          /* from the first byte of a head to its end; 0: 10,000 */
    uint32_t idle_ms;          /* between requests; 0: 75,000 */
    uint32_t body_rate;        /* least bytes/s of a body, after head_ms; 0: 1024 */
    uint32_t stall_ms;         /* a client that takes nothing for so long is cut; 0: 30,000 */
    uint32_t sndbuf;           /* SO_SNDBUF; 0: the kernel's choice */

    /* The head is there and passed the room's checks; the body is not read yet. It may answer at
     * once (then the body is not read), choose the limit of the body, or do nothing. Callback. */
    void (*admit)(void *ctx, rl_http_exchange *ex); /* NULL: everyone */
    void (*handle)(void *ctx, rl_http_exchange *ex);
    /* Appends the body of a refusal of the room's own to `body`. Callback. */
    void (*refuse)(void *ctx, int status, const char *text,
                   rl_buf *body); /* NULL: the text alone */
    const char *refuse_type;      /* Content-Type of refusals; NULL: text/plain */
    /* A request is over: answered, refused, or its client left; before `done`. Its texts are valid
     * during the call. A connection over a limit, and a request for which there was no memory, were
     * no request. Callback. */
    void (*ended)(void *ctx, const rl_http_record *rec); /* NULL: nobody */
    void *ctx;
} rl_http_opts; /* texts are copied */

realm_status rl_http_start(rl_http **out, const rl_http_opts *opts,
                           realm_error *err) REALM_MUST_USE;
uint16_t rl_http_port(const rl_http *h);

/* New connections are refused by the kernel when this returns. Open exchanges go on, each
 * connection closes after its answer; idle ones close now. */
void rl_http_stop_listening(rl_http *h);

/* Cuts everything, calls what is left of gone and done, joins. NULL is fine. Not from a callback.
 */
void rl_http_free(rl_http *h);

typedef struct rl_http_counts {
    uint64_t connections; /* open now */
    uint64_t exchanges;   /* not done now */
    uint64_t suspended;   /* of them: waiting for an answer, or for more of a stream */
    uint64_t accepted;    /* connections, ever */
    uint64_t turned_away; /* connections over a limit, ever */
    uint64_t requests;    /* heads that passed, ever */
    uint64_t refused[6];  /* by the room itself, ever; [4] counts 4xx, [5] 5xx */
    uint64_t answered[6]; /* by the callbacks, ever, by class */
    uint64_t bytes_out;   /* of bodies, ever */
    uint64_t turns;       /* of the http thread, ever: tells waiting from spinning */
} rl_http_counts;

void rl_http_count(const rl_http *h, rl_http_counts *out);

/* What the request said: constant from `admit` on, valid while the exchange lives or is referenced.
 */
const char *rl_http_id(const rl_http_exchange *ex); /* the client's X-Request-Id when that is 1..64
                                                       of [A-Za-z0-9._-], else "req-" and 32 hex
                                                       digits; the answer's */
const char *rl_http_method(const rl_http_exchange *ex);
const char *rl_http_path(
    const rl_http_exchange *ex); /* decoded, valid UTF-8, no "." or ".." part */
const char *rl_http_query(const rl_http_exchange *ex); /* as sent, without '?'; "" when none */
const char *rl_http_host(const rl_http_exchange *ex);  /* with port; "" when none (HTTP/1.0) */
const char *rl_http_peer(const rl_http_exchange *ex);  /* the client's address, numeric */
/* The first field of that name, upper and lower case alike; NULL when there is none. */
const char *rl_http_header(const rl_http_exchange *ex, const char *name);
/* The whole body; from `handle` on. */
const char *rl_http_body(const rl_http_exchange *ex, size_t *n);

/* The limit of this request's body in place of body_max. In `admit` only. */
void rl_http_limit_body(rl_http_exchange *ex, size_t max);

/* A word about the request for its record: who called. Cut to what fits; "" until then. In `admit`
 * and `handle` only. */
#define RL_HTTP_NOTE 32 /* with its NUL */
void rl_http_note(rl_http_exchange *ex, const char *text);
const char *rl_http_noted(const rl_http_exchange *ex); /* "" without one */

/* References keep the memory, not the connection. */
rl_http_exchange *rl_http_ref(rl_http_exchange *ex);
void rl_http_unref(rl_http_exchange *ex); /* NULL is fine */

/* From now on gone(ctx) is called when the client leaves before an answer is complete, and
 * done(ctx) at the end; either may be NULL. Once an exchange. -> OK | ECANCELLED (it left already:
 * nothing will be called) | ECONFLICT (watched already) */
realm_status rl_http_watch(rl_http_exchange *ex, void (*gone)(void *ctx), void (*done)(void *ctx),
                           void *ctx) REALM_MUST_USE;

typedef struct rl_http_field {
    const char *name, *value;
} rl_http_field;

typedef struct rl_http_answer {
    int status;                   /* 200..599 */
    const char *type;             /* Content-Type; NULL: none */
    const rl_http_field *headers; /* ends with a NULL name; NULL: none. An X-Request-Id in it is
                                     ignored: the room has its own */
    bool close;                   /* the connection closes after it */
} rl_http_answer;                 /* copied */

/* Answers whole. `body` is from base/alloc (rl_buf_take) and taken in every case; NULL when n is 0.
 * -> OK | ECANCELLED (the client left) | ECONFLICT (answered already) | EINVAL (status, or a header
 * with line ends, or one that frames: Connection, Content-Length, Date, Transfer-Encoding; or over
 * 16 KiB of them) | ENOMEM */
realm_status rl_http_reply(rl_http_exchange *ex, const rl_http_answer *a, char *body, size_t n);

typedef struct rl_http_source {
    /* Writes up to cap bytes. -> their number | 0 nothing now: asked again after rl_http_wake | -1
     * the end | -2 failed: the connection is cut, so that the client sees a broken stream */
    ssize_t (*fill)(void *ctx, char *buf, size_t cap);
    void (*gone)(void *ctx); /* the client left or was cut; at most once; may be NULL */
    void (*done)(void *ctx); /* last call, exactly once; may be NULL */
    void *ctx;
} rl_http_source; /* copied */

/* Answers by a stream. `source` is used only when this answers OK; results as of rl_http_reply. */
realm_status rl_http_stream(rl_http_exchange *ex, const rl_http_answer *a,
                            const rl_http_source *source) REALM_MUST_USE;

/* The source has more. Harmless when it has not, and on a dead exchange. Needs a reference off the
 * http thread. */
void rl_http_wake(rl_http_exchange *ex);

/* Appends one server-sent event: `event` (NULL: none) and data[0..n), a "data:" line for each of
 * its lines. Failures show in buf->failed. */
void rl_http_sse(rl_buf *buf, const char *event, const char *data, size_t n);

#endif
