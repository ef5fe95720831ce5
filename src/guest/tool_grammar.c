/* The grammar of calls: Lark, with a JSON schema inside for the arguments of each tool. What stands
 * around the arguments is fixed text, written as models were taught to write it. */
#include "guest/tools.h"

#include "base/alloc.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#define SOURCE_MAX ((size_t)1 << 20) /* the parser's own limit is lower */

/* ---- text ------------------------------------------------------------------------------------ */

static void put_string(rl_buf *b, const char *p, size_t n)
{
    rl_json j = rl_json_on(b);

    if (n == 0)
        return;
    rl_json_stringn(&j, NULL, p, n);
    (void)rl_buf_adds(b, " ");
}

/* The mark that is a control token and comes first in the text. -> its place, or NULL */
static const char *next_mark(const rl_tools *t, const char *text, uint32_t *k)
{
    const char *first = NULL;

    for (uint32_t i = 0; i < RL_TOOL_MARKS; i++) {
        const char *at = t->mark_ids[i] == RL_NO_TOKEN ? NULL : strstr(text, t->format->marks[i]);

        if (at && (!first || at < first)) {
            first = at;
            *k = i;
        }
    }
    return first;
}

/* Fixed text of the format: strings, and control tokens by their numbers. */
static void put_text(rl_buf *b, const rl_tools *t, const char *text)
{
    uint32_t k = 0;

    for (const char *at; (at = next_mark(t, text, &k)) != NULL;) {
        put_string(b, text, (size_t)(at - text));
        (void)rl_buf_addf(b, "<[%u]> ", t->mark_ids[k]);
        text = at + strlen(t->format->marks[k]);
    }
    put_string(b, text, strlen(text));
}

