/* Preparing a matmul's input: residual sum, norm, quantisation. See forward.h for the two ways. */
#include "model/forward.h"

#include <string.h>

#define CHUNK_ROWS 8u

/* out = x's row i plus what is pending for it. */
static void sum_row(const rl_step *s, uint32_t i, rl_worker *w, float *out)
{
    uint32_t n = s->m->params.n_embd;
    const float *delta = s->delta ? s->delta + (size_t)i * n : NULL;

    memcpy(out, s->x + (size_t)(s->keep ? s->keep[i] : i) * n, n * sizeof *out);
    if (delta && s->delta_norm) {
        s->kn->rmsnorm(delta, s->delta_norm, s->m->params.eps, n, w->row);
        delta = w->row;
    }
    if (delta)
        s->kn->add(out, delta, n);
}

/* Fills row i of `a`; with a norm, `sum` [n_embd] takes the new residual row. */
static void fill_row(const rl_step *s, uint32_t i, rl_worker *w, float *sum, rl_acts *a)
{
    if (s->norm) {
        sum_row(s, i, w, sum);
        s->kn->rmsnorm(sum, s->norm, s->m->params.eps, a->k, w->row);
        s->kn->quantize_row(a, i, w->row);
    } else {
        s->kn->quantize_row(a, i, s->from + (size_t)(s->keep ? s->keep[i] : i) * a->k);
    }
}

static void fill_chunk(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    uint32_t end = (item + 1) * CHUNK_ROWS < s->rows ? (item + 1) * CHUNK_ROWS : s->rows;

    for (uint32_t i = item * CHUNK_ROWS; i < end; i++)
        fill_row(s, i, &s->f->workers[worker], s->x_next + (size_t)i * s->m->params.n_embd,
                 &s->acts);
}

static void start_input(rl_step *s, uint32_t k, uint32_t forms)
{
    s->epoch++;
    s->local = s->rows <= RL_SMALL_ROWS;
    rl_acts_init(&s->acts, s->f->acts_memory, s->rows, k, forms);
    if (s->local)
        return;
    rl_work_run(s->f->work, (s->rows + CHUNK_ROWS - 1) / CHUNK_ROWS, fill_chunk, s);
    rl_profile_mark(s->f->profile, RL_REGION_PREPARE);
}

void rl_step_input_norm(rl_step *s, const float *norm, uint32_t forms)
{
    s->norm = norm;
    start_input(s, s->m->params.n_embd, forms);
}

void rl_step_input_plain(rl_step *s, const float *from, uint32_t k, uint32_t forms)
{
    s->norm = NULL;
    s->from = from;
    start_input(s, k, forms);
}

/* The input rows for an item of the region. Item 0 also stores the residual rows, which no other
 * worker reads before the region ends. */
const rl_acts *rl_step_acts(rl_step *s, uint32_t item, uint32_t worker)
{
    rl_worker *w = &s->f->workers[worker];
    uint32_t n = s->m->params.n_embd;

    if (!s->local)
        return &s->acts;
    if (w->epoch != s->epoch) {
        w->epoch = s->epoch;
        rl_acts_init(&w->acts, w->acts_memory, s->rows, s->acts.k, s->acts.forms);
        for (uint32_t i = 0; i < s->rows; i++)
            fill_row(s, i, w, w->x + (size_t)i * n, &w->acts);
    }
    if (item == 0 && s->norm)
        memcpy(s->x_next, w->x, (size_t)s->rows * n * sizeof *w->x);
    return &w->acts;
}

void rl_step_input_done(rl_step *s)
{
    float *now = s->x_next;

    s->x_next = now == s->f->x[0] ? s->f->x[1] : s->f->x[0];
    s->x = now;
    s->delta = NULL;
    s->keep = NULL;
}

static void finish_chunk(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    uint32_t end = (item + 1) * CHUNK_ROWS < s->rows ? (item + 1) * CHUNK_ROWS : s->rows;

    for (uint32_t i = item * CHUNK_ROWS; i < end; i++)
        sum_row(s, i, &s->f->workers[worker], s->hidden + (size_t)i * s->m->params.n_embd);
}

static void state_chunk(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    rl_worker *w = &s->f->workers[worker];
    uint32_t begin = s->n_logits + item * CHUNK_ROWS;
    uint32_t end = begin + CHUNK_ROWS < s->rows ? begin + CHUNK_ROWS : s->rows;

    for (uint32_t i = begin; i < end; i++) {
        sum_row(s, i, w, w->x);
        s->kn->rmsnorm(w->x, s->m->globals.output_norm, s->m->params.eps, s->m->params.n_embd,
                       s->f->dest[i]);
    }
}

void rl_step_states(rl_step *s)
{
    uint32_t n = s->rows - s->n_logits;

    rl_work_run(s->f->work, (n + CHUNK_ROWS - 1) / CHUNK_ROWS, state_chunk, s);
}

void rl_step_finish(rl_step *s, float *hidden)
{
    s->hidden = hidden;
    rl_work_run(s->f->work, (s->rows + CHUNK_ROWS - 1) / CHUNK_ROWS, finish_chunk, s);
}
