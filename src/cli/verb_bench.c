#include "cli/cli.h"

#include "base/alloc.h"
#include "base/json.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/units.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define GEN_IN_BATCH 64u
#define MAX_REPS     1000u

/* The numbers of one option; 0 stands for none. */
typedef struct numbers {
    uint32_t *list; /* owned [n] */
    size_t n;
} numbers;

typedef struct bench {
    rl_cli *c;
    realm_model *m;
    uint32_t reps;
    numbers prompt, gen, batch;
    double samples[MAX_REPS];
    rl_json json; /* inside "results" */
    rl_table table;
} bench;

static void name_test(const realm_bench_options *o, char out[32])
{
    if (o->n_prompt)
        (void)snprintf(out, 32, "pp%" PRIu32, o->n_prompt);
    else if (o->batch)
        (void)snprintf(out, 32, "tg%" PRIu32 "x%" PRIu32, o->n_gen, o->batch);
    else
        (void)snprintf(out, 32, "tg%" PRIu32, o->n_gen);
}

static void report(bench *b, const char *test, const realm_bench_result *x)
{
    rl_json *j = &b->json;

    rl_json_object(j, NULL);
    rl_json_string(j, "test", test);
    rl_json_double(j, "tokens_per_second", x->tokens_per_second, 6);
    rl_json_double(j, "least", x->least, 6);
    rl_json_double(j, "most", x->most, 6);
    rl_json_array(j, "samples");
    for (uint32_t i = 0; i < b->reps; i++)
        rl_json_double(j, NULL, b->samples[i], 6);
    rl_json_end_array(j);
    rl_json_end_object(j);
    rl_table_add(&b->table, test);
    rl_table_addf(&b->table, "%.1f", x->tokens_per_second);
    rl_table_addf(&b->table, "%.1f", x->least);
    rl_table_addf(&b->table, "%.1f", x->most);
}

