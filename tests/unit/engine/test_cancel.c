/* Cancelling: at most two further steps, no leak, exactly one end per job; pausing and resuming.
 *
 * Further steps are what the engine counts: each step that ended after the cancel was asked for and
 * held rows of that job, the step that ran just then included. */
#include "house.h"

#include "base/alloc.h"
#include "engine/internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static house h;

static uint64_t rows_so_far(void)
{
    rl_engine_stats st;

    rl_engine_get_stats(h.e, &st);
    return st.rows;
}

/* How many jobs were asked to end, none of which had more than two further steps. */
static uint64_t n_cancelled(void)
{
    rl_engine_stats st;

    rl_engine_get_stats(h.e, &st);
    assert_int_equal(st.jobs_cancelled[RL_CANCEL_STEPS - 1], 0);
    return st.jobs_cancelled[0] + st.jobs_cancelled[1] + st.jobs_cancelled[2];
}

/* Nothing else runs, so every row is this job's. One row per step while it decodes. */
static void cancelled_jobs_compute_two_steps_at_most(void **state)
{
    uint64_t asked = n_cancelled(), ended = 0;
    uint32_t ids[10];

    (void)state;
    house_ids(ids, 10, 1);
    for (uint32_t round = 0; round < 50; round++) {
        static house_gen g;
        rl_seq *s = house_seq(&h, 1);
        uint64_t at_cancel;

        house_gen_start(&h, &g, s, ids, 1, 0, 500);
        while (rows_so_far() % 7 == 3)
            ;
        rl_engine_cancel(h.e, &g.job);
        at_cancel = rows_so_far(); /* counted at a step's end: one may be running */
        house_gen_wait(&g);
        assert_true(rows_so_far() - at_cancel <= 2);
        if (g.job.status != REALM_OK)
            assert_int_equal(g.job.status, REALM_ECANCELLED);
        ended += g.job.status != REALM_OK;
        assert_int_equal(g.job.n_generated, g.n_out);
        rl_seq_close(s);
    }
    house_wait_empty(&h);
    asked = n_cancelled() - asked;
    assert_true(asked >= ended && asked <= 50 && ended > 0);
}

/* A cancel whose letter is lost: the job goes on to its end. */
static rl_token_reply lose_letter(rl_job *job, uint32_t id, float logprob)
{
    house_gen *g = job->ctx;

    (void)logprob;
    if (g->n_out == 0) {
        (void)pthread_mutex_lock(&h.e->lock);
        job->seq->cancel_asked = true;
        job->seq->cancel_steps = atomic_load(&job->seq->steps);
        (void)pthread_mutex_unlock(&h.e->lock);
    }
    g->out[g->n_out++] = id;
    return RL_TOKEN_GO;
}

/* The count counts: a job that computes on shows as what it is. */
static void further_steps_are_counted(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 6; n++) {
        uint32_t ids[4], at = n < RL_CANCEL_STEPS ? n : RL_CANCEL_STEPS - 1;
        rl_engine *e = h.e;
        rl_engine_stats before, after;
        rl_seq *s = house_seq(&h, 1);
        static house_gen g;

        house_ids(ids, 4, n);
        house_gen_start(&h, &g, s, ids, 4, 0, 1); /* for its sampler */
        while (!atomic_load(&g.done))
            (void)usleep(100);
        house_truncate(&h, s, 0);
        rl_engine_get_stats(e, &before);
        atomic_store(&g.done, 0);
        g.n_out = 0;
        g.job.max_tokens = 1 + n; /* n of them after the cancel */
        g.job.token = lose_letter;
        assert_int_equal(rl_engine_post(e, &g.job, NULL), REALM_OK);
        house_gen_wait(&g);
        rl_engine_get_stats(e, &after);
        for (uint32_t i = 0; i < RL_CANCEL_STEPS; i++)
            assert_int_equal(after.jobs_cancelled[i] - before.jobs_cancelled[i], i == at);
        rl_seq_close(s);
    }
    house_wait_empty(&h);
}

/* The same for a long prompt in pieces of 16. */
static void a_cancelled_prompt_stops(void **state)
{
    static uint32_t ids[1500];
    static house_gen g;
    rl_seq *s = house_seq(&h, 1);
    uint64_t before = rows_so_far(), asked = n_cancelled(), at_cancel;

    (void)state;
    house_ids(ids, 1500, 1);
    house_gen_start(&h, &g, s, ids, 1500, 0, 1);
    while (rows_so_far() == before)
        (void)usleep(50);
    rl_engine_cancel(h.e, &g.job);
    at_cancel = rows_so_far();
    house_gen_wait(&g);
    assert_int_equal(g.job.status, REALM_ECANCELLED);
    assert_true(rows_so_far() - at_cancel <= 2 * 16);
    assert_int_equal(n_cancelled() - asked, 1);
    assert_int_equal(rl_seq_len(s), 0);
    rl_seq_close(s);
    house_wait_empty(&h);
}

