/* Private to the room: SHA-256 of what is written or read piece by piece. */
#ifndef RL_MODEL_DIGEST_H
#define RL_MODEL_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RL_DIGEST_BYTES 32u

typedef struct rl_digest {
    void *md;    /* owned */
    bool failed; /* libcrypto had no memory; told by rl_digest_end */
} rl_digest;

void rl_digest_begin(rl_digest *d);
void rl_digest_add(rl_digest *d, const void *p, size_t n);
bool rl_digest_end(rl_digest *d, uint8_t out[RL_DIGEST_BYTES]); /* frees; false: no memory */

#endif
