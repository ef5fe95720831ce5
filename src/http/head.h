/* Head: what a request's head must be to get in, as pure functions on its text (RFC 9110, 9112).
 *
 * Stricter than the RFC asks where leniency has been a way to smuggle: exactly one Host, one
 * Content-Length or exactly "chunked", no space where none belongs, no byte of control anywhere.
 * No memory, no threads; private to the room. */
#ifndef RL_HTTP_HEAD_H
#define RL_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rl_http_span {
    const char *p; /* borrowed; not NUL-terminated */
    size_t n;
} rl_http_span;

typedef struct rl_http_line {
    rl_http_span name;
    rl_http_span value; /* without the blanks around it */
} rl_http_line;

typedef struct rl_http_limits {
    uint32_t line_max, head_max, fields_max;
} rl_http_limits;

typedef struct rl_http_head {
    /* read from the wire */
    rl_http_span method, target, version;
    rl_http_line *lines; /* borrowed; [min(n_lines, fields_max)] */
    uint32_t n_lines;
    size_t line_bytes;  /* of the request line, without its end */
    size_t field_bytes; /* of all fields, with their ends */
    /* found by rl_http_head_check */
    rl_http_span path, query, host;
    bool old;  /* HTTP/1.0 */
    bool keep; /* the client would use the connection again */
    bool chunked;
    bool waits;      /* for 100, before it sends the body */
    uint64_t length; /* of the body; 0 when chunked */
} rl_http_head;

typedef struct rl_http_fault {
    int status;       /* 0: none */
    const char *text; /* a sentence, constant */
} rl_http_fault;

/* Checks everything and fills the lower half of `head`. */
rl_http_fault rl_http_head_check(rl_http_head *head, const rl_http_limits *limits);

/* Decodes a path into out[0..path.n], with a NUL. false: it holds a bad escape, a control
 * character, no valid UTF-8, or a part "." or ".." */
bool rl_http_path_decode(rl_http_span path, char *out);

bool rl_http_is_token(rl_http_span s); /* a method or a field name */
bool rl_http_is_value(rl_http_span s); /* what a field value may hold */

#endif
