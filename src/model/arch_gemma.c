/* Gemma 3: scaled embeddings, five sliding-window layers for each that sees everything, a rope base
 * of its own for the former, and in the 27B shape another attention scale. */
#include "model/arch.h"

#include <math.h>

#define LAYERS_27B 62u

realm_status rl_arch_read_gemma3(rl_params *p, const rl_gguf *g, realm_error *err)
{
    realm_status st;

    p->pattern = 6;
    p->rope_base[RL_ROPE_LOCAL] = 10000.0f;
    st = rl_params_u32(g, "attention.sliding_window", &p->window, err);
    if (st == REALM_OK)
        st = rl_params_f32(g, "rope.freq_base_swa", &p->rope_base[RL_ROPE_LOCAL], err);
    if (st != REALM_OK)
        return st;
    if (p->window == 0)
        return realm_fail(err, REALM_EINVAL,
                          "gemma3.attention.sliding_window is missing or 0: no Gemma 3 file");
    p->embd_scale = sqrtf((float)p->n_embd);
    if (p->n_layers == LAYERS_27B)
        p->attn_scale = 1.0f / sqrtf((float)p->n_embd / (float)p->n_heads);
    return REALM_OK;
}
