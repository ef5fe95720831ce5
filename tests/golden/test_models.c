/* Gate (c), first part: a real quantised model, with the KV type a user gets, at every kernel level
 * of the machine, against the truth (the same weights dequantised, F32 throughout):
 * log-probabilities of the ids in both top tens, top-1, and no first greedy difference where the
 * truth's margin is clear. And decision 3 on real weights: levels, threads, chunks and batches give
 * the same bits. usage: MODEL PACKED-FILE-TO-MAKE */
#include "models.h"
#include "run.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define MAX_IDS    160u
#define TOP        10u
#define GREEDY     64u
#define RMS_BAR    0.15
#define MARGIN_BAR 0.3

static const char *model_name, *packed_path;

typedef struct fixture {
    json_t *truth;
    uint32_t n_vocab;
    float *logits; /* [GREEDY][n_vocab] */
    float *lowest; /* [prompts][n_vocab]: of the lowest level */
} fixture;

static int setup(void **state)
{
    static fixture f;
    char path[1024];

    model_path(path, sizeof path, "");
    (void)snprintf(path + strlen(path), sizeof path - strlen(path), "%s.gguf", model_name);
    f.truth = NULL;
    {
        char vector[1024];

        (void)snprintf(vector, sizeof vector, "%s/tests/golden/vectors/f32-%s.json",
                       REALM_SOURCE_DIR, model_name);
        f.truth = golden_json(vector);
    }
    f.n_vocab = (uint32_t)json_integer_value(json_object_get(f.truth, "n_vocab"));
    f.logits = rl_alloc_array((size_t)GREEDY * f.n_vocab, sizeof *f.logits);
    f.lowest = rl_alloc_array((size_t)5 * f.n_vocab, sizeof *f.lowest);
    assert_true(f.logits && f.lowest);
    golden_pack(path, packed_path, json_string_value(json_object_get(f.truth, "source_sha256")));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    (void)unlink(packed_path);
    rl_free(f->logits);
    rl_free(f->lowest);
    json_decref(f->truth);
    return 0;
}

/* The ids of the ten largest logits, ties to the lower id. */
static void top_ten(const float *logits, uint32_t n_vocab, uint32_t top[TOP])
{
    uint32_t n = 0;

    for (uint32_t id = 0; id < n_vocab; id++) {
        uint32_t at = n < TOP ? n++ : TOP - 1;

        if (at == TOP - 1 && n == TOP && logits[id] <= logits[top[TOP - 1]] && id >= TOP)
            continue;
        for (; at > 0 && logits[id] > logits[top[at - 1]]; at--)
            top[at] = top[at - 1];
        top[at] = id;
    }
}

typedef struct sums {
    double squares;
    uint32_t n, top1;
} sums;

static void compare_prompt(const json_t *truth, const float *logits, uint32_t n_vocab, sums *t)
{
    const json_t *list = json_object_get(truth, "top10");
    double lse = json_number_value(json_object_get(truth, "logsumexp"));
    double mine = golden_log_sum_exp(logits, n_vocab);
    uint32_t top[TOP];

    top_ten(logits, n_vocab, top);
    for (uint32_t i = 0; i < TOP; i++) {
        const json_t *pair = json_array_get(list, i);
        uint32_t id = (uint32_t)json_integer_value(json_array_get(pair, 0));
        double value = json_number_value(json_array_get(pair, 1)), d;

        t->top1 += i == 0 && id == top[0];
        for (uint32_t j = 0; j < TOP; j++) {
            if (top[j] != id)
                continue;
            d = (value - lse) - ((double)logits[id] - mine);
            t->squares += d * d;
            t->n++;
        }
    }
}

static void check_prompts(fixture *f, golden_run *r)
{
    const json_t *prompts = json_object_get(f->truth, "logits");
    uint32_t ids[MAX_IDS];
    sums t = { 0 };
    double rms;

    assert_int_equal(json_array_size(prompts), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *truth = json_array_get(prompts, i);
        uint32_t n = golden_ids(json_object_get(truth, "ids"), ids, MAX_IDS);
        float *kept = f->lowest + i * f->n_vocab;

        golden_logits(r, ids, n, 0, 1, f->logits);
        compare_prompt(truth, f->logits, f->n_vocab, &t);
        if (r->model->kn->level == RL_LEVEL_REF)
            memcpy(kept, f->logits, f->n_vocab * sizeof *kept);
        assert_memory_equal(kept, f->logits, f->n_vocab * sizeof *kept);
    }
    rms = sqrt(t.squares / t.n);
    print_message("%s at %s: top-1 %u of 5, log-probability rms %.4f over %u (bar %.2f)\n",
                  model_name, rl_level_name(r->model->kn->level), t.top1, rms, t.n, RMS_BAR);
    assert_int_equal(t.top1, 5);
    assert_true(rms <= RMS_BAR);
}

/* Teacher-forced: up to the first difference our greedy text is the truth's, and chunks do not
 * change bits, so one pass over prompt and truth finds that place. -> step, or GREEDY */
