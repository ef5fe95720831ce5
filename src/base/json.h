/* Writing JSON onto a buf: commas and escapes are the writer's business. Bytes that are not UTF-8
 * become U+FFFD, so the output is always valid JSON. (Reading is jansson's.) Not thread safe.
 *
 * key may be NULL: inside arrays, and for the outermost value. Failures show in buf->failed. */
#ifndef RL_BASE_JSON_H
#define RL_BASE_JSON_H

#include "base/buf.h"

#include <stdint.h>

typedef struct rl_json {
    rl_buf *buf; /* borrowed */
    bool comma;  /* the next value needs a comma before it */
} rl_json;

static inline rl_json rl_json_on(rl_buf *buf)
{
    return (rl_json){ .buf = buf };
}

void rl_json_object(rl_json *j, const char *key); /* opens { */
void rl_json_array(rl_json *j, const char *key);  /* opens [ */
void rl_json_end_object(rl_json *j);
void rl_json_end_array(rl_json *j);
void rl_json_string(rl_json *j, const char *key, const char *s);
void rl_json_stringn(rl_json *j, const char *key, const char *s, size_t n);
void rl_json_uint(rl_json *j, const char *key, uint64_t v);
void rl_json_int(rl_json *j, const char *key, int64_t v);
void rl_json_double(rl_json *j, const char *key, double v, int digits); /* not finite -> null */
void rl_json_bool(rl_json *j, const char *key, bool v);
void rl_json_null(rl_json *j, const char *key);
void rl_json_raw(rl_json *j, const char *key, const char *json); /* already JSON */

#endif
