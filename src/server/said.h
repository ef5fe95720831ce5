/* Said: what the runs of one answer have said so far, and the wires that write it down.
 *
 * One thread at a time reads the runs and writes. A wire is one API's form of an answer: it writes
 * JSON, and knows no threads, sockets or runs. */
#ifndef RL_SERVER_SAID_H
#define RL_SERVER_SAID_H

#include "server/ask.h"

#include "guest/guest.h"
#include "server/metrics.h"

#define RL_ANSWER_ID 48 /* "chatcmpl-" and 32 digits, with a NUL, or shorter */

/* One piece of a choice. */
typedef enum rl_delta_kind {
    RL_DELTA_TEXT, /* text, and with logprobs its tokens */
    RL_DELTA_CALL, /* a tool call begins: id and name */
    RL_DELTA_ARGS, /* text: more of the arguments' JSON */
} rl_delta_kind;

typedef struct rl_delta {
    rl_delta_kind kind;
    const char *text; /* [n] UTF-8, whole characters; of embeddings any bytes */
    size_t n;
    const json_t *tokens;  /* [{id, text, bytes, logprob, top: [the same]}] or NULL */
    uint32_t call;         /* index of the call, from 0 */
    const char *id, *name; /* of RL_DELTA_CALL */
} rl_delta;

/* A tool call as it was told so far. */
typedef struct rl_said_call {
    char *id, *name; /* owned */
    rl_buf args;
} rl_said_call;

typedef struct rl_choice {
    uint32_t index;
    rl_buf text;                  /* kept when the wire keeps, or the answer is whole */
    rl_said_call *calls;          /* owned; [n_calls], kept likewise */
    uint32_t n_calls, told_calls; /* kept, and told in all */
    rl_buf logprobs[4];           /* entries with commas between them, as the wire has them */
    size_t offset;                /* characters of text so far */
    char finish[16];              /* "" until it was told */
    bool over;                    /* nothing more will come; result is complete */
    rl_run_result result;
    rl_timing timing;
    bool logged; /* its line was written */
} rl_choice;

struct rl_wire;

typedef struct rl_said {
    const struct rl_wire *wire;
    rl_ask *ask; /* borrowed */
    char id[RL_ANSWER_ID];
    int64_t created_s;
    uint64_t n_events;             /* of a stream, for APIs that number them */
    uint32_t n;                    /* choices */
    rl_choice *choices;            /* owned; [n] */
    void *own;                     /* of the wire; freed by its `drop` */
    bool failed;                   /* no memory for what was said */
    const char *complaint, *param; /* constant: why there is no answer after all; NULL */
} rl_said;

typedef struct rl_wire {
    const char *id_prefix;
    bool keeps; /* streams too keep their texts and calls */
    /* A stream: its first events; a delta; the end of choice c; the end of all; a failure midway.
     */
    void (*open)(rl_said *s, rl_buf *sse);
    void (*delta)(rl_said *s, rl_choice *c, const rl_delta *d, rl_buf *sse);
    void (*finish)(rl_said *s, rl_choice *c, rl_buf *sse);
    void (*close)(rl_said *s, rl_buf *sse);
    void (*fail)(rl_said *s, const realm_error *err, rl_buf *sse);
    /* A whole answer. `take` sees each delta before; NULL: nothing but what is kept. */
    void (*take)(rl_said *s, rl_choice *c, const rl_delta *d);
    void (*whole)(rl_said *s, rl_buf *body);
    void (*drop)(rl_said *s); /* frees what `own` holds; NULL: nothing */
} rl_wire;

extern const rl_wire rl_wire_chat, rl_wire_text, rl_wire_responses, rl_wire_embed, rl_wire_tokenize,
    rl_wire_detokenize;

/* -> false without memory */
bool rl_said_init(rl_said *s, const rl_wire *wire, rl_ask *ask);
void rl_said_deinit(rl_said *s);

/* A piece of choice c's reply. sse NULL: of a whole answer. Events that are none of ours pass by.
 */
void rl_said_add(rl_said *s, rl_choice *c, rl_reply_kind kind, const char *data, size_t n,
                 rl_buf *sse);
/* Choice c is over. */
void rl_said_end(rl_said *s, rl_choice *c, const rl_run_result *result, rl_buf *sse);

/* Sums over all choices: a prompt counts once, however many choices it has. */
uint64_t rl_said_prompt_tokens(const rl_said *s);
/* What was known of the prompts before: a choice that came after another one of its prompt knows
 * more, and does not count. */
uint64_t rl_said_cached_tokens(const rl_said *s);
uint64_t rl_said_generated_tokens(const rl_said *s);
const char *rl_said_finish(const rl_choice *c); /* "stop" when nothing was told */

/* ---- for wires --------------------------------------------------------------------------------
 */

/* Sends a JSON text as an event of that name (NULL: none) and frees it. */
void rl_said_event(rl_said *s, rl_buf *sse, const char *event, rl_buf *json);
/* {"error": ...} as an event, the failure of most APIs. */
void rl_said_error(rl_said *s, const realm_error *err, rl_buf *sse);

#endif
