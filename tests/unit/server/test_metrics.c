/* What is counted, and that Prometheus can read it. */
#include "prom.h"

#include "../test.h"

#include "server/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static prom p;
static rl_metrics m;

static void write_to(rl_buf *out, const rl_metrics_values *v)
{
    rl_buf_init(out, (size_t)4 << 20);
    rl_metrics_put(&m, v, out);
    assert_false(out->failed);
}

/* Writes and reads into p, which the caller frees. */
static void read_back(const rl_metrics_values *v)
{
    rl_buf out;

    write_to(&out, v);
    if (!prom_read(&p, out.data, out.len))
        fail_msg("%s", p.why);
    rl_buf_deinit(&out);
}

static void nothing_yet_is_whole(void **state)
{
    static const char *const wanted[] = {
        "realm_ready",
        "realm_sequences_running",
        "realm_sequences_waiting",
        "realm_prompt_tokens_total",
        "realm_generated_tokens_total",
        "realm_tokens_drafted_total",
        "realm_tokens_accepted_total",
        "realm_kv_blocks_used",
        "realm_kv_blocks_total",
        "realm_kv_used_ratio",
        "realm_guests_live",
        "realm_guests_parked",
        "realm_guest_cpu_seconds_total",
        "realm_guests_ended_by_limit_total{limit=\"time\"}",
        "realm_guests_ended_by_limit_total{limit=\"cpu\"}",
        "realm_guests_ended_by_limit_total{limit=\"memory\"}",
        "realm_guests_ended_by_limit_total{limit=\"tokens\"}",
        "realm_guests_ended_by_limit_total{limit=\"output\"}",
        "realm_http_refused_total{class=\"4xx\"}",
        "realm_http_connections",
        "realm_engine_jobs_total",
        "realm_engine_jobs_from_guests_total",
        "realm_engine_steps_total",
        "realm_cancelled_jobs_total{steps=\"0\"}",
        "realm_cancelled_jobs_total{steps=\"more\"}",
        "realm_runs_started_total",
        "realm_runs_done_total",
        "realm_time_to_first_token_seconds_count",
        "realm_inter_token_seconds_count",
        "realm_request_duration_seconds_count",
        "vllm:lora_requests_info{max_lora=\"0\",running_lora_adapters=\"\",waiting_lora_adapters="
        "\"\"}",
    };
    const rl_metrics_values v = { .n_models = 0 };

    (void)state;
    m = (rl_metrics){ .requests = { { 0 } } };
    read_back(&v);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_true(prom_get(&p, wanted[i]) == 0);
    assert_true(p.n_families > 40);
    prom_free(&p);
}

static void requests_are_told_by_route(void **state)
{
    const rl_metrics_values v = { .n_models = 0 };
    bool known;
    const rl_route *models = rl_route_find("GET", "/v1/models", &known);

    (void)state;
    m = (rl_metrics){ .requests = { { 0 } } };
    assert_true(rl_n_routes <= RL_METRICS_ROUTES);
    for (size_t i = 0; i < rl_n_routes; i++) /* each has a series of its own */
        for (int status = 100; status < 600; status += 100)
            rl_metrics_request(&m, (int)i, status);
    rl_metrics_request(&m, (int)(models - rl_routes), 204);
    rl_metrics_request(&m, -1, 404);
    rl_metrics_request(&m, 100000, 0);
    rl_metrics_request(&m, 0, 999);
    read_back(&v);
    assert_true(
        prom_get(&p,
                 "realm_http_requests_total{method=\"GET\",route=\"/v1/models\",class=\"2xx\"}") ==
        2);
    assert_true(
        prom_get(&p, "realm_http_requests_total{method=\"other\",route=\"other\",class=\"4xx\"}") ==
        1);
    assert_true(
        prom_get(
            &p, "realm_http_requests_total{method=\"other\",route=\"other\",class=\"none\"}") == 1);
    prom_free(&p);
}

static void times_fall_into_their_buckets(void **state)
{
    const rl_metrics_values v = { .n_models = 0 };
    rl_timing t;

    (void)state;
    m = (rl_metrics){ .requests = { { 0 } } };
    rl_timing_begin(&t, 1000);
    rl_timing_piece(&t, &m, 1000 + 25000000);            /* the bound itself */
    rl_timing_piece(&t, &m, 1000 + 25000000 + 1000001);  /* just over one */
    rl_timing_piece(&t, &m, t.last_ns + 3600000000000u); /* an hour: only +Inf */
    assert_int_equal(t.first_ns, 25001000);
    read_back(&v);
    assert_true(prom_get(&p, "realm_time_to_first_token_seconds_bucket{le=\"0.01\"}") == 0);
    assert_true(prom_get(&p, "realm_time_to_first_token_seconds_bucket{le=\"0.025\"}") == 1);
    assert_true(prom_get(&p, "realm_time_to_first_token_seconds_count") == 1);
    assert_true(prom_get(&p, "realm_time_to_first_token_seconds_sum") == 0.025);
    assert_true(prom_get(&p, "realm_inter_token_seconds_bucket{le=\"0.001\"}") == 0);
    assert_true(prom_get(&p, "realm_inter_token_seconds_bucket{le=\"0.0025\"}") == 1);
    assert_true(prom_get(&p, "realm_inter_token_seconds_bucket{le=\"2.5\"}") == 1);
    assert_true(prom_get(&p, "realm_inter_token_seconds_bucket{le=\"+Inf\"}") == 2);
    assert_true(prom_get(&p, "realm_inter_token_seconds_sum") == 3600.001000001);
    prom_free(&p);
}

