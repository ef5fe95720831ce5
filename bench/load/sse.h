/* Sse: server-sent events from pieces of any size (the HTML standard's event stream).
 *
 * Only the data of an event is kept, its lines joined by a newline; comments and the other fields
 * are skipped. Lines end in LF, CRLF or CR. An event is over RL_LOAD_SSE_MAX bytes: BAD, after
 * which only reset is allowed. Data that no empty line closed is no event. */
#ifndef RL_LOAD_SSE_H
#define RL_LOAD_SSE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

#define RL_LOAD_SSE_MAX (1u << 20)

typedef enum rl_load_sse_next {
    RL_LOAD_SSE_MORE, /* all input was used */
    RL_LOAD_SSE_EVENT,
    RL_LOAD_SSE_BAD
} rl_load_sse_next;

typedef struct rl_load_sse {
    rl_buf line; /* owned; a line that came in pieces */
    rl_buf data; /* owned; of the event so far */
    bool begun;  /* a line was seen, so no byte order mark any more */
    bool given;  /* data was handed out */
    bool has_data;
    bool skip_lf; /* the last line ended in CR: an LF now belongs to it */
} rl_load_sse;

void rl_load_sse_init(rl_load_sse *s); /* s is new, or was deinited */
void rl_load_sse_deinit(rl_load_sse *s);
void rl_load_sse_reset(rl_load_sse *s); /* for the next stream; keeps memory */

/* Moves *p and *n past what was used. With EVENT, *data (not NUL-free) is valid until the next
 * call; call again for the rest of the input. */
rl_load_sse_next rl_load_sse_read(rl_load_sse *s, const char **p, size_t *n, const char **data,
                                  size_t *n_data);

#endif
