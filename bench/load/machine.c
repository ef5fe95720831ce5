#include "load/machine.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TEXT 4096u

/* A small file of /proc as a string. */
static bool slurp(const char *path, char text[TEXT])
{
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return false;
    n = fread(text, 1, TEXT - 1, f);
    text[n] = 0;
    (void)fclose(f);
    return n > 0;
}

/* The n-th number (from 1) of a line of numbers; 0 when there is none. */
static uint64_t nth(const char *text, unsigned n)
{
    char *end;
    uint64_t v = 0;

    while (n--) {
        v = strtoull(text, &end, 10);
        if (end == text)
            return 0;
        text = end;
    }
    return v;
}

static double ticks(uint64_t n)
{
    return (double)n / (double)sysconf(_SC_CLK_TCK);
}

/* user, nice, system, irq, softirq and steal of the first line; idle (4) and iowait (5) not. */
static double busy(void)
{
    static const unsigned columns[] = { 1, 2, 3, 6, 7, 8 };
    char text[TEXT];
    uint64_t sum = 0;

    if (!slurp("/proc/stat", text) || strncmp(text, "cpu ", 4) != 0)
        return 0;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        sum += nth(text + 4, columns[i]);
    return ticks(sum);
}

/* "VmRSS:   1234 kB" in bytes */
static uint64_t status_field(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? nth(at + strlen(name), 1) * 1024 : 0;
}

static void read_server(rl_load_machine *m, uint32_t pid)
{
    char path[64], text[TEXT];
    const char *at;

    (void)snprintf(path, sizeof path, "/proc/%" PRIu32 "/stat", pid);
    if (!slurp(path, text))
        return;
    at = strrchr(text, ')'); /* the name may have any character */
    if (!at || strlen(at) < 4)
        return;
    at += 3; /* past the state, field 3: utime and stime are fields 14 and 15 */
    m->server_s = ticks(nth(at, 11)) + ticks(nth(at, 12));
    m->has_server = true;
    (void)snprintf(path, sizeof path, "/proc/%" PRIu32 "/status", pid);
    if (!slurp(path, text))
        return;
    m->server_rss = status_field(text, "\nVmRSS:");
    m->server_peak = status_field(text, "\nVmHWM:");
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void rl_load_machine_read(rl_load_machine *m, uint32_t pid)
{
    struct rusage own;

    *m = (rl_load_machine){ .at_ns = rl_clock_ns(), .busy_s = busy() };
    if (getrusage(RUSAGE_SELF, &own) == 0)
        m->own_s = seconds(own.ru_utime) + seconds(own.ru_stime);
    if (pid)
        read_server(m, pid);
}

uint64_t rl_load_machine_most_files(void)
{
    struct rlimit r;

    return getrlimit(RLIMIT_NOFILE, &r) == 0 ? r.rlim_max : 0;
}

realm_status rl_load_machine_files(uint64_t need, realm_error *err)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return realm_fail(err, REALM_EQUOTA, "the limit of open files cannot be read");
    if (r.rlim_cur >= need)
        return REALM_OK;
    if (r.rlim_max < need)
        return realm_fail(err, REALM_EQUOTA,
                          "%" PRIu64 " open files are needed, %" PRIu64 " allowed: raise the hard "
                          "limit (ulimit -Hn %" PRIu64 " as root) or use fewer clients",
                          need, (uint64_t)r.rlim_max, need);
    r.rlim_cur = need;
    if (setrlimit(RLIMIT_NOFILE, &r) < 0)
        return realm_fail(err, REALM_EQUOTA, "the limit of open files cannot be raised to %" PRIu64,
                          need);
    return REALM_OK;
}
