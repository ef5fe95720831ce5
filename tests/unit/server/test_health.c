/* Readiness: an engine that stands still is told from one that is idle or at work. The clock is an
 * argument, so nobody waits. */
#include "../engine/house.h"

#include "base/clock.h"
#include "server/internal.h"

#include <string.h>
#include <unistd.h>

#define SECOND 1000000000u

static house h;
static rl_server s;
static atomic_bool held, inside;

static bool ready_in(uint64_t seconds, const char **why)
{
    return rl_health_at(&s, rl_clock_ns() + seconds * SECOND, why);
}

static rl_engine_stats stats(void)
{
    rl_engine_stats st;

    rl_engine_get_stats(h.e, &st);
    return st;
}

/* The engine's thread waits here: it stands still. */
static rl_token_reply stand(rl_job *job, uint32_t id, float logprob)
{
    house_gen *g = job->ctx;

    (void)logprob;
    g->out[g->n_out++] = id;
    atomic_store(&inside, true);
    while (atomic_load(&held))
        (void)usleep(100);
    return RL_TOKEN_GO;
}

static void the_clock_decides(void **state)
{
    (void)state;
    assert_false(rl_health_is_stalled(0, UINT64_MAX, 1)); /* no work */
    assert_false(rl_health_is_stalled(5, 5 + 1u * SECOND, 1));
    assert_true(rl_health_is_stalled(5, 6 + 1u * SECOND, 1));
    assert_false(rl_health_is_stalled(5, 5 + (uint64_t)30 * SECOND, 0)); /* the default */
    assert_true(rl_health_is_stalled(5, 6 + (uint64_t)30 * SECOND, 0));
    assert_false(rl_health_is_stalled(100, 50, 1)); /* it began after the look */
    assert_true(rl_health_is_stalled(1, UINT64_MAX, UINT32_MAX));
}

static void idle_is_ready(void **state)
{
    const char *why;

    (void)state;
    while (stats().work_ns)
        (void)usleep(100);
    assert_true(ready_in(1000000, &why));
    assert_string_equal(why, "ok");
}

static void standing_still_is_not(void **state)
{
    static house_gen g;
    uint32_t ids[4];
    rl_seq *seq = house_seq(&h, 1);
    const char *why;

    (void)state;
    house_ids(ids, 4, 1);
    house_gen_init(&h, &g, seq, ids, 4, 0, 3);
    g.job.token = stand;
    atomic_store(&held, true);
    assert_int_equal(rl_engine_post(h.e, &g.job, NULL), REALM_OK);
    while (!atomic_load(&inside))
        (void)usleep(100);
    assert_true(ready_in(0, &why));
    assert_int_equal(stats().jobs_running, 1);
    assert_int_equal(stats().jobs_waiting, 0);
    assert_false(ready_in(31, &why));
    assert_string_equal(why, "stalled");
    atomic_store(&s.stall_seconds, 60);
    assert_true(ready_in(31, &why));
    assert_false(ready_in(61, &why));
    atomic_store(&s.stall_seconds, 0);
    atomic_store(&held, false);
    house_gen_wait(&g);
    rl_seq_close(seq);
    house_wait_empty(&h);
    assert_int_equal(stats().jobs_running, 0);
    idle_is_ready(state);
}

/* A sequence that waits for its reader is no work that could be done. */
static rl_token_reply pause_first(rl_job *job, uint32_t id, float logprob)
{
    house_gen *g = job->ctx;

    (void)logprob;
    g->out[g->n_out++] = id;
    atomic_store(&inside, true);
    return g->n_out == 1 ? RL_TOKEN_PAUSE : RL_TOKEN_GO;
}

static void a_paused_sequence_is_no_stall(void **state)
{
    static house_gen g;
    uint32_t ids[4];
    rl_seq *seq = house_seq(&h, 1);

    house_ids(ids, 4, 2);
    house_gen_init(&h, &g, seq, ids, 4, 0, 3);
    atomic_store(&inside, false);
    g.job.token = pause_first;
    assert_int_equal(rl_engine_post(h.e, &g.job, NULL), REALM_OK);
    while (!atomic_load(&inside))
        (void)usleep(100);
    idle_is_ready(state);
    assert_int_equal(stats().jobs_running, 1);
    rl_engine_resume(h.e, &g.job);
    house_gen_wait(&g);
    rl_seq_close(seq);
    house_wait_empty(&h);
}

static void draining_is_not_ready(void **state)
{
    const char *why;

    (void)state;
    atomic_store(&s.draining, true);
    assert_false(rl_server_is_ready(&s, &why));
    assert_string_equal(why, "draining");
    atomic_store(&s.draining, false);
}

static uint32_t n_told;

static void tell(void *ctx, const rl_lm_stats *lm)
{
    (void)ctx;
    assert_non_null(strchr(lm->path, '/'));
    assert_int_equal(lm->jobs_running, 0);
    assert_int_equal(lm->jobs_waiting, 0);
    n_told++;
}

static void models_are_told(void **state)
{
    (void)state;
    rl_engine_each_lm(h.e, tell, NULL);
    assert_int_equal(n_told, 1);
    assert_true(stats().kv_bytes > 0);
    assert_true(stats().kv_blocks > stats().kv_blocks_in_use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_decides),     cmocka_unit_test(idle_is_ready),
        cmocka_unit_test(standing_still_is_not), cmocka_unit_test(a_paused_sequence_is_no_stall),
        cmocka_unit_test(draining_is_not_ready), cmocka_unit_test(models_are_told),
    };
    rl_runtime_opts o = { .n_workers = 1, .max_guests = 1 };
    realm_error err;
    int failed;

    house_open(&h, "llama", NULL, NULL);
    o.engine = h.e;
    if (rl_runtime_new(&s.o.runtime, &o, &err) != REALM_OK)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rl_runtime_free(s.o.runtime);
    house_close(&h);
    return failed;
}
