/* The forward pass: one path over the traits, a loop over layers of five regions each (forward.h).
 * The caller's thread is worker 0. */
#include "model/forward.h"

#include "base/assert.h"

static void check_span(const rl_model *m, const rl_span *span)
{
    RL_ASSERT(span->n >= 1 && span->n_logits <= span->n && span->pos <= UINT32_MAX - span->n);
    RL_ASSERT(span->n_hidden <= span->n && !(span->n_logits && span->n_hidden));
    RL_ASSERT(span->kv->n_blocks >= (span->pos + span->n - 1) / RL_KV_BLOCK + 1);
    RL_ASSERT(rl_kv_pool_layout(span->kv->pool)->n_groups == m->n_groups);
}

/* Fits the scratch and lays out the rows of the spans. */
static realm_status init_step(rl_step *s, rl_forward *f, const rl_model *m, const rl_span *spans,
                              uint32_t n_spans, realm_error *err)
{
    realm_status st = rl_forward_fit(f, m, err);

    *s = (rl_step){ .f = f, .m = m, .kn = m->kn, .spans = spans, .n_spans = n_spans };
    if (st != REALM_OK)
        return st;
    for (uint32_t i = 0; i < n_spans; i++) {
        check_span(m, &spans[i]);
        RL_ASSERT(spans[i].n <= f->max_rows - s->n_rows);
        f->span_row[i] = s->n_rows;
        for (uint32_t t = 0; t < spans[i].n; t++) {
            f->row_span[s->n_rows] = i;
            f->row_pos[s->n_rows++] = spans[i].pos + t;
        }
    }
    s->rows = s->n_rows;
    return REALM_OK;
}

/* Keeps the last n rows of a span; row j's result goes to out + j * ldo. */
static void keep_last(rl_step *s, uint32_t span, uint32_t n, float *out, size_t ldo)
{
    for (uint32_t j = 0; j < n; j++) {
        s->f->keep[s->rows] = s->f->span_row[span] + s->spans[span].n - n + j;
        s->f->dest[s->rows++] = out + j * ldo;
    }
}

/* The rows of which something is wanted, and where that goes: first those with logits. */
static void keep_wanted(rl_step *s)
{
    s->rows = 0;
    for (uint32_t i = 0; i < s->n_spans; i++)
        keep_last(s, i, s->spans[i].n_logits, s->spans[i].logits, s->m->params.n_vocab);
    s->n_logits = s->rows;
    for (uint32_t i = 0; i < s->n_spans; i++)
        keep_last(s, i, s->spans[i].n_hidden, s->spans[i].hidden, s->m->params.n_embd);
    s->keep = s->f->keep;
}

static void project_qkv(rl_step *s)
{
    const rl_layer *l = s->layer;
    size_t ldo = (size_t)l->q.n + l->k.n + l->v.n;
    const rl_linear jobs[] = { { &l->q, s->f->qkv, ldo },
                               { &l->k, s->f->qkv + l->q.n, ldo },
                               { &l->v, s->f->qkv + l->q.n + l->k.n, ldo } };

    rl_step_input_norm(s, l->attn_norm,
                       rl_model_forms(s->m, &l->q) | rl_model_forms(s->m, &l->k) |
                           rl_model_forms(s->m, &l->v));
    rl_step_linear(s, jobs, 3);
    rl_step_input_done(s);
    rl_profile_mark(s->f->profile, RL_REGION_QKV);
}

/* A projection back to the residual's width: its result waits in delta. */
static void project_back(rl_step *s, const rl_weight *w, const float *post_norm, rl_region region)
{
    const rl_linear job = { w, s->f->delta, s->m->params.n_embd };

    rl_step_linear(s, &job, 1);
    s->delta = s->f->delta;
    s->delta_norm = post_norm;
    rl_profile_mark(s->f->profile, region);
}

static void run_layer(rl_step *s, uint32_t il)
{
    const rl_layer *l = &s->m->layers[il];

    s->il = il;
    s->layer = l;
    project_qkv(s);
    rl_step_attention(s);
    rl_profile_mark(s->f->profile, RL_REGION_ATTENTION);
    if (s->trim && il + 1 == s->m->params.n_layers) {
        keep_wanted(s);
        if (s->rows == 0)
            return;
    }
    rl_step_input_plain(s, s->f->attn, l->o.k, rl_model_forms(s->m, &l->o));
    project_back(s, &l->o, l->post_attn_norm, RL_REGION_OUT);
    rl_step_input_norm(s, l->ffn_norm,
                       rl_model_forms(s->m, &l->gate) | rl_model_forms(s->m, &l->up));
    rl_step_ffn(s);
    rl_step_input_done(s);
    rl_profile_mark(s->f->profile, RL_REGION_GATE_UP);
    s->local = false;
    s->acts = s->ff;
    project_back(s, &l->down, l->post_ffn_norm, RL_REGION_DOWN);
}

realm_status rl_forward_run(rl_forward *f, const rl_model *m, const rl_span *spans,
                            uint32_t n_spans, realm_error *err)
{
    rl_step s;
    realm_status st = init_step(&s, f, m, spans, n_spans, err);

    if (st != REALM_OK || s.n_rows == 0)
        return st;
    for (uint32_t il = 0; il < m->params.n_layers; il++)
        s.rope_used[rl_params_is_local(&m->params, il)] = true;
    s.trim = true;
    s.x = f->x[0];
    s.x_next = f->x[1];
    rl_step_begin(&s, f->x[0]);
    rl_profile_mark(f->profile, RL_REGION_EMBED);
    for (uint32_t il = 0; il < m->params.n_layers; il++)
        run_layer(&s, il);
    if (s.rows > s.n_logits)
        rl_step_states(&s);
    s.rows = s.n_logits;
    if (s.rows)
        rl_step_head(&s);
    rl_profile_mark(f->profile, RL_REGION_HEAD);
    return REALM_OK;
}

realm_status rl_forward_layer(rl_forward *f, const rl_model *m, uint32_t layer,
                              const rl_span *spans, uint32_t n_spans, float *hidden,
                              realm_error *err)
{
    rl_step s;
    realm_status st = init_step(&s, f, m, spans, n_spans, err);

    RL_ASSERT(layer < m->params.n_layers);
    if (st != REALM_OK || s.n_rows == 0)
        return st;
    s.rope_used[rl_params_is_local(&m->params, layer)] = true;
    s.x = hidden;
    s.x_next = f->x[0];
    rl_step_begin(&s, NULL);
    run_layer(&s, layer);
    rl_step_finish(&s, hidden);
    return REALM_OK;
}

realm_status rl_forward_head(rl_forward *f, const rl_model *m, const float *hidden, uint32_t n,
                             float *logits, realm_error *err)
{
    for (uint32_t done = 0; done < n; done += f->max_rows) {
        rl_step s;
        realm_status st = init_step(&s, f, m, NULL, 0, err);

        if (st != REALM_OK)
            return st;
        s.rows = n - done < f->max_rows ? n - done : f->max_rows;
        s.x = hidden + (size_t)done * m->params.n_embd;
        s.x_next = f->x[0];
        for (uint32_t i = 0; i < s.rows; i++)
            f->dest[i] = logits + (size_t)(done + i) * m->params.n_vocab;
        rl_step_head(&s);
    }
    return REALM_OK;
}
