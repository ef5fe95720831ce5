/* Gate (c), second part: the quantised path against Realm's own F32 reference path, teacher-forced
 * over 2,048 positions of a fixed text (4 chunks of 512 tokens, the first one of a chunk BOS where
 * the model adds it). Yardstick: llama.cpp's distance from the truth on the same positions,
 * recorded by bench/accuracy/llama_kl.py in vectors/kl-MODEL.json. mean KL <= 1.05 x the yardstick;
 * top-1 agreement >= the yardstick's - 0.5 points; |ln(PPL / PPL of the reference)| <= 0.005 */
#include "models.h"
#include "run.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "model/model.h"
#include "token/token.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNKS 4u
#define WIDTH  512u
#define ROWS   64u /* positions whose logits are held at a time */

static const char *model_name, *packed_path, *text_path;

typedef struct side {
    rl_model *model;
    rl_forward *forward;
    rl_kv_pool *pool;
    rl_kv_seq kv;
    float *logits; /* [ROWS][n_vocab] */
} side;

typedef struct sums {
    double kl, nll, nll_reference;
    uint32_t positions, same_top, targets;
} sums;

static void open_side(side *s, rl_work *work, rl_kv_budget *budget, bool reference)
{
    rl_model_opts opts = { .reference = reference };
    rl_kv_layout layout;
    realm_error err = { 0 };

    if (rl_model_open(&s->model, packed_path, &opts, &err) != REALM_OK)
        fail_msg("%s", err.text);
    layout = rl_model_kv_layout(s->model, reference ? RL_KV_F32 : RL_KV_BF16);
    assert_int_equal(rl_kv_pool_new(&s->pool, budget, &layout, &err), REALM_OK);
    assert_int_equal(rl_forward_new(&s->forward, work, ROWS, &err), REALM_OK);
    s->logits = rl_alloc_array((size_t)ROWS * rl_model_get_info(s->model)->n_vocab, sizeof(float));
    assert_non_null(s->logits);
}

static void close_side(side *s)
{
    rl_free(s->logits);
    rl_forward_free(s->forward);
    rl_kv_pool_free(s->pool);
    rl_model_close(s->model);
}

static void forward_rows(side *s, const uint32_t *ids, uint32_t pos)
{
    rl_span span = {
        .kv = &s->kv, .pos = pos, .n = ROWS, .ids = ids + pos, .n_logits = ROWS, .logits = s->logits
    };
    realm_error err = { 0 };

    assert_int_equal(rl_kv_reserve(&s->kv, pos, ROWS, &err), REALM_OK);
    assert_int_equal(rl_forward_run(s->forward, s->model, &span, 1, &err), REALM_OK);
}

static double log_sum_exp(const float *x, uint32_t n, uint32_t *best)
{
    double sum = 0;

    *best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[*best])
            *best = i;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)x[*best]);
    return (double)x[*best] + log(sum);
}

static void add_position(sums *t, const float *truth, const float *mine, uint32_t n_vocab,
                         const uint32_t *target)
{
    uint32_t best_t, best_m;
    double zt = log_sum_exp(truth, n_vocab, &best_t), zm = log_sum_exp(mine, n_vocab, &best_m);
    double kl = 0;

    for (uint32_t i = 0; i < n_vocab; i++) {
        double lt = (double)truth[i] - zt;

        kl += exp(lt) * (lt - ((double)mine[i] - zm));
    }
    t->kl += kl;
    t->same_top += best_t == best_m;
    t->positions++;
    if (!target)
        return;
    t->nll += zm - (double)mine[*target];
    t->nll_reference += zt - (double)truth[*target];
    t->targets++;
}

static void run_chunk(side *reference, side *quantised, const uint32_t *ids, sums *t)
{
    uint32_t n_vocab = rl_model_get_info(reference->model)->n_vocab;

    rl_kv_seq_init(&reference->kv, reference->pool);
    rl_kv_seq_init(&quantised->kv, quantised->pool);
    for (uint32_t pos = 0; pos < WIDTH; pos += ROWS) {
        forward_rows(reference, ids, pos);
        forward_rows(quantised, ids, pos);
        for (uint32_t i = 0; i < ROWS; i++)
            add_position(t, reference->logits + (size_t)i * n_vocab,
                         quantised->logits + (size_t)i * n_vocab, n_vocab,
                         pos + i + 1 < WIDTH ? &ids[pos + i + 1] : NULL);
    }
    rl_kv_seq_deinit(&reference->kv);
    rl_kv_seq_deinit(&quantised->kv);
}

