/* The reply queue: one buffer of records that the worker appends to and a reader consumes, under
 * its lock; and what parks an emit on it, which is the worker's alone. */
#include "guest/reply.h"

#include "guest/run.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>
#include <time.h>

#define HEAD    ((size_t)5) /* kind and length of a record */
#define NO_TAIL SIZE_MAX
/* Records are joined, so overhead is one head per change of kind or empty queue; logs are many. */
#define DATA_MAX ((RL_REPLY_ROOM + RL_REPLY_LOG_ROOM) * 8)

/* Waits are on the monotonic clock: setting the time of day must not stretch them. */
void rl_reply_init(rl_reply *r)
{
    pthread_condattr_t attr;

    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->filled, &attr);
    (void)pthread_condattr_destroy(&attr);
    rl_buf_init(&r->data, DATA_MAX);
    r->tail = NO_TAIL;
}

void rl_reply_deinit(rl_reply *r)
{
    rl_buf_deinit(&r->data);
    (void)pthread_cond_destroy(&r->filled);
    (void)pthread_mutex_destroy(&r->lock);
}

static uint32_t record_len(const rl_reply *r, size_t at)
{
    uint32_t n;

    memcpy(&n, r->data.data + at + 1, sizeof n);
    return n;
}

static void set_record_len(rl_reply *r, size_t at, uint32_t n)
{
    memcpy(r->data.data + at + 1, &n, sizeof n);
}

/* Adds n bytes; joins them to the last record when that is text (or log) too. -> false: no memory
 */
static bool add(rl_reply *r, rl_reply_kind kind, const void *p, size_t n)
{
    char head[HEAD] = { (char)kind };
    size_t at = r->data.len;
    bool join = r->tail != NO_TAIL && kind != RL_REPLY_EVENT && r->data.data[r->tail] == (char)kind;

    if (!join && rl_buf_add(&r->data, head, sizeof head) != REALM_OK)
        return false;
    /* Without its bytes the head goes too: the queue never holds half a record. */
    if (rl_buf_add(&r->data, p, n) != REALM_OK) {
        r->data.len = at;
        r->data.failed = false;
        return false;
    }
    if (!join)
        r->tail = at;
    set_record_len(r, r->tail, (join ? record_len(r, r->tail) : 0) + (uint32_t)n);
    r->news = true;
    (void)pthread_cond_broadcast(&r->filled);
    return true;
}

bool rl_reply_take_news(rl_reply *r)
{
    bool news;

    (void)pthread_mutex_lock(&r->lock);
    news = r->news;
    r->news = false;
    (void)pthread_mutex_unlock(&r->lock);
    return news;
}

/* `waiting` is set under the same lock that found no room: the reader cannot miss the writer. */
size_t rl_reply_text(rl_reply *r, const void *p, size_t n)
{
    size_t take;

    (void)pthread_mutex_lock(&r->lock);
    take = RL_REPLY_ROOM - r->used < n ? RL_REPLY_ROOM - r->used : n;
    if (take > 0 && !add(r, RL_REPLY_TEXT, p, take))
        take = 0;
    r->used += take;
    r->waiting = r->waiting || take < n;
    (void)pthread_mutex_unlock(&r->lock);
    return take;
}

/* Never split: a reader gets an event whole or not at all. */
bool rl_reply_event(rl_reply *r, const void *json, size_t n)
{
    bool fits;

    (void)pthread_mutex_lock(&r->lock);
    fits = n <= RL_REPLY_ROOM - r->used && add(r, RL_REPLY_EVENT, json, n);
    r->used += fits ? n : 0;
    r->waiting = r->waiting || !fits;
    (void)pthread_mutex_unlock(&r->lock);
    return fits;
}

void rl_reply_log(rl_reply *r, const void *p, size_t n)
{
    (void)pthread_mutex_lock(&r->lock);
    if (n <= RL_REPLY_LOG_ROOM - r->logs && add(r, RL_REPLY_LOG, p, n))
        r->logs += n;
    else
        r->dropped++;
    (void)pthread_mutex_unlock(&r->lock);
}

