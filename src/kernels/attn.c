/* The frame of tiled attention: which rows make a tile, which keys of which segment they see. */
#include "kernels/attn.h"

#include "base/tsan.h"

#include <math.h>
#include <string.h>

size_t rl_kv_slab_bytes(rl_kv_type type, uint32_t head_dim)
{
    return (size_t)RL_KV_BLOCK * head_dim * (type == RL_KV_F32 ? 4u : 2u);
}

/* Four vectors of state, then q, p and o of a tile: independent of how many rows a call has. */
size_t rl_attn_scratch_bytes(uint32_t head_dim, uint32_t group)
{
    (void)group;
    return (4 * RL_ATTN_LANES +
            (size_t)RL_ATTN_ROWS * (RL_ATTN_MAX_DIM + RL_KV_SEGMENT + head_dim)) *
           sizeof(float);
}

/* Consecutive query rows of one call. */
typedef struct tile {
    const rl_attn *a;
    uint64_t row0; /* row i is head i % group of token i / group */
    uint32_t rows;
    float *m, *s, *wa, *wb, *q, *p, *o;
} tile;

static uint32_t row_pos(const tile *t, uint32_t row)
{
    return t->a->pos + (uint32_t)((t->row0 + row) / t->a->group);
}

static uint32_t first_key(const rl_attn *a, uint32_t pos)
{
    return a->window && pos >= a->window ? pos - a->window + 1 : 0;
}

static size_t row_at(const tile *t, uint32_t row, size_t stride)
{
    uint64_t i = t->row0 + row;

    return (size_t)(i / t->a->group) * stride + (size_t)(i % t->a->group) * t->a->head_dim;
}

/* m = -inf, s = 0, o = 0: the merge then takes the first segment as it is (factors 0 and 1). */
static void tile_begin(tile *t, const rl_attn *a, uint64_t row0, uint32_t rows, float *scratch)
{
    *t = (tile){ .a = a, .row0 = row0, .rows = rows, .m = scratch };
    t->s = t->m + RL_ATTN_LANES;
    t->wa = t->s + RL_ATTN_LANES;
    t->wb = t->wa + RL_ATTN_LANES;
    t->q = t->wb + RL_ATTN_LANES;
    t->p = t->q + (size_t)RL_ATTN_ROWS * RL_ATTN_MAX_DIM;
    t->o = t->p + (size_t)RL_ATTN_ROWS * RL_KV_SEGMENT;
    for (uint32_t i = 0; i < RL_ATTN_LANES; i++) {
        t->m[i] = -INFINITY;
        t->s[i] = 0;
    }
    memset(t->o, 0, (size_t)rows * a->head_dim * sizeof *t->o);
    for (uint32_t i = 0; i < rows; i++)
        memcpy(t->q + (size_t)i * RL_ATTN_MAX_DIM, a->q + row_at(t, i, a->q_stride),
               a->head_dim * sizeof(float));
}

/* The keys of the segment at `base` that `row` sees, relative to it; empty when *lo >= *hi. */
static void visible(const tile *t, uint32_t row, uint32_t base, uint32_t *lo, uint32_t *hi)
{
    uint32_t pos = row_pos(t, row);
    uint32_t first = first_key(t->a, pos);

    *lo = first > base ? first - base : 0;
    *hi = pos < base ? 0 : pos - base + 1;
    *lo = *lo < RL_KV_SEGMENT ? *lo : RL_KV_SEGMENT;
    *hi = *hi < RL_KV_SEGMENT ? *hi : RL_KV_SEGMENT;
}

/* Hides from each row the keys that only its neighbours see, and the rest of the outer vectors. */
static void hide(const tile *t, const rl_attn_run *r, uint32_t row0, uint32_t base)
{
    uint32_t begin = r->lo / 16 * 16;
    uint32_t end = (r->hi + 15) / 16 * 16;

    for (uint32_t i = 0; i < r->rows; i++) {
        float *p = r->p + (size_t)i * RL_KV_SEGMENT;
        uint32_t lo, hi;

        visible(t, row0 + i, base, &lo, &hi);
        for (uint32_t j = begin; j < lo; j++)
            p[j] = -INFINITY;
        for (uint32_t j = hi; j < end; j++)
            p[j] = -INFINITY;
    }
}

