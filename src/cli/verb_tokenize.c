#include "cli/cli.h"

#include "base/json.h"
#include "cli/show.h"
#include "cli/text.h"

#include <inttypes.h>
#include <string.h>

#define TEXT_MAX ((size_t)64 << 20)
#define OUT_MAX  ((size_t)1 << 30)

void rl_show_token(rl_table *t, const realm_tokenizer *tok, uint32_t id)
{
    size_t n;
    const char *p = realm_token_bytes(tok, id, &n);
    rl_buf b;

    rl_buf_init(&b, 65536);
    rl_text_escape(&b, p, n);
    rl_table_addf(t, "\"%s\"", b.data ? b.data : "");
    rl_buf_deinit(&b);
}

static void as_json(const realm_tokenizer *tok, const uint32_t *ids, size_t n, rl_buf *out)
{
    rl_json j = rl_json_on(out);
    size_t len;

    rl_json_object(&j, NULL);
    rl_json_uint(&j, "n", n);
    rl_json_array(&j, "ids");
    for (size_t i = 0; i < n; i++)
        rl_json_uint(&j, NULL, ids[i]);
    rl_json_end_array(&j);
    rl_json_array(&j, "pieces");
    for (size_t i = 0; i < n; i++) {
        const char *p = realm_token_bytes(tok, ids[i], &len);

        rl_json_stringn(&j, NULL, p, len);
    }
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}

static void as_table(const realm_tokenizer *tok, const uint32_t *ids, size_t n, rl_buf *out)
{
    rl_table t;

    rl_table_init(&t, "rl");
    for (size_t i = 0; i < n; i++) {
        rl_table_addf(&t, "%" PRIu32, ids[i]);
        rl_show_token(&t, tok, ids[i]);
    }
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

static int show(rl_cli *c, const realm_tokenizer *tok, const uint32_t *ids, size_t n)
{
    rl_buf out;

    rl_buf_init(&out, OUT_MAX);
    if (rl_cli_has(c, "json")) {
        as_json(tok, ids, n, &out);
    } else if (rl_cli_has(c, "ids")) {
        for (size_t i = 0; i < n; i++)
            (void)rl_buf_addf(&out, "%s%" PRIu32, i ? " " : "", ids[i]);
        (void)rl_buf_adds(&out, "\n");
    } else {
        as_table(tok, ids, n, &out);
    }
    return rl_cli_print(&out);
}

static int tokenize(rl_cli *c, const char *text, size_t n)
{
    uint32_t flags = (rl_cli_has(c, "bos") ? (uint32_t)REALM_TOKENS_ADD_SPECIAL : 0) |
                     (rl_cli_has(c, "special") ? (uint32_t)REALM_TOKENS_PARSE_SPECIAL : 0);
    realm_tokenizer *tok;
    uint32_t *ids = NULL;
    realm_error err;
    size_t n_ids = 0;
    int code;

    if (realm_tokenizer_open(&tok, c->r, c->pos[0], &err) != REALM_OK)
        return rl_cli_fail(&err);
    if (realm_tokenize(tok, text, n, flags, &ids, &n_ids, &err) != REALM_OK)
        code = rl_cli_fail(&err);
    else
        code = show(c, tok, ids, n_ids);
    realm_free(ids);
    realm_tokenizer_close(tok);
    return code;
}

int rl_verb_tokenize(rl_cli *c)
{
    const char *text = rl_cli_get(c, "text");
    int code = rl_cli_open(c, NULL);
    rl_buf in;

    if (code)
        return code;
    if (text)
        return tokenize(c, text, strlen(text));
    rl_buf_init(&in, TEXT_MAX);
    rl_cli_invite("text");
    code = rl_cli_read_all(NULL, &in);
    if (code == 0)
        code = tokenize(c, in.data ? in.data : "", in.len);
    rl_buf_deinit(&in);
    return code;
}