/* Models differ in the space before the first call. */
static void put_open(rl_buf *b, const rl_tools *t)
{
    const char *open = t->format->open;

    if (open[0] == ' ') {
        (void)rl_buf_adds(b, "\" \"? ");
        open++;
    }
    put_text(b, t, open);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static const char head[] = "{\"name\": \"";

/* {"name": "f", "arguments": */
static int print_head(const rl_tools *t, uint32_t i, char *out, size_t cap)
{
    return snprintf(out, cap, "%s%s\", \"%s\": ", head, t->names[i], t->format->args);
}

bool rl_tools_head(const rl_tools *t, uint32_t i, rl_head *out)
{
    const char *marker = t->format->marker;

    if (i >= (marker[0] ? 1 : t->n))
        return false;
    out->n = (uint32_t)(marker[0] ? snprintf(out->text, sizeof out->text, "%s", marker)
                                  : print_head(t, i, out->text, sizeof out->text));
    return true;
}

/* c0: "{\"name\": \"f\", \"arguments\": " a0 "}"   (from: how much of the head is there already) */
static void put_call(rl_buf *b, const rl_tools *t, char rule, uint32_t i, size_t from)
{
    char text[RL_HEAD_MAX];
    int n = print_head(t, i, text, sizeof text);

    (void)rl_buf_addf(b, "%c%u: ", rule, i);
    put_string(b, text + from, (size_t)n - from);
    (void)rl_buf_addf(b, "a%u \"}\"\n", i);
}

static bool is_wanted(const rl_tools *t, uint32_t i)
{
    return t->choice != RL_TOOL_NAMED || t->only == i;
}

/* call: c0 | c1 ... and each of them */
static void put_calls(rl_buf *b, const rl_tools *t, const char *rule, char each, size_t from)
{
    const char *sep = ": ";

    (void)rl_buf_adds(b, rule);
    for (uint32_t i = 0; i < t->n; i++) {
        if (!is_wanted(t, i))
            continue;
        (void)rl_buf_addf(b, "%s%c%u", sep, each, i);
        sep = " | ";
    }
    (void)rl_buf_adds(b, "\n");
    for (uint32_t i = 0; i < t->n; i++)
        if (is_wanted(t, i))
            put_call(b, t, each, i, from);
}

/* What the lazy grammar waits for: a format without a marker is known by its first call. */
static const char *lead_of(const rl_tool_format *f)
{
    return f->marker[0] ? f->marker : head;
}

static bool is_lazy(const rl_tools *t)
{
    return t->choice == RL_TOOL_AUTO && !t->formed;
}

static void put_rules(rl_buf *b, const rl_tools *t)
{
    const rl_tool_format *f = t->format;
    bool lazy = is_lazy(t);
    bool cut = lazy && !f->marker[0];               /* the first call's head was there already */
    bool more = t->parallel && !(lazy && f->again); /* else it waits again */

    (void)rl_buf_adds(b, "start: ");
    if (!lazy)
        put_text(b, t, f->marker);
    put_open(b, t);
    (void)rl_buf_adds(b, cut ? "first " : "call ");
    if (more) {
        (void)rl_buf_adds(b, "(");
        put_text(b, t, f->between);
        (void)rl_buf_adds(b, "call)* ");
    }
    put_text(b, t, f->close);
    (void)rl_buf_adds(b, "\n");
    if (cut)
        put_calls(b, t, "first", 'f', sizeof head - 1);
    if (more || !cut)
        put_calls(b, t, "call", 'c', 0);
}

/* ---- schemas --------------------------------------------------------------------------------- */

/* Arguments are an object, also where a schema does not say so. */
static realm_status check_type(const json_t *schema, uint32_t i, realm_error *err)
{
    const json_t *type = json_object_get(schema, "type"), *one;
    const char *word = json_string_value(type);
    bool fits = !type || (word && strcmp(word, "object") == 0);
    size_t k;

    json_array_foreach(type, k, one)
    {
        word = json_string_value(one);
        fits = fits || (word && strcmp(word, "object") == 0);
    }
    if (fits)
        return REALM_OK;
    return realm_fail(err, REALM_EINVAL, "tools[%u]: parameters must describe an object", i);
}

static realm_status put_schema(rl_buf *b, json_t *tool, uint32_t i, realm_error *err)
{
    json_t *v = json_object_get(json_object_get(tool, "function"), "parameters"), *schema;
    rl_buf text;
    realm_status st = check_type(v, i, err);

    if (st != REALM_OK)
        return st;
    schema = rl_request_schema(v);
    if (json_object_set_new(schema, "type", json_string("object")) != 0) {
        json_decref(schema);
        schema = NULL;
    }
    st = rl_request_dump(&text, schema, err);
    if (st != REALM_OK)
        return st;
    (void)rl_buf_addf(b, "a%u: %%json ", i);
    (void)rl_buf_add(b, text.data, text.len);
    (void)rl_buf_adds(b, "\n");
    rl_buf_deinit(&text);
    return REALM_OK;
}

static realm_status put_schemas(rl_buf *b, const rl_tools *t, const json_t *list, realm_error *err)
{
    realm_status st = REALM_OK;

    for (uint32_t i = 0; i < t->n && st == REALM_OK; i++)
        if (is_wanted(t, i))
            st = put_schema(b, json_array_get(list, i), i, err);
    return st;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static realm_status compile(rl_grammar **out, const rl_tools *t, const rl_buf *source,
                            const rl_grammar_env *env, realm_error *err)
{
    const rl_tool_format *f = t->format;
    rl_grammar_wait wait = { .marker = lead_of(f),
                             .first = f->marker[0] == 0,
                             .again = f->again && t->parallel };
    realm_error why;
    realm_status st = rl_grammar_new(out, env, RL_GRAMMAR_LARK, source->data, source->len, &why);

    if (st == REALM_OK && is_lazy(t))
        st = rl_grammar_lazy(*out, &wait, &why);
    return st == REALM_OK ? REALM_OK : realm_fail(err, st, "tools: %.200s", why.text);
}

realm_status rl_tools_grammar(rl_grammar **out, const rl_tools *t, const json_t *list,
                              const rl_grammar_env *env, realm_error *err)
{
    realm_status st;
    rl_buf source;

    *out = NULL;
    rl_buf_init(&source, SOURCE_MAX);
    put_rules(&source, t);
    st = put_schemas(&source, t, list, err);
    if (st == REALM_OK && source.failed)
        st = realm_fail(err, REALM_ETOOBIG, "tools: the schemas are too large, or no memory");
    if (st == REALM_OK)
        st = compile(out, t, &source, env, err);
    rl_buf_deinit(&source);
    return st;
}

realm_status rl_tools_or_form(rl_grammar *calls, rl_grammar *form, const rl_tools *t,
                              realm_error *err)
{
    rl_head *heads = rl_alloc_array(t->n, sizeof *heads);
    uint32_t n = 0;
    realm_status st;

    if (!heads)
        return realm_fail(err, REALM_ENOMEM, "no memory for the tools");
    while (rl_tools_head(t, n, heads + n))
        n++;
    st = rl_grammar_either(calls, form, heads, n, err);
    rl_free(heads);
    return st;
}
