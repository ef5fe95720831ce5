/* Opening a vocabulary: texts, kinds and keys that every tokenizer model has. */
#include "token/tables.h"

#include "base/alloc.h"

#include <string.h>

#define MAX_TOKENS ((uint64_t)1 << 24)

static const char tokens_key[] = "tokenizer.ggml.tokens";

realm_status rl_vocab_array(const rl_gguf *g, const char *key, rl_gguf_kind item, uint64_t n_want,
                            const rl_gguf_kv **kv, realm_error *err)
{
    *kv = rl_gguf_find(g, key);
    if (!*kv)
        return REALM_OK;
    if ((*kv)->kind != RL_GGUF_ARRAY || (*kv)->item != item)
        return realm_fail(err, REALM_EINVAL, "the model file's key %s is no array of %s", key,
                          rl_gguf_kind_name(item));
    if ((*kv)->n != n_want)
        return realm_fail(err, REALM_EINVAL, "the model file's key %s has %llu items, not %llu",
                          key, (unsigned long long)(*kv)->n, (unsigned long long)n_want);
    return REALM_OK;
}

static realm_status no_memory(realm_error *err)
{
    return realm_fail(err, REALM_ENOMEM, "no memory for the vocabulary");
}

realm_status rl_vocab_index_words(rl_vocab *v, bool (*wanted)(const rl_vocab *, uint32_t),
                                  realm_error *err)
{
    if (rl_words_init(&v->words, &v->texts, v->info.n_tokens) != REALM_OK)
        return no_memory(err);
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        if (wanted(v, i))
            rl_words_add(&v->words, i);
    }
    return REALM_OK;
}

realm_status rl_vocab_index_raw(const rl_vocab *v, rl_gguf_index *ix,
                                bool (*wanted)(const rl_vocab *, uint32_t), realm_error *err)
{
    uint32_t numbers[256], n = 0;

    if (rl_gguf_index_init(ix, v->raw, sizeof *v->raw, v->info.n_tokens) != REALM_OK)
        return no_memory(err);
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        if (wanted(v, i))
            numbers[n++] = i;
        if (n == 256 || i + 1 == v->info.n_tokens) {
            rl_gguf_index_add_many(ix, numbers, n);
            n = 0;
        }
    }
    return REALM_OK;
}

static realm_status read_texts(rl_vocab *v, const rl_gguf *g, realm_error *err)
{
    const rl_gguf_kv *kv = rl_gguf_find(g, tokens_key);
    const uint8_t *at;

    if (!kv || kv->kind != RL_GGUF_ARRAY || kv->item != RL_GGUF_STRING || kv->n == 0 ||
        kv->n > MAX_TOKENS)
        return realm_fail(err, REALM_EINVAL,
                          "the model file's key %s is no array of 1 to %llu texts", tokens_key,
                          (unsigned long long)MAX_TOKENS);
    v->info.n_tokens = (uint32_t)kv->n;
    v->raw = rl_alloc_array(kv->n, sizeof *v->raw);
    v->texts.starts = rl_alloc_array(kv->n + 1, sizeof *v->texts.starts);
    v->texts.pool = rl_alloc(kv->bytes); /* no token's bytes are more than its text */
    v->kind = rl_alloc_array(kv->n, 1);
    if (!v->raw || !v->texts.starts || !v->texts.pool || !v->kind)
        return no_memory(err);
    at = kv->value;
    for (uint64_t i = 0; i < kv->n; i++)
        v->raw[i] = rl_gguf_next_text(&at);
    return REALM_OK;
}

static realm_status read_kinds(rl_vocab *v, const rl_gguf *g, realm_error *err)
{
    const rl_gguf_kv *kv;
    realm_status st =
        rl_vocab_array(g, "tokenizer.ggml.token_type", RL_GGUF_I32, v->info.n_tokens, &kv, err);

    if (st != REALM_OK)
        return st;
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        double kind = kv ? rl_gguf_number(kv, i) : RL_TOKEN_NORMAL;

        if (kind < RL_TOKEN_NORMAL || kind > RL_TOKEN_BYTE)
            return realm_fail(err, REALM_EINVAL, "token %u has the unknown kind %.0f", i, kind);
        v->kind[i] = (uint8_t)kind;
    }
    return REALM_OK;
}

