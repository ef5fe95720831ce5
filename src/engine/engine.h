/* Engine: the only mutable inference state. One thread owns sequences, KV blocks and the batch.
 *
 * 1. Everything reaches the engine as a job through a bounded queue; rl_engine_post refuses with
 *    EBUSY when it is full. A job's `done` is called exactly once, on the engine thread, for
 *    success, failure and cancel alike; it must not block (post to a queue and return).
 * 2. Each step batches the runnable sequences of one model: all decoding rows, then prefill chunks,
 *    at most max_rows; then samples. Steps alternate between models that have work.
 * 3. Results of a sequence do not depend on what else is in the batch, on chunking or threads.
 * 4. A cancelled job's rows are in at most 2 further steps. A sequence that finds no KV room waits
 *    while others run; when nothing else can free room it fails with ENOMEM. What has no room even
 *    alone fails so at once and costs nobody his blocks. A full context is ECONTEXT.
 * 5. The engine knows an opaque owner id per sequence; nothing of keys, HTTP, SQL or guests. */
#ifndef RL_ENGINE_ENGINE_H
#define RL_ENGINE_ENGINE_H

#include "model/model.h"
#include "sample/grammar.h"
#include "sample/sample.h"
#include "token/token.h"

typedef struct rl_engine rl_engine;

/* Whether sequences that decode bring guessed ids with their own, so that a step may give several.
 * The ids, their log-probabilities and the ends are the same, whichever it is. */
typedef enum rl_speculate {
    RL_SPECULATE_OFF,
    RL_SPECULATE_ON,     /* where it pays, by what was measured */
    RL_SPECULATE_ALWAYS, /* wherever there is a guess: to test, and to measure */
} rl_speculate;

typedef struct rl_engine_opts {
    uint32_t n_threads;  /* compute threads, engine thread included; 0: online CPUs */
    size_t kv_bytes;     /* KV budget; 0: 1 GiB */
    uint32_t max_rows;   /* per step; 0: 512 */
    uint32_t chunk;      /* most prefill tokens of one sequence per step; 0: max_rows */
    uint32_t queue_cap;  /* jobs posted and not yet taken; 0: 65536 */
    bool share_prefixes; /* blocks of one owner's sequences that begin alike are computed once */
    rl_speculate speculate;
    size_t stack_bytes; /* of the engine thread; 0: 8 MiB */
} rl_engine_opts;

realm_status rl_engine_new(rl_engine **out, const rl_engine_opts *opts,
                           realm_error *err) REALM_MUST_USE;
void rl_engine_free(rl_engine *e); /* cancels what runs, waits for it; NULL is fine */

#define RL_CANCEL_STEPS 4u /* 0, 1, 2, more */

/* Counters since start, readable from any thread. */
typedef struct rl_engine_stats {
    uint64_t jobs_posted, jobs_done;                         /* jobs that compute */
    uint64_t steps, rows;                                    /* rows: tokens computed */
    uint64_t prompt_tokens, generated_tokens, cached_tokens; /* cached: of the prompts' */
    /* Jobs that compute and whose end was asked for before it came, by how many steps that ended
     * after the asking held rows of theirs: the step that ran just then is one of them. */
    uint64_t jobs_cancelled[RL_CANCEL_STEPS];
    /* Ids that were guessed, and those of them that were drawn then: each saved a step's row. */
    uint64_t drafted_tokens, accepted_tokens;
    uint64_t busy_ns; /* time inside steps */
    uint64_t work_ns; /* rl_clock_ns since when there was work and no step ended; 0: no work now */
    uint32_t jobs_running, jobs_waiting; /* those that had a step, and those that had none yet */
    uint32_t kv_blocks_in_use;           /* by sequences */
    uint32_t kv_blocks_cached;           /* by nobody, but known: they go when there is need */
    uint32_t kv_blocks; /* both, and as many as the free bytes hold for certain; 0: no model */
    size_t kv_bytes_used, kv_bytes; /* used: of the blocks in use */
} rl_engine_stats;
void rl_engine_get_stats(const rl_engine *e, rl_engine_stats *out);

