/* One step of a model: its batch forward, the draws in parallel, the ids delivered one by one in
 * the batch's order; again for those whose guesses held. Engine thread only; callbacks of jobs are
 * called from here. */
#include "base/alloc.h"
#include "base/clock.h"
#include "engine/internal.h"

#define LOGITS_BYTES ((size_t)256 << 20) /* the logits of a step take at most about this much */
#define LOGITS_LEAST 16u                 /* but this many rows always fit */

/* ---- forward --------------------------------------------------------------------------------- */

static uint32_t most_logits(const rl_engine *e, const rl_lm *lm)
{
    size_t rows = LOGITS_BYTES / sizeof(float) / rl_model_get_info(lm->model)->n_vocab;

    if (rows < LOGITS_LEAST)
        rows = LOGITS_LEAST;
    return rows < e->opts.max_rows ? (uint32_t)rows : e->opts.max_rows;
}

/* Room for that many floats of results. */
static realm_status fit_results(rl_engine *e, size_t n_floats, realm_error *err)
{
    size_t need = (n_floats * sizeof(float) + ((1u << 21) - 1)) >> 21 << 21;

    if (need <= e->logits_bytes)
        return REALM_OK;
    rl_pages_unmap(e->logits, e->logits_bytes);
    e->logits = rl_pages_map(need);
    e->logits_bytes = e->logits ? need : 0;
    if (e->logits)
        return REALM_OK;
    return realm_fail(err, REALM_ENOMEM, "no memory for the results of %u rows",
                      e->batch.n_logits + e->batch.n_hidden);
}

/* Gives every span the place of its logits, a LOGITS job's own, else the engine's, or of its
 * states.
 */
static realm_status place_results(rl_engine *e, const rl_lm *lm, realm_error *err)
{
    rl_batch *b = &e->batch;
    size_t n_vocab = rl_model_get_info(lm->model)->n_vocab, at = 0;
    size_t n_embd = rl_model_get_info(lm->model)->n_embd;
    realm_status st = fit_results(e, b->n_logits * n_vocab + b->n_hidden * n_embd, err);

    for (uint32_t i = 0; i < b->n && st == REALM_OK; i++) {
        const rl_job *job = b->seqs[i]->run.job;
        rl_span *span = &b->spans[i];

        if (span->n_logits)
            span->logits = job->kind == RL_JOB_LOGITS ? job->logits : e->logits + at;
        at += span->n_logits * n_vocab;
        if (span->n_hidden)
            span->hidden = e->logits + at;
        at += span->n_hidden * n_embd;
    }
    return st;
}

static realm_status forward(rl_engine *e, rl_lm *lm, realm_error *err)
{
    rl_batch *b = &e->batch;
    uint64_t begin = rl_clock_ns(), took;
    realm_status st = place_results(e, lm, err);

    for (uint32_t i = 0; i < b->n; i++)
        rl_job_begin(b->seqs[i], begin);
    if (st == REALM_OK)
        st = rl_forward_run(e->forward, lm->model, b->spans, b->n, err);
    for (uint32_t i = 0; i < b->n; i++) /* as it ends, so that one under way at a cancel counts */
        atomic_fetch_add(&b->seqs[i]->steps, 1);
    took = rl_clock_ns() - begin;
    if (b->decodes)
        rl_payoff_measured(&lm->cost, b->n_rows, took);
    else if (b->n_rows >= 2 * b->n) /* mostly prompts */
        lm->row_ns = lm->row_ns ? (3 * lm->row_ns + took / b->n_rows) / 4 : took / b->n_rows;
    atomic_fetch_add(&e->steps, 1);
    atomic_fetch_add(&e->rows, b->n_rows);
    return st;
}

/* ---- draws ----------------------------------------------------------------------------------- */

/* How many ids can still be drawn, one that ends the text among them. 0: it does not end so. */
static uint32_t draws_left(const rl_seq *s, const rl_job *job)
{
    uint32_t left = job->max_tokens - job->n_generated, room = s->lm->n_ctx - s->len;

    if (job->ignore_eog)
        return 0;
    return left < room ? left : room;
}

