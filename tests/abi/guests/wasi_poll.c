/* Waits: by sleeping, by polling several things at once, and for things that cannot be. */
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wasi/api.h>

static int n_bad;

static void expect(const char *what, unsigned got, unsigned want)
{
    if (got == want)
        return;
    printf("%s: %u, not %u\n", what, got, want);
    n_bad++;
}

#define EXPECT(call, want) expect(#call, call, want)

static uint64_t now(void)
{
    __wasi_timestamp_t t = 0;

    (void)!__wasi_clock_time_get(1, 1, &t);
    return t;
}

static __wasi_subscription_t timer(uint32_t id, uint64_t user, uint64_t ns, int absolute)
{
    __wasi_subscription_t s;

    memset(&s, 0, sizeof s);
    s.userdata = user;
    s.u.tag = __WASI_EVENTTYPE_CLOCK;
    s.u.u.clock.id = id;
    s.u.u.clock.timeout = ns;
    s.u.u.clock.flags = absolute ? __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME : 0;
    return s;
}

static __wasi_subscription_t descriptor(uint8_t type, uint64_t user, int fd)
{
    __wasi_subscription_t s;

    memset(&s, 0, sizeof s);
    s.userdata = user;
    s.u.tag = type;
    s.u.u.fd_read.file_descriptor = fd;
    return s;
}

static void sleeping(void)
{
    struct timespec half = { 0, 30000000 };
    uint64_t before = now();
    __wasi_subscription_t s;
    __wasi_event_t e;
    __wasi_size_t n;

    EXPECT(nanosleep(&half, NULL), 0);
    EXPECT(now() - before >= 30000000, 1);
    before = now();
    s = timer(1, 7, before + 20000000, 1);
    EXPECT(__wasi_poll_oneoff(&s, &e, 1, &n), 0);
    EXPECT(n, 1);
    EXPECT(e.userdata, 7);
    EXPECT(e.type, __WASI_EVENTTYPE_CLOCK);
    EXPECT(now() >= before + 20000000, 1);
    s = timer(1, 8, 1, 1); /* long ago */
    EXPECT(__wasi_poll_oneoff(&s, &e, 1, &n), 0);
    EXPECT(n, 1);
}

static void together(void)
{
    __wasi_subscription_t s[3];
    __wasi_event_t e[3];
    __wasi_size_t n;
    uint64_t before = now();

    s[0] = timer(1, 1, 3600000000000, 0);
    s[1] = descriptor(__WASI_EVENTTYPE_FD_READ, 2, 0);
    s[2] = descriptor(__WASI_EVENTTYPE_FD_WRITE, 3, 1);
    EXPECT(__wasi_poll_oneoff(s, e, 3, &n), 0);
    EXPECT(n, 2);
    EXPECT(e[0].userdata, 2);
    EXPECT(e[0].fd_readwrite.nbytes, 5);
    EXPECT(e[1].userdata, 3);
    s[1] = timer(0, 4, 10000000, 0);
    EXPECT(__wasi_poll_oneoff(s, e, 2, &n), 0);
    EXPECT(n, 1);
    EXPECT(e[0].userdata, 4);
    EXPECT(now() - before < 3600000000000, 1);
    /* in and out may overlap */
    s[0] = timer(1, 5, 0, 0);
    EXPECT(__wasi_poll_oneoff(s, (__wasi_event_t *)(void *)s, 1, &n), 0);
    EXPECT(((__wasi_event_t *)(void *)s)->userdata, 5);
}

static void impossible(void)
{
    __wasi_subscription_t s = descriptor(__WASI_EVENTTYPE_FD_READ, 1, 9);
    __wasi_event_t e;
    __wasi_size_t n;

    EXPECT(__wasi_poll_oneoff(&s, &e, 0, &n), __WASI_ERRNO_INVAL);
    EXPECT(__wasi_poll_oneoff(&s, &e, 1, &n), 0);
    EXPECT(e.error, __WASI_ERRNO_BADF);
    s = descriptor(__WASI_EVENTTYPE_FD_READ, 1, 1);
    EXPECT(__wasi_poll_oneoff(&s, &e, 1, &n), 0);
    EXPECT(e.error, __WASI_ERRNO_NOTCAPABLE);
    s = timer(99, 1, 1, 0);
    EXPECT(__wasi_poll_oneoff(&s, &e, 1, &n), 0);
    EXPECT(e.error, __WASI_ERRNO_INVAL);
    s.u.tag = 77;
    EXPECT(__wasi_poll_oneoff(&s, &e, 1, &n), __WASI_ERRNO_INVAL);
}

int main(void)
{
    sleeping();
    together();
    impossible();
    printf("%d wrong\n", n_bad);
    return n_bad != 0;
}
