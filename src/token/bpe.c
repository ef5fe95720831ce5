/* BPE: byte-level pair merging as "gpt2" files carry it. Texts of the file spell bytes as printable
 * characters; here tokens are their bytes, and merging works on ids alone. */
#include "token/vocab.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <string.h>

#define CODES 324u /* 256 + the bytes that have no printable character of their own */

/* The byte that a character of a file's text stands for, 0xffff for none. Bytes that are printable
 * in Latin-1 stand for themselves, the rest for U+0100 and up in order (GPT-2's encoder.py). */
static void fill_codes(uint16_t codes[CODES])
{
    unsigned next = 256;

    memset(codes, 0xff, CODES * sizeof *codes);
    for (unsigned b = 0; b < 256; b++) {
        bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);

        codes[printable ? b : next++] = (uint16_t)b;
    }
}

/* The bytes that `raw` spells. -> their number; 0 when it is no such spelling. */
static size_t unspell(const uint16_t codes[CODES], rl_text raw, char *to)
{
    size_t k = 0;

    for (size_t i = 0; i < raw.n;) {
        uint32_t cp;
        int len = rl_utf8_next(raw.p + i, raw.n - i, &cp);

        if (len <= 0 || cp >= CODES || codes[cp] > 255)
            return 0;
        to[k++] = (char)codes[cp];
        i += (size_t)len;
    }
    return k;
}

static bool is_spelled(uint8_t kind)
{
    return kind == RL_TOKEN_NORMAL || kind == RL_TOKEN_UNUSED || kind == RL_TOKEN_BYTE;
}

static void decode_texts(rl_vocab *v)
{
    uint16_t codes[CODES];
    char *to = v->texts.pool;

    fill_codes(codes);
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        rl_text raw = v->raw[i];
        size_t n = is_spelled(v->kind[i]) ? unspell(codes, raw, to) : 0;

        if (!n) {
            n = raw.n;
            memcpy(to, raw.p, n);
        }
        to += n;
        v->texts.starts[i + 1] = (uint32_t)(to - v->texts.pool);
    }
}

static realm_status find_bytes(rl_vocab *v, realm_error *err)
{
    memset(v->byte_id, 0xff, sizeof v->byte_id);
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        rl_text t = rl_texts_at(&v->texts, i);
        uint32_t *id;

        if (t.n != 1 || !is_spelled(v->kind[i]))
            continue;
        id = &v->byte_id[(uint8_t)t.p[0]];
        *id = *id == RL_NO_TOKEN ? i : *id;
    }
    for (unsigned b = 0; b < 256; b++) {
        if (v->byte_id[b] == RL_NO_TOKEN)
            return realm_fail(err, REALM_EINVAL, "the vocabulary has no token for byte %u", b);
    }
    return REALM_OK;
}

static bool is_word(const rl_vocab *v, uint32_t i)
{
    return is_spelled(v->kind[i]) && rl_texts_at(&v->texts, i).n;
}

realm_status rl_bpe_open(rl_vocab *v, const rl_gguf *g, realm_error *err)
{
    const rl_gguf_kv *kv = rl_gguf_find(g, "tokenizer.ggml.merges");
    realm_status st;

    if (!kv || kv->kind != RL_GGUF_ARRAY || kv->item != RL_GGUF_STRING || kv->n >= UINT32_MAX)
        return realm_fail(err, REALM_EINVAL,
                          "the model file's key tokenizer.ggml.merges is no array of texts");
    decode_texts(v);
    st = find_bytes(v, err);
    if (st == REALM_OK)
        st = rl_merges_open(v, kv, err);
    if (st == REALM_OK && v->pretok->whole_words)
        st = rl_vocab_index_words(v, is_word, err);
    return st;
}

uint32_t rl_bpe_pair(const void *ctx, rl_symbol left, rl_symbol right, const char *text, size_t n,
                     uint32_t *merged)
{
    const rl_vocab *v = ctx;
    uint64_t found = rl_map_find(&v->merges, (uint64_t)left.id << 32 | right.id);

    (void)text;
    (void)n;
    *merged = (uint32_t)found;
    return (uint32_t)(found >> 32); /* RL_MAP_NONE gives RL_MERGE_NEVER */
}

static realm_status encode_piece(rl_encoder *e, const char *text, size_t n)
{
    const rl_vocab *v = e->v;
    rl_merge *m = &e->merge;
    size_t k = n;

    if (v->pretok->whole_words) {
        uint32_t id = rl_words_find(&v->words, text, n);

        if (id != RL_NO_WORD) {
            rl_ids_add(&e->ids, id);
            return REALM_OK;
        }
    }
    if (rl_merge_reserve(m, n) != REALM_OK)
        return REALM_ENOMEM;
    for (size_t i = 0; i < n; i++)
        m->symbols[i] = (rl_symbol){ v->byte_id[(uint8_t)text[i]], (uint32_t)i };
    if (rl_merge_run(m, text, n, &k) != REALM_OK)
        return REALM_ENOMEM;
    for (size_t i = 0; i < k; i++)
        rl_ids_add(&e->ids, m->symbols[i].id);
    return REALM_OK;
}

realm_status rl_bpe_encode(rl_encoder *e, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = e->v->pretok->next(text + i, n - i), at = e->ids.n;
        rl_memo *slot;
        realm_status st;

        if (!rl_memo_get(e, text + i, len, &slot)) {
            st = encode_piece(e, text + i, len);
            if (st != REALM_OK)
                return st;
            rl_memo_put(e, slot, text + i, len, at);
        }
        i += len;
    }
    return REALM_OK;
}
