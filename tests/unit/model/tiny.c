#include "tiny.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

tiny tiny_default(const char *arch)
{
    tiny t = { .arch = arch,
               .layers = 2,
               .embd = 64,
               .heads = 4,
               .kv_heads = 2,
               .head_dim = 16,
               .ff = 96,
               .vocab = 40,
               .eps = 1e-5f,
               .base = 10000.0f };

    if (strcmp(arch, "gemma3") == 0) {
        t.layers = 7;
        t.window = 16;
    }
    return t;
}

typedef struct writer {
    const tiny *t;
    rl_buf pairs, infos, data;
    uint32_t n_pairs, n_tensors, n_matrices;
    uint64_t random;
} writer;

static uint32_t next_random(writer *w)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->random >> 33);
}

static float next_float(writer *w) /* [-1, 1) */
{
    return (float)((double)next_random(w) / (double)(1u << 30) - 1.0);
}

static void put_int(rl_buf *b, uint64_t v, size_t n)
{
    (void)rl_buf_add(b, &v, n); /* little endian, like the format */
}

static void put_text(rl_buf *b, const char *s)
{
    put_int(b, strlen(s), 8);
    (void)rl_buf_adds(b, s);
}

static bool start_pair(writer *w, const char *tail, rl_gguf_kind kind)
{
    char key[128];
    bool common = strncmp(tail, "general.", 8) == 0 || strncmp(tail, "tokenizer.", 10) == 0;

    if (w->t->drop_key && strcmp(tail, w->t->drop_key) == 0)
        return false;
    (void)snprintf(key, sizeof key, "%s%s%s", common ? "" : w->t->arch, common ? "" : ".", tail);
    put_text(&w->pairs, key);
    put_int(&w->pairs, kind, 4);
    w->n_pairs++;
    return true;
}

static void pair_u32(writer *w, const char *tail, uint32_t v)
{
    if (w->t->zero_key && strcmp(w->t->zero_key, tail) == 0)
        v = 0;
    if (start_pair(w, tail, RL_GGUF_U32))
        put_int(&w->pairs, v, 4);
}

static void pair_f32(writer *w, const char *tail, float v)
{
    if (start_pair(w, tail, RL_GGUF_F32))
        (void)rl_buf_add(&w->pairs, &v, 4);
}

static void pair_text(writer *w, const char *tail, const char *v)
{
    if (start_pair(w, tail, RL_GGUF_STRING))
        put_text(&w->pairs, v);
}

static void put_half(uint8_t *at, float v)
{
    uint16_t h = rl_f32_to_f16(v);

    memcpy(at, &h, sizeof h);
}

/* One block of a type: random bits with scales that keep the weights near 1 / sqrt(k). */
static void fill_block(writer *w, rl_type type, uint8_t *block, float size)
{
    const rl_type_traits *traits = rl_type_get(type);
    float x = next_float(w) * size;
    uint16_t h;

    for (uint32_t i = 0; i < traits->block_bytes; i++)
        block[i] = (uint8_t)next_random(w);
    switch (type) {
    case RL_TYPE_F32:
        memcpy(block, &x, sizeof x);
        break;
    case RL_TYPE_F16:
        put_half(block, x);
        break;
    case RL_TYPE_BF16:
        h = rl_f32_to_bf16(x);
        memcpy(block, &h, sizeof h);
        break;
    case RL_TYPE_Q4_1:
    case RL_TYPE_Q5_1:
        put_half(block, x / 8);
        put_half(block + 2, -x);
        break;
    case RL_TYPE_Q4_K:
    case RL_TYPE_Q5_K:
        put_half(block, x / 512);
        put_half(block + 2, x / 64);
        break;
    case RL_TYPE_Q6_K:
        put_half(block + 208, x / 2048);
        break;
    default: /* the 32-blocks begin with their scale */
        put_half(block, x / (type == RL_TYPE_Q8_0 || type == RL_TYPE_IQ4_NL ? 128 : 8));
        break;
    }
}

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* n 0: a vector. Data are written for what the shape says, so that the file itself is sound. */
static void tensor(writer *w, const char *name, rl_type type, uint64_t k, uint64_t n, float base)
{
    const tiny *t = w->t;
    const rl_type_traits *traits;
    uint64_t depth = is(t->deeper, name) ? 2 : 1, rows, blocks;
    uint8_t block[256];

    if (is(t->skip, name))
        return;
    if (is(t->typed, name))
        type = t->odd_type;
    if (is(t->longer, name))
        n ? n++ : (k += 32);
    traits = rl_type_get(type);
    rows = n ? n : 1;
    put_text(&w->infos, name);
    put_int(&w->infos, depth > 1 ? 3 : n ? 2 : 1, 4);
    put_int(&w->infos, k, 8);
    if (n || depth > 1)
        put_int(&w->infos, rows, 8);
    if (depth > 1)
        put_int(&w->infos, depth, 8);
    put_int(&w->infos, type, 4);
    put_int(&w->infos, w->data.len, 8);
    w->n_tensors++;
    blocks = rows * depth * k / traits->block;
    for (uint64_t i = 0; i < blocks; i++) {
        float x = base + 0.2f * next_float(w);

        fill_block(w, type, block, 2.0f / (float)(k < 64 ? 8 : k < 400 ? 16 : 22));
        if (!n && type == RL_TYPE_F32)
            memcpy(block, &x, sizeof x);
        (void)rl_buf_add(&w->data, block, traits->block_bytes);
    }
    while (w->data.len % 32)
        put_int(&w->data, 0, 1);
}

