/* Buf: a growable byte buffer that is born with a cap. Not thread safe.
 *
 * A failed append (cap or memory) sets `failed` and leaves what was there; further appends fail
 * too, so a writer may append many times and check once. `data` is NUL-terminated when not NULL;
 * the NUL is not counted. */
#ifndef RL_BASE_BUF_H
#define RL_BASE_BUF_H

#include "realm/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct rl_buf {
    char *data; /* owned; [len] bytes and a NUL, or NULL while empty */
    size_t len;
    size_t cap;
    size_t max; /* never holds more bytes than this */
    bool failed;
} rl_buf;

void rl_buf_init(rl_buf *b, size_t max);
void rl_buf_deinit(rl_buf *b);
void rl_buf_clear(rl_buf *b);                                /* keeps the memory, clears `failed` */
realm_status rl_buf_add(rl_buf *b, const void *p, size_t n); /* OK | ETOOBIG | ENOMEM */
realm_status rl_buf_adds(rl_buf *b, const char *s);
realm_status rl_buf_addf(rl_buf *b, const char *fmt, ...) REALM_PRINTF(2, 3);
void rl_buf_consume(rl_buf *b, size_t n); /* drops the first n bytes */
char *rl_buf_take(rl_buf *b);             /* moves data out; "" when empty; NULL: it failed */

#endif
