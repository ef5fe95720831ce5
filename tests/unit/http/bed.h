/* Bed: a server of the http room on a free port of 127.0.0.1, and a client that says what it is
 * told to, byte by byte. Waits are polls with a generous end; running into it fails the test. */
#ifndef RL_TEST_HTTP_BED_H
#define RL_TEST_HTTP_BED_H

#include "../test.h"

#include "http/http.h"

#include <pthread.h>
#include <stdatomic.h>

#define BED_WAIT_MS 60000

/* What a stream gives, and what it was told. */
typedef struct feed {
    _Atomic int64_t ready; /* bytes it may give */
    _Atomic int then;      /* what fill answers after them: 0, -1 or -2 */
    _Atomic int64_t taken;
    _Atomic int asked, gone, done;
} feed;

typedef struct bed_record {
    char id[80], method[40], path[80], peer[48], traceparent[80];
    rl_http_record r; /* its texts are gone */
} bed_record;

typedef struct bed {
    rl_http *http;
    feed feed; /* of /stream and /wait */
    _Atomic int served, smuggled, admitted;
    _Atomic int ended; /* records */
    pthread_mutex_t lock;
    rl_http_exchange *held; /* the last /wait or /stream; counted */
    bed_record record;      /* the last */
} bed;

/* Paths: /wait is watched and not answered; /stream streams `feed`; /deny is answered by admit;
 * /small takes 16 bytes of body; /echo answers its body; /none answers 204; /smuggled counts; any
 * other answers "METHOD PATH?QUERY". */
void bed_start(bed *b, rl_http_opts opts);
void bed_stop(bed *b);
rl_http_exchange *bed_held(bed *b);  /* waits for one, and moves it out */
void bed_reset(bed *b);              /* a feed as at the start */
bed_record bed_ended(bed *b, int n); /* waits for the n-th of all; it is the last */

ssize_t feed_fill(void *ctx, char *buf, size_t cap);
void feed_gone(void *ctx);
void feed_done(void *ctx);

/* Waits until `what` holds; fails the test when it does not come to. */
#define bed_until(what)                                                                            \
    do {                                                                                           \
        for (int ms_ = 0; !(what) && ms_ < BED_WAIT_MS; ms_++)                                     \
            bed_nap();                                                                             \
        assert_true(what);                                                                         \
    } while (0)
void bed_nap(void); /* a millisecond */

typedef struct answers {
    char data[256 * 1024];
    size_t n;       /* bytes */
    int count;      /* complete answers, without 100s */
    int continues;  /* 100s */
    int status[16]; /* of each */
    bool ragged;    /* bytes after them that are no whole answer */
    bool closed;    /* the server closed */
    bool reset;     /* by a reset */
} answers;

int client_try(const bed *b); /* -1: refused */
int client_open(const bed *b);
int client_open_small(const bed *b); /* with a small receive buffer */
/* false: the server closed meanwhile */
bool client_send(int fd, const void *p, size_t n);
bool client_say(int fd, const char *text);
/* Reads until the server closes, or until there are `count` answers when count > 0. */
void client_read(int fd, answers *a, int count, bool head_only);
size_t client_skip(int fd, size_t n); /* reads n bytes away; fewer: it closed */
void client_reset(int fd);            /* closes with a RST */
/* One request on a connection of its own. -> its status */
int client_ask(const bed *b, const char *text, answers *a);

#endif
