/* Jobs: what is refused at the door, how one is taken, and how it ends. Every job that was posted
 * ends in rl_job_finish, once. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <string.h>

static bool appends(const rl_job *job)
{
    return job->kind == RL_JOB_GENERATE || job->kind == RL_JOB_LOGITS ||
           job->kind == RL_JOB_SCORE || job->kind == RL_JOB_EMBED;
}

bool rl_job_computes(const rl_job *job)
{
    return job->kind != RL_JOB_TRUNCATE && job->kind != RL_JOB_FORK;
}

/* ---- refusing -------------------------------------------------------------------------------- */

static realm_status check_ids(const rl_job *job, realm_error *err)
{
    uint32_t n_vocab = rl_model_get_info(job->seq->lm->model)->n_vocab;

    if (job->n_ids && !job->ids)
        return realm_fail(err, REALM_EINVAL, "%u ids but no list of them", job->n_ids);
    for (uint32_t i = 0; i < job->n_ids; i++)
        if (job->ids[i] >= n_vocab)
            return realm_fail(err, REALM_EINVAL,
                              "id %u (at index %u) is past the vocabulary of %u tokens",
                              job->ids[i], i, n_vocab);
    return REALM_OK;
}

static realm_status check_generate(const rl_job *job, realm_error *err)
{
    uint32_t n_vocab = rl_model_get_info(job->seq->lm->model)->n_vocab;

    if (job->max_tokens == 0 && !job->echo)
        return realm_fail(err, REALM_EINVAL, "max_tokens must be at least 1");
    if (job->scores && (!job->echo || !job->scored))
        return realm_fail(err, REALM_EINVAL, "scores need echo and a callback");
    if (!job->sampler || rl_sampler_n_vocab(job->sampler) != n_vocab)
        return realm_fail(err, REALM_EINVAL,
                          "the sampler was not made for this model's vocabulary of %u tokens",
                          n_vocab);
    if (job->n_top && !job->top)
        return realm_fail(err, REALM_EINVAL, "%u best ids but no room for them", job->n_top);
    if (job->n_stop_ids && !job->stop_ids)
        return realm_fail(err, REALM_EINVAL, "%u stop ids but no list of them", job->n_stop_ids);
    return REALM_OK;
}

static realm_status check_score(const rl_job *job, realm_error *err)
{
    if (!job->row || (job->n_ids == 0 && job->first_row >= 0))
        return realm_fail(err, REALM_EINVAL, "scoring needs ids and a row callback");
    if (job->first_row < -1 || job->first_row > (int64_t)job->n_ids - 1)
        return realm_fail(err, REALM_EINVAL, "the first row %d is none of the %u ids'",
                          job->first_row, job->n_ids);
    return REALM_OK;
}

static realm_status check_layer(const rl_job *job, realm_error *err)
{
    const rl_lm *lm = job->seq->lm;
    uint32_t n_layers = rl_model_get_info(lm->model)->n_layers;

    if (!job->hidden || job->n_hidden == 0)
        return realm_fail(err, REALM_EINVAL, "no hidden states were given");
    if (job->kind == RL_JOB_HEAD)
        return job->logits ? REALM_OK : realm_fail(err, REALM_EINVAL, "no room for the logits");
    if (job->layer >= n_layers)
        return realm_fail(err, REALM_EINVAL, "layer %u of a model with %u layers", job->layer,
                          n_layers);
    if ((uint64_t)job->pos + job->n_hidden > lm->n_ctx)
        return realm_fail(err, REALM_ECONTEXT,
                          "%u hidden states from position %u on pass the context of %u tokens",
                          job->n_hidden, job->pos, lm->n_ctx);
    return REALM_OK;
}

