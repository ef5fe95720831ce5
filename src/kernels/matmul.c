/* The matmul entry points: panels of a matrix through the kernel of its type. */
#include "kernels/kernels.h"

#include "base/assert.h"
#include "base/tsan.h"

#include <stdatomic.h>

#define CHUNK_BYTES (512u << 10)

static _Atomic uint64_t served[RL_TYPE_COUNT][RL_LEVELS];

static void check_ranges(const rl_weight *w, const rl_acts *a, uint32_t row1, uint32_t panel1)
{
    RL_ASSERT(a->k == w->k && row1 <= a->m && panel1 <= rl_weight_panels(w->n));
}

/* Rows whose activations stay in the second level cache while the panels pass by. A multiple of the
 * tile heights; the weights come again for each chunk, long after they stopped being what counts.
 */
static uint32_t chunk_rows(const rl_acts *a, rl_act_form form)
{
    size_t row = form == RL_ACT_Q8 ? a->q8_stride : a->k * sizeof(float) + 1;
    size_t n = CHUNK_BYTES / row / 24 * 24;

    return n < 48 ? 48 : (uint32_t)n;
}

/* What the kernels touch for panels [panel0, panel1) and rows [row0, row1): they are not
 * instrumented themselves. Weights are mapped read-only, so nothing is said of them. */
static void tell_ranges(const rl_acts *a, rl_act_form form, uint32_t row0, uint32_t row1,
                        uint32_t panel0, uint32_t panel1, float *out, size_t ldo)
{
    for (uint32_t row = row0; row < row1; row++) {
        if (form == RL_ACT_Q8)
            rl_tsan_read(rl_acts_q8(a, row), a->q8_stride);
        else
            rl_tsan_read(a->f32 + (size_t)row * a->k, a->k * sizeof(float));
        rl_tsan_write(out + row * ldo + (size_t)panel0 * RL_PANEL_ROWS,
                      (size_t)(panel1 - panel0) * RL_PANEL_ROWS * sizeof(float));
    }
}

void rl_matmul(const rl_kernels *kn, const rl_weight *w, const rl_acts *a, uint32_t row0,
               uint32_t row1, uint32_t panel0, uint32_t panel1, float *out, size_t ldo)
{
    const rl_act_form form = rl_type_get(w->type)->act;
    const rl_matmul_fn fn = kn->matmul[w->type];
    const uint32_t chunk = chunk_rows(a, form);

    check_ranges(w, a, row1, panel1);
    RL_ASSERT(fn && a->forms >> form & 1);
    tell_ranges(a, form, row0, row1, panel0, panel1, out, ldo);
    atomic_fetch_add_explicit(&served[w->type][kn->matmul_level[w->type]], 1, memory_order_relaxed);
    for (uint32_t row = row0, end; row < row1; row = end) {
        end = row1 - row > chunk ? row + chunk : row1;
        for (uint32_t p = panel0; p < panel1; p++)
            fn(w->panels + p * w->panel_bytes, w->k, a, row, end,
               out + row * ldo + (size_t)p * RL_PANEL_ROWS, ldo);
    }
}

uint64_t rl_matmul_served(rl_type type, rl_level level)
{
    RL_ASSERT(type < RL_TYPE_COUNT && level < RL_LEVELS);
    return atomic_load_explicit(&served[type][level], memory_order_relaxed);
}

/* One panel of any type as an F32 panel, into `panel` [k][16], by way of row [k]. */
static void unpack_panel(const rl_weight *w, const uint8_t *from, float *row, float *panel)
{
    for (uint32_t r = 0; r < RL_PANEL_ROWS; r++) {
        rl_panel_unpack_row(w->type, w->k, from, r, row);
        for (size_t c = 0; c < w->k; c++)
            panel[c * RL_PANEL_ROWS + r] = row[c];
    }
}

void rl_matmul_f32(const rl_kernels *kn, const rl_weight *w, const rl_acts *a, uint32_t row0,
                   uint32_t row1, uint32_t panel0, uint32_t panel1, float *out, size_t ldo,
                   void *scratch)
{
    float *panel = scratch, *row = panel + (size_t)w->k * RL_PANEL_ROWS;

    check_ranges(w, a, row1, panel1);
    RL_ASSERT(a->forms >> RL_ACT_F32 & 1);
    if (row0 >= row1)
        return;
    tell_ranges(a, RL_ACT_F32, row0, row1, panel0, panel1, out, ldo);
    for (uint32_t p = panel0; p < panel1; p++) {
        unpack_panel(w, w->panels + p * w->panel_bytes, row, panel);
        kn->matmul[RL_TYPE_F32](panel, w->k, a, row0, row1,
                                out + row0 * ldo + (size_t)p * RL_PANEL_ROWS, ldo);
    }
}

/* An F32 panel and a row. */
size_t rl_matmul_f32_scratch_bytes(uint32_t k)
{
    return ((size_t)k * (RL_PANEL_ROWS + 1) * sizeof(float) + 63) / 64 * 64;
}
