/* Private to the room: what tells one architecture from another, and a model's hyperparameters.
 *
 * An architecture is a row of the table in traits.c plus, where reading its file's keys differs, a
 * function in arch_<family>.c. The forward pass looks at nothing but these two structs. */
#ifndef RL_MODEL_ARCH_H
#define RL_MODEL_ARCH_H

#include "gguf/gguf.h"
#include "kernels/kernels.h"

#include <stdbool.h>

typedef enum rl_act { RL_ACT_SILU, RL_ACT_GELU } rl_act;

/* Rope tables: of the layers that see everything, and of the sliding-window layers. */
enum { RL_ROPE_GLOBAL, RL_ROPE_LOCAL, RL_ROPES };

/* Hyperparameters out of a file, all checked. */
typedef struct rl_params {
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_ctx;
    uint32_t n_rot;   /* rotated dimensions of a head, even */
    uint32_t window;  /* tokens a sliding-window layer sees; 0: no such layers */
    uint32_t pattern; /* with a window, every pattern-th layer sees everything */
    float eps;        /* of the RMS norms */
    float attn_scale; /* scores are multiplied by it */
    float embd_scale; /* embeddings are multiplied by it; 1: they are not */
    float rope_base[RL_ROPES];
    float rope_factor[RL_ROPES]; /* linear scaling: positions are divided by it */
} rl_params;

typedef struct rl_arch {
    const char *name; /* general.architecture */
    rl_rope_kind rope;
    rl_act act;
    bool qk_norm;       /* RMS norm of every query and key head before rope */
    bool post_norms;    /* RMS norms of what attention and the feed forward add */
    bool qkv_bias;      /* biases of q, k and v must be there; where not, they may be */
    bool rope_factors;  /* rope_freqs.weight, when there, divides the frequencies */
    float default_base; /* of rope when the file names none */
    /* Reads what is the family's own; NULL: nothing. The common keys are in p already. */
    realm_status (*read)(rl_params *p, const rl_gguf *g, realm_error *err);
} rl_arch;

const rl_arch *rl_arch_find(rl_text name); /* NULL: not offered */
void rl_arch_names(char *out, size_t n);   /* "llama, qwen2, ..." */

/* -> OK | EINVAL | EUNSUPPORTED */
realm_status rl_params_read(const rl_gguf *g, const rl_arch **arch, rl_params *p, realm_error *err);

/* Layer `il` is one of the sliding-window layers. */
static inline bool rl_params_is_local(const rl_params *p, uint32_t il)
{
    return p->window > 0 && (p->pattern == 0 || (il + 1) % p->pattern != 0);
}

/* Key "<arch>.<tail>" of the file; OK, EINVAL, or *out untouched when there is none. */
realm_status rl_params_u32(const rl_gguf *g, const char *tail, uint32_t *out, realm_error *err);
realm_status rl_params_f32(const rl_gguf *g, const char *tail, float *out, realm_error *err);

realm_status rl_arch_read_gemma3(rl_params *p, const rl_gguf *g, realm_error *err);

#endif
