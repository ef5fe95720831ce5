/* Matmul in plain C: the specification of every level. Output (row, r) of a panel sums, in block
 * order, the terms written below; integer totals are exact, so the order within them is free. */
#include "kernels/kernels.h"

#include <math.h>

#include "kernels/init.h"
#include "kernels/panel.h"

static void clear(uint32_t n_rows, float *out, size_t ldo)
{
    for (uint32_t i = 0; i < n_rows; i++)
        for (uint32_t r = 0; r < RL_PANEL_ROWS; r++)
            out[i * ldo + r] = 0;
}

/* 32-block types: out = fma(total, d_weight * s_activation, out). */
static void matmul32(rl_type type, const uint8_t *panel, uint32_t k, const rl_acts *a,
                     uint32_t row0, uint32_t row1, float *out, size_t ldo)
{
    clear(row1 - row0, out, ldo);
    for (uint32_t r = 0; r < RL_PANEL_ROWS; r++) {
        for (uint32_t b = 0; b < k / 32; b++) {
            int8_t w[32];
            float d = rl_panel_row32(type, panel, b, r, w);

            for (uint32_t row = row0; row < row1; row++) {
                const rl_act32 *x = rl_acts_q8(a, row) + b;
                float *o = out + (row - row0) * ldo + r;
                int32_t total = 0;

                for (int c = 0; c < 32; c++)
                    total += w[c] * x->q[c];
                *o = fmaf((float)total, d * x->s, *o);
            }
        }
    }
}

static void matmul_q4_0(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                        uint32_t row1, float *out, size_t ldo)
{
    matmul32(RL_TYPE_Q4_0, panel, k, a, row0, row1, out, ldo);
}

static void matmul_q5_0(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                        uint32_t row1, float *out, size_t ldo)
{
    matmul32(RL_TYPE_Q5_0, panel, k, a, row0, row1, out, ldo);
}

static void matmul_q8_0(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                        uint32_t row1, float *out, size_t ldo)
{
    matmul32(RL_TYPE_Q8_0, panel, k, a, row0, row1, out, ldo);
}

/* Per run of 32 columns total = scale * dot; sum += total * s and mins += min * (s * sum of q),
 * each by fma in rising order; then out = fma(d, sum, out), out = fma(-dmin, mins, out). */
static float block_q4_k(const rl_row256 *w, const rl_act32 *x, float out)
{
    float sum = 0, mins = 0;

    for (int run = 0; run < 8; run++, x++) {
        int32_t dot = 0;

        for (int c = 0; c < 32; c++)
            dot += w->q[32 * run + c] * x->q[c];
        sum = fmaf((float)(w->scale[run] * dot), x->s, sum);
        mins = fmaf((float)w->min[run], x->sum, mins);
    }
    return fmaf(-w->dmin, mins, fmaf(w->d, sum, out));
}

/* Per run of 32 columns total = sum of its two halves' scale * dot; sum += total * s by fma in
 * rising order; then out = fma(d, sum, out). */
static float block_q6_k(const rl_row256 *w, const rl_act32 *x, float out)
{
    float sum = 0;

    for (int run = 0; run < 8; run++, x++) {
        int32_t dot[2] = { 0, 0 };

        for (int c = 0; c < 32; c++)
            dot[c / 16] += (w->q[32 * run + c] - RL_Q6_K_BIAS) * x->q[c];
        sum = fmaf((float)(w->scale[2 * run] * dot[0] + w->scale[2 * run + 1] * dot[1]), x->s, sum);
    }
    return fmaf(w->d, sum, out);
}

static void matmul_q4_k(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                        uint32_t row1, float *out, size_t ldo)
{
    rl_row256 w;

    clear(row1 - row0, out, ldo);
    for (uint32_t r = 0; r < RL_PANEL_ROWS; r++) {
        for (uint32_t b = 0; b < k / 256; b++) {
            rl_panel_row_q4_k(panel, b, r, &w);
            for (uint32_t row = row0; row < row1; row++) {
                float *o = out + (row - row0) * ldo + r;

                *o = block_q4_k(&w, rl_acts_q8(a, row) + 8 * b, *o);
            }
        }
    }
}

static void matmul_q6_k(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                        uint32_t row1, float *out, size_t ldo)
{
    rl_row256 w;

    clear(row1 - row0, out, ldo);
    for (uint32_t r = 0; r < RL_PANEL_ROWS; r++) {
        for (uint32_t b = 0; b < k / 256; b++) {
            rl_panel_row_q6_k(panel, b, r, &w);
            for (uint32_t row = row0; row < row1; row++) {
                float *o = out + (row - row0) * ldo + r;

                *o = block_q6_k(&w, rl_acts_q8(a, row) + 8 * b, *o);
            }
        }
    }
}

/* Floats: column c goes by fma to chain c % 4; out = (0 + 1) + (2 + 3). */
static void matmul_float(rl_type type, const uint8_t *panel, uint32_t k, const rl_acts *a,
                         uint32_t row0, uint32_t row1, float *out, size_t ldo)
{
    for (uint32_t row = row0; row < row1; row++) {
        const float *x = a->f32 + (size_t)row * k;

        for (uint32_t r = 0; r < RL_PANEL_ROWS; r++) {
            float chain[4] = { 0, 0, 0, 0 };

            for (uint32_t c = 0; c < k; c++)
                chain[c % 4] = fmaf(rl_panel_float(type, panel, c, r), x[c], chain[c % 4]);
            out[(row - row0) * ldo + r] = (chain[0] + chain[1]) + (chain[2] + chain[3]);
        }
    }
}

static void matmul_f32(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                       uint32_t row1, float *out, size_t ldo)
{
    matmul_float(RL_TYPE_F32, panel, k, a, row0, row1, out, ldo);
}

static void matmul_f16(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                       uint32_t row1, float *out, size_t ldo)
{
    matmul_float(RL_TYPE_F16, panel, k, a, row0, row1, out, ldo);
}

static void matmul_bf16(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                        uint32_t row1, float *out, size_t ldo)
{
    matmul_float(RL_TYPE_BF16, panel, k, a, row0, row1, out, ldo);
}

void rl_kernels_init_ref_matmul(rl_kernels *kn)
{
    kn->matmul[RL_TYPE_F32] = matmul_f32;
    kn->matmul[RL_TYPE_F16] = matmul_f16;
    kn->matmul[RL_TYPE_BF16] = matmul_bf16;
    kn->matmul[RL_TYPE_Q4_0] = matmul_q4_0;
    kn->matmul[RL_TYPE_Q5_0] = matmul_q5_0;
    kn->matmul[RL_TYPE_Q8_0] = matmul_q8_0;
    kn->matmul[RL_TYPE_Q4_K] = matmul_q4_k;
    kn->matmul[RL_TYPE_Q6_K] = matmul_q6_k;
    for (uint32_t t = 0; t < RL_TYPE_COUNT; t++)
        kn->matmul_level[t] = RL_LEVEL_REF;
    kn->quantize_row = rl_quantize_row_ref;
}
