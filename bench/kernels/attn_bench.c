/* Speed of attention and of the vector operations, one thread.
 *
 * usage: attn_bench            REALM_CPU=ref|avx2|avx512 chooses the level
 *
 * GFLOP/s counts 4 * head_dim per visible (row, key): scores and values, a multiply and an add
 * each. GB/s is the K and V that one pass over the context takes. Best of several runs, warm. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "kernels/kernels.h"

#define RUN_NS 3000000u
#define RUNS   60
#define VEC_N  4096u
#define VOCAB  131072u

static const rl_kernels *kn;
static uint64_t random_state = 88172645463325252u;

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(random_state >> 32) * 0x1p-31f;
    }
}

static void *need(void *p)
{
    if (!p) {
        (void)fprintf(stderr, "no memory for the benchmark\n");
        exit(1);
    }
    return p;
}

static float *floats(size_t n)
{
    float *x = need(rl_alloc_aligned(64, n * sizeof *x));

    fill(x, n);
    return x;
}

/* Nanoseconds of one call: the best of RUNS means over about RUN_NS. CPU time, because other
 * processes may take the core in between. */
static double best_of(void (*call)(void *), void *arg)
{
    double best = INFINITY;
    uint32_t n = 1;

    for (int run = 0; run < RUNS; run++) {
        uint64_t start = rl_clock_thread_cpu_ns();
        double ns;

        for (uint32_t i = 0; i < n; i++)
            call(arg);
        ns = (double)(rl_clock_thread_cpu_ns() - start);
        best = ns / n < best ? ns / n : best;
        n = best * n < RUN_NS / 2 ? n * 2 : n;
    }
    return best;
}

typedef struct attn_job {
    rl_attn a;
    void *scratch;
} attn_job;

static void attend(void *arg)
{
    attn_job *j = arg;

    kn->attend(&j->a, j->scratch);
}

static void attn_line(const char *what, rl_kv_type type, uint32_t dim, uint32_t group,
                      uint32_t tokens, uint32_t keys)
{
    size_t slab = rl_kv_slab_bytes(type, dim);
    uint32_t n_blocks = (keys + RL_KV_BLOCK - 1) / RL_KV_BLOCK;
    uint8_t *memory = need(rl_alloc_aligned(64, 2 * slab * n_blocks));
    const void **blocks = need(rl_alloc_array(n_blocks, sizeof *blocks));
    size_t row = (size_t)group * dim;
    float *q = floats(tokens * row), *out = floats(tokens * row), *kv = floats(2 * dim);
    double pairs = 0, flops, ns;
    attn_job j = { .scratch = need(rl_alloc_aligned(64, rl_attn_scratch_bytes(dim, group))) };

    for (uint32_t i = 0; i < n_blocks * RL_KV_BLOCK; i++) {
        uint8_t *b = memory + 2 * slab * (i / RL_KV_BLOCK);

        blocks[i / RL_KV_BLOCK] = b;
        fill(kv, 2 * dim);
        kn->kv_put(type, dim, kv, kv + dim, b, b + slab, i % RL_KV_BLOCK);
    }
    j.a = (rl_attn){ .type = type,
                     .head_dim = dim,
                     .group = group,
                     .n_tokens = tokens,
                     .pos = keys - tokens,
                     .scale = 1.0f / sqrtf((float)dim),
                     .q = q,
                     .q_stride = row,
                     .out = out,
                     .out_stride = row,
                     .blocks = blocks,
                     .v_offset = slab };
    ns = best_of(attend, &j);
    for (uint32_t t = 0; t < tokens; t++)
        pairs += (double)group * (keys - tokens + t + 1);
    flops = pairs * 4 * dim;
    printf("%-8s %-4s dim %3u group %u tokens %3u keys %5u  %10.1f us  %7.1f GFLOP/s  %6.1f GB/s\n",
           what, type == RL_KV_BF16 ? "bf16" : "f32", dim, group, tokens, keys, ns * 1e-3,
           flops / ns, (double)(2 * slab * n_blocks) / ns);
    rl_free(memory);
    rl_free(blocks);
    rl_free(q);
    rl_free(out);
    rl_free(kv);
    rl_free(j.scratch);
}