static json_t *read_yardstick(void)
{
    char path[1024];
    json_error_t why;
    json_t *root;

    (void)snprintf(path, sizeof path, "%s/tests/golden/vectors/kl-%s.json", REALM_SOURCE_DIR,
                   model_name);
    root = json_load_file(path, 0, &why);
    if (!root)
        fail_msg("%s: %s", path, why.text);
    return root;
}

/* The ids of the text, cut into chunks; the text and the model are those of the yardstick. */
static uint32_t *read_ids(const rl_model *model, const json_t *yardstick)
{
    rl_vocab *vocab = NULL;
    rl_buf text;
    realm_error err = { 0 };
    uint32_t *ids = NULL;
    size_t n;
    char hex[RL_SHA256_HEX];

    rl_buf_init(&text, 1u << 20);
    if (rl_fs_read(text_path, &text, &err) != REALM_OK)
        fail_msg("%s", err.text);
    rl_sha256(text.data, text.len, hex);
    assert_string_equal(hex, json_string_value(json_object_get(yardstick, "text_sha256")));
    assert_string_equal(rl_model_get_info(model)->sha256,
                        json_string_value(json_object_get(yardstick, "model_sha256")));
    assert_int_equal(rl_vocab_open(&vocab, rl_model_gguf(model), &err), REALM_OK);
    assert_int_equal(rl_encode(vocab, text.data, text.len, 0, &ids, &n, &err), REALM_OK);
    assert_true(n >= CHUNKS * WIDTH);
    for (uint32_t c = 0; c < CHUNKS && rl_vocab_get_info(vocab)->add_bos; c++)
        ids[c * WIDTH] = rl_vocab_get_info(vocab)->bos;
    rl_vocab_close(vocab);
    rl_buf_deinit(&text);
    return ids;
}

/* The packed model, made from the catalogue's file; the digest is checked. */
static void pack_model(const json_t *yardstick)
{
    char path[1024], file[160];

    (void)snprintf(file, sizeof file, "%s.gguf", model_name);
    model_path(path, sizeof path, file);
    golden_pack(path, packed_path, json_string_value(json_object_get(yardstick, "model_sha256")));
}

static void quantised_path_is_as_near_as_the_yardstick(void **state)
{
    rl_work *work = rl_work_new(2);
    rl_kv_budget *budget = rl_kv_budget_new((size_t)1 << 30);
    side reference = { 0 }, quantised = { 0 };
    json_t *yardstick = read_yardstick();
    sums t = { 0 };
    uint32_t *ids;
    double kl, top, drift, kl_bar, top_bar;

    (void)state;
    pack_model(yardstick);
    open_side(&reference, work, budget, true);
    open_side(&quantised, work, budget, false);
    ids = read_ids(reference.model, yardstick);
    for (uint32_t c = 0; c < CHUNKS; c++)
        run_chunk(&reference, &quantised, ids + c * WIDTH, &t);
    kl = t.kl / t.positions;
    top = (double)t.same_top / t.positions;
    drift = fabs(t.nll - t.nll_reference) / t.targets;
    kl_bar = 1.05 * json_real_value(json_object_get(yardstick, "mean_kl"));
    top_bar = json_real_value(json_object_get(yardstick, "top1_agreement")) - 0.005;
    print_message("%s, %u positions: mean KL %.6f (bar %.6f), top-1 %.4f (bar %.4f), "
                  "|ln PPL ratio| %.5f (bar 0.005), ln PPL %.5f, reference %.5f\n",
                  model_name, t.positions, kl, kl_bar, top, top_bar, drift, t.nll / t.targets,
                  t.nll_reference / t.targets);
    assert_int_equal(t.positions, 2048);
    assert_true(kl >= 0 && kl <= kl_bar);
    assert_true(top >= top_bar);
    assert_true(drift <= 0.005);
    rl_free(ids);
    close_side(&reference);
    close_side(&quantised);
    rl_kv_budget_free(budget);
    rl_work_free(work);
    (void)unlink(packed_path);
    json_decref(yardstick);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantised_path_is_as_near_as_the_yardstick),
    };

    if (argc != 4) {
        (void)fprintf(stderr, "usage: %s MODEL PACKED TEXT\n", argv[0]);
        return 2;
    }
    model_name = argv[1];
    packed_path = argv[2];
    text_path = argv[3];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
