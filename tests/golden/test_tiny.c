/* Gate (b): a tiny F32 model against logits of an independent implementation, at every kernel
 * level: the same top ten in the same order, near in value. The levels must agree to the bit.
 * usage: MODEL.gguf VECTOR.json TOLERANCE */
#include "run.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_IDS 64u
#define TOP     10u

static const char *gguf_path, *vector_path;
static double tolerance;

typedef struct sums {
    double squares, worst_lse;
    uint32_t n;
} sums;

static bool comes_before(const float *logits, uint32_t a, uint32_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

/* Every id of the list comes before the next one, and before all ids that are not in the list. */
static void check_order(const float *logits, uint32_t n_vocab, const uint32_t top[TOP])
{
    uint32_t before = 0;

    for (uint32_t i = 0; i + 1 < TOP; i++)
        assert_true(comes_before(logits, top[i], top[i + 1]));
    for (uint32_t id = 0; id < n_vocab; id++)
        before += comes_before(logits, id, top[TOP - 1]);
    assert_int_equal(before, TOP - 1);
}

static void compare_prompt(const json_t *truth, const float *logits, uint32_t n_vocab, sums *t)
{
    const json_t *list = json_object_get(truth, "top10");
    double lse = json_number_value(json_object_get(truth, "logsumexp"));
    double d = fabs(golden_log_sum_exp(logits, n_vocab) - lse);
    uint32_t top[TOP];

    assert_int_equal(json_array_size(list), TOP);
    for (uint32_t i = 0; i < TOP; i++) {
        const json_t *pair = json_array_get(list, i);
        double value = json_number_value(json_array_get(pair, 1)), diff;

        top[i] = (uint32_t)json_integer_value(json_array_get(pair, 0));
        assert_true(top[i] < n_vocab);
        diff = (double)logits[top[i]] - value;
        t->squares += diff * diff;
        t->n++;
    }
    t->worst_lse = d > t->worst_lse ? d : t->worst_lse;
    check_order(logits, n_vocab, top);
}

static void check_level(golden_run *r, const json_t *prompts, float *logits, float *lowest)
{
    uint32_t n_vocab = rl_model_get_info(r->model)->n_vocab, ids[MAX_IDS];
    sums t = { 0 };
    double rms;

    for (size_t i = 0; i < json_array_size(prompts); i++) {
        const json_t *truth = json_array_get(prompts, i);
        uint32_t n = golden_ids(json_object_get(truth, "ids"), ids, MAX_IDS);
        float *kept = lowest + i * n_vocab;

        golden_logits(r, ids, n, 0, 1, logits);
        compare_prompt(truth, logits, n_vocab, &t);
        if (r->model->kn->level == RL_LEVEL_REF)
            memcpy(kept, logits, n_vocab * sizeof *logits);
        assert_memory_equal(kept, logits, n_vocab * sizeof *logits);
    }
    rms = sqrt(t.squares / t.n);
    print_message("%s: rms %.2e (bar %.0e) over %u logits, logsumexp off by at most %.1e\n",
                  rl_level_name(r->model->kn->level), rms, tolerance, t.n, t.worst_lse);
    assert_true(rms <= tolerance);
    assert_true(t.worst_lse <= 2 * tolerance);
}

static void top_ten_agree(void **state)
{
    json_t *root = golden_json(vector_path);
    const json_t *prompts = json_object_get(root, "logits");
    uint32_t n_vocab = (uint32_t)json_integer_value(json_object_get(root, "n_vocab"));
    char packed[1024];
    golden_run r;
    float *logits = rl_alloc_array(n_vocab, sizeof *logits);
    float *lowest = rl_alloc_array(n_vocab * json_array_size(prompts), sizeof *lowest);

    (void)state;
    assert_int_equal(json_array_size(prompts), 5);
    (void)snprintf(packed, sizeof packed, "%s.realm", gguf_path);
    golden_pack(gguf_path, packed, NULL);
    golden_open(&r, packed, false, RL_KV_F32, 2, 64);
    assert_int_equal(unlink(packed), 0);
    assert_int_equal(rl_model_get_info(r.model)->n_vocab, n_vocab);
    for (const rl_kernels *kn = NULL; (kn = golden_next_level(kn));) {
        r.model->kn = kn;
        check_level(&r, prompts, logits, lowest);
    }
    golden_close(&r);
    rl_free(logits);
    rl_free(lowest);
    json_decref(root);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(top_ten_agree) };

    if (argc != 4) {
        (void)fprintf(stderr, "usage: %s MODEL.gguf VECTOR.json TOLERANCE\n", argv[0]);
        return 2;
    }
    gguf_path = argv[1];
    vector_path = argv[2];
    tolerance = strtod(argv[3], NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
