/* Event: what one event of a stream (or the whole body of a plain answer) says.
 *
 * Two readers with one meaning: `read` walks the JSON once without building anything and hands only
 * the small objects "usage" and "error" to jansson; `read_whole` is jansson alone. `read` turns to
 * it for what is rare (escaped names, depth over 32). Both accept what jansson accepts but for NUL
 * bytes, and `read` does not look at the size of numbers it has no use for. */
#ifndef RL_LOAD_EVENT_H
#define RL_LOAD_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum rl_load_event_kind {
    RL_LOAD_EVENT_BAD,   /* not a JSON object, or a usage without its counts */
    RL_LOAD_EVENT_DONE,  /* [DONE] */
    RL_LOAD_EVENT_CHUNK, /* choices, usage, or something unknown */
    RL_LOAD_EVENT_ERROR  /* the server's "error" */
} rl_load_event_kind;

typedef struct rl_load_event {
    rl_load_event_kind kind;
    uint32_t n_texts; /* choices that brought text: content, reasoning, refusal or tool calls */
    bool has_usage;
    uint64_t prompt_tokens, completion_tokens; /* with has_usage */
    char error[128];                           /* with ERROR: its message, cut */
} rl_load_event;

void rl_load_event_read(rl_load_event *e, const char *data, size_t n);
void rl_load_event_read_whole(rl_load_event *e, const char *data, size_t n);

#endif
