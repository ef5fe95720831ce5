#include "model/metadata.h"

#include <string.h>

#define LONG_ARRAY  256u /* items; shorter ones stay */
#define HEADER      24u  /* the letters, version, number of tensors, number of keys */
#define AT_N_KV     16u
#define LENGTH_SIZE 8u /* of a text, before it */

static bool is_tabled(const rl_gguf_kv *kv)
{
    static const char prefix[] = "tokenizer.";

    return kv->kind == RL_GGUF_ARRAY && kv->n > LONG_ARRAY && kv->key.n >= sizeof prefix &&
           memcmp(kv->key.p, prefix, sizeof prefix - 1) == 0;
}

/* Pairs lie one behind the other from the header on, and the tensors behind them. */
realm_status rl_metadata_short(const rl_gguf *g, rl_buf *out, realm_error *err)
{
    const uint8_t *base = rl_gguf_bytes(g), *end = base + HEADER;
    uint64_t n_kv = 0;
    size_t start = out->len;

    (void)rl_buf_add(out, base, HEADER);
    for (uint32_t i = 0; i < rl_gguf_n_kv(g); i++) {
        const rl_gguf_kv *kv = rl_gguf_kv_at(g, i);
        const uint8_t *begin = (const uint8_t *)kv->key.p - LENGTH_SIZE;

        end = kv->value + kv->bytes;
        if (is_tabled(kv))
            continue;
        (void)rl_buf_add(out, begin, (size_t)(end - begin));
        n_kv++;
    }
    (void)rl_buf_add(out, end, rl_gguf_metadata_bytes(g) - (size_t)(end - base));
    if (out->failed)
        return realm_fail(err, REALM_ENOMEM, "no memory for the metadata of a model");
    memcpy(out->data + start + AT_N_KV, &n_kv, sizeof n_kv);
    return REALM_OK;
}
