#include "run.h"

#include "base/alloc.h"
#include "base/work.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

void golden_pack(const char *gguf, const char *packed, const char *sha256)
{
    rl_gguf *g = NULL;
    realm_error err = { 0 };
    rl_packed fresh;

    must(rl_gguf_open(&g, gguf, &err), &err);
    must(rl_model_check(g, &err), &err);
    must(rl_model_pack(&fresh, g, packed, NULL, NULL, &err), &err);
    if (sha256)
        assert_string_equal(fresh.sha256, sha256);
    must(rl_packed_keep(&fresh, packed, &err), &err);
    rl_gguf_close(g);
}

void golden_open(golden_run *r, const char *packed, bool reference, rl_kv_type kv,
                 uint32_t n_threads, uint32_t max_rows)
{
    rl_model_opts opts = { .reference = reference };
    realm_error err = { 0 };
    rl_kv_layout layout;

    *r = (golden_run){ 0 };
    must(rl_model_open(&r->model, packed, &opts, &err), &err);
    layout = rl_model_kv_layout(r->model, kv);
    r->work = rl_work_new(n_threads);
    r->budget = rl_kv_budget_new((size_t)256 << 20);
    assert_non_null(r->work);
    assert_non_null(r->budget);
    must(rl_kv_pool_new(&r->pool, r->budget, &layout, &err), &err);
    must(rl_forward_new(&r->forward, r->work, max_rows, &err), &err);
    rl_kv_seq_init(&r->kv, r->pool);
}

void golden_close(golden_run *r)
{
    rl_kv_seq_deinit(&r->kv);
    rl_forward_free(r->forward);
    rl_kv_pool_free(r->pool);
    rl_kv_budget_free(r->budget);
    rl_work_free(r->work);
    rl_model_close(r->model);
}

void golden_logits(golden_run *r, const uint32_t *ids, uint32_t n, uint32_t chunk,
                   uint32_t n_logits, float *out)
{
    uint32_t n_vocab = rl_model_get_info(r->model)->n_vocab, first = n - n_logits;
    realm_error err = { 0 };

    chunk = chunk ? chunk : n;
    rl_kv_truncate(&r->kv, 0);
    for (uint32_t pos = 0; pos < n; pos += chunk) {
        uint32_t end = pos + chunk < n ? pos + chunk : n, from = pos > first ? pos : first;
        rl_span span = { .kv = &r->kv, .pos = pos, .n = end - pos, .ids = ids + pos };

        if (end > first) {
            span.n_logits = end - from;
            span.logits = out + (size_t)(from - first) * n_vocab;
        }
        must(rl_kv_reserve(&r->kv, pos, span.n, &err), &err);
        must(rl_forward_run(r->forward, r->model, &span, 1, &err), &err);
    }
}

const rl_kernels *golden_next_level(const rl_kernels *now)
{
    int most = (int)rl_kernels_get()->level;

    for (int i = now ? (int)now->level + 1 : RL_LEVEL_REF; i <= most; i++) {
        const rl_kernels *kn = rl_kernels_of((rl_level)i);

        if (kn)
            return kn;
    }
    return NULL;
}

json_t *golden_json(const char *path)
{
    json_error_t why;
    json_t *root = json_load_file(path, 0, &why);

    if (!root)
        fail_msg("%s: %s", path, why.text);
    return root;
}

uint32_t golden_ids(const json_t *array, uint32_t *out, uint32_t cap)
{
    size_t n = json_array_size(array);

    assert_true(n > 0 && n <= cap);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint32_t)json_integer_value(json_array_get(array, i));
    return (uint32_t)n;
}

double golden_log_sum_exp(const float *x, uint32_t n)
{
    double most = (double)x[0], sum = 0;

    for (uint32_t i = 1; i < n; i++)
        most = (double)x[i] > most ? (double)x[i] : most;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum);
}