static uint32_t first_difference(fixture *f, golden_run *r, const json_t *truth, double *margin)
{
    uint32_t ids[MAX_IDS], out[GREEDY];
    uint32_t n = golden_ids(json_object_get(truth, "ids"), ids, MAX_IDS - GREEDY);

    assert_int_equal(golden_ids(json_object_get(truth, "out"), out, GREEDY), GREEDY);
    memcpy(ids + n, out, (GREEDY - 1) * sizeof *ids);
    golden_logits(r, ids, n + GREEDY - 1, 0, GREEDY, f->logits);
    for (uint32_t i = 0; i < GREEDY; i++) {
        if (r->model->kn->argmax(f->logits + (size_t)i * f->n_vocab, f->n_vocab) == out[i])
            continue;
        *margin = json_number_value(json_array_get(json_object_get(truth, "margin"), i));
        return i;
    }
    return GREEDY;
}

static void check_greedy(fixture *f, golden_run *r)
{
    const json_t *prompts = json_object_get(f->truth, "greedy");
    uint32_t equal = 0;
    double worst = 0;

    assert_int_equal(json_array_size(prompts), 10);
    for (size_t i = 0; i < 10; i++) {
        double margin = 0;

        equal += first_difference(f, r, json_array_get(prompts, i), &margin) == GREEDY;
        worst = margin > worst ? margin : worst;
    }
    print_message("%s at %s: %u of 10 greedy texts equal; first differences at margins up to %.3f "
                  "(bar %.1f)\n",
                  model_name, rl_level_name(r->model->kn->level), equal, worst, MARGIN_BAR);
    assert_true(worst <= MARGIN_BAR);
}

static void near_the_truth_at_every_level(void **state)
{
    fixture *f = *state;
    golden_run r;

    golden_open(&r, packed_path, false, RL_KV_BF16, 2, 256);
    for (const rl_kernels *kn = NULL; (kn = golden_next_level(kn));) {
        uint64_t start = rl_clock_ns();

        r.model->kn = kn;
        check_prompts(f, &r);
        check_greedy(f, &r);
        print_message("%s: %.1f s\n", rl_level_name(kn->level),
                      (double)(rl_clock_ns() - start) / 1e9);
    }
    golden_close(&r);
}

/* Every prompt at once, decoding beside prefill, against each prompt alone. */
static void check_batch(fixture *f, golden_run *r, uint32_t n_prompts, rl_kv_seq *kv)
{
    const json_t *prompts = json_object_get(f->truth, "logits");
    rl_span spans[5];
    uint32_t ids[5][MAX_IDS];
    realm_error err;

    for (uint32_t i = 0; i < n_prompts; i++) {
        uint32_t n =
            golden_ids(json_object_get(json_array_get(prompts, i), "ids"), ids[i], MAX_IDS);
        uint32_t head = i % 2 ? n - 1 : 0; /* of odd ones all but the last id is computed before */

        rl_kv_seq_init(&kv[i], r->pool);
        assert_int_equal(rl_kv_reserve(&kv[i], 0, n, &err), REALM_OK);
        spans[i] = (rl_span){ .kv = &kv[i], .n = head, .ids = ids[i] };
        if (head)
            assert_int_equal(rl_forward_run(r->forward, r->model, &spans[i], 1, &err), REALM_OK);
        spans[i] = (rl_span){ .kv = &kv[i],
                              .pos = head,
                              .n = n - head,
                              .ids = ids[i] + head,
                              .n_logits = 1,
                              .logits = f->logits + (size_t)i * f->n_vocab };
    }
    assert_int_equal(rl_forward_run(r->forward, r->model, spans, n_prompts, &err), REALM_OK);
    for (uint32_t i = 0; i < n_prompts; i++) {
        assert_memory_equal(spans[i].logits, f->lowest + (size_t)i * f->n_vocab,
                            f->n_vocab * sizeof(float));
        rl_kv_seq_deinit(&kv[i]);
    }
}

static void batches_chunks_and_threads_give_the_same_bits(void **state)
{
    static const uint32_t threads[] = { 1, 2, 5 }, chunks[] = { 1, 7 };
    fixture *f = *state;
    const json_t *prompts = json_object_get(f->truth, "logits");
    rl_kv_seq kv[5];

    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        golden_run r;

        golden_open(&r, packed_path, false, RL_KV_BF16, threads[t], 256);
        check_batch(f, &r, 5, kv);
        for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
            uint32_t ids[MAX_IDS];
            uint32_t n =
                golden_ids(json_object_get(json_array_get(prompts, 1), "ids"), ids, MAX_IDS);

            golden_logits(&r, ids, n, chunks[c], 1, f->logits);
            assert_memory_equal(f->logits, f->lowest + f->n_vocab, f->n_vocab * sizeof(float));
        }
        golden_close(&r);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_the_truth_at_every_level),
        cmocka_unit_test(batches_chunks_and_threads_give_the_same_bits),
    };

    if (argc != 3) {
        (void)fprintf(stderr, "usage: %s MODEL PACKED-FILE-TO-MAKE\n", argv[0]);
        return 2;
    }
    model_name = argv[1];
    packed_path = argv[2];
    return cmocka_run_group_tests(tests, setup, teardown);
}
