/* Any bytes as a model file with a tokenizer: building its tables answers a status; then the file's
 * own last bytes are a text for it. Ids are of the vocabulary, and what streams is UTF-8. The same
 * goes for its tables as a packed file keeps them, sound and with some of their bytes changed. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/utf8.h"
#include "token/token.h"

#include <string.h>

#define TEXT_MAX 200u
#define CHANGES  8u
#define HEAD     2300u /* bytes of the tables' head, about */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Decodes twice, at once and as a stream. */
static void decode(const rl_vocab *v, const uint32_t *ids, size_t n)
{
    rl_detok d = { .n_held = 0 };
    rl_buf whole, stream;
    realm_error err;

    rl_buf_init(&whole, (size_t)64 << 20);
    rl_buf_init(&stream, (size_t)64 << 20);
    RL_ASSERT(rl_decode(v, ids, n, 0, &whole, &err) == REALM_OK);
    for (size_t i = 0; i < n; i++)
        RL_ASSERT(rl_detok_add(&d, v, ids[i], 0, &stream) == REALM_OK);
    RL_ASSERT(rl_detok_add(&d, v, RL_NO_TOKEN, 0, &stream) == REALM_OK);
    RL_ASSERT(rl_utf8_valid(stream.data, stream.len));
    rl_buf_deinit(&whole);
    rl_buf_deinit(&stream);
}

static void encode(const rl_vocab *v, const char *text, size_t n, uint32_t flags)
{
    uint32_t *ids = NULL;
    realm_error err;
    size_t n_ids = 0;

    RL_ASSERT(rl_encode(v, text, n, flags, &ids, &n_ids, &err) == REALM_OK);
    for (size_t i = 0; i < n_ids; i++)
        RL_ASSERT(ids[i] < rl_vocab_get_info(v)->n_tokens);
    decode(v, ids, n_ids);
    rl_free(ids);
}

/* Changes bytes of the tables: the input's last ones say which, half of them in the head, and to
 * what. */
static void damage(rl_buf *tables, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i + 4 <= n && i < 4 * CHANGES; i += 4) {
        const uint8_t *p = data + n - i - 4;
        size_t at = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;

        if (at % 2)
            at %= HEAD;
        tables->data[at % tables->len] = (char)p[3];
    }
}

static void over_tables(rl_gguf *g, const rl_buf *tables, const char *text, size_t n, bool sound)
{
    realm_error err;
    rl_vocab *v;
    realm_status st;

    rl_gguf_attach(g, tables->data, tables->len);
    st = rl_vocab_open(&v, g, &err);
    RL_ASSERT(st == REALM_OK || !sound);
    if (st == REALM_OK) {
        encode(v, text, n, 0);
        encode(v, text, n, RL_ENCODE_ADD_SPECIAL | RL_ENCODE_PARSE_SPECIAL);
    }
    rl_vocab_close(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t n_text = n < TEXT_MAX ? n : TEXT_MAX;
    const char *text = (const char *)data + n - n_text;
    realm_error err;
    rl_buf tables;
    rl_gguf *g;
    rl_vocab *v;

    rl_buf_init(&tables, (size_t)1 << 30);
    if (rl_gguf_open_memory(&g, data, n, true, &err) != REALM_OK)
        return 0;
    if (rl_vocab_open(&v, g, &err) == REALM_OK) {
        encode(v, text, n_text, 0);
        encode(v, text, n_text, RL_ENCODE_ADD_SPECIAL | RL_ENCODE_PARSE_SPECIAL);
        RL_ASSERT(rl_vocab_save(v, &tables, &err) == REALM_OK);
        rl_vocab_close(v);
        over_tables(g, &tables, text, n_text, true);
        damage(&tables, data, n);
        over_tables(g, &tables, text, n_text, false);
    } else {
        RL_ASSERT(strlen(err.text) > 10);
    }
    rl_gguf_close(g);
    rl_buf_deinit(&tables);
    return 0;
}