static int one(bench *b, realm_bench_options *o)
{
    realm_bench_result x;
    realm_error err;
    char test[32];

    o->reps = b->reps;
    o->samples = b->samples;
    name_test(o, test);
    rl_progress_label(test);
    if (realm_bench(b->m, o, &x, &err) != REALM_OK)
        return rl_cli_fail(&err);
    report(b, test, &x);
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

static int all_tests(bench *b)
{
    realm_bench_options prompt = { .n_prompt = 0 }, gen = { .n_gen = 0 };
    realm_bench_options batch = { .n_gen = GEN_IN_BATCH };
    int code = each(b, &b->prompt, &prompt, &prompt.n_prompt);

    if (code == 0)
        code = each(b, &b->gen, &gen, &gen.n_gen);
    if (code == 0)
        code = each(b, &b->batch, &batch, &batch.batch);
    return code;
}

/* cpu, threads, level and served of the library, as members of our object. */
static int kernels(bench *b, json_t **out)
{
    realm_error err;
    char *text;

    if (realm_kernels(b->c->r, &text, &err) != REALM_OK)
        return rl_cli_fail(&err);
    *out = json_loads(text, 0, NULL);
    realm_free(text);
    return 0;
}

static void json_whole(const bench *b, const json_t *k, const char *results, rl_buf *out)
{
    const realm_model_info *i = realm_model_get_info(b->m);
    char *served = json_dumps(json_object_get(k, "served"), JSON_COMPACT);
    rl_json j = rl_json_on(out);
    json_free_t give_back;

    rl_json_object(&j, NULL);
    rl_json_string(&j, "model", b->c->pos[0]);
    rl_json_string(&j, "sha256", i->sha256);
    rl_json_string(&j, "arch", i->arch);
    rl_json_string(&j, "cpu", json_string_value(json_object_get(k, "cpu")));
    rl_json_int(&j, "threads", json_integer_value(json_object_get(k, "threads")));
    rl_json_string(&j, "level", json_string_value(json_object_get(k, "level")));
    if (served)
        rl_json_raw(&j, "levels", served);
    rl_json_uint(&j, "weight_bytes", i->weight_bytes);
    rl_json_uint(&j, "weight_bytes_per_token", i->weight_bytes_per_token);
    rl_json_uint(&j, "repetitions", b->reps);
    rl_json_raw(&j, "results", results);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
    json_get_alloc_funcs(NULL, &give_back);
    give_back(served);
}

static void text_whole(const bench *b, const json_t *k, rl_buf *out)
{
    const realm_model_info *i = realm_model_get_info(b->m);
    json_int_t threads = json_integer_value(json_object_get(k, "threads"));
    char size[RL_UNITS_TEXT];

    (void)rl_buf_addf(
        out, "%s, %s, %" JSON_INTEGER_FORMAT " thread%s, kernels %s, %s read per token\n\n",
        b->c->pos[0], json_string_value(json_object_get(k, "cpu")), threads,
        threads == 1 ? "" : "s", json_string_value(json_object_get(k, "level")),
        rl_units_show_size(i->weight_bytes_per_token, size));
    if (b->table.n_cells > 4)
        rl_table_show(&b->table, "", out);
    else
        (void)rl_buf_adds(out, "every test was skipped\n");
}

static int measure(bench *b)
{
    bool json = rl_cli_has(b->c, "json");
    rl_buf results, out;
    json_t *k = NULL;
    int code;

    rl_buf_init(&results, (size_t)16 << 20);
    rl_buf_init(&out, (size_t)16 << 20);
    b->json = rl_json_on(&results);
    rl_table_init(&b->table, "lrrr");
    rl_table_add(&b->table, "TEST");
    rl_table_add(&b->table, "TOKENS/S");
    rl_table_add(&b->table, "LEAST");
    rl_table_add(&b->table, "MOST");
    rl_json_array(&b->json, NULL);
    code = all_tests(b);
    rl_json_end_array(&b->json);
    if (code == 0)
        code = kernels(b, &k);
    if (code == 0 && json)
        json_whole(b, k, results.data, &out);
    else if (code == 0)
        text_whole(b, k, &out);
    json_decref(k);
    rl_table_deinit(&b->table);
    rl_buf_deinit(&results);
    if (code == 0)
        return rl_cli_print(&out);
    rl_buf_deinit(&out);
    return code;
}

static bool read_numbers(const rl_cli *c, const char *opt, const char *fallback, numbers *v)
{
    const char *text = rl_cli_get(c, opt);

    return rl_cli_list(c, opt, text ? text : fallback, 1u << 20, &v->list, &v->n);
}

static int with_model(bench *b)
{
    realm_error err;
    int code = rl_cli_open(b->c, &(realm_options){ .no_prefix_cache = true });

    if (code)
        return code;
    if (realm_model_open(&b->m, b->c->r, b->c->pos[0], false, &err) != REALM_OK)
        return rl_cli_fail(&err);
    code = measure(b);
    realm_model_close(b->m);
    return code;
}

int rl_verb_bench(rl_cli *c)
{
    bench *b = rl_alloc(sizeof *b);
    uint64_t reps = 3;
    int code = RL_EXIT_USAGE;

    if (!b) {
        (void)fputs("realm: no memory to measure\n", stderr);
        return RL_EXIT_FAILED;
    }
    b->c = c;
    if (rl_cli_uint(c, "reps", 1, MAX_REPS, &reps) &&
        read_numbers(c, "prompt", "512", &b->prompt) && read_numbers(c, "gen", "128", &b->gen) &&
        read_numbers(c, "batch", "1,4,16,64", &b->batch)) {
        b->reps = (uint32_t)reps;
        code = with_model(b);
    }
    rl_free(b->prompt.list);
    rl_free(b->gen.list);
    rl_free(b->batch.list);
    rl_free(b);
    return code;
}
