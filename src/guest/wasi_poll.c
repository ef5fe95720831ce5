/* WASI preview 1: poll_oneoff, the one call that waits for several things.
 *
 * A clock is ready at its time, the request always, the log always, the reply while it has room.
 * When nothing is ready the guest parks until the earliest time, or until the reader made room. */
#include "guest/wasi.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "guest/run.h"

#define NS_PER_MS 1000000u

enum { SUBSCRIPTION_BYTES = 48, EVENT_BYTES = 32 };
enum { EVENT_CLOCK, EVENT_READ, EVENT_WRITE };
enum { HANGUP = 1, ABSOLUTE_TIME = 1 };

typedef struct subscription {
    uint64_t user;
    uint64_t at_ns; /* clock: rl_clock_ns time at which it is ready */
    uint32_t fd;
    uint8_t type;
    uint16_t error; /* reported as its event, at once */
} subscription;

typedef struct poll_state {
    uint32_t n;
    subscription subs[];
} poll_state;

/* When a clock subscription is over. Rounded up to the guest's next tick: a guest that reads its
 * clock afterwards must find the time passed. */
static uint64_t clock_end(const rl_call *c, uint32_t id, uint64_t timeout, bool absolute)
{
    uint64_t now = rl_clock_ns() - c->run->start_ns; /* on the guest's monotonic time line */
    uint64_t end;

    if (absolute) {
        uint64_t base = id == 0 ? rl_wasi_realtime_ns() : rl_wasi_monotonic_ns(c);

        timeout = timeout > base ? timeout - base : 0;
        now = now / NS_PER_MS * NS_PER_MS;
    }
    if (timeout == 0)
        return 0;
    if (timeout > (uint64_t)INT64_MAX / 2) /* 146 years: the run's deadline comes first */
        timeout = (uint64_t)INT64_MAX / 2;
    end = (now + timeout + NS_PER_MS - 1) / NS_PER_MS * NS_PER_MS;
    return c->run->start_ns + end;
}

/* Subscription: user @0, type @8, then for a clock: id @16, timeout @24, flags @40; else: fd @16.
 */
static int64_t read_subscription(const rl_call *c, const uint8_t *p, subscription *s)
{
    *s = (subscription){ .user = rl_wasi_get64(p), .type = p[8], .fd = rl_wasi_get32(p + 16) };
    if (s->type > EVENT_WRITE)
        return RL_WASI_INVAL;
    if (s->type == EVENT_CLOCK && s->fd > 1)
        s->error = RL_WASI_INVAL;
    else if (s->type == EVENT_CLOCK)
        s->at_ns =
            clock_end(c, s->fd, rl_wasi_get64(p + 24), rl_wasi_get16(p + 40) & ABSOLUTE_TIME);
    else if (!rl_wasi_is_open(c, s->fd))
        s->error = RL_WASI_BADF;
    else if ((s->fd == RL_WASI_STDIN) != (s->type == EVENT_READ))
        s->error = RL_WASI_NOTCAPABLE;
    return RL_WASI_OK;
}

/* Is there room in the reply? If not, the reader will wake the run. */
static bool reply_has_room(rl_call *c)
{
    rl_reply *r = &c->run->reply;
    bool room;

    pthread_mutex_lock(&r->lock);
    room = r->used < RL_REPLY_ROOM;
    if (!room)
        r->waiting = true;
    pthread_mutex_unlock(&r->lock);
    return room;
}

static bool is_ready(rl_call *c, const subscription *s, uint64_t now)
{
    if (s->error != RL_WASI_OK)
        return true;
    if (s->type == EVENT_CLOCK)
        return s->at_ns <= now;
    return s->fd != RL_WASI_STDOUT || reply_has_room(c);
}

/* Event: user @0, error @8, type @10, bytes @16, flags @24. */
static void write_event(const rl_call *c, uint8_t *p, const subscription *s)
{
    uint64_t left = s->type == EVENT_READ ? c->run->n_input - c->run->stdin_at : 0;
    uint16_t flags = s->type == EVENT_READ && left == 0 ? HANGUP : 0;

    memset(p, 0, EVENT_BYTES);
    memcpy(p, &s->user, sizeof s->user);
    memcpy(p + 8, &s->error, sizeof s->error);
    p[10] = s->type;
    if (s->error != RL_WASI_OK)
        return;
    memcpy(p + 16, &left, sizeof left);
    memcpy(p + 24, &flags, sizeof flags);
}

static void drop_state(rl_call *c)
{
    rl_free(c->state);
    c->state = NULL;
}

/* Writes the events that are there, or parks. Also what a woken run resumes with. */
static int64_t look(rl_call *c)
{
    poll_state *state = c->state;
    uint8_t *events = c->mem + c->arg[1].u; /* checked: guest memory never shrinks */
    uint64_t now = rl_clock_ns(), wake = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < state->n; i++) {
        const subscription *s = &state->subs[i];

        if (is_ready(c, s, now))
            write_event(c, events + (size_t)n++ * EVENT_BYTES, s);
        else if (s->type == EVENT_CLOCK && (wake == 0 || s->at_ns < wake))
            wake = s->at_ns;
    }
    if (n == 0)
        return rl_call_park(c, look, drop_state, state, wake);
    rl_wasi_put32(c, 3, n);
    drop_state(c);
    return RL_WASI_OK;
}

int64_t rl_wasi_poll_oneoff(rl_call *c)
{
    uint64_t n = c->arg[2].u;
    const uint8_t *in = rl_call_at(c, c->arg[0].u, n * SUBSCRIPTION_BYTES);
    poll_state *state;
    int64_t e = RL_WASI_OK;

    if (in == NULL || rl_call_at(c, c->arg[1].u, n * EVENT_BYTES) == NULL)
        return RL_WASI_FAULT;
    if (n == 0 || n > RL_WASI_IOVS)
        return RL_WASI_INVAL;
    state = rl_alloc(sizeof *state + n * sizeof state->subs[0]);
    if (state == NULL)
        return RL_WASI_NOMEM;
    state->n = (uint32_t)n;
    for (uint32_t i = 0; i < n && e == RL_WASI_OK; i++)
        e = read_subscription(c, in + (size_t)i * SUBSCRIPTION_BYTES, &state->subs[i]);
    c->state = state;
    if (e == RL_WASI_OK)
        return look(c);
    drop_state(c);
    return e;
}
