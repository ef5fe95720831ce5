/* The gate and up region: a group of columns of both matrices for a block of rows goes into the
 * worker's tile, through the activation, and out quantised for the down projection. The columns of
 * a group are whole activation blocks, so no item sees another's. */
#include "model/forward.h"

/* Columns [col, col + n) of one row, as activations of their own. */
static rl_acts columns_view(const rl_acts *a, uint32_t row, uint32_t col, uint32_t n)
{
    rl_acts v = { .m = 1, .k = n, .forms = a->forms };

    if (a->f32)
        v.f32 = a->f32 + (size_t)row * a->k + col;
    if (a->q8)
        v.q8 = (uint8_t *)(rl_acts_q8(a, row) + col / 32);
    return v;
}

static void ffn_item(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    const rl_acts *a = rl_step_acts(s, item, worker);
    uint32_t blocks = (s->rows + RL_TILE_ROWS - 1) / RL_TILE_ROWS;
    uint32_t row0 = item % blocks * RL_TILE_ROWS, col0 = item / blocks * RL_TILE_COLS;
    uint32_t rows = s->rows - row0 < RL_TILE_ROWS ? s->rows - row0 : RL_TILE_ROWS;
    uint32_t cols =
        s->m->params.n_ff - col0 < RL_TILE_COLS ? s->m->params.n_ff - col0 : RL_TILE_COLS;
    uint32_t p0 = col0 / RL_PANEL_ROWS, p1 = (col0 + cols) / RL_PANEL_ROWS;
    rl_weight gate = rl_weight_view(&s->layer->gate, p0, p1);
    rl_weight up = rl_weight_view(&s->layer->up, p0, p1);
    rl_acts in = rl_acts_view(a, row0, row0 + rows);
    float *g = s->f->workers[worker].tile, *u = g + RL_TILE_ROWS * RL_TILE_COLS;

    rl_step_matmul(s, worker, &gate, &in, 0, rows, 0, p1 - p0, g, cols);
    rl_step_matmul(s, worker, &up, &in, 0, rows, 0, p1 - p0, u, cols);
    if (s->m->arch.act == RL_ACT_GELU)
        s->kn->gelu_mul(g, u, rows * cols, g);
    else
        s->kn->silu_mul(g, u, rows * cols, g);
    for (uint32_t r = 0; r < rows; r++) {
        rl_acts out = columns_view(&s->ff, row0 + r, col0, cols);

        s->kn->quantize_row(&out, 0, g + (size_t)r * cols);
    }
}

void rl_step_ffn(rl_step *s)
{
    uint32_t blocks = (s->rows + RL_TILE_ROWS - 1) / RL_TILE_ROWS;

    rl_acts_init(&s->ff, s->f->ff_memory, s->rows, s->m->params.n_ff,
                 rl_model_forms(s->m, &s->layer->down));
    rl_work_run(s->f->work, (s->m->params.n_ff + RL_TILE_COLS - 1) / RL_TILE_COLS * blocks,
                ffn_item, s);
}
