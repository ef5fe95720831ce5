#include "cli/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* Three significant digits or so: no decimals from 100 on. */
static const char *scaled(double v, const char *name, char *out)
{
    (void)snprintf(out, RL_UNITS_TEXT, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, name);
    return out;
}

const char *rl_units_show_size(uint64_t bytes, char out[RL_UNITS_TEXT])
{
    static const char *const names[] = { "KiB", "MiB", "GiB", "TiB" };
    double v = (double)bytes / 1024;
    size_t i = 0;

    if (bytes < 1024) {
        (void)snprintf(out, RL_UNITS_TEXT, "%" PRIu64 " B", bytes);
        return out;
    }
    for (; v >= 1023.5 && i < 3; i++)
        v /= 1024;
    return scaled(v, names[i], out);
}

const char *rl_units_show_count(uint64_t n, char out[RL_UNITS_TEXT])
{
    static const char *const names[] = { "k", "M", "B", "T" };
    double v = (double)n / 1000;
    size_t i = 0;

    if (n < 1000) {
        (void)snprintf(out, RL_UNITS_TEXT, "%" PRIu64, n);
        return out;
    }
    for (; v >= 999.5 && i < 3; i++)
        v /= 1000;
    return scaled(v, names[i], out);
}

const char *rl_units_show_ns(uint64_t ns, char out[RL_UNITS_TEXT])
{
    double s = (double)ns / 1e9;

    if (s < 0.9995)
        return scaled(s * 1e3, "ms", out);
    if (s < 99.95)
        return scaled(s, "s", out);
    (void)snprintf(out, RL_UNITS_TEXT, "%u min %u s", (unsigned)(s / 60), (unsigned)s % 60);
    return out;
}

const char *rl_units_show_date(int64_t unix_s, char out[RL_UNITS_TEXT])
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    if (!localtime_r(&t, &tm) || !strftime(out, RL_UNITS_TEXT, "%Y-%m-%d %H:%M", &tm))
        (void)snprintf(out, RL_UNITS_TEXT, "?");
    return out;
}