/* Whether the regions of steps are timed, and from zero again. Any thread, while no job runs. */
void rl_engine_set_profiling(rl_engine *e, bool on);
/* ns of each region in the steps that ended: all of a job's once a job that computes nothing,
 * posted after it, is done. */
void rl_engine_get_profile(const rl_engine *e, uint64_t ns[RL_REGIONS]);

/* Tells each model that is loaded: its packed file and its jobs. Any thread; `tell` is called with
 * a lock held and must not call the engine. */
typedef struct rl_lm_stats {
    const char *path; /* borrowed, for the call */
    uint32_t jobs_running, jobs_waiting;
} rl_lm_stats;
void rl_engine_each_lm(rl_engine *e, void (*tell)(void *ctx, const rl_lm_stats *lm), void *ctx);

/* ---- models ready to serve ------------------------------------------------------------------- */

/* A loaded language model: weights, vocabulary, chat template, KV pool. Reference counted, shared
 * by all who open the same path with the same options. */
typedef struct rl_lm rl_lm;

typedef struct rl_lm_opts {
    rl_kv_type kv;
    bool reference;
    uint32_t n_ctx; /* context limit in tokens; 0: the model's, at most 32,768 */
} rl_lm_opts;

/* Blocking (file reads, tables): call it from a helper thread. Concurrent opens of one path join
 * one load; a failure is remembered for 5 s. -> OK | what rl_model_open and rl_vocab_open answer */
realm_status rl_lm_open(rl_lm **out, rl_engine *e, const char *packed_path, const rl_lm_opts *opts,
                        realm_error *err) REALM_MUST_USE;
rl_lm *rl_lm_ref(rl_lm *lm);
void rl_lm_unref(rl_lm *lm); /* NULL is fine; the last one unloads, after its sequences are gone */

const rl_model *rl_lm_model(const rl_lm *lm);
const rl_vocab *rl_lm_vocab(const rl_lm *lm);
/* The compiled chat template, or NULL with the reason in err (EUNSUPPORTED: the model has none). */
const rl_chat *rl_lm_chat(const rl_lm *lm, realm_error *err);
uint32_t rl_lm_n_ctx(const rl_lm *lm);
/* Its vocabulary as grammars see it, made at the first call: on a helper. NULL with the reason. */
const rl_grammar_env *rl_lm_grammar(rl_lm *lm, realm_error *err);

/* ---- sequences ------------------------------------------------------------------------------- */

typedef struct rl_seq rl_seq; /* one mutable timeline of tokens; one job at a time */

/* Any thread. Holds a reference to lm. NULL without memory. */
rl_seq *rl_seq_new(rl_engine *e, rl_lm *lm, uint32_t owner);
/* Gives the sequence back; waits for nothing: the engine frees it after its job is done. */
void rl_seq_close(rl_seq *s); /* NULL is fine */
/* Tokens computed or pending. Only meaningful while no job runs. */
uint32_t rl_seq_len(const rl_seq *s);
rl_lm *rl_seq_lm(const rl_seq *s); /* borrowed for the life of the sequence */

/* ---- jobs ------------------------------------------------------------------------------------ */

typedef enum rl_job_kind {
    RL_JOB_GENERATE, /* append ids, then draw until something stops it */
    RL_JOB_LOGITS,   /* append ids, give the raw logits after the last token */
    RL_JOB_SCORE,    /* append ids, give the logits after every one of them, row by row */
    RL_JOB_EMBED,    /* append ids, give the mean of their states after the final norm */
    RL_JOB_LAYER,    /* one layer over hidden states; taints the sequence */
    RL_JOB_HEAD,     /* final norm and head of one hidden state */
    RL_JOB_TRUNCATE, /* keep the first n tokens */
    RL_JOB_FORK,     /* into `fork_to`, an empty sequence of the same model */
} rl_job_kind;

typedef enum rl_finish {
    RL_FINISH_NONE,
    RL_FINISH_EOG,    /* an end-of-generation or stop id was drawn (it is not delivered) */
    RL_FINISH_STOP,   /* the receiver's `token` callback asked for it (stop string, room) */
    RL_FINISH_LENGTH, /* max_tokens */
} rl_finish;

