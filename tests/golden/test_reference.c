/* The forward pass against tools/reference.py (float64) over hundreds of positions, in one chunk,
 * in chunks of 1, 7 and 64 and at every kernel level, all with the same bits; and mutants of the
 * architecture, which the comparison must catch. usage: ARCH MODEL.gguf LOGITS.bin */
#include "run.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOLERANCE  5e-5 /* rms of all logits, whose spread is about 1 */
#define CAUGHT     2e-3 /* a mutant is at least this far off */
#define MAX_TOKENS 4096u

static const char *arch_name, *gguf_path, *truth_path;

typedef struct fixture {
    golden_run run;
    char packed[1024];
    uint32_t n, n_vocab, ids[MAX_TOKENS];
    double *truth;        /* [n][n_vocab] */
    float *logits, *kept; /* [n][n_vocab] */
} fixture;

static int setup(void **state)
{
    static fixture f;
    rl_buf bytes;
    realm_error err;
    size_t n;

    (void)snprintf(f.packed, sizeof f.packed, "%s.realm", gguf_path);
    golden_pack(gguf_path, f.packed, NULL);
    golden_open(&f.run, f.packed, false, RL_KV_F32, 2, 512);
    f.n_vocab = rl_model_get_info(f.run.model)->n_vocab;
    rl_buf_init(&bytes, (size_t)64 << 20);
    if (rl_fs_read(truth_path, &bytes, &err) != REALM_OK)
        fail_msg("%s", err.text);
    n = bytes.len / sizeof(double);
    assert_true(n % f.n_vocab == 0 && n / f.n_vocab > 0 && n / f.n_vocab <= MAX_TOKENS);
    f.n = (uint32_t)(n / f.n_vocab);
    f.truth = (double *)(void *)rl_buf_take(&bytes);
    f.logits = rl_alloc_array(n, sizeof *f.logits);
    f.kept = rl_alloc_array(n, sizeof *f.kept);
    for (uint32_t t = 0; t < f.n; t++)
        f.ids[t] = (t * 7 + t * t / 3) % f.n_vocab;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    golden_close(&f->run);
    (void)unlink(f->packed);
    rl_free(f->truth);
    rl_free(f->logits);
    rl_free(f->kept);
    return 0;
}

static double rms_of(fixture *f, uint32_t chunk)
{
    double squares = 0;
    size_t n = (size_t)f->n * f->n_vocab;

    golden_logits(&f->run, f->ids, f->n, chunk, f->n, f->logits);
    for (size_t i = 0; i < n; i++) {
        double d = (double)f->logits[i] - f->truth[i];

        squares += d * d;
    }
    return sqrt(squares / (double)n);
}

static void every_level_and_chunking_agrees(void **state)
{
    static const uint32_t chunks[] = { 0, 1, 7, 64 };
    fixture *f = *state;
    size_t bytes = (size_t)f->n * f->n_vocab * sizeof(float);
    const rl_kernels *own = f->run.model->kn;
    double rms = rms_of(f, 0);

    print_message("%s, %u tokens: rms %.2e (bar %.0e)\n", arch_name, f->n, rms, TOLERANCE);
    assert_true(rms <= TOLERANCE);
    memcpy(f->kept, f->logits, bytes);
    for (const rl_kernels *kn = NULL; (kn = golden_next_level(kn));) {
        f->run.model->kn = kn;
        for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
            (void)rms_of(f, chunks[i]);
            assert_memory_equal(f->logits, f->kept, bytes);
        }
        print_message("%s: the same bits in chunks of %u, 1, 7 and 64\n", rl_level_name(kn->level),
                      f->n);
    }
    f->run.model->kn = own;
}

static void the_reference_mode_agrees(void **state)
{
    fixture *f = *state;
    golden_run own = f->run;
    double rms;

    golden_open(&f->run, f->packed, true, RL_KV_F32, 1, 512);
    rms = rms_of(f, 0);
    golden_close(&f->run);
    f->run = own;
    assert_true(rms <= TOLERANCE);
}

/* Runs a changed model and puts it back. */
static void expect_caught(fixture *f, const char *what)
{
    double rms;

    assert_int_equal(rl_model_derive(f->run.model, NULL), REALM_OK);
    rms = rms_of(f, 0);
    print_message("%s with %s: rms %.2e\n", arch_name, what, rms);
    assert_true(rms >= CAUGHT); /* NaN is not */
}

