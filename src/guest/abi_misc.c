/* Module realm: the request, the log, errors, time and chance. */
#include "guest/abi.h"
#include "guest/run.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#define RANDOM_MAX ((uint64_t)1 << 20)

int64_t rl_abi_realm_input_len(rl_call *c)
{
    return (int64_t)c->run->n_input;
}

/* Reading at the very end gives 0 bytes, behind it is an error: a loop that goes too far shows. */
int64_t rl_abi_realm_input_read(rl_call *c)
{
    uint64_t at = c->arg[0].u, left;

    if (c->arg[0].i < 0 || at > c->run->n_input)
        return rl_call_fail(c, REALM_EINVAL, "offset %lld: the request has %zu bytes",
                            (long long)c->arg[0].i, c->run->n_input);
    left = c->run->n_input - at;
    return rl_call_put(c, 1, c->run->input + at, left < c->arg[1].n ? left : c->arg[1].n);
}

static bool is_credential(const char *name, size_t n)
{
    static const char *const hidden[] = { "authorization", "proxy-authorization", "cookie",
                                          "x-api-key", "api-key" };

    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (strlen(hidden[i]) == n && strncasecmp(name, hidden[i], n) == 0)
            return true;
    return false;
}

/* The first header of that name. Keys are between the client and the host: to a program they are
 * not there. */
int64_t rl_abi_realm_header_get(rl_call *c)
{
    const char *name = (const char *)c->arg[0].in;
    size_t n = c->arg[0].n;

    for (uint32_t i = 0; i < c->run->n_headers && !is_credential(name, n); i++) {
        const rl_header *h = &c->run->headers[i];

        if (strlen(h->name) != n || strncasecmp(h->name, name, n) != 0)
            continue;
        if (c->arg[1].n == 0)
            return (int64_t)strlen(h->value);
        return rl_call_put(c, 1, h->value, strlen(h->value));
    }
    return rl_call_fail(c, REALM_ENOTFOUND, "the request has no header %.*s", (int)n, name);
}

/* The status goes out before the first byte of the reply. */
int64_t rl_abi_realm_set_status(rl_call *c)
{
    uint64_t status = c->arg[0].u;

    if (status < 200 || status > 599)
        return rl_call_fail(c, REALM_EINVAL, "status %llu: there are 200 to 599",
                            (unsigned long long)status);
    if (c->run->n_output > 0)
        return rl_call_fail(c, REALM_ECONFLICT, "the reply has begun: its status is out");
    atomic_store(&c->run->http_status, (uint32_t)status);
    return 0;
}

/* What the run has cost so far; generations under way count when they are settled. */
int64_t rl_abi_realm_usage(rl_call *c)
{
    const rl_run *run = c->run;
    char text[256];
    int n = snprintf(text, sizeof text,
                     "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu,"
                     "\"cached_tokens\":%llu,\"cpu_ms\":%llu,\"max_tokens\":%llu}",
                     (unsigned long long)run->result.prompt_tokens,
                     (unsigned long long)run->result.generated_tokens,
                     (unsigned long long)run->result.prompt_tokens + run->result.generated_tokens,
                     (unsigned long long)run->result.cached_tokens,
                     (unsigned long long)(run->result.cpu_ns / 1000000u),
                     (unsigned long long)run->max_tokens);

    return c->arg[0].n == 0 ? n : rl_call_put(c, 0, text, (uint64_t)n);
}

/* Of module realm, as docs/abi.md has it. */
int64_t rl_abi_realm_version(rl_call *c)
{
    (void)c;
    return 1;
}

/* A log line never waits: when nobody reads, lines are dropped. */
int64_t rl_abi_realm_log(rl_call *c)
{
    static const char *const prefixes[] = { "debug: ", "", "warning: ", "error: " };
    uint64_t level = c->arg[0].u;

    if (level >= sizeof prefixes / sizeof *prefixes)
        return rl_call_fail(c, REALM_EINVAL, "log level %llu: there are 0 to 3",
                            (unsigned long long)level);
    return rl_log_line(c, prefixes[level], c->arg[1].in, c->arg[1].n);
}

/* The failed call's own sentence if the number is its status, else the table's. Fails without
 * replacing the sentence it was asked for. */
int64_t rl_abi_realm_error_text(rl_call *c)
{
    realm_status st = (realm_status)c->arg[0].i;
    const char *text;

    if (st == REALM_OK || st == c->run->last.status)
        text = c->run->last.status ? c->run->last.text : realm_status_text(REALM_OK);
    else if (strcmp(realm_status_name(st), "?") != 0)
        text = realm_status_text(st);
    else
        return rl_call_fail(c, REALM_EINVAL, "%d is no row of the error table", (int)st);
    if (c->arg[1].n == 0)
        return (int64_t)strlen(text);
    return rl_call_put(c, 1, text, strlen(text));
}

/* Coarse on purpose: a guest must not time the host's caches. */
int64_t rl_abi_realm_now_ms(rl_call *c)
{
    struct timespec t;

    (void)c;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The worker asks at the timer, but a stray wake may come before it. */
static int64_t slept(rl_call *c)
{
    return rl_clock_ns() < c->wake_ns ? RL_PARKED : 0;
}

/* A time too long to count is for ever: the run's deadline ends it. */
int64_t rl_abi_realm_sleep_ms(rl_call *c)
{
    int64_t ms = c->arg[0].i;
    uint64_t end;

    if (ms < 0)
        return rl_call_fail(c, REALM_EINVAL, "sleep_ms(%lld): the time is negative", (long long)ms);
    end =
        (uint64_t)ms > UINT64_MAX / 2000000u ? UINT64_MAX : rl_clock_ns() + (uint64_t)ms * 1000000u;
    return rl_call_park(c, slept, NULL, NULL, end);
}

/* Capped, for nothing can preempt a guest inside a host call. */
int64_t rl_abi_realm_random(rl_call *c)
{
    uint64_t n = c->arg[0].n, at = 0;

    if (n > RANDOM_MAX)
        return rl_call_fail(c, REALM_ETOOBIG, "random gives at most %llu bytes a call",
                            (unsigned long long)RANDOM_MAX);
    while (at < n) {
        ssize_t got = getrandom(c->mem + c->arg[0].u + at, n - at, 0);

        if (got > 0)
            at += (uint64_t)got;
        else if (got < 0 && errno != EINTR)
            return rl_call_fail(c, REALM_EBUG, "no random bytes: %s", strerror(errno));
    }
    return (int64_t)n;
}
