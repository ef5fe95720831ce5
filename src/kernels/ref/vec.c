/* Vector operations in plain C: the specification that every level answers bit for bit. */
#include "kernels/attn.h"
#include "kernels/init.h"
#include "kernels/ref/exp.h"

static void rmsnorm_ref(const float *x, const float *w, float eps, uint32_t n, float *y)
{
    float lane[16] = { 0 };
    float r;

    for (uint32_t i = 0; i < n; i++)
        lane[i % 16] = fmaf(x[i], x[i], lane[i % 16]);
    for (uint32_t half = 8; half; half /= 2)
        for (uint32_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    r = 1.0f / sqrtf(lane[0] / (float)n + eps);
    for (uint32_t i = 0; i < n; i++)
        y[i] = x[i] * r * w[i];
}

static void add_ref(float *y, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void scale_ref(float *y, float s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] *= s;
}

static void silu_mul_ref(const float *gate, const float *up, uint32_t n, float *out)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = gate[i] / (1.0f + exp_ref(-gate[i])) * up[i];
}

static void gelu_mul_ref(const float *gate, const float *up, uint32_t n, float *out)
{
    for (uint32_t i = 0; i < n; i++) {
        float x = gate[i];
        float w = fmaf(x * x * x, RL_GELU_CUBE, x) * RL_GELU_W;

        out[i] = x / (1.0f + exp_ref(w)) * up[i];
    }
}

static void rope_ref(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot,
                     const float *cos, const float *sin, rl_rope_kind kind)
{
    uint32_t half = n_rot / 2;

    for (uint32_t h = 0; h < n_heads; h++, x += head_dim) {
        for (uint32_t i = 0; i < half; i++) {
            float *pa = kind == RL_ROPE_NORM ? x + (size_t)2 * i : x + i;
            float *pb = kind == RL_ROPE_NORM ? pa + 1 : pa + half;
            float a = *pa, b = *pb;

            *pa = fmaf(a, cos[i], -(b * sin[i]));
            *pb = fmaf(a, sin[i], b * cos[i]);
        }
    }
}

static void exp_n_ref(const float *x, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = exp_ref(x[i]);
}

static uint32_t argmax_ref(const float *x, uint32_t n)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best] || (x[best] != x[best] && x[i] == x[i]))
            best = i;
    return best;
}

void rl_kernels_init_ref_vec(rl_kernels *kn)
{
    kn->rmsnorm = rmsnorm_ref;
    kn->add = add_ref;
    kn->scale = scale_ref;
    kn->silu_mul = silu_mul_ref;
    kn->gelu_mul = gelu_mul_ref;
    kn->rope = rope_ref;
    kn->kv_put = rl_kernels_kv_put_ref;
    kn->attend = rl_kernels_attend_ref;
    kn->exp = exp_n_ref;
    kn->argmax = argmax_ref;
}
