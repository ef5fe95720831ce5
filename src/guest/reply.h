/* Reply: what a run sends to whoever called the program, in order: text, events, log lines. Written
 * by the run's worker, read by one other thread. Holds 64 KiB of text and events; a writer that
 * finds it full parks and is woken when the reader has made room. Log lines have 16 KiB of their
 * own and are dropped (and counted) above it: a log never waits. */
#ifndef RL_GUEST_REPLY_H
#define RL_GUEST_REPLY_H

#include "guest/guest.h"

#include "base/buf.h"

#include <pthread.h>

#define RL_REPLY_ROOM     ((size_t)64 << 10)
#define RL_REPLY_LOG_ROOM ((size_t)16 << 10)

struct rl_call;
struct rl_run;

typedef struct rl_reply {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    rl_buf data;       /* records: kind (1 byte), length (4 bytes), bytes */
    size_t head;       /* of the first record that was not read */
    size_t tail;       /* of the last record, for joining text */
    size_t used, logs; /* bytes of text and events, of log lines */
    uint64_t dropped;  /* log lines */
    bool waiting;      /* a writer parked */
    bool closed;       /* nothing will be added */
    bool news;         /* something was added since rl_reply_take_news */
} rl_reply;

void rl_reply_init(rl_reply *r);
void rl_reply_deinit(rl_reply *r);

/* Adds text as far as there is room. -> bytes taken, 0..n, n > 0 given. When it is less than n the
 * run is woken once there is room again. */
size_t rl_reply_text(rl_reply *r, const void *p, size_t n);
/* Adds a whole event, n <= 64 KiB. -> false: no room now, the run is woken later */
bool rl_reply_event(rl_reply *r, const void *json, size_t n);
void rl_reply_log(rl_reply *r, const void *p, size_t n);
void rl_reply_close(rl_reply *r);
bool rl_reply_take_news(rl_reply *r); /* for the notify of the run: once for many pieces */

/* -> as rl_run_read; *room is set when a parked writer should be woken */
realm_status rl_reply_read(rl_reply *r, rl_reply_kind *kind, char *out, size_t cap, size_t *n,
                           int64_t wait_ms, bool *room);
bool rl_reply_drained(rl_reply *r); /* closed and everything read */

/* Sends text or one event for a PARK row, parking while the reply is full, and at last answers
 * `answer`. p [n] is guest memory or `owned`; `owned` (NULL is fine) is rl_freed when the call is
 * over. Counts the run's output limit and ends the run at it. -> answer | RL_PARKED | RL_ENDED */
int64_t rl_emit(struct rl_call *c, rl_reply_kind kind, const void *p, size_t n, void *owned,
                int64_t answer);
/* One line of the run's log. Answers 0. */
int64_t rl_log_line(struct rl_call *c, const char *prefix, const void *p, size_t n);

/* The parts of rl_emit: begin; then send what fits until it answers true (the run may have ended);
 * or give up. */
void rl_emit_set(struct rl_run *run, rl_reply_kind kind, const void *p, size_t n, void *owned);
bool rl_emit_pump(struct rl_run *run);
void rl_emit_drop(struct rl_run *run);

#endif
