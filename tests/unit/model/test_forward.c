/* Decision 3 at the level of the forward pass: the logits of a sequence are the same bits whatever
 * else is in the batch, however it was chunked, for every number of threads and kernel level, and
 * when the layers are driven one by one. On tiny models of mixed weight types. */
#include "tiny.h"

#include "base/alloc.h"
#include "base/work.h"
#include "model/forward.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define N_SEQ   13u
#define MAX_LEN 90u
#define VOCAB   100u /* no multiple of 16 */

typedef struct fixture {
    rl_model *model;
    rl_kv_budget *budget;
    rl_kv_pool *pool;
    uint32_t len[N_SEQ], ids[N_SEQ][MAX_LEN];
    float *truth; /* [N_SEQ][MAX_LEN][VOCAB]: each sequence alone, at once, one thread */
} fixture;

static rl_model *open_model(const tiny *t, const char *name)
{
    char path[512];
    rl_model *m;
    realm_error err;

    tiny_path(path, sizeof path, name);
    tiny_pack(t, path);
    if (rl_model_open(&m, path, NULL, &err) != REALM_OK)
        fail_msg("%s", err.text);
    (void)unlink(path);
    return m;
}

static float *truth_of(const fixture *f, uint32_t seq, uint32_t t)
{
    return f->truth + ((size_t)seq * MAX_LEN + t) * VOCAB;
}

static void run(rl_forward *f, const rl_model *m, const rl_span *spans, uint32_t n)
{
    realm_error err;

    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(rl_kv_reserve(spans[i].kv, spans[i].pos, spans[i].n, &err), REALM_OK);
    if (rl_forward_run(f, m, spans, n, &err) != REALM_OK)
        fail_msg("%s", err.text);
}

static void make_truth(fixture *f)
{
    rl_work *work = rl_work_new(1);
    rl_forward *forward;

    assert_int_equal(rl_forward_new(&forward, work, MAX_LEN, NULL), REALM_OK);
    for (uint32_t s = 0; s < N_SEQ; s++) {
        rl_kv_seq kv;
        rl_span span;

        f->len[s] = s == 0 ? MAX_LEN : 3 + s * 29 % 80;
        for (uint32_t t = 0; t < f->len[s]; t++)
            f->ids[s][t] = (s * 31 + t * 17 + t * t) % VOCAB;
        rl_kv_seq_init(&kv, f->pool);
        span = (rl_span){ .kv = &kv,
                          .n = f->len[s],
                          .ids = f->ids[s],
                          .n_logits = f->len[s],
                          .logits = truth_of(f, s, 0) };
        run(forward, f->model, &span, 1);
        rl_kv_seq_deinit(&kv);
    }
    for (size_t i = 0; i < (size_t)f->len[0] * VOCAB; i++)
        assert_true(isfinite(f->truth[i]));
    rl_forward_free(forward);
    rl_work_free(work);
}

static fixture *new_fixture(const tiny *t, const char *name, rl_kv_type kv)
{
    fixture *f = rl_alloc(sizeof *f);
    rl_kv_layout layout;

    f->model = open_model(t, name);
    layout = rl_model_kv_layout(f->model, kv);
    f->budget = rl_kv_budget_new((size_t)64 << 20);
    assert_int_equal(rl_kv_pool_new(&f->pool, f->budget, &layout, NULL), REALM_OK);
    f->truth = rl_alloc_array((size_t)N_SEQ * MAX_LEN * VOCAB, sizeof(float));
    make_truth(f);
    return f;
}

static int teardown(void **state)
{
    fixture *f = *state;

    rl_kv_pool_free(f->pool);
    rl_kv_budget_free(f->budget);
    rl_model_close(f->model);
    rl_free(f->truth);
    rl_free(f);
    return 0;
}

