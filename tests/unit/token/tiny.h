/* Small vocabularies for tests, written as the metadata of a GGUF file. */
#ifndef TEST_TOKEN_TINY_H
#define TEST_TOKEN_TINY_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "token/vocab.h"

#include <stdio.h>
#include <string.h>

typedef struct tiny_token {
    const char *text;
    uint32_t kind; /* RL_TOKEN_*; 0 is RL_TOKEN_NORMAL */
    float score;
} tiny_token;

typedef struct tiny {
    rl_buf head, body; /* pairs and how many */
    rl_buf file;
    uint64_t n_kv;
    rl_gguf *g;
    rl_vocab *v;
    rl_buf scalars; /* what tiny_map leaves of the file */
    char *tables;   /* [n_tables] what it makes of the rest */
    size_t n_tables;
} tiny;

static inline void tiny_int(rl_buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        char c = (char)(v >> (8 * i));

        (void)rl_buf_add(b, &c, 1);
    }
}

static inline void tiny_text(rl_buf *b, const char *s, size_t n)
{
    tiny_int(b, n, 8);
    (void)rl_buf_add(b, s, n);
}

static inline void tiny_key(tiny *t, const char *key, uint32_t kind)
{
    tiny_text(&t->body, key, strlen(key));
    tiny_int(&t->body, kind, 4);
    t->n_kv++;
}

static inline void tiny_array(tiny *t, const char *key, uint32_t item, uint64_t n)
{
    tiny_key(t, key, RL_GGUF_ARRAY);
    tiny_int(&t->body, item, 4);
    tiny_int(&t->body, n, 8);
}

static inline void tiny_string(tiny *t, const char *key, const char *value)
{
    tiny_key(t, key, RL_GGUF_STRING);
    tiny_text(&t->body, value, strlen(value));
}

static inline void tiny_u32(tiny *t, const char *key, uint32_t value)
{
    tiny_key(t, key, RL_GGUF_U32);
    tiny_int(&t->body, value, 4);
}

static inline void tiny_bool(tiny *t, const char *key, bool value)
{
    tiny_key(t, key, RL_GGUF_BOOL);
    tiny_int(&t->body, value, 1);
}

static inline void tiny_init(tiny *t, const char *model)
{
    *t = (tiny){ 0 };
    rl_buf_init(&t->body, (size_t)64 << 20);
    rl_buf_init(&t->file, (size_t)64 << 20);
    tiny_string(t, "tokenizer.ggml.model", model);
}

static inline uint32_t tiny_kind(const tiny_token *token)
{
    return token->kind ? token->kind : RL_TOKEN_NORMAL;
}

