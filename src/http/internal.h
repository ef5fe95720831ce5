/* The room's own: connections, exchanges, the inbox. Private to src/http.
 *
 * rl_http       everything the http thread owns
 * rl_http_conn  one socket; made, run and freed on the http thread
 * exchange      one request; counted, so other threads may hold one that is dead
 * inbox         how other threads reach the http thread: a list of exchanges that want its
 * attention, under one lock, and an eventfd. Counted, so it outlives rl_http_free for late wakes
 *
 * Lock order: inbox.lock is the only lock, held for a few assignments, never across a callback. */
#ifndef RL_HTTP_INTERNAL_H
#define RL_HTTP_INTERNAL_H

#include "http/head.h"
#include "http/http.h"
#include "http/wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

typedef struct rl_http_conn rl_http_conn;

#define RL_HTTP_ID          72               /* bytes of an id with its NUL */
#define RL_HTTP_CHUNK       (16 * 1024 + 16) /* one piece of a stream, framed */
#define RL_HTTP_ANSWER_HEAD (20 * 1024)

typedef struct rl_http_inbox {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* `listening` became false */
    _Atomic uint32_t refs;
    int event;       /* eventfd: the list or a flag below changed */
    pthread_t owner; /* the http thread; set before there is any exchange */
    /* under lock */
    rl_http_exchange *first, *last;
    bool quiet; /* asked: stop listening */
    bool stop;  /* asked: end the thread */
    bool listening;
} rl_http_inbox;

/* What answers an exchange: made on any thread, the http thread's once `answered` is set. */
typedef struct rl_http_reply_to {
    char *fields; /* owned; header lines [n_fields], NULL: none */
    size_t n_fields;
    char *body; /* owned; [n] of a whole answer */
    size_t n;
    int status;
    bool close, streams;
    rl_http_source source; /* of a stream */
} rl_http_reply_to;

typedef struct rl_http_watcher {
    void (*gone)(void *ctx);
    void (*done)(void *ctx);
    void *ctx;
} rl_http_watcher;

typedef enum rl_http_phase {
    RL_HTTP_HEAD,    /* its head is being judged */
    RL_HTTP_BODY,    /* admitted */
    RL_HTTP_WAITING, /* handled, not answered */
    RL_HTTP_SENDING, /* answered whole, or refused */
    RL_HTTP_STREAMING,
    RL_HTTP_ENDED, /* a stream whose source ended or failed */
} rl_http_phase;

struct rl_http_exchange {
    rl_http_inbox *inbox; /* counted */
    _Atomic uint32_t refs;

    /* What was asked: constant once admitted. */
    void *text;            /* owned; what the pointers below point into */
    rl_http_field *fields; /* [n_fields] */
    uint32_t n_fields;
    const char *method, *path, *query, *host;
    char id[RL_HTTP_ID];
    char peer[48];
    char note[RL_HTTP_NOTE];
    rl_buf body;

    /* http thread only */
    rl_http_conn *conn; /* NULL when dead */
    rl_http_phase phase;
    bool suspended;  /* nothing to do for it until the inbox says so */
    bool old, keep;  /* HTTP/1.0; the client would use the connection again */
    bool whole;      /* the request was read to its end */
    bool chunked;    /* its body is */
    bool refused;    /* by the room */
    uint64_t expect; /* bytes of its body that are still to come, unless chunked */
    rl_http_chunks chunks;
    uint64_t body_ms;   /* when its body began */
    size_t sent;        /* of answer.body */
    int status;         /* of the answer that began; 0: none */
    uint64_t body_sent; /* bytes, of the body of the answer */
    uint64_t began_ns;  /* its first byte came */
    uint64_t first_ns;  /* the first byte of an answer's body went; 0: none did */

    /* under inbox->lock */
    rl_http_exchange *next; /* in the inbox */
    bool queued, dead, left, answered, watched;
    rl_http_reply_to answer;
    rl_http_watcher watcher;
};

typedef struct rl_http_ip {
    struct rl_http_ip *next; /* in its bucket */
    uint8_t key[16];
    uint32_t n; /* connections */
} rl_http_ip;

/* What came and is no request yet lies in `in`, what must go and did not in `out`. Both are there
 * only while they hold something, so a stream that waits costs neither. */
struct rl_http_conn {
    rl_http *http;
    rl_http_conn *prev, *next; /* of all, or next of the dead */
    rl_http_conn *next_due;
    rl_http_exchange *ex; /* counted; the request being read or answered */
    rl_http_ip *ip;       /* counted by ip->n */
    int fd;               /* owned */
    bool readable;        /* the kernel may have bytes, or the end */
    bool blocked;         /* it took no more */
    bool fin;             /* the client closed, its sending half at least */
    bool closing;         /* after the answer that is under way */
    bool unread;          /* then there may be bytes of a request that nobody read */
    bool due;             /* in the list */
    bool dead;            /* closed; freed when the turn ends */
    char *in;             /* owned; [http->window] */
    size_t in_at, in_n;   /* in[in_at..in_at + in_n) */
    size_t seen;          /* of in_n: judged as far as that */
    rl_buf out;
    uint64_t since_ms; /* idle since */
    uint64_t head_ms;  /* when the first byte of a head came; 0: none */
    uint64_t head_ns;
    uint64_t moved_ms; /* when the client last took something */
    uint64_t acked;    /* what it had taken then */
    char peer[48];
};

