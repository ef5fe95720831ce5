/* What `realm bench` has measured, and its three forms on stdout. One thread. */
#ifndef RL_CLI_BENCH_H
#define RL_CLI_BENCH_H

#include "base/buf.h"
#include "realm/realm.h"

#include <jansson.h>

typedef struct rl_bench_row {
    char test[48]; /* "pp512", "tg64x16@1024": what is timed, @ the depth of the context */
    uint32_t n_prompt, n_gen, batch, depth;
    realm_bench_result x;
    double *samples; /* owned [reps]: tokens per second */
} rl_bench_row;

typedef struct rl_bench_report {
    const char *model; /* as it was asked for */
    realm_model_info info;
    json_t *kernels; /* owned: cpu, threads, level, served */
    uint32_t reps;
    double temperature, top_p;
    bool profile;
    rl_bench_row *rows; /* owned [n] */
    size_t n;
} rl_bench_report;

void rl_bench_report_deinit(rl_bench_report *r);

/* A row that is all zero but for its samples; NULL without memory. */
rl_bench_row *rl_bench_report_add(rl_bench_report *r);

void rl_bench_text(const rl_bench_report *r, rl_buf *out);
void rl_bench_csv(const rl_bench_report *r, rl_buf *out);
void rl_bench_json(const rl_bench_report *r, rl_buf *out);

#endif
