/* Private to the room: the inside of a packed panel (R16), byte for byte.
 *
 * The unit is a *lane group*: 64 bytes = 16 rows x 4 consecutive columns, row r in bytes 4r..4r+3,
 * so that a 32-bit lane is what a dot product instruction multiplies with 4 activations. Groups of
 * a block are numbered by column / 4.
 *
 * F32, F16, BF16: values [k][16].
 * The others: a run of records, each a head of 64 bytes and the bodies of its blocks, so that a
 * panel is read front to back as one stream, all in whole cache lines. Heads hold the f16 scales:
 * d[16] of two blocks; for Q4_K d[16] and dmin[16] of one. A last odd block has a head of its own.
 * Bodies:
 *   Q8_0   512 bytes: 8 groups of w + 128
 *   Q4_0   256: 4 groups of w + 8, low nibble = group g, high nibble = group g + 4
 *   Q5_0   320: the low 4 bits of w + 16 as in Q4_0, then 64 bytes whose bit g is the fifth bit of
 *          group g
 *   Q4_K   2240: [2][16 rows][4] low 4 bits of scale | min << 4, [16 rows][4] their high bits, then
 *          8 sub-blocks of 32 columns, each as Q4_0 (w unsigned). Byte i of a lane of scales is
 *          sub-block 0, 2, 1, 3 (+ 4 in the second run): the order in which 16-bit pairs come out
 * as (0, 1) and (2, 3). High bits: scale 0-1, min 2-3 of sub-block s; scale 4-5, min 6-7 of
 *          sub-block s + 4
 *   Q6_K   3328: int8 scale[16 sub-blocks][16 rows], then 8 runs of 32 columns, each 256 bytes low
 *          nibbles as Q4_0 (of w + 32) and 2 x 64 bytes: bits 2g, 2g + 1 of a byte in vector e are
 *          the upper bits of group 4e + g
 *
 * A float panel ends with zeros up to a multiple of 64. */
#ifndef RL_KERNELS_PANEL_H
#define RL_KERNELS_PANEL_H

#include "kernels/quant.h"

#include <string.h>

#define RL_GROUP_BYTES 64u /* a lane group */
#define RL_HEAD_BYTES  64u

#define RL_Q8_0_BODY   512u
#define RL_Q4_0_BODY   256u
#define RL_Q5_0_BODY   320u
#define RL_Q4_K_BODY   2240u
#define RL_Q4_K_QUANTS 192u /* offset in the body */
#define RL_Q6_K_BODY   3328u
#define RL_Q6_K_QUANTS 256u
#define RL_Q6_K_RUN    384u

/* The bias that makes the stored weights unsigned. */
#define RL_Q8_0_BIAS 128
#define RL_Q4_0_BIAS 8
#define RL_Q5_0_BIAS 16
#define RL_Q6_K_BIAS 32

static inline size_t rl_panel_body_bytes(rl_type type)
{
    switch (type) {
    case RL_TYPE_Q8_0:
        return RL_Q8_0_BODY;
    case RL_TYPE_Q4_0:
        return RL_Q4_0_BODY;
    case RL_TYPE_Q5_0:
        return RL_Q5_0_BODY;
    case RL_TYPE_Q4_K:
        return RL_Q4_K_BODY;
    default:
        return RL_Q6_K_BODY;
    }
}

/* Blocks that share a head. */
static inline uint32_t rl_panel_share(rl_type type)
{
    return type == RL_TYPE_Q4_K ? 1 : 2;
}

/* Offset of the head that block b belongs to. */
static inline size_t rl_panel_head(rl_type type, uint32_t b)
{
    uint32_t share = rl_panel_share(type);

    return b / share * (RL_HEAD_BYTES + share * rl_panel_body_bytes(type));
}

/* Offset of the body of block b, and of its scales f16 d[16]. */
static inline size_t rl_panel_body(rl_type type, uint32_t b)
{
    return rl_panel_head(type, b) + RL_HEAD_BYTES +
           b % rl_panel_share(type) * rl_panel_body_bytes(type);
}

static inline size_t rl_panel_scales(rl_type type, uint32_t b)
{
    return rl_panel_head(type, b) + b % rl_panel_share(type) * 32;
}

/* Bytes of the stream that a block takes, its share of the head included. */
static inline size_t rl_panel_step(rl_type type)
{
    return rl_panel_body_bytes(type) + RL_HEAD_BYTES / rl_panel_share(type);
}

static inline uint16_t rl_load_u16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* The place of sub-block s (0..7) of Q4_K, row r, among the 128 bytes of low scale bits. */
static inline uint32_t rl_q4_k_lane(uint32_t s, uint32_t r)
{
    static const uint8_t order[4] = { 0, 2, 1, 3 };

    return s / 4 * 64 + r * 4 + order[s % 4];
}

/* ---- one row of one block, as plain numbers: what the reference and unpacking read ------------
 */

/* 32-block types: weights w [32] (bias taken off) of row r, block b, and the scale. */
float rl_panel_row32(rl_type type, const uint8_t *panel, uint32_t b, uint32_t r, int8_t *w);

typedef struct rl_row256 {
    uint8_t q[256];   /* Q4_K: 0..15. Q6_K: w + 32, 0..63 */
    int8_t scale[16]; /* Q4_K: 8 of 6 bits. Q6_K: 16 signed */
    uint8_t min[8];   /* Q4_K */
    float d, dmin;
} rl_row256;

void rl_panel_row_q4_k(const uint8_t *panel, uint32_t b, uint32_t r, rl_row256 *out);
void rl_panel_row_q6_k(const uint8_t *panel, uint32_t b, uint32_t r, rl_row256 *out);

/* Column c of row r of a panel of F32, F16 or BF16. */
float rl_panel_float(rl_type type, const uint8_t *panel, uint32_t c, uint32_t r);

/* ---- fields of file blocks (dequant.c) --------------------------------------------------------
 */

/* Scale and min of sub-block i (0..7) from the 12 bytes of a Q4_K block. */
void rl_q4_k_scales(const uint8_t *s, uint32_t i, uint8_t *scale, uint8_t *min);

/* Quant 0..63 of column c (0..255) of a Q6_K block. */
uint8_t rl_q6_k_quant(const uint8_t *block, uint32_t c);

/* ---- packing of one block of one row (pack.c, pack_k.c) ---------------------------------------
 */

void rl_pack_q4_k(uint32_t b, uint32_t r, const uint8_t *block, uint8_t *panel);
void rl_pack_q6_k(uint32_t b, uint32_t r, const uint8_t *block, uint8_t *panel);

#endif
