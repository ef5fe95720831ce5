#include "cli/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* Digits up to `*end`; false on none or on overflow of 63 bits. */
static bool digits(const char *s, const char **end, uint64_t *v)
{
    *v = 0;
    for (*end = s; **end >= '0' && **end <= '9'; ++*end) {
        if (*v > (uint64_t)INT64_MAX / 10 - 1)
            return false;
        *v = *v * 10 + (uint64_t)(**end - '0');
    }
    return *end != s;
}

static bool with_unit(const char *s, const unit *units, uint64_t *out)
{
    const char *end;
    uint64_t v;

    if (!digits(s, &end, &v))
        return false;
    for (; units->name; units++) {
        if (strcmp(end, units->name) != 0)
            continue;
        if (v > (uint64_t)INT64_MAX / units->factor)
            return false;
        *out = v * units->factor;
        return true;
    }
    return false;
}

bool rl_units_uint(const char *s, uint64_t *v)
{
    static const unit one[] = { { "", 1 }, { NULL, 0 } };

    return with_unit(s, one, v);
}

bool rl_units_size(const char *s, uint64_t *bytes)
{
    static const unit units[] = { { "", 1 },
                                  { "B", 1 },
                                  { "KiB", (uint64_t)1 << 10 },
                                  { "MiB", (uint64_t)1 << 20 },
                                  { "GiB", (uint64_t)1 << 30 },
                                  { "TiB", (uint64_t)1 << 40 },
                                  { "kB", 1000 },
                                  { "MB", 1000000 },
                                  { "GB", 1000000000 },
                                  { NULL, 0 } };

    return with_unit(s, units, bytes);
}

bool rl_units_duration(const char *s, uint64_t *ms)
{
    static const unit units[] = {
        { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { NULL, 0 }
    };

    return with_unit(s, units, ms);
}

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
