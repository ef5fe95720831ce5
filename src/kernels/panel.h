/* Private to the room: the inside of a packed panel (R16), byte for byte.
 *
 * The unit is a *lane group*: 64 bytes = 16 rows x 4 consecutive columns, row r in bytes 4r..4r+3,
 * so that a 32-bit lane is what a dot product instruction multiplies with 4 activations. With
 * nb = k / block and groups of a block numbered by column / 4:
 *
 *   F32 F16 BF16  [k][16] values
 *   Q8_0   nb x 512: 8 groups of bytes w + 128           | nb x f16 d[16]
 *   Q4_0   nb x 256: 4 groups, low nibble = group g, high nibble = group g + 4, of w + 8
 *                                                         | nb x f16 d[16]
 *   Q5_0   nb x 320: as Q4_0 the low 4 bits of w + 16, then 64 bytes whose bit g is the fifth bit
 *          of group g                                     | nb x f16 d[16]
 *   Q4_K   nb x 2048: 8 runs of 32 columns, each as Q4_0's 256 bytes (w unsigned)
 *          | nb x 256: [2][16 rows][4] low 4 bits of scale | min << 4, [16 rows][4] their high
 * bits, f16 d[16], f16 dmin[16]. Byte i of a lane is sub-block 0, 2, 1, 3 (+ 4 in the second run),
 * the order in which 16-bit pairs come out as (0, 1) and (2, 3). The high bits: scale bits 0-1, min
 * 2-3 of sub-block s; scale 4-5, min 6-7 of sub-block s + 4 Q6_K   nb x 3072: 8 runs of 32 columns,
 * each 256 bytes low nibbles as Q4_0 (of w + 32), then 2 x 64 bytes: bits 2g, 2g + 1 of byte in
 * vector e are the upper bits of group 4e + g | nb x 288: int8 scale[16 sub-blocks][16], f16 d[16]
 *
 * A panel ends with zeros up to a multiple of 64. */
#ifndef RL_KERNELS_PANEL_H
#define RL_KERNELS_PANEL_H

#include "kernels/quant.h"

#include <string.h>

#define RL_GROUP_BYTES 64u /* a lane group */

#define RL_Q8_0_QUANTS 512u
#define RL_Q4_0_QUANTS 256u
#define RL_Q5_0_QUANTS 320u
#define RL_Q_32_SCALES 32u
#define RL_Q4_K_QUANTS 2048u
#define RL_Q4_K_META   256u
#define RL_Q6_K_QUANTS 3072u
#define RL_Q6_K_RUN    384u
#define RL_Q6_K_META   288u

/* The bias that makes the stored weights unsigned. */
#define RL_Q8_0_BIAS 128
#define RL_Q4_0_BIAS 8
#define RL_Q5_0_BIAS 16
#define RL_Q6_K_BIAS 32

/* Bytes a block of 16 rows takes in the quant stream and in the stream after it. */
static inline size_t rl_panel_quants(rl_type type)
{
    switch (type) {
    case RL_TYPE_Q8_0:
        return RL_Q8_0_QUANTS;
    case RL_TYPE_Q4_0:
        return RL_Q4_0_QUANTS;
    case RL_TYPE_Q5_0:
        return RL_Q5_0_QUANTS;
    case RL_TYPE_Q4_K:
        return RL_Q4_K_QUANTS;
    case RL_TYPE_Q6_K:
        return RL_Q6_K_QUANTS;
    default:
        return 0;
    }
}

static inline size_t rl_panel_meta(rl_type type)
{
    switch (type) {
    case RL_TYPE_Q4_K:
        return RL_Q4_K_META;
    case RL_TYPE_Q6_K:
        return RL_Q6_K_META;
    default:
        return RL_Q_32_SCALES;
    }
}

static inline uint16_t rl_load_u16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* The place of sub-block s (0..7) of Q4_K among the 128 bytes of low scale bits of row r. */
static inline uint32_t rl_q4_k_lane(uint32_t s, uint32_t r)
{
    static const uint8_t order[4] = { 0, 2, 1, 3 };

    return s / 4 * 64 + r * 4 + order[s % 4];
}

/* ---- one row of one block, as plain numbers: what the reference and unpacking read ------------
 */

/* 32-block types: weights w [32] (bias taken off) of row r, block b, and the scale. */
float rl_panel_row32(rl_type type, uint32_t k, const uint8_t *panel, uint32_t b, uint32_t r,
                     int8_t *w);

typedef struct rl_row256 {
    uint8_t q[256];   /* Q4_K: 0..15. Q6_K: w + 32, 0..63 */
    int8_t scale[16]; /* Q4_K: 8 of 6 bits. Q6_K: 16 signed */
    uint8_t min[8];   /* Q4_K */
    float d, dmin;
} rl_row256;

void rl_panel_row_q4_k(uint32_t k, const uint8_t *panel, uint32_t b, uint32_t r, rl_row256 *out);
void rl_panel_row_q6_k(uint32_t k, const uint8_t *panel, uint32_t b, uint32_t r, rl_row256 *out);

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

void rl_pack_q4_k(uint32_t k, uint32_t b, uint32_t r, const uint8_t *block, uint8_t *panel);
void rl_pack_q6_k(uint32_t k, uint32_t b, uint32_t r, const uint8_t *block, uint8_t *panel);

#endif
