#include "base/log.h"

#include "base/log_sink.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX 600u /* of a sentence: six bytes each when all of it must be escaped */

static const char *const names[] = { "debug", "info", "warning", "error" }; /* for people */
static const char *const words[] = { "debug", "info", "warn", "error" };    /* as in log_level */
static _Atomic int least_level = RL_LOG_WARN;

void rl_log_set_level(rl_log_level least)
{
    atomic_store(&least_level, (int)least);
}

/* One write per line, so that lines of several threads do not mix. */
void rl_log(rl_log_level level, const char *fmt, ...)
{
    char text[1024];
    rl_log_event line;
    va_list args;

    if ((int)level < atomic_load(&least_level))
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    text[rl_utf8_whole(text, strlen(text) < TEXT_MAX ? strlen(text) : TEXT_MAX)] = 0;
    if (rl_log_begin(&line, level, text))
        rl_log_end(&line);
    else if (!rl_log_sink_is_open())
        (void)fprintf(stderr, "realm: %s: %s\n", names[level], text);
}

/* RFC 3339 in UTC with milliseconds: "2026-11-22T14:05:06.789Z". */
static void put_time(rl_json *j)
{
    struct timespec now;
    struct tm tm;
    char text[40];
    size_t n;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + n, sizeof text - n, ".%03ldZ", now.tv_nsec / 1000000);
    rl_json_string(j, "ts", text);
}

bool rl_log_begin(rl_log_event *line, rl_log_level level, const char *msg)
{
    if ((int)level < atomic_load(&least_level) || !rl_log_sink_is_open())
        return false;
    rl_buf_init(&line->buf, RL_LOG_LINE);
    line->json = rl_json_on(&line->buf);
    rl_json_object(&line->json, NULL);
    put_time(&line->json);
    rl_json_string(&line->json, "level", words[level]);
    rl_json_string(&line->json, "msg", msg);
    return true;
}

void rl_log_text(rl_log_event *line, const char *key, const char *text, size_t most)
{
    size_t n;

    if (!text)
        return;
    n = strnlen(text, most);
    if (text[n])
        n = rl_utf8_whole(text, n);
    rl_json_stringn(&line->json, key, text, n);
}

/* A line that has grown too long or found no memory is as good as dropped. */
void rl_log_end(rl_log_event *line)
{
    rl_json_end_object(&line->json);
    (void)rl_buf_add(&line->buf, "\n", 1);
    rl_log_sink_put(&line->buf);
}
