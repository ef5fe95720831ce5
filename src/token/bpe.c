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
    char *to = v->pool;

    fill_codes(codes);
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        rl_text raw = v->raw[i];
        size_t n = is_spelled(v->kind[i]) ? unspell(codes, raw, to) : 0;

        if (!n) {
            n = raw.n;
            memcpy(to, raw.p, n);
        }
        v->bytes[i] = (rl_text){ to, n };
        to += n;
    }
}

static realm_status find_bytes(rl_vocab *v, realm_error *err)
{
    memset(v->byte_id, 0xff, sizeof v->byte_id);
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        uint32_t *id;

        if (v->bytes[i].n != 1 || !is_spelled(v->kind[i]))
            continue;
        id = &v->byte_id[(uint8_t)v->bytes[i].p[0]];
        *id = *id == RL_NO_TOKEN ? i : *id;
    }
    for (unsigned b = 0; b < 256; b++) {
        if (v->byte_id[b] == RL_NO_TOKEN)
            return realm_fail(err, REALM_EINVAL, "the vocabulary has no token for byte %u", b);
    }
    return REALM_OK;
}

/* Looks up the three texts of a merge "left right". The merged token is guessed first: vocabularies
 * list tokens in the order of their merges. */
static bool resolve(const rl_vocab *v, const rl_gguf_index *ix, rl_text line, uint32_t guess,
                    uint32_t ids[3])
{
    char joined[2 * RL_SPECIAL_MAX + 1024];
    const char *space = line.n > 2 ? memchr(line.p + 1, ' ', line.n - 2) : NULL;
    size_t n_left, n;

    if (!space || line.n - 1 > sizeof joined)
        return false;
    n_left = (size_t)(space - line.p);
    n = line.n - 1;
    memcpy(joined, line.p, n_left);
    memcpy(joined + n_left, space + 1, n - n_left);
    ids[0] = rl_gguf_index_find(ix, line.p, n_left);
    ids[1] = rl_gguf_index_find(ix, space + 1, n - n_left);
    if (guess < v->info.n_tokens && v->raw[guess].n == n && is_spelled(v->kind[guess]) &&
        memcmp(v->raw[guess].p, joined, n) == 0)
        ids[2] = guess;
    else
        ids[2] = rl_gguf_index_find(ix, joined, n);
    return ids[0] != RL_INDEX_NONE && ids[1] != RL_INDEX_NONE && ids[2] != RL_INDEX_NONE;
}

static realm_status add_merges(rl_vocab *v, const rl_gguf_index *ix, const rl_gguf_kv *kv,
                               realm_error *err)
{
    const uint8_t *at = kv->value;
    uint32_t ids[3] = { 0, 0, 255 };

    for (uint32_t rank = 0; rank < kv->n; rank++) {
        rl_text line = rl_gguf_next_text(&at);
        uint64_t key;
        rl_map_slot *slot;

        if (!resolve(v, ix, line, ids[2] + 1, ids))
            return realm_fail(err, REALM_EINVAL,
                              "merge %u of the model file is not \"left right\" of known tokens",
                              rank);
        key = (uint64_t)ids[0] << 32 | ids[1];
        slot = rl_map_seek(&v->merges, key);
        if (!slot->key1) { /* of equal pairs the first counts */
            slot->key1 = key + 1;
            slot->value = (uint64_t)rank << 32 | ids[2];
        }
    }
    return REALM_OK;
}

static realm_status build_merges(rl_vocab *v, const rl_gguf_kv *kv, realm_error *err)
{
    rl_gguf_index ix = { 0 };
    realm_status st = REALM_OK;

    if (rl_gguf_index_init(&ix, v->raw, sizeof *v->raw, v->info.n_tokens) != REALM_OK ||
        rl_map_init(&v->merges, kv->n) != REALM_OK)
        st = realm_fail(err, REALM_ENOMEM, "no memory for the vocabulary");
    for (uint32_t i = 0; st == REALM_OK && i < v->info.n_tokens; i++) {
        if (v->kind[i] != RL_TOKEN_CONTROL && v->kind[i] != RL_TOKEN_UNKNOWN)
            (void)rl_gguf_index_add(&ix, i);
    }
    if (st == REALM_OK)
        st = add_merges(v, &ix, kv, err);
    rl_gguf_index_deinit(&ix);
    return st;
}

static realm_status build_words(rl_vocab *v, realm_error *err)
{
    if (rl_gguf_index_init(&v->words, v->bytes, sizeof *v->bytes, v->info.n_tokens) != REALM_OK)
        return realm_fail(err, REALM_ENOMEM, "no memory for the vocabulary");
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        if (is_spelled(v->kind[i]) && v->bytes[i].n)
            (void)rl_gguf_index_add(&v->words, i);
    }
    return REALM_OK;
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
        st = build_merges(v, kv, err);
    if (st == REALM_OK && v->pretok->whole_words)
        st = build_words(v, err);
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
        uint32_t id = rl_gguf_index_find(&v->words, text, n);

        if (id != RL_INDEX_NONE) {
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
