/* Any bytes as a model file: opening answers a status, and what opened can be walked to the end. */
#include "base/assert.h"
#include "gguf/gguf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile uint64_t sink; /* so that reads happen */

static void walk_value(const rl_gguf_kv *kv)
{
    const uint8_t *at = kv->value;

    if (kv->item == RL_GGUF_STRING) {
        for (uint64_t i = 0; i < kv->n; i++) {
            rl_text t = rl_gguf_next_text(&at);

            if (t.n)
                sink += (uint8_t)t.p[t.n - 1];
        }
        RL_ASSERT(at == kv->value + kv->bytes);
        return;
    }
    for (uint64_t i = 0; i < kv->n; i++) {
        double v = rl_gguf_number(kv, i);

        sink += v > 0;
    }
}

static void walk(const rl_gguf *g, bool has_data)
{
    char key[256];
    uint32_t u;
    float f;
    bool b;
    rl_text t;

    for (uint32_t i = 0; i < rl_gguf_n_kv(g); i++) {
        const rl_gguf_kv *kv = rl_gguf_kv_at(g, i);

        walk_value(kv);
        if (kv->key.n >= sizeof key)
            continue;
        memcpy(key, kv->key.p, kv->key.n);
        key[kv->key.n] = 0;
        RL_ASSERT(rl_gguf_find(g, key) == kv);
        sink += rl_gguf_u32(g, key, &u, NULL) == REALM_OK;
        sink += rl_gguf_f32(g, key, &f, NULL) == REALM_OK;
        sink += rl_gguf_bool(g, key, &b, NULL) == REALM_OK;
        sink += rl_gguf_text(g, key, &t, NULL) == REALM_OK;
    }
    for (uint32_t i = 0; i < rl_gguf_n_tensors(g); i++) {
        const rl_gguf_tensor *w = rl_gguf_tensor_at(g, i);

        RL_ASSERT((w->data != NULL) == has_data && w->bytes > 0);
        if (has_data)
            sink += w->data[0] + w->data[w->bytes - 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    for (int metadata_only = 0; metadata_only <= 1; metadata_only++) {
        realm_error err;
        rl_gguf *g;

        if (rl_gguf_open_memory(&g, data, n, metadata_only, &err) == REALM_OK) {
            walk(g, !metadata_only);
            rl_gguf_close(g);
        } else {
            RL_ASSERT(strlen(err.text) > 10);
        }
    }
    return 0;
}