void rl_reply_close(rl_reply *r)
{
    (void)pthread_mutex_lock(&r->lock);
    r->closed = true;
    (void)pthread_cond_broadcast(&r->filled);
    (void)pthread_mutex_unlock(&r->lock);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* With the lock: until a piece is there, the end, or the time is over. */
static void wait_filled(rl_reply *r, int64_t wait_ms)
{
    uint64_t end = rl_clock_ns() + (uint64_t)(wait_ms > 0 ? wait_ms : 0) * 1000000u;
    struct timespec at = { .tv_sec = (time_t)(end / 1000000000u),
                           .tv_nsec = (long)(end % 1000000000u) };
    int rc = 0;

    while (r->head == r->data.len && !r->closed && rc == 0) {
        if (wait_ms < 0)
            rc = pthread_cond_wait(&r->filled, &r->lock);
        else
            rc = pthread_cond_timedwait(&r->filled, &r->lock, &at);
    }
}

/* Drops what was read: all at once when it is much, or when nothing is left. */
static void compact(rl_reply *r)
{
    if (r->head < r->data.len && r->head < RL_REPLY_ROOM)
        return;
    rl_buf_consume(&r->data, r->head);
    r->tail = r->tail == NO_TAIL || r->tail < r->head ? NO_TAIL : r->tail - r->head;
    r->head = 0;
}

/* How much of a record of `len` bytes is given into cap: text at a character boundary if it can be.
 */
static size_t piece(rl_reply_kind kind, const char *p, size_t len, size_t cap)
{
    size_t whole;

    if (len <= cap || kind == RL_REPLY_EVENT)
        return len;
    whole = rl_utf8_whole(p, cap);
    return whole > 0 ? whole : cap;
}

/* Gives the first record, or its beginning; the rest stays a record of its own. */
static realm_status give(rl_reply *r, rl_reply_kind *kind, char *out, size_t cap, size_t *n)
{
    size_t len = record_len(r, r->head), take;
    const char *p = r->data.data + r->head + HEAD;

    *kind = (rl_reply_kind)r->data.data[r->head];
    take = piece(*kind, p, len, cap);
    if (take > cap)
        return REALM_ESPACE;
    memcpy(out, p, take);
    *n = take;
    if (*kind == RL_REPLY_LOG)
        r->logs -= take;
    else
        r->used -= take;
    if (take == len) {
        if (r->tail == r->head)
            r->tail = NO_TAIL;
        r->head += HEAD + len;
        return REALM_OK;
    }
    if (r->tail == r->head)
        r->tail = r->head + take;
    r->head += take;
    r->data.data[r->head] = (char)*kind;
    set_record_len(r, r->head, (uint32_t)(len - take));
    return REALM_OK;
}

realm_status rl_reply_read(rl_reply *r, rl_reply_kind *kind, char *out, size_t cap, size_t *n,
                           int64_t wait_ms, bool *room)
{
    realm_status st = REALM_OK;

    *n = 0;
    *room = false;
    (void)pthread_mutex_lock(&r->lock);
    if (r->head == r->data.len && wait_ms != 0)
        wait_filled(r, wait_ms);
    if (r->head < r->data.len) {
        st = give(r, kind, out, cap, n);
        compact(r);
    }
    /* wake a writer when half is free, not for every byte */
    if (r->waiting && r->used <= RL_REPLY_ROOM / 2) {
        r->waiting = false;
        *room = true;
    }
    (void)pthread_mutex_unlock(&r->lock);
    return st;
}

/* Closed alone is not the end: what was written before is still to be read. */
bool rl_reply_drained(rl_reply *r)
{
    bool drained;

    (void)pthread_mutex_lock(&r->lock);
    drained = r->closed && r->head == r->data.len;
    (void)pthread_mutex_unlock(&r->lock);
    return drained;
}

/* ---- for PARK rows --------------------------------------------------------------------------- */

void rl_emit_drop(rl_run *run)
{
    rl_free(run->emit.owned);
    run->emit.owned = NULL;
}

/* May be called at any wake; what is sent is counted already. */
bool rl_emit_pump(rl_run *run)
{
    size_t left = run->emit.n - run->emit.at;

    /* Nothing to send happens: an empty emit, or one that the output limit has cut to nothing. */
    if (left == 0)
        ;
    else if (run->emit.kind == RL_REPLY_EVENT)
        run->emit.at += rl_reply_event(&run->reply, run->emit.p, left) ? left : 0;
    else
        run->emit.at += rl_reply_text(&run->reply, run->emit.p + run->emit.at, left);
    if (run->emit.at < run->emit.n)
        return false;
    rl_emit_drop(run);
    if (run->emit.last) {
        rl_run_limit(run, RL_LIMIT_OUTPUT);
        rl_run_end(run, REALM_EQUOTA, "output limit of %llu bytes reached",
                   (unsigned long long)run->max_output);
    }
    return true;
}

void rl_emit_set(rl_run *run, rl_reply_kind kind, const void *p, size_t n, void *owned)
{
    uint64_t left = run->max_output - run->n_output;

    run->emit.last = n > left;
    if (run->emit.last) /* what fits is still delivered: text to a whole character, no event */
        n = kind == RL_REPLY_TEXT ? rl_utf8_whole(p, (size_t)left) : 0;
    run->n_output += n;
    run->emit.kind = kind;
    run->emit.p = p;
    run->emit.n = n;
    run->emit.at = 0;
    run->emit.owned = owned;
}

static void abandon_emit(rl_call *c)
{
    rl_emit_drop(c->run);
}

/* resume of a parked emit: the reader has made room, or the wake was another's. */
static int64_t emit_more(rl_call *c)
{
    if (!rl_emit_pump(c->run))
        return rl_call_park(c, emit_more, abandon_emit, NULL, 0);
    return c->run->ended ? RL_ENDED : c->run->emit.answer;
}

int64_t rl_emit(rl_call *c, rl_reply_kind kind, const void *p, size_t n, void *owned,
                int64_t answer)
{
    rl_emit_set(c->run, kind, p, n, owned);
    c->run->emit.answer = answer;
    return emit_more(c);
}

int64_t rl_log_line(rl_call *c, const char *prefix, const void *p, size_t n)
{
    rl_buf line;

    rl_buf_init(&line, RL_REPLY_LOG_ROOM);
    (void)rl_buf_adds(&line, prefix);
    (void)rl_buf_add(&line, p, n < RL_REPLY_LOG_ROOM / 2 ? n : RL_REPLY_LOG_ROOM / 2);
    (void)rl_buf_adds(&line, "\n");
    if (line.len)
        rl_reply_log(&c->run->reply, line.data, line.len);
    rl_buf_deinit(&line);
    return 0;
}
