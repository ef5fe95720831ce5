/* Kernels: pure arithmetic on the caller's memory. No allocation, no threads, no errors.
 *
 * 1. rl_kernels is a struct of function pointers: the scalar reference (ref/) fills every slot,
 * each CPU level (x86/ *_avx2.c, *_avx512.c) overwrites what it improves. The reference is the
 *    specification: every level answers the same bits (tests/kcheck compares with memcmp).
 * 2. A result row depends on its own input row alone: not on how many rows stand beside it, on the
 *    order of calls, on the thread or on the level (DESIGN decision 3).
 * 3. Sums over a row run in 16 fixed lanes (element i goes to lane i % 16, in rising order), folded
 *    as l[i] += l[i + 8], then + 4, + 2, + 1. Fused multiply-add wherever the text says fma.
 * 4. No libm: exp is our own polynomial. No pointer needs alignment unless it says so; packed
 * panels and scratch are 64-byte aligned.
 * 5. Any thread; the structs are constant after rl_kernels_get. */
#ifndef RL_KERNELS_KERNELS_H
#define RL_KERNELS_KERNELS_H

#include "kernels/quant.h"

/* ---- CPU levels ------------------------------------------------------------------------------ */

/* A level is a fixed set of CPU features; each includes the ones before. */
typedef enum rl_level {
    RL_LEVEL_REF,    /* plain C */
    RL_LEVEL_AVX2,   /* AVX2 FMA F16C */
    RL_LEVEL_AVX512, /* AVX512 F BW VL DQ VNNI VBMI */
    RL_LEVELS
} rl_level;

const char *rl_level_name(rl_level level); /* "ref" "avx2" "avx512" */
rl_level rl_level_of_cpu(void);            /* the highest this CPU and kernel offer */
const char *rl_cpu_name(void);             /* "AMD EPYC 9R14", for reports */

/* ---- activations ----------------------------------------------------------------------------- */

/* 32 columns of a row: q = round to nearest even(x * (1 / s)), s = max|x| / 127; q never is -128.
 * s below FLT_MIN: all q and s are 0. A value that is not finite: all q 0 and s NaN, which every
 * output of the row then shows. */
typedef struct rl_act32 {
    int8_t q[32];
    float s;
    float sum;         /* s * sum of q: what a block's minimum is multiplied by */
    int32_t bias;      /* -128 * sum of q, for kernels with weights made unsigned */
    int32_t bias16[2]; /* -32 * sum of q over each half */
} rl_act32;

/* m rows of k activations in the forms their matmuls take. Only the forms in `forms` are filled.
 * Rows of records lie q8_stride bytes apart. */
typedef struct rl_acts {
    uint32_t m, k;
    uint32_t forms; /* bit (1 << rl_act_form) */
    float *f32;     /* [m][k] */
    uint8_t *q8;    /* [m] rows of rl_act32 [k / 32] */
    size_t q8_stride;
} rl_acts;

static inline rl_act32 *rl_acts_q8(const rl_acts *a, uint32_t row)
{
    return (rl_act32 *)(void *)(a->q8 + row * a->q8_stride);
}

/* Bytes that m rows x k columns in `forms` take, and the carving of `memory` (64-byte aligned). k
 * is a multiple of 32 with RL_ACT_Q8. */
size_t rl_acts_bytes(uint32_t m, uint32_t k, uint32_t forms);
void rl_acts_init(rl_acts *a, void *memory, uint32_t m, uint32_t k, uint32_t forms);

/* ---- weights and matmul ---------------------------------------------------------------------- */

/* A packed matrix, borrowed. */
typedef struct rl_weight {
    rl_type type;
    uint32_t n, k;         /* [n outputs][k inputs] */
    const uint8_t *panels; /* [rl_weight_panels(n)][panel_bytes], 64-byte aligned */
    size_t panel_bytes;
} rl_weight;

static inline uint32_t rl_weight_panels(uint32_t n)
{
    return (n + RL_PANEL_ROWS - 1) / RL_PANEL_ROWS;
}

/* ---- attention ------------------------------------------------------------------------------- */

