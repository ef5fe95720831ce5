#include "base/units.h"

#include <stddef.h>
#include <string.h>

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