/* An optional id key; *id stays when the file has none. */
static realm_status read_id(const rl_vocab *v, const rl_gguf *g, const char *key, uint32_t *id,
                            realm_error *err)
{
    realm_status st = rl_gguf_u32(g, key, id, err);

    if (st == REALM_ENOTFOUND)
        return REALM_OK;
    if (st == REALM_OK && *id != RL_NO_TOKEN && *id >= v->info.n_tokens)
        return realm_fail(err, REALM_EINVAL,
                          "the model file's key %s is %u and there are %u tokens", key, *id,
                          v->info.n_tokens);
    return st;
}

static realm_status read_flag(const rl_gguf *g, const char *key, bool *flag, realm_error *err)
{
    realm_status st = rl_gguf_bool(g, key, flag, err);

    return st == REALM_ENOTFOUND ? REALM_OK : st;
}

static realm_status read_info(rl_vocab *v, const rl_gguf *g, realm_error *err)
{
    rl_vocab_info *i = &v->info;
    realm_status st;

    i->bos = i->eos = i->unk = RL_NO_TOKEN;
    i->add_bos = v->spm || v->pretok->add_bos;
    i->add_space_prefix = v->spm;
    st = read_id(v, g, "tokenizer.ggml.bos_token_id", &i->bos, err);
    if (st == REALM_OK)
        st = read_id(v, g, "tokenizer.ggml.eos_token_id", &i->eos, err);
    if (st == REALM_OK)
        st = read_id(v, g, "tokenizer.ggml.unknown_token_id", &i->unk, err);
    if (st == REALM_OK)
        st = read_flag(g, "tokenizer.ggml.add_bos_token", &i->add_bos, err);
    if (st == REALM_OK)
        st = read_flag(g, "tokenizer.ggml.add_eos_token", &i->add_eos, err);
    if (st == REALM_OK)
        st = read_flag(g, "tokenizer.ggml.add_space_prefix", &i->add_space_prefix, err);
    i->add_bos = i->add_bos && i->bos != RL_NO_TOKEN;
    i->add_eos = i->add_eos && i->eos != RL_NO_TOKEN;
    i->add_space_prefix = i->add_space_prefix && v->spm;
    return st;
}

/* Which model and which pretokenizer: what Realm does not offer is named. */
static realm_status read_model(rl_vocab *v, const rl_gguf *g, realm_error *err)
{
    rl_text model, pre = { "", 0 };
    realm_status st = rl_gguf_text(g, "tokenizer.ggml.model", &model, err);

    if (st != REALM_OK)
        return st == REALM_ENOTFOUND
                   ? realm_fail(err, REALM_EUNSUPPORTED, "the model file has no tokenizer")
                   : st;
    v->spm = model.n == 5 && memcmp(model.p, "llama", 5) == 0;
    if (!v->spm && !(model.n == 4 && memcmp(model.p, "gpt2", 4) == 0))
        return realm_fail(err, REALM_EUNSUPPORTED,
                          "tokenizer model \"%.*s\"; llama and gpt2 are read",
                          (int)(model.n < 40 ? model.n : 40), model.p);
    v->info.model = v->spm ? "llama" : "gpt2";
    v->info.pre = v->pre_name;
    if (v->spm)
        return REALM_OK;
    st = rl_gguf_text(g, "tokenizer.ggml.pre", &pre, err);
    if (st == REALM_EINVAL)
        return st;
    v->pretok = rl_pretok_find(pre);
    if (!v->pretok)
        return realm_fail(err, REALM_EUNSUPPORTED, "pretokenizer \"%.*s\" is not offered",
                          (int)(pre.n < 40 ? pre.n : 40), pre.p);
    memcpy(v->pre_name, pre.p, pre.n); /* a known name is short */
    return REALM_OK;
}

/* Known names are ASCII without spaces: their texts and their bytes are the same. */
bool rl_vocab_is_parsed(const rl_vocab *v, uint32_t id)
{
    return v->kind[id] == RL_TOKEN_CONTROL || v->kind[id] == RL_TOKEN_UNKNOWN ||
           rl_eog_known_name(v->raw ? v->raw[id] : rl_texts_at(&v->texts, id));
}

