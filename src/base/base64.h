/* Base64 (RFC 4648 section 4), with padding. */
#ifndef RL_BASE_BASE64_H
#define RL_BASE_BASE64_H

#include "base/buf.h"

/* Appends p[0..n) as text. Failures show in out->failed. */
void rl_base64(rl_buf *out, const void *p, size_t n);

#endif