static void matrix(writer *w, const char *name, uint64_t k, uint64_t n)
{
    tensor(w, name, w->t->types[w->n_matrices++ % 4], k, n, 0);
}

static void layer(writer *w, uint32_t il)
{
    const tiny *t = w->t;
    uint32_t q = t->heads * t->head_dim, kv = t->kv_heads * t->head_dim;
    bool gemma = is("gemma3", t->arch), norms = gemma || is("qwen3", t->arch);
    char name[64];

#define NAME(tail) ((void)snprintf(name, sizeof name, "blk.%u." tail, il), name)
    tensor(w, NAME("attn_norm.weight"), RL_TYPE_F32, t->embd, 0, 1);
    matrix(w, NAME("attn_q.weight"), t->embd, q);
    matrix(w, NAME("attn_k.weight"), t->embd, kv);
    matrix(w, NAME("attn_v.weight"), t->embd, kv);
    if (is("qwen2", t->arch)) {
        tensor(w, NAME("attn_q.bias"), RL_TYPE_F32, q, 0, 0);
        tensor(w, NAME("attn_k.bias"), RL_TYPE_F32, kv, 0, 0);
        tensor(w, NAME("attn_v.bias"), RL_TYPE_F32, kv, 0, 0);
    }
    matrix(w, NAME("attn_output.weight"), q, t->embd);
    if (norms) {
        tensor(w, NAME("attn_q_norm.weight"), RL_TYPE_F32, t->head_dim, 0, 1);
        tensor(w, NAME("attn_k_norm.weight"), RL_TYPE_F32, t->head_dim, 0, 1);
    }
    if (gemma) {
        tensor(w, NAME("post_attention_norm.weight"), RL_TYPE_F32, t->embd, 0, 1);
        tensor(w, NAME("post_ffw_norm.weight"), RL_TYPE_F32, t->embd, 0, 1);
    }
    tensor(w, NAME("ffn_norm.weight"), RL_TYPE_F32, t->embd, 0, 1);
    matrix(w, NAME("ffn_gate.weight"), t->embd, t->ff);
    matrix(w, NAME("ffn_up.weight"), t->embd, t->ff);
    matrix(w, NAME("ffn_down.weight"), t->ff, t->embd);
#undef NAME
}

static void tokenizer(writer *w)
{
    char word[16];

    if (!w->t->words || !start_pair(w, "tokenizer.ggml.tokens", RL_GGUF_ARRAY))
        return;
    put_int(&w->pairs, RL_GGUF_STRING, 4);
    put_int(&w->pairs, w->t->words, 8);
    for (uint32_t i = 0; i < w->t->words; i++) {
        (void)snprintf(word, sizeof word, "word %u", i);
        put_text(&w->pairs, word);
    }
    pair_u32(w, "tokenizer.ggml.bos_token_id", 7);
}

