/* Calibrate: how many words make a prompt of so many tokens, by asking the server, which counts its
 * template too. */
#ifndef RL_LOAD_CALIBRATE_H
#define RL_LOAD_CALIBRATE_H

#include "load/bodies.h"

/* Sets b->n_words for o->prompt_tokens; *tokens is what the server counted for that many. A few
 * plain requests for one token each. OK | EIO | EINVAL with a sentence */
realm_status rl_load_calibrate(rl_load_bodies *b, const rl_load_addr *addr, uint32_t *tokens,
                               realm_error *err) REALM_MUST_USE;

#endif
