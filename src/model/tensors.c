/* The table of tensors: name in the file, shape in terms of hyperparameters, when it is needed and
 * the field it fills. Check, pack and load all walk this one list, so they cannot disagree. */
#include "model/tensors.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES 64
#define GLOBAL     UINT32_MAX

typedef enum dim { DIM_NONE, DIM_EMBD, DIM_Q, DIM_KV, DIM_FF, DIM_VOCAB, DIM_HEAD, DIM_ROT2 } dim;

typedef enum when { ALWAYS, IF_THERE, IF_QK_NORM, IF_POST_NORMS, BIAS, FACTORS } when;

typedef struct spec {
    const char *name;
    dim k, n; /* n DIM_NONE: a vector of k */
    when when;
    uint16_t at;
} spec;

#define G(name, k, n, when, field)                                                                 \
    {                                                                                              \
        name, k, n, when, offsetof(rl_globals, field)                                              \
    }
#define L(name, k, n, when, field)                                                                 \
    {                                                                                              \
        name, k, n, when, offsetof(rl_layer, field)                                                \
    }

static const spec global_specs[] = {
    G("token_embd.weight", DIM_EMBD, DIM_VOCAB, ALWAYS, embd),
    G("output_norm.weight", DIM_EMBD, DIM_NONE, ALWAYS, output_norm),
    G("rope_freqs.weight", DIM_ROT2, DIM_NONE, FACTORS, rope_factors),
};

/* The head comes last in the packed file, as it does in a step. */
static const spec head_spec = G("output.weight", DIM_EMBD, DIM_VOCAB, IF_THERE, output);

static const spec layer_specs[] = {
    L("attn_norm.weight", DIM_EMBD, DIM_NONE, ALWAYS, attn_norm),
    L("attn_q.weight", DIM_EMBD, DIM_Q, ALWAYS, q),
    L("attn_k.weight", DIM_EMBD, DIM_KV, ALWAYS, k),
    L("attn_v.weight", DIM_EMBD, DIM_KV, ALWAYS, v),
    L("attn_q.bias", DIM_Q, DIM_NONE, BIAS, q_bias),
    L("attn_k.bias", DIM_KV, DIM_NONE, BIAS, k_bias),
    L("attn_v.bias", DIM_KV, DIM_NONE, BIAS, v_bias),
    L("attn_q_norm.weight", DIM_HEAD, DIM_NONE, IF_QK_NORM, q_norm),
    L("attn_k_norm.weight", DIM_HEAD, DIM_NONE, IF_QK_NORM, k_norm),
    L("attn_output.weight", DIM_Q, DIM_EMBD, ALWAYS, o),
    L("post_attention_norm.weight", DIM_EMBD, DIM_NONE, IF_POST_NORMS, post_attn_norm),
    L("ffn_norm.weight", DIM_EMBD, DIM_NONE, ALWAYS, ffn_norm),
    L("ffn_gate.weight", DIM_EMBD, DIM_FF, ALWAYS, gate),
    L("ffn_up.weight", DIM_EMBD, DIM_FF, ALWAYS, up),
    L("ffn_down.weight", DIM_FF, DIM_EMBD, ALWAYS, down),
    L("post_ffw_norm.weight", DIM_EMBD, DIM_NONE, IF_POST_NORMS, post_ffn_norm),
};

#define N_GLOBAL (sizeof global_specs / sizeof global_specs[0])
#define N_LAYER  (sizeof layer_specs / sizeof layer_specs[0])

/* Tensors that would change the result of a layer and that no architecture here uses. */
static const char *const refused[] = {
    "attn_qkv.weight",     "attn_output.bias",  "ffn_gate.bias", "ffn_up.bias",
    "ffn_down.bias",       "attn_norm.bias",    "ffn_norm.bias", "attn_norm_2.weight",
    "ffn_gate_inp.weight", "attn_sinks.weight",
};

static uint32_t size_of(dim d, const rl_params *p)
{
    switch (d) {
    case DIM_EMBD:
        return p->n_embd;
    case DIM_Q:
        return p->n_heads * p->head_dim;
    case DIM_KV:
        return p->n_kv_heads * p->head_dim;
    case DIM_FF:
        return p->n_ff;
    case DIM_VOCAB:
        return p->n_vocab;
    case DIM_HEAD:
        return p->head_dim;
    case DIM_ROT2:
        return p->n_rot / 2;
    case DIM_NONE:
        break;
    }
    return 0;
}

static bool is_needed(const spec *s, const rl_arch *arch, bool there)
{
    switch (s->when) {
    case ALWAYS:
        return true;
    case IF_THERE:
        return there;
    case IF_QK_NORM:
        return arch->qk_norm;
    case IF_POST_NORMS:
        return arch->post_norms;
    case BIAS:
        return arch->qkv_bias || there;
    case FACTORS:
        return arch->rope_factors && there;
    }
    return false;
}

