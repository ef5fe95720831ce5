#include "cli/cli.h"

#include "base/alloc.h"
#include "base/json.h"
#include "cli/show.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct wanted {
    uint32_t *ids; /* realm_free */
    size_t n_ids;
    uint32_t top;
} wanted;

static void as_json(const wanted *w, const realm_logit *top, double lse, rl_buf *out)
{
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    rl_json_array(&j, "ids");
    for (size_t i = 0; i < w->n_ids; i++)
        rl_json_uint(&j, NULL, w->ids[i]);
    rl_json_end_array(&j);
    rl_json_array(&j, "top");
    for (uint32_t i = 0; i < w->top; i++) {
        rl_json_array(&j, NULL);
        rl_json_uint(&j, NULL, top[i].id);
        rl_json_double(&j, NULL, (double)top[i].logit, 9);
        rl_json_end_array(&j);
    }
    rl_json_end_array(&j);
    rl_json_double(&j, "logsumexp", lse, 12);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}

static void as_table(const realm_model *m, const wanted *w, const realm_logit *top, double lse,
                     rl_buf *out)
{
    rl_table t;

    rl_table_init(&t, "rrrl");
    rl_table_add(&t, "ID");
    rl_table_add(&t, "LOGIT");
    rl_table_add(&t, "PROBABILITY");
    rl_table_add(&t, "TEXT");
    for (uint32_t i = 0; i < w->top; i++) {
        rl_table_addf(&t, "%" PRIu32, top[i].id);
        rl_table_addf(&t, "%.4f", (double)top[i].logit);
        rl_table_addf(&t, "%.2f %%", 100 * exp((double)top[i].logit - lse));
        rl_show_token(&t, realm_model_tokenizer(m), top[i].id);
    }
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

static int show(rl_cli *c, realm_model *m, wanted *w)
{
    uint32_t n_vocab = realm_model_get_info(m)->n_vocab;
    float *logits = rl_alloc_array(n_vocab, sizeof *logits);
    realm_logit *top;
    realm_error err;
    rl_buf out;
    double lse;

    w->top = w->top < n_vocab ? w->top : n_vocab;
    top = rl_alloc_array(w->top, sizeof *top);
    if (!logits || !top)
        (void)realm_fail(&err, REALM_ENOMEM, "no memory for logits");
    else if (realm_logits(m, w->ids, w->n_ids, logits, &err) == REALM_OK)
        err.status = REALM_OK;
    rl_buf_init(&out, (size_t)256 << 20);
    if (logits && top && err.status == REALM_OK) {
        lse = realm_top_logits(logits, n_vocab, top, w->top);
        if (rl_cli_has(c, "table"))
            as_table(m, w, top, lse, &out);
        else
            as_json(w, top, lse, &out);
    }
    rl_free(top);
    rl_free(logits);
    if (err.status != REALM_OK) {
        rl_buf_deinit(&out);
        return rl_cli_fail(&err);
    }
    return rl_cli_print(&out);
}

static int with_model(rl_cli *c, realm_model *m, wanted *w)
{
    const char *prompt = rl_cli_get(c, "prompt");
    realm_error err;

    if (prompt && realm_tokenize(realm_model_tokenizer(m), prompt, strlen(prompt),
                                 REALM_TOKENS_ADD_SPECIAL | REALM_TOKENS_PARSE_SPECIAL, &w->ids,
                                 &w->n_ids, &err) != REALM_OK)
        return rl_cli_fail(&err);
    return show(c, m, w);
}

int rl_verb_logits(rl_cli *c)
{
    const char *ids = rl_cli_get(c, "ids");
    wanted w = { .top = 10 };
    realm_model *m = NULL;
    realm_error err;
    uint64_t top = 10;
    int code;

    if (rl_cli_has(c, "prompt") == (ids != NULL))
        return rl_cli_usage(c->verb, "give --prompt or --ids");
    if (!rl_cli_uint(c, "top", 1, 1u << 20, &top))
        return RL_EXIT_USAGE;
    w.top = (uint32_t)top;
    if (ids && !rl_cli_list(c, "ids", ids, UINT32_MAX - 1, &w.ids, &w.n_ids))
        return RL_EXIT_USAGE;
    code = rl_cli_open(c, &(realm_options){ .no_prefix_cache = true });
    if (code == 0 && realm_model_open(&m, c->r, c->pos[0], false, &err) != REALM_OK)
        code = rl_cli_fail(&err);
    if (code == 0)
        code = with_model(c, m, &w);
    realm_free(w.ids);
    realm_model_close(m);
    return code;
}