static tiny mixed_model(const char *arch)
{
    tiny t = tiny_default(arch);

    t.embd = 256;
    t.head_dim = 64;
    t.ff = 512;
    t.vocab = VOCAB;
    t.embd_type = RL_TYPE_Q8_0;
    return t;
}

/* K-quants where rows allow, a window with one layer that sees everything. */
static int setup_gemma(void **state)
{
    tiny t = mixed_model("gemma3");

    t.types[0] = RL_TYPE_Q5_0;
    t.types[1] = RL_TYPE_Q4_K;
    t.types[2] = RL_TYPE_Q6_K;
    t.types[3] = RL_TYPE_Q8_0;
    *state = new_fixture(&t, "gemma", RL_KV_BF16);
    return 0;
}

static int setup_qwen(void **state)
{
    tiny t = mixed_model("qwen2");

    t.untied = true;
    t.ff = 544; /* no multiple of 64 */
    t.types[0] = RL_TYPE_Q4_0;
    t.types[1] = RL_TYPE_F16;
    t.types[2] = RL_TYPE_BF16;
    t.types[3] = RL_TYPE_Q8_0;
    *state = new_fixture(&t, "qwen", RL_KV_F32);
    return 0;
}

/* All sequences, a random piece of each a step, until all are through. */
static void run_mixed(fixture *f, uint32_t threads, uint32_t seed)
{
    rl_work *work = rl_work_new(threads);
    rl_forward *forward;
    rl_kv_seq kv[N_SEQ];
    rl_span spans[N_SEQ];
    uint32_t seq_of[N_SEQ], done[N_SEQ] = { 0 }, n;
    float *logits = rl_alloc_array((size_t)N_SEQ * MAX_LEN * VOCAB, sizeof(float));

    assert_int_equal(rl_forward_new(&forward, work, 400, NULL), REALM_OK);
    for (uint32_t s = 0; s < N_SEQ; s++)
        rl_kv_seq_init(&kv[s], f->pool);
    do {
        n = 0;
        for (uint32_t s = 0; s < N_SEQ; s++) {
            uint32_t left = f->len[s] - done[s], take;

            seed = seed * 1103515245 + 12345;
            take = (seed >> 16) % 4 ? 1 : 1 + (seed >> 18) % 40; /* mostly decoding */
            take = take < left ? take : left;
            if (take == 0 || (seed >> 24) % 5 == 0)
                continue;
            seq_of[n] = s;
            spans[n] = (rl_span){ .kv = &kv[s],
                                  .pos = done[s],
                                  .n = take,
                                  .ids = f->ids[s] + done[s],
                                  .n_logits = (seed >> 8) % (take + 1),
                                  .logits = logits + (size_t)s * MAX_LEN * VOCAB };
            n++;
        }
        run(forward, f->model, spans, n);
        for (uint32_t i = 0; i < n; i++) {
            done[seq_of[i]] += spans[i].n;
            if (spans[i].n_logits)
                assert_memory_equal(spans[i].logits,
                                    truth_of(f, seq_of[i], done[seq_of[i]] - spans[i].n_logits),
                                    spans[i].n_logits * VOCAB * sizeof(float));
        }
        for (uint32_t s = 0; s < N_SEQ && n == 0; s++)
            n = done[s] < f->len[s];
    } while (n);
    for (uint32_t s = 0; s < N_SEQ; s++)
        rl_kv_seq_deinit(&kv[s]);
    rl_free(logits);
    rl_forward_free(forward);
    rl_work_free(work);
}

static void batches_and_threads_do_not_matter(void **state)
{
    static const uint32_t threads[] = { 1, 2, 5 };

    for (uint32_t i = 0; i < 3; i++)
        run_mixed(*state, threads[i], 7 + i);
}

static void levels_do_not_matter(void **state)
{
    fixture *f = *state;
    const rl_kernels *own = f->model->kn;

    for (int level = RL_LEVEL_REF; level < (int)own->level; level++) {
        const rl_kernels *kn = rl_kernels_of((rl_level)level);

        if (!kn)
            continue;
        f->model->kn = kn;
        run_mixed(f, 2, 77);
    }
    f->model->kn = own;
}