static realm_status build_special(rl_vocab *v, realm_error *err)
{
    size_t n_bytes = 0;

    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        if (v->kind[i] != RL_TOKEN_USER && !rl_vocab_is_parsed(v, i))
            continue;
        if (v->raw[i].n > RL_SPECIAL_MAX)
            return realm_fail(err, REALM_EINVAL, "special token %u has %zu bytes, the limit is %u",
                              i, v->raw[i].n, RL_SPECIAL_MAX);
        n_bytes += v->raw[i].n;
    }
    if (rl_special_init(&v->special, n_bytes) != REALM_OK)
        return no_memory(err);
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        if (v->raw[i].n && (v->kind[i] == RL_TOKEN_USER || rl_vocab_is_parsed(v, i)))
            rl_special_add(&v->special, v->raw[i], i, !rl_vocab_is_parsed(v, i));
    }
    if (rl_special_finish(&v->special) != REALM_OK || rl_marks_open(v) != REALM_OK)
        return no_memory(err);
    return REALM_OK;
}

/* From the file's own arrays. */
static realm_status build(rl_vocab *v, const rl_gguf *g, realm_error *err)
{
    realm_status st = read_texts(v, g, err);

    if (st == REALM_OK)
        st = read_kinds(v, g, err);
    if (st == REALM_OK)
        st = read_info(v, g, err);
    if (st == REALM_OK)
        st = build_special(v, err);
    if (st == REALM_OK)
        st = rl_eog_open(v, g, err);
    if (st == REALM_OK)
        st = v->spm ? rl_spm_open(v, g, err) : rl_bpe_open(v, g, err);
    rl_free(v->raw);
    v->raw = NULL;
    return st;
}

/* From tables that were built before and came with the file. */
static realm_status map(rl_vocab *v, const rl_gguf *g, rl_text tables, realm_error *err)
{
    realm_status st = rl_tables_map(v, tables, err);

    if (st == REALM_OK)
        st = read_info(v, g, err);
    return st == REALM_OK ? rl_tables_check_bytes(v, err) : st;
}

realm_status rl_vocab_open(rl_vocab **out, const rl_gguf *g, realm_error *err)
{
    rl_text tables = rl_gguf_attached(g);
    rl_vocab *v = rl_alloc(sizeof *v);
    realm_status st;

    *out = NULL;
    if (!v)
        return no_memory(err);
    st = read_model(v, g, err);
    if (st == REALM_OK)
        st = tables.n ? map(v, g, tables, err) : build(v, g, err);
    if (st == REALM_OK)
        *out = v;
    else
        rl_vocab_close(v);
    return st;
}

void rl_vocab_close(rl_vocab *v)
{
    if (!v)
        return;
    rl_special_deinit(&v->special);
    rl_special_deinit(&v->reversed);
    rl_words_deinit(&v->words);
    rl_map_deinit(&v->merges);
    rl_free(v->raw);
    if (!v->mapped) {
        rl_free(v->texts.starts);
        rl_free(v->texts.pool);
        rl_free(v->kind);
        rl_free(v->eog);
        rl_free(v->priority);
    }
    rl_free(v);
}

const rl_vocab_info *rl_vocab_get_info(const rl_vocab *v)
{
    return &v->info;
}

bool rl_vocab_is_eog(const rl_vocab *v, uint32_t id)
{
    for (uint32_t i = 0; i < v->info.n_eog; i++) {
        if (v->eog[i] == id)
            return true;
    }
    return false;
}

bool rl_vocab_is_special(const rl_vocab *v, uint32_t id)
{
    return id < v->info.n_tokens &&
           (v->kind[id] == RL_TOKEN_CONTROL || v->kind[id] == RL_TOKEN_UNKNOWN);
}

rl_text rl_token_bytes(const rl_vocab *v, uint32_t id)
{
    return id < v->info.n_tokens ? rl_texts_at(&v->texts, id) : (rl_text){ "", 0 };
}
