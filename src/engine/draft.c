/* Drafts: in a step of few rows a sequence that decodes brings guessed ids behind its own last one
 * (lookup.h). Each row's id is drawn as ever, the state of the sampler going on from one to the
 * next. While the draw is what was guessed, the guess's row has computed what comes next, and one
 * more id is drawn in the same step; what was computed behind the first other one is forgotten. So
 * ids, log-probabilities and ends are those without drafts, whatever was guessed.
 *
 * 1. Guesses lie behind the sequence's ids, in ids[len, len + n_draft): nobody else sees them.
 * Their rows count as computed when their id was drawn, so the prefix index never gets them.
 * 2. Their blocks are taken from what is free, nobody's are evicted; they go back when the guess
 *    fails, and when the sequence leaves the batch.
 * 3. Only jobs that draw more than one id, in steps without prompts. Engine thread only. */
#include "engine/internal.h"

#include "engine/lookup.h"

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How many guesses the batch, the job and the context have room for. The last id of a job needs
 * none: nothing is drawn behind it. */
static uint32_t most_of(const rl_engine *e, const rl_seq *s)
{
    const rl_batch *b = &e->batch;
    const rl_job *job = s->run.job;
    uint32_t left = job->max_tokens - job->n_generated, n;

    if (job->kind != RL_JOB_GENERATE || left < 2 || s->tainted)
        return 0;
    n = least(RL_PAYOFF_MOST, left - 1);
    n = least(n, s->lm->n_ctx - s->len - 1);
    n = least(n, least(RL_PAYOFF_ROWS, e->opts.max_rows) - b->n_rows);
    return least(n, b->max_logits - b->n_logits);
}

/* -> for how many of n guesses there are blocks */
static uint32_t with_blocks(rl_seq *s, uint32_t n)
{
    if (n == 0 || rl_kv_reserve(&s->kv, s->len, n, NULL) == REALM_OK)
        return n;
    return least(n, s->kv.n_blocks * RL_KV_BLOCK - s->len);
}

/* *ids: what the step is expected to give so far. */
static void guess(rl_engine *e, rl_seq *s, rl_span *span, double *ids)
{
    rl_batch *b = &e->batch;
    uint32_t n = most_of(e, s), at = 0;

    if (n == 0 || rl_seq_reserve_ids(s, n, NULL) != REALM_OK)
        return;
    span->ids = s->ids + span->pos; /* they may have moved */
    s->run.n_same = rl_lookup_find(s->ids, s->len, &at);
    if (s->run.n_same == 0)
        return;
    if (e->opts.speculate == RL_SPECULATE_ON)
        n = rl_payoff_choose(&s->payoff, s->run.n_same, &s->lm->cost, b->n_rows, n, ids);
    n = with_blocks(s, n);
    rl_lookup_copy(s->ids, s->len, at, n);
    s->run.n_draft = n;
    span->n += n;
    span->n_logits += n;
    b->n_rows += n;
    b->n_logits += n;
    b->n_drafted += n;
}

void rl_draft_add(rl_engine *e)
{
    rl_batch *b = &e->batch;
    double ids = b->n;

    if (e->opts.speculate == RL_SPECULATE_OFF)
        return;
    for (uint32_t i = 0; i < b->n && b->n_rows < least(RL_PAYOFF_ROWS, e->opts.max_rows); i++)
        guess(e, b->seqs[i], &b->spans[i], &ids);
    atomic_fetch_add(&e->drafted, b->n_drafted);
}

bool rl_draft_holds(rl_seq *s)
{
    const struct rl_job_state *run = &s->run;
    bool holds;

    if (run->n_draft == 0)
        return false;
    holds = run->drawn == REALM_OK && run->id == s->ids[s->len];
    rl_payoff_learn(&s->payoff, run->n_same, holds);
    if (!holds)
        rl_draft_drop(s);
    return holds;
}

/* Somebody asked for its end: nothing more is delivered, as if the next step had not begun. */
static bool is_leaving(const rl_seq *s)
{
    bool leaving;

    (void)pthread_mutex_lock(&s->engine->lock);
    leaving = s->cancel_asked;
    (void)pthread_mutex_unlock(&s->engine->lock);
    return leaving;
}

bool rl_draft_next(rl_seq *s)
{
    if (is_leaving(s)) {
        rl_draft_drop(s);
        return false;
    }
    s->n_computed++;
    s->run.n_draft--;
    s->run.logits += rl_model_get_info(s->lm->model)->n_vocab;
    rl_prefix_publish(s);
    atomic_fetch_add(&s->engine->accepted, 1);
    return true;
}

void rl_draft_drop(rl_seq *s)
{
    if (s->run.n_draft == 0)
        return;
    s->run.n_draft = 0;
    rl_kv_truncate(&s->kv, s->n_computed);
}
