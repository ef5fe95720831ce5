/* The forward pass's memory: one mapping, carved for the model at hand at the start of each call.
 * Nothing is allocated during a step. */
#include "model/forward.h"

#include "base/alloc.h"
#include "base/assert.h"

typedef struct carver {
    uint8_t *base; /* NULL while only counting */
    size_t at;
} carver;

static void *carve(carver *c, size_t n, size_t item)
{
    size_t at = c->at;

    c->at += (n * item + 63) / 64 * 64;
    return c->base ? c->base + at : NULL;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Bytes for `rows` rows of any input but the feed forward's. */
static size_t input_bytes(const rl_model *m, uint32_t rows)
{
    const rl_params *p = &m->params;

    return larger(rl_acts_bytes(rows, p->n_embd, m->forms_embd),
                  rl_acts_bytes(rows, p->n_heads * p->head_dim, m->forms_attn));
}

static void carve_worker(carver *c, rl_worker *w, const rl_model *m)
{
    const rl_params *p = &m->params;
    size_t k = larger(larger(p->n_embd, p->n_ff), (size_t)p->n_heads * p->head_dim);

    w->matmul = carve(c, m->reference ? rl_matmul_f32_scratch_bytes((uint32_t)k) : 0, 1);
    w->attn = carve(c, rl_attn_scratch_bytes(p->head_dim, p->n_heads / p->n_kv_heads), 1);
    w->row = carve(c, p->n_embd, sizeof(float));
    w->x = carve(c, (size_t)RL_SMALL_ROWS * p->n_embd, sizeof(float));
    w->tile = carve(c, 2 * RL_TILE_ROWS * RL_TILE_COLS, sizeof(float));
    w->acts_memory = carve(c, input_bytes(m, RL_SMALL_ROWS), 1);
    w->epoch = 0;
    c->at += 4096; /* two workers share no page's prefetch stream */
}

/* Sets every pointer of f for model m; with no memory yet it only counts. -> bytes needed */
static size_t carve_all(rl_forward *f, const rl_model *m, uint8_t *base)
{
    const rl_params *p = &m->params;
    size_t r = f->max_rows, q = (size_t)p->n_heads * p->head_dim;
    carver c = { .base = base };

    for (int i = 0; i < 2; i++)
        f->x[i] = carve(&c, r * p->n_embd, sizeof(float));
    f->delta = carve(&c, r * p->n_embd, sizeof(float));
    f->qkv = carve(&c, r * (q + 2 * (size_t)p->n_kv_heads * p->head_dim), sizeof(float));
    f->attn = carve(&c, r * q, sizeof(float));
    f->acts_memory = carve(&c, input_bytes(m, f->max_rows), 1);
    f->ff_memory = carve(&c, rl_acts_bytes(f->max_rows, p->n_ff, m->forms_ff), 1);
    for (int i = 0; i < RL_ROPES; i++) {
        f->cos[i] = carve(&c, r * (p->n_rot / 2), sizeof(float));
        f->sin[i] = carve(&c, r * (p->n_rot / 2), sizeof(float));
    }
    f->row_span = carve(&c, r, sizeof *f->row_span);
    f->row_pos = carve(&c, r, sizeof *f->row_pos);
    f->keep = carve(&c, r, sizeof *f->keep);
    f->span_row = carve(&c, r, sizeof *f->span_row);
    f->dest = carve(&c, r, sizeof *f->dest);
    f->parts = carve(&c, r, sizeof *f->parts);
    for (uint32_t i = 0; i < f->n_threads; i++)
        carve_worker(&c, &f->workers[i], m);
    return c.at;
}

realm_status rl_forward_fit(rl_forward *f, const rl_model *m, realm_error *err)
{
    size_t need = carve_all(f, m, NULL);

    if (need > f->bytes) {
        rl_pages_unmap(f->memory, f->bytes);
        f->bytes = 0;
        f->memory = rl_pages_map(need);
        if (!f->memory)
            return realm_fail(err, REALM_ENOMEM, "no memory for %zu bytes of forward scratch",
                              need);
        f->bytes = need;
    }
    (void)carve_all(f, m, f->memory);
    return REALM_OK;
}

realm_status rl_forward_new(rl_forward **out, rl_work *work, uint32_t max_rows, realm_error *err)
{
    rl_forward *f = rl_alloc(sizeof *f);

    RL_ASSERT(max_rows >= 1 && max_rows <= 65536);
    *out = NULL;
    if (f)
        f->workers = rl_alloc_array(rl_work_threads(work), sizeof *f->workers);
    if (!f || !f->workers) {
        rl_free(f);
        return realm_fail(err, REALM_ENOMEM, "no memory for the forward pass");
    }
    f->work = work;
    f->n_threads = rl_work_threads(work);
    f->max_rows = max_rows;
    *out = f;
    return REALM_OK;
}

void rl_forward_free(rl_forward *f)
{
    if (!f)
        return;
    rl_pages_unmap(f->memory, f->bytes);
    rl_free(f->workers);
    rl_free(f);
}

void rl_forward_profile(rl_forward *f, rl_profile *p)
{
    f->profile = p;
}
