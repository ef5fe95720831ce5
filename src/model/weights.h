/* Private to the room: the loaded model. Immutable once rl_model_open answered. */
#ifndef RL_MODEL_WEIGHTS_H
#define RL_MODEL_WEIGHTS_H

#include "model/model.h"
#include "model/packfile.h"
#include "model/tensors.h"

#include "base/arena.h"

struct rl_model {
    rl_arch arch; /* copies: a test may break one to see it matter */
    rl_params params;
    rl_model_info info;
    rl_packfile file; /* owned mapping that the weights point into */
    rl_gguf *gguf;    /* owned view of the metadata in it */
    rl_arena arena;   /* owns what follows */
    rl_globals globals;
    rl_layer *layers;              /* [n_layers] */
    uint32_t *kv_group, *kv_index; /* [n_layers]: KV layer group, and the layer's place there */
    uint32_t n_groups, group_layers[RL_KV_GROUPS];
    double *inv_freq[RL_ROPES];                /* [n_rot / 2] radians per position */
    uint32_t forms_embd, forms_attn, forms_ff; /* activations that any matmul of that width takes */
    bool reference;
    const rl_kernels *kn; /* borrowed, constant */
};

/* The matrix that makes logits. */
static inline const rl_weight *rl_model_head(const rl_model *m)
{
    return m->globals.output.n ? &m->globals.output : &m->globals.embd;
}

/* The bit of the form of activations that a matmul by w takes. */
uint32_t rl_model_forms(const rl_model *m, const rl_weight *w);

/* Recomputes what opening derives from arch and params (for tests that change them). */
realm_status rl_model_derive(rl_model *m, realm_error *err);

#endif
