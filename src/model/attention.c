/* The attention region: biases, q/k norms, rope, KV put, then attention over the cached keys.
 *
 * When every span is short the work on a KV head of a span is one item. Else all rows are put
 * first, in a region of their own, and the query tokens are cut into parts so that one long prompt
 * on one KV head still feeds all workers. */
#include "model/forward.h"

#define SHORT_TOKENS 8u
#define PART_TOKENS  32u
#define CHUNK_ROWS   16u

typedef struct head_shape {
    uint32_t d, group, kv_heads;
    size_t stride; /* of the qkv rows */
    bool local;
} head_shape;

static head_shape shape_of(const rl_step *s)
{
    const rl_params *p = &s->m->params;

    return (head_shape){ .d = p->head_dim,
                         .group = p->n_heads / p->n_kv_heads,
                         .kv_heads = p->n_kv_heads,
                         .stride = ((size_t)p->n_heads + 2 * (size_t)p->n_kv_heads) * p->head_dim,
                         .local = rl_params_is_local(p, s->il) };
}

/* Norms and rotates `n` heads at x in place. */
static void turn_heads(const rl_step *s, const head_shape *h, float *x, uint32_t n,
                       const float *norm, uint32_t row)
{
    const rl_params *p = &s->m->params;
    int kind = h->local ? RL_ROPE_LOCAL : RL_ROPE_GLOBAL;
    size_t at = (size_t)row * (p->n_rot / 2);

    if (norm) {
        for (uint32_t i = 0; i < n; i++)
            s->kn->rmsnorm(x + i * h->d, norm, p->eps, h->d, x + i * h->d);
    }
    s->kn->rope(x, n, h->d, p->n_rot, s->f->cos[kind] + at, s->f->sin[kind] + at, s->m->arch.rope);
}

/* One row, one KV head and its query heads: everything up to the KV. */
static void put_row(const rl_step *s, const head_shape *h, uint32_t row, uint32_t head)
{
    const rl_span *span = &s->spans[s->f->row_span[row]];
    const rl_kv_layout *layout = rl_kv_pool_layout(span->kv->pool);
    uint32_t pos = s->f->row_pos[row], il = s->m->kv_index[s->il];
    size_t q_at = (size_t)head * h->group * h->d, kv_at = (size_t)head * h->d;
    float *q = s->f->qkv + row * h->stride + q_at;
    float *k = s->f->qkv + row * h->stride + (size_t)h->kv_heads * h->group * h->d + kv_at;
    float *v = k + (size_t)h->kv_heads * h->d;
    uint8_t *block = span->kv->blocks[s->m->kv_group[s->il]][pos / RL_KV_BLOCK];

    if (s->layer->q_bias)
        s->kn->add(q, s->layer->q_bias + q_at, h->group * h->d);
    if (s->layer->k_bias)
        s->kn->add(k, s->layer->k_bias + kv_at, h->d);
    if (s->layer->v_bias)
        s->kn->add(v, s->layer->v_bias + kv_at, h->d);
    turn_heads(s, h, q, h->group, s->layer->q_norm, row);
    turn_heads(s, h, k, 1, s->layer->k_norm, row);
    s->kn->kv_put(layout->type, h->d, k, v, block + rl_kv_k_offset(layout, il, head),
                  block + rl_kv_v_offset(layout, il, head), pos % RL_KV_BLOCK);
}

static void attend_part(const rl_step *s, const head_shape *h, const rl_att_part *part,
                        uint32_t first_row, uint32_t head, uint32_t worker)
{
    const rl_span *span = &s->spans[part->span];
    const rl_kv_layout *layout = rl_kv_pool_layout(span->kv->pool);
    uint32_t il = s->m->kv_index[s->il];
    size_t q_dims = (size_t)h->kv_heads * h->group * h->d, row = (size_t)first_row + part->t;
    rl_attn a = { .type = layout->type,
                  .head_dim = h->d,
                  .group = h->group,
                  .n_tokens = part->n,
                  .pos = span->pos + part->t,
                  .window = h->local ? s->m->params.window : 0,
                  .scale = s->m->params.attn_scale,
                  .q = s->f->qkv + row * h->stride + (size_t)head * h->group * h->d,
                  .q_stride = h->stride,
                  .out = s->f->attn + row * q_dims + (size_t)head * h->group * h->d,
                  .out_stride = q_dims,
                  .blocks = (const void *const *)span->kv->blocks[s->m->kv_group[s->il]],
                  .k_offset = rl_kv_k_offset(layout, il, head),
                  .v_offset = rl_kv_v_offset(layout, il, head) };

    s->kn->attend(&a, s->f->workers[worker].attn);
}

/* The first of a span's query tokens whose attention anyone reads. */
static uint32_t first_wanted(const rl_step *s, const rl_span *span)
{
    bool last = s->trim && s->il + 1 == s->m->params.n_layers;

    return last ? span->n - (span->n_logits + span->n_hidden) : 0; /* one of the two is 0 */
}

static void short_item(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    head_shape h = shape_of(s);
    uint32_t span = item / h.kv_heads, head = item % h.kv_heads;
    uint32_t row = s->f->span_row[span], from = first_wanted(s, &s->spans[span]);
    rl_att_part part = { .span = span, .t = from, .n = s->spans[span].n - from };

    for (uint32_t t = 0; t < s->spans[span].n; t++)
        put_row(s, &h, row + t, head);
    if (part.n)
        attend_part(s, &h, &part, row, head, worker);
}

static void put_item(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    head_shape h = shape_of(s);
    uint32_t chunk = item / h.kv_heads, head = item % h.kv_heads;
    uint32_t end = (chunk + 1) * CHUNK_ROWS < s->n_rows ? (chunk + 1) * CHUNK_ROWS : s->n_rows;

    (void)worker;
    for (uint32_t row = chunk * CHUNK_ROWS; row < end; row++)
        put_row(s, &h, row, head);
}

static void part_item(void *ctx, uint32_t item, uint32_t worker)
{
    rl_step *s = ctx;
    head_shape h = shape_of(s);
    const rl_att_part *part = &s->f->parts[item / h.kv_heads];

    attend_part(s, &h, part, s->f->span_row[part->span], item % h.kv_heads, worker);
}

/* Parts from the back: later tokens see more keys, and long items should start first. */
static void cut_parts(rl_step *s)
{
    s->n_parts = 0;
    for (uint32_t i = 0; i < s->n_spans; i++) {
        uint32_t from = first_wanted(s, &s->spans[i]);

        for (uint32_t end = s->spans[i].n; end > from;) {
            uint32_t n = end - from < PART_TOKENS ? end - from : PART_TOKENS;

            end -= n;
            s->f->parts[s->n_parts++] = (rl_att_part){ .span = i, .t = end, .n = n };
        }
    }
}

void rl_step_attention(rl_step *s)
{
    uint32_t heads = s->m->params.n_kv_heads;
    bool all_short = true;

    for (uint32_t i = 0; i < s->n_spans; i++)
        all_short = all_short && s->spans[i].n <= SHORT_TOKENS;
    if (all_short) {
        rl_work_run(s->f->work, s->n_spans * heads, short_item, s);
        return;
    }
    rl_work_run(s->f->work, (s->n_rows + CHUNK_ROWS - 1) / CHUNK_ROWS * heads, put_item, s);
    cut_parts(s);
    rl_work_run(s->f->work, s->n_parts * heads, part_item, s);
}
