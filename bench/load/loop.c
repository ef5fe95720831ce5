#include "load/loop.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "load/schedule.h"
#include "load/timers.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS   256
#define SWEEP_NS UINT64_C(250000000) /* how often timeouts are looked for */
#define OPENING  64u                 /* idle and slow clients that may be on their way in at once */
#define AGAIN_NS                                                                                   \
    UINT64_C(1000000000) /* a slow client whose stream ended begins anew after this                \
                          */
#define FILES 32u        /* besides the connections */
#define NEVER UINT64_MAX

typedef struct loop {
    const rl_load_plan *plan;
    const rl_load_options *o;
    rl_load_stats *s;
    rl_load_wire *wire;      /* owned */
    rl_load_client *clients; /* owned [n]; good ones first, then idle, then slow */
    uint32_t n, n_good;
    uint32_t *resting; /* owned [n_good]; open loop: who has no request */
    uint32_t n_resting;
    rl_load_timers timers;
    rl_load_schedule schedule;
    uint64_t due_ns; /* the next arrival of the open loop, or NEVER */
    int timer;
    uint64_t armed_ns;

    uint32_t number;             /* of the next request of any client */
    uint32_t n_busy;             /* good clients with a request */
    uint32_t next_in, n_opening; /* idle and slow clients: the next to open, and on their way */
    uint64_t n_sent;
    uint64_t start_ns, stop_ns, last_end_ns, swept_ns;
    rl_load_counts before; /* the measured time */
    bool measuring;
    bool broken;     /* off, by a signal: nothing is sent any more */
    realm_status st; /* not OK: the run cannot go on */
} loop;

/* ---- requests -------------------------------------------------------------------------------- */

static bool is_open(const loop *l)
{
    return l->o->rate > 0;
}

/* Whether a request may be sent that is meant for this time. */
static bool may_send(const loop *l, uint64_t at_ns)
{
    return l->measuring && !l->broken && (l->o->requests == 0 || l->n_sent < l->o->requests) &&
           (l->stop_ns == 0 || at_ns < l->stop_ns);
}

static void ended(loop *l, rl_load_client *c);

static void begin(loop *l, rl_load_client *c, uint64_t intended_ns)
{
    const rl_load_bodies *b = c->kind == RL_LOAD_IDLE ? l->plan->idle_bodies : l->plan->bodies;
    uint32_t max_tokens;

    if (rl_load_bodies_write(b, l->number++, &c->out, &max_tokens) != REALM_OK) {
        l->st = REALM_ENOMEM;
        return;
    }
    if (c->kind == RL_LOAD_GOOD) {
        l->n_sent++;
        l->n_busy++;
    }
    if (rl_load_client_start(c, intended_ns, max_tokens))
        ended(l, c);
}

static void begin_good(loop *l, rl_load_client *c, uint64_t now)
{
    if (may_send(l, now))
        begin(l, c, now);
}

static uint32_t index_of(const loop *l, const rl_load_client *c)
{
    return (uint32_t)(c - l->clients);
}

/* An idle or slow client streams, or has failed to. */
static void opened(loop *l, rl_load_client *c, bool well)
{
    rl_load_group *g = c->kind == RL_LOAD_IDLE ? &l->s->idle : &l->s->slow;

    if (c->opened)
        return;
    c->opened = true;
    l->n_opening--;
    g->opened += well;
}

/* A request of this client is over. A client that cannot even send ends here inside begin: it rests
 * first, so this does not recurse. */
static void ended(loop *l, rl_load_client *c)
{
    bool well = c->result.reason == RL_LOAD_OK;

    if (c->kind != RL_LOAD_GOOD) {
        rl_load_group_add(c->kind == RL_LOAD_IDLE ? &l->s->idle : &l->s->slow, &c->result);
        opened(l, c, well);
        return;
    }
    rl_load_stats_add(l->s, &c->result);
    l->n_busy--;
    l->last_end_ns = c->result.end_ns;
    if (is_open(l))
        l->resting[l->n_resting++] = index_of(l, c);
    else if (well)
        begin_good(l, c, c->result.end_ns);
    else
        rl_load_timers_add(&l->timers, c->result.end_ns + l->o->pause_ms * UINT64_C(1000000),
                           index_of(l, c));
}

