/* Held: the tokens of a text that were not given yet, in order, each with the place of its text.
 * They are given with the text they begin in, or dropped with it. Two that have no text, or the
 * beginning of a character, may stand at one place. One owner at a time. */
#ifndef RL_GUEST_HELD_H
#define RL_GUEST_HELD_H

#include "base/buf.h"
#include "engine/stream.h"

#define RL_HELD_MAX 1024u

typedef struct rl_held {
    rl_buf spans, tokens; /* of each token begin and end, and it itself */
    size_t first;         /* so many were given or dropped */
    uint64_t end;         /* of the last one added */
} rl_held;

void rl_held_init(rl_held *h);
void rl_held_deinit(rl_held *h);

/* The next token: its text ends at `end`, and begins where the last one's ended. -> false: no
 * memory, or it is full */
bool rl_held_add(rl_held *h, const rl_stream_token *t, uint64_t end);
size_t rl_held_count(const rl_held *h);
bool rl_held_full(const rl_held *h);

/* Takes those that begin before *to, at most `most`; *to becomes the place of the next one if that
 * begins before. -> how many, at *out until one is added */
uint32_t rl_held_take(rl_held *h, uint64_t *to, uint32_t most, const rl_stream_token **out);
/* Drops those that begin before `at` and end there at the latest. */
void rl_held_drop(rl_held *h, uint64_t at);

#endif
