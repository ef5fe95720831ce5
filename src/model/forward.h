/* Private to the room: the state of one step through a model and the regions that it runs.
 *
 * A layer is five parallel regions: [prepare + q k v][rope, KV put, attention][prepare + o]
 * [prepare + gate, up, activation, quantise][down]. "Prepare" makes a matmul's input rows: it adds
 * what the last matmul left (`delta`) to the residual rows, norms and quantises them. With few rows
 * every worker does that for itself, at its first item; with more it is a region of its own. Both
 * ways, and every cutting of rows and panels into items, give the same bits: a row's numbers come
 * from that row alone.
 *
 * The residual rows live in two buffers: a prepare reads one and writes the other, so workers never
 * race with the one that stores the sum. */
#ifndef RL_MODEL_FORWARD_H
#define RL_MODEL_FORWARD_H

#include "model/weights.h"

#define RL_SMALL_ROWS 4u   /* at most this many rows are prepared by every worker for itself */
#define RL_TILE_ROWS  128u /* rows of a worker's tile */
#define RL_TILE_COLS  128u /* columns of it: whole blocks of activations, a few panels */

/* One compute thread's own memory. */
typedef struct rl_worker {
    void *matmul, *attn; /* the kernels' scratch; matmul: of the reference path alone */
    float *row;          /* [n_embd] */
    float *x;            /* [RL_SMALL_ROWS][n_embd] */
    float *tile;         /* [2][RL_TILE_ROWS][RL_TILE_COLS] */
    void *acts_memory;   /* of `acts`, for RL_SMALL_ROWS rows */
    rl_acts acts;
    uint32_t epoch; /* of the input in acts */
} rl_worker;

/* Query tokens [t, t + n) of a span, for every KV head. */
typedef struct rl_att_part {
    uint32_t span, t, n;
} rl_att_part;

struct rl_forward {
    rl_work *work;       /* borrowed */
    rl_profile *profile; /* borrowed; NULL: none is wanted */
    uint32_t n_threads, max_rows;
    uint8_t *memory; /* owned pages, carved anew for every call */
    size_t bytes;
    rl_worker *workers; /* owned [n_threads] */
    /* carved; R = max_rows */
    float *x[2], *delta;                  /* [R][E] */
    float *qkv, *attn;                    /* [R][(H + 2 HK) D] [R][H D] */
    void *acts_memory, *ff_memory;        /* of step.acts, step.ff */
    float *cos[RL_ROPES], *sin[RL_ROPES]; /* [R][n_rot / 2] */
    uint32_t *row_span, *row_pos, *keep;  /* [R] */
    uint32_t *span_row;                   /* [R] first row of a span */
    float **dest;                         /* [R] where a row's logits or state go */
    rl_att_part *parts;                   /* [R] */
};

/* A matrix of a region and where its outputs go. */
typedef struct rl_linear {
    const rl_weight *w;
    float *out; /* row 0, column 0 */
    size_t ldo;
} rl_linear;

typedef struct rl_step {
    rl_forward *f;
    const rl_model *m;
    const rl_kernels *kn;
    const rl_span *spans;
    uint32_t n_spans;
    uint32_t n_rows;      /* of all spans */
    uint32_t rows;        /* still wanted: n_rows, fewer after the last layer's attention */
    bool trim;            /* only rows that are asked for go past the last layer's attention */
    uint32_t n_logits;    /* of them: those with logits, the first; the others' states are wanted */
    const uint32_t *keep; /* wanted row i was row keep[i]; NULL: they are the same */
    const float *x;       /* residual rows */
    float *x_next;
    const float *delta;      /* not yet added to x; NULL: nothing */
    const float *delta_norm; /* its norm's weights, NULL: none */
    /* the input of the current matmul region */
    const float *norm; /* weights; NULL: rows of `from` are taken as they are */
    const float *from; /* [..][k] */
    rl_acts acts;
    uint32_t epoch;
    bool local; /* each worker fills its own */
    rl_acts ff; /* activations of the feed forward, quantised */
    /* the current region */
    const rl_layer *layer;
    uint32_t il;
    const rl_linear *jobs;
    uint32_t n_jobs, block_rows, block_items, item_panels, n_parts;
    float *hidden; /* where rl_step_begin or rl_step_finish stores */
    bool rope_used[RL_ROPES];
    bool direct; /* logits go straight to their rows */
} rl_step;

/* scratch.c: makes the memory for m's shapes and carves it. OK | ENOMEM */
realm_status rl_forward_fit(rl_forward *f, const rl_model *m, realm_error *err);

/* prepare.c */
void rl_step_input_norm(rl_step *s, const float *norm, uint32_t forms);
void rl_step_input_plain(rl_step *s, const float *from, uint32_t k, uint32_t forms);
const rl_acts *rl_step_acts(rl_step *s, uint32_t item, uint32_t worker);
void rl_step_input_done(rl_step *s);            /* after the region that read a normed input */
void rl_step_finish(rl_step *s, float *hidden); /* hidden = x + delta */
void rl_step_states(rl_step *s); /* final norm of rows [n_logits, rows) into f->dest */

/* linear.c */
void rl_step_linear(rl_step *s, const rl_linear *jobs, uint32_t n_jobs);
/* rl_matmul, or on the reference path rl_matmul_f32 with the worker's scratch. */
void rl_step_matmul(const rl_step *s, uint32_t worker, const rl_weight *w, const rl_acts *a,
                    uint32_t row0, uint32_t row1, uint32_t panel0, uint32_t panel1, float *out,
                    size_t ldo);
rl_weight rl_weight_view(const rl_weight *w, uint32_t panel0, uint32_t panel1);
rl_acts rl_acts_view(const rl_acts *a, uint32_t row0, uint32_t row1);

/* rope.c: the step's rope tables, and embeddings into hidden when not NULL */
void rl_step_begin(rl_step *s, float *hidden);
void rl_rope_sincos(double x, double *sin_out, double *cos_out);

void rl_step_attention(rl_step *s); /* attention.c: of s->il */
void rl_step_ffn(rl_step *s);       /* ffn.c: gate, up, activation into s->ff */
void rl_step_head(rl_step *s);      /* head.c: logits of s->rows rows into f->dest */

#endif
