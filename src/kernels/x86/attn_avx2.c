/* Attention, AVX2 + FMA: tiles of up to 6 query rows with all sums in registers.
 *
 * Scores have keys in lanes, values have dimensions in lanes, so every lane is one sum of its own
 * in the order of ref/attn.c. The number of rows and of vectors are constants of each generated
 * function: the arrays below live in registers. */
#include "kernels/x86/attn_x86.h"
#include "kernels/x86/exp_avx2.h"

#include <string.h>

#define ROWS_MAX 6u
#define F16_MAX  65504.0f

/* 8 floats to f16, nearest even, saturated: minps and maxps answer their second operand when it is
 * a NaN. */
static inline __m128i f16_saturated(const float *x)
{
    __m256 y = _mm256_min_ps(_mm256_set1_ps(F16_MAX), _mm256_loadu_ps(x));

    y = _mm256_max_ps(_mm256_set1_ps(-F16_MAX), y);
    return _mm256_cvtps_ph(y, _MM_FROUND_TO_NEAREST_INT);
}

/* 8 floats to bf16, nearest even, NaN kept, in the low halves of 8 words. */
static inline __m256i bf16_of(const float *x)
{
    __m256i u = _mm256_loadu_si256((const __m256i *)x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i size = _mm256_and_si256(u, _mm256_set1_epi32(0x7fffffff));
    __m256i nan = _mm256_cmpgt_epi32(size, _mm256_set1_epi32(0x7f800000));

    u = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    return _mm256_srli_epi32(_mm256_blendv_epi8(up, u, nan), 16);
}

/* Other slots of the slabs may be written by other threads at the same time: only this slot's own
 * bytes are stored. */
static void put_f16(uint32_t head_dim, const float *k, const float *v, uint16_t *ks, uint16_t *vs,
                    uint32_t slot)
{
    ks += slot;
    vs += (size_t)slot * head_dim;
    for (uint32_t d = 0; d < head_dim; d += 8) {
        uint16_t kw[8];

        _mm_storeu_si128((__m128i *)kw, f16_saturated(k + d));
        _mm_storeu_si128((__m128i *)(vs + d), f16_saturated(v + d));
        for (uint32_t i = 0; i < 8; i++)
            ks[(size_t)(d + i) * RL_KV_BLOCK] = kw[i];
    }
}

static void put_bf16(uint32_t head_dim, const float *k, const float *v, uint16_t *ks, uint16_t *vs,
                     uint32_t slot)
{
    ks += (size_t)slot * 2;
    vs += (size_t)(slot / 2) * head_dim * 2 + slot % 2;
    for (uint32_t d = 0; d < head_dim; d += 8) {
        uint32_t kw[8], vw[8];

        _mm256_storeu_si256((__m256i *)kw, bf16_of(k + d));
        _mm256_storeu_si256((__m256i *)vw, bf16_of(v + d));
        for (uint32_t i = 0; i < 8; i += 2) {
            uint32_t pair = kw[i] | kw[i + 1] << 16;

            memcpy(ks + (size_t)(d + i) * RL_KV_BLOCK, &pair, sizeof pair);
        }
        for (uint32_t i = 0; i < 8; i++)
            vs[(size_t)(d + i) * 2] = (uint16_t)vw[i];
    }
}

static void put_f32(uint32_t head_dim, const float *k, const float *v, float *ks, float *vs,
                    uint32_t slot)
{
    ks += (size_t)slot * 2;
    vs += (size_t)(slot / 2) * head_dim * 2 + slot % 2;
    for (uint32_t d = 0; d < head_dim; d += 2)
        memcpy(ks + (size_t)d * RL_KV_BLOCK, k + d, 2 * sizeof *k);
    for (uint32_t d = 0; d < head_dim; d++)
        vs[(size_t)d * 2] = v[d];
}

void rl_kernels_kv_put_avx2(rl_kv_type type, uint32_t head_dim, const float *k, const float *v,
                            void *k_slab, void *v_slab, uint32_t slot)
{
    if (type == RL_KV_F16)
        put_f16(head_dim, k, v, k_slab, v_slab, slot);
    else if (type == RL_KV_BF16)
        put_bf16(head_dim, k, v, k_slab, v_slab, slot);
    else
        put_f32(head_dim, k, v, k_slab, v_slab, slot);
}

/* A step is what lies side by side: 8 values in f16, 8 pairs of them in the other types. */
INLINE uint32_t members(rl_kv_type type)
{
    return type == RL_KV_F16 ? 1 : 2;
}

INLINE size_t step_bytes(rl_kv_type type)
{
    return type == RL_KV_F16 ? 16 : type == RL_KV_BF16 ? 32 : 64;
}

/* A step as stored -> its 8 first members. */
INLINE __m256 load_first(rl_kv_type type, const uint8_t *p)
{
    __m256 x, y;

    if (type == RL_KV_F16)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
    x = _mm256_loadu_ps((const float *)p);
    if (type == RL_KV_BF16)
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 16));
    y = _mm256_loadu_ps((const float *)p + 8);
    return _mm256_shuffle_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31),
                             0x88);
}

