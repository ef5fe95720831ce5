#include "server/trace.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Where the parts of "00-<32 digits>-<16 digits>-<2 digits>" begin, and its length. */
enum { AT_ID = 3, AT_PARENT = 36, AT_FLAGS = 53, LENGTH = 55 };

static bool is_hex(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
    return true;
}

static bool is_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != '0')
            return false;
    return true;
}

/* A later version may have more behind a dash. */
static bool is_long_enough(const char *p)
{
    size_t n = strlen(p);

    return n == LENGTH || (n > LENGTH && memcmp(p, "00", 2) != 0 && p[LENGTH] == '-');
}

bool rl_trace_parse(const char *p, rl_trace *out)
{
    if (strnlen(p, LENGTH) < LENGTH || !is_long_enough(p) || p[AT_ID - 1] != '-' ||
        p[AT_PARENT - 1] != '-' || p[AT_FLAGS - 1] != '-')
        return false;
    if (!is_hex(p, 2) || !is_hex(p + AT_ID, 32) || !is_hex(p + AT_PARENT, 16) ||
        !is_hex(p + AT_FLAGS, 2))
        return false;
    if (memcmp(p, "ff", 2) == 0 || is_zero(p + AT_ID, 32) || is_zero(p + AT_PARENT, 16))
        return false;
    (void)snprintf(out->id, sizeof out->id, "%.32s", p + AT_ID);
    (void)snprintf(out->parent, sizeof out->parent, "%.16s", p + AT_PARENT);
    return true;
}

static uint64_t salt[2];
static pthread_once_t salted = PTHREAD_ONCE_INIT;

/* Of this process, so that ids which repeat after a restart, or come from outside, make new
 * traces. */
static void make_salt(void)
{
    if (getrandom(salt, sizeof salt, 0) != (ssize_t)sizeof salt)
        salt[0] = rl_clock_ns();
}

void rl_trace_of(const char *traceparent, const char *id, rl_trace *out)
{
    char hex[RL_SHA256_HEX];
    char text[256];
    int n;

    (void)pthread_once(&salted, make_salt);
    n = snprintf(text, sizeof text, "%016llx%016llx%.200s", (unsigned long long)salt[0],
                 (unsigned long long)salt[1], id);
    rl_sha256(text, (size_t)n, hex);
    *out = (rl_trace){ .id = "" };
    (void)snprintf(out->span, sizeof out->span, "%.16s", hex + 32);
    if (!traceparent || !rl_trace_parse(traceparent, out))
        (void)snprintf(out->id, sizeof out->id, "%.32s", hex);
}
