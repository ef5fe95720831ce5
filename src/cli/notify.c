#include "cli/notify.h"

#include "base/clock.h"
#include "base/units.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* -> its length, 0: no such socket is named */
static socklen_t address_of(const char *name, struct sockaddr_un *at)
{
    size_t n = name ? strlen(name) : 0;

    memset(at, 0, sizeof *at);
    at->sun_family = AF_UNIX;
    if (n < 2 || n >= sizeof at->sun_path || (name[0] != '/' && name[0] != '@'))
        return 0;
    memcpy(at->sun_path, name, n);
    if (name[0] == '@') /* a NUL in its place, and none at the end */
        at->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
}

bool rl_notify(const char *lines)
{
    struct sockaddr_un at;
    socklen_t len = address_of(getenv("NOTIFY_SOCKET"), &at);
    ssize_t sent;
    int fd;

    if (!len)
        return false;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    sent = sendto(fd, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT,
                  (const struct sockaddr *)&at, len);
    (void)close(fd);
    return sent >= 0;
}

/* The time tells this reload from the one before. */
bool rl_notify_reloading(void)
{
    char lines[64];

    (void)snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)(rl_clock_ns() / 1000));
    return rl_notify(lines);
}

/* Half of what the manager allows. The variables may be another process's, inherited. */
uint64_t rl_notify_watchdog_ns(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t n = 0, whose = 0;

    if (!usec || !rl_units_uint(usec, &n) || n > (uint64_t)INT64_MAX / 1000)
        return 0;
    if (pid && (!rl_units_uint(pid, &whose) || whose != (uint64_t)getpid()))
        return 0;
    return n * 1000 / 2;
}