/* The 8 second members of pairs, masked. */
INLINE __m256 load_second(rl_kv_type type, const uint8_t *p, __m256i mask)
{
    __m256 x = _mm256_loadu_ps((const float *)p), y;

    if (type == RL_KV_F32) {
        y = _mm256_loadu_ps((const float *)p + 8);
        x = _mm256_shuffle_ps(_mm256_permute2f128_ps(x, y, 0x20),
                              _mm256_permute2f128_ps(x, y, 0x31), 0xdd);
    }
    return _mm256_and_ps(x, _mm256_castsi256_ps(mask));
}

/* Holds a sum in its register here and loads nothing early: 12 sums, 2 operands and a factor fill
 * the 16 registers, and left alone the compiler loads factors ahead and spills sums. */
#define PIN(sum) __asm__ volatile("" : "+x"(sum) : : "memory")

/* What keeps the second member of a pair. */
INLINE __m256i keep_second(rl_kv_type type)
{
    return _mm256_set1_epi32(type == RL_KV_BF16 ? (int)0xffff0000u : -1);
}

/* acc[i][c] += f[stride i] * x[c]: f is q or e, x are keys or values. */
INLINE void multiply(uint32_t rows, uint32_t cols, const float *f, uint32_t stride, const __m256 *x,
                     __m256 acc[][4])
{
    UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        __m256 b = _mm256_broadcast_ss(f + (size_t)i * stride);

        UNROLL
        for (uint32_t c = 0; c < cols; c++)
            acc[i][c] = _mm256_fmadd_ps(b, x[c], acc[i][c]);
        UNROLL
        for (uint32_t c = 0; c < cols; c++)
            PIN(acc[i][c]);
    }
}

/* The same for all members of `cols` steps at p, with the factors f[0] and f[1]. */
INLINE void multiply_steps(uint32_t rows, uint32_t cols, rl_kv_type type, const uint8_t *p,
                           __m256i mask, const float *f, uint32_t stride, __m256 acc[][4])
{
    __m256 x[4];

    UNROLL
    for (uint32_t c = 0; c < cols; c++)
        x[c] = load_first(type, p + c * step_bytes(type));
    multiply(rows, cols, f, stride, x, acc);
    if (members(type) == 1)
        return;
    UNROLL
    for (uint32_t c = 0; c < cols; c++)
        x[c] = load_second(type, p + c * step_bytes(type), mask);
    multiply(rows, cols, f + 1, stride, x, acc);
}

INLINE void clear(uint32_t rows, uint32_t cols, __m256 acc[][4])
{
    UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        UNROLL
        for (uint32_t c = 0; c < cols; c++)
            acc[i][c] = _mm256_setzero_ps();
    }
}

/* The scores of `rows` rows with 8 cols keys of one block, from the step at k; `ahead` is the same
 * place in the slab to fetch. */
INLINE void score_keys(uint32_t rows, uint32_t cols, rl_kv_type type, const rl_attn_run *r,
                       const uint8_t *k, const uint8_t *ahead, float *p)
{
    __m256i mask = keep_second(type);
    __m256 acc[ROWS_MAX][4];

    clear(rows, cols, acc);
    for (uint32_t d = 0; d < r->head_dim; d += members(type)) {
        fetch(ahead, cols * step_bytes(type));
        multiply_steps(rows, cols, type, k, mask, r->q + d, RL_ATTN_MAX_DIM, acc);
        k += 4 * step_bytes(type);
        ahead += 4 * step_bytes(type);
    }
    UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        UNROLL
        for (uint32_t c = 0; c < cols; c++)
            _mm256_store_ps(p + i * RL_KV_SEGMENT + c * 8,
                            _mm256_mul_ps(acc[i][c], _mm256_set1_ps(r->scale)));
    }
}

INLINE void score_run(uint32_t rows, uint32_t cols, rl_kv_type type, const rl_attn_run *r)
{
    for (uint32_t j = r->lo / RL_KV_BLOCK * RL_KV_BLOCK; j < r->hi; j += 8 * cols) {
        uint32_t b = j / RL_KV_BLOCK;
        size_t off = j % RL_KV_BLOCK / 8 * step_bytes(type);

        score_keys(rows, cols, type, r, r->k[b] + off, r->k_ahead[b] + off, r->p + j);
    }
}

static float max_of(__m256 v)
{
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}

/* One row's scores [begin, end) become weights. -> their sum; *m their maximum */
static float weights_row(float *p, uint32_t begin, uint32_t end, float *m)
{
    __m256 top = _mm256_set1_ps(-INFINITY), low = _mm256_setzero_ps(), high = low;

    for (uint32_t j = begin; j < end; j += 8)
        top = _mm256_max_ps(_mm256_load_ps(p + j), top);
    *m = max_of(top);
    top = _mm256_set1_ps(*m);
    for (uint32_t j = begin; j < end; j += 16) {
        __m256 a = exp_low_avx2(_mm256_sub_ps(_mm256_load_ps(p + j), top));
        __m256 b = exp_low_avx2(_mm256_sub_ps(_mm256_load_ps(p + j + 8), top));

        _mm256_store_ps(p + j, a);
        _mm256_store_ps(p + j + 8, b);
        low = _mm256_add_ps(low, a);
        high = _mm256_add_ps(high, b);
    }
    return fold_avx2(low, high);
}

