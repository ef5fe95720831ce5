/* Private to x86/: the vector operations that are the same text at every width, over the names of
 * lanes_avx2.h or lanes_avx512.h, which is included before. Whole vectors first, then one masked
 * tail: masked stores are slow on some CPUs. The bits are those of ref/vec.c. */
#ifndef RL_KERNELS_X86_VEC_H
#define RL_KERNELS_X86_VEC_H

#include "kernels/exp.h"

#define UNROLL _Pragma("GCC unroll 4")

static void add(float *y, const float *x, uint32_t n)
{
    lanes_mask m = lanes_tail(n);
    uint32_t i;

    for (i = 0; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_add(vec_load(y + i), vec_load(x + i)));
    if (i < n)
        vec_store_n(y + i, m, vec_add(vec_load_n(y + i, m), vec_load_n(x + i, m)));
}

static void scale(float *y, float s, uint32_t n)
{
    vec v = vec_all(s);
    lanes_mask m = lanes_tail(n);
    uint32_t i;

    for (i = 0; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_mul(vec_load(y + i), v));
    if (i < n)
        vec_store_n(y + i, m, vec_mul(vec_load_n(y + i, m), v));
}

/* x / (1 + e^w) * up */
static inline vec gate_by(vec x, vec w, vec up)
{
    return vec_mul(vec_div(x, vec_add(vec_all(1.0f), vec_exp(w))), up);
}

static inline vec silu(vec x, vec up)
{
    return gate_by(x, vec_negate(x), up);
}

static inline vec gelu(vec x, vec up)
{
    vec w = vec_fma(vec_mul(vec_mul(x, x), x), vec_all(RL_GELU_CUBE), x);

    return gate_by(x, vec_mul(w, vec_all(RL_GELU_W)), up);
}

static inline __attribute__((always_inline)) void gate_all(vec (*act)(vec, vec), const float *gate,
                                                           const float *up, uint32_t n, float *out)
{
    lanes_mask m = lanes_tail(n);
    uint32_t i;

    for (i = 0; i + LANES <= n; i += LANES)
        vec_store(out + i, act(vec_load(gate + i), vec_load(up + i)));
    if (i < n)
        vec_store_n(out + i, m, act(vec_load_n(gate + i, m), vec_load_n(up + i, m)));
}

static void silu_mul(const float *gate, const float *up, uint32_t n, float *out)
{
    gate_all(silu, gate, up, n, out);
}

static void gelu_mul(const float *gate, const float *up, uint32_t n, float *out)
{
    gate_all(gelu, gate, up, n, out);
}

static void exp_n(const float *x, uint32_t n, float *y)
{
    lanes_mask m = lanes_tail(n);
    uint32_t i;

    for (i = 0; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_exp(vec_load(x + i)));
    if (i < n)
        vec_store_n(y + i, m, vec_exp(vec_load_n(x + i, m)));
}

/* (a, b) -> (a c - b s, a s + b c), the pair's halves at p and p + half */
static void rope_neox(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t half,
                      const float *cos, const float *sin)
{
    lanes_mask m = lanes_tail(half);
    uint32_t i;

    for (i = 0; i + LANES <= half; i += LANES) {
        vec c = vec_load(cos + i), s = vec_load(sin + i);

        for (uint32_t h = 0; h < n_heads; h++) {
            float *p = x + (size_t)h * head_dim + i;
            vec a = vec_load(p), b = vec_load(p + half);

            vec_store(p, vec_fms(a, c, vec_mul(b, s)));
            vec_store(p + half, vec_fma(a, s, vec_mul(b, c)));
        }
    }
    for (uint32_t h = 0; i < half && h < n_heads; h++) {
        float *p = x + (size_t)h * head_dim + i;
        vec c = vec_load_n(cos + i, m), s = vec_load_n(sin + i, m);
        vec a = vec_load_n(p, m), b = vec_load_n(p + half, m);

        vec_store_n(p, m, vec_fms(a, c, vec_mul(b, s)));
        vec_store_n(p + half, m, vec_fma(a, s, vec_mul(b, c)));
    }
}

/* The largest of x[0..n), NaN left out; -inf when there is nothing else. vec_max answers its second
 * operand when the first is NaN, so `best` stays clean. */
static float largest(const float *x, uint32_t n)
{
    vec low = vec_all(-INFINITY);
    vec best[4] = { low, low, low, low };
    float lane[LANES], top = -INFINITY;
    uint32_t i = 0;

    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        UNROLL
        for (uint32_t k = 0; k < 4; k++)
            best[k] = vec_max(vec_load(x + i + k * LANES), best[k]);
    }
    vec_store(lane, vec_max(vec_max(best[0], best[1]), vec_max(best[2], best[3])));
    for (uint32_t k = 0; k < LANES; k++)
        top = lane[k] > top ? lane[k] : top;
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

#define ARGMAX_CHUNK 1024u

/* One pass for the value, which also remembers the chunk, then a search in that chunk alone. */
static uint32_t argmax(const float *x, uint32_t n)
{
    float best = -INFINITY;
    uint32_t at = 0, end;

    for (uint32_t i = 0; i < n; i = end) {
        end = n - i < ARGMAX_CHUNK ? n : i + ARGMAX_CHUNK;
        float top = largest(x + i, end - i);

        if (top > best) {
            best = top;
            at = i;
        }
    }
    while (at < n && !(x[at] == best))
        at++;
    return at < n ? at : 0;
}

static void init_shared(rl_kernels *kn)
{
    kn->add = add;
    kn->scale = scale;
    kn->silu_mul = silu_mul;
    kn->gelu_mul = gelu_mul;
    kn->exp = exp_n;
    kn->argmax = argmax;
}

#endif
