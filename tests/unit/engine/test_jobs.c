/* What is refused, how jobs end, what they leave behind. */
#include "house.h"

#include "base/alloc.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static house h;

static realm_status run(rl_job job, const char *word)
{
    realm_error err = { 0 };
    realm_status st = rl_engine_run(h.e, &job, &err);

    if (word && !strstr(err.text, word))
        fail_msg("'%s' does not say '%s'", err.text, word);
    return st;
}

static void bad_jobs_are_refused(void **state)
{
    uint32_t ids[4] = { 5, 6, 7, 8 }, past[2] = { 5, UINT32_MAX };
    float *logits = rl_alloc_array(h.n_vocab, sizeof *logits);
    rl_seq *s = house_seq(&h, 1), *t = house_seq(&h, 1);
    rl_sampler *sampler = house_sampler(&h, 0, 1), *other;
    rl_sample_params p = { 0 };

    (void)state;
    assert_int_equal(rl_sampler_new(&other, &p, h.n_vocab + 1, NULL), REALM_OK);
    past[1] = h.n_vocab;
    assert_int_equal(
        run((rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .ids = past, .n_ids = 2, .logits = logits },
            "vocabulary"),
        REALM_EINVAL);
    assert_int_equal(
        run((rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .n_ids = 2, .logits = logits }, "list"),
        REALM_EINVAL);
    assert_int_equal(run((rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .logits = logits }, "empty"),
                     REALM_EINVAL);
    assert_int_equal(
        run((rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .ids = ids, .n_ids = 1 }, "logits"),
        REALM_EINVAL);
    assert_int_equal(
        run(
            (rl_job){
                .kind = RL_JOB_GENERATE, .seq = s, .ids = ids, .n_ids = 1, .sampler = sampler },
            "max_tokens"),
        REALM_EINVAL);
    assert_int_equal(run((rl_job){ .kind = RL_JOB_GENERATE,
                                   .seq = s,
                                   .ids = ids,
                                   .n_ids = 1,
                                   .sampler = other,
                                   .max_tokens = 1 },
                         "sampler"),
                     REALM_EINVAL);
    assert_int_equal(run((rl_job){ .kind = RL_JOB_GENERATE,
                                   .seq = s,
                                   .ids = ids,
                                   .n_ids = 1,
                                   .sampler = sampler,
                                   .max_tokens = 1,
                                   .n_stop_ids = 3 },
                         "stop"),
                     REALM_EINVAL);
    assert_int_equal(run((rl_job){ .kind = RL_JOB_SCORE, .seq = s, .ids = ids, .n_ids = 1 }, "row"),
                     REALM_EINVAL);
    assert_int_equal(run((rl_job){ .kind = RL_JOB_TRUNCATE, .seq = s, .keep = 1 }, "keep"),
                     REALM_EINVAL);
    assert_int_equal(run((rl_job){ .kind = RL_JOB_FORK, .seq = s }, "fork"), REALM_EINVAL);
    assert_int_equal(run((rl_job){ .kind = RL_JOB_FORK, .seq = s, .fork_to = s }, "fork"),
                     REALM_EINVAL);
    assert_int_equal(run((rl_job){ .kind = (rl_job_kind)99, .seq = s }, "kind"), REALM_EINVAL);
    house_logits(&h, t, ids, 4, logits);
    assert_int_equal(run((rl_job){ .kind = RL_JOB_FORK, .seq = s, .fork_to = t }, "empty"),
                     REALM_EINVAL);
    assert_int_equal(rl_seq_len(s), 0);
    rl_sampler_free(sampler);
    rl_sampler_free(other);
    rl_seq_close(s);
    rl_seq_close(t);
    rl_free(logits);
    house_wait_empty(&h);
}

/* 64 tokens of context: what fits, what does not, and what a full one leaves. */
static void a_full_context_is_an_error(void **state)
{
    rl_lm_opts lo = { .n_ctx = 64 };
    uint32_t ids[65];
    house_gen g;
    rl_lm *lm = h.lm;
    rl_seq *s;

    (void)state;
    house_ids(ids, 65, 3);
    assert_int_equal(rl_lm_open(&h.lm, h.e, house_packed("llama"), &lo, NULL), REALM_OK);
    assert_int_equal(rl_lm_n_ctx(h.lm), 64);
    s = house_seq(&h, 1);
    house_gen_init(&h, &g, s, ids, 65, 0, 1);
    assert_int_equal(rl_engine_run(h.e, &g.job, NULL), REALM_ECONTEXT);
    g.job.n_ids = 64; /* no room for one to draw */
    assert_int_equal(rl_engine_run(h.e, &g.job, NULL), REALM_ECONTEXT);
    assert_int_equal(rl_seq_len(s), 0);
    g.job.n_ids = 60;
    g.job.max_tokens = 4;
    assert_int_equal(rl_engine_run(h.e, &g.job, NULL), REALM_OK);
    assert_int_equal(rl_seq_len(s), 64);
    g.job.n_ids = 0;
    assert_int_equal(rl_engine_run(h.e, &g.job, NULL), REALM_ECONTEXT);
    house_truncate(&h, s, 60);
    g.job.max_tokens = 100;
    g.n_out = 0;
    assert_int_equal(rl_engine_run(h.e, &g.job, NULL), REALM_ECONTEXT);
    assert_int_equal(g.job.n_generated, 4);
    assert_int_equal(g.n_out, 4); /* delivered, and they stay */
    assert_int_equal(rl_seq_len(s), 64);
    assert_non_null(strstr(g.job.err.text, "64"));
    rl_sampler_free(g.job.sampler);
    rl_seq_close(s);
    rl_lm_unref(h.lm);
    h.lm = lm;
    house_wait_empty(&h);
}

