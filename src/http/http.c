/* Http: the room's door, and the http thread's loop.
 *
 * One turn: wait; serve who has events; take over what other threads asked for; accept; serve who
 * had more to do than fits a turn; look at the clock now and then. What was closed is freed last,
 * after the last use of the events that name it. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/thread.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_A_TURN  128
#define POSTS_A_TURN   4096
#define TICK_MIN_MS    5
#define TICK_MAX_MS    1000
#define LIMIT_MAX      (16 * 1024) /* of line_max and head_max */
#define FIELDS_MAX_MAX 128

static uint64_t clock_ms(void)
{
    return rl_clock_ns() / 1000000u;
}

/* --- the loop ------------------------------------------------------------------------------- */

static int wait_ms(const rl_http *h)
{
    if (h->due)
        return 0;
    return h->n_conns || h->n_leaving || h->deaf ? (int)h->tick_ms : -1;
}

static void close_listener(rl_http *h)
{
    if (h->listener >= 0)
        (void)close(h->listener);
    h->listener = -1;
    (void)pthread_mutex_lock(&h->inbox->lock);
    h->inbox->listening = false;
    (void)pthread_cond_broadcast(&h->inbox->changed);
    (void)pthread_mutex_unlock(&h->inbox->lock);
}

/* Everybody is served after that, so that who posts meanwhile finds a list that is not empty, and
 * wakes nobody. */
static void empty_inbox(rl_http *h)
{
    rl_http_inbox *box = h->inbox;
    rl_http_exchange *ex;
    bool quiet;

    for (int i = 0; i < POSTS_A_TURN && (ex = rl_http_inbox_take(box)); i++) {
        if (ex->conn) {
            rl_http_exchange_suspend(ex, false);
            rl_http_conn_make_due(ex->conn);
        }
        rl_http_unref(ex);
    }
    (void)pthread_mutex_lock(&box->lock);
    h->stopping = box->stop;
    quiet = box->quiet && !h->draining;
    if (box->first)
        rl_http_inbox_poke(box);
    (void)pthread_mutex_unlock(&box->lock);
    if (quiet) {
        h->draining = true;
        close_listener(h);
        rl_http_conn_idle_drop(h);
    }
}

static void turn(rl_http *h)
{
    struct epoll_event events[EVENTS_A_TURN];
    int n = epoll_wait(h->epoll, events, EVENTS_A_TURN, wait_ms(h));
    bool accepts = false, posted = false, left = false;
    uint64_t count;

    atomic_fetch_add(&h->turns, 1);
    h->now_ms = clock_ms();
    for (int i = 0; i < n; i++) {
        void *of = events[i].data.ptr;

        if (of == &h->listener)
            accepts = true;
        else if (of == h->inbox)
            posted = read(h->inbox->event, &count, sizeof count) == sizeof count;
        else if (of == h->leaving)
            left = true;
        else
            rl_http_conn_event(of, events[i].events);
    }
    if (posted)
        empty_inbox(h);
    if (accepts && h->listener >= 0)
        rl_http_conn_accept(h);
    if (left)
        rl_http_leave_look(h);
    rl_http_conn_run_due(h);
    if (h->now_ms - h->ticked_ms >= h->tick_ms)
        rl_http_tick(h);
    rl_http_conn_sweep(h);
}

/* What is posted meanwhile finds its exchange dead. */
static void wind_up(rl_http *h)
{
    rl_http_exchange *ex;

    close_listener(h);
    while (h->conns)
        rl_http_conn_cut(h->conns);
    rl_http_conn_sweep(h);
    RL_ASSERT(h->n_conns == 0 && !h->due);
    rl_http_leave_all(h);
    while ((ex = rl_http_inbox_take(h->inbox)))
        rl_http_unref(ex);
}

static void *run(void *arg)
{
    rl_http *h = arg;

    rl_thread_name("http", 0);
    (void)pthread_mutex_lock(&h->inbox->lock);
    h->inbox->owner = pthread_self();
    (void)pthread_mutex_unlock(&h->inbox->lock);
    h->now_ms = h->ticked_ms = clock_ms();
    while (!h->stopping)
        turn(h);
    wind_up(h);
    return NULL;
}

/* --- starting and ending -------------------------------------------------------------------- */

