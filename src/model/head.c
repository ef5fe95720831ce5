/* The head region: final norm, then the output matrix for the rows that want logits. Panels write
 * whole groups of 16 columns; where rows of logits are not laid out for that, a worker's tile does
 * and the columns that exist are copied. */
#include "model/forward.h"

#include <string.h>

#define ITEM_PANELS (RL_TILE_COLS / RL_PANEL_ROWS)

static void head_item(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    const rl_acts *a = rl_step_acts(s, item, worker);
    const rl_weight *head = rl_model_head(s->m);
    float *tile = s->f->workers[worker].tile;
    uint32_t panels = rl_weight_panels(head->n), p0 = item * ITEM_PANELS;
    uint32_t p1 = p0 + ITEM_PANELS < panels ? p0 + ITEM_PANELS : panels;
    uint32_t col0 = p0 * RL_PANEL_ROWS, width = (p1 - p0) * RL_PANEL_ROWS;
    uint32_t cols = head->n - col0 < width ? head->n - col0 : width;
    rl_weight part = rl_weight_view(head, p0, p1);

    if (s->direct) {
        rl_step_matmul(s, worker, head, a, 0, s->rows, p0, p1, s->f->dest[0], head->n);
        return;
    }
    for (uint32_t row = 0; row < s->rows; row += RL_TILE_ROWS) {
        uint32_t n = s->rows - row < RL_TILE_ROWS ? s->rows - row : RL_TILE_ROWS;
        rl_acts in = rl_acts_view(a, row, row + n);

        rl_step_matmul(s, worker, &part, &in, 0, n, 0, p1 - p0, tile, width);
        for (uint32_t i = 0; i < n; i++)
            memcpy(s->f->dest[row + i] + col0, tile + (size_t)i * width, cols * sizeof(float));
    }
}

void rl_step_head(rl_step *s)
{
    const rl_weight *head = rl_model_head(s->m);
    uint32_t items = (rl_weight_panels(head->n) + ITEM_PANELS - 1) / ITEM_PANELS;

    s->direct = head->n % RL_PANEL_ROWS == 0 && s->rows <= RL_TILE_ROWS;
    for (uint32_t i = 1; i < s->rows; i++)
        s->direct = s->direct && s->f->dest[i] == s->f->dest[i - 1] + head->n;
    rl_step_input_norm(s, s->m->globals.output_norm, rl_model_forms(s->m, head));
    rl_work_run(s->f->work, items, head_item, s);
}
