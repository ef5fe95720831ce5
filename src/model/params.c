/* Hyperparameters out of a file that nobody vouches for: read, defaulted, checked. Every bound that
 * the kernels, the KV layout or 64-bit sizes rely on is checked here, once. */
#include "model/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_LAYERS   1024u
#define MAX_EMBD     65536u
#define MAX_HEADS    1024u
#define MAX_HEAD_DIM 256u
#define MAX_GROUP    32u
#define MAX_FF       (1u << 20)
#define MAX_VOCAB    (1u << 22)
#define MAX_CTX      (1u << 28)
#define KEY_BYTES    96

/* "<arch>.<tail>". The architecture's name is one of ours by now, so it is short. */
static void key_of(const rl_gguf *g, const char *tail, char key[KEY_BYTES])
{
    rl_text arch = { "", 0 };

    (void)rl_gguf_text(g, "general.architecture", &arch, NULL);
    (void)snprintf(key, KEY_BYTES, "%.*s.%s", (int)(arch.n < 32 ? arch.n : 32), arch.p, tail);
}

realm_status rl_params_u32(const rl_gguf *g, const char *tail, uint32_t *out, realm_error *err)
{
    char key[KEY_BYTES];
    uint32_t value;
    realm_status st;

    key_of(g, tail, key);
    if (!rl_gguf_find(g, key))
        return REALM_OK;
    st = rl_gguf_u32(g, key, &value, err);
    if (st == REALM_OK)
        *out = value;
    return st;
}

realm_status rl_params_f32(const rl_gguf *g, const char *tail, float *out, realm_error *err)
{
    char key[KEY_BYTES];
    float value;
    realm_status st;

    key_of(g, tail, key);
    if (!rl_gguf_find(g, key))
        return REALM_OK;
    st = rl_gguf_f32(g, key, &value, err);
    if (st == REALM_OK)
        *out = value;
    return st;
}

typedef struct bound {
    const char *tail;
    uint32_t value, least, most, multiple;
} bound;

static realm_status check_bounds(const rl_gguf *g, const rl_params *p, realm_error *err)
{
    const bound bounds[] = {
        { "block_count", p->n_layers, 1, MAX_LAYERS, 1 },
        { "embedding_length", p->n_embd, 32, MAX_EMBD, 32 },
        { "feed_forward_length", p->n_ff, 32, MAX_FF, 32 },
        { "attention.head_count", p->n_heads, 1, MAX_HEADS, 1 },
        { "attention.head_count_kv", p->n_kv_heads, 1, p->n_heads, 1 },
        { "attention.key_length", p->head_dim, 16, MAX_HEAD_DIM, 16 },
        { "rope.dimension_count", p->n_rot, 2, p->head_dim, 2 },
        { "context_length", p->n_ctx, 1, MAX_CTX, 1 },
    };

    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        const bound *b = &bounds[i];
        char key[KEY_BYTES];

        if (b->value >= b->least && b->value <= b->most && b->value % b->multiple == 0)
            continue;
        key_of(g, b->tail, key);
        return realm_fail(err, REALM_EUNSUPPORTED,
                          "%s is %u (or missing): Realm runs multiples of %u from %u to %u", key,
                          b->value, b->multiple, b->least, b->most);
    }
    if (p->n_heads % p->n_kv_heads || p->n_heads / p->n_kv_heads > MAX_GROUP)
        return realm_fail(err, REALM_EUNSUPPORTED,
                          "%u attention heads do not share %u key/value heads evenly, at most %u "
                          "to one",
                          p->n_heads, p->n_kv_heads, MAX_GROUP);
    return REALM_OK;
}

static bool is_positive(float x)
{
    return isfinite(x) && x > 0;
}

static realm_status check_numbers(const rl_params *p, realm_error *err)
{
    if (!is_positive(p->eps) || p->eps > 1)
        return realm_fail(err, REALM_EINVAL, "the norms' epsilon is missing or not in (0, 1]");
    for (int i = 0; i < RL_ROPES; i++) {
        if (!is_positive(p->rope_base[i]) || !is_positive(p->rope_factor[i]))
            return realm_fail(err, REALM_EINVAL,
                              "the rope base or its scaling factor is not a positive number");
    }
    return REALM_OK;
}

/* Linear scaling is what a factor without a type means. Others change frequencies or attention in
 * ways of their own. */
static realm_status read_rope_scaling(rl_params *p, const rl_gguf *g, realm_error *err)
{
    char key[KEY_BYTES];
    rl_text type = { "linear", 6 };
    realm_status st;

    key_of(g, "rope.scaling.type", key);
    if (rl_gguf_find(g, key)) {
        st = rl_gguf_text(g, key, &type, err);
        if (st != REALM_OK)
            return st;
    }
    if (type.n == 4 && memcmp(type.p, "none", 4) == 0)
        return REALM_OK;
    if (type.n != 6 || memcmp(type.p, "linear", 6) != 0)
        return realm_fail(err, REALM_EUNSUPPORTED,
                          "rope scaling of type '%.*s' is not offered (none and linear are)",
                          (int)(type.n < 32 ? type.n : 32), type.p);
    st = rl_params_f32(g, "rope.scale_linear", &p->rope_factor[RL_ROPE_GLOBAL], err);
    if (st == REALM_OK)
        st = rl_params_f32(g, "rope.scaling.factor", &p->rope_factor[RL_ROPE_GLOBAL], err);
    if (st == REALM_OK && p->rope_factor[RL_ROPE_GLOBAL] == 0)
        p->rope_factor[RL_ROPE_GLOBAL] = 1; /* converters write 0 for none */
    return st;
}