realm_status rl_job_check(const rl_job *job, realm_error *err)
{
    realm_status st = appends(job) ? check_ids(job, err) : REALM_OK;

    if (st != REALM_OK)
        return st;
    switch (job->kind) {
    case RL_JOB_GENERATE:
        return check_generate(job, err);
    case RL_JOB_LOGITS:
        return job->logits ? REALM_OK : realm_fail(err, REALM_EINVAL, "no room for the logits");
    case RL_JOB_SCORE:
        return check_score(job, err);
    case RL_JOB_EMBED:
        return job->hidden && job->n_ids
                   ? REALM_OK
                   : realm_fail(err, REALM_EINVAL, "an embedding needs ids and room for it");
    case RL_JOB_LAYER:
    case RL_JOB_HEAD:
        return check_layer(job, err);
    case RL_JOB_TRUNCATE:
        return REALM_OK;
    case RL_JOB_FORK:
        return job->fork_to && job->fork_to != job->seq && job->fork_to->lm == job->seq->lm
                   ? REALM_OK
                   : realm_fail(err, REALM_EINVAL,
                                "a fork needs another sequence of the same model");
    }
    return realm_fail(err, REALM_EINVAL, "unknown kind of job %d", (int)job->kind);
}

/* The logits after the last token that is there already. */
static bool wants_last(const rl_job *job)
{
    return job->kind == RL_JOB_SCORE && job->first_row < 0;
}

static realm_status check_append(const rl_job *job, realm_error *err)
{
    const rl_seq *s = job->seq;
    bool draws = job->kind == RL_JOB_GENERATE && job->max_tokens > 0;
    uint64_t need = (uint64_t)s->len + job->n_ids + draws;

    if (s->len == 0 && (job->n_ids == 0 || wants_last(job)))
        return realm_fail(err, REALM_EINVAL, "the sequence is empty: append at least one token");
    if (s->tainted && s->len == s->n_computed && (job->n_ids == 0 || wants_last(job)))
        return realm_fail(err, REALM_EINVAL,
                          "the last position came from hidden states: append at least one token");
    if (need > s->lm->n_ctx)
        return realm_fail(err, REALM_ECONTEXT,
                          "%u tokens after %u%s do not fit the context of %u tokens: shorten the "
                          "prompt",
                          job->n_ids, s->len, draws ? " and one to generate" : "", s->lm->n_ctx);
    return REALM_OK;
}

/* With the lock, so that the sequence cannot get another job meanwhile. */
realm_status rl_job_check_state(const rl_job *job, realm_error *err)
{
    const rl_seq *s = job->seq;

    if (s->job)
        return realm_fail(err, REALM_EBUSY, "the sequence has a job already: wait for its end");
    if (s->uneven && (appends(job) || job->kind == RL_JOB_FORK))
        return realm_fail(err, REALM_EINVAL,
                          "the layers of this sequence differ in length: run them all up to one "
                          "position, or truncate");
    if (appends(job))
        return check_append(job, err);
    if (job->kind == RL_JOB_TRUNCATE && job->keep > s->len)
        return realm_fail(err, REALM_EINVAL, "cannot keep %u tokens of %u", job->keep, s->len);
    if (job->kind == RL_JOB_FORK && job->fork_to->job)
        return realm_fail(err, REALM_EBUSY, "the sequence to fork into has a job");
    if (job->kind == RL_JOB_FORK && job->fork_to->len)
        return realm_fail(err, REALM_EINVAL, "the sequence to fork into is not empty");
    return REALM_OK;
}

/* ---- places and owners ----------------------------------------------------------------------- */

static rl_owner *owner_get(rl_engine *e, uint32_t id)
{
    rl_owner *o = e->owners;

    while (o && o->id != id)
        o = o->next;
    if (!o) {
        o = rl_alloc(sizeof *o);
        if (!o)
            return NULL;
        o->id = id;
        o->next = e->owners;
        e->owners = o;
    }
    o->n_jobs++;
    return o;
}

static void owner_put(rl_engine *e, rl_owner *o)
{
    rl_owner **at = &e->owners;

    if (!o || --o->n_jobs)
        return;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    rl_free(o);
}

static void ring_add(rl_engine *e, rl_lm *lm)
{
    rl_lm **at = &e->ring;

    if (lm->busy)
        return;
    while (*at)
        at = &(*at)->busy_next;
    *at = lm;
    lm->busy = true;
    lm->busy_next = NULL;
}