/* The run's slabs, and for each the one that follows it: all k, all v, the next segment's first k.
 */
static void set_slabs(const tile *t, rl_attn_run *r, uint32_t base)
{
    const rl_attn *a = t->a;
    const void *const *blocks = a->blocks + base / RL_KV_BLOCK;
    uint32_t first = r->lo / RL_KV_BLOCK, last = (r->hi - 1) / RL_KV_BLOCK;
    size_t bytes = rl_kv_slab_bytes(r->type, r->head_dim);

    for (uint32_t b = first; b <= last; b++) {
        r->k[b] = (const uint8_t *)blocks[b] + a->k_offset;
        r->v[b] = (const uint8_t *)blocks[b] + a->v_offset;
        rl_tsan_read(r->k[b], bytes);
        rl_tsan_read(r->v[b], bytes);
    }
    for (uint32_t b = first; b < last; b++) {
        r->k_ahead[b] = r->k[b + 1];
        r->v_ahead[b] = r->v[b + 1];
    }
    r->k_ahead[last] = r->v[first];
    r->v_ahead[last] = r->v[last];
    if (base + RL_KV_SEGMENT <= row_pos(t, t->rows - 1))
        r->v_ahead[last] = (const uint8_t *)blocks[RL_ATTN_BLOCKS] + a->k_offset;
}

/* Rows see rising ranges, so those that see some of a segment are consecutive. */
static void tile_segment(const tile *t, uint32_t base, const rl_attn_ops *ops)
{
    const rl_attn *a = t->a;
    uint32_t row0, end, lo, hi;
    rl_attn_run r = { .type = a->type, .head_dim = a->head_dim, .scale = a->scale };

    for (row0 = 0, lo = 1, hi = 0; row0 < t->rows; row0++) {
        visible(t, row0, base, &lo, &hi);
        if (lo < hi)
            break;
    }
    r.lo = lo;
    for (end = row0; end < t->rows; end++) {
        visible(t, end, base, &lo, &hi);
        if (lo >= hi)
            break;
        r.hi = hi;
    }
    r.rows = end - row0;
    if (!r.rows)
        return;
    set_slabs(t, &r, base);
    r.q = t->q + (size_t)row0 * RL_ATTN_MAX_DIM;
    r.p = t->p;
    r.o = t->o + (size_t)row0 * a->head_dim;
    r.m = t->m + row0;
    r.s = t->s + row0;
    r.wa = t->wa;
    r.wb = t->wb;
    ops->scores(&r);
    hide(t, &r, row0, base);
    ops->weights(&r);
    ops->values(&r);
}

static void tile_end(const tile *t)
{
    for (uint32_t i = 0; i < t->rows; i++) {
        const float *o = t->o + (size_t)i * t->a->head_dim;
        float *out = t->a->out + row_at(t, i, t->a->out_stride);
        float inv = 1.0f / t->s[i];

        for (uint32_t d = 0; d < t->a->head_dim; d++)
            out[d] = o[d] * inv;
    }
}

void rl_kernels_attend_tiled(const rl_attn *a, void *scratch, const rl_attn_ops *ops)
{
    uint64_t rows = (uint64_t)a->n_tokens * a->group;
    uint64_t tiles = (rows + ops->rows - 1) / ops->rows;

    /* Tiles of nearly equal size: 13 rows are 7 + 6, not 12 + 1. */
    for (uint64_t i = 0; i < tiles; i++) {
        uint64_t begin = rows * i / tiles;
        uint64_t end = rows * (i + 1) / tiles;
        tile t;

        tile_begin(&t, a, begin, (uint32_t)(end - begin), scratch);
        uint32_t last = row_pos(&t, t.rows - 1);

        for (uint32_t base = first_key(a, row_pos(&t, 0)) / RL_KV_SEGMENT * RL_KV_SEGMENT;
             base <= last; base += RL_KV_SEGMENT)
            tile_segment(&t, base, ops);
        tile_end(&t);
    }
}
