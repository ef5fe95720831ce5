/* Opened models and tokenizers. */
#include "lib/internal.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

static void fill_info(realm_model *m, const rl_store_model *row)
{
    const rl_model_info *i = rl_model_get_info(rl_lm_model(m->lm));
    const rl_vocab_info *v = rl_vocab_get_info(rl_lm_vocab(m->lm));
    realm_model_info *o = &m->info;

    memcpy(o->name, row->name, sizeof o->name);
    memcpy(o->sha256, i->sha256, sizeof o->sha256);
    memcpy(o->arch, i->arch, sizeof o->arch);
    o->n_layers = i->n_layers;
    o->n_embd = i->n_embd;
    o->n_heads = i->n_heads;
    o->n_kv_heads = i->n_kv_heads;
    o->head_dim = i->head_dim;
    o->n_ff = i->n_ff;
    o->n_vocab = i->n_vocab;
    o->n_ctx = rl_lm_n_ctx(m->lm);
    o->window = i->window;
    o->n_params = i->n_params;
    o->weight_bytes = i->weight_bytes;
    o->weight_bytes_per_token = i->weight_bytes_per_token;
    o->bos = v->bos;
    o->eos = v->eos;
    o->has_chat = rl_lm_chat(m->lm, NULL) != NULL;
}

realm_status realm_model_open(realm_model **out, realm *r, const char *name_or_path, bool reference,
                              realm_error *err)
{
    rl_lm_opts opts = rl_lib_lm_opts(r, reference);
    rl_store_model row;
    char path[RL_LIB_PATH];
    rl_engine *e;
    realm_model *m;
    realm_status st;

    *out = NULL;
    memset(&row, 0, sizeof row);
    st = rl_lib_locate(r, name_or_path, &row, path, err);
    if (st == REALM_OK)
        st = rl_lib_engine(r, &e, err);
    if (st != REALM_OK)
        return st;
    m = rl_alloc(sizeof *m);
    if (!m)
        return realm_fail(err, REALM_ENOMEM, "no memory to open the model");
    m->r = r;
    st = rl_lm_open(&m->lm, e, path, &opts, err);
    if (st != REALM_OK) {
        rl_free(m);
        return st;
    }
    m->tokenizer.vocab = rl_lm_vocab(m->lm);
    fill_info(m, &row);
    *out = m;
    return REALM_OK;
}

void realm_model_close(realm_model *m)
{
    if (!m)
        return;
    rl_lm_unref(m->lm);
    rl_free(m);
}

const realm_model_info *realm_model_get_info(const realm_model *m)
{
    return &m->info;
}

const realm_tokenizer *realm_model_tokenizer(const realm_model *m)
{
    return &m->tokenizer;
}

/* ---- tokenizers ------------------------------------------------------------------------------ */

static realm_status open_source(realm_tokenizer *t, realm *r, const char *name_or_path,
                                const rl_gguf **g, realm_error *err)
{
    rl_model_opts opts = { .look = true };
    char path[RL_LIB_PATH];
    rl_store_model row;
    realm_status st;

    if (rl_lib_is_path(name_or_path)) {
        st = rl_gguf_open(&t->gguf, name_or_path, err);
        *g = t->gguf;
        return st;
    }
    st = rl_lib_find(r, name_or_path, &row, path, err);
    if (st == REALM_OK)
        st = rl_model_open(&t->model, path, &opts, err);
    if (st == REALM_OK)
        *g = rl_model_gguf(t->model);
    return st;
}

realm_status realm_tokenizer_open(realm_tokenizer **out, realm *r, const char *name_or_path,
                                  realm_error *err)
{
    realm_tokenizer *t = rl_alloc(sizeof *t);
    const rl_gguf *g = NULL;
    rl_vocab *v = NULL;
    realm_status st;

    *out = NULL;
    if (!t)
        return realm_fail(err, REALM_ENOMEM, "no memory to open the tokenizer");
    st = open_source(t, r, name_or_path, &g, err);
    if (st == REALM_OK)
        st = rl_vocab_open(&v, g, err);
    t->vocab = v;
    if (st != REALM_OK) {
        realm_tokenizer_close(t);
        return st;
    }
    *out = t;
    return REALM_OK;
}

void realm_tokenizer_close(realm_tokenizer *t)
{
    if (!t)
        return;
    /* An own tokenizer owns its vocabulary: const only for those who borrow it. */
    rl_vocab_close((rl_vocab *)(uintptr_t)t->vocab);
    rl_model_close(t->model);
    rl_gguf_close(t->gguf);
    rl_free(t);
}

realm_status realm_tokenize(const realm_tokenizer *t, const char *text, size_t n, uint32_t flags,
                            uint32_t **ids, size_t *n_ids, realm_error *err)
{
    uint32_t f = 0;

    if (flags & REALM_TOKENS_ADD_SPECIAL)
        f |= RL_ENCODE_ADD_SPECIAL;
    if (flags & REALM_TOKENS_PARSE_SPECIAL)
        f |= RL_ENCODE_PARSE_SPECIAL;
    return rl_encode(t->vocab, text, n, f, ids, n_ids, err);
}

realm_status realm_detokenize(const realm_tokenizer *t, const uint32_t *ids, size_t n_ids,
                              char **text, size_t *n, realm_error *err)
{
    rl_buf out;
    realm_status st;

    rl_buf_init(&out, (size_t)1 << 30);
    st = rl_decode(t->vocab, ids, n_ids, 0, &out, err);
    *n = out.len;
    *text = st == REALM_OK ? rl_buf_take(&out) : NULL;
    rl_buf_deinit(&out);
    if (st == REALM_OK && !*text)
        st = realm_fail(err, REALM_ENOMEM, "no memory for the text");
    return st;
}

const char *realm_token_bytes(const realm_tokenizer *t, uint32_t id, size_t *n)
{
    rl_text bytes = rl_token_bytes(t->vocab, id);

    *n = bytes.n;
    return bytes.p ? bytes.p : "";
}
