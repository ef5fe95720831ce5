/* Stream: the text of one running GENERATE job, from the engine thread to one reader.
 * With echo the prompt's text comes first, as if it had been drawn too.
 *
 * 1. Holds at most 256 tokens that were not read; then the sequence pauses until the reader drains.
 * 2. Text comes in whole UTF-8 characters, special tokens give nothing (but for those shown), stop
 * strings are cut off and what could be the beginning of one is held back.
 * 3. `notify` is called on the engine thread whenever something became readable (or ended); it must
 *    not block. Reading: one thread at a time, any thread. */
#ifndef RL_ENGINE_STREAM_H
#define RL_ENGINE_STREAM_H

#include "engine/engine.h"

#define RL_STREAM_TOP   20u
#define RL_STREAM_SHOWN 2u

typedef struct rl_stream rl_stream;

/* What the model thought of an id that was drawn, or echoed: log-probabilities from its raw logits.
 */
typedef struct rl_stream_token {
    uint32_t id;
    bool is_first;    /* of an echo: nothing was predicted in its place */
    uint32_t skipped; /* of an echo: the text is without so many bytes at its beginning */
    float logprob;
    rl_logprob top[RL_STREAM_TOP]; /* [n_top of the options], best first */
} rl_stream_token;

typedef struct rl_stream_opts {
    rl_engine *engine;
    /* Taken when it starts: */
    rl_seq *seq;         /* closed with the stream, unless it is released before */
    rl_sampler *sampler; /* likewise */
    uint32_t *ids;       /* rl_free: the prompt */
    uint32_t n_ids;
    bool echo; /* ids [echo_from, echo_to) are told first; max_tokens may be 0 */
    uint32_t echo_from, echo_to;
    char *echo_text; /* taken, rl_free: what they were made of; NULL: they were given as ids */
    uint32_t max_tokens;
    const uint32_t *stop_ids; /* copied */
    uint32_t n_stop_ids;
    const char *const *stops; /* [n_stops] stop strings, copied; each 1..256 bytes, n_stops <= 16 */
    uint32_t n_stops;
    bool ignore_eog;  /* goes on past tokens that end a text */
    size_t max_bytes; /* text ends (finish "length") at a character boundary; 0: no limit */
    bool logprobs;    /* tokens can be read beside the text; with echo the id that ended it too */
    uint32_t n_top;   /* with logprobs: alternatives of each, <= RL_STREAM_TOP */
    /* Control tokens whose text is given like that of any other; n_shown <= RL_STREAM_SHOWN */
    uint32_t shown[RL_STREAM_SHOWN], n_shown;
    void (*notify)(void *ctx);
    void *ctx;
} rl_stream_opts;

typedef struct rl_stream_end {
    realm_status status; /* OK, or why it failed */
    realm_error err;
    const char *finish; /* "stop" | "length" */
    uint32_t n_prompt, n_generated;
    uint32_t n_cached; /* of the prompt */
    uint64_t prefill_ns, decode_ns;
} rl_stream_end;

/* Starts generating. On failure nothing is taken. */
realm_status rl_stream_start(rl_stream **out, const rl_stream_opts *opts,
                             realm_error *err) REALM_MUST_USE;

/* Moves up to cap bytes of whole characters into out. *n = 0 with OK: nothing now, or the end (ask
 * rl_stream_ended). A next character larger than cap is ESPACE. */
realm_status rl_stream_read(rl_stream *s, char *out, size_t cap, size_t *n) REALM_MUST_USE;
/* The same for a stream with logprobs, and the tokens whose text ends in what was read: *n_tokens
 * of them, at most cap_tokens, whose end then ends the text. Tokens without text come with *n = 0.
 */
realm_status rl_stream_read_tokens(rl_stream *s, char *out, size_t cap, size_t *n,
                                   rl_stream_token *tokens, uint32_t cap_tokens,
                                   uint32_t *n_tokens) REALM_MUST_USE;
bool rl_stream_readable(const rl_stream *s); /* text, or the end */
/* true: all text, and all tokens of a stream with logprobs, were read too */
bool rl_stream_ended(const rl_stream *s, rl_stream_end *end);

/* Ids drawn so far, read or not: what a stream that is closed early has cost. */
uint32_t rl_stream_drawn(const rl_stream *s);

/* Once the engine is done with the job: moves sequence and sampler out of the stream, whose text
 * can still be read. *kept: the sequence has recorded the prompt (a job that failed before it gave
 * anything leaves it as it was). -> false: it still runs (notify is called when it is over) */
bool rl_stream_release(rl_stream *s, rl_seq **seq, rl_sampler **sampler, bool *kept);
void rl_stream_cancel(rl_stream *s); /* ends with ECANCELLED unless it is done before */
/* Cancels if it runs; frees after the engine let go. No notify after it returns. NULL is fine. */
void rl_stream_close(rl_stream *s);

#endif
