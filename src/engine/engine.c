/* The engine thread: takes what came by mail, serves layer jobs, runs one step, and again; without
 * work it sleeps on its mailbox. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/thread.h"
#include "engine/internal.h"

#include <sched.h>
#include <signal.h>

#define MAX_THREADS 64u
#define MAX_ROWS    8192u

/* ---- mail ------------------------------------------------------------------------------------ */

typedef struct mail {
    rl_job *jobs;
    rl_seq *letters;
    rl_lm *dead;
    bool stopping;
} mail;

/* What could make a step now. */
static bool has_work(const rl_engine *e)
{
    return e->ring || e->layers.n > 0;
}

/* Waits for something when `wait` is set; takes all there is. */
static mail take_mail(rl_engine *e, bool wait)
{
    mail m;

    (void)pthread_mutex_lock(&e->lock);
    while (wait && !e->first && !e->letters && !e->dead && !e->stopping) {
        if (!has_work(e))
            atomic_store(&e->work_ns, 0);
        (void)pthread_cond_wait(&e->mail, &e->lock);
    }
    m = (mail){ e->first, e->letters, e->dead, e->stopping };
    e->first = e->last = NULL;
    e->n_posted = 0;
    e->letters = NULL;
    e->dead = NULL;
    (void)pthread_mutex_unlock(&e->lock);
    return m;
}

static void read_letter(rl_engine *e, rl_seq *s)
{
    uint8_t letters;

    (void)pthread_mutex_lock(&e->lock);
    letters = s->letters;
    s->letters = 0;
    s->in_mailbox = false;
    (void)pthread_mutex_unlock(&e->lock);
    if (letters & RL_LETTER_CLOSE)
        s->closed = true;
    if (letters & RL_LETTER_CANCEL && s->run.job) {
        rl_job_cancel(s); /* frees the sequence when it is closed */
        return;
    }
    if (letters & RL_LETTER_RESUME)
        rl_job_resume(s);
    if (s->closed && !s->run.job)
        rl_seq_free(s);
}

/* Jobs first: a cancel may be for one of them. */
static void read_mail(rl_engine *e, mail m)
{
    while (m.jobs) {
        rl_job *job = m.jobs;

        m.jobs = job->next;
        rl_job_take(e, job);
    }
    while (m.letters) {
        rl_seq *s = m.letters;

        m.letters = s->mail_next;
        read_letter(e, s);
    }
    while (m.dead) {
        rl_lm *lm = m.dead;

        m.dead = lm->dead_next;
        rl_lm_free(lm);
    }
}

/* With the lock. */
static void put_letter(rl_engine *e, rl_seq *s, uint8_t letter)
{
    s->letters |= letter;
    if (s->in_mailbox)
        return;
    s->in_mailbox = true;
    s->mail_next = e->letters;
    e->letters = s;
    (void)pthread_cond_signal(&e->mail);
}

void rl_engine_letter(rl_seq *s, uint8_t letter)
{
    rl_engine *e = s->engine;

    (void)pthread_mutex_lock(&e->lock);
    put_letter(e, s, letter);
    (void)pthread_mutex_unlock(&e->lock);
}

/* With the lock: from here on its steps are steps too many. The first who asks counts. */
static void note_cancel(rl_seq *s)
{
    if (s->cancel_asked)
        return;
    s->cancel_asked = true;
    s->cancel_steps = atomic_load(&s->steps);
}

/* Letters to a job are dropped when it is done already. */
static void letter_to_job(rl_engine *e, rl_job *job, uint8_t letter)
{
    (void)pthread_mutex_lock(&e->lock);
    if (job->state && letter == RL_LETTER_CANCEL)
        note_cancel(job->seq);
    if (job->state)
        put_letter(e, job->seq, letter);
    (void)pthread_mutex_unlock(&e->lock);
}

void rl_engine_cancel(rl_engine *e, rl_job *job)
{
    letter_to_job(e, job, RL_LETTER_CANCEL);
}

void rl_engine_resume(rl_engine *e, rl_job *job)
{
    letter_to_job(e, job, RL_LETTER_RESUME);
}