/* Softmax of each row within the segment, then the merge's factors for all rows at once. */
static void weights_avx2(const rl_attn_run *r)
{
    uint32_t begin = r->lo / 16 * 16, end = (r->hi + 15) / 16 * 16;
    float m2[8] = { 0 }, s2[8] = { 0 };
    __m256i rows = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)r->rows),
                                      _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));

    for (uint32_t i = 0; i < r->rows; i++)
        s2[i] = weights_row(r->p + (size_t)i * RL_KV_SEGMENT, begin, end, &m2[i]);

    __m256 m1 = _mm256_maskload_ps(r->m, rows), mb = _mm256_loadu_ps(m2);
    __m256 m = _mm256_max_ps(m1, mb);
    __m256 wa = exp_low_avx2(_mm256_sub_ps(m1, m)), wb = exp_low_avx2(_mm256_sub_ps(mb, m));
    __m256 s1 = _mm256_maskload_ps(r->s, rows), sb = _mm256_loadu_ps(s2);

    _mm256_maskstore_ps(r->m, rows, m);
    _mm256_maskstore_ps(r->s, rows, _mm256_fmadd_ps(s1, wa, _mm256_mul_ps(sb, wb)));
    _mm256_storeu_ps(r->wa, wa);
    _mm256_storeu_ps(r->wb, wb);
}

/* o = fma(o, wa, (acc + 0) * wb): see ref/attn.c for the + 0. */
INLINE void merge(uint32_t rows, uint32_t cols, const rl_attn_run *r, uint32_t d, __m256 acc[][4])
{
    UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        __m256 wa = _mm256_set1_ps(r->wa[i]), wb = _mm256_set1_ps(r->wb[i]);

        UNROLL
        for (uint32_t c = 0; c < cols; c++) {
            float *o = r->o + (size_t)i * r->head_dim + d + c * 8;
            __m256 x = _mm256_mul_ps(_mm256_add_ps(acc[i][c], _mm256_setzero_ps()), wb);

            _mm256_storeu_ps(o, _mm256_fmadd_ps(_mm256_loadu_ps(o), wa, x));
        }
    }
}

/* Dimensions [d, d + 8 cols) of the values of `rows` rows. */
INLINE void value_run(uint32_t rows, uint32_t cols, rl_kv_type type, const rl_attn_run *r,
                      uint32_t d)
{
    size_t stride = r->head_dim / 8 * step_bytes(type);
    size_t at = d / 8 * step_bytes(type);
    __m256i mask = keep_second(type);
    __m256 acc[ROWS_MAX][4];

    clear(rows, cols, acc);
    for (uint32_t j = r->lo - r->lo % members(type); j < r->hi; j += members(type)) {
        size_t off = j % RL_KV_BLOCK / members(type) * stride + at;
        const uint8_t *v = r->v[j / RL_KV_BLOCK] + off;

        /* A pair's second token may not be written yet: its e is 0, its v must become 0. */
        if (j + 1 == r->hi)
            mask = _mm256_setzero_si256();
        fetch(r->v_ahead[j / RL_KV_BLOCK] + off, cols * step_bytes(type));
        multiply_steps(rows, cols, type, v, mask, r->p + j, RL_KV_SEGMENT, acc);
    }
    merge(rows, cols, r, d, acc);
}

/* One function per number of rows: four vectors wide while the registers hold them. */
#define TILE(rows, name, type)                                                                     \
    static void scores_##name##_##rows(const rl_attn_run *r)                                       \
    {                                                                                              \
        score_run(rows, rows <= 3 ? 4 : 2, type, r);                                               \
    }                                                                                              \
    static void values_##name##_##rows(const rl_attn_run *r)                                       \
    {                                                                                              \
        uint32_t d = 0;                                                                            \
                                                                                                   \
        if (rows <= 3)                                                                             \
            for (; d + 32 <= r->head_dim; d += 32)                                                 \
                value_run(rows, rows <= 3 ? 4 : 1, type, r, d);                                    \
        for (; d < r->head_dim; d += 16)                                                           \
            value_run(rows, 2, type, r, d);                                                        \
    }

#define ROWS(X, name, type)                                                                        \
    X(1, name, type)                                                                               \
    X(2, name, type)                                                                               \
    X(3, name, type)                                                                               \
    X(4, name, type)                                                                               \
    X(5, name, type)                                                                               \
    X(6, name, type)

ROWS(TILE, f16, RL_KV_F16)
ROWS(TILE, bf16, RL_KV_BF16)
ROWS(TILE, f32, RL_KV_F32)

ATTEND(avx2, ROWS_MAX)