static void ring_remove(rl_engine *e, rl_lm *lm)
{
    rl_lm **at = &e->ring;

    while (*at != lm)
        at = &(*at)->busy_next;
    *at = lm->busy_next;
    lm->busy = false;
}

void rl_job_place(rl_seq *s, rl_place place)
{
    rl_engine *e = s->engine;

    rl_draft_drop(s);
    if (s->run.place == RL_PLACE_RUN) {
        rl_seq_list_remove(&s->lm->run, s);
        if (!s->lm->run.n)
            ring_remove(e, s->lm);
    } else if (s->run.place == RL_PLACE_LAYERS) {
        rl_seq_list_remove(&e->layers, s);
    }
    s->run.place = place;
    s->run.waiting = false;
    if (place == RL_PLACE_RUN) {
        rl_seq_list_push(&s->lm->run, s);
        ring_add(e, s->lm);
    } else if (place == RL_PLACE_LAYERS) {
        rl_seq_list_push(&e->layers, s);
    }
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* Records the ids. Where the job asks for the logits after the last token that was there and that
 * is computed already, it is computed once more. */
static realm_status take_ids(rl_seq *s, rl_job *job)
{
    realm_status st = rl_room_fits(s, (uint64_t)s->len + job->n_ids, &job->err);

    if (st == REALM_OK)
        st = rl_seq_append(s, job->ids, job->n_ids, &job->err);
    if (st != REALM_OK)
        return st;
    if (s->n_computed == s->run.len0 && (job->n_ids == 0 || wants_last(job)))
        rl_prefix_leave(s, --s->n_computed);
    if (job->kind == RL_JOB_GENERATE)
        rl_sampler_accept(job->sampler, job->ids, job->n_ids);
    rl_job_place(s, RL_PLACE_RUN);
    return REALM_OK;
}

static void clear_mean(const rl_seq *s, rl_job *job)
{
    memset(job->hidden, 0, rl_model_get_info(s->lm->model)->n_embd * sizeof *job->hidden);
}

/* What needs no computing ends here. */
static void start(rl_seq *s, rl_job *job)
{
    realm_status st = REALM_OK;

    switch (job->kind) {
    case RL_JOB_GENERATE:
    case RL_JOB_LOGITS:
    case RL_JOB_SCORE:
    case RL_JOB_EMBED:
        if (job->kind == RL_JOB_EMBED)
            clear_mean(s, job);
        st = take_ids(s, job);
        if (st == REALM_OK)
            return;
        break;
    case RL_JOB_LAYER: /* first the ids that the layers' memory still lacks */
        st = rl_room_fits(s, (uint64_t)job->pos + job->n_hidden, &job->err);
        if (st != REALM_OK)
            break;
        rl_job_place(s, s->n_computed < s->len ? RL_PLACE_RUN : RL_PLACE_LAYERS);
        return;
    case RL_JOB_HEAD:
        rl_job_place(s, RL_PLACE_LAYERS);
        return;
    case RL_JOB_TRUNCATE:
        rl_seq_cut(s, job->keep);
        break;
    case RL_JOB_FORK:
        st = rl_seq_fork_to(s, job->fork_to, &job->err);
        break;
    }
    rl_job_finish(s, st, RL_FINISH_NONE);
}

void rl_job_take(rl_engine *e, rl_job *job)
{
    rl_seq *s = job->seq;
    realm_status st;

    job->n_cached = 0;
    s->run =
        (struct rl_job_state){ .job = job, .len0 = s->len, .reached = s->len, .order = ++e->order };
    st = rl_seq_prepare(s, &job->err);
    if (st == REALM_OK) {
        s->run.owner = owner_get(e, s->owner);
        if (!s->run.owner)
            st = realm_fail(&job->err, REALM_ENOMEM, "no memory for a job");
    }
    if (st == REALM_OK)
        start(s, job);
    else
        rl_job_finish(s, st, RL_FINISH_NONE);
}

/* Only jobs that compute have steps. */
void rl_job_begin(rl_seq *s, uint64_t now)
{
    if (s->run.start_ns)
        return;
    s->run.start_ns = now;
    atomic_fetch_add(&s->engine->n_running, 1);
    atomic_fetch_add(&s->lm->n_running, 1);
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* A job that failed before it gave anything leaves its sequence as it was. */
static void restore(rl_seq *s, const rl_job *job)
{
    if (appends(job) && job->n_generated == 0)
        rl_seq_cut(s, s->run.len0);
}

/* Steps of a job after somebody asked for its end. */
static void count_cancelled(rl_engine *e, const rl_seq *s)
{
    uint32_t n;
    bool asked;

    (void)pthread_mutex_lock(&e->lock);
    asked = s->cancel_asked;
    n = atomic_load(&s->steps) - s->cancel_steps;
    (void)pthread_mutex_unlock(&e->lock);
    if (asked)
        atomic_fetch_add(&e->jobs_cancelled[n < RL_CANCEL_STEPS ? n : RL_CANCEL_STEPS - 1], 1);
}

/* job NULL: it failed */
static void count_end(rl_engine *e, rl_seq *s, const rl_job *job)
{
    bool began = s->run.start_ns != 0;

    count_cancelled(e, s);
    atomic_fetch_add(&e->jobs_done, 1);
    atomic_fetch_add(&e->prompt_tokens, job ? job->n_ids : 0);
    atomic_fetch_add(&e->cached_tokens, job ? job->n_cached : 0);
    atomic_fetch_sub(&e->n_running, began);
    atomic_fetch_sub(&s->lm->n_running, began);
    atomic_fetch_sub(&s->lm->n_posted, 1);
}

static void fill_results(rl_seq *s, rl_job *job, realm_status st, rl_finish finish)
{
    uint64_t now = rl_clock_ns(), first = s->run.first_ns ? s->run.first_ns : now;

    job->status = st;
    job->finish = finish;
    job->n_prompt = job->n_ids;
    if (s->run.start_ns) {
        job->prefill_ns = first - s->run.start_ns;
        job->decode_ns = now - first;
    }
}

/* Gives the sequences back to their holders: from here on they may post again.
 * -> true when nobody holds `s` any more and no letter to it is on its way */
static bool hand_back(rl_engine *e, rl_seq *s, rl_job *job)
{
    bool gone;

    (void)pthread_mutex_lock(&e->lock);
    s->job = NULL;
    s->letters &= RL_LETTER_CLOSE; /* the others were for this job */
    s->cancel_asked = false;
    if (job->kind == RL_JOB_FORK)
        job->fork_to->job = NULL;
    job->state = NULL;
    gone = s->closed && !s->in_mailbox;
    (void)pthread_mutex_unlock(&e->lock);
    return gone;
}

void rl_job_finish(rl_seq *s, realm_status st, rl_finish finish)
{
    rl_engine *e = s->engine;
    rl_job *job = s->run.job;
    bool gone;

    RL_ASSERT(job);
    rl_job_place(s, RL_PLACE_NONE);
    owner_put(e, s->run.owner);
    if (st != REALM_OK)
        restore(s, job);
    fill_results(s, job, st, finish);
    if (rl_job_computes(job))
        count_end(e, s, st == REALM_OK ? job : NULL);
    s->used = ++e->order;
    s->run = (struct rl_job_state){ 0 };
    gone = hand_back(e, s, job);
    job->done(job);
    if (gone)
        rl_seq_free(s);
}

void rl_job_cancel(rl_seq *s)
{
    if (!s->run.job)
        return;
    (void)realm_fail(&s->run.job->err, REALM_ECANCELLED, "the job was cancelled");
    rl_job_finish(s, REALM_ECANCELLED, RL_FINISH_NONE);
}

void rl_job_resume(rl_seq *s)
{
    if (s->run.job && s->run.place == RL_PLACE_PAUSED)
        rl_job_place(s, RL_PLACE_RUN);
}
