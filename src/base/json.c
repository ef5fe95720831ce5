#include "base/json.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void escaped(rl_buf *b, uint32_t cp)
{
    char out[8];

    switch (cp) {
    case '"':
        (void)rl_buf_adds(b, "\\\"");
        return;
    case '\\':
        (void)rl_buf_adds(b, "\\\\");
        return;
    case '\n':
        (void)rl_buf_adds(b, "\\n");
        return;
    case '\r':
        (void)rl_buf_adds(b, "\\r");
        return;
    case '\t':
        (void)rl_buf_adds(b, "\\t");
        return;
    default:
        if (cp < 0x20 || cp == 0x7f)
            (void)rl_buf_addf(b, "\\u%04x", (unsigned)cp);
        else
            (void)rl_buf_add(b, out, (size_t)rl_utf8_put(cp, out));
    }
}

static void quoted(rl_buf *b, const char *s, size_t n)
{
    uint32_t cp;

    (void)rl_buf_add(b, "\"", 1);
    for (size_t i = 0; i < n;) {
        int len = rl_utf8_next(s + i, n - i, &cp);

        escaped(b, len > 0 ? cp : 0xfffd);
        i += len > 0 ? (size_t)len : 1;
    }
    (void)rl_buf_add(b, "\"", 1);
}

static void begin(rl_json *j, const char *key)
{
    if (j->comma)
        (void)rl_buf_add(j->buf, ",", 1);
    j->comma = true;
    if (!key)
        return;
    quoted(j->buf, key, strlen(key));
    (void)rl_buf_add(j->buf, ":", 1);
}

static void open_with(rl_json *j, const char *key, const char *bracket)
{
    begin(j, key);
    (void)rl_buf_adds(j->buf, bracket);
    j->comma = false;
}

static void close_with(rl_json *j, const char *bracket)
{
    (void)rl_buf_adds(j->buf, bracket);
    j->comma = true;
}

void rl_json_object(rl_json *j, const char *key)
{
    open_with(j, key, "{");
}

void rl_json_array(rl_json *j, const char *key)
{
    open_with(j, key, "[");
}

void rl_json_end_object(rl_json *j)
{
    close_with(j, "}");
}

void rl_json_end_array(rl_json *j)
{
    close_with(j, "]");
}

void rl_json_stringn(rl_json *j, const char *key, const char *s, size_t n)
{
    begin(j, key);
    quoted(j->buf, s, n);
}

void rl_json_string(rl_json *j, const char *key, const char *s)
{
    rl_json_stringn(j, key, s, strlen(s));
}

void rl_json_uint(rl_json *j, const char *key, uint64_t v)
{
    begin(j, key);
    (void)rl_buf_addf(j->buf, "%" PRIu64, v);
}

void rl_json_int(rl_json *j, const char *key, int64_t v)
{
    begin(j, key);
    (void)rl_buf_addf(j->buf, "%" PRId64, v);
}

void rl_json_double(rl_json *j, const char *key, double v, int digits)
{
    begin(j, key);
    if (isfinite(v))
        (void)rl_buf_addf(j->buf, "%.*g", digits, v);
    else
        (void)rl_buf_adds(j->buf, "null");
}

void rl_json_bool(rl_json *j, const char *key, bool v)
{
    begin(j, key);
    (void)rl_buf_adds(j->buf, v ? "true" : "false");
}

void rl_json_null(rl_json *j, const char *key)
{
    begin(j, key);
    (void)rl_buf_adds(j->buf, "null");
}

void rl_json_raw(rl_json *j, const char *key, const char *json)
{
    begin(j, key);
    (void)rl_buf_adds(j->buf, json);
}