static void stop_ids_end_a_generation(void **state)
{
    uint32_t ids[20], out[40], at;
    rl_seq *s = house_seq(&h, 1);
    house_gen g;

    (void)state;
    house_ids(ids, 20, 4);
    house_generate(&h, s, ids, 20, 1, out, 40);
    house_truncate(&h, s, 0);
    for (at = 39; at > 0; at--) { /* one that comes for the first time */
        uint32_t i = 0;

        while (out[i] != out[at])
            i++;
        if (i == at)
            break;
    }
    assert_true(at > 0);
    house_gen_init(&h, &g, s, ids, 20, 1, 40);
    g.job.stop_ids = (uint32_t[]){ UINT32_MAX, out[at] };
    g.job.n_stop_ids = 2;
    assert_int_equal(rl_engine_run(h.e, &g.job, NULL), REALM_OK);
    assert_int_equal(g.job.finish, RL_FINISH_EOG);
    assert_int_equal(g.job.n_generated, at);
    assert_int_equal(g.job.n_prompt, 20);
    assert_memory_equal(g.out, out, at * sizeof *out);
    assert_int_equal(rl_seq_len(s), 20 + at); /* the stop id is not part of it */
    rl_sampler_free(g.job.sampler);
    rl_seq_close(s);
    house_wait_empty(&h);
}

static rl_token_reply count_token(rl_job *job, uint32_t id, float logprob)
{
    uint32_t *n = job->ctx;

    (void)id;
    assert_true(logprob <= 0 && logprob > -50);
    return ++*n == 5 ? RL_TOKEN_STOP : RL_TOKEN_GO;
}

static void end_tokens_and_callbacks_end_a_generation(void **state)
{
    rl_logit_bias eos = { 2, 1e6f }; /* </s> */
    rl_sample_params p = { .has_seed = true, .bias = &eos, .n_bias = 1 };
    uint32_t ids[3] = { 9, 8, 7 }, n = 0;
    rl_seq *s = house_seq(&h, 1);
    rl_job job = { .kind = RL_JOB_GENERATE,
                   .seq = s,
                   .ids = ids,
                   .n_ids = 3,
                   .max_tokens = 100,
                   .ctx = &n,
                   .want_logprob = true };

    (void)state;
    assert_int_equal(rl_sampler_new(&job.sampler, &p, h.n_vocab, NULL), REALM_OK);
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    assert_int_equal(job.finish, RL_FINISH_EOG);
    assert_int_equal(job.n_generated, 0);
    assert_int_equal(rl_seq_len(s), 3);
    job.ignore_eog = true;
    job.max_tokens = 4;
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    assert_int_equal(job.finish, RL_FINISH_LENGTH);
    assert_int_equal(rl_seq_len(s), 10);
    rl_sampler_free(job.sampler);
    job.sampler = house_sampler(&h, 1, 3);
    job.token = count_token;
    job.max_tokens = 100;
    job.n_ids = 0;
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    assert_int_equal(job.finish, RL_FINISH_STOP);
    assert_int_equal(job.n_generated, 5);
    assert_int_equal(rl_seq_len(s), 15);
    assert_true(job.prefill_ns > 0 && job.decode_ns > 0);
    rl_sampler_free(job.sampler);
    rl_seq_close(s);
    house_wait_empty(&h);
}

static _Atomic uint32_t gate, at_gate;
static _Atomic uint32_t n_over;

static void wait_at_gate(rl_job *job)
{
    (void)job;
    atomic_store(&at_gate, 1);
    while (!atomic_load(&gate))
        (void)usleep(100);
}

static void count_over(rl_job *job)
{
    (void)job;
    atomic_fetch_add(&n_over, 1);
}

