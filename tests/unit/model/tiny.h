/* Tiny GGUF models with random weights of any type, made in memory; and the ways to spoil one. */
#ifndef TEST_MODEL_TINY_H
#define TEST_MODEL_TINY_H

#include "../test.h"

#include "base/buf.h"
#include "kernels/quant.h"
#include "model/model.h"

#include <stdbool.h>

typedef struct tiny {
    const char *arch; /* llama qwen2 qwen3 gemma3 */
    uint32_t layers, embd, heads, kv_heads, head_dim, ff, vocab, window;
    uint32_t experts; /* key expert_count when not 0 */
    float eps, base;
    const char *scaling;         /* rope.scaling.type, NULL: no such key */
    bool untied;                 /* with output.weight */
    bool factors;                /* with rope_freqs.weight */
    rl_type embd_type, types[4]; /* of the embedding; matrices take types in turn */
    const char *skip;            /* tensor to leave out */
    const char *longer; /* tensor with one more row (vector: column block) than it should */
    const char *deeper; /* tensor with a third dimension of 2 */
    const char *typed;  /* tensor of type `odd_type` */
    rl_type odd_type;
    const char *extra;    /* tensor [32] that no model needs */
    const char *zero_key; /* integer key that says 0 whatever the tensors are */
    const char *drop_key; /* key to leave out, without the architecture's prefix */
    uint32_t words;       /* items of tokenizer.ggml.tokens, and a scalar key of the tokenizer's */
} tiny;

tiny tiny_default(const char *arch); /* a good F32 model with small dimensions */

/* The file's bytes; the caller frees them with rl_buf_deinit. */
void tiny_build(const tiny *t, rl_buf *out);

/* A view of the bytes, which must outlive it; ends the test when it cannot be had. */
rl_gguf *tiny_view(const rl_buf *bytes);

/* How many files begin with `path`. */
size_t tiny_n_files(const char *path);

/* Packs what it views into `path`. */
void tiny_pack_view(const rl_gguf *g, const char *path);

/* Builds, packs into `path`. */
void tiny_pack(const tiny *t, const char *path);

/* A path in the build folder that no other test uses. */
void tiny_path(char *out, size_t n, const char *name);

#endif
