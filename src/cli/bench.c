#include "cli/bench.h"

#include "base/alloc.h"
#include "base/json.h"
#include "cli/table.h"
#include "cli/units.h"

#include <inttypes.h>

void rl_bench_report_deinit(rl_bench_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        rl_free(r->rows[i].samples);
    rl_free(r->rows);
    json_decref(r->kernels);
    *r = (rl_bench_report){ 0 };
}

rl_bench_row *rl_bench_report_add(rl_bench_report *r)
{
    double *samples = rl_alloc_array(r->reps, sizeof *samples);
    rl_bench_row *rows = samples ? rl_realloc(r->rows, (r->n + 1) * sizeof *rows) : NULL;

    if (!rows) {
        rl_free(samples);
        return NULL;
    }
    r->rows = rows;
    rows[r->n] = (rl_bench_row){ .samples = samples };
    return &rows[r->n++];
}

static double all_regions(const rl_bench_row *row)
{
    double sum = 0;

    for (uint32_t i = 0; i < REALM_BENCH_REGIONS; i++)
        sum += row->x.regions[i];
    return sum;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void add_head(const rl_bench_report *r, rl_buf *out)
{
    json_int_t threads = json_integer_value(json_object_get(r->kernels, "threads"));
    char size[RL_UNITS_TEXT];

    (void)rl_buf_addf(
        out, "%s, %s, %" JSON_INTEGER_FORMAT " thread%s, kernels %s, %s read per token\n\n",
        r->model, json_string_value(json_object_get(r->kernels, "cpu")), threads,
        threads == 1 ? "" : "s", json_string_value(json_object_get(r->kernels, "level")),
        rl_units_show_size(r->info.weight_bytes_per_token, size));
}

static void add_rates(const rl_bench_report *r, rl_buf *out)
{
    rl_table t;

    rl_table_init(&t, "lrrr");
    rl_table_add(&t, "TEST");
    rl_table_add(&t, "TOKENS/S");
    rl_table_add(&t, "LEAST");
    rl_table_add(&t, "MOST");
    for (size_t i = 0; i < r->n; i++) {
        rl_table_add(&t, r->rows[i].test);
        rl_table_addf(&t, "%.1f", r->rows[i].x.tokens_per_second);
        rl_table_addf(&t, "%.1f", r->rows[i].x.least);
        rl_table_addf(&t, "%.1f", r->rows[i].x.most);
    }
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

static void add_profile(const rl_bench_report *r, rl_buf *out)
{
    rl_table t;

    rl_table_init(&t, "lrrrrrrrrrr");
    rl_table_add(&t, "% OF A STEP");
    for (uint32_t i = 0; i < REALM_BENCH_REGIONS; i++)
        rl_table_add(&t, realm_bench_region(i));
    for (size_t at = 0; at < r->n; at++) {
        double all = all_regions(&r->rows[at]);

        rl_table_add(&t, r->rows[at].test);
        for (uint32_t i = 0; i < REALM_BENCH_REGIONS; i++)
            rl_table_addf(&t, "%.1f", all > 0 ? 100 * r->rows[at].x.regions[i] / all : 0);
    }
    (void)rl_buf_adds(out, "\n");
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

void rl_bench_text(const rl_bench_report *r, rl_buf *out)
{
    add_head(r, out);
    if (r->n == 0) {
        (void)rl_buf_adds(out, "every test was skipped\n");
        return;
    }
    add_rates(r, out);
    if (r->profile)
        add_profile(r, out);
}

/* ---- CSV (RFC 4180, but for line ends of one byte) ------------------------------------------- */

static void add_quoted(rl_buf *out, const char *text)
{
    (void)rl_buf_adds(out, "\"");
    for (; *text; text++) {
        if (*text == '"')
            (void)rl_buf_adds(out, "\"");
        (void)rl_buf_add(out, text, 1);
    }
    (void)rl_buf_adds(out, "\"");
}

void rl_bench_csv(const rl_bench_report *r, rl_buf *out)
{
    (void)rl_buf_adds(out, "model,test,prompt,gen,batch,depth,tokens_per_second,least,most");
    for (uint32_t i = 0; r->profile && i < REALM_BENCH_REGIONS; i++)
        (void)rl_buf_addf(out, ",%s_seconds", realm_bench_region(i));
    (void)rl_buf_adds(out, "\n");
    for (size_t at = 0; at < r->n; at++) {
        const rl_bench_row *row = &r->rows[at];

        add_quoted(out, r->model);
        (void)rl_buf_addf(out, ",%s,%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32, row->test,
                          row->n_prompt, row->n_gen, row->batch, row->depth);
        (void)rl_buf_addf(out, ",%.3f,%.3f,%.3f", row->x.tokens_per_second, row->x.least,
                          row->x.most);
        for (uint32_t i = 0; r->profile && i < REALM_BENCH_REGIONS; i++)
            (void)rl_buf_addf(out, ",%.6f", row->x.regions[i]);
        (void)rl_buf_adds(out, "\n");
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void add_row(rl_json *j, const rl_bench_report *r, const rl_bench_row *row)
{
    rl_json_object(j, NULL);
    rl_json_string(j, "test", row->test);
    rl_json_uint(j, "n_prompt", row->n_prompt);
    rl_json_uint(j, "n_gen", row->n_gen);
    rl_json_uint(j, "batch", row->batch);
    rl_json_uint(j, "depth", row->depth);
    rl_json_double(j, "tokens_per_second", row->x.tokens_per_second, 6);
    rl_json_double(j, "least", row->x.least, 6);
    rl_json_double(j, "most", row->x.most, 6);
    rl_json_array(j, "samples");
    for (uint32_t i = 0; i < r->reps; i++)
        rl_json_double(j, NULL, row->samples[i], 6);
    rl_json_end_array(j);
    if (r->profile) {
        rl_json_object(j, "regions");
        for (uint32_t i = 0; i < REALM_BENCH_REGIONS; i++)
            rl_json_double(j, realm_bench_region(i), row->x.regions[i], 6);
        rl_json_end_object(j);
    }
    rl_json_end_object(j);
}

static void add_kernels(rl_json *j, const json_t *k)
{
    char *served = json_dumps(json_object_get(k, "served"), JSON_COMPACT);
    json_free_t give_back;

    rl_json_string(j, "cpu", json_string_value(json_object_get(k, "cpu")));
    rl_json_int(j, "threads", json_integer_value(json_object_get(k, "threads")));
    rl_json_string(j, "level", json_string_value(json_object_get(k, "level")));
    if (served)
        rl_json_raw(j, "levels", served);
    json_get_alloc_funcs(NULL, &give_back);
    give_back(served);
}

void rl_bench_json(const rl_bench_report *r, rl_buf *out)
{
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    rl_json_string(&j, "model", r->model);
    rl_json_string(&j, "sha256", r->info.sha256);
    rl_json_string(&j, "arch", r->info.arch);
    add_kernels(&j, r->kernels);
    rl_json_uint(&j, "weight_bytes", r->info.weight_bytes);
    rl_json_uint(&j, "weight_bytes_per_token", r->info.weight_bytes_per_token);
    rl_json_uint(&j, "repetitions", r->reps);
    rl_json_double(&j, "temperature", r->temperature, 6);
    rl_json_double(&j, "top_p", r->top_p, 6);
    rl_json_array(&j, "results");
    for (size_t i = 0; i < r->n; i++)
        add_row(&j, r, &r->rows[i]);
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}
