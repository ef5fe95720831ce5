/* Packed panels of the 256-block types (layout in panel.h): one block of one row in and out.
 * Packing writes into a panel that was zeroed. */
#include "kernels/panel.h"

/* Puts the 6-bit scale and min of sub-block s. */
static void put_scale(uint8_t *scales, uint32_t s, uint32_t r, uint32_t scale, uint32_t min)
{
    uint8_t *high = scales + 128 + rl_q4_k_lane(s % 4, r);

    scales[rl_q4_k_lane(s, r)] = (uint8_t)((scale & 15) | (min & 15) << 4);
    *high |= (uint8_t)((scale >> 4 | min >> 4 << 2) << s / 4 * 4);
}

void rl_pack_q4_k(uint32_t b, uint32_t r, const uint8_t *block, uint8_t *panel)
{
    uint8_t *scales = panel + rl_panel_body(RL_TYPE_Q4_K, b), *quants = scales + RL_Q4_K_QUANTS;
    uint8_t *d = panel + rl_panel_scales(RL_TYPE_Q4_K, b);

    for (uint32_t s = 0; s < 8; s++) {
        const uint8_t *q = block + 16 + s / 2 * 32;
        uint8_t scale, min;

        rl_q4_k_scales(block + 4, s, &scale, &min);
        put_scale(scales, s, r, scale, min);
        for (uint32_t c = 0; c < 32; c++) {
            uint8_t v = s % 2 ? q[c] >> 4 : q[c] & 15;
            uint8_t *to = quants + s * 256 + c % 16 / 4 * RL_GROUP_BYTES + r * 4 + c % 4;

            *to |= (uint8_t)(v << c / 16 * 4);
        }
    }
    memcpy(d + 2 * r, block, 2);
    memcpy(d + 32 + 2 * r, block + 2, 2);
}

void rl_panel_row_q4_k(const uint8_t *panel, uint32_t b, uint32_t r, rl_row256 *out)
{
    const uint8_t *scales = panel + rl_panel_body(RL_TYPE_Q4_K, b);
    const uint8_t *quants = scales + RL_Q4_K_QUANTS;
    const uint8_t *d = panel + rl_panel_scales(RL_TYPE_Q4_K, b);

    for (uint32_t s = 0; s < 8; s++) {
        uint32_t low = scales[rl_q4_k_lane(s, r)];
        uint32_t high = (uint32_t)scales[128 + rl_q4_k_lane(s % 4, r)] >> s / 4 * 4;

        out->scale[s] = (int8_t)((low & 15) | (high & 3) << 4);
        out->min[s] = (uint8_t)(low >> 4 | (high >> 2 & 3) << 4);
        for (uint32_t c = 0; c < 32; c++) {
            uint32_t v = quants[s * 256 + c % 16 / 4 * RL_GROUP_BYTES + r * 4 + c % 4];

            out->q[s * 32 + c] = (uint8_t)(v >> c / 16 * 4 & 15);
        }
    }
    out->d = rl_f16_to_f32(rl_load_u16(d + 2 * r));
    out->dmin = rl_f16_to_f32(rl_load_u16(d + 32 + 2 * r));
}

void rl_pack_q6_k(uint32_t b, uint32_t r, const uint8_t *block, uint8_t *panel)
{
    uint8_t *scales = panel + rl_panel_body(RL_TYPE_Q6_K, b), *quants = scales + RL_Q6_K_QUANTS;

    for (uint32_t c = 0; c < 256; c++) {
        uint32_t v = rl_q6_k_quant(block, c), g = c % 32 / 4;
        uint8_t *run = quants + c / 32 * RL_Q6_K_RUN;

        run[g % 4 * RL_GROUP_BYTES + r * 4 + c % 4] |= (uint8_t)((v & 15) << g / 4 * 4);
        run[256 + g / 4 * RL_GROUP_BYTES + r * 4 + c % 4] |= (uint8_t)(v >> 4 << 2 * (g % 4));
    }
    for (uint32_t s = 0; s < 16; s++)
        scales[s * 16 + r] = block[192 + s];
    memcpy(panel + rl_panel_scales(RL_TYPE_Q6_K, b) + 2 * r, block + 208, 2);
}

void rl_panel_row_q6_k(const uint8_t *panel, uint32_t b, uint32_t r, rl_row256 *out)
{
    const uint8_t *scales = panel + rl_panel_body(RL_TYPE_Q6_K, b);
    const uint8_t *quants = scales + RL_Q6_K_QUANTS;

    for (uint32_t c = 0; c < 256; c++) {
        const uint8_t *run = quants + c / 32 * RL_Q6_K_RUN;
        uint32_t g = c % 32 / 4;
        uint32_t low = run[g % 4 * RL_GROUP_BYTES + r * 4 + c % 4];
        uint32_t high = run[256 + g / 4 * RL_GROUP_BYTES + r * 4 + c % 4];

        out->q[c] = (uint8_t)((low >> g / 4 * 4 & 15) | (high >> 2 * (g % 4) & 3) << 4);
    }
    for (uint32_t s = 0; s < 16; s++)
        out->scale[s] = (int8_t)scales[s * 16 + r];
    out->d = rl_f16_to_f32(rl_load_u16(panel + rl_panel_scales(RL_TYPE_Q6_K, b) + 2 * r));
}
