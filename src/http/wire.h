/* Wire: what the bytes of a request must be before anybody looks at what they say (RFC 9112).
 *
 * The strict half of the grammar: lines end with CR LF and nothing else, no control character but a
 * tab, no folded line, one space where one belongs, chunks as they are written and not nearly so.
 * Whoever stands between a client and this room may read a request in one way only, or not at all.
 * Pure functions on text; no memory, no threads; private to the room. */
#ifndef RL_HTTP_WIRE_H
#define RL_HTTP_WIRE_H

#include "http/head.h"

/* Looks for the end of the head that begins at p[0..n), of which p[0..seen) was looked at before.
 * *end: its length with the empty line, 0 while that has not come. A fault is said at its first
 * byte, however much of the head is still missing. */
rl_http_fault rl_http_wire_end(const char *p, size_t n, size_t seen, size_t *end);

/* Takes a head that rl_http_wire_end found apart into the upper half of `head`, whose `lines` has
 * room for fields_max. */
rl_http_fault rl_http_wire_split(const char *p, size_t n, uint32_t fields_max, rl_http_head *head);

#define RL_HTTP_EXTRA_MAX 4096 /* bytes of one chunk's extensions, or of the trailers */

/* A chunked body being read. Begins as zeros. */
typedef struct rl_http_chunks {
    uint32_t state;
    uint32_t digits;     /* of the size that is being read */
    size_t extra;        /* bytes of extensions or trailers */
    uint64_t left;       /* bytes of the chunk that are still to come */
    bool over;           /* the last line was read */
    rl_http_fault fault; /* nothing more is taken */
} rl_http_chunks;

/* Takes framing off p[0..n) up to the next bytes of the body, which are `data` (none: n is 0).
 * -> bytes taken, data included; all n unless there is data, the end or a fault */
size_t rl_http_chunks_take(rl_http_chunks *ch, const char *p, size_t n, rl_http_span *data);

#endif
