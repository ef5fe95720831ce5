/* WASI preview 1: arguments, environment, clocks, random bytes, and the end of the run. */
#include "guest/wasi.h"

#include "base/clock.h"
#include "guest/run.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#define NS_PER_MS  1000000u
#define RANDOM_MAX ((uint64_t)1 << 20)

enum { CLOCK_ID_REALTIME, CLOCK_ID_MONOTONIC, CLOCK_ID_PROCESS_CPU, CLOCK_ID_THREAD_CPU };

/* Bytes of all arguments with their NULs. */
static uint64_t args_bytes(const rl_run *run)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < run->n_args; i++)
        n += strlen(run->args[i]) + 1;
    return n;
}

int64_t rl_wasi_args_sizes_get(rl_call *c)
{
    rl_wasi_put32(c, 0, c->run->n_args);
    rl_wasi_put32(c, 1, (uint32_t)args_bytes(c->run));
    return RL_WASI_OK;
}

int64_t rl_wasi_args_get(rl_call *c)
{
    const rl_run *run = c->run;
    uint8_t *argv = rl_call_at(c, c->arg[0].u, (uint64_t)run->n_args * 4);
    uint8_t *bytes = rl_call_at(c, c->arg[1].u, args_bytes(run));
    uint32_t at = (uint32_t)c->arg[1].u;

    if (argv == NULL || bytes == NULL)
        return RL_WASI_FAULT;
    for (uint32_t i = 0; i < run->n_args; i++) {
        size_t n = strlen(run->args[i]) + 1;

        memcpy(argv + (size_t)i * 4, &at, sizeof at);
        memcpy(bytes, run->args[i], n);
        bytes += n;
        at += (uint32_t)n;
    }
    return RL_WASI_OK;
}

/* Of the host a program learns nothing: the environment is empty. */
int64_t rl_wasi_environ_sizes_get(rl_call *c)
{
    rl_wasi_put32(c, 0, 0);
    rl_wasi_put32(c, 1, 0);
    return RL_WASI_OK;
}

int64_t rl_wasi_environ_get(rl_call *c)
{
    /* Nothing is written, but wild pointers are refused as everywhere. */
    bool good = rl_call_at(c, c->arg[0].u, 0) != NULL && rl_call_at(c, c->arg[1].u, 0) != NULL;

    return good ? RL_WASI_OK : RL_WASI_FAULT;
}

/* Clocks are cut to milliseconds: finer ones measure caches, and so what other runs do. */
uint64_t rl_wasi_realtime_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 * NS_PER_MS + (uint64_t)t.tv_nsec / NS_PER_MS * NS_PER_MS;
}

/* From the start of the run: the uptime of the host is not told. */
uint64_t rl_wasi_monotonic_ns(const rl_call *c)
{
    return (rl_clock_ns() - c->run->start_ns) / NS_PER_MS * NS_PER_MS;
}

/* CPU clocks are known but not offered; other numbers are no clocks. */
int64_t rl_wasi_clock_res_get(rl_call *c)
{
    if (c->arg[0].u > CLOCK_ID_MONOTONIC)
        return c->arg[0].u > CLOCK_ID_THREAD_CPU ? RL_WASI_INVAL : RL_WASI_NOSYS;
    rl_wasi_put64(c, 1, NS_PER_MS);
    return RL_WASI_OK;
}

int64_t rl_wasi_clock_time_get(rl_call *c)
{
    if (c->arg[0].u > CLOCK_ID_MONOTONIC)
        return c->arg[0].u > CLOCK_ID_THREAD_CPU ? RL_WASI_INVAL : RL_WASI_NOSYS;
    rl_wasi_put64(
        c, 2, c->arg[0].u == CLOCK_ID_REALTIME ? rl_wasi_realtime_ns() : rl_wasi_monotonic_ns(c));
    return RL_WASI_OK;
}

int64_t rl_wasi_random_get(rl_call *c)
{
    /* Bounded, because this runs at once: C libraries ask for a few bytes. */
    uint64_t n = c->arg[1].u;

    if (n > RANDOM_MAX)
        return RL_WASI_INVAL;
    for (uint64_t at = 0; at < n;) {
        ssize_t got = getrandom(c->mem + c->arg[0].u + at, (size_t)(n - at), 0);

        if (got < 0 && errno != EINTR)
            return RL_WASI_IO;
        at += got > 0 ? (uint64_t)got : 0;
    }
    return RL_WASI_OK;
}

int64_t rl_wasi_sched_yield(rl_call *c)
{
    (void)c; /* a guest that computes is preempted anyway; one that waits should poll */
    return RL_WASI_OK;
}

int64_t rl_wasi_proc_exit(rl_call *c)
{
    return rl_call_exit(c, (int32_t)(uint32_t)c->arg[0].u);
}

int64_t rl_wasi_proc_raise(rl_call *c)
{
    (void)c;
    return RL_WASI_NOSYS;
}
