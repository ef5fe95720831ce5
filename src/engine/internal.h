/* Private to the room: what the engine thread owns and what the mailbox carries.
 *
 * Threads. `lock` guards the mailbox: the posted jobs, the letters (cancel, resume, close) and
 * every field marked [lock]. It is held for a few instructions, never across a callback or a step.
 * `models_lock` guards the list of models. All else belongs to the engine thread, but a sequence's
 * length and taint may be read by a poster while the sequence has no job (it was handed over by the
 * lock). No other lock is taken while one of the two is held. */
#ifndef RL_ENGINE_INTERNAL_H
#define RL_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/payoff.h"
#include "kv/prefix.h"

#include <pthread.h>
#include <stdatomic.h>

#define RL_FAILURE_NS 5000000000u /* how long a failed load is remembered */

/* Whose turn it is. Lives while the owner has a job in some model's list. */
typedef struct rl_owner {
    uint32_t id, n_jobs;
    uint64_t last_turn; /* the larger, the later it was served */
    struct rl_owner *next;
} rl_owner;

typedef enum rl_place {
    RL_PLACE_NONE,
    RL_PLACE_RUN,    /* in its model's list */
    RL_PLACE_LAYERS, /* in the engine's list of layer jobs */
    RL_PLACE_PAUSED, /* in no list until it is resumed */
} rl_place;

enum { RL_LETTER_CANCEL = 1, RL_LETTER_RESUME = 2, RL_LETTER_CLOSE = 4 };

/* The running job's state. One job per sequence, so it lives in the sequence. */
struct rl_job_state {
    rl_job *job; /* NULL: none has been taken */
    rl_place place;
    bool waiting; /* found no KV room at its last try */
    bool in_batch;
    uint32_t n_given;            /* rows that a job has taken in for scores or a mean */
    uint32_t len0;               /* the sequence's length before the job */
    uint32_t reached;            /* most of it that was ever computed, or was there before */
    uint64_t order;              /* smaller is senior */
    uint64_t start_ns, first_ns; /* first step, first id */
    rl_owner *owner;
    rl_seq *prev, *next; /* in the list of its place */
    rl_seq *cand_next;   /* among those with more than one row to compute */
    const float *logits; /* of the last token, during a step */
    uint32_t id;         /* drawn in this step */
    float logprob;
    realm_status drawn;
    uint32_t n_draft; /* guesses whose turn has not come (draft.c) */
    uint32_t n_same;  /* ids that were the same where they come from */
};

struct rl_seq {
    rl_engine *engine;
    rl_lm *lm; /* a reference */
    uint32_t owner;

    rl_job *job;       /* [lock] posted and not done */
    uint8_t letters;   /* [lock] */
    bool in_mailbox;   /* [lock] */
    rl_seq *mail_next; /* [lock] */

    _Atomic uint32_t steps; /* that held rows of it; the engine thread counts, around and around */
    bool cancel_asked;      /* [lock] of `job` */
    uint32_t cancel_steps;  /* [lock] `steps` when it was */

    /* ids[0, len) are recorded, [0, n_computed) of them are in the KV. */
    uint32_t len, n_computed, cap_ids;
    uint32_t *ids;       /* owned */
    bool tainted;        /* fed with hidden states: ids say nothing, never recomputed */
    bool uneven;         /* layers differ in length: layer_len counts, len is the shortest */
    uint32_t *layer_len; /* owned; [n_layers], made by the first layer job */
    rl_kv_seq kv;
    rl_kv_node *node; /* in the prefix index: its path of full blocks; NULL: none. Borrowed */
    rl_payoff payoff; /* of its guesses */

    struct rl_job_state run;
    bool known;    /* in the engine's list */
    bool closed;   /* free it when its job is done */
    uint64_t used; /* when its last job ended, in orders */
    rl_seq *known_prev, *known_next;
};

typedef struct rl_seq_list {
    rl_seq *head, *tail;
    uint32_t n;
} rl_seq_list;

typedef enum rl_lm_state { RL_LM_LOADING, RL_LM_READY, RL_LM_FAILED } rl_lm_state;

struct rl_lm {
    rl_engine *engine;
    char *path;
    rl_lm_opts opts;    /* as asked for: with path, what opens are joined by */
    rl_lm_state state;  /* models_lock */
    uint32_t refs;      /* models_lock */
    uint64_t failed_ns; /* models_lock */
    realm_error err;    /* why it failed */
    rl_lm *next;        /* models_lock */

    rl_model *model; /* these are constant once ready */
    rl_vocab *vocab;
    rl_chat *chat; /* NULL: chat_err says why */
    realm_error chat_err;
    pthread_mutex_t grammar_lock;
    rl_grammar_env *grammar; /* grammar_lock; NULL before the first grammar */
    uint32_t n_ctx;
    _Atomic uint32_t n_posted, n_running; /* jobs that compute: not done, and begun */

    rl_kv_pool *pool;     /* engine thread from here on; made by the first job */
    rl_kv_prefix *prefix; /* owned, of the pool; NULL: prefixes are not shared */
    rl_lm *pool_next;
    rl_seq_list run;
    bool busy; /* in the engine's ring: run is not empty */
    rl_lm *busy_next;
    uint64_t row_ns;     /* smoothed cost of a prefill row; 0: not measured yet */
    rl_payoff_cost cost; /* of steps without prompts */
    rl_lm *dead_next;    /* [lock] */
};