/* An idle client is in when the header came; a slow one, when it begins to read. */
static void look_in(loop *l, rl_load_client *c)
{
    if (c->kind == RL_LOAD_GOOD || c->opened || c->state != RL_LOAD_CLIENT_READING)
        return;
    if (c->kind == RL_LOAD_SLOW || (c->http.head_done && c->http.status == 200))
        opened(l, c, true);
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t slow_ns(const loop *l)
{
    return l->o->slow_ms * UINT64_C(1000000);
}

static void woken(loop *l, rl_load_client *c, uint64_t now)
{
    if (c->kind == RL_LOAD_GOOD) {
        begin_good(l, c, now);
        return;
    }
    rl_load_timers_add(&l->timers, now + slow_ns(l), index_of(l, c));
    if (c->state == RL_LOAD_CLIENT_READING) {
        if (rl_load_client_read_some(c, 1))
            ended(l, c);
        look_in(l, c);
    } else if (c->state == RL_LOAD_CLIENT_RESTING && now >= c->result.end_ns + AGAIN_NS) {
        begin(l, c, now);
    }
}

/* An arrival for which there is no client: it failed, and is not forgotten. */
static void turned_away(loop *l)
{
    const rl_load_result r = { .reason = RL_LOAD_NO_CLIENT,
                               .intended_ns = l->due_ns,
                               .end_ns = l->due_ns,
                               .why = "raise --max-clients or the limit of open files" };

    l->n_sent++;
    rl_load_stats_add(l->s, &r);
}

static void draw_next(loop *l)
{
    l->due_ns = l->start_ns + rl_load_schedule_next(&l->schedule);
    if (!may_send(l, l->due_ns))
        l->due_ns = NEVER;
}

static void arrivals(loop *l, uint64_t now)
{
    while (l->due_ns <= now && l->st == REALM_OK) {
        rl_load_hist_add(&l->s->late, now - l->due_ns);
        if (l->n_resting)
            begin(l, &l->clients[l->resting[--l->n_resting]], l->due_ns);
        else
            turned_away(l);
        draw_next(l);
    }
}

/* Ends what takes longer than --timeout: requests, and the opening of an idle or slow stream. */
static void sweep(loop *l, uint64_t now)
{
    uint64_t most = (uint64_t)(l->o->timeout_s * 1e9);

    if (now < l->swept_ns + SWEEP_NS)
        return;
    l->swept_ns = now;
    for (uint32_t i = 0; i < l->n; i++) {
        rl_load_client *c = &l->clients[i];

        if (c->state != RL_LOAD_CLIENT_RESTING && !c->opened && now > c->started_ns + most) {
            (void)rl_load_client_fail(c, RL_LOAD_TIMEOUT, "not complete within --timeout");
            ended(l, c);
        }
    }
}

/* Wakes the loop at the next moment that something is due. A timer of epoll_wait would be set and
 * taken back with every event; this one is set when the moment changes. */
static void arm(loop *l, uint64_t now)
{
    uint64_t next = rl_load_timers_next(&l->timers);
    struct itimerspec when = { .it_interval = { 0, 0 } };

    next = l->due_ns < next ? l->due_ns : next;
    next = l->swept_ns + SWEEP_NS < next ? l->swept_ns + SWEEP_NS : next;
    if (l->stop_ns > now && l->stop_ns < next)
        next = l->stop_ns;
    if (next == l->armed_ns)
        return;
    l->armed_ns = next;
    when.it_value.tv_sec = (time_t)(next / 1000000000u);
    when.it_value.tv_nsec = (long)(next % 1000000000u);
    (void)timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ---- phases ---------------------------------------------------------------------------------- */

static void open_more(loop *l, uint64_t now)
{
    while (l->next_in < l->n && l->n_opening < OPENING && l->st == REALM_OK) {
        rl_load_client *c = &l->clients[l->next_in++];

        l->n_opening++;
        if (c->kind == RL_LOAD_SLOW) /* spread over the time between two bytes */
            rl_load_timers_add(&l->timers, now + slow_ns(l) * (l->n - l->next_in) / l->o->slow,
                               index_of(l, c));
        begin(l, c, now);
        look_in(l, c);
    }
}

static void start_measuring(loop *l, rl_load_totals *t)
{
    uint64_t now;

    l->measuring = true;
    l->wire->gaps = &l->s->gap;
    l->before = l->wire->count;
    rl_load_machine_read(&t->opened, l->o->pid);
    now = t->opened.at_ns;
    l->start_ns = l->last_end_ns = now;
    if (l->o->seconds > 0)
        l->stop_ns = now + (uint64_t)(l->o->seconds * 1e9);
    if (is_open(l)) {
        rl_load_schedule_init(&l->schedule, l->o->rate, l->o->uniform, l->o->seed);
        draw_next(l);
        for (uint32_t i = l->n_good; i-- > 0;)
            l->resting[l->n_resting++] = i;
        return;
    }
    for (uint32_t i = 0; i < l->n_good && l->st == REALM_OK; i++)
        begin_good(l, &l->clients[i], rl_clock_ns());
}

static bool finished(const loop *l, uint64_t now)
{
    if (!l->measuring || l->n_busy)
        return false;
    return is_open(l) ? l->due_ns == NEVER : !may_send(l, now);
}

static void tick(loop *l, rl_load_totals *t)
{
    uint64_t now = rl_clock_ns();

    sweep(l, now);
    while (rl_load_timers_next(&l->timers) <= now && l->st == REALM_OK)
        woken(l, &l->clients[rl_load_timers_take(&l->timers)], now);
    open_more(l, now);
    if (!l->measuring && l->next_in == l->n && l->n_opening == 0)
        start_measuring(l, t);
    else
        arrivals(l, now);
}

static void dispatch(loop *l, const struct epoll_event *e)
{
    rl_load_client *c = e->data.ptr;
    uint64_t fired;

    if (!c) {
        (void)!read(l->timer, &fired, sizeof fired);
        l->armed_ns = NEVER; /* it is spent: arm again */
        return;
    }
    if (rl_load_client_ready(c, e->events))
        ended(l, c);
    look_in(l, c);
}

/* A signal: what is under way is broken off and counted as that. */
static void break_off(loop *l)
{
    l->broken = true;
    l->due_ns = NEVER;
    for (uint32_t i = 0; i < l->n_good; i++) {
        if (l->clients[i].state == RL_LOAD_CLIENT_RESTING)
            continue;
        (void)rl_load_client_fail(&l->clients[i], RL_LOAD_STOPPED, "");
        ended(l, &l->clients[i]);
    }
}

static realm_status turn(loop *l, rl_load_totals *t, realm_error *err)
{
    struct epoll_event events[EVENTS];

    while (!finished(l, rl_clock_ns()) && l->st == REALM_OK) {
        int n;

        arm(l, rl_clock_ns());
        n = epoll_wait(l->wire->ep, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            return realm_fail(err, REALM_EIO, "epoll: %s", strerror(errno));
        for (int i = 0; i < n && l->st == REALM_OK; i++)
            dispatch(l, &events[i]);
        if (*l->plan->stop) {
            t->stopped = true;
            break_off(l);
            break;
        }
        tick(l, t);
    }
    return l->st == REALM_OK ? REALM_OK : realm_fail(err, l->st, "no memory for a request");
}

/* ---- run ------------------------------------------------------------------------------------- */

uint32_t rl_load_loop_clients(const rl_load_options *o)
{
    uint64_t others = (uint64_t)o->idle + o->slow + FILES, most = rl_load_machine_most_files();

    if (o->rate <= 0)
        return o->clients;
    if (most > others && most - others < o->max_clients)
        return (uint32_t)(most - others);
    return o->max_clients;
}

static realm_status make_clients(loop *l, realm_error *err)
{
    l->clients = rl_alloc_array(l->n, sizeof *l->clients);
    l->resting = rl_alloc_array(l->n_good ? l->n_good : 1, sizeof *l->resting);
    if (!l->clients || !l->resting || !rl_load_timers_init(&l->timers, l->n))
        return realm_fail(err, REALM_ENOMEM, "no memory for %u clients", l->n);
    for (uint32_t i = 0; i < l->n; i++)
        rl_load_client_init(&l->clients[i], l->wire,
                            i < l->n_good                ? RL_LOAD_GOOD
                            : i < l->n_good + l->o->idle ? RL_LOAD_IDLE
                                                         : RL_LOAD_SLOW);
    return REALM_OK;
}

static realm_status init(loop *l, realm_error *err)
{
    struct epoll_event e = { .events = EPOLLIN, .data = { .ptr = NULL } };
    realm_status st = rl_load_machine_files((uint64_t)l->n + FILES, err);

    if (st == REALM_OK)
        st = make_clients(l, err);
    if (st != REALM_OK)
        return st;
    l->wire->addr = l->plan->addr;
    l->wire->plain = l->o->plain;
    l->wire->ep = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->wire->ep < 0 || l->timer < 0 || epoll_ctl(l->wire->ep, EPOLL_CTL_ADD, l->timer, &e) < 0)
        return realm_fail(err, REALM_EIO, "epoll: %s", strerror(errno));
    return REALM_OK;
}

static void deinit(loop *l)
{
    for (uint32_t i = 0; l->clients && i < l->n; i++)
        rl_load_client_deinit(&l->clients[i]);
    if (l->timer >= 0)
        (void)close(l->timer);
    if (l->wire && l->wire->ep >= 0)
        (void)close(l->wire->ep);
    rl_load_timers_deinit(&l->timers);
    rl_free(l->resting);
    rl_free(l->clients);
    rl_free(l->wire);
}

static void total(const loop *l, rl_load_totals *t)
{
    const rl_load_counts *a = &l->before, *b = &l->wire->count;

    t->wall_ns =
        l->last_end_ns > l->start_ns ? l->last_end_ns - l->start_ns : t->to.at_ns - l->start_ns;
    t->count = (rl_load_counts){ .bytes_in = b->bytes_in - a->bytes_in,
                                 .bytes_out = b->bytes_out - a->bytes_out,
                                 .connects = b->connects - a->connects,
                                 .again = b->again - a->again,
                                 .stray = b->stray - a->stray,
                                 .events = b->events - a->events,
                                 .texts = b->texts - a->texts };
    for (uint32_t i = l->n_good; i < l->n; i++) {
        const rl_load_client *c = &l->clients[i];
        bool streams = c->state == RL_LOAD_CLIENT_READING;

        if (c->kind == RL_LOAD_SLOW) {
            t->slow_streams += streams;
        } else {
            t->idle_streams += streams;
            l->s->idle.events += streams ? c->result.n_events : 0;
            t->idle_connections += c->fd >= 0;
        }
    }
}

realm_status rl_load_loop_run(const rl_load_plan *plan, rl_load_stats *s, rl_load_totals *t,
                              realm_error *err)
{
    const rl_load_options *o = plan->o;
    loop l = { .plan = plan,
               .o = o,
               .s = s,
               .n_good = plan->n_good,
               .timer = -1,
               .due_ns = NEVER,
               .armed_ns = NEVER };
    realm_status st;

    *t = (rl_load_totals){ .wall_ns = 0 };
    s->idle.n = o->idle;
    s->slow.n = o->slow;
    l.n = l.next_in = plan->n_good;
    l.n += o->idle + o->slow;
    l.wire = rl_alloc(sizeof *l.wire);
    if (!l.wire)
        return realm_fail(err, REALM_ENOMEM, "no memory for the run");
    l.wire->ep = -1;
    rl_load_machine_read(&t->from, o->pid);
    st = init(&l, err);
    if (st == REALM_OK) {
        tick(&l, t);
        st = turn(&l, t, err);
        if (!l.measuring)
            start_measuring(&l, t); /* broken off before: an empty measured time */
        rl_load_machine_read(&t->to, o->pid);
        total(&l, t);
    }
    deinit(&l);
    return st;
}
