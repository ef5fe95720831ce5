/* Attention, AVX-512: tiles of up to 12 query rows with all sums in registers.
 *
 * Scores have keys in lanes (one block = two vectors), values have dimensions in lanes, so every
 * lane is one sum of its own in the order of ref/attn.c. The number of rows and of vectors are
 * constants of each generated function: the arrays below live in registers. */
#include "kernels/x86/attn_x86.h"
#include "kernels/x86/exp_avx512.h"

/* A step is what lies side by side: 16 values in f16, 16 pairs of them in the other types. */
INLINE uint32_t members(rl_kv_type type)
{
    return type == RL_KV_F16 ? 1 : 2;
}

INLINE size_t step_bytes(rl_kv_type type)
{
    return type == RL_KV_F16 ? 32 : type == RL_KV_BF16 ? 64 : 128;
}

/* A step as stored -> its 16 first members and, of pairs, its 16 second ones, masked. */
INLINE void load_step(rl_kv_type type, const uint8_t *p, __m512i second, __m512 *a, __m512 *b)
{
    if (type == RL_KV_F16) {
        *a = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
        *b = _mm512_setzero_ps();
    } else if (type == RL_KV_BF16) {
        __m512i x = _mm512_loadu_si512(p);

        *a = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
        *b = _mm512_castsi512_ps(_mm512_and_si512(x, second));
    } else {
        __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        __m512i x = _mm512_loadu_si512(p), y = _mm512_loadu_si512(p + 64);

        *a = _mm512_castsi512_ps(_mm512_permutex2var_epi32(x, even, y));
        *b = _mm512_castsi512_ps(_mm512_and_si512(_mm512_permutex2var_epi32(x, odd, y), second));
    }
}

/* What keeps the second member of a pair. */
INLINE __m512i keep_second(rl_kv_type type)
{
    return _mm512_set1_epi32(type == RL_KV_BF16 ? (int)0xffff0000u : -1);
}

/* acc[i][c] += q[row i] * x[c] */
INLINE void score_dim(uint32_t rows, const float *q, const __m512 x[2], __m512 acc[][2])
{
    UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        __m512 b = _mm512_set1_ps(q[i * RL_ATTN_MAX_DIM]);

        acc[i][0] = _mm512_fmadd_ps(b, x[0], acc[i][0]);
        acc[i][1] = _mm512_fmadd_ps(b, x[1], acc[i][1]);
    }
}

/* The scores of `rows` rows with the 32 keys of one block. */
INLINE void score_block(uint32_t rows, rl_kv_type type, const rl_attn_run *r, const uint8_t *k,
                        const uint8_t *ahead, float *p)
{
    __m512i second = keep_second(type);
    __m512 acc[RL_ATTN_ROWS][2];

    UNROLL
    for (uint32_t i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = _mm512_setzero_ps();
    for (uint32_t d = 0; d < r->head_dim; d += members(type)) {
        __m512 a[2], b[2];

        load_step(type, k, second, &a[0], &b[0]);
        load_step(type, k + step_bytes(type), second, &a[1], &b[1]);
        fetch(ahead, 2 * step_bytes(type));
        k += 2 * step_bytes(type);
        ahead += 2 * step_bytes(type);
        score_dim(rows, r->q + d, a, acc);
        if (members(type) == 2)
            score_dim(rows, r->q + d + 1, b, acc);
    }
    UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        __m512 scale = _mm512_set1_ps(r->scale);

        _mm512_store_ps(p + i * RL_KV_SEGMENT, _mm512_mul_ps(acc[i][0], scale));
        _mm512_store_ps(p + i * RL_KV_SEGMENT + 16, _mm512_mul_ps(acc[i][1], scale));
    }
}

INLINE void score_run(uint32_t rows, rl_kv_type type, const rl_attn_run *r)
{
    for (uint32_t b = r->lo / RL_KV_BLOCK; b * RL_KV_BLOCK < r->hi; b++)
        score_block(rows, type, r, r->k[b], r->k_ahead[b], r->p + b * RL_KV_BLOCK);
}

/* Softmax of each row within the segment, then the merge's factors for all rows at once. */
static void weights_avx512(const rl_attn_run *r)
{
    uint32_t begin = r->lo / 16 * 16;
    float m2[RL_ATTN_LANES] = { 0 }, s2[RL_ATTN_LANES] = { 0 };
    __mmask16 rows = (__mmask16)((1u << r->rows) - 1);

    for (uint32_t i = 0; i < r->rows; i++) {
        float *p = r->p + (size_t)i * RL_KV_SEGMENT;
        __m512 top = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();

        for (uint32_t j = begin; j < r->hi; j += 16)
            top = _mm512_max_ps(_mm512_load_ps(p + j), top);
        m2[i] = _mm512_reduce_max_ps(top);
        top = _mm512_set1_ps(m2[i]);
        for (uint32_t j = begin; j < r->hi; j += 16) {
            __m512 e = exp_low_avx512(_mm512_sub_ps(_mm512_load_ps(p + j), top));

            _mm512_store_ps(p + j, e);
            sum = _mm512_add_ps(sum, e);
        }
        s2[i] = fold_avx512(sum);
    }
    __m512 m1 = _mm512_maskz_loadu_ps(rows, r->m), mb = _mm512_loadu_ps(m2);
    __m512 m = _mm512_max_ps(m1, mb);
    __m512 wa = exp_low_avx512(_mm512_sub_ps(m1, m)), wb = exp_low_avx512(_mm512_sub_ps(mb, m));
    __m512 s1 = _mm512_maskz_loadu_ps(rows, r->s), sb = _mm512_loadu_ps(s2);

    _mm512_mask_storeu_ps(r->m, rows, m);
    _mm512_mask_storeu_ps(r->s, rows, _mm512_fmadd_ps(s1, wa, _mm512_mul_ps(sb, wb)));
    _mm512_storeu_ps(r->wa, wa);
    _mm512_storeu_ps(r->wb, wb);
}

