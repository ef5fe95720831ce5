/* Cut: ends a text at the first stop string or at a number of bytes, and holds back what could
 * still become a stop string. Works on whole UTF-8 characters. One owner at a time. */
#ifndef RL_ENGINE_CUT_H
#define RL_ENGINE_CUT_H

#include "base/buf.h"

#include <stdint.h>

#define RL_CUT_STOPS      16u
#define RL_CUT_STOP_BYTES 256u

typedef struct rl_cut {
    char *stops[RL_CUT_STOPS]; /* owned */
    size_t len[RL_CUT_STOPS];
    uint32_t n_stops;
    size_t max_bytes;    /* 0: no limit */
    uint64_t n_released; /* bytes given out so far */
    rl_buf held;
    const char *finish; /* "stop" | "length" once the text has ended, else NULL */
} rl_cut;

/* -> OK | EINVAL (too many, empty, too long or not UTF-8) | ENOMEM; deinit also after a failure */
realm_status rl_cut_init(rl_cut *c, const char *const *stops, uint32_t n_stops, size_t max_bytes,
                         realm_error *err) REALM_MUST_USE;
void rl_cut_deinit(rl_cut *c);

/* Takes n bytes of whole characters, appends what is certain to `out`. Nothing after the end. */
void rl_cut_add(rl_cut *c, const char *text, size_t n, rl_buf *out);
void rl_cut_flush(rl_cut *c, rl_buf *out); /* no more text comes: gives what was held back */

#endif
