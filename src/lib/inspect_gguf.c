/* A GGUF file as JSON, whether Realm can run it or not. */
#include "lib/internal.h"

#include <string.h>

#define FIRST_ITEMS 8u

static void text(rl_json *j, const char *key, rl_text t)
{
    rl_json_stringn(j, key, t.p, t.n);
}

/* A key that is not NUL-terminated, as JSON needs it. Longer ones are cut; no real key is. */
static const char *key_of(rl_text t, char out[256])
{
    size_t n = t.n < 255 ? t.n : 255;

    memcpy(out, t.p, n);
    out[n] = 0;
    return out;
}

static void number(rl_json *j, const char *key, rl_gguf_kind kind, double v)
{
    if (kind == RL_GGUF_BOOL)
        rl_json_bool(j, key, v != 0);
    else if (kind == RL_GGUF_F32 || kind == RL_GGUF_F64)
        rl_json_double(j, key, v, 9);
    else if (v < 0)
        rl_json_int(j, key, (int64_t)v);
    else
        rl_json_uint(j, key, (uint64_t)v);
}

static void array(rl_json *j, const char *key, const rl_gguf_kv *kv)
{
    const uint8_t *at = kv->value;

    rl_json_object(j, key);
    rl_json_string(j, "type", rl_gguf_kind_name(kv->item));
    rl_json_uint(j, "n", kv->n);
    rl_json_array(j, "first");
    for (uint64_t i = 0; i < kv->n && i < FIRST_ITEMS; i++) {
        if (kv->item == RL_GGUF_STRING)
            text(j, NULL, rl_gguf_next_text(&at));
        else if (kv->item < RL_GGUF_STRING || kv->item > RL_GGUF_ARRAY)
            number(j, NULL, kv->item, rl_gguf_number(kv, i));
    }
    rl_json_end_array(j);
    rl_json_end_object(j);
}

static void metadata(rl_json *j, const rl_gguf *g)
{
    char key[256];

    rl_json_object(j, "metadata");
    for (uint32_t i = 0; i < rl_gguf_n_kv(g); i++) {
        const rl_gguf_kv *kv = rl_gguf_kv_at(g, i);
        const uint8_t *at = kv->value;

        (void)key_of(kv->key, key);
        if (kv->kind == RL_GGUF_ARRAY)
            array(j, key, kv);
        else if (kv->kind == RL_GGUF_STRING)
            text(j, key, rl_gguf_next_text(&at));
        else
            number(j, key, kv->kind, rl_gguf_number(kv, 0));
    }
    rl_json_end_object(j);
}

static uint64_t weights_of(const rl_gguf_tensor *t)
{
    return t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]; /* checked when opened */
}

static void tensors(rl_json *j, const rl_gguf *g)
{
    rl_json_array(j, "tensors");
    for (uint32_t i = 0; i < rl_gguf_n_tensors(g); i++) {
        const rl_gguf_tensor *t = rl_gguf_tensor_at(g, i);

        rl_json_object(j, NULL);
        text(j, "name", t->name);
        rl_json_string(j, "type", rl_type_get(t->type)->name);
        rl_json_array(j, "shape"); /* row length first, as in the file */
        for (uint32_t d = 0; d < t->n_dims; d++)
            rl_json_uint(j, NULL, t->dims[d]);
        rl_json_end_array(j);
        rl_json_uint(j, "bytes", t->bytes);
        rl_json_end_object(j);
    }
    rl_json_end_array(j);
}

typedef struct type_sum {
    uint64_t tensors, weights, bytes;
} type_sum;