static realm_status check_shape(const char *name, const rl_slot *s, realm_error *err)
{
    const rl_gguf_tensor *t = s->t;
    uint64_t rows = s->n ? s->n : 1;

    if (t->dims[0] == s->k && t->dims[1] == rows && t->dims[2] == 1 && t->dims[3] == 1)
        return REALM_OK;
    return realm_fail(
        err, REALM_EINVAL,
        "tensor %s is [%llu, %llu, %llu, %llu]; the hyperparameters ask for [%u, %llu]", name,
        (unsigned long long)t->dims[0], (unsigned long long)t->dims[1],
        (unsigned long long)t->dims[2], (unsigned long long)t->dims[3], s->k,
        (unsigned long long)rows);
}

/* Sizes stay below 2^22 rows times 2^20 columns times 4 bytes. */
static realm_status check_type(const char *name, rl_slot *s, realm_error *err)
{
    const rl_type_traits *traits = rl_type_get(s->t->type);

    if (s->n == 0) {
        s->bytes = ((uint64_t)s->k * sizeof(float) + 63) / 64 * 64;
        if (s->t->type == RL_TYPE_F32 || s->t->type == RL_TYPE_F16 || s->t->type == RL_TYPE_BF16)
            return REALM_OK;
    } else if (traits && traits->compute && rl_type_row_bytes(s->t->type, s->k)) {
        s->bytes = (uint64_t)rl_weight_panels(s->n) * rl_panel_bytes(s->t->type, s->k);
        return REALM_OK;
    }
    return realm_fail(err, REALM_EUNSUPPORTED,
                      "tensor %s is of type %s, which Realm does not compute with: take another "
                      "quantisation of this model",
                      name, traits ? traits->name : "?");
}

static realm_status add_slot(rl_slots *list, const rl_gguf *g, const spec *sp, uint32_t layer,
                             const rl_arch *arch, const rl_params *p, realm_error *err)
{
    rl_slot *s = &list->items[list->n];
    char name[NAME_BYTES];
    realm_status st;

    if (layer == GLOBAL)
        (void)snprintf(name, sizeof name, "%s", sp->name);
    else
        (void)snprintf(name, sizeof name, "blk.%u.%s", layer, sp->name);
    *s = (rl_slot){ .t = rl_gguf_tensor_find(g, name), .layer = layer, .at = sp->at };
    if (!is_needed(sp, arch, s->t != NULL))
        return REALM_OK;
    if (!s->t)
        return realm_fail(err, REALM_EINVAL, "tensor %s is missing: the file is incomplete", name);
    s->k = size_of(sp->k, p);
    s->n = size_of(sp->n, p);
    st = check_shape(name, s, err);
    if (st == REALM_OK)
        st = check_type(name, s, err);
    if (st == REALM_OK)
        list->n++;
    return st;
}

static realm_status refuse_strangers(const rl_gguf *g, const rl_arch *arch, realm_error *err)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char name[NAME_BYTES];

        (void)snprintf(name, sizeof name, "blk.0.%s", refused[i]);
        if (rl_gguf_tensor_find(g, name))
            return realm_fail(err, REALM_EUNSUPPORTED,
                              "tensor %s: a form of %s that Realm does not run", name, arch->name);
    }
    return REALM_OK;
}

realm_status rl_slots_init(rl_slots *s, const rl_gguf *g, const rl_arch *arch, const rl_params *p,
                           realm_error *err)
{
    realm_status st = refuse_strangers(g, arch, err);

    *s = (rl_slots){ 0 };
    if (st != REALM_OK)
        return st;
    s->items = rl_alloc_array(N_GLOBAL + 1 + (size_t)p->n_layers * N_LAYER, sizeof *s->items);
    if (!s->items)
        return realm_fail(err, REALM_ENOMEM, "no memory for the list of tensors");
    for (size_t i = 0; st == REALM_OK && i < N_GLOBAL; i++)
        st = add_slot(s, g, &global_specs[i], GLOBAL, arch, p, err);
    for (uint32_t il = 0; st == REALM_OK && il < p->n_layers; il++) {
        for (size_t i = 0; st == REALM_OK && i < N_LAYER; i++)
            st = add_slot(s, g, &layer_specs[i], il, arch, p, err);
    }
    if (st == REALM_OK)
        st = add_slot(s, g, &head_spec, GLOBAL, arch, p, err);
    if (st != REALM_OK)
        rl_slots_deinit(s);
    return st;
}

void rl_slots_deinit(rl_slots *s)
{
    rl_free(s->items);
    *s = (rl_slots){ 0 };
}

void rl_slot_bind(const rl_slot *s, const uint8_t *data, rl_globals *globals, rl_layer *layers)
{
    uint8_t *base = s->layer == GLOBAL ? (uint8_t *)globals : (uint8_t *)&layers[s->layer];

    if (s->n) {
        rl_weight w = { .type = s->t->type,
                        .n = s->n,
                        .k = s->k,
                        .panels = data,
                        .panel_bytes = rl_panel_bytes(s->t->type, s->k) };

        memcpy(base + s->at, &w, sizeof w);
    } else {
        memcpy(base + s->at, &data, sizeof data);
    }
}