#define RL_KV_BLOCK   32u  /* tokens of a KV block */
#define RL_KV_SEGMENT 256u /* keys of an attention segment */

/* bf16 is the default: any f32 has its place there and widening is a shift (docs/adr/0008). */
typedef enum rl_kv_type {
    RL_KV_BF16 = 0,
    RL_KV_F16 = 1,
    RL_KV_F32 = 2,
    RL_KV_TYPES = 3
} rl_kv_type;

/* Bytes of the K slab, and of the V slab, of one block for one layer and one KV head.
 *   f16:       K [head_dim][32 tokens], V [32 tokens][head_dim]: a load that widens takes one
 *              dimension of 16 keys, or 16 dimensions of one token.
 *   bf16, f32: K by pairs of dimensions [head_dim / 2][32 tokens][2], so that a vector holds one
 *              pair of 16 keys; V by pairs of tokens [16][head_dim][2]. */
size_t rl_kv_slab_bytes(rl_kv_type type, uint32_t head_dim);

/* One sequence, one KV head and its group of query heads, n_tokens consecutive query tokens.
 *
 * For each query row (token t at position p = pos + t, head h of the group):
 *   visible keys j: j <= p, and p - j < window when window > 0
 *   score_j = scale * sum over d of q[d] * k_j[d], fma from 0 in rising d, then one multiply
 * Per absolute segment of 256 keys that has a visible one, in rising order: m = max of its visible
 * scores, e_j = exp(score_j - m), s = sum of e_j in 16 lanes (key j -> lane j % 16) folded as in 3,
 * o[d] = sum over j of e_j * v_j[d], fma from 0 in rising j, then + 0 (so that a zero is +0 and a
 * hidden key's 0 * v cannot show in its sign). Segments are merged left to right:
 *   M = max(m1, m2), a = exp(m1 - M), b = exp(m2 - M), s = fma(s1, a, s2 * b),
 *   o[d] = fma(o1[d], a, o2[d] * b), even when there is only one (M, s, o start as the first one).
 * out = o[d] * (1 / s). Keys that are not visible contribute nothing and are never multiplied by
 * stale memory of the block (their e is 0 and they are skipped or the memory is finite). */
typedef struct rl_attn {
    rl_kv_type type;
    uint32_t head_dim; /* multiple of 16, <= 256 */
    uint32_t group;    /* query heads that share this KV head, 1..32 */
    uint32_t n_tokens; /* query tokens */
    uint32_t pos;      /* absolute position of the first one */
    uint32_t window;   /* 0: all keys before */
    float scale;
    const float *q;            /* head h of token t at q + t * q_stride + h * head_dim */
    size_t q_stride;           /* floats */
    float *out;                /* laid out like q */
    size_t out_stride;         /* floats */
    const void *const *blocks; /* [(pos + n_tokens - 1) / 32 + 1] base of each block */
    size_t k_offset;           /* bytes from a block's base to this layer and head's K slab */
    size_t v_offset;
} rl_attn;

/* Scratch bytes one attend call needs, for any n_tokens. */
size_t rl_attn_scratch_bytes(uint32_t head_dim, uint32_t group);

/* ---- the struct ------------------------------------------------------------------------------ */

typedef enum rl_rope_kind {
    RL_ROPE_NORM,
    RL_ROPE_NEOX
} rl_rope_kind; /* pairs (2i, 2i+1) | (i, i + n/2) */

typedef struct rl_kernels rl_kernels;

/* out[m][16] (rows ldo floats apart) = panel [16][k] times activation rows [row0, row1), at least
 * one. Writes all 16 columns. What lies behind the panel is prefetched as the next one. */
typedef void (*rl_matmul_fn)(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                             uint32_t row1, float *out, size_t ldo);

struct rl_kernels {
    rl_level level;
    rl_matmul_fn matmul[RL_TYPE_COUNT];   /* NULL where the type has no kernels */
    rl_level matmul_level[RL_TYPE_COUNT]; /* the level that slot really has */

    /* One row x [k] into row `row` of every form in a->forms. */
    void (*quantize_row)(rl_acts *a, uint32_t row, const float *x);

