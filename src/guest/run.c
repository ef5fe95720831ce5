/* Runs: starting, reading, cancelling and closing them, from any thread. What happens in between is
 * the worker's (worker.c) and the phases' (entry.c). */
#include "guest/runtime.h"
#include "guest/trap.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_TIME_MS 300000u
#define DEFAULT_CPU_MS  30000u
#define DEFAULT_TOKENS  4096u
#define DEFAULT_OUTPUT  ((uint64_t)1 << 20)
#define MAX_TIME_MS     ((uint64_t)365 * 24 * 3600 * 1000)
#define NO_TIMER        UINT32_MAX

/* The last reference: possibly an op's, on the engine thread, long after the run was done. */
static void free_run(rl_run *run)
{
    uint32_t i;

    for (i = 0; i < run->n_args; i++)
        rl_free(run->args[i]);
    rl_free(run->args);
    for (i = 0; i < run->n_headers; i++) {
        rl_free((char *)(uintptr_t)run->headers[i].name);
        rl_free((char *)(uintptr_t)run->headers[i].value);
    }
    rl_free(run->headers);
    rl_free(run->input);
    rl_free(run->model);
    rl_reply_deinit(&run->reply);
    rl_cancel_deinit(&run->jobs);
    rl_program_unref(run->program);
    rl_free(run);
}

void rl_run_ref(rl_run *run)
{
    atomic_fetch_add(&run->refs, 1);
}

void rl_run_unref(rl_run *run)
{
    if (atomic_fetch_sub(&run->refs, 1) == 1)
        free_run(run);
}

static bool copy_args(rl_run *run, const rl_run_opts *o)
{
    run->args = rl_alloc_array((size_t)o->n_args + 1, sizeof *run->args);
    if (!run->args)
        return false;
    for (; run->n_args < o->n_args; run->n_args++) {
        run->args[run->n_args] = rl_strdup(o->args[run->n_args]);
        if (!run->args[run->n_args])
            return false;
    }
    return true;
}

static bool copy_headers(rl_run *run, const rl_run_opts *o)
{
    run->headers = rl_alloc_array((size_t)o->n_headers + 1, sizeof *run->headers);
    if (!run->headers)
        return false;
    for (; run->n_headers < o->n_headers; run->n_headers++) {
        rl_header *h = &run->headers[run->n_headers];

        h->name = rl_strdup(o->headers[run->n_headers].name);
        h->value = rl_strdup(o->headers[run->n_headers].value);
        if (h->name && h->value)
            continue;
        run->n_headers++; /* freed with the others */
        return false;
    }
    return true;
}

/* Everything the caller gave is copied: he may free it when rl_run_start returns. */
static bool copy_input(rl_run *run, const rl_run_opts *o)
{
    run->model = rl_strdup(o->model ? o->model : "");
    run->input = rl_alloc(o->n_input);
    if (!run->model || !run->input)
        return false;
    if (o->n_input)
        memcpy(run->input, o->input, o->n_input);
    run->n_input = o->n_input;
    return copy_args(run, o) && copy_headers(run, o);
}

/* Zeros are defaults. The deadline is absolute: waiting for the model counts too. */
static void set_limits(rl_run *run, const rl_run_opts *o)
{
    run->max_memory = o->max_memory ? o->max_memory : RL_MEMORY_DEFAULT;
    if (!o->max_memory && run->max_memory > run->rt->max_memory)
        run->max_memory = run->rt->max_memory;
    run->max_time_ms = o->max_time_ms ? o->max_time_ms : DEFAULT_TIME_MS;
    if (run->max_time_ms > MAX_TIME_MS)
        run->max_time_ms = MAX_TIME_MS;
    run->max_cpu_ms = o->max_cpu_ms ? o->max_cpu_ms : DEFAULT_CPU_MS;
    run->max_tokens = o->max_tokens ? o->max_tokens : DEFAULT_TOKENS;
    run->max_output = o->max_output ? o->max_output : DEFAULT_OUTPUT;
    run->start_ns = rl_clock_ns();
    run->deadline_ns = run->start_ns + run->max_time_ms * 1000000u;
}

/* Runs go to the workers in turn and stay there. */
static rl_run *new_run(rl_runtime *rt, const rl_run_opts *o)
{
    rl_run *run = rl_alloc(sizeof *run);
    uint32_t w;

    if (!run)
        return NULL;
    run->rt = rt;
    run->program = rl_program_ref(o->program);
    run->caps = o->caps;
    run->owner = o->owner;
    run->notify = o->notify;
    run->notify_ctx = o->ctx;
    run->heap_at = NO_TIMER;
    run->call.run = run;
    /* Of the only call a run has at a time; the rest of it is filled by each call anew. */
    run->call.wide = o->program->shape.wide;
    rl_reply_init(&run->reply);
    rl_cancel_init(&run->jobs);
    set_limits(run, o);
    w = atomic_fetch_add(&rt->next_worker, 1) % rt->n_workers;
    run->worker = &rt->workers[w];
    atomic_store(&run->refs, 2); /* the caller's and the worker's */
    if (!copy_input(run, o)) {
        free_run(run);
        return NULL;
    }
    return run;
}