/* Any compute thread; the sampler and the job's err are this item's alone. */
static void draw_item(void *ctx, uint32_t item, uint32_t worker)
{
    rl_seq *s = ((rl_batch *)ctx)->draws[item];
    struct rl_job_state *run = &s->run;
    rl_job *job = run->job;

    (void)worker;
    run->logprob = 0;
    rl_sampler_set_left(job->sampler, draws_left(s, job));
    run->drawn = rl_sampler_draw(job->sampler, run->logits, s->len, &run->id, &job->err);
    if (run->drawn == REALM_OK && (job->want_logprob || job->n_top))
        (void)rl_logprobs(run->logits, rl_sampler_n_vocab(job->sampler), run->id, &run->logprob,
                          job->top, job->n_top);
}

static bool ends(const rl_seq *s, const rl_job *job, uint32_t id)
{
    for (uint32_t i = 0; i < job->n_stop_ids; i++)
        if (job->stop_ids[i] == id)
            return true;
    return !job->ignore_eog && rl_vocab_is_eog(s->lm->vocab, id);
}

/* The drawn id becomes the sequence's pending last one and goes to the receiver. -> true: it was
 * guessed, so the next one can be drawn as well */
static bool deliver(rl_engine *e, rl_seq *s)
{
    rl_job *job = s->run.job;
    uint32_t id = s->run.id;
    realm_status st = s->run.drawn;
    rl_token_reply reply = RL_TOKEN_GO;
    bool guessed = rl_draft_holds(s);

    if (st == REALM_OK && ends(s, job, id)) {
        job->end_id = id;
        job->end_logprob = s->run.logprob;
        rl_job_finish(s, REALM_OK, RL_FINISH_EOG);
        return false;
    }
    if (st == REALM_OK)
        st = rl_sampler_advance(job->sampler, id, &job->err);
    if (st == REALM_OK)
        st = rl_seq_append(s, &id, 1, &job->err);
    if (st != REALM_OK) {
        rl_job_finish(s, st, RL_FINISH_NONE);
        return false;
    }
    if (!s->run.first_ns)
        s->run.first_ns = rl_clock_ns();
    job->n_generated++;
    atomic_fetch_add(&e->generated_tokens, 1);
    if (job->token)
        reply = job->token(job, id, s->run.logprob);
    if (reply == RL_TOKEN_STOP) {
        rl_job_finish(s, REALM_OK, RL_FINISH_STOP);
    } else if (job->n_generated == job->max_tokens) {
        rl_job_finish(s, REALM_OK, RL_FINISH_LENGTH);
    } else if (s->len == s->lm->n_ctx) {
        st =
            realm_fail(&job->err, REALM_ECONTEXT, "the context of %u tokens is full", s->lm->n_ctx);
        rl_job_finish(s, st, RL_FINISH_NONE);
    } else if (reply == RL_TOKEN_PAUSE) {
        rl_job_place(s, RL_PLACE_PAUSED);
    } else if (guessed) {
        return rl_draft_next(s);
    }
    return false;
}

/* ---- a step ---------------------------------------------------------------------------------- */

static void give_rows(rl_seq *s, const rl_span *span, uint32_t n_vocab)
{
    rl_job *job = s->run.job;

    for (uint32_t i = 0; i < span->n_logits; i++)
        job->row(job, s->run.n_given++, span->logits + (size_t)i * n_vocab);
}

typedef struct scoring {
    const rl_job *job;
    const float *logits; /* [rows][n_vocab] */
    uint32_t first, n_vocab;
} scoring;

/* Any compute thread; a row has its own place. */
static void score_item(void *ctx, uint32_t item, uint32_t worker)
{
    const scoring *x = ctx;
    uint32_t row = x->first + item, n_top = x->job->n_top;
    rl_logprob *to = x->job->scores + (size_t)row * (1 + n_top);

    (void)worker;
    to->id = x->job->ids[row + 1];
    (void)rl_logprobs(x->logits + (size_t)item * x->n_vocab, x->n_vocab, to->id, &to->logprob,
                      to + 1, n_top);
}

/* The span's rows but the prompt's last one, which is there for the draw. */
static void score_ids(rl_engine *e, rl_seq *s, const rl_span *span, uint32_t n_vocab)
{
    rl_job *job = s->run.job;
    uint32_t left = rl_job_to_score(s), n = span->n_logits < left ? span->n_logits : left;
    scoring x = { .job = job, .logits = span->logits, .first = s->run.n_given, .n_vocab = n_vocab };

    if (n == 0)
        return;
    rl_work_run(e->work, n, score_item, &x);
    s->run.n_given += n;
    job->scored(job, s->run.n_given);
}