/* A socket whose last answer was sent and whose client has not closed yet: see leave.c. */
typedef struct rl_http_leaving {
    int fd; /* owned */
    uint64_t until_ms;
    size_t bytes; /* read away */
} rl_http_leaving;

#define RL_HTTP_IP_BUCKETS 256
#define RL_HTTP_LEAVING    64

struct rl_http {
    rl_http_opts o; /* without a zero; its texts are owned */
    rl_http_inbox *inbox;
    pthread_t thread;
    uint16_t port;
    /* http thread only */
    int epoll, listener;
    bool draining, stopping; /* the flags of the inbox, taken over */
    bool deaf;               /* no descriptor was free to accept with */
    rl_http_conn *conns;
    rl_http_conn *due;  /* with more to do at once */
    rl_http_conn *dead; /* closed in this turn; an event may still name them */
    uint32_t n_conns;
    rl_http_ip *ips[RL_HTTP_IP_BUCKETS];
    rl_http_leaving leaving[RL_HTTP_LEAVING];
    uint32_t n_leaving;
    size_t window;       /* bytes of the longest head that may pass */
    rl_http_line *lines; /* [fields_max] a head being checked */
    char *chunk;         /* what a stream fills: see answer.c */
    rl_buf text;         /* an answer's head */
    time_t date_s;       /* `date` is of that second */
    char date[32];
    uint64_t now_ms, ticked_ms;
    uint32_t tick_ms;
    /* any thread */
    _Atomic uint64_t connections, exchanges, suspended, accepted, turned_away, requests, bytes_out;
    _Atomic uint64_t turns;
    _Atomic uint64_t refused[6], answered[6];
};

/* inbox.c: any thread */
rl_http_inbox *rl_http_inbox_new(void); /* NULL without memory or descriptors */
void rl_http_inbox_unref(rl_http_inbox *box);
void rl_http_inbox_poke(rl_http_inbox *box);   /* wakes the http thread; lock held or not */
void rl_http_inbox_post(rl_http_exchange *ex); /* lock held */
rl_http_exchange *rl_http_inbox_take(rl_http_inbox *box); /* a reference, or NULL */

/* exchange.c: http thread */
rl_http_exchange *rl_http_exchange_new(rl_http_conn *conn);
rl_http_fault rl_http_exchange_fill(rl_http_exchange *ex, const rl_http_head *head);
void rl_http_exchange_suspend(rl_http_exchange *ex, bool suspended);
void rl_http_exchange_gone(rl_http_exchange *ex); /* tells, once */
void rl_http_exchange_end(rl_http_exchange *ex, bool complete);
void rl_http_id_make(char id[RL_HTTP_ID]);

/* serve.c: http thread. Does for a connection what can be done now; it may be dead after that. */
void rl_http_serve(rl_http_conn *c);

/* send.c: http thread. Both cut the connection when it is lost, and answer false then. */
bool rl_http_send(rl_http_conn *c, const char *p, size_t n); /* after what waits; keeps the rest */
bool rl_http_send_rest(rl_http_conn *c);                     /* -> whether all of it went */

/* answer.c: http thread. -> whether there is more to do for c now */
bool rl_http_answer_begin(rl_http_conn *c); /* it is there */
bool rl_http_answer_fill(rl_http_conn *c);  /* the next piece of a stream */
bool rl_http_answer_ready(rl_http_exchange *ex);

/* conn.c: http thread */
void rl_http_conn_accept(rl_http *h);
void rl_http_conn_event(rl_http_conn *c, uint32_t events);
void rl_http_conn_make_due(rl_http_conn *c);
void rl_http_conn_run_due(rl_http *h);
void rl_http_conn_cut(rl_http_conn *c);    /* closes now; tells gone when an answer was to come */
void rl_http_conn_finish(rl_http_conn *c); /* closes after the last answer */
void rl_http_conn_idle_drop(rl_http *h);   /* those without a request */
void rl_http_conn_sweep(rl_http *h);       /* frees the dead */

/* leave.c: http thread; sockets are taken */
void rl_http_leave(rl_http *h, int fd);
void rl_http_leave_told(rl_http *h, int fd, const char *text); /* after a 503 */
void rl_http_leave_look(rl_http *h);
void rl_http_leave_all(rl_http *h);

/* tick.c: http thread */
void rl_http_tick(rl_http *h);

/* refuse.c: http thread */
void rl_http_refuse(rl_http_conn *c, rl_http_fault fault); /* closes after that */
bool rl_http_refuse_raw(rl_http *h, rl_http_fault fault, const char *id, bool bare, size_t *body_n,
                        rl_buf *message);
const char *rl_http_date(rl_http *h);

/* reason.c */
const char *rl_http_reason(int status);

/* sock.c */
int rl_http_sock_listen(const char *address, uint16_t *port, uint32_t sndbuf, realm_error *err);
void rl_http_sock_name(const void *sockaddr, char *out, size_t cap);
void rl_http_sock_key(const void *sockaddr, uint8_t key[16]);
uint64_t rl_http_sock_acked(int fd); /* bytes the client acknowledged, ever */
size_t rl_http_sock_unread(int fd);  /* bytes in the kernel */
void rl_http_sock_reset_on_close(int fd);

#endif
