/* The room's own: connections, exchanges, the inbox. Private to src/http.
 *
 * rl_http       the daemon and everything the http thread owns
 * rl_http_conn  one socket; made and freed on the http thread, inside libmicrohttpd's notifications
 * exchange      one request; counted, so other threads may hold one that is dead
 * inbox         how other threads reach the http thread: a list of exchanges that want its
 * attention, under one lock, and an eventfd. Counted, so it outlives rl_http_free for late wakes
 *
 * Lock order: inbox.lock is the only lock, held for a few assignments, never across a callback. */
#ifndef RL_HTTP_INTERNAL_H
#define RL_HTTP_INTERNAL_H

#include "http/head.h"
#include "http/http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct rl_http_conn rl_http_conn;

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

/* What answers an exchange, made on any thread, used on the http thread. */
typedef struct rl_http_reply_to {
    struct MHD_Response *response; /* owned; NULL: none yet */
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
    RL_HTTP_HEAD,    /* its request line is there */
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
    const char *method, *target, *path, *query, *host;
    char peer[48];
    rl_buf body;

    /* http thread only; nothing else may look at the first two when `dead` */
    rl_http_conn *conn;
    struct MHD_Connection *mhd;
    rl_http_phase phase;
    bool suspended;
    bool whole;         /* the request was read to its end */
    bool chunked;       /* its body is */
    uint64_t began_ms;  /* when its body began */
    size_t head_bytes;  /* as read from the socket */
    char *raw_target;   /* owned */
    const char *raw_at; /* where it lay: compared, never read */

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

struct rl_http_conn {
    rl_http *http;
    rl_http_conn *prev, *next, *next_fin;
    rl_http_exchange *ex;  /* counted; the request being read or answered */
    rl_http_ip *ip;        /* counted by ip->n */
    int fd;                /* borrowed: libmicrohttpd closes it */
    bool fin, cut, unread; /* unread: its last request was answered before its end */
    const char *base;      /* where heads begin: see wire.c */
    uint64_t consumed;     /* bytes of requests read and done with */
    uint64_t since_ms;     /* idle since */
    uint64_t head_ms;      /* when the first byte of a head was noticed; 0: none */
    uint64_t moved_ms;     /* when the client last took something */
    uint64_t acked;        /* what it had taken then */
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
    struct MHD_Daemon *mhd;
    int epoll, mhd_epoll, listener;
    bool draining, stopping; /* the flags of the inbox, taken over */
    bool deaf;               /* no descriptor was free to accept with */
    rl_http_conn *conns;
    rl_http_conn *fins;     /* whose client closed its side; not closed yet */
    rl_http_conn *arriving; /* given to libmicrohttpd, not opened by it yet */
    uint32_t n_conns;       /* of both */
    rl_http_ip *ips[RL_HTTP_IP_BUCKETS];
    rl_http_leaving leaving[RL_HTTP_LEAVING];
    uint32_t n_leaving;
    rl_http_line *lines; /* [fields_max] a head being checked */
    uint64_t now_ms, ticked_ms;
    uint32_t tick_ms;
    uint64_t progress, seen; /* callbacks of libmicrohttpd: tells work from spinning */
    uint32_t spins;
    /* any thread */
    _Atomic uint64_t connections, exchanges, suspended, accepted, turned_away, requests, bytes_out;
    _Atomic uint64_t refused[6], answered[6];
};

/* inbox.c: any thread */
rl_http_inbox *rl_http_inbox_new(void); /* NULL without memory or descriptors */
void rl_http_inbox_unref(rl_http_inbox *box);
void rl_http_inbox_poke(rl_http_inbox *box);   /* wakes the http thread; lock held or not */
void rl_http_inbox_post(rl_http_exchange *ex); /* lock held */
rl_http_exchange *rl_http_inbox_take(rl_http_inbox *box); /* a reference, or NULL */

/* exchange.c: http thread */
rl_http_exchange *rl_http_exchange_new(rl_http_conn *conn, struct MHD_Connection *mhd,
                                       const char *target);
rl_http_fault rl_http_exchange_fill(rl_http_exchange *ex, const rl_http_head *head);
void rl_http_exchange_suspend(rl_http_exchange *ex);
void rl_http_exchange_resume(rl_http_exchange *ex); /* harmless when not suspended */
void rl_http_exchange_gone(rl_http_exchange *ex);   /* tells, once */
void rl_http_exchange_end(rl_http_exchange *ex, bool complete);

/* answer.c */
enum MHD_Result rl_http_answer_queue(rl_http_exchange *ex); /* ex->answer, made */
enum MHD_Result rl_http_answer_refuse(rl_http_exchange *ex, rl_http_fault fault);
bool rl_http_answer_ready(rl_http_exchange *ex);

/* serve.c: libmicrohttpd's callbacks */
struct MHD_Daemon *rl_http_serve_start(rl_http *h);

/* wire.c */
rl_http_fault rl_http_wire_read(rl_http_exchange *ex, rl_http_head *head, const char *method,
                                const char *version);

/* conn.c: http thread */
void rl_http_conn_accept(rl_http *h);
void rl_http_conn_sweep(rl_http *h); /* those that libmicrohttpd did not take */
void rl_http_conn_opened(rl_http *h, struct MHD_Connection *mhd, void **slot);
void rl_http_conn_closed(rl_http_conn *c);
void rl_http_conn_event(rl_http_conn *c, uint32_t events);
void rl_http_conn_end_fins(rl_http *h); /* those with nothing left to read or to say */
void rl_http_conn_cut(rl_http_conn *c); /* tells gone; the socket ends both ways */
/* Answers past libmicrohttpd, then cuts; how: of shutdown(2), SHUT_WR when it is told otherwise. */
void rl_http_conn_refuse(rl_http_conn *c, rl_http_fault fault, int how);
void rl_http_conn_idle_drop(rl_http *h); /* those without a request */

/* leave.c: http thread; sockets are taken */
void rl_http_leave(rl_http *h, int fd);
void rl_http_leave_told(rl_http *h, int fd, const char *text); /* after a 503 */
void rl_http_leave_look(rl_http *h);
void rl_http_leave_all(rl_http *h);

/* tick.c: http thread */
void rl_http_tick(rl_http *h);

/* refuse.c */
void rl_http_refuse_body(rl_http *h, rl_http_fault fault, rl_buf *body);
bool rl_http_refuse_raw(rl_http *h, rl_http_fault fault, rl_buf *message);

/* sock.c */
int rl_http_sock_listen(const char *address, uint16_t *port, uint32_t sndbuf, realm_error *err);
void rl_http_sock_name(const void *sockaddr, char *out, size_t cap);
void rl_http_sock_key(const void *sockaddr, uint8_t key[16]);
/* Bytes received and bytes the client acknowledged, ever. */
void rl_http_sock_moved(int fd, uint64_t *received, uint64_t *acked);
size_t rl_http_sock_unread(int fd); /* bytes in the kernel */
void rl_http_sock_reset_on_close(int fd);

#endif
