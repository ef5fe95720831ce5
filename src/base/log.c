#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static _Atomic int least_level = RL_LOG_WARN;

void rl_log_set_level(rl_log_level least)
{
    atomic_store(&least_level, (int)least);
}

/* One write per line, so that lines of several threads do not mix. */
void rl_log(rl_log_level level, const char *fmt, ...)
{
    static const char *const names[] = { "debug", "info", "warning", "error" };
    char line[1024];
    va_list args;

    if ((int)level < atomic_load(&least_level))
        return;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "realm: %s: %s\n", names[level], line);
}
