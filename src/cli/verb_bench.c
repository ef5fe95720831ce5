#include "cli/cli.h"

#include "base/alloc.h"
#include "cli/bench.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>

#define GEN_IN_BATCH 64u
#define MAX_REPS     1000u
#define OUT_MAX      ((size_t)16 << 20)

/* The numbers of one option; 0 stands for none. */
typedef struct numbers {
    uint32_t *list; /* owned [n] */
    size_t n;
} numbers;

typedef struct bench {
    rl_cli *c;
    realm_model *m;
    numbers prompt, gen, batch, depth;
    rl_bench_report report;
} bench;

static void name_test(const realm_bench_options *o, char *out, size_t cap)
{
    char batch[16] = "", depth[16] = "";

    if (o->batch)
        (void)snprintf(batch, sizeof batch, "x%" PRIu32, o->batch);
    if (o->depth)
        (void)snprintf(depth, sizeof depth, "@%" PRIu32, o->depth);
    (void)snprintf(out, cap, "%s%" PRIu32 "%s%s", o->n_prompt ? "pp" : "tg",
                   o->n_prompt ? o->n_prompt : o->n_gen, batch, depth);
}

static int one(bench *b, const realm_bench_options *opts)
{
    rl_bench_row *row = rl_bench_report_add(&b->report);
    realm_bench_options o = *opts;
    realm_error err;

    if (!row)
        return rl_cli_fail(&(realm_error){ REALM_ENOMEM, "no memory to measure" });
    row->n_prompt = o.n_prompt;
    row->n_gen = o.n_gen;
    row->batch = o.batch;
    row->depth = o.depth;
    name_test(&o, row->test, sizeof row->test);
    rl_progress_label(row->test);
    o.reps = b->report.reps;
    o.samples = row->samples;
    o.temperature = (float)b->report.temperature;
    o.top_p = (float)b->report.top_p;
    o.profile = b->report.profile;
    if (realm_bench(b->m, &o, &row->x, &err) != REALM_OK)
        return rl_cli_fail(&err);
    return 0;
}

/* One kind of test, `field` of o being each of the numbers. */
static int each(bench *b, const numbers *v, realm_bench_options *o, uint32_t *field)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < v->n; i++) {
        *field = v->list[i];
        if (*field)
            code = one(b, o);
    }
    return code;
}

static int at_depth(bench *b, uint32_t depth)
{
    realm_bench_options prompt = { .depth = depth }, gen = { .depth = depth };
    realm_bench_options batch = { .n_gen = GEN_IN_BATCH, .depth = depth };
    int code = each(b, &b->prompt, &prompt, &prompt.n_prompt);

    if (code == 0)
        code = each(b, &b->gen, &gen, &gen.n_gen);
    if (code == 0)
        code = each(b, &b->batch, &batch, &batch.batch);
    return code;
}

/* cpu, threads, level and served of the library. */
static int kernels(bench *b)
{
    realm_error err;
    char *text;

    if (realm_kernels(b->c->r, &text, &err) != REALM_OK)
        return rl_cli_fail(&err);
    b->report.kernels = json_loads(text, 0, NULL);
    realm_free(text);
    return 0;
}

static int measure(bench *b)
{
    int code = 0;
    rl_buf out;

    b->report.model = b->c->pos[0];
    b->report.info = *realm_model_get_info(b->m);
    for (size_t i = 0; code == 0 && i < b->depth.n; i++)
        code = at_depth(b, b->depth.list[i]);
    if (code == 0)
        code = kernels(b);
    if (code)
        return code;
    rl_buf_init(&out, OUT_MAX);
    if (rl_cli_has(b->c, "json"))
        rl_bench_json(&b->report, &out);
    else if (rl_cli_has(b->c, "csv"))
        rl_bench_csv(&b->report, &out);
    else
        rl_bench_text(&b->report, &out);
    return rl_cli_print(&out);
}

static int with_model(bench *b)
{
    realm_error err;
    int code =
        rl_cli_open(b->c, &(realm_options){ .no_prefix_cache = true, .no_speculation = true });

    if (code)
        return code;
    if (realm_model_open(&b->m, b->c->r, b->c->pos[0], false, &err) != REALM_OK)
        return rl_cli_fail(&err);
    code = measure(b);
    realm_model_close(b->m);
    return code;
}

static bool read_numbers(const rl_cli *c, const char *opt, const char *fallback, numbers *v)
{
    const char *text = rl_cli_get(c, opt);

    return rl_cli_list(c, opt, text ? text : fallback, 1u << 20, &v->list, &v->n);
}

static bool read_options(bench *b)
{
    uint64_t reps = 3;

    b->report.profile = rl_cli_has(b->c, "profile");
    if (!rl_cli_uint(b->c, "reps", 1, MAX_REPS, &reps) ||
        !rl_cli_float(b->c, "temp", 0, 100, &b->report.temperature) ||
        !rl_cli_float(b->c, "top-p", 0, 1, &b->report.top_p))
        return false;
    b->report.reps = (uint32_t)reps;
    return read_numbers(b->c, "prompt", "512", &b->prompt) &&
           read_numbers(b->c, "gen", "128", &b->gen) &&
           read_numbers(b->c, "batch", "1,4,16,64", &b->batch) &&
           read_numbers(b->c, "depth", "0", &b->depth);
}

int rl_verb_bench(rl_cli *c)
{
    bench b = { .c = c };
    int code = RL_EXIT_USAGE;

    if (rl_cli_has(c, "json") && rl_cli_has(c, "csv"))
        return rl_cli_usage(c->verb, "--json or --csv, not both");
    if (read_options(&b))
        code = with_model(&b);

    rl_free(b.prompt.list);
    rl_free(b.gen.list);
    rl_free(b.batch.list);
    rl_free(b.depth.list);
    rl_bench_report_deinit(&b.report);
    return code;
}
