/* inspect: the library's JSON as it is, or its main points for people. */
#include "cli/cli.h"

#include "cli/table.h"
#include "cli/text.h"
#include "cli/units.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define OUT_MAX ((size_t)256 << 20)

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static uint64_t number_of(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

/* <arch>.<key> of the metadata as a row, when the file has it. */
static void arch_row(rl_table *t, const json_t *o, const char *key, const char *label)
{
    const json_t *meta = json_object_get(o, "metadata"), *v;
    char name[128];

    (void)snprintf(name, sizeof name, "%.60s.%s", text_of(o, "arch"), key);
    v = json_object_get(meta, name);
    if (!json_is_integer(v))
        return;
    rl_table_add(t, label);
    rl_table_addf(t, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
}

static void summary(const json_t *o, rl_buf *out)
{
    const json_t *tok = json_object_get(o, "tokenizer");
    char a[RL_UNITS_TEXT], b[RL_UNITS_TEXT];
    rl_table t;

    rl_table_init(&t, "ll");
    rl_table_add(&t, "file");
    rl_table_addf(&t, "GGUF version %u, %s%s", (unsigned)number_of(o, "version"),
                  rl_units_show_size(number_of(o, "file_bytes"), a),
                  json_is_true(json_object_get(o, "packed")) ? " as packed by Realm" : "");
    rl_table_add(&t, "model");
    rl_table_addf(&t, "%s%s%s", text_of(o, "arch"), *text_of(o, "name") ? ", " : "",
                  text_of(o, "name"));
    rl_table_add(&t, "parameters");
    rl_table_addf(&t, "%s in %s", rl_units_show_count(number_of(o, "n_params"), a),
                  rl_units_show_size(number_of(o, "weight_bytes"), b));
    arch_row(&t, o, "block_count", "layers");
    arch_row(&t, o, "embedding_length", "width");
    arch_row(&t, o, "context_length", "context");
    rl_table_add(&t, "tokenizer");
    rl_table_addf(&t, "%s%s%s, %u tokens", text_of(tok, "model"), *text_of(tok, "pre") ? " " : "",
                  text_of(tok, "pre"), (unsigned)number_of(tok, "n_tokens"));
    rl_table_add(&t, "chat template");
    rl_table_add(&t, json_is_true(json_object_get(tok, "chat_template")) ? "yes" : "no");
    rl_table_add(&t, "runs here");
    rl_table_add(&t, json_is_true(json_object_get(o, "runnable")) ? "yes" : "no");
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

static void because(const char *why, rl_buf *out)
{
    (void)rl_buf_adds(out, "  because: ");
    rl_text_escape(out, why, strlen(why));
    (void)rl_buf_adds(out, "\n");
}

static void reasons(const json_t *o, rl_buf *out)
{
    const json_t *list = json_object_get(o, "unsupported");

    for (size_t i = 0; i < json_array_size(list); i++)
        because(json_string_value(json_array_get(list, i)), out);
}

static void types(const json_t *o, rl_buf *out)
{
    const json_t *list = json_object_get(o, "types");
    char a[RL_UNITS_TEXT];
    rl_table t;

    rl_table_init(&t, "lrrrl");
    rl_table_add(&t, "TYPE");
    rl_table_add(&t, "TENSORS");
    rl_table_add(&t, "WEIGHTS");
    rl_table_add(&t, "SIZE");
    rl_table_add(&t, "");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *x = json_array_get(list, i);

        rl_table_add(&t, text_of(x, "type"));
        rl_table_addf(&t, "%u", (unsigned)number_of(x, "tensors"));
        rl_table_add(&t, rl_units_show_count(number_of(x, "weights"), a));
        rl_table_add(&t, rl_units_show_size(number_of(x, "bytes"), a));
        rl_table_add(&t, json_is_true(json_object_get(x, "supported")) ? "" : "not supported");
    }
    (void)rl_buf_adds(out, "\n");
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

static void metadata(const json_t *o, rl_buf *out)
{
    const char *key;
    json_t *v;
    rl_table t;

    rl_table_init(&t, "ll");
    rl_table_add(&t, "KEY");
    rl_table_add(&t, "VALUE");
    json_object_foreach(json_object_get(o, "metadata"), key, v)
    {
        rl_table_add(&t, key);
        if (json_is_string(v))
            rl_table_addf(&t, "%.200s%s", json_string_value(v),
                          json_string_length(v) > 200 ? "..." : "");
        else if (json_is_object(v))
            rl_table_addf(&t, "%u x %s", (unsigned)number_of(v, "n"), text_of(v, "type"));
        else if (json_is_boolean(v))
            rl_table_add(&t, json_is_true(v) ? "true" : "false");
        else if (json_is_integer(v))
            rl_table_addf(&t, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        else
            rl_table_addf(&t, "%.7g", json_number_value(v));
    }
    (void)rl_buf_adds(out, "\n");
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

static void tensors(const json_t *o, rl_buf *out)
{
    const json_t *list = json_object_get(o, "tensors");
    char a[RL_UNITS_TEXT];
    rl_table t;

    rl_table_init(&t, "lllr");
    rl_table_add(&t, "TENSOR");
    rl_table_add(&t, "TYPE");
    rl_table_add(&t, "SHAPE");
    rl_table_add(&t, "SIZE");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *x = json_array_get(list, i), *shape = json_object_get(x, "shape");
        char dims[128] = "";

        for (size_t d = 0; d < json_array_size(shape); d++)
            (void)snprintf(dims + strlen(dims), sizeof dims - strlen(dims),
                           "%s%" JSON_INTEGER_FORMAT, d ? " x " : "",
                           json_integer_value(json_array_get(shape, d)));
        rl_table_add(&t, text_of(x, "name"));
        rl_table_add(&t, text_of(x, "type"));
        rl_table_add(&t, dims);
        rl_table_add(&t, rl_units_show_size(number_of(x, "bytes"), a));
    }
    (void)rl_buf_adds(out, "\n");
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

static void gguf(const json_t *o, bool all, rl_buf *out)
{
    summary(o, out);
    reasons(o, out);
    types(o, out);
    if (all) {
        metadata(o, out);
        tensors(o, out);
    }
}

/* ---- WebAssembly ----------------------------------------------------------------------------- */

static void imports(const json_t *m, rl_buf *out)
{
    const json_t *list = json_object_get(m, "imports");
    rl_table t;

    if (json_array_size(list) == 0)
        return;
    rl_table_init(&t, "llll");
    rl_table_add(&t, "IMPORT");
    rl_table_add(&t, "TYPE");
    rl_table_add(&t, "CAPABILITY");
    rl_table_add(&t, "");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *x = json_array_get(list, i);

        rl_table_addf(&t, "%s.%s", text_of(x, "module"), text_of(x, "name"));
        rl_table_add(&t, text_of(x, "type"));
        rl_table_add(&t, text_of(x, "capability"));
        rl_table_add(&t, json_is_true(json_object_get(x, "known")) ? "" : "unknown");
    }
    (void)rl_buf_adds(out, "\n");
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

static bool some_import_is_unknown(const json_t *m)
{
    const json_t *list = json_object_get(m, "imports");

    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!json_is_true(json_object_get(json_array_get(list, i), "known")))
            return true;
    }
    return false;
}

/* Strings, or objects with a name. */
static void joined(const json_t *list, rl_buf *out)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *x = json_array_get(list, i);
        const char *s = json_is_string(x) ? json_string_value(x) : text_of(x, "name");

        (void)rl_buf_adds(out, i ? ", " : "");
        rl_text_escape(out, s, strlen(s));
    }
    (void)rl_buf_adds(out, json_array_size(list) ? "\n" : "none\n");
}

static void wasm(const json_t *o, rl_buf *out)
{
    const json_t *m = json_object_get(o, "module"), *mem = json_object_get(m, "memory");
    const char *why = text_of(m, "problem");
    char a[RL_UNITS_TEXT];

    (void)rl_buf_addf(out, "file          WebAssembly module, %s\n",
                      rl_units_show_size(number_of(o, "file_bytes"), a));
    (void)rl_buf_addf(out, "kind          %s\n", text_of(m, "kind"));
    if (mem && !json_is_null(mem)) {
        (void)rl_buf_addf(out, "memory        %s at first%s",
                          rl_units_show_size(number_of(mem, "min_pages") << 16, a),
                          json_is_true(json_object_get(mem, "memory64")) ? ", 64-bit" : "");
        if (number_of(mem, "max_pages"))
            (void)rl_buf_addf(out, ", at most %s",
                              rl_units_show_size(number_of(mem, "max_pages") << 16, a));
        (void)rl_buf_adds(out, "\n");
    }
    (void)rl_buf_adds(out, "capabilities  ");
    joined(json_object_get(m, "capabilities"), out);
    (void)rl_buf_adds(out, "exports       ");
    joined(json_object_get(m, "exports"), out);
    if (!*why && some_import_is_unknown(m))
        why = "it imports what Realm does not offer, see below";
    (void)rl_buf_addf(out, "runs here     %s\n", *why ? "no" : "yes");
    if (*why)
        because(why, out);
    imports(m, out);
}

int rl_verb_inspect(rl_cli *c)
{
    int code = rl_cli_open(c, NULL);
    realm_error err;
    json_t *o;
    char *json;
    rl_buf out;

    if (code)
        return code;
    if (realm_inspect(c->r, c->pos[0], &json, &err) != REALM_OK)
        return rl_cli_fail(&err);
    rl_buf_init(&out, OUT_MAX);
    if (rl_cli_has(c, "json")) {
        (void)rl_buf_addf(&out, "%s\n", json);
    } else {
        o = json_loads(json, JSON_ALLOW_NUL, NULL);
        if (strcmp(text_of(o, "kind"), "gguf") == 0)
            gguf(o, rl_cli_has(c, "all"), &out);
        else
            wasm(o, &out);
        json_decref(o);
    }
    realm_free(json);
    return rl_cli_print(&out);
}