static realm_status read_experts(const rl_gguf *g, realm_error *err)
{
    uint32_t experts = 0;
    realm_status st = rl_params_u32(g, "expert_count", &experts, err);

    if (st == REALM_OK && experts)
        st = realm_fail(err, REALM_EUNSUPPORTED,
                        "a mixture of %u experts: Realm runs dense models only", experts);
    return st;
}

static realm_status read_common(rl_params *p, const rl_gguf *g, realm_error *err)
{
    uint32_t value_length;
    realm_status st;

    const struct {
        const char *tail;
        uint32_t *out;
    } keys[] = {
        { "block_count", &p->n_layers },         { "embedding_length", &p->n_embd },
        { "feed_forward_length", &p->n_ff },     { "context_length", &p->n_ctx },
        { "attention.head_count", &p->n_heads },
    };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        st = rl_params_u32(g, keys[i].tail, keys[i].out, err);
        if (st != REALM_OK)
            return st;
    }
    p->n_kv_heads = p->n_heads;
    p->head_dim = p->n_heads ? p->n_embd / p->n_heads : 0;
    st = rl_params_u32(g, "attention.head_count_kv", &p->n_kv_heads, err);
    if (st == REALM_OK)
        st = rl_params_u32(g, "attention.key_length", &p->head_dim, err);
    value_length = p->head_dim;
    p->n_rot = p->head_dim;
    if (st == REALM_OK)
        st = rl_params_u32(g, "attention.value_length", &value_length, err);
    if (st == REALM_OK)
        st = rl_params_u32(g, "rope.dimension_count", &p->n_rot, err);
    if (st == REALM_OK)
        st = rl_params_f32(g, "attention.layer_norm_rms_epsilon", &p->eps, err);
    if (st == REALM_OK)
        st = rl_params_f32(g, "rope.freq_base", &p->rope_base[RL_ROPE_GLOBAL], err);
    if (st == REALM_OK && value_length != p->head_dim)
        st = realm_fail(err, REALM_EUNSUPPORTED,
                        "keys of %u and values of %u dimensions: Realm runs equal ones only",
                        p->head_dim, value_length);
    return st;
}

/* The vocabulary's size is the embedding's, not a key's: files disagree on the key. */
static realm_status read_vocab_size(rl_params *p, const rl_gguf *g, realm_error *err)
{
    const rl_gguf_tensor *t = rl_gguf_tensor_find(g, "token_embd.weight");

    if (!t)
        return realm_fail(err, REALM_EINVAL, "tensor token_embd.weight is missing");
    if (t->dims[1] < 1 || t->dims[1] > MAX_VOCAB)
        return realm_fail(err, REALM_EUNSUPPORTED,
                          "token_embd.weight has %llu rows: Realm runs 1 to %u",
                          (unsigned long long)t->dims[1], MAX_VOCAB);
    p->n_vocab = (uint32_t)t->dims[1];
    return REALM_OK;
}

static realm_status find_arch(const rl_gguf *g, const rl_arch **arch, realm_error *err)
{
    rl_text name;
    char names[120];
    realm_status st = rl_gguf_text(g, "general.architecture", &name, err);

    if (st == REALM_ENOTFOUND)
        return realm_fail(err, REALM_EINVAL,
                          "the file names no general.architecture: it is no language model");
    if (st != REALM_OK)
        return st;
    *arch = rl_arch_find(name);
    if (*arch)
        return REALM_OK;
    rl_arch_names(names, sizeof names);
    return realm_fail(err, REALM_EUNSUPPORTED, "architecture '%.*s' is not offered; Realm runs %s",
                      (int)(name.n < 40 ? name.n : 40), name.p, names);
}

realm_status rl_params_read(const rl_gguf *g, const rl_arch **arch, rl_params *p, realm_error *err)
{
    realm_status st = find_arch(g, arch, err);

    if (st != REALM_OK)
        return st;
    *p = (rl_params){ .embd_scale = 1, .rope_factor = { 1, 1 } };
    /* find_arch set *arch: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    p->rope_base[RL_ROPE_GLOBAL] = p->rope_base[RL_ROPE_LOCAL] = (*arch)->default_base;
    st = read_experts(g, err);
    if (st == REALM_OK)
        st = read_common(p, g, err);
    if (st == REALM_OK)
        st = check_bounds(g, p, err);
    if (st == REALM_OK)
        st = read_vocab_size(p, g, err);
    if (st == REALM_OK)
        st = read_rope_scaling(p, g, err);
    if (st != REALM_OK)
        return st;
    p->attn_scale = 1.0f / sqrtf((float)p->head_dim);
    if ((*arch)->read)
        st = (*arch)->read(p, g, err);
    return st == REALM_OK ? check_numbers(p, err) : st;
}
