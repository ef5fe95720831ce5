/* Packed panels: sizes, packing and unpacking of rows; the float and 32-block types. The layout is
 * in panel.h, the 256-block types in pack_k.c. Rows that are missing in the last panel get zero
 * scales (floats: zeros), which makes their weights zero whatever their quants. Pure functions. */
#include "kernels/quant.h"

#include "base/assert.h"

#include "kernels/panel.h"

size_t rl_panel_bytes(rl_type type, uint32_t k)
{
    const rl_type_traits *t = rl_type_get(type);
    uint32_t nb, share;

    RL_ASSERT(t && t->compute && k % t->block == 0);
    if (t->block == 1)
        return ((size_t)k * RL_PANEL_ROWS * t->block_bytes + 63) / 64 * 64;
    nb = k / t->block;
    share = rl_panel_share(type);
    return (size_t)(nb / share + nb % share) * RL_HEAD_BYTES + nb * rl_panel_body_bytes(type);
}

/* ---- floats ---------------------------------------------------------------------------------- */

static void pack_float(uint32_t k, uint32_t r, size_t bytes, const uint8_t *row, uint8_t *panel)
{
    for (size_t c = 0; c < k; c++)
        memcpy(panel + (c * RL_PANEL_ROWS + r) * bytes, row + c * bytes, bytes);
}

float rl_panel_float(rl_type type, const uint8_t *panel, uint32_t c, uint32_t r)
{
    size_t i = (size_t)c * RL_PANEL_ROWS + r;
    float f;

    if (type == RL_TYPE_F16)
        return rl_f16_to_f32(rl_load_u16(panel + 2 * i));
    if (type == RL_TYPE_BF16)
        return rl_bf16_to_f32(rl_load_u16(panel + 2 * i));
    memcpy(&f, panel + 4 * i, sizeof f);
    return f;
}

/* ---- 32-block types -------------------------------------------------------------------------- */

/* Byte of column c (0..31) of row r among 8 lane groups. */
static uint32_t at(uint32_t c, uint32_t r)
{
    return c / 4 * RL_GROUP_BYTES + r * 4 + c % 4;
}

static void pack_row32(rl_type type, uint32_t nb, uint32_t r, const uint8_t *row, uint8_t *panel)
{
    const size_t bytes = rl_type_get(type)->block_bytes;

    for (uint32_t b = 0; b < nb; b++, row += bytes) {
        uint8_t *q = panel + rl_panel_body(type, b);
        const uint8_t *w = row + (type == RL_TYPE_Q5_0 ? 6 : 2);
        uint32_t high = 0;

        if (type == RL_TYPE_Q5_0)
            memcpy(&high, row + 2, sizeof high);
        for (uint32_t c = 0; c < 32; c++) {
            if (type == RL_TYPE_Q8_0)
                q[at(c, r)] = w[c] ^ 0x80;
            else if (c < 16) /* the file pairs columns c and c + 16 in a byte, as the panel does */
                q[at(c, r)] = w[c];
            if (type == RL_TYPE_Q5_0)
                q[256 + r * 4 + c % 4] |= (uint8_t)((high >> c & 1) << c / 4);
        }
        memcpy(panel + rl_panel_scales(type, b) + 2 * r, row, 2);
    }
}

float rl_panel_row32(rl_type type, const uint8_t *panel, uint32_t b, uint32_t r, int8_t *w)
{
    const uint8_t *q = panel + rl_panel_body(type, b);

    for (uint32_t c = 0; c < 32; c++) {
        uint32_t nibble = c < 16 ? q[at(c, r)] & 15u : q[at(c - 16, r)] >> 4;

        if (type == RL_TYPE_Q8_0) {
            w[c] = (int8_t)(q[at(c, r)] - RL_Q8_0_BIAS);
        } else if (type == RL_TYPE_Q4_0) {
            w[c] = (int8_t)((int)nibble - RL_Q4_0_BIAS);
        } else {
            uint32_t fifth = (uint32_t)q[256 + r * 4 + c % 4] >> c / 4 & 1;

            w[c] = (int8_t)((int)(nibble | fifth << 4) - RL_Q5_0_BIAS);
        }
    }
    return rl_f16_to_f32(rl_load_u16(panel + rl_panel_scales(type, b) + 2 * r));
}

/* ---- all types ------------------------------------------------------------------------------- */

static void pack_row256(rl_type type, uint32_t k, uint32_t r, const uint8_t *row, uint8_t *panel)
{
    for (uint32_t b = 0; b < k / 256; b++) {
        if (type == RL_TYPE_Q4_K)
            rl_pack_q4_k(b, r, row + b * 144u, panel);
        else
            rl_pack_q6_k(b, r, row + b * 210u, panel);
    }
}

void rl_panel_pack(rl_type type, uint32_t k, uint32_t n_rows, const void *rows, size_t row_bytes,
                   void *panel)
{
    const rl_type_traits *t = rl_type_get(type);

    RL_ASSERT(n_rows >= 1 && n_rows <= RL_PANEL_ROWS);
    memset(panel, 0, rl_panel_bytes(type, k));
    for (uint32_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)rows + r * row_bytes;

        if (t->block == 1)
            pack_float(k, r, t->block_bytes, row, panel);
        else if (t->block == 32)
            pack_row32(type, k / 32, r, row, panel);
        else
            pack_row256(type, k, r, row, panel);
    }
}

static void unpack_q4_k(uint32_t k, const uint8_t *panel, uint32_t r, float *out)
{
    rl_row256 w;

    for (uint32_t b = 0; b < k / 256; b++) {
        rl_panel_row_q4_k(panel, b, r, &w);
        for (uint32_t c = 0; c < 256; c++)
            /* c / 32 is an index: NOLINTNEXTLINE(bugprone-integer-division) */
            *out++ = w.d * (float)w.scale[c / 32] * (float)w.q[c] - w.dmin * (float)w.min[c / 32];
    }
}

static void unpack_q6_k(uint32_t k, const uint8_t *panel, uint32_t r, float *out)
{
    rl_row256 w;

    for (uint32_t b = 0; b < k / 256; b++) {
        rl_panel_row_q6_k(panel, b, r, &w);
        for (uint32_t c = 0; c < 256; c++)
            /* c / 16 is an index: NOLINTNEXTLINE(bugprone-integer-division) */
            *out++ = w.d * (float)w.scale[c / 16] * (float)(w.q[c] - RL_Q6_K_BIAS);
    }
}

void rl_panel_unpack_row(rl_type type, uint32_t k, const void *panel, uint32_t r, float *out)
{
    const rl_type_traits *t = rl_type_get(type);

    RL_ASSERT(r < RL_PANEL_ROWS && t && t->compute && k % t->block == 0);
    if (t->block == 1) {
        for (uint32_t c = 0; c < k; c++)
            out[c] = rl_panel_float(type, panel, c, r);
    } else if (t->block == 32) {
        for (uint32_t b = 0; b < k / 32; b++) {
            int8_t w[32];
            float d = rl_panel_row32(type, panel, b, r, w);

            for (uint32_t c = 0; c < 32; c++)
                *out++ = (float)w[c] * d;
        }
    } else if (type == RL_TYPE_Q4_K) {
        unpack_q4_k(k, panel, r, out);
    } else {
        unpack_q6_k(k, panel, r, out);
    }
}