typedef struct canceller {
    house_gen *g;
    uint32_t n, seed;
} canceller;

static void *cancel_them(void *arg)
{
    canceller *c = arg;

    for (uint32_t i = 0; i < c->n; i++) {
        (void)usleep((c->seed * 7919 + i * 104729) % 400);
        rl_engine_cancel(h.e, &c->g[(i * 7) % c->n].job);
    }
    return NULL;
}

/* 1,000 jobs of 25 sequences at a time, cancelled by another thread at any moment: before they are
 * taken, in their prompt, while they decode, and after their end. */
static void a_thousand_random_cancels(void **state)
{
    static house_gen g[25];
    static uint32_t ids[25][200];
    uint64_t asked = n_cancelled(), ended = 0;
    rl_engine_stats before, after;

    (void)state;
    rl_engine_get_stats(h.e, &before);
    for (uint32_t i = 0; i < 25; i++)
        house_ids(ids[i], 200, i);
    for (uint32_t round = 0; round < 40; round++) {
        canceller c = { g, 25, round };
        rl_seq *s[25];
        pthread_t thread;

        for (uint32_t i = 0; i < 25; i++) {
            s[i] = house_seq(&h, i % 5);
            house_gen_start(&h, &g[i], s[i], ids[i], 1 + (i * 31 + round) % 120, 0, 1 + i * 3);
            if (i % 3 == 0)
                rl_seq_close(s[i]); /* before its end */
        }
        assert_int_equal(pthread_create(&thread, NULL, cancel_them, &c), 0);
        for (uint32_t i = 0; i < 25; i++) {
            while (!atomic_load(&g[i].done))
                (void)usleep(100);
            assert_true(g[i].job.status == REALM_OK || g[i].job.status == REALM_ECANCELLED);
            ended += g[i].job.status == REALM_ECANCELLED;
            if (i % 3)
                rl_seq_close(s[i]);
        }
        (void)pthread_join(thread, NULL);
        for (uint32_t i = 0; i < 25; i++)
            rl_sampler_free(g[i].job.sampler);
    }
    house_wait_empty(&h); /* no block is left, as many done as posted */
    rl_engine_get_stats(h.e, &after);
    assert_int_equal(after.jobs_done - before.jobs_done, 1000);
    asked = n_cancelled() - asked;
    assert_true(asked >= ended && asked <= 1000 && ended > 0);
    assert_true(after.jobs_cancelled[1] > before.jobs_cancelled[1]); /* some were in a step */
}

static _Atomic uint32_t n_tokens;

static rl_token_reply pause_each(rl_job *job, uint32_t id, float logprob)
{
    house_gen *g = job->ctx;

    (void)logprob;
    g->out[g->n_out++] = id;
    atomic_fetch_add(&n_tokens, 1);
    return RL_TOKEN_PAUSE;
}

/* Every token waits for its own resume, also one that comes too early or twice. */
static void paused_jobs_wait_for_resume(void **state)
{
    uint32_t ids[20], want[30];
    static house_gen g;
    rl_seq *s = house_seq(&h, 1), *t = house_seq(&h, 2);

    (void)state;
    house_ids(ids, 20, 8);
    house_generate(&h, t, ids, 20, 1, want, 30);
    house_gen_start(&h, &g, s, ids, 20, 1, 1); /* for a sampler with the same seed */
    while (!atomic_load(&g.done))
        (void)usleep(100);
    house_truncate(&h, s, 0);
    atomic_store(&g.done, 0);
    g.n_out = 0;
    g.job.max_tokens = 30;
    g.job.token = pause_each;
    assert_int_equal(rl_engine_post(h.e, &g.job, NULL), REALM_OK);
    for (uint32_t i = 1; i < 30; i++) {
        while (atomic_load(&n_tokens) < i)
            (void)usleep(50);
        house_truncate(&h, t, 0); /* a job of another sequence comes by: still paused */
        assert_int_equal(atomic_load(&n_tokens), i);
        rl_engine_resume(h.e, &g.job);
    }
    house_gen_wait(&g);
    assert_memory_equal(g.out, want, sizeof want);
    rl_engine_resume(h.e, &g.job); /* done long ago */
    rl_engine_cancel(h.e, &g.job);
    rl_seq_close(s);
    rl_seq_close(t);
    house_wait_empty(&h);
}

static int open_house(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20, .chunk = 16 };

    (void)state;
    house_open(&h, "qwen2", &eo, NULL);
    return 0;
}

static int close_house(void **state)
{
    (void)state;
    house_close(&h);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_jobs_compute_two_steps_at_most),
        cmocka_unit_test(a_cancelled_prompt_stops),
        cmocka_unit_test(a_thousand_random_cancels),
        cmocka_unit_test(paused_jobs_wait_for_resume),
        cmocka_unit_test(further_steps_are_counted), /* the last: others want no "more" */
    };

    return cmocka_run_group_tests(tests, open_house, close_house);
}
