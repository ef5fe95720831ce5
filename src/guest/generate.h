/* Generate: a run's generations. A gstream is an engine stream that belongs to a run: it counts the
 * run's tokens, jobs and sequences, wakes it, and says how it ended. Worker only, but for the wake.
 */
#ifndef RL_GUEST_GENERATE_H
#define RL_GUEST_GENERATE_H

#include "guest/models.h"
#include "guest/seqs.h"
#include "guest/tool_reader.h"

#include "engine/stream.h"

#define RL_DEFAULT_TOKENS 512u
#define RL_MAX_STOPS      16u
/* Tokens and their alternatives in one event: one token with all of them. */
#define RL_EVENT_TOKENS (RL_STREAM_TOP + 1)

/* What to generate. The zero value of params is greedy. */
typedef struct rl_gen {
    rl_sample_params params;
    rl_logit_bias *bias; /* owned; params.bias points to it */
    rl_grammar *grammar; /* owned; NULL: none */
    rl_ending *ending;   /* owned; how the grammar's texts end, or NULL */
    rl_tools *tools;     /* owned; NULL: the model is to call nothing. Taken by rl_gstream_start */
    uint32_t max_tokens; /* >= 1; with echo also 0 */
    uint32_t *ids;       /* the prompt; taken by rl_gstream_start */
    uint32_t n_ids;
    bool echo; /* the prompt is told first: ids [echo_from, echo_to), those that were sent */
    uint32_t echo_from, echo_to;
    char *echo_text; /* owned: what they were made of, NULL: ids were sent. Taken likewise */
    uint32_t stop_ids[255];
    uint32_t n_stop_ids;
    char *stops[RL_MAX_STOPS]; /* owned */
    uint32_t n_stops;
    size_t max_bytes; /* 0: no limit */
    bool ignore_eog;  /* end tokens do not end it */
    bool logprobs;
    uint32_t n_top; /* alternatives of each token, with logprobs */
} rl_gen;

void rl_gen_deinit(rl_gen *g); /* what it owns */

typedef enum rl_gstream_state {
    RL_GSTREAM_TEXT,
    RL_GSTREAM_FINISH, /* all text was given; the events are left */
    RL_GSTREAM_USAGE,
    RL_GSTREAM_END,
} rl_gstream_state;

typedef struct rl_gstream {
    rl_run *run;             /* borrowed: the stream is closed before the run goes */
    rl_stream *stream;       /* owned */
    struct rl_gstream *next; /* of the run's, for a cancel */
    rl_lm *lm;               /* owned reference: its vocabulary names the tokens */
    bool logprobs;           /* events carry tokens */
    uint32_t n_top;
    uint32_t choice;       /* its sampler's: what its events say */
    rl_tools *tools;       /* owned; NULL: all text is text, and `reader` is not used */
    rl_tool_reader reader; /* stands between the stream and whoever reads */
    rl_gseq *seq;          /* who lent the sequence; NULL: nobody, or it went back */
    rl_gsampler *sampler;  /* who lent the sampler, likewise */
    bool counts;           /* its sequence is counted until it is closed */
    uint64_t promised;     /* tokens set aside for it */
    uint32_t n_prompt;
    bool clipped; /* it wanted more than the run has left */
    bool counted; /* its end was added to the run's sums */
    rl_gstream_state state;
    rl_stream_end end;
} rl_gstream;

/* Starts generating on a new sequence of `lm`. -> 0 and *out, or the call's answer (RL_ENDED when
 * the run has no tokens left). */
int64_t rl_gstream_start(rl_call *c, rl_lm *lm, rl_gen *g, rl_gstream **out);
/* The same on a sequence and with a sampler of the run, lent until the engine is done; the prompt
 * is what is fresh in it. */
int64_t rl_gstream_lend(rl_call *c, rl_gseq *q, rl_gsampler *sampler, rl_gen *g, rl_gstream **out);
/* Gives back what was lent if the engine is done. -> true: nothing is lent any more */
bool rl_gstream_settle(rl_gstream *s);
/* Cancels what runs. NULL is fine. Where something is lent: settled, or the run is ending. */
void rl_gstream_close(rl_gstream *s);

/* Text that is there now. -> bytes > 0; 0: the end (s->end says how); RL_PARKED: nothing now;
 * RL_ENDED: the run's token limit; or the failed call's answer */
int64_t rl_gstream_read(rl_call *c, rl_gstream *s, char *out, size_t cap);

/* The same for a stream with logprobs, up to *n_tokens tokens too: -> 0 with *n_tokens > 0 are
 * tokens without text, 0 with none is the end */
int64_t rl_gstream_read_tokens(rl_call *c, rl_gstream *s, char *out, size_t cap,
                               rl_stream_token *tokens, uint32_t *n_tokens);

/* The same for a stream with tools: text of at most cap bytes, with its tokens if there are
 * logprobs, or parts of calls. The reader may still have items when the stream has ended. -> 1:
 * *item is one; 0: the end; RL_PARKED; or the call's answer */
int64_t rl_gstream_read_item(rl_call *c, rl_gstream *s, rl_tool_item *item, size_t cap);
bool rl_gstream_ready(rl_gstream *s); /* to be read, or over */
/* Why it ended, once it has: stop | length | tool_calls */
const char *rl_gstream_finish(const rl_gstream *s);

/* Fails the call because of room for sequences or jobs, or answers 0. */
int64_t rl_room_check(rl_call *c);
int64_t rl_jobs_check(rl_call *c); /* jobs alone */

/* Sets up to `wanted` tokens of the run aside, at least 1 if any. -> 0, or the call's answer:
 * EQUOTA, or RL_ENDED when the run has none left */
int64_t rl_tokens_promise(rl_call *c, uint64_t wanted, uint64_t *promised);
/* Settles a promise: what was computed and drawn. */
void rl_tokens_settle(rl_run *run, uint64_t promised, uint64_t n_prompt, uint64_t n_drawn);

#endif