typedef struct mutant {
    const char *arch; /* NULL: every one */
    const char *what;
    void (*change)(rl_model *m);
} mutant;

static void no_window(rl_model *m)
{
    m->params.window = 1u << 30;
}

static void off_by_one_window(rl_model *m)
{
    m->params.window++;
}

static void shifted_pattern(rl_model *m)
{
    m->params.pattern = 5;
}

static void wrong_base(rl_model *m)
{
    m->params.rope_base[RL_ROPE_GLOBAL] *= 0.5f;
}

static void wrong_local_base(rl_model *m)
{
    m->params.rope_base[RL_ROPE_LOCAL] = m->params.rope_base[RL_ROPE_GLOBAL];
}

static void no_scaling(rl_model *m)
{
    m->params.rope_factor[RL_ROPE_GLOBAL] = 1;
}

static void swapped_rope(rl_model *m)
{
    m->arch.rope = m->arch.rope == RL_ROPE_NORM ? RL_ROPE_NEOX : RL_ROPE_NORM;
}

static void wrong_scale(rl_model *m)
{
    m->params.attn_scale *= 1.2f;
}

static void no_qk_norm(rl_model *m)
{
    for (uint32_t i = 0; i < m->params.n_layers; i++)
        m->layers[i].q_norm = m->layers[i].k_norm = NULL;
}

static void no_post_norm(rl_model *m)
{
    for (uint32_t i = 0; i < m->params.n_layers; i++)
        m->layers[i].post_attn_norm = m->layers[i].post_ffn_norm = NULL;
}

static void no_bias(rl_model *m)
{
    for (uint32_t i = 0; i < m->params.n_layers; i++)
        m->layers[i].q_bias = m->layers[i].k_bias = m->layers[i].v_bias = NULL;
}

static void no_factors(rl_model *m)
{
    m->globals.rope_factors = NULL;
}

static void other_activation(rl_model *m)
{
    m->arch.act = m->arch.act == RL_ACT_SILU ? RL_ACT_GELU : RL_ACT_SILU;
}

static void plain_embeddings(rl_model *m)
{
    m->params.embd_scale = 1;
}

static const mutant mutants[] = {
    { NULL, "swapped rope kind", swapped_rope },
    { NULL, "wrong attention scale", wrong_scale },
    { NULL, "another activation", other_activation },
    { NULL, "wrong rope base", wrong_base },
    { "gemma3", "no window", no_window },
    { "gemma3", "a window of one more", off_by_one_window },
    { "gemma3", "another layer that sees everything", shifted_pattern },
    { "gemma3", "one base for all layers", wrong_local_base },
    { "gemma3", "no linear scaling", no_scaling },
    { "gemma3", "no post norms", no_post_norm },
    { "gemma3", "unscaled embeddings", plain_embeddings },
    { "gemma3", "no q/k norms", no_qk_norm },
    { "qwen3", "no q/k norms", no_qk_norm },
    { "qwen2", "no biases", no_bias },
    { "llama3", "no frequency factors", no_factors },
};

static void mutants_are_caught(void **state)
{
    fixture *f = *state;
    rl_model *m = f->run.model, own = *m;
    size_t layers = m->params.n_layers * sizeof *m->layers;
    rl_layer *kept = rl_alloc(layers);
    unsigned n = 0;

    assert_non_null(kept);
    memcpy(kept, m->layers, layers);
    for (size_t i = 0; i < sizeof mutants / sizeof mutants[0]; i++) {
        if (mutants[i].arch && strcmp(mutants[i].arch, arch_name) != 0)
            continue;
        mutants[i].change(m);
        expect_caught(f, mutants[i].what);
        m->arch = own.arch;
        m->params = own.params;
        m->globals = own.globals;
        memcpy(m->layers, kept, layers);
        assert_int_equal(rl_model_derive(m, NULL), REALM_OK);
        n++;
    }
    rl_free(kept);
    assert_true(n >= 4);
    assert_true(rms_of(f, 0) <= TOLERANCE); /* all is as before */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_and_chunking_agrees),
        cmocka_unit_test(the_reference_mode_agrees),
        cmocka_unit_test(mutants_are_caught),
    };

    if (argc != 4) {
        (void)fprintf(stderr, "usage: %s ARCH MODEL.gguf LOGITS.bin\n", argv[0]);
        return 2;
    }
    arch_name = argv[1];
    gguf_path = argv[2];
    truth_path = argv[3];
    return cmocka_run_group_tests(tests, setup, teardown);
}
