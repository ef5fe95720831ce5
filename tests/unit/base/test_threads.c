#include "../test.h"

#include "base/clock.h"
#include "base/queue.h"
#include "base/thread.h"
#include "base/work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static _Atomic uint32_t hits[1000];

static void hit(void *ctx, uint32_t item, uint32_t worker)
{
    assert_true(worker < *(uint32_t *)ctx);
    atomic_fetch_add(&hits[item], 1);
}

static void every_item_runs_once(void **state)
{
    (void)state;
    for (uint32_t threads = 1; threads <= 5; threads++) {
        rl_work *w = rl_work_new(threads);

        assert_non_null(w);
        for (uint32_t round = 0; round < 300; round++) {
            uint32_t n = round * 7 % 1000;

            for (uint32_t i = 0; i < 1000; i++)
                atomic_store(&hits[i], 0);
            if (round % 50 == 0)
                (void)usleep(300); /* long enough for the helpers to fall asleep */
            rl_work_run(w, n, hit, &threads);
            for (uint32_t i = 0; i < 1000; i++)
                assert_int_equal(atomic_load(&hits[i]), i < n);
        }
        rl_work_free(w);
    }
}

static void idle_pool_burns_nothing(void **state)
{
    rl_work *w = rl_work_new(4);
    uint64_t before;

    (void)state;
    assert_non_null(w);
    (void)usleep(20000);
    before = rl_clock_process_cpu_ns();
    (void)usleep(100000);
    assert_true(rl_clock_process_cpu_ns() - before < 20000000u);
    rl_work_free(w);
}

static void *producer(void *arg)
{
    for (uintptr_t i = 1; i <= 10000; i++)
        while (rl_queue_push(arg, (void *)i) != REALM_OK)
            (void)usleep(1);
    return NULL;
}

static void queue_loses_nothing(void **state)
{
    rl_queue *q = rl_queue_new(8);
    pthread_t threads[3];
    uint64_t sum = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, producer, q), 0);
    for (int i = 0; i < 30000; i++)
        sum += (uintptr_t)rl_queue_pop(q, -1);
    assert_int_equal(sum, 3ull * 10000 * 10001 / 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_null(rl_queue_pop(q, 1000000));
    rl_queue_wake(q);
    assert_null(rl_queue_pop(q, -1));
    rl_queue_free(q);
}

static void full_queue_refuses(void **state)
{
    rl_queue *q = rl_queue_new(2);

    (void)state;
    assert_int_equal(rl_queue_push(q, q), REALM_OK);
    assert_int_equal(rl_queue_push(q, q), REALM_OK);
    assert_int_equal(rl_queue_push(q, q), REALM_EBUSY);
    assert_ptr_equal(rl_queue_pop(q, 0), q);
    rl_queue_free(q);
}

static void *name_itself(void *arg)
{
    char name[64];

    rl_thread_name("guest", 12);
    (void)pthread_getname_np(pthread_self(), name, sizeof name);
    assert_string_equal(name, "realm-guest-12");
    rl_thread_name("http", 0);
    (void)pthread_getname_np(pthread_self(), name, sizeof name);
    assert_string_equal(name, "realm-http");
    rl_thread_name("something-long", UINT32_MAX);
    (void)pthread_getname_np(pthread_self(), name, sizeof name);
    assert_string_equal(name, "realm-something");
    return arg;
}

static void threads_have_names(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, name_itself, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void tell_name(void *ctx, uint32_t item, uint32_t worker)
{
    char *names = ctx;

    (void)item;
    (void)pthread_getname_np(pthread_self(), names + 16 * (size_t)worker, 16);
    (void)usleep(1000); /* so that the other one claims some too */
}

static void compute_threads_are_told_apart(void **state)
{
    char names[3][16] = { "", "", "" };
    rl_work *w = rl_work_new(3);

    (void)state;
    assert_non_null(w);
    for (int i = 0; i < 1000 && !(names[1][0] && names[2][0]); i++)
        rl_work_run(w, 30, tell_name, names);
    assert_string_equal(names[1], "realm-work-1");
    assert_string_equal(names[2], "realm-work-2");
    rl_work_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_runs_once), cmocka_unit_test(idle_pool_burns_nothing),
        cmocka_unit_test(queue_loses_nothing),  cmocka_unit_test(full_queue_refuses),
        cmocka_unit_test(threads_have_names),   cmocka_unit_test(compute_threads_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
