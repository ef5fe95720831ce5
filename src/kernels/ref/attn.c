/* Attention over paged KV in plain C: the specification (kernels.h), one query row at a time. */
#include "kernels/attn.h"
#include "kernels/ref/exp.h"

#define F16_MAX 65504.0f

/* Where dimension d of token `slot` is, in elements. */
static size_t k_index(rl_kv_type type, uint32_t slot, uint32_t d)
{
    if (type == RL_KV_F16)
        return (size_t)d * RL_KV_BLOCK + slot;
    return ((size_t)(d / 2) * RL_KV_BLOCK + slot) * 2 + d % 2;
}

static size_t v_index(rl_kv_type type, uint32_t slot, uint32_t d, uint32_t head_dim)
{
    if (type == RL_KV_F16)
        return (size_t)slot * head_dim + d;
    return ((size_t)(slot / 2) * head_dim + d) * 2 + slot % 2;
}

/* A NaN passes both comparisons unchanged. */
static uint16_t f16_saturated(float x)
{
    x = x > F16_MAX ? F16_MAX : x;
    x = x < -F16_MAX ? -F16_MAX : x;
    return rl_f32_to_f16(x);
}

static void put(rl_kv_type type, void *slab, size_t at, float x)
{
    if (type == RL_KV_F16)
        ((uint16_t *)slab)[at] = f16_saturated(x);
    else if (type == RL_KV_BF16)
        ((uint16_t *)slab)[at] = rl_f32_to_bf16(x);
    else
        ((float *)slab)[at] = x;
}

static float get(rl_kv_type type, const void *slab, size_t at)
{
    if (type == RL_KV_F16)
        return rl_f16_to_f32(((const uint16_t *)slab)[at]);
    if (type == RL_KV_BF16)
        return rl_bf16_to_f32(((const uint16_t *)slab)[at]);
    return ((const float *)slab)[at];
}

void rl_kernels_kv_put_ref(rl_kv_type type, uint32_t head_dim, const float *k, const float *v,
                           void *k_slab, void *v_slab, uint32_t slot)
{
    for (uint32_t d = 0; d < head_dim; d++) {
        put(type, k_slab, k_index(type, slot, d), k[d]);
        put(type, v_slab, v_index(type, slot, d, head_dim), v[d]);
    }
}

static float score(const rl_attn *a, const float *q, uint32_t key)
{
    const uint8_t *slab = (const uint8_t *)a->blocks[key / RL_KV_BLOCK] + a->k_offset;
    float sum = 0;

    for (uint32_t d = 0; d < a->head_dim; d++)
        sum = fmaf(q[d], get(a->type, slab, k_index(a->type, key % RL_KV_BLOCK, d)), sum);
    return sum * a->scale;
}

/* Keys [begin, end) of one segment -> *m, *s and o[head_dim]. */
static void attend_segment(const rl_attn *a, const float *q, uint32_t begin, uint32_t end, float *m,
                           float *s, float *o)
{
    float e[RL_KV_SEGMENT];
    float lane[16] = { 0 };

    *m = -INFINITY;
    for (uint32_t j = begin; j < end; j++) {
        e[j - begin] = score(a, q, j);
        *m = e[j - begin] > *m ? e[j - begin] : *m;
    }
    for (uint32_t d = 0; d < a->head_dim; d++)
        o[d] = 0;
    for (uint32_t j = begin; j < end; j++) {
        const uint8_t *slab = (const uint8_t *)a->blocks[j / RL_KV_BLOCK] + a->v_offset;
        float p = exp_ref(e[j - begin] - *m);

        lane[j % 16] += p;
        for (uint32_t d = 0; d < a->head_dim; d++)
            o[d] = fmaf(p, get(a->type, slab, v_index(a->type, j % RL_KV_BLOCK, d, a->head_dim)),
                        o[d]);
    }
    for (uint32_t half = 8; half; half /= 2)
        for (uint32_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    *s = lane[0];
    /* A zero leaves as +0, so that a hidden key that adds 0 * v to it changes nothing. */
    for (uint32_t d = 0; d < a->head_dim; d++)
        o[d] += 0.0f;
}

static void attend_row(const rl_attn *a, const float *q, uint32_t pos, float *out)
{
    float o[RL_ATTN_MAX_DIM], o2[RL_ATTN_MAX_DIM];
    float m = 0, s = 0, m2, s2;
    uint32_t first = a->window && pos >= a->window ? pos - a->window + 1 : 0;

    for (uint32_t begin = first, end; begin <= pos; begin = end) {
        end = (begin / RL_KV_SEGMENT + 1) * RL_KV_SEGMENT;
        end = end < pos + 1 ? end : pos + 1;
        if (begin == first) {
            attend_segment(a, q, begin, end, &m, &s, o);
            continue;
        }
        attend_segment(a, q, begin, end, &m2, &s2, o2);
        float top = m > m2 ? m : m2;
        float wa = exp_ref(m - top), wb = exp_ref(m2 - top);

        m = top;
        s = fmaf(s, wa, s2 * wb);
        for (uint32_t d = 0; d < a->head_dim; d++)
            o[d] = fmaf(o[d], wa, o2[d] * wb);
    }
    for (uint32_t d = 0; d < a->head_dim; d++)
        /* attend_segment wrote all of o2:
         * NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
        out[d] = o[d] * (1.0f / s);
}

void rl_kernels_attend_ref(const rl_attn *a, void *scratch)
{
    (void)scratch;
    for (uint32_t t = 0; t < a->n_tokens; t++)
        for (uint32_t h = 0; h < a->group; h++) {
            size_t at = (size_t)h * a->head_dim;

            attend_row(a, a->q + t * a->q_stride + at, a->pos + t, a->out + t * a->out_stride + at);
        }
}
