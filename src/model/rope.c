/* The start of a step: embeddings, and the cosines and sines of every row's position, computed in
 * double once per step and rope base. A position's numbers depend on nothing else. The sine is our
 * own so that it is the same on every machine. */
#include "model/forward.h"

#include <math.h>

#define CHUNK_ROWS 8u

/* Taylor coefficients; |r| <= pi / 4 leaves less than 1e-16. */
static double sin_poly(double r)
{
    static const double c[] = { -1.0 / 6,
                                1.0 / 120,
                                -1.0 / 5040,
                                1.0 / 362880,
                                -1.0 / 39916800,
                                1.0 / 6227020800.0,
                                -1.0 / 1307674368000.0,
                                1.0 / 355687428096000.0 };
    double z = r * r, p = c[7];

    for (int i = 6; i >= 0; i--)
        p = p * z + c[i];
    return r + r * (z * p);
}

static double cos_poly(double r)
{
    static const double c[] = {
        -1.0 / 2,       1.0 / 24,          -1.0 / 720,           1.0 / 40320,
        -1.0 / 3628800, 1.0 / 479001600.0, -1.0 / 87178291200.0, 1.0 / 20922789888000.0
    };
    double z = r * r, p = c[7];

    for (int i = 6; i >= 0; i--)
        p = p * z + c[i];
    return 1 + z * p;
}

/* x >= 0, below 2^31. pi / 2 in three parts whose products with the quadrant are exact or tiny. */
void rl_rope_sincos(double x, double *sin_out, double *cos_out)
{
    double n = floor(x * 0.63661977236758134 + 0.5), r, s, c;
    unsigned quadrant = (unsigned)((uint64_t)n & 3);

    r = x - n * 0x1.921fb544p+0;
    r = r - n * 0x1.0b4611a6p-34;
    r = r - n * 0x1.3198a2e037073p-69;
    s = sin_poly(r);
    c = cos_poly(r);
    *sin_out = quadrant & 1 ? c : s;
    *cos_out = quadrant & 1 ? s : c;
    if (quadrant & 2)
        *sin_out = -*sin_out;
    if (quadrant == 1 || quadrant == 2)
        *cos_out = -*cos_out;
}

static void rope_row(const rl_step *s, uint32_t row, int kind)
{
    uint32_t n = s->m->params.n_rot / 2;
    float *cos_row = s->f->cos[kind] + (size_t)row * n,
          *sin_row = s->f->sin[kind] + (size_t)row * n;

    for (uint32_t i = 0; i < n; i++) {
        double sine, cosine;

        rl_rope_sincos(s->f->row_pos[row] * s->m->inv_freq[kind][i], &sine, &cosine);
        cos_row[i] = (float)cosine;
        sin_row[i] = (float)sine;
    }
}

static void embed_row(const rl_model *m, uint32_t id, float *out)
{
    const rl_weight *w = &m->globals.embd;

    rl_panel_unpack_row(w->type, w->k, w->panels + id / RL_PANEL_ROWS * w->panel_bytes,
                        id % RL_PANEL_ROWS, out);
    if (m->params.embd_scale != 1)
        m->kn->scale(out, m->params.embd_scale, w->k);
}

void rl_model_embed(const rl_model *m, const uint32_t *ids, uint32_t n, float *hidden)
{
    for (uint32_t i = 0; i < n; i++)
        embed_row(m, ids[i], hidden + (size_t)i * m->params.n_embd);
}

static void begin_chunk(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    uint32_t end = (item + 1) * CHUNK_ROWS < s->n_rows ? (item + 1) * CHUNK_ROWS : s->n_rows;

    (void)worker;
    for (uint32_t i = item * CHUNK_ROWS; i < end; i++) {
        const rl_span *span = &s->spans[s->f->row_span[i]];

        if (s->hidden)
            embed_row(s->m, span->ids[s->f->row_pos[i] - span->pos],
                      s->hidden + (size_t)i * s->m->params.n_embd);
        for (int kind = 0; kind < RL_ROPES; kind++) {
            if (s->rope_used[kind])
                rope_row(s, i, kind);
        }
    }
}

/* hidden: [n_rows][n_embd] takes the embeddings; NULL: rope tables only. */
void rl_step_begin(rl_step *s, float *hidden)
{
    s->hidden = hidden;
    rl_work_run(s->f->work, (s->n_rows + CHUNK_ROWS - 1) / CHUNK_ROWS, begin_chunk, s);
}
