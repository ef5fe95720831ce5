/* Metrics: what the server counts, as Prometheus reads it (text format 0.0.4). All of them are rows
 * of metrics.def.
 *
 * 1. Counting is a few atomic additions, any thread, no lock. What other rooms count is read when
 *    it is asked for.
 * 2. Labels come from tables of ours, except for names of models, which are escaped. */
#ifndef RL_SERVER_METRICS_H
#define RL_SERVER_METRICS_H

#include "base/buf.h"
#include "base/log.h"
#include "guest/guest.h"
#include "http/http.h"
#include "server/models.h"

#include <stdatomic.h>

#define RL_METRICS_ROUTES  64u
#define RL_METRICS_CLASSES 6u  /* none, 1xx .. 5xx */
#define RL_METRICS_BUCKETS 16u /* of a histogram, +Inf included */
#define RL_METRICS_TYPE    "text/plain; version=0.0.4; charset=utf-8"

typedef enum rl_metrics_hist {
#define HISTOGRAM(id, name, help, ...) RL_HIST_##id,
#include "server/metrics.def"
    RL_N_HISTS,
} rl_metrics_hist;

typedef enum rl_metrics_counter {
#define COUNT(id, name, label, words, help) RL_COUNT_##id,
#include "server/metrics.def"
    RL_N_COUNTS,
} rl_metrics_counter;

/* The words of RL_COUNT_finishes. */
typedef enum rl_finished {
    RL_FINISHED_STOP,
    RL_FINISHED_LENGTH,
    RL_FINISHED_TOOLS,
    RL_FINISHED_FILTERED,
    RL_FINISHED_REFUSED, /* by the program: it set a failure's status */
    RL_FINISHED_CANCELLED,
    RL_FINISHED_FAILED,
    RL_N_FINISHED,
} rl_finished;

typedef struct rl_metrics {
    _Atomic uint64_t requests[RL_METRICS_ROUTES + 1][RL_METRICS_CLASSES]; /* last: no route */
    _Atomic uint64_t counts[RL_N_COUNTS][RL_N_FINISHED];
    struct {
        _Atomic uint64_t n[RL_METRICS_BUCKETS], sum_ns;
    } hists[RL_N_HISTS];
} rl_metrics; /* zeroed is ready */

/* What is read for one answer. */
typedef struct rl_metrics_values {
    rl_engine_stats engine;
    rl_runtime_stats guests;
    rl_http_counts http;
    rl_log_counts log;
    uint32_t answers;
    bool ready;
    double stalled_s, start_s, now_s, cost_s;
    uint64_t cpu_ns, rss;
    const rl_server_model *models; /* [n_models] */
    size_t n_models;
} rl_metrics_values;

double rl_metrics_kv_ratio(const rl_metrics_values *v);

/* route: its index in rl_routes, -1: none. */
void rl_metrics_request(rl_metrics *m, int route, int status);
void rl_metrics_count(rl_metrics *m, rl_metrics_counter which, uint32_t word);
void rl_metrics_observe(rl_metrics *m, rl_metrics_hist which, uint64_t ns);

/* Appends all of it. Failures show in out->failed. */
void rl_metrics_put(const rl_metrics *m, const rl_metrics_values *v, rl_buf *out);

/* ---- one completion's times: one thread at a time ---- */

typedef struct rl_timing {
    uint64_t begin_ns, first_ns, last_ns; /* 0: not yet */
} rl_timing;

void rl_timing_begin(rl_timing *t, uint64_t now_ns);
/* A piece of its reply is there. */
void rl_timing_piece(rl_timing *t, rl_metrics *m, uint64_t now_ns);

#endif