/* Tokens, kinds and scores of an SPM vocabulary. */
static inline void tiny_spm_tokens(tiny *t, const tiny_token *tokens, size_t n)
{
    tiny_array(t, "tokenizer.ggml.tokens", RL_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        tiny_text(&t->body, tokens[i].text, strlen(tokens[i].text));
    tiny_array(t, "tokenizer.ggml.token_type", RL_GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        tiny_int(&t->body, tiny_kind(&tokens[i]), 4);
    tiny_array(t, "tokenizer.ggml.scores", RL_GGUF_F32, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, &tokens[i].score, sizeof bits);
        tiny_int(&t->body, bits, 4);
    }
}

/* The character by which a byte-level file spells the byte. -> its bytes in out[4] */
static inline size_t tiny_spell(uint8_t byte, char *out)
{
    uint32_t cp = 256;

    if ((byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad))
        return (size_t)rl_utf8_put(byte, out);
    for (unsigned b = 0; b < byte; b++)
        cp += !((b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad));
    return (size_t)rl_utf8_put(cp, out);
}

/* Ids 0..255 are the bytes in order, then one token per merge "left right" (texts as the file
 * spells them), then the extra tokens. */
static inline void tiny_bpe_tokens(tiny *t, const char *const *merges, size_t n_merges,
                                   const tiny_token *extra, size_t n_extra)
{
    tiny_array(t, "tokenizer.ggml.tokens", RL_GGUF_STRING, 256 + n_merges + n_extra);
    for (unsigned b = 0; b < 256; b++) {
        char s[4];

        tiny_text(&t->body, s, tiny_spell((uint8_t)b, s));
    }
    for (size_t i = 0; i < n_merges; i++) {
        const char *space = strchr(merges[i], ' ');
        size_t n_left = (size_t)(space - merges[i]);

        tiny_int(&t->body, strlen(merges[i]) - 1, 8);
        (void)rl_buf_add(&t->body, merges[i], n_left);
        (void)rl_buf_adds(&t->body, space + 1);
    }
    for (size_t i = 0; i < n_extra; i++)
        tiny_text(&t->body, extra[i].text, strlen(extra[i].text));
    tiny_array(t, "tokenizer.ggml.token_type", RL_GGUF_I32, 256 + n_merges + n_extra);
    for (size_t i = 0; i < 256 + n_merges; i++)
        tiny_int(&t->body, RL_TOKEN_NORMAL, 4);
    for (size_t i = 0; i < n_extra; i++)
        tiny_int(&t->body, tiny_kind(&extra[i]), 4);
    tiny_array(t, "tokenizer.ggml.merges", RL_GGUF_STRING, n_merges);
    for (size_t i = 0; i < n_merges; i++)
        tiny_text(&t->body, merges[i], strlen(merges[i]));
}

/* Opens what was put; t->v stays NULL on failure. */
static inline realm_status tiny_open(tiny *t, realm_error *err)
{
    realm_status st;

    rl_buf_clear(&t->file);
    (void)rl_buf_adds(&t->file, "GGUF");
    tiny_int(&t->file, 3, 4);
    tiny_int(&t->file, 0, 8);
    tiny_int(&t->file, t->n_kv, 8);
    (void)rl_buf_add(&t->file, t->body.data, t->body.len);
    st = rl_gguf_open_memory(&t->g, t->file.data, t->file.len, false, err);
    return st == REALM_OK ? rl_vocab_open(&t->v, t->g, err) : st;
}

/* The file's pairs that are no arrays, as a file of their own. */
static inline void tiny_scalars(const rl_gguf *g, rl_buf *out)
{
    uint64_t n = 0;

    rl_buf_init(out, (size_t)64 << 20);
    for (uint32_t i = 0; i < rl_gguf_n_kv(g); i++)
        n += rl_gguf_kv_at(g, i)->kind != RL_GGUF_ARRAY;
    (void)rl_buf_add(out, rl_gguf_bytes(g), 16);
    tiny_int(out, n, 8);
    for (uint32_t i = 0; i < rl_gguf_n_kv(g); i++) {
        const rl_gguf_kv *kv = rl_gguf_kv_at(g, i);
        const uint8_t *begin = (const uint8_t *)kv->key.p - 8;

        if (kv->kind != RL_GGUF_ARRAY)
            (void)rl_buf_add(out, begin, (size_t)(kv->value + kv->bytes - begin));
    }
}

/* After tiny_open: saves the tables and opens the vocabulary again over them alone, as a packed
 * file does. They end where their memory ends, so that a sanitizer sees a read past them. */
static inline realm_status tiny_map(tiny *t, realm_error *err)
{
    realm_status st;
    rl_buf saved;

    rl_buf_init(&saved, (size_t)64 << 20);
    st = rl_vocab_save(t->v, &saved, err);
    t->n_tables = saved.len;
    t->tables = rl_alloc(saved.len);
    tiny_scalars(t->g, &t->scalars);
    if (st == REALM_OK && t->tables)
        memcpy(t->tables, saved.data, saved.len);
    rl_buf_deinit(&saved);
    rl_vocab_close(t->v);
    rl_gguf_close(t->g);
    t->v = NULL;
    t->g = NULL;
    if (st == REALM_OK)
        st = rl_gguf_open_memory(&t->g, t->scalars.data, t->scalars.len, false, err);
    if (st != REALM_OK)
        return st;
    rl_gguf_attach(t->g, t->tables, t->n_tables);
    return rl_vocab_open(&t->v, t->g, err);
}

static inline void tiny_deinit(tiny *t)
{
    rl_vocab_close(t->v);
    rl_gguf_close(t->g);
    rl_buf_deinit(&t->body);
    rl_buf_deinit(&t->file);
    rl_buf_deinit(&t->scalars);
    rl_free(t->tables);
}

/* Encodes and checks the ids; `want` ends with RL_NO_TOKEN. */
#define assert_ids(v, text, flags, ...)                                                            \
    check_tiny_ids((v), (text), strlen(text), (flags), (const uint32_t[]){ __VA_ARGS__ },          \
                   sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), __FILE__,         \
                   __LINE__)

static inline void check_tiny_ids(const rl_vocab *v, const char *text, size_t n, uint32_t flags,
                                  const uint32_t *want, size_t n_want, const char *file, int line)
{
    uint32_t *ids;
    size_t n_ids;
    realm_error err;

    assert_int_equal(rl_encode(v, text, n, flags, &ids, &n_ids, &err), REALM_OK);
    if (n_ids != n_want || memcmp(ids, want, n_ids * sizeof *ids) != 0) {
        print_error("%s:%d: \"%s\" gave", file, line, text);
        for (size_t i = 0; i < n_ids; i++)
            print_error(" %u", ids[i]);
        print_error("\n");
        fail();
    }
    rl_free(ids);
}

#endif