/* One step's rows. Arrays of max_rows. */
typedef struct rl_batch {
    rl_span *spans;
    rl_seq **seqs;
    rl_seq **draws; /* those that draw an id after this step */
    uint32_t n, n_rows, n_logits, n_hidden, n_draws;
    uint32_t n_drafted;  /* rows of guesses */
    bool decodes;        /* no prompts are in it */
    uint32_t max_logits; /* rows of logits that a step of this model may ask for */
} rl_batch;

struct rl_engine {
    rl_engine_opts opts; /* resolved */
    rl_work *work;
    rl_forward *forward;
    rl_kv_budget *budget;
    pthread_t thread;
    uint64_t (*now)(void); /* for the memory of failed loads; tests set it */

    pthread_mutex_t lock;
    pthread_cond_t mail;  /* something came */
    rl_job *first, *last; /* [lock] posted jobs */
    uint32_t n_posted;    /* [lock] */
    rl_seq *letters;      /* [lock] sequences with letters */
    rl_lm *dead;          /* [lock] models nobody holds any more */
    bool stopping;        /* [lock] */

    pthread_mutex_t models_lock;
    pthread_cond_t loaded;
    rl_lm *models;

    rl_seq *known; /* engine thread from here on: sequences that had a job */
    rl_lm *pools;
    rl_lm *ring; /* models with work; the head is next */
    rl_seq_list layers;
    rl_owner *owners;
    uint64_t order, turn;
    rl_batch batch;
    float *logits; /* owned pages: what a step gives, logits and states */
    size_t logits_bytes;

    _Atomic uint64_t jobs_posted, jobs_done, steps, rows, prompt_tokens, generated_tokens,
        cached_tokens, drafted, accepted, busy_ns;
    _Atomic uint64_t jobs_cancelled[RL_CANCEL_STEPS];
    _Atomic bool profiling;
    rl_profile profile; /* engine thread: of this step */
    _Atomic uint64_t region_ns[RL_REGIONS];
    _Atomic uint64_t work_ns; /* set by a poster with the lock when 0, else by the engine thread */
    _Atomic uint32_t n_running, kv_blocks, kv_blocks_most, kv_blocks_cached;
    _Atomic size_t kv_bytes;
};

/* job.c */
realm_status rl_job_check(const rl_job *job, realm_error *err);       /* what needs no lock */
realm_status rl_job_check_state(const rl_job *job, realm_error *err); /* with lock */
void rl_job_take(rl_engine *e, rl_job *job);
void rl_job_begin(rl_seq *s, uint64_t now); /* its first step; later ones change nothing */
void rl_job_finish(rl_seq *s, realm_status st, rl_finish finish);
void rl_job_cancel(rl_seq *s);
void rl_job_resume(rl_seq *s);
/* How many ids of a generation are still to be scored: all but the first, if it wants scores. */
static inline uint32_t rl_job_to_score(const rl_seq *s)
{
    const rl_job *job = s->run.job;

    return job->scores && job->n_ids ? job->n_ids - 1 - s->run.n_given : 0;
}

/* seq.c */
void rl_seq_list_push(rl_seq_list *l, rl_seq *s);
void rl_seq_list_remove(rl_seq_list *l, rl_seq *s);
realm_status rl_seq_prepare(rl_seq *s, realm_error *err); /* pool, membership */
/* Room for n ids behind the end. */
realm_status rl_seq_reserve_ids(rl_seq *s, uint32_t n, realm_error *err);
realm_status rl_seq_append(rl_seq *s, const uint32_t *ids, uint32_t n, realm_error *err);
void rl_seq_cut(rl_seq *s, uint32_t keep); /* forgets what is behind `keep` */
realm_status rl_seq_fork_to(rl_seq *s, rl_seq *to, realm_error *err);
void rl_seq_free(rl_seq *s); /* engine thread; no job */

/* run lists (job.c) */
void rl_job_place(rl_seq *s, rl_place place);

/* room.c */
realm_status rl_room_fits(const rl_seq *s, uint64_t n_tokens, realm_error *err); /* OK | ENOMEM */
realm_status rl_room_reserve(rl_seq *s, uint32_t from, uint32_t n); /* OK | EBUSY: not now */
bool rl_room_unstick(rl_engine *e); /* nothing moves: -> true when something changed */

/* prefix.c */
void rl_prefix_follow(rl_seq *s);               /* takes the blocks that are known already */
void rl_prefix_publish(rl_seq *s);              /* makes known what it has computed */
void rl_prefix_leave(rl_seq *s, uint32_t keep); /* blocks past `keep` tokens are its own again */
/* Whether a sequence in the batch computes just what s needs next. */
bool rl_prefix_is_under_way(const rl_batch *b, const rl_seq *s);
bool rl_prefix_evict(rl_engine *e); /* one block that nobody uses; -> false: there is none */

/* batch.c: the first position whose logits or states its job wants */
uint32_t rl_batch_first_wanted(const rl_seq *s);
/* fills e->batch for one model */
void rl_batch_build(rl_engine *e, rl_lm *lm);

/* draft.c */
void rl_draft_add(rl_engine *e); /* guesses to a batch that decodes */
bool rl_draft_holds(
    rl_seq *s); /* what was drawn is what was guessed; else the guesses are dropped */
/* What was guessed is recorded. -> true: its row is there to draw the next id from */
bool rl_draft_next(rl_seq *s);
void rl_draft_drop(rl_seq *s); /* the guesses that are left, and their blocks */

/* step.c, layer.c: -> true when something was computed or finished */
bool rl_step_run(rl_engine *e, rl_lm *lm);
bool rl_layers_run(rl_engine *e);

/* lm.c */
void rl_lm_free(rl_lm *lm); /* engine thread, no references */

/* engine.c */
void rl_engine_letter(rl_seq *s, uint8_t letter);

#endif