static void clear_results(rl_job *job)
{
    job->status = REALM_OK;
    job->err = (realm_error){ 0 };
    job->finish = RL_FINISH_NONE;
    job->n_prompt = job->n_generated = 0;
    job->prefill_ns = job->decode_ns = 0;
    job->next = NULL;
}

static realm_status push_job(rl_engine *e, rl_job *job, realm_error *err)
{
    bool computes = job->kind != RL_JOB_TRUNCATE && job->kind != RL_JOB_FORK;
    realm_status st;

    if (e->stopping)
        return realm_fail(err, REALM_ECANCELLED, "the engine is stopping");
    st = rl_job_check_state(job, err);
    if (st != REALM_OK)
        return st;
    if (e->n_posted >= e->opts.queue_cap)
        return realm_fail(err, REALM_EBUSY, "%u jobs wait for the engine: try again later",
                          e->n_posted);
    clear_results(job);
    job->seq->job = job;
    if (job->kind == RL_JOB_FORK)
        job->fork_to->job = job;
    job->state = &job->seq->run;
    if (e->last)
        e->last->next = job;
    else
        e->first = job;
    e->last = job;
    e->n_posted++;
    atomic_fetch_add(&e->jobs_posted, computes);
    atomic_fetch_add(&job->seq->lm->n_posted, computes);
    if (!atomic_load(&e->work_ns))
        atomic_store(&e->work_ns, rl_clock_ns());
    (void)pthread_cond_signal(&e->mail);
    return REALM_OK;
}