/* What cannot work is refused here, with a sentence, before it takes a place or a worker. */
static realm_status check_opts(const rl_runtime *rt, const rl_run_opts *o, realm_error *err)
{
    size_t memory = o->max_memory ? o->max_memory : RL_MEMORY_DEFAULT;
    uint64_t need = o->program->shape.min_bytes;

    if (o->max_memory > rt->max_memory)
        return realm_fail(err, REALM_EINVAL,
                          "a memory limit of %zu bytes is over the runtime's %zu", o->max_memory,
                          rt->max_memory);
    if (need > memory)
        return realm_fail(err, REALM_EINVAL,
                          "the program starts with %llu bytes of memory; its limit is %zu",
                          (unsigned long long)need, memory);
    return REALM_OK;
}

/* Takes one of the places for live guests. */
static bool take_place(rl_runtime *rt)
{
    uint32_t live = atomic_load(&rt->live);

    while (live < rt->max_guests)
        if (atomic_compare_exchange_weak(&rt->live, &live, live + 1))
            return true;
    return false;
}

realm_status rl_run_start(rl_run **out, rl_runtime *rt, const rl_run_opts *opts, realm_error *err)
{
    realm_status st = check_opts(rt, opts, err);
    rl_run *run;

    *out = NULL;
    if (st != REALM_OK)
        return st;
    if (!take_place(rt))
        return realm_fail(err, REALM_EBUSY, "%u programs are running, as many as may: try again",
                          rt->max_guests);
    run = new_run(rt, opts);
    if (!run) {
        atomic_fetch_sub(&rt->live, 1);
        return realm_fail(err, REALM_ENOMEM, "no memory for a run");
    }
    atomic_fetch_add(&rt->runs_started, 1);
    *out = run;
    rl_run_wake(run);
    return REALM_OK;
}

realm_status rl_run_read(rl_run *run, rl_reply_kind *kind, char *out, size_t cap, size_t *n,
                         int64_t wait_ms)
{
    bool room;
    realm_status st = rl_reply_read(&run->reply, kind, out, cap, n, wait_ms, &room);

    if (room)
        rl_run_wake(run);
    return st;
}

bool rl_run_done(const rl_run *run, rl_run_result *result)
{
    /* `done` publishes the result; what is still unread comes before it in the order of things. */
    if (!atomic_load(&run->done) || !rl_reply_drained((rl_reply *)(uintptr_t)&run->reply))
        return false;
    if (result)
        *result = run->result;
    return true;
}

uint32_t rl_run_http_status(const rl_run *run)
{
    return atomic_load(&run->http_status);
}

/* The flag first: a post that does not find it is found by rl_cancel_all, and the look that the
 * wake causes must find it too. */
void rl_run_cancel(rl_run *run)
{
    atomic_store(&run->cancelled, true);
    rl_cancel_all(run);
    rl_run_wake(run);
}

/* Waits for the worker's last touch, not for the engine: ops hold references of their own. */
void rl_run_close(rl_run *run)
{
    if (!run)
        return;
    rl_run_cancel(run);
    (void)pthread_mutex_lock(&run->reply.lock);
    while (!run->released)
        (void)pthread_cond_wait(&run->reply.filled, &run->reply.lock);
    (void)pthread_mutex_unlock(&run->reply.lock);
    rl_run_unref(run);
}

void rl_run_end(rl_run *run, realm_status st, const char *fmt, ...)
{
    va_list ap;

    /* The first reason is the true one: what follows is often its consequence (a trap after a
     * refused growth). */
    if (run->ended)
        return;
    run->ended = true;
    run->result.status = st;
    run->result.err.status = st;
    va_start(ap, fmt);
    (void)vsnprintf(run->result.err.text, sizeof run->result.err.text, fmt, ap);
    va_end(ap);
}

void rl_run_limit(rl_run *run, rl_limit limit)
{
    if (!run->ended)
        run->result.limit = limit;
}

void rl_run_exit(rl_run *run, int32_t code, const char *says)
{
    run->result.exit_code = code;
    if (code == 0)
        rl_run_end(run, REALM_OK, "%s", "");
    else if (code < 0 && code == (int32_t)run->last.status)
        rl_run_end(run, run->last.status, "%s", run->last.text);
    else if (!rl_memory_end(run))
        rl_run_end(run, REALM_EINVAL, "%s %d", says, code);
}
