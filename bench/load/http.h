/* Http: reads one HTTP/1.1 response from pieces of any size. The server is not trusted.
 *
 * 1. Strict (RFC 9112): lines end in CRLF, no folding, one framing only; both Content-Length and
 *    Transfer-Encoding, or either of them twice, is malformed, not a choice.
 * 2. What is kept is capped: a line 8 KiB, a head 32 KiB and 100 lines, trailers the same.
 *    The body is not kept at all: it is handed out as slices of the input.
 * 3. After BAD only init is allowed. */
#ifndef RL_LOAD_HTTP_H
#define RL_LOAD_HTTP_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RL_LOAD_HTTP_LINE    8192u
#define RL_LOAD_HTTP_HEAD    32768u
#define RL_LOAD_HTTP_LINES   100u
#define RL_LOAD_HTTP_INTERIM 8u /* 1xx answers before the real one */

typedef enum rl_load_http_next {
    RL_LOAD_HTTP_MORE, /* all input was used; give more */
    RL_LOAD_HTTP_BODY, /* a slice of the body */
    RL_LOAD_HTTP_END,  /* the response is complete; input may be left over */
    RL_LOAD_HTTP_BAD   /* malformed: `why` says it */
} rl_load_http_next;

typedef enum rl_load_http_state {
    RL_LOAD_HTTP_IN_STATUS,
    RL_LOAD_HTTP_IN_HEADER,
    RL_LOAD_HTTP_IN_LENGTH,     /* a body of `left` bytes */
    RL_LOAD_HTTP_IN_CLOSE,      /* a body up to the end of the connection */
    RL_LOAD_HTTP_IN_CHUNK_SIZE, /* the line before a chunk */
    RL_LOAD_HTTP_IN_CHUNK,      /* `left` bytes of it */
    RL_LOAD_HTTP_IN_CHUNK_END,  /* the line end behind it */
    RL_LOAD_HTTP_IN_TRAILER,
    RL_LOAD_HTTP_IN_END,
    RL_LOAD_HTTP_IN_BAD
} rl_load_http_state;

typedef struct rl_load_http {
    rl_load_http_state state;
    rl_buf line; /* owned; a line that came in pieces */
    uint64_t left;
    uint32_t head_bytes, n_lines, n_interim;
    bool has_length, chunked, minor0, close, keep; /* of the header so far */

    /* Valid once head_done. */
    int status;        /* 200..999 */
    bool head_done;    /* the header of the final answer was read */
    bool event_stream; /* Content-Type: text/event-stream */
    bool retry_after;  /* the field was there with a value */
    bool keep_alive;   /* the connection may be used again after END */

    const char *why; /* static; set with BAD */
} rl_load_http;

void rl_load_http_init(rl_load_http *h); /* h is new, or was deinited */
void rl_load_http_deinit(rl_load_http *h);
void rl_load_http_reset(rl_load_http *h); /* for the next response; keeps memory */

/* Moves *p and *n past what was used. With BODY, *body and *n_body are a slice of the input; call
 * again for the rest. */
rl_load_http_next rl_load_http_read(rl_load_http *h, const char **p, size_t *n, const char **body,
                                    size_t *n_body);

/* The connection ended. -> whether that completes the response; if not, `why` says so. */
bool rl_load_http_eof(rl_load_http *h);

#endif