realm_status rl_engine_post(rl_engine *e, rl_job *job, realm_error *err)
{
    realm_status st = rl_job_check(job, err);

    if (st != REALM_OK)
        return st;
    (void)pthread_mutex_lock(&e->lock);
    st = push_job(e, job, err);
    (void)pthread_mutex_unlock(&e->lock);
    return st;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* One step of the first model in the ring that can make one; it goes to the ring's end. */
static bool run_one_step(rl_engine *e)
{
    uint32_t n = 0;

    for (rl_lm *lm = e->ring; lm; lm = lm->busy_next)
        n++;
    while (n--) {
        rl_lm *lm = e->ring;
        rl_lm **at = &e->ring;

        e->ring = lm->busy_next;
        while (*at)
            at = &(*at)->busy_next;
        *at = lm;
        lm->busy_next = NULL;
        if (rl_step_run(e, lm))
            return true;
    }
    return false;
}

/* -> true when there was any */
static bool cancel_all(rl_engine *e)
{
    rl_seq *s = e->known;
    bool any = false;

    while (s) {
        if (!s->run.job) {
            s = s->known_next;
            continue;
        }
        rl_job_cancel(s);
        any = true;
        s = e->known; /* the list may have changed under it */
    }
    return any;
}

/* The largest block there is: the free bytes hold at least so many of any. */
static size_t largest_block(const rl_engine *e)
{
    size_t most = 0;

    for (const rl_lm *lm = e->pools; lm; lm = lm->pool_next) {
        const rl_kv_layout *l = rl_kv_pool_layout(lm->pool);

        for (uint32_t g = 0; g < l->n_groups; g++) {
            size_t bytes = rl_kv_block_bytes(l, g);

            most = bytes > most ? bytes : most;
        }
    }
    return most;
}

static void count_room(rl_engine *e)
{
    size_t taken = rl_kv_budget_used(e->budget), most = largest_block(e), used = 0;
    size_t left = taken < e->opts.kv_bytes ? e->opts.kv_bytes - taken : 0;
    uint32_t blocks = 0, cached = 0;

    for (const rl_lm *lm = e->pools; lm; lm = lm->pool_next) {
        blocks += rl_kv_pool_in_use(lm->pool);
        cached += rl_kv_pool_idle(lm->pool);
        used += rl_kv_pool_bytes(lm->pool);
    }
    atomic_store(&e->kv_blocks, blocks);
    atomic_store(&e->kv_blocks_cached, cached);
    atomic_store(&e->kv_blocks_most, most ? blocks + cached + (uint32_t)(left / most) : 0);
    atomic_store(&e->kv_bytes, used);
}

static void *engine_main(void *arg)
{
    rl_engine *e = arg;
    bool moved = false;

    rl_thread_name("engine", 0);
    for (;;) {
        mail m = take_mail(e, !moved);
        bool empty = !m.jobs && !m.letters && !m.dead;

        read_mail(e, m);
        if (m.stopping && !cancel_all(e) && empty)
            return NULL;
        moved = rl_layers_run(e);
        moved |= run_one_step(e);
        if (!moved)
            moved = rl_room_unstick(e);
        if (moved)
            atomic_store(&e->work_ns, rl_clock_ns());
        count_room(e);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static uint32_t online_cpus(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    return (uint32_t)CPU_COUNT(&set);
}

static rl_engine_opts resolve(const rl_engine_opts *opts)
{
    rl_engine_opts o = opts ? *opts : (rl_engine_opts){ 0 };

    if (!o.n_threads)
        o.n_threads = online_cpus();
    if (o.n_threads > MAX_THREADS)
        o.n_threads = MAX_THREADS;
    if (!o.kv_bytes)
        o.kv_bytes = (size_t)1 << 30;
    if (!o.max_rows)
        o.max_rows = 512;
    if (o.max_rows > MAX_ROWS)
        o.max_rows = MAX_ROWS;
    if (!o.chunk || o.chunk > o.max_rows)
        o.chunk = o.max_rows;
    if (!o.queue_cap)
        o.queue_cap = 65536;
    if (!o.stack_bytes)
        o.stack_bytes = (size_t)8 << 20;
    return o;
}

static realm_status make_parts(rl_engine *e, realm_error *err)
{
    uint32_t rows = e->opts.max_rows;

    e->budget = rl_kv_budget_new(e->opts.kv_bytes);
    e->batch.spans = rl_alloc_array(rows, sizeof *e->batch.spans);
    e->batch.seqs = rl_alloc_array(rows, sizeof(rl_seq *));
    e->batch.draws = rl_alloc_array(rows, sizeof(rl_seq *));
    e->work = rl_work_new(e->opts.n_threads);
    if (!e->budget || !e->batch.spans || !e->batch.seqs || !e->batch.draws || !e->work)
        return realm_fail(err, REALM_ENOMEM,
                          "no memory for an engine with %zu bytes of KV and %u threads",
                          e->opts.kv_bytes, e->opts.n_threads);
    return rl_forward_new(&e->forward, e->work, rows, err);
}

static void free_parts(rl_engine *e)
{
    while (e->models) { /* only remembered failures are left */
        rl_lm *lm = e->models;

        RL_ASSERT(lm->state == RL_LM_FAILED && !lm->refs);
        e->models = lm->next;
        rl_free(lm->path);
        rl_free(lm);
    }
    rl_forward_free(e->forward);
    rl_work_free(e->work);
    rl_pages_unmap(e->logits, e->logits_bytes);
    rl_free(e->batch.spans);
    rl_free(e->batch.seqs);
    rl_free(e->batch.draws);
    rl_kv_budget_free(e->budget);
    (void)pthread_mutex_destroy(&e->lock);
    (void)pthread_mutex_destroy(&e->models_lock);
    (void)pthread_cond_destroy(&e->mail);
    (void)pthread_cond_destroy(&e->loaded);
    rl_free(e);
}

static realm_status start_thread(rl_engine *e, realm_error *err)
{
    pthread_attr_t attr;
    int rc;

    (void)pthread_attr_init(&attr);
    rc = pthread_attr_setstacksize(&attr, e->opts.stack_bytes);
    if (!rc)
        rc = pthread_create(&e->thread, &attr, engine_main, e);
    (void)pthread_attr_destroy(&attr);
    return rc ? realm_fail(err, REALM_ENOMEM, "cannot start the engine thread (stack of %zu bytes)",
                           e->opts.stack_bytes)
              : REALM_OK;
}

realm_status rl_engine_new(rl_engine **out, const rl_engine_opts *opts, realm_error *err)
{
    rl_engine *e = rl_alloc(sizeof *e);
    sigset_t all, before;
    realm_status st;

    *out = NULL;
    if (!e)
        return realm_fail(err, REALM_ENOMEM, "no memory for an engine");
    e->opts = resolve(opts);
    e->now = rl_clock_ns;
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_mutex_init(&e->models_lock, NULL);
    (void)pthread_cond_init(&e->mail, NULL);
    (void)pthread_cond_init(&e->loaded, NULL);
    (void)sigfillset(&all); /* signals are for the program's own threads */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    st = make_parts(e, err);
    if (st == REALM_OK)
        st = start_thread(e, err);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (st != REALM_OK)
        free_parts(e);
    else
        *out = e;
    return st;
}

void rl_engine_free(rl_engine *e)
{
    if (!e)
        return;
    (void)pthread_mutex_lock(&e->lock);
    e->stopping = true;
    (void)pthread_cond_signal(&e->mail);
    (void)pthread_mutex_unlock(&e->lock);
    (void)pthread_join(e->thread, NULL);
    free_parts(e);
}

/* Counters that are read one after the other may disagree by what happens meanwhile. */
static uint32_t without(uint64_t all, uint64_t some)
{
    return all > some ? (uint32_t)(all - some) : 0;
}

void rl_engine_get_stats(const rl_engine *e, rl_engine_stats *out)
{
    uint64_t done = atomic_load(&e->jobs_done), posted = atomic_load(&e->jobs_posted);
    uint32_t running = atomic_load(&e->n_running);

    *out = (rl_engine_stats){
        .jobs_posted = posted,
        .jobs_done = done,
        .jobs_running = running,
        .jobs_waiting = without(posted - done, running),
        .steps = atomic_load(&e->steps),
        .rows = atomic_load(&e->rows),
        .prompt_tokens = atomic_load(&e->prompt_tokens),
        .generated_tokens = atomic_load(&e->generated_tokens),
        .cached_tokens = atomic_load(&e->cached_tokens),
        .drafted_tokens = atomic_load(&e->drafted),
        .accepted_tokens = atomic_load(&e->accepted),
        .busy_ns = atomic_load(&e->busy_ns),
        .work_ns = atomic_load(&e->work_ns),
        .kv_blocks_in_use = atomic_load(&e->kv_blocks),
        .kv_blocks_cached = atomic_load(&e->kv_blocks_cached),
        .kv_blocks = atomic_load(&e->kv_blocks_most),
        .kv_bytes_used = atomic_load(&e->kv_bytes),
        .kv_bytes = e->opts.kv_bytes,
    };
    /* After jobs_done: who finds a job done finds its cancel counted. */
    for (size_t i = 0; i < RL_CANCEL_STEPS; i++)
        out->jobs_cancelled[i] = atomic_load(&e->jobs_cancelled[i]);
}

void rl_engine_set_profiling(rl_engine *e, bool on)
{
    for (size_t i = 0; i < RL_REGIONS; i++)
        atomic_store(&e->region_ns[i], 0);
    atomic_store(&e->profiling, on);
}

void rl_engine_get_profile(const rl_engine *e, uint64_t ns[RL_REGIONS])
{
    for (size_t i = 0; i < RL_REGIONS; i++)
        ns[i] = atomic_load(&e->region_ns[i]);
}

void rl_engine_each_lm(rl_engine *e, void (*tell)(void *ctx, const rl_lm_stats *lm), void *ctx)
{
    (void)pthread_mutex_lock(&e->models_lock);
    for (rl_lm *lm = e->models; lm; lm = lm->next) {
        uint32_t running = atomic_load(&lm->n_running);
        rl_lm_stats stats = { .path = lm->path,
                              .jobs_running = running,
                              .jobs_waiting = without(atomic_load(&lm->n_posted), running) };

        if (lm->state == RL_LM_READY)
            tell(ctx, &stats);
    }
    (void)pthread_mutex_unlock(&e->models_lock);
}