typedef enum rl_token_reply { RL_TOKEN_GO, RL_TOKEN_STOP, RL_TOKEN_PAUSE } rl_token_reply;

typedef struct rl_job rl_job;
struct rl_job {
    rl_job_kind kind;
    rl_seq *seq;               /* borrowed until done */
    void *ctx;                 /* the poster's */
    void (*done)(rl_job *job); /* engine thread, once; may free the job and what it points to */

    /* GENERATE, LOGITS, SCORE, EMBED */
    const uint32_t *ids; /* [n_ids] to append, borrowed until done; checked: < n_vocab */
    uint32_t n_ids;

    /* GENERATE */
    rl_sampler *sampler;      /* borrowed until done */
    uint32_t max_tokens;      /* >= 1; with echo also 0: nothing is drawn */
    const uint32_t *stop_ids; /* [n_stop_ids], borrowed until done */
    uint32_t n_stop_ids;
    bool ignore_eog; /* bench: draw on past end tokens */
    bool want_logprob;
    rl_logprob
        *top; /* [n_top], the poster's: the best ids of a draw, there when `token` is called */
    uint32_t n_top;
    /* One drawn id, engine thread, must not block. PAUSE takes the sequence out of the batch until
     * rl_engine_resume. NULL: all are accepted. */
    rl_token_reply (*token)(rl_job *job, uint32_t id, float logprob);
    bool echo; /* the ids are told too */
    /* With echo, or NULL: [n_ids - 1][1 + n_top], the poster's. Row i is of ids[i + 1]: itself,
     * then the best in its place. `scored` (engine thread, must not block) says that n rows are
     * there. */
    rl_logprob *scores;
    void (*scored)(rl_job *job, uint32_t n);

    /* LOGITS, HEAD: logits [n_vocab], the poster's. SCORE: called per row instead. */
    float *logits;
    void (*row)(rl_job *job, uint32_t index, const float *logits);
    /* SCORE: index in ids of the first one after which logits are wanted; -1: those after the last
     * token before ids come first. ids may be empty then. */
    int32_t first_row;

    /* LAYER, HEAD */
    uint32_t layer, pos; /* pos: position of the first hidden state for this layer */
    float *hidden; /* [n_hidden][n_embd], changed in place by LAYER; EMBED: the mean [n_embd] */
    uint32_t n_hidden;

    /* TRUNCATE, FORK */
    uint32_t keep;
    rl_seq *fork_to;

    /* Results, valid in `done`. */
    realm_status status;
    realm_error err;
    rl_finish finish;
    uint32_t end_id; /* RL_FINISH_EOG: the id that ended it; as wanted, top is of its draw */
    float end_logprob;
    uint32_t n_prompt, n_generated;
    uint32_t n_cached; /* of the prompt: computed before, by another sequence of the owner */
    uint64_t prefill_ns, decode_ns; /* wall time from first step to first id, and from then on */

    /* The engine's own. */
    struct rl_job_state *state;
    rl_job *next;
    void *waiter;
};

bool rl_job_computes(const rl_job *job); /* all but TRUNCATE and FORK: what jobs_posted counts */

/* -> OK: done will be called. EBUSY (queue full, or the sequence has a job) | EINVAL | ECONTEXT:
 * refused, done will not be called. Any thread. */
realm_status rl_engine_post(rl_engine *e, rl_job *job, realm_error *err) REALM_MUST_USE;
/* The job ends with ECANCELLED unless it is done before. The poster guarantees that the job is not
 * freed before rl_engine_cancel returns. Any thread. */
void rl_engine_cancel(rl_engine *e, rl_job *job);
void rl_engine_resume(rl_engine *e, rl_job *job); /* after RL_TOKEN_PAUSE; any thread */

/* Posts and waits: for the CLI's measuring verbs and for tests. -> job->status */
realm_status rl_engine_run(rl_engine *e, rl_job *job, realm_error *err) REALM_MUST_USE;

#endif