static void chunks_do_not_matter(void **state)
{
    static const uint32_t chunks[] = { 1, 7, 33, 64 };
    fixture *f = *state;
    rl_work *work = rl_work_new(2);
    rl_forward *forward;
    float *logits = rl_alloc_array((size_t)MAX_LEN * VOCAB, sizeof(float));

    assert_int_equal(rl_forward_new(&forward, work, 64, NULL), REALM_OK);
    for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
        rl_kv_seq kv;

        rl_kv_seq_init(&kv, f->pool);
        for (uint32_t pos = 0; pos < f->len[0]; pos += chunks[c]) {
            uint32_t n = f->len[0] - pos < chunks[c] ? f->len[0] - pos : chunks[c];
            rl_span span = { .kv = &kv,
                             .pos = pos,
                             .n = n,
                             .ids = f->ids[0] + pos,
                             .n_logits = n,
                             .logits = logits + (size_t)pos * VOCAB };

            run(forward, f->model, &span, 1);
        }
        assert_memory_equal(logits, truth_of(f, 0, 0), f->len[0] * VOCAB * sizeof(float));
        rl_kv_seq_deinit(&kv);
    }
    rl_free(logits);
    rl_forward_free(forward);
    rl_work_free(work);
}

static void a_fork_continues_like_its_source(void **state)
{
    fixture *f = *state;
    rl_work *work = rl_work_new(2);
    rl_forward *forward;
    rl_kv_seq a, b;
    float logits[2][VOCAB];
    uint32_t half = f->len[0] / 2, other = (f->ids[0][half] + 1) % VOCAB;
    rl_span first = { .kv = &a, .n = half, .ids = f->ids[0] };
    rl_span pair[2];

    assert_int_equal(rl_forward_new(&forward, work, 64, NULL), REALM_OK);
    rl_kv_seq_init(&a, f->pool);
    rl_kv_seq_init(&b, f->pool);
    run(forward, f->model, &first, 1);
    assert_int_equal(rl_kv_fork(&b, &a, half, NULL), REALM_OK);
    pair[0] = (rl_span){
        .kv = &b, .pos = half, .n = 1, .ids = &other, .n_logits = 1, .logits = logits[0]
    };
    pair[1] = (rl_span){
        .kv = &a, .pos = half, .n = 1, .ids = f->ids[0] + half, .n_logits = 1, .logits = logits[1]
    };
    run(forward, f->model, pair, 2);
    assert_memory_equal(logits[1], truth_of(f, 0, half), sizeof logits[1]);
    assert_memory_not_equal(logits[0], logits[1], sizeof logits[1]);
    /* the fork took its own copy of the shared block, so it can take the source's path too */
    pair[0].ids = f->ids[0] + half;
    run(forward, f->model, pair, 1);
    assert_memory_equal(logits[0], truth_of(f, 0, half), sizeof logits[0]);
    rl_kv_seq_deinit(&a);
    rl_kv_seq_deinit(&b);
    rl_forward_free(forward);
    rl_work_free(work);
}

