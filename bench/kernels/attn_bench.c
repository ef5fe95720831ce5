/* Speed of attention and of the vector operations, one thread.
 *
 * usage: attn_bench            REALM_CPU=ref|avx2|avx512 chooses the level
 *
 * GFLOP/s counts 4 * head_dim per visible (row, key): scores and values, a multiply and an add
 * each. GB/s is the K and V that one pass over the context takes; cold calls take turns
 * among caches that no processor cache holds together. Best of several runs. */
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

/* A line of the report: what is attended to, and how many caches the calls take in turn. */
typedef struct attn_line {
    const char *what;
    uint32_t group, tokens, keys;
    rl_kv_type type;
    uint32_t caches;
} attn_line;

typedef struct attn_job {
    rl_attn a;
    uint32_t caches, next, n_blocks;
    const void **blocks; /* [caches][n_blocks] */
    void *scratch;
} attn_job;

static void attend(void *arg)
{
    attn_job *j = arg;

    j->a.blocks = j->blocks + (size_t)j->next * j->n_blocks;
    j->next = (j->next + 1) % j->caches;
    kn->attend(&j->a, j->scratch);
}

/* Fills every block of every cache; they lie in memory as a pool would hand them out. */
static uint8_t *fill_blocks(attn_job *j, size_t slab)
{
    uint32_t n = j->caches * j->n_blocks, dim = j->a.head_dim;
    uint8_t *memory = need(rl_pages_map(2 * slab * n));
    float *kv = floats(2 * (size_t)dim);

    for (uint32_t i = 0; i < n; i++) {
        uint8_t *b = memory + 2 * slab * ((uint64_t)i * 7919 % n); /* a prime: no two alike */

        j->blocks[i] = b;
        fill(kv, 2 * (size_t)dim);
        for (uint32_t slot = 0; slot < RL_KV_BLOCK; slot++)
            kn->kv_put(j->a.type, dim, kv, kv + dim, b, b + slab, slot);
    }
    rl_free(kv);
    return memory;
}

static void attn_run(const attn_line *l, uint32_t dim)
{
    static const char *const names[RL_KV_TYPES] = { "f16", "bf16", "f32" };
    size_t slab = rl_kv_slab_bytes(l->type, dim), row = (size_t)l->group * dim;
    uint32_t n_blocks = (l->keys + RL_KV_BLOCK - 1) / RL_KV_BLOCK;
    float *q = floats(l->tokens * row), *out = floats(l->tokens * row);
    double pairs = 0, ns;
    attn_job j = { .caches = l->caches, .n_blocks = n_blocks };
    uint8_t *memory;

    j.blocks = need(rl_alloc_array((size_t)l->caches * n_blocks, sizeof *j.blocks));
    j.scratch = need(rl_alloc_aligned(64, rl_attn_scratch_bytes(dim, l->group)));
    j.a = (rl_attn){ .type = l->type,
                     .head_dim = dim,
                     .group = l->group,
                     .n_tokens = l->tokens,
                     .pos = l->keys - l->tokens,
                     .scale = 1.0f / sqrtf((float)dim),
                     .q = q,
                     .q_stride = row,
                     .out = out,
                     .out_stride = row,
                     .v_offset = slab };
    memory = fill_blocks(&j, slab);
    ns = best_of(attend, &j);
    for (uint32_t t = 0; t < l->tokens; t++)
        pairs += (double)l->group * (l->keys - l->tokens + t + 1);
    printf("%-12s %-4s dim %3u group %u tokens %3u keys %4u %9.1f us %6.1f GFLOP/s %5.1f GB/s\n",
           l->what, names[l->type], dim, l->group, l->tokens, l->keys, ns * 1e-3,
           pairs * 4 * dim / ns, (double)(2 * slab * n_blocks) / ns);
    rl_pages_unmap(memory, 2 * slab * j.caches * n_blocks);
    rl_free(j.blocks);
    rl_free(q);
    rl_free(out);
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

static void put_block(const vec_job *j, rl_kv_type type)
{
    for (uint32_t slot = 0; slot < RL_KV_BLOCK; slot++)
        kn->kv_put(type, 256, j->a + slot * 256, j->b, j->y, j->y + 4096, slot);
}

static void run_put_f16(void *arg)
{
    put_block(arg, RL_KV_F16);
}

static void run_put_bf16(void *arg)
{
    put_block(arg, RL_KV_BF16);
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
        { "kv_put f16 32x256", run_put_f16, 32 * 512 },
        { "kv_put bf16 32x256", run_put_bf16, 32 * 512 },
        { "argmax", run_argmax, VOCAB },
    };
    vec_job j = { floats(VOCAB), floats(VEC_N), floats(4 * VEC_N) };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        double ns = best_of(lines[i].call, &j);

        fill(j.a, VOCAB); /* rope turns a for ever */
        printf("%-18s n %6u  %8.2f us  %6.2f ns per 16\n", lines[i].name, lines[i].n, ns * 1e-3,
               ns * 16 / lines[i].n);
    }
    rl_free(j.a);
    rl_free(j.b);
    rl_free(j.y);
}

int main(void)
{
    static const uint32_t dims[] = { 64, 128, 256 };
    static const attn_line lines[] = {
        { "decode", 4, 1, 1024, RL_KV_F16, 1 },
        { "decode", 4, 1, 1024, RL_KV_BF16, 1 },
        { "decode", 4, 1, 8192, RL_KV_F16, 1 },
        { "decode", 4, 1, 8192, RL_KV_BF16, 1 },
        { "decode", 7, 1, 8192, RL_KV_F16, 1 },
        { "decode", 7, 1, 8192, RL_KV_BF16, 1 },
        { "decode", 1, 1, 8192, RL_KV_F16, 1 },
        { "decode", 1, 1, 8192, RL_KV_BF16, 1 },
        { "decode cold", 1, 1, 1024, RL_KV_F16, 257 },
        { "decode cold", 1, 1, 1024, RL_KV_BF16, 257 },
        { "decode cold", 4, 1, 1024, RL_KV_F16, 257 },
        { "decode cold", 4, 1, 1024, RL_KV_BF16, 257 },
        { "decode cold", 7, 1, 1024, RL_KV_F16, 257 },
        { "decode cold", 7, 1, 1024, RL_KV_BF16, 257 },
        { "decode cold", 4, 1, 8192, RL_KV_F16, 33 },
        { "decode cold", 4, 1, 8192, RL_KV_BF16, 33 },
        { "prefill", 4, 512, 512, RL_KV_F16, 1 },
        { "prefill", 4, 512, 512, RL_KV_BF16, 1 },
        { "prefill", 7, 512, 4096, RL_KV_F16, 1 },
        { "prefill", 7, 512, 4096, RL_KV_BF16, 1 },
        { "prefill", 4, 512, 512, RL_KV_F32, 1 },
    };

    if (rl_kernels_check()) {
        (void)fprintf(stderr, "%s\n", rl_kernels_check());
        return 1;
    }
    kn = rl_kernels_get();
    printf("%s, level %s, one thread\n", rl_cpu_name(), rl_level_name(kn->level));
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (size_t k = 0; k < sizeof lines / sizeof *lines; k++)
            attn_run(&lines[k], dims[i]);
    vec_lines();
    return 0;
}