typedef struct vec_job {
    float *a, *b, *y;
} vec_job;

static void run_rmsnorm(void *arg)
{
    vec_job *j = arg;

    kn->rmsnorm(j->a, j->b, 1e-6f, VEC_N, j->y);
}

static void run_silu(void *arg)
{
    vec_job *j = arg;

    kn->silu_mul(j->a, j->b, VEC_N, j->y);
}

static void run_gelu(void *arg)
{
    vec_job *j = arg;

    kn->gelu_mul(j->a, j->b, VEC_N, j->y);
}

static void run_exp(void *arg)
{
    vec_job *j = arg;

    kn->exp(j->a, VEC_N, j->y);
}

static void run_add(void *arg)
{
    vec_job *j = arg;

    kn->add(j->y, j->a, VEC_N);
}

static void run_rope(void *arg)
{
    vec_job *j = arg;

    kn->rope(j->a, VEC_N / 128, 128, 128, j->b, j->b + 64, RL_ROPE_NEOX);
}

static void run_rope_norm(void *arg)
{
    vec_job *j = arg;

    kn->rope(j->a, VEC_N / 128, 128, 128, j->b, j->b + 64, RL_ROPE_NORM);
}

static void run_kv_put(void *arg)
{
    vec_job *j = arg;

    for (uint32_t slot = 0; slot < RL_KV_BLOCK; slot++)
        kn->kv_put(RL_KV_BF16, 256, j->a + slot * 256, j->b, j->y, j->y + 4096, slot);
}

static void run_argmax(void *arg)
{
    vec_job *j = arg;

    (void)kn->argmax(j->a, VOCAB);
}

static void vec_lines(void)
{
    static const struct {
        const char *name;
        void (*call)(void *);
        uint32_t n;
    } lines[] = {
        { "rmsnorm", run_rmsnorm, VEC_N },
        { "silu_mul", run_silu, VEC_N },
        { "gelu_mul", run_gelu, VEC_N },
        { "exp", run_exp, VEC_N },
        { "add", run_add, VEC_N },
        { "rope neox", run_rope, VEC_N },
        { "rope norm", run_rope_norm, VEC_N },
        { "kv_put 32 x 256", run_kv_put, 32 * 512 },
        { "argmax", run_argmax, VOCAB },
    };
    vec_job j = { floats(VOCAB), floats(VEC_N), floats(4 * VEC_N) };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        double ns = best_of(lines[i].call, &j);

        fill(j.a, VOCAB); /* rope turns a for ever */
        printf("%-16s n %6u  %8.2f us  %6.2f ns per 16\n", lines[i].name, lines[i].n, ns * 1e-3,
               ns * 16 / lines[i].n);
    }
    rl_free(j.a);
    rl_free(j.b);
    rl_free(j.y);
}

int main(void)
{
    static const uint32_t dims[] = { 64, 128, 256 };

    if (rl_kernels_check()) {
        (void)fprintf(stderr, "%s\n", rl_kernels_check());
        return 1;
    }
    kn = rl_kernels_get();
    printf("%s, level %s, one thread\n", rl_cpu_name(), rl_level_name(kn->level));
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        attn_line("decode", RL_KV_BF16, dims[i], 4, 1, 1024);
        attn_line("decode", RL_KV_BF16, dims[i], 4, 1, 8192);
        attn_line("decode", RL_KV_BF16, dims[i], 7, 1, 8192);
        attn_line("decode", RL_KV_BF16, dims[i], 1, 1, 8192);
        attn_line("prefill", RL_KV_BF16, dims[i], 4, 512, 512);
        attn_line("prefill", RL_KV_BF16, dims[i], 7, 512, 4096);
        attn_line("prefill", RL_KV_F32, dims[i], 4, 512, 512);
    }
    vec_lines();
    return 0;
}
