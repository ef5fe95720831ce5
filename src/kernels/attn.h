/* Private to the room: tiled attention, the frame that the vector levels share.
 *
 * A tile is up to RL_ATTN_ROWS query rows (token, head), which share every load of K and V. It
 * walks the absolute 256-key segments in rising order; a "run" is one segment of one tile. The
 * frame (attn.c) decides which rows and keys a run has, a level's three functions do its
 * arithmetic: scores (q times K), weights (softmax within the segment and the merge's factors) and
 * values (times V, merged into o). Every row gets the same bits whatever else is in its tile. */
#ifndef RL_KERNELS_ATTN_H
#define RL_KERNELS_ATTN_H

#include "kernels/kernels.h"

#define RL_ATTN_ROWS    12u
#define RL_ATTN_MAX_DIM 256u
#define RL_ATTN_LANES   16u
#define RL_ATTN_BLOCKS  (RL_KV_SEGMENT / RL_KV_BLOCK)

typedef struct rl_attn_run {
    rl_kv_type type;
    uint32_t head_dim;
    float scale;
    uint32_t rows;   /* 1..RL_ATTN_ROWS, each with a visible key */
    uint32_t lo, hi; /* keys [lo, hi) of the segment: what some row sees */
    const uint8_t
        *k[RL_ATTN_BLOCKS]; /* slabs of the segment's blocks; set where [lo, hi) reaches */
    const uint8_t *v[RL_ATTN_BLOCKS];
    const uint8_t *k_ahead[RL_ATTN_BLOCKS]; /* slab to fetch while that block's k is worked on */
    const uint8_t *v_ahead[RL_ATTN_BLOCKS];
    const float *q; /* [rows][RL_ATTN_MAX_DIM] */
    float *p;       /* [rows][RL_KV_SEGMENT]: scores, then weights e */
    float *o;       /* [rows][head_dim] */
    float *m;       /* [RL_ATTN_LANES] running maximum of each row */
    float *s;       /* [RL_ATTN_LANES] running sum */
    float *wa;      /* [RL_ATTN_LANES] factor of what o holds */
    float *wb;      /* [RL_ATTN_LANES] factor of this segment's values */
} rl_attn_run;

typedef struct rl_attn_ops {
    uint32_t rows; /* of a full tile */
    void (*scores)(const rl_attn_run *r);
    void (*weights)(const rl_attn_run *r);
    void (*values)(const rl_attn_run *r);
} rl_attn_ops;

/* attend by tiles. Arrays of the run and o are 64-byte aligned; p's keys outside a row's own
 * visible ones, up to the next multiples of 16 around [lo, hi), are -inf when `weights` is called.
 */
void rl_kernels_attend_tiled(const rl_attn *a, void *scratch, const rl_attn_ops *ops);

void rl_kernels_kv_put_ref(rl_kv_type type, uint32_t head_dim, const float *k, const float *v,
                           void *k_slab, void *v_slab, uint32_t slot);
void rl_kernels_kv_put_avx2(rl_kv_type type, uint32_t head_dim, const float *k, const float *v,
                            void *k_slab, void *v_slab, uint32_t slot);

void rl_kernels_attend_ref(const rl_attn *a, void *scratch);
void rl_kernels_attend_avx2(const rl_attn *a, void *scratch);
void rl_kernels_attend_avx512(const rl_attn *a, void *scratch);

#endif
