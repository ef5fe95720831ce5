/* Private to the room: a GGUF file read once, front to back, and hashed as it passes, so that the
 * digest and what is taken are of the same bytes whatever happens to the file meanwhile. Memory is
 * one piece and the largest take. One thread. */
#ifndef RL_MODEL_SOURCE_H
#define RL_MODEL_SOURCE_H

#include "base/fs.h"
#include "gguf/gguf.h"
#include "model/digest.h"

typedef struct rl_source {
    const rl_gguf *g; /* borrowed */
    rl_digest digest; /* of all bytes before `at` */
    uint8_t *buf;     /* owned; [cap] */
    size_t cap;
    size_t head, n; /* read and not taken: buf[head, head + n) */
    uint64_t at;    /* offset in the file of the next byte to read */
    rl_progress_fn progress;
    void *ctx;
} rl_source;

/* Stands behind the metadata. most: the largest take. -> OK | ENOMEM */
realm_status rl_source_open(rl_source *s, const rl_gguf *g, size_t most, realm_error *err);
void rl_source_close(rl_source *s);

/* Goes on to an offset that is not behind. -> OK | ECONFLICT, EIO (see rl_gguf_read) | ECANCELLED
 */
realm_status rl_source_skip(rl_source *s, uint64_t offset, realm_error *err);

/* The next n <= most bytes: *out is good until the next call, and its address equals the offset in
 * the file modulo 64. -> like rl_source_skip */
realm_status rl_source_take(rl_source *s, size_t n, const uint8_t **out, realm_error *err);

/* Reads what is left and tells the digest of the whole. ECONFLICT also when the file shows signs of
 * a change: its bytes may be a mix of old and new, which is nobody's model. */
realm_status rl_source_end(rl_source *s, char hex[RL_SHA256_HEX], realm_error *err);

#endif