/* acc[i][c] += p[row i] * x[c] */
INLINE void value_key(uint32_t rows, uint32_t cols, const float *p, const __m512 *x,
                      __m512 acc[][4])
{
    UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        __m512 b = _mm512_set1_ps(p[i * RL_KV_SEGMENT]);

        UNROLL
        for (uint32_t c = 0; c < cols; c++)
            acc[i][c] = _mm512_fmadd_ps(b, x[c], acc[i][c]);
    }
}

/* o = fma(o, wa, (acc + 0) * wb): see ref/attn.c for the + 0. */
INLINE void merge(uint32_t rows, uint32_t cols, const rl_attn_run *r, uint32_t d, __m512 acc[][4])
{
    UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        __m512 wa = _mm512_set1_ps(r->wa[i]), wb = _mm512_set1_ps(r->wb[i]);

        UNROLL
        for (uint32_t c = 0; c < cols; c++) {
            float *o = r->o + i * r->head_dim + d + c * 16;
            __m512 x = _mm512_mul_ps(_mm512_add_ps(acc[i][c], _mm512_setzero_ps()), wb);

            _mm512_storeu_ps(o, _mm512_fmadd_ps(_mm512_loadu_ps(o), wa, x));
        }
    }
}

/* Dimensions [d, d + 16 cols) of the values of `rows` rows. */
INLINE void value_run(uint32_t rows, uint32_t cols, rl_kv_type type, const rl_attn_run *r,
                      uint32_t d)
{
    size_t stride = r->head_dim / 16 * step_bytes(type);
    size_t at = d / 16 * step_bytes(type);
    __m512i second = keep_second(type);
    __m512 acc[RL_ATTN_ROWS][4];

    UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        UNROLL
        for (uint32_t c = 0; c < cols; c++)
            acc[i][c] = _mm512_setzero_ps();
    }
    for (uint32_t j = r->lo - r->lo % members(type); j < r->hi; j += members(type)) {
        size_t off = j % RL_KV_BLOCK / members(type) * stride + at;
        const uint8_t *v = r->v[j / RL_KV_BLOCK] + off;
        __m512 a[4], b[4];

        /* A pair's second token may not be written yet: its e is 0, its v must become 0. */
        if (j + 1 == r->hi)
            second = _mm512_setzero_si512();
        UNROLL
        for (uint32_t c = 0; c < cols; c++)
            load_step(type, v + c * step_bytes(type), second, &a[c], &b[c]);
        fetch(r->v_ahead[j / RL_KV_BLOCK] + off, cols * step_bytes(type));
        value_key(rows, cols, r->p + j, a, acc);
        if (members(type) == 2)
            value_key(rows, cols, r->p + j + 1, b, acc);
    }
    merge(rows, cols, r, d, acc);
}

/* One function per number of rows: four vectors wide while the registers hold them. */
#define TILE(rows, name, type)                                                                     \
    static void scores_##name##_##rows(const rl_attn_run *r)                                       \
    {                                                                                              \
        score_run(rows, type, r);                                                                  \
    }                                                                                              \
    static void values_##name##_##rows(const rl_attn_run *r)                                       \
    {                                                                                              \
        uint32_t d = 0;                                                                            \
                                                                                                   \
        if (rows <= 6)                                                                             \
            for (; d + 64 <= r->head_dim; d += 64)                                                 \
                value_run(rows, rows <= 6 ? 4 : 1, type, r, d);                                    \
        for (; d + 32 <= r->head_dim; d += 32)                                                     \
            value_run(rows, 2, type, r, d);                                                        \
        if (d < r->head_dim)                                                                       \
            value_run(rows, 1, type, r, d);                                                        \
    }

#define ROWS(X, name, type)                                                                        \
    X(1, name, type)                                                                               \
    X(2, name, type)                                                                               \
    X(3, name, type)                                                                               \
    X(4, name, type)                                                                               \
    X(5, name, type)                                                                               \
    X(6, name, type)                                                                               \
    X(7, name, type)                                                                               \
    X(8, name, type)                                                                               \
    X(9, name, type)                                                                               \
    X(10, name, type)                                                                              \
    X(11, name, type)                                                                              \
    X(12, name, type)

ROWS(TILE, f16, RL_KV_F16)
ROWS(TILE, bf16, RL_KV_BF16)
ROWS(TILE, f32, RL_KV_F32)

ATTEND(avx512, RL_ATTN_ROWS)
