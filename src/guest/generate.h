/* Generate: a run's generations. A gstream is an engine stream that belongs to a run: it counts the
 * run's tokens, jobs and sequences, wakes it, and says how it ended. Worker only, but for the wake.
 */
#ifndef RL_GUEST_GENERATE_H
#define RL_GUEST_GENERATE_H

#include "guest/models.h"

#include "engine/stream.h"

#define RL_DEFAULT_TOKENS 512u
#define RL_MAX_STOPS      16u

/* What to generate. The zero value of params is greedy. */
typedef struct rl_gen {
    rl_sample_params params;
    rl_logit_bias *bias; /* owned; params.bias points to it */
    uint32_t max_tokens; /* >= 1 */
    uint32_t *ids;       /* the prompt; taken by rl_gstream_start */
    uint32_t n_ids;
    uint32_t stop_ids[255];
    uint32_t n_stop_ids;
    char *stops[RL_MAX_STOPS]; /* owned */
    uint32_t n_stops;
    size_t max_bytes; /* 0: no limit */
} rl_gen;

void rl_gen_deinit(rl_gen *g); /* ids and stops */

typedef enum rl_gstream_state {
    RL_GSTREAM_TEXT,
    RL_GSTREAM_FINISH, /* all text was given; the events are left */
    RL_GSTREAM_USAGE,
    RL_GSTREAM_END,
} rl_gstream_state;

typedef struct rl_gstream {
    rl_run *run;       /* borrowed: the stream is closed before the run goes */
    rl_stream *stream; /* owned */
    uint64_t promised; /* tokens set aside for it */
    uint32_t n_prompt;
    bool clipped; /* it wanted more than the run has left */
    bool counted; /* its end was added to the run's sums */
    rl_gstream_state state;
    rl_stream_end end;
} rl_gstream;

/* Starts generating on a new sequence of `lm`. -> 0 and *out, or the call's answer (RL_ENDED when
 * the run has no tokens left). */
int64_t rl_gstream_start(rl_call *c, rl_lm *lm, rl_gen *g, rl_gstream **out);
void rl_gstream_close(rl_gstream *s); /* NULL is fine; cancels what runs */

/* Text that is there now. -> bytes > 0; 0: the end (s->end says how); RL_PARKED: nothing now;
 * RL_ENDED: the run's token limit; or the failed call's answer */
int64_t rl_gstream_read(rl_call *c, rl_gstream *s, char *out, size_t cap);

/* Fails the call because of room for sequences or jobs, or answers 0. */
int64_t rl_room_check(rl_call *c);

#endif