static uint32_t or_default(uint32_t v, uint32_t otherwise)
{
    return v ? v : otherwise;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static realm_status set_options(rl_http *h, const rl_http_opts *o, realm_error *err)
{
    h->o = *o;
    h->o.line_max = or_default(o->line_max, 8 * 1024);
    h->o.head_max = or_default(o->head_max, 16 * 1024);
    h->o.fields_max = or_default(o->fields_max, 100);
    h->o.body_max = o->body_max ? o->body_max : (size_t)1024 * 1024;
    h->o.conns_max = or_default(o->conns_max, 4096);
    h->o.conns_per_ip_max = or_default(o->conns_per_ip_max, 1024);
    h->o.head_ms = or_default(o->head_ms, 10000);
    h->o.idle_ms = or_default(o->idle_ms, 75000);
    h->o.body_rate = or_default(o->body_rate, 1024);
    h->o.stall_ms = or_default(o->stall_ms, 30000);
    h->o.address = rl_strdup(o->address ? o->address : "127.0.0.1");
    h->o.refuse_type = rl_strdup(o->refuse_type ? o->refuse_type : "text/plain; charset=utf-8");
    h->tick_ms = least(h->o.head_ms, least(h->o.idle_ms, h->o.stall_ms)) / 8;
    h->tick_ms = least(h->tick_ms > TICK_MIN_MS ? h->tick_ms : TICK_MIN_MS, TICK_MAX_MS);
    if (!o->handle || h->o.line_max > LIMIT_MAX || h->o.head_max > LIMIT_MAX ||
        h->o.fields_max > FIELDS_MAX_MAX)
        return realm_fail(
            err, REALM_EINVAL,
            "http: a handler, and limits of at most 16 KiB and 128 fields, are needed");
    h->window = (size_t)h->o.line_max + 2 + h->o.head_max + 2; /* with the ends of its lines */
    h->lines = rl_alloc_array(h->o.fields_max, sizeof *h->lines);
    h->chunk = rl_alloc(RL_HTTP_CHUNK);
    if (!h->o.address || !h->o.refuse_type || !h->lines || !h->chunk)
        return realm_fail(err, REALM_ENOMEM, "no memory for the http room");
    return REALM_OK;
}

static bool watch(rl_http *h, int fd, void *of)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = of };

    return epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static realm_status open_all(rl_http *h, realm_error *err)
{
    h->port = h->o.port;
    h->listener = rl_http_sock_listen(h->o.address, &h->port, h->o.sndbuf, err);
    if (h->listener < 0)
        return err ? err->status : REALM_EIO;
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->inbox = rl_http_inbox_new();
    if (!h->inbox || h->epoll < 0 || !watch(h, h->inbox->event, h->inbox) ||
        !watch(h, h->listener, &h->listener))
        return realm_fail(err, REALM_EIO,
                          "the http room cannot start: no memory or no free file descriptor");
    h->inbox->listening = true;
    return REALM_OK;
}

/* The thread's signals are the owner's business. */
static realm_status start_thread(rl_http *h, realm_error *err)
{
    sigset_t all, before;
    int failed;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&h->thread, NULL, run, h);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return realm_fail(err, REALM_EIO, "no thread for the http room");
    return REALM_OK;
}

static void dispose(rl_http *h)
{
    if (h->listener >= 0)
        (void)close(h->listener);
    if (h->epoll >= 0)
        (void)close(h->epoll);
    rl_http_inbox_unref(h->inbox);
    rl_free(h->lines);
    rl_free(h->chunk);
    rl_buf_deinit(&h->text);
    rl_free((void *)(uintptr_t)h->o.address);
    rl_free((void *)(uintptr_t)h->o.refuse_type);
    rl_free(h);
}

realm_status rl_http_start(rl_http **out, const rl_http_opts *opts, realm_error *err)
{
    rl_http *h = rl_alloc(sizeof *h);
    realm_status st;

    *out = NULL;
    if (!h)
        return realm_fail(err, REALM_ENOMEM, "no memory for the http room");
    h->listener = h->epoll = -1;
    rl_buf_init(&h->text, RL_HTTP_ANSWER_HEAD);
    st = set_options(h, opts, err);
    if (st == REALM_OK)
        st = open_all(h, err);
    if (st == REALM_OK)
        st = start_thread(h, err);
    if (st == REALM_OK)
        *out = h;
    else
        dispose(h);
    return st;
}

uint16_t rl_http_port(const rl_http *h)
{
    return h->port;
}

void rl_http_stop_listening(rl_http *h)
{
    rl_http_inbox *box = h->inbox;

    (void)pthread_mutex_lock(&box->lock);
    box->quiet = true;
    rl_http_inbox_poke(box);
    while (box->listening && !pthread_equal(pthread_self(), box->owner))
        (void)pthread_cond_wait(&box->changed, &box->lock);
    (void)pthread_mutex_unlock(&box->lock);
}

void rl_http_free(rl_http *h)
{
    if (!h)
        return;
    (void)pthread_mutex_lock(&h->inbox->lock);
    h->inbox->stop = true;
    rl_http_inbox_poke(h->inbox);
    (void)pthread_mutex_unlock(&h->inbox->lock);
    (void)pthread_join(h->thread, NULL);
    dispose(h);
}

void rl_http_count(const rl_http *h, rl_http_counts *out)
{
    *out = (rl_http_counts){
        .connections = atomic_load(&h->connections),
        .exchanges = atomic_load(&h->exchanges),
        .suspended = atomic_load(&h->suspended),
        .accepted = atomic_load(&h->accepted),
        .turned_away = atomic_load(&h->turned_away),
        .requests = atomic_load(&h->requests),
        .bytes_out = atomic_load(&h->bytes_out),
        .turns = atomic_load(&h->turns),
    };
    for (size_t i = 0; i < 6; i++) {
        out->refused[i] = atomic_load(&h->refused[i]);
        out->answered[i] = atomic_load(&h->answered[i]);
    }
}
