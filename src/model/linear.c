/* Matmul regions: the panels of one or more matrices, cut into items that workers claim. */
#include "model/forward.h"

/* An item's input rows should stay in a core's second-level cache while panels pass by. */
#define BLOCK_BYTES  (384u << 10)
#define MIN_BLOCK    32u
#define ITEMS_WANTED 16u /* per worker and row block, so that the last one leaves little idle */
#define MAX_PANELS   8u

/* Panels [panel0, panel1) as a matrix of its own. */
rl_weight rl_weight_view(const rl_weight *w, uint32_t panel0, uint32_t panel1)
{
    rl_weight v = *w;

    v.panels += panel0 * w->panel_bytes;
    v.n = (panel1 * RL_PANEL_ROWS < w->n ? panel1 * RL_PANEL_ROWS : w->n) - panel0 * RL_PANEL_ROWS;
    return v;
}

/* Rows [row0, row1) as activations of their own. */
rl_acts rl_acts_view(const rl_acts *a, uint32_t row0, uint32_t row1)
{
    rl_acts v = *a;

    v.m = row1 - row0;
    if (v.f32)
        v.f32 += (size_t)row0 * a->k;
    if (v.q8)
        v.q8 += row0 * a->q8_stride;
    return v;
}

void rl_step_matmul(const rl_step *s, uint32_t worker, const rl_weight *w, const rl_acts *a,
                    uint32_t row0, uint32_t row1, uint32_t panel0, uint32_t panel1, float *out,
                    size_t ldo)
{
    if (s->m->reference)
        rl_matmul_f32(s->kn, w, a, row0, row1, panel0, panel1, out, ldo,
                      s->f->workers[worker].matmul);
    else
        rl_matmul(s->kn, w, a, row0, row1, panel0, panel1, out, ldo);
}

static uint32_t groups_of(const rl_step *s, const rl_linear *job)
{
    return (rl_weight_panels(job->w->n) + s->item_panels - 1) / s->item_panels;
}

/* Items run through all panels of a block of rows, then the next block. */
static void linear_item(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    const rl_acts *a = rl_step_acts(s, item, worker);
    uint32_t row0 = item / s->block_items * s->block_rows;
    uint32_t row1 = row0 + s->block_rows < s->rows ? row0 + s->block_rows : s->rows;
    uint32_t group = item % s->block_items, panels, p0, p1;
    const rl_linear *job = s->jobs;

    for (; group >= groups_of(s, job); job++)
        group -= groups_of(s, job);
    panels = rl_weight_panels(job->w->n);
    p0 = group * s->item_panels;
    p1 = p0 + s->item_panels < panels ? p0 + s->item_panels : panels;
    rl_step_matmul(s, worker, job->w, a, row0, row1, p0, p1, job->out, job->ldo);
}

void rl_step_linear(rl_step *s, const rl_linear *jobs, uint32_t n_jobs)
{
    uint32_t panels = 0, blocks;

    s->jobs = jobs;
    s->n_jobs = n_jobs;
    for (uint32_t i = 0; i < n_jobs; i++)
        panels += rl_weight_panels(jobs[i].w->n);
    s->item_panels = panels / (s->f->n_threads * ITEMS_WANTED);
    s->item_panels = s->item_panels < 1 ? 1 : s->item_panels;
    s->item_panels = s->item_panels > MAX_PANELS ? MAX_PANELS : s->item_panels;
    s->block_rows = BLOCK_BYTES / jobs[0].w->k / MIN_BLOCK * MIN_BLOCK;
    s->block_rows = s->block_rows < MIN_BLOCK ? MIN_BLOCK : s->block_rows;
    s->block_items = 0;
    for (uint32_t i = 0; i < n_jobs; i++)
        s->block_items += groups_of(s, &jobs[i]);
    blocks = (s->rows + s->block_rows - 1) / s->block_rows;
    rl_work_run(s->f->work, blocks * s->block_items, linear_item, s);
}
