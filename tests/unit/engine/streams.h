/* What the tests of streams share: a stream of each prompt, and what it must say. */
#ifndef TEST_ENGINE_STREAMS_H
#define TEST_ENGINE_STREAMS_H

#include "house.h"

#include "engine/stream.h"

#define STREAMS_PROMPT 12u
#define STREAMS_TOKENS 300u /* most of a stream whose text is compared */

uint32_t *streams_ids(uint32_t seed); /* [STREAMS_PROMPT]; a stream takes them */
rl_stream_opts streams_options(house *h, uint32_t seed, uint32_t max_tokens);
rl_stream *streams_start(const rl_stream_opts *o);
/* Reads to the end in pieces of at most cap bytes. */
void streams_read(rl_stream *s, size_t cap, rl_buf *out, rl_stream_end *end);
/* What the stream of prompt `seed` must say: ids by a plain job, decoded. */
void streams_expected(house *h, uint32_t seed, rl_buf *out, uint32_t *n_tokens);
void streams_same_text(const rl_buf *a, const rl_buf *b);

#endif