/* *params and *bytes of all tensors. */
static void types(rl_json *j, const rl_gguf *g, type_sum *all)
{
    type_sum sums[RL_TYPE_COUNT] = { { 0, 0, 0 } };

    for (uint32_t i = 0; i < rl_gguf_n_tensors(g); i++) {
        const rl_gguf_tensor *t = rl_gguf_tensor_at(g, i);
        type_sum *s = &sums[t->type];

        *s = (type_sum){ s->tensors + 1, s->weights + weights_of(t), s->bytes + t->bytes };
        *all = (type_sum){ all->tensors + 1, all->weights + weights_of(t), all->bytes + t->bytes };
    }
    rl_json_array(j, "types");
    for (uint32_t i = 0; i < RL_TYPE_COUNT; i++) {
        if (!sums[i].tensors)
            continue;
        rl_json_object(j, NULL);
        rl_json_string(j, "type", rl_type_get(i)->name);
        rl_json_uint(j, "tensors", sums[i].tensors);
        rl_json_uint(j, "weights", sums[i].weights);
        rl_json_uint(j, "bytes", sums[i].bytes);
        rl_json_bool(j, "supported", rl_type_get(i)->compute);
        rl_json_end_object(j);
    }
    rl_json_end_array(j);
}

/* -> OK when the tokenizer is one of ours; else why has the reason */
static realm_status tokenizer(rl_json *j, const rl_gguf *g, realm_error *why)
{
    const rl_gguf_kv *tokens = rl_gguf_find(g, "tokenizer.ggml.tokens");
    rl_text name = { "", 0 };
    rl_vocab *v = NULL;
    realm_status st = rl_vocab_open(&v, g, why);

    rl_json_object(j, "tokenizer");
    if (rl_gguf_text(g, "tokenizer.ggml.model", &name, NULL) == REALM_OK)
        text(j, "model", name);
    if (rl_gguf_text(g, "tokenizer.ggml.pre", &name, NULL) == REALM_OK)
        text(j, "pre", name);
    rl_json_uint(j, "n_tokens", tokens ? tokens->n : 0);
    rl_json_bool(j, "supported", st == REALM_OK);
    if (st != REALM_OK)
        rl_json_string(j, "why", why->text);
    rl_json_bool(j, "chat_template", rl_gguf_find(g, "tokenizer.chat_template") != NULL);
    rl_json_end_object(j);
    rl_vocab_close(v);
    return st;
}

static realm_status unsupported(rl_json *j, const rl_gguf *g, bool tokenizer_ok,
                                const char *why_tokenizer)
{
    realm_error why;
    realm_status st = rl_model_check(g, &why);

    rl_json_bool(j, "runnable", st == REALM_OK && tokenizer_ok);
    rl_json_array(j, "unsupported");
    if (st != REALM_OK)
        rl_json_string(j, NULL, why.text);
    if (!tokenizer_ok)
        rl_json_string(j, NULL, why_tokenizer);
    rl_json_end_array(j);
    return st;
}

realm_status rl_lib_describe_gguf(const rl_gguf *g, uint64_t packed_bytes, rl_buf *json,
                                  realm_error *err)
{
    realm_error why = { .text = "" };
    rl_json j = rl_json_on(json);
    type_sum all = { 0, 0, 0 };
    realm_status words, weights;
    rl_text t;

    rl_json_object(&j, NULL);
    rl_json_string(&j, "kind", "gguf");
    rl_json_uint(&j, "version", rl_gguf_version(g));
    rl_json_bool(&j, "packed", packed_bytes > 0);
    rl_json_uint(&j, "file_bytes", packed_bytes ? packed_bytes : rl_gguf_file_bytes(g));
    if (rl_gguf_text(g, "general.architecture", &t, NULL) == REALM_OK)
        text(&j, "arch", t);
    if (rl_gguf_text(g, "general.name", &t, NULL) == REALM_OK)
        text(&j, "name", t);
    words = tokenizer(&j, g, &why);
    weights = unsupported(&j, g, words == REALM_OK, why.text);
    types(&j, g, &all);
    rl_json_uint(&j, "n_params", all.weights);
    rl_json_uint(&j, "weight_bytes", all.bytes);
    metadata(&j, g);
    tensors(&j, g);
    rl_json_end_object(&j);
    /* "No memory just now" says nothing of the file. */
    if (words == REALM_ENOMEM || weights == REALM_ENOMEM || json->failed)
        return realm_fail(err, REALM_ENOMEM, "no memory to describe a model file");
    return REALM_OK;
}