/* A job that came past the guests makes the two differ. */
static void jobs_are_told_apart(void **state)
{
    const rl_metrics_values v = { .engine = { .jobs_posted = 5, .jobs_cancelled = { 3, 2, 1, 7 } },
                                  .guests = { .jobs_from_guests = 4 } };

    (void)state;
    m = (rl_metrics){ .requests = { { 0 } } };
    read_back(&v);
    assert_true(prom_get(&p, "realm_engine_jobs_total") == 5);
    assert_true(prom_get(&p, "realm_engine_jobs_from_guests_total") == 4);
    assert_true(prom_get(&p, "realm_cancelled_jobs_total{steps=\"0\"}") == 3);
    assert_true(prom_get(&p, "realm_cancelled_jobs_total{steps=\"2\"}") == 1);
    assert_true(prom_get(&p, "realm_cancelled_jobs_total{steps=\"more\"}") == 7);
    prom_free(&p);
}

static void names_of_models_are_escaped(void **state)
{
    static rl_server_model models[5];
    static const char *const names[] = { "gemma3-270m", "a\"b", "back\\slash",
                                         "line\nend}\" 1\n# x", "bad\xff\xc3utf8\xe2\x82\xac" };
    const rl_metrics_values v = { .models = models,
                                  .n_models = 5,
                                  .engine = { .kv_bytes = 400, .kv_bytes_used = 100 } };

    (void)state;
    m = (rl_metrics){ .requests = { { 0 } } };
    for (size_t i = 0; i < 5; i++) {
        (void)strncpy(models[i].name, names[i], sizeof models[i].name - 1);
        models[i].running = (uint32_t)i;
        models[i].waiting = (uint32_t)(10 * i);
    }
    read_back(&v);
    assert_true(prom_get(&p, "vllm:num_requests_running{model_name=\"gemma3-270m\"}") == 0);
    assert_true(prom_get(&p, "vllm:num_requests_running{model_name=\"a\\\"b\"}") == 1);
    assert_true(prom_get(&p, "vllm:num_requests_waiting{model_name=\"back\\\\slash\"}") == 20);
    assert_true(prom_get(&p, "vllm:kv_cache_usage_perc{model_name=\"line\\nend}\\\" 1\\n# x\"}") ==
                0.25);
    assert_true(prom_get(&p, "vllm:gpu_cache_usage_perc{model_name=\"bad\xef\xbf\xbd\xef\xbf\xbd"
                             "utf8\xe2\x82\xac\"}") == 0.25);
    prom_free(&p);
}

static void *count_many(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < 100000; i++) {
        rl_metrics_observe(&m, RL_HIST_inter_token, i * 1000u);
        rl_metrics_count(&m, RL_COUNT_finishes, RL_FINISHED_LENGTH);
    }
    return NULL;
}

/* While others count, what is written is whole; at the end nothing is missing. */
static void nothing_is_lost_between_threads(void **state)
{
    const rl_metrics_values v = { .n_models = 0 };
    pthread_t threads[4];

    (void)state;
    m = (rl_metrics){ .requests = { { 0 } } };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, NULL), 0);
    for (int i = 0; i < 50; i++) {
        read_back(&v);
        prom_free(&p);
    }
    for (size_t i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    read_back(&v);
    assert_true(prom_get(&p, "realm_inter_token_seconds_count") == 400000);
    assert_true(prom_get(&p, "realm_requests_finished_total{finish=\"length\"}") == 400000);
    prom_free(&p);
}

/* The reader of these tests sees what is wrong. */
static void the_reader_is_strict(void **state)
{
#define A "# HELP a_total x\n# TYPE a_total counter\n"
#define H "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\n"
    static const char *const bad[] = {
        "",
        "a_total 1\n",
        A "a_total 1",
        A "a_total 1\n\n",
        A "a_total 1\na_total 1\n",
        A "a_total x\n",
        A "a_total  1\n",
        A "a_total -1\n",
        A "b_total 1\n",
        A "a_total{b=\"\\x\"} 1\n",
        A "a_total{b=\"1\",b=\"2\"} 1\n",
        A "a_total{b=\"1\"\n",
        A "a_total{1=\"1\"} 1\n",
        A A,
        A "# TYPE a_total counter\n",
        "# TYPE a_total counter\n",
        "# HELP a x\n# TYPE a counter\na 1\n",
        "# HELP a x\n# TYPE a thing\na 1\n",
        "# HELP a x\n",
        H,
        H "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        H "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 3\n",
        H "h_bucket{le=\"+Inf\"} 2\nh_count 2\n",
        H "h_bucket{le=\"0.5\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (prom_read(&p, bad[i], strlen(bad[i])))
            fail_msg("%s", bad[i]);
        prom_free(&p);
    }
    assert_true(prom_read(&p, H "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n",
                          strlen(H "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n")));
    prom_free(&p);
#undef A
#undef H
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reader_is_strict),
        cmocka_unit_test(nothing_yet_is_whole),
        cmocka_unit_test(requests_are_told_by_route),
        cmocka_unit_test(times_fall_into_their_buckets),
        cmocka_unit_test(jobs_are_told_apart),
        cmocka_unit_test(names_of_models_are_escaped),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