static void pairs(writer *w)
{
    const tiny *t = w->t;

    pair_text(w, "general.architecture", t->arch);
    tokenizer(w);
    pair_u32(w, "block_count", t->layers);
    pair_u32(w, "embedding_length", t->embd);
    pair_u32(w, "feed_forward_length", t->ff);
    pair_u32(w, "context_length", 512);
    pair_u32(w, "attention.head_count", t->heads);
    pair_u32(w, "attention.head_count_kv", t->kv_heads);
    pair_u32(w, "attention.key_length", t->head_dim);
    pair_u32(w, "attention.value_length", t->head_dim);
    pair_f32(w, "attention.layer_norm_rms_epsilon", t->eps);
    pair_f32(w, "rope.freq_base", t->base);
    if (t->window)
        pair_u32(w, "attention.sliding_window", t->window);
    if (t->experts)
        pair_u32(w, "expert_count", t->experts);
    if (t->scaling)
        pair_text(w, "rope.scaling.type", t->scaling);
}

void tiny_build(const tiny *t, rl_buf *out)
{
    writer w = { .t = t, .random = 42 };

    rl_buf_init(&w.pairs, 1u << 20);
    rl_buf_init(&w.infos, 1u << 20);
    rl_buf_init(&w.data, 1u << 26);
    rl_buf_init(out, 1u << 27);
    pairs(&w);
    tensor(&w, "token_embd.weight", t->embd_type, t->embd, t->vocab, 0);
    tensor(&w, "output_norm.weight", RL_TYPE_F32, t->embd, 0, 1);
    if (t->factors)
        tensor(&w, "rope_freqs.weight", RL_TYPE_F32, t->head_dim / 2, 0, 2);
    for (uint32_t il = 0; il < t->layers && il < 64; il++)
        layer(&w, il);
    if (t->untied)
        matrix(&w, "output.weight", t->embd, t->vocab);
    if (t->extra)
        tensor(&w, t->extra, RL_TYPE_F32, 32, 0, 1);
    (void)rl_buf_adds(out, "GGUF");
    put_int(out, 3, 4);
    put_int(out, w.n_tensors, 8);
    put_int(out, w.n_pairs, 8);
    (void)rl_buf_add(out, w.pairs.data, w.pairs.len);
    (void)rl_buf_add(out, w.infos.data, w.infos.len);
    while (out->len % 32)
        put_int(out, 0, 1);
    (void)rl_buf_add(out, w.data.data, w.data.len);
    assert_false(w.pairs.failed || w.infos.failed || w.data.failed || out->failed);
    rl_buf_deinit(&w.pairs);
    rl_buf_deinit(&w.infos);
    rl_buf_deinit(&w.data);
}

rl_gguf *tiny_view(const rl_buf *bytes)
{
    rl_gguf *g = NULL;
    realm_error err;

    if (rl_gguf_open_memory(&g, bytes->data, bytes->len, false, &err) != REALM_OK)
        fail_msg("%s", err.text);
    return g;
}

void tiny_path(char *out, size_t n, const char *name)
{
    (void)snprintf(out, n, "%s/tiny-%ld-%s.realm", REALM_BINARY_DIR, (long)getpid(), name);
}

size_t tiny_n_files(const char *path)
{
    char pattern[600];
    glob_t found = { 0 };
    size_t n;

    (void)snprintf(pattern, sizeof pattern, "%s*", path);
    n = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return n;
}

void tiny_pack_view(const rl_gguf *g, const char *path)
{
    rl_packed fresh;
    realm_error err;

    if (rl_model_pack(&fresh, g, path, NULL, NULL, &err) != REALM_OK ||
        rl_packed_keep(&fresh, path, &err) != REALM_OK)
        fail_msg("%s", err.text);
}

void tiny_pack(const tiny *t, const char *path)
{
    rl_buf bytes;
    rl_gguf *g;

    tiny_build(t, &bytes);
    g = tiny_view(&bytes);
    tiny_pack_view(g, path);
    rl_gguf_close(g);
    rl_buf_deinit(&bytes);
}
