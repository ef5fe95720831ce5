/* Which tokens end a generation: those that the file's keys name, and those that end turns or texts
 * under the same name in every model that has them. */
#include "token/vocab.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static const char *const keys[] = {
    "tokenizer.ggml.eos_token_id",     "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",     "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id", "tokenizer.ggml.fim_sep_token_id",
};

/* These texts are special even where a file calls them normal: converters forget it. */
static const char *const names[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<eos>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<turn|>",
    "</s>",
    "<end_of_utterance>",
    "<|tool_response>",
};

/* File separators of code models end a generation too, when the file calls them control tokens. */
static const char *const control_names[] = { "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>" };

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static bool is_one_of(rl_text text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(list[i]) == text.n && memcmp(list[i], text.p, text.n) == 0)
            return true;
    }
    return false;
}

bool rl_eog_known_name(rl_text text)
{
    return text.n >= 4 && text.n <= 20 && strchr("<[_", text.p[0]) && text.p[0] &&
           is_one_of(text, names, COUNT(names));
}

/* `</s>` is also how HTML ends struck-out text: where it is no control token it is a piece of text
 * that the model may write, and ends nothing. */
static bool ends_by_name(const rl_vocab *v, uint32_t id)
{
    rl_text t = v->raw[id];

    if (v->kind[id] == RL_TOKEN_CONTROL && is_one_of(t, control_names, COUNT(control_names)))
        return true;
    if (!rl_eog_known_name(t))
        return false;
    return v->kind[id] == RL_TOKEN_CONTROL || t.n != 4 || memcmp(t.p, "</s>", 4) != 0;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static realm_status collect(const rl_vocab *v, const rl_gguf *g, rl_ids *ids, realm_error *err)
{
    for (size_t i = 0; i < COUNT(keys); i++) {
        uint32_t id;
        realm_status st = rl_gguf_u32(g, keys[i], &id, err);

        if (st == REALM_EINVAL)
            return st;
        if (st == REALM_OK && id < v->info.n_tokens)
            rl_ids_add(ids, id);
    }
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        if (ends_by_name(v, i))
            rl_ids_add(ids, i);
    }
    return ids->failed ? realm_fail(err, REALM_ENOMEM, "no memory for the vocabulary") : REALM_OK;
}

realm_status rl_eog_open(rl_vocab *v, const rl_gguf *g, realm_error *err)
{
    rl_ids ids = { 0 };
    realm_status st = collect(v, g, &ids, err);
    uint32_t n = 0;

    v->eog = ids.p;
    v->info.eog = ids.p;
    if (st != REALM_OK || !ids.n)
        return st;
    qsort(ids.p, ids.n, sizeof *ids.p, by_value);
    for (size_t i = 0; i < ids.n; i++) {
        if (!n || ids.p[n - 1] != ids.p[i])
            ids.p[n++] = ids.p[i];
    }
    v->info.n_eog = n;
    return REALM_OK;
}