static void layers_one_by_one_give_the_same_bits(void **state)
{
    static const uint32_t lengths[] = { 1, 3, 50 };
    fixture *f = *state;
    rl_work *work = rl_work_new(2);
    rl_forward *forward;
    uint32_t embd = rl_model_get_info(f->model)->n_embd;
    float *hidden = rl_alloc_array((size_t)MAX_LEN * embd, sizeof(float));
    float *logits = rl_alloc_array((size_t)MAX_LEN * VOCAB, sizeof(float));
    realm_error err;

    assert_int_equal(rl_forward_new(&forward, work, 64, NULL), REALM_OK);
    for (size_t c = 0; c < sizeof lengths / sizeof lengths[0]; c++) {
        rl_kv_seq kv;
        rl_span span = { .kv = &kv, .n = lengths[c] };

        rl_kv_seq_init(&kv, f->pool);
        assert_int_equal(rl_kv_reserve(&kv, 0, span.n, &err), REALM_OK);
        rl_model_embed(f->model, f->ids[0], span.n, hidden);
        for (uint32_t il = 0; il < rl_model_get_info(f->model)->n_layers; il++)
            assert_int_equal(rl_forward_layer(forward, f->model, il, &span, 1, hidden, &err),
                             REALM_OK);
        assert_int_equal(rl_forward_head(forward, f->model, hidden, span.n, logits, &err),
                         REALM_OK);
        assert_memory_equal(logits, truth_of(f, 0, 0), span.n * VOCAB * sizeof(float));
        rl_kv_seq_deinit(&kv);
    }
    rl_free(hidden);
    rl_free(logits);
    rl_forward_free(forward);
    rl_work_free(work);
}

/* One forward serves models of different shapes in turn. */
static void models_may_alternate(void **state)
{
    fixture *f = *state;
    tiny t = tiny_default("llama");
    rl_model *other;
    rl_kv_pool *pool;
    rl_kv_layout layout;
    rl_work *work = rl_work_new(2);
    rl_forward *forward;
    float logits[VOCAB], small[2][48];

    t.vocab = 48;
    t.factors = true;
    other = open_model(&t, "other");
    layout = rl_model_kv_layout(other, RL_KV_F16);
    assert_int_equal(rl_kv_pool_new(&pool, f->budget, &layout, NULL), REALM_OK);
    assert_int_equal(rl_forward_new(&forward, work, 32, NULL), REALM_OK);
    for (int i = 0; i < 2; i++) {
        static const uint32_t ids[] = { 1, 2, 3, 40, 5 };
        rl_kv_seq kv, mine;
        rl_span theirs = { .kv = &kv, .n = 5, .ids = ids, .n_logits = 1, .logits = small[i] };
        rl_span ours = { .kv = &mine, .n = 3, .ids = f->ids[1], .n_logits = 1, .logits = logits };

        rl_kv_seq_init(&kv, pool);
        rl_kv_seq_init(&mine, f->pool);
        run(forward, other, &theirs, 1);
        run(forward, f->model, &ours, 1);
        assert_memory_equal(logits, truth_of(f, 1, 2), sizeof logits);
        rl_kv_seq_deinit(&kv);
        rl_kv_seq_deinit(&mine);
    }
    assert_memory_equal(small[0], small[1], sizeof small[0]);
    rl_forward_free(forward);
    rl_work_free(work);
    rl_kv_pool_free(pool);
    rl_model_close(other);
}

static void sines_are_right_far_out(void **state)
{
    double worst = 0;

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        double x = i * 1.37 + i * (double)i * 1e-4, s, c;

        rl_rope_sincos(x, &s, &c);
        worst = fmax(worst, fmax(fabs(s - sin(x)), fabs(c - cos(x))));
    }
    assert_true(worst < 1e-13);
}

int main(void)
{
#define G(name) cmocka_unit_test_setup_teardown(name, setup_gemma, teardown)
#define Q(name) cmocka_unit_test_setup_teardown(name, setup_qwen, teardown)
    const struct CMUnitTest tests[] = {
        G(batches_and_threads_do_not_matter),
        Q(batches_and_threads_do_not_matter),
        G(levels_do_not_matter),
        Q(levels_do_not_matter),
        G(chunks_do_not_matter),
        Q(chunks_do_not_matter),
        G(a_fork_continues_like_its_source),
        Q(a_fork_continues_like_its_source),
        G(layers_one_by_one_give_the_same_bits),
        Q(layers_one_by_one_give_the_same_bits),
        G(models_may_alternate),
        cmocka_unit_test(sines_are_right_far_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
