/* File rows of every computed type with chosen bytes, and packed matrices of them. */
#ifndef RL_KCHECK_WEIGHTS_H
#define RL_KCHECK_WEIGHTS_H

#include "base/alloc.h"

#include "kcheck.h"

static const rl_type computed_types[] = { RL_TYPE_F32,  RL_TYPE_F16,  RL_TYPE_BF16, RL_TYPE_Q4_0,
                                          RL_TYPE_Q5_0, RL_TYPE_Q8_0, RL_TYPE_Q4_K, RL_TYPE_Q6_K };

#define N_COMPUTED (sizeof computed_types / sizeof computed_types[0])

typedef enum fill_kind {
    FILL_RANDOM, /* random bytes, finite scales */
    FILL_ONES,   /* every quant bit set, largest scales */
    FILL_ZEROS,  /* every quant bit clear, most negative scales */
    FILL_KINDS
} fill_kind;

/* A half precision number of moderate size, random sign. */
static inline uint16_t random_half(uint64_t *state)
{
    return (uint16_t)((random_bits(state) & 0x83ff) | (8 + random_below(state, 10)) << 10);
}

static inline void put_scale(uint8_t *at, fill_kind kind, uint64_t *state)
{
    uint16_t h = kind == FILL_ONES ? 0x7bff : kind == FILL_ZEROS ? 0xfbff : random_half(state);

    memcpy(at, &h, sizeof h);
}

/* One block (or one float) of a file row. */
static inline void fill_block(rl_type type, fill_kind kind, uint64_t *state, uint8_t *block)
{
    const size_t bytes = rl_type_get(type)->block_bytes;
    float f = random_float(state);
    uint16_t h = type == RL_TYPE_F16 ? random_half(state) : rl_f32_to_bf16(f);

    if (type == RL_TYPE_F32) {
        memcpy(block, &f, sizeof f);
        return;
    }
    if (bytes == 2) {
        memcpy(block, &h, sizeof h);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        block[i] = kind == FILL_ONES ? 0xff : kind == FILL_ZEROS ? 0 : (uint8_t)random_bits(state);
    put_scale(block + (type == RL_TYPE_Q6_K ? 208 : 0), kind, state);
    if (type == RL_TYPE_Q4_K)
        put_scale(block + 2, kind, state);
}

/* A matrix as the file has it and packed. */
typedef struct matrix {
    rl_weight w;
    uint8_t *rows; /* [n] of row_bytes */
    size_t row_bytes;
    uint8_t *memory; /* the panels, with a guard behind */
} matrix;

#define GUARD      64u
#define GUARD_BYTE 0xa5

static inline bool guard_holds(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != GUARD_BYTE)
            return false;
    return true;
}

static inline matrix matrix_new(rl_type type, uint32_t n, uint32_t k, fill_kind kind,
                                uint64_t *state)
{
    matrix m = { .row_bytes = rl_type_row_bytes(type, k) };
    const size_t block = rl_type_get(type)->block_bytes;
    size_t panel = rl_panel_bytes(type, k), bytes = panel * rl_weight_panels(n);

    assert_int_equal(panel % 64, 0);
    m.rows = rl_alloc(n * m.row_bytes);
    m.memory = rl_alloc_aligned(64, bytes + GUARD);
    assert_non_null(m.rows);
    assert_non_null(m.memory);
    for (size_t i = 0; i < n * m.row_bytes; i += block)
        fill_block(type, kind, state, m.rows + i);
    memset(m.memory, GUARD_BYTE, bytes + GUARD);
    for (uint32_t p = 0; p < rl_weight_panels(n); p++)
        rl_panel_pack(type, k, n - 16 * p < 16 ? n - 16 * p : 16, m.rows + 16 * p * m.row_bytes,
                      m.row_bytes, m.memory + p * panel);
    assert_true(guard_holds(m.memory + bytes, GUARD));
    m.w = (rl_weight){ .type = type, .n = n, .k = k, .panels = m.memory, .panel_bytes = panel };
    return m;
}

static inline void matrix_free(matrix *m)
{
    rl_free(m->rows);
    rl_free(m->memory);
}

#endif
