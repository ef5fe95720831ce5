#include "cli/cli.h"

#include "base/json.h"

#include <inttypes.h>

#define TEXT_MAX ((size_t)64 << 20)

static void as_json(const char *model, const realm_perplexity_options *o,
                    const realm_perplexity_result *x, rl_buf *out)
{
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    rl_json_string(&j, "model", model);
    rl_json_double(&j, "perplexity", x->ppl, 9);
    rl_json_double(&j, "stderr", x->ppl_stderr, 6);
    rl_json_uint(&j, "chunks", x->n_chunks);
    rl_json_uint(&j, "chunk_tokens", o->n_ctx);
    rl_json_uint(&j, "scored_tokens", x->n_tokens);
    if (o->reference) {
        rl_json_double(&j, "reference_perplexity", x->reference_ppl, 9);
        rl_json_double(&j, "kl_mean", x->kl_mean, 9);
        rl_json_double(&j, "kl_stderr", x->kl_stderr, 6);
        rl_json_double(&j, "kl_max", x->kl_max, 9);
        rl_json_double(&j, "top1_agreement", x->top1_agreement, 9);
    }
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}

static void as_text(const realm_perplexity_options *o, const realm_perplexity_result *x,
                    rl_buf *out)
{
    (void)rl_buf_addf(
        out,
        "perplexity %.4f +- %.4f (%" PRIu32 " chunk%s of %" PRIu32 ", %" PRIu64 " tokens scored)\n",
        x->ppl, x->ppl_stderr, x->n_chunks, x->n_chunks == 1 ? "" : "s", o->n_ctx, x->n_tokens);
    if (o->reference)
        (void)rl_buf_addf(out,
                          "reference  %.4f\n"
                          "mean KL    %.6f +- %.6f, largest %.4f\n"
                          "same top   %.3f %%\n",
                          x->reference_ppl, x->kl_mean, x->kl_stderr, x->kl_max,
                          100 * x->top1_agreement);
}

static int measure(rl_cli *c, realm_model *m, realm_perplexity_options *o)
{
    realm_perplexity_result x;
    realm_error err;
    rl_buf out;

    if (realm_perplexity(m, o, &x, &err) != REALM_OK)
        return rl_cli_fail(&err);
    rl_buf_init(&out, 65536);
    if (rl_cli_has(c, "json"))
        as_json(c->pos[0], o, &x, &out);
    else
        as_text(o, &x, &out);
    return rl_cli_print(&out);
}

/* The text is data: control tokens written in it are plain text. */
static int with_text(rl_cli *c, realm_model *m, realm_perplexity_options *o, const rl_buf *text)
{
    uint32_t *ids = NULL;
    realm_error err;
    int code;

    if (realm_tokenize(realm_model_tokenizer(m), text->data ? text->data : "", text->len,
                       REALM_TOKENS_ADD_SPECIAL, &ids, &o->n_ids, &err) != REALM_OK)
        return rl_cli_fail(&err);
    o->ids = ids;
    code = measure(c, m, o);
    realm_free(ids);
    return code;
}

static int with_models(rl_cli *c, realm_perplexity_options *o, const rl_buf *text)
{
    realm_model *m = NULL, *ref = NULL;
    realm_error err;
    int code = 0;

    if (realm_model_open(&m, c->r, c->pos[0], false, &err) != REALM_OK)
        return rl_cli_fail(&err);
    if (rl_cli_has(c, "kl") && realm_model_open(&ref, c->r, c->pos[0], true, &err) != REALM_OK)
        code = rl_cli_fail(&err);
    o->reference = ref;
    if (code == 0)
        code = with_text(c, m, o, text);
    realm_model_close(ref);
    realm_model_close(m);
    return code;
}

int rl_verb_perplexity(rl_cli *c)
{
    realm_perplexity_options o = { .n_ctx = 512 };
    uint64_t chunk = 512, chunks = 0;
    rl_buf text;
    int code;

    if (!rl_cli_has(c, "file"))
        return rl_cli_usage(c->verb, "give the text: -f FILE");
    if (!rl_cli_uint(c, "chunk", 8, 32768, &chunk) ||
        !rl_cli_uint(c, "chunks", 1, UINT32_MAX, &chunks))
        return RL_EXIT_USAGE;
    o.n_ctx = (uint32_t)chunk;
    o.n_chunks = (uint32_t)chunks;
    code = rl_cli_open(c, &(realm_options){ .no_prefix_cache = true });
    if (code)
        return code;
    rl_buf_init(&text, TEXT_MAX);
    code = rl_cli_read_all(rl_cli_get(c, "file"), &text);
    if (code == 0)
        code = with_models(c, &o, &text);
    rl_buf_deinit(&text);
    return code;
}