/* In the order of positions, however they were cut into spans. */
static void add_states(rl_seq *s, const rl_span *span, uint32_t n_embd)
{
    rl_job *job = s->run.job;

    for (uint32_t i = 0; i < span->n_hidden; i++, s->run.n_given++)
        for (uint32_t k = 0; k < n_embd; k++)
            job->hidden[k] += span->hidden[(size_t)i * n_embd + k];
    if (s->n_computed < s->len)
        return;
    for (uint32_t k = 0; k < n_embd; k++)
        job->hidden[k] /= (float)job->n_ids;
}

/* What a span's rows were computed for. Sequences that draw are collected. */
static void take_span(rl_engine *e, rl_seq *s, const rl_span *span)
{
    rl_job *job = s->run.job;
    uint32_t n_vocab = rl_model_get_info(s->lm->model)->n_vocab;

    s->n_computed += span->n - s->run.n_draft;
    rl_prefix_publish(s);
    if (job->kind == RL_JOB_SCORE)
        give_rows(s, span, n_vocab);
    if (job->kind == RL_JOB_GENERATE)
        score_ids(e, s, span, n_vocab);
    if (job->kind == RL_JOB_EMBED)
        add_states(s, span, rl_model_get_info(s->lm->model)->n_embd);
    if (s->n_computed < s->len)
        return;
    if (job->kind == RL_JOB_GENERATE && job->max_tokens == 0) {
        rl_job_finish(s, REALM_OK, RL_FINISH_LENGTH);
    } else if (job->kind == RL_JOB_GENERATE) {
        s->run.logits = span->logits + (size_t)(span->n_logits - 1 - s->run.n_draft) * n_vocab;
        e->batch.draws[e->batch.n_draws++] = s;
    } else if (job->kind == RL_JOB_LAYER) {
        rl_job_place(s, RL_PLACE_LAYERS);
    } else {
        rl_job_finish(s, REALM_OK, RL_FINISH_NONE);
    }
}

/* An id for each that draws; those that draw one more are left. */
static void draw_once(rl_engine *e, rl_batch *b)
{
    uint32_t n = b->n_draws;

    rl_work_run(e->work, n, draw_item, b);
    b->n_draws = 0;
    for (uint32_t i = 0; i < n; i++) {
        rl_seq *s = b->draws[i];

        if (deliver(e, s))
            b->draws[b->n_draws++] = s;
    }
}

static void fail_batch(rl_batch *b, const realm_error *err)
{
    for (uint32_t i = 0; i < b->n; i++) {
        rl_seq *s = b->seqs[i];

        s->run.job->err = *err;
        rl_job_finish(s, err->status, RL_FINISH_NONE);
    }
}

/* -> where this step's regions are marked; NULL: nobody wants it */
static rl_profile *begin_profile(rl_engine *e)
{
    rl_profile *p = atomic_load(&e->profiling) ? &e->profile : NULL;

    e->profile = (rl_profile){ 0 };
    rl_profile_begin(p);
    rl_forward_profile(e->forward, p);
    return p;
}

static void end_profile(rl_engine *e, rl_profile *p)
{
    rl_profile_mark(p, RL_REGION_SAMPLE);
    for (size_t i = 0; p && i < RL_REGIONS; i++)
        atomic_fetch_add(&e->region_ns[i], p->ns[i]);
}

bool rl_step_run(rl_engine *e, rl_lm *lm)
{
    rl_batch *b = &e->batch;
    uint64_t begin = rl_clock_ns();
    rl_profile *profile = begin_profile(e);
    realm_error err;

    b->max_logits = most_logits(e, lm);
    rl_batch_build(e, lm);
    if (!b->n)
        return false;
    rl_profile_mark(profile, RL_REGION_REST);
    if (forward(e, lm, &err) != REALM_OK) {
        fail_batch(b, &err);
        return true;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        b->seqs[i]->run.in_batch = false;
        take_span(e, b->seqs[i], &b->spans[i]);
    }
    rl_profile_mark(profile, RL_REGION_REST);
    while (b->n_draws)
        draw_once(e, b);
    end_profile(e, profile);
    atomic_fetch_add(&e->busy_ns, rl_clock_ns() - begin);
    return true;
}