    /* y[i] = (x[i] * r) * w[i], r = 1 / sqrt(sum(x^2) / n + eps) (IEEE sqrt and division); the sum
     * by fma. y may be x. n a multiple of 16. */
    void (*rmsnorm)(const float *x, const float *w, float eps, uint32_t n, float *y);

    /* y[i] += x[i] */
    void (*add)(float *y, const float *x, uint32_t n);

    /* y[i] *= s */
    void (*scale)(float *y, float s, uint32_t n);

    /* out[i] = act(gate[i]) * up[i]. silu(x) = x / (1 + exp(-x));
     * gelu (tanh form) = x / (1 + exp(-2 u)), u = sqrt(2 / pi) * (x + 0.044715 x^3). */
    void (*silu_mul)(const float *gate, const float *up, uint32_t n, float *out);
    void (*gelu_mul)(const float *gate, const float *up, uint32_t n, float *out);

    /* Rotates the first n_rot dimensions of n_heads vectors [head_dim] in place. cos, sin: [n_rot /
     * 2]. (a, b) -> (fma(a, c, -(b * s)), fma(a, s, b * c)). */
    void (*rope)(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot, const float *cos,
                 const float *sin, rl_rope_kind kind);

    /* Writes one token's k and v [head_dim] into slot (0..31) of the slabs, rounded to the type,
     * nearest even. f16 saturates: what is beyond +-65504, infinity too, becomes +-65504; NaN stays
     * NaN. No byte of another slot is written: other threads may be writing those. */
    void (*kv_put)(rl_kv_type type, uint32_t head_dim, const float *k, const float *v, void *k_slab,
                   void *v_slab, uint32_t slot);

    void (*attend)(const rl_attn *a, void *scratch);

    /* e^x per element, own polynomial: 0 below -87.33, saturates at FLT_MAX above 88.72. NaN -> NaN
     */
    void (*exp)(const float *x, uint32_t n, float *y);

    /* Index of the largest of x[0..n), n > 0; ties to the lower index; NaN never wins. */
    uint32_t (*argmax)(const float *x, uint32_t n);
};

/* The kernels of the highest level this CPU has, or of the lower one named by REALM_CPU=ref|avx2|
 * avx512 (read once; a level that the CPU lacks, or another word, is an error told by
 * rl_kernels_check). Constant, never freed. */
const rl_kernels *rl_kernels_get(void);

/* NULL when REALM_CPU is unset or can be had, else a sentence that says what is wrong with it. */
const char *rl_kernels_check(void);

/* The kernels of one level, for tests. NULL when this CPU lacks it. */
const rl_kernels *rl_kernels_of(rl_level level);

/* Panels [panel0, panel1) of w times rows [row0, row1) of a: out[row][panel * 16 + i], where `out`
 * is row 0, column 0 and rows are ldo >= 16 * rl_weight_panels(w->n) floats apart. a holds the form
 * of w's type. Counts the call under (type, level that served it). Rows of a few dozen at a time go
 * through all the panels, so a call should name as many rows as there are and few panels (about 8).
 */
void rl_matmul(const rl_kernels *kn, const rl_weight *w, const rl_acts *a, uint32_t row0,
               uint32_t row1, uint32_t panel0, uint32_t panel1, float *out, size_t ldo);

/* The same from weights dequantised to f32 and unquantised activations (a holds RL_ACT_F32): the
 * reference path of `--reference`. out = sum over k by fma in 4 interleaved chains (k % 4), folded
 * (0 + 1) + (2 + 3), at every level.
 * scratch: [rl_matmul_f32_scratch_bytes(k)], 64-byte aligned, the calling worker's own. */
void rl_matmul_f32(const rl_kernels *kn, const rl_weight *w, const rl_acts *a, uint32_t row0,
                   uint32_t row1, uint32_t panel0, uint32_t panel1, float *out, size_t ldo,
                   void *scratch);

size_t rl_matmul_f32_scratch_bytes(uint32_t k);

/* Calls of rl_matmul served so far in this process. */
uint64_t rl_matmul_served(rl_type type, rl_level level);

#endif
