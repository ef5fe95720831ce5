/* Private to the room: which tensors a model needs, where each belongs, and the checks of a file's
 * tensors against its hyperparameters. */
#ifndef RL_MODEL_TENSORS_H
#define RL_MODEL_TENSORS_H

#include "model/arch.h"

/* Pointers into the packed file; NULL (a weight: n == 0) where the model has none. */
typedef struct rl_layer {
    rl_weight q, k, v, o;                        /* [H*D][E] [HK*D][E] .. [E][H*D] */
    rl_weight gate, up, down;                    /* [F][E] [F][E] [E][F] */
    const float *attn_norm, *ffn_norm;           /* [E] */
    const float *post_attn_norm, *post_ffn_norm; /* [E] */
    const float *q_norm, *k_norm;                /* [D] */
    const float *q_bias, *k_bias, *v_bias;       /* [H*D] [HK*D] [HK*D] */
} rl_layer;

typedef struct rl_globals {
    rl_weight embd, output;    /* [n_vocab][E]; output.n == 0: the embedding serves */
    const float *output_norm;  /* [E] */
    const float *rope_factors; /* [n_rot / 2] */
} rl_globals;

/* One needed tensor. */
typedef struct rl_slot {
    const rl_gguf_tensor *t; /* borrowed from the file's view */
    uint32_t layer;          /* UINT32_MAX: of rl_globals */
    uint32_t n, k;           /* matrix [n][k], or vector [k] with n == 0 */
    uint16_t at;             /* byte offset in rl_layer or rl_globals */
    uint64_t bytes;          /* in the packed file, a multiple of 64 */
} rl_slot;

/* All needed tensors in the order of the packed file. */
typedef struct rl_slots {
    rl_slot *items; /* owned */
    uint32_t n;
} rl_slots;

/* -> OK | EINVAL (missing, wrong shape) | EUNSUPPORTED (type) | ENOMEM */
realm_status rl_slots_init(rl_slots *s, const rl_gguf *g, const rl_arch *arch, const rl_params *p,
                           realm_error *err);
void rl_slots_deinit(rl_slots *s);

/* Puts the packed bytes at `data` into the field that the slot stands for. */
void rl_slot_bind(const rl_slot *s, const uint8_t *data, rl_globals *globals, rl_layer *layers);

#endif
