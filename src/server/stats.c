/* Stats: what the rooms below count, gathered for who asks. */
#include "server/internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"

#include <time.h>

static void get_engine(const rl_server *s, rl_engine_stats *out)
{
    const rl_engine *e = rl_runtime_engine(s->o.runtime);

    *out = (rl_engine_stats){ .work_ns = 0 };
    if (e)
        rl_engine_get_stats(e, out);
}

void rl_server_get_status(const rl_server *s, rl_server_status *out)
{
    rl_engine_stats engine;
    rl_http_counts http;

    get_engine(s, &engine);
    rl_http_count(s->http, &http);
    *out = (rl_server_status){ .running = engine.jobs_running,
                               .waiting = engine.jobs_waiting,
                               .answers = atomic_load(&s->n_answers),
                               .requests = http.requests,
                               .prompt_tokens = engine.prompt_tokens,
                               .generated_tokens = engine.generated_tokens };
}

rl_admission_load rl_server_load(const rl_server *s)
{
    rl_engine_stats engine;

    get_engine(s, &engine);
    return (rl_admission_load){ .busy_ns = engine.busy_ns,
                                .jobs = engine.jobs_running + engine.jobs_waiting };
}

static double unix_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void gather(rl_server *s, rl_metrics_values *v)
{
    uint64_t now = rl_clock_ns();
    const char *why;

    get_engine(s, &v->engine);
    rl_runtime_get_stats(s->o.runtime, &v->guests);
    rl_http_count(s->http, &v->http);
    rl_log_count(&v->log);
    v->cost_s = (double)rl_admission_cost(&s->admission) / 1e9;
    v->answers = atomic_load(&s->n_answers);
    v->ready = rl_health_at(s, now, &why);
    if (v->engine.work_ns && now > v->engine.work_ns)
        v->stalled_s = (double)(now - v->engine.work_ns) / 1e9;
    v->now_s = unix_now();
    v->start_s = s->start_s;
    v->cpu_ns = rl_clock_process_cpu_ns();
    v->rss = rl_fs_resident();
}

/* Without the registry the models' lines are missing; the others are not. */
void rl_metrics_write(rl_server *s, rl_buf *out)
{
    rl_metrics_values v = { .n_models = 0 };
    rl_server_model *models = NULL;
    size_t n = 0;

    gather(s, &v);
    if (rl_server_models(s, s->store, &models, &n, NULL) == REALM_OK) {
        v.models = models;
        v.n_models = n;
    }
    rl_metrics_put(&s->metrics, &v, out);
    rl_free(models);
}