/* A callback that blocks (which callbacks must not) stops the engine from taking jobs. */
static void a_full_queue_is_busy(void **state)
{
    rl_seq *s[6], *slow = house_seq(&h, 1);
    rl_job jobs[6], first = { .kind = RL_JOB_TRUNCATE, .seq = slow, .done = wait_at_gate };
    realm_error err;

    (void)state;
    atomic_store(&gate, 0);
    atomic_store(&n_over, 0);
    assert_int_equal(rl_engine_post(h.e, &first, NULL), REALM_OK);
    while (!atomic_load(&at_gate))
        (void)usleep(100);
    for (uint32_t i = 0; i < 6; i++) {
        s[i] = house_seq(&h, 1);
        jobs[i] = (rl_job){ .kind = RL_JOB_TRUNCATE, .seq = s[i], .done = count_over };
    }
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(rl_engine_post(h.e, &jobs[i], NULL), REALM_OK);
    assert_int_equal(rl_engine_post(h.e, &jobs[0], &err), REALM_EBUSY); /* one job per sequence */
    assert_non_null(strstr(err.text, "sequence"));
    assert_int_equal(rl_engine_post(h.e, &jobs[3], NULL), REALM_OK);
    assert_int_equal(rl_engine_post(h.e, &jobs[4], &err), REALM_EBUSY);
    assert_non_null(strstr(err.text, "wait"));
    atomic_store(&gate, 1);
    while (atomic_load(&n_over) < 4)
        (void)usleep(100);
    assert_int_equal(rl_engine_post(h.e, &jobs[4], NULL), REALM_OK);
    while (atomic_load(&n_over) < 5)
        (void)usleep(100);
    for (uint32_t i = 0; i < 6; i++)
        rl_seq_close(s[i]);
    rl_seq_close(slow);
    house_wait_empty(&h);
}

static void a_failed_job_leaves_the_sequence_as_it_was(void **state)
{
    uint32_t ids[200];
    float *logits = rl_alloc_array(h.n_vocab, sizeof *logits);
    float *again = rl_alloc_array(h.n_vocab, sizeof *again);
    rl_seq *s = house_seq(&h, 1);
    house_gen g;

    (void)state;
    house_ids(ids, 200, 9);
    house_logits(&h, s, ids, 50, logits);
    house_gen_start(&h, &g, s, ids, 200, 0, 100);
    rl_engine_cancel(h.e, &g.job);
    house_gen_wait(&g);
    if (g.job.n_generated == 0) {
        assert_int_equal(g.job.status, REALM_ECANCELLED);
        assert_int_equal(rl_seq_len(s), 50);
    } else {
        house_truncate(&h, s, 50);
    }
    house_logits(&h, s, NULL, 0, again);
    assert_memory_equal(logits, again, h.n_vocab * sizeof *logits);
    rl_seq_close(s);
    rl_free(logits);
    rl_free(again);
    house_wait_empty(&h);
}

static rl_job *chained[3];

static void post_next(rl_job *job)
{
    uint32_t *left = job->ctx;

    assert_int_equal(job->status, REALM_OK);
    atomic_fetch_add(&n_over, 1);
    if (--*left)
        assert_int_equal(rl_engine_post(h.e, job, NULL), REALM_OK);
    else
        rl_seq_close(job->seq);
}

/* From `done`, the same sequence may get its next job, and be closed. */
static void done_may_post_and_close(void **state)
{
    uint32_t ids[4] = { 4, 5, 6, 7 }, left[3] = { 40, 30, 20 };
    float *logits = rl_alloc_array(h.n_vocab, sizeof *logits);
    rl_job jobs[3];

    (void)state;
    atomic_store(&n_over, 0);
    for (uint32_t i = 0; i < 3; i++) {
        chained[i] = &jobs[i];
        jobs[i] = (rl_job){ .kind = RL_JOB_LOGITS,
                            .seq = house_seq(&h, i),
                            .ctx = &left[i],
                            .done = post_next,
                            .ids = ids,
                            .n_ids = 4,
                            .logits = logits };
        assert_int_equal(rl_engine_post(h.e, &jobs[i], NULL), REALM_OK);
    }
    while (atomic_load(&n_over) < 90)
        (void)usleep(100);
    house_wait_empty(&h);
    rl_free(logits);
}

static void freeing_the_engine_cancels(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20 };
    static house_gen g[10];
    uint32_t ids[100];
    house own;

    (void)state;
    house_ids(ids, 100, 1);
    house_open(&own, "llama", &eo, NULL);
    for (uint32_t i = 0; i < 10; i++) {
        rl_seq *s = house_seq(&own, i);

        house_gen_start(&own, &g[i], s, ids, 100, 0, 400);
        rl_seq_close(s); /* it goes on until it is done */
    }
    house_close(&own);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(atomic_load(&g[i].done), 1);
        house_gen_wait(&g[i]);
        if (g[i].job.status != REALM_OK)
            assert_int_equal(g[i].job.status, REALM_ECANCELLED);
    }
}

static int open_house(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20, .queue_cap = 4 };

    (void)state;
    house_open(&h, "llama", &eo, NULL);
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
        cmocka_unit_test(bad_jobs_are_refused),
        cmocka_unit_test(a_full_context_is_an_error),
        cmocka_unit_test(stop_ids_end_a_generation),
        cmocka_unit_test(end_tokens_and_callbacks_end_a_generation),
        cmocka_unit_test(a_full_queue_is_busy),
        cmocka_unit_test(a_failed_job_leaves_the_sequence_as_it_was),
        cmocka_unit_test(done_may_post_and_close),
        cmocka_unit_test(freeing_the_engine_cancels),
    };

    return cmocka_run_group_tests(tests, open_house, close_house);
}
