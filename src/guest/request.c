/* Requests: the JSON that asks for a generation: {messages | prompt | ids, tools, params {...}}.
 * The parameters may also stand beside the messages. Runs on a helper: jansson recurses and
 * allocates. */
#include "guest/text.h"
#include "guest/tools.h"

#include "base/alloc.h"
#include "base/dump.h"
#include "sample/ending.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define STOP_BYTES  256u
#define REQUEST_MAX ((size_t)64 << 20)

/* A parameter: from "params", else from the Request itself. NULL when absent or null. */
static json_t *param(const json_t *root, const char *key)
{
    json_t *v = json_object_get(json_object_get(root, "params"), key);

    if (!v)
        v = json_object_get(root, key);
    return json_is_null(v) ? NULL : v;
}

static realm_status read_flag(bool *out, const json_t *root, const char *key, realm_error *err)
{
    const json_t *v = param(root, key);

    if (v && !json_is_boolean(v))
        return realm_fail(err, REALM_EINVAL, "%s must be true or false", key);
    *out = json_is_true(v);
    return REALM_OK;
}

/* The prompt is told first. A conversation is written by a template: there is nothing to tell. */
static realm_status read_echo(rl_gen *g, const json_t *root, realm_error *err)
{
    realm_status st = read_flag(&g->echo, root, "echo", err);

    if (st == REALM_OK && g->echo && json_is_array(json_object_get(root, "messages")))
        return realm_fail(err, REALM_EINVAL, "echo needs a prompt or ids, not messages");
    return st;
}

/* Both names that clients use. */
static realm_status read_max_tokens(rl_gen *g, const json_t *root, realm_error *err)
{
    const json_t *v = param(root, "max_tokens");
    int least = g->echo ? 0 : 1;

    if (!v)
        v = param(root, "max_completion_tokens");
    g->max_tokens = RL_DEFAULT_TOKENS;
    if (!v)
        return REALM_OK;
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > INT32_MAX)
        return realm_fail(err, REALM_EINVAL, "max_tokens must be a number from %d on", least);
    g->max_tokens = (uint32_t)json_integer_value(v);
    return REALM_OK;
}

static realm_status add_stop(rl_gen *g, const json_t *v, realm_error *err)
{
    size_t n = json_string_length(v);

    if (!json_is_string(v) || n == 0 || n > STOP_BYTES || g->n_stops == RL_MAX_STOPS)
        return realm_fail(err, REALM_EINVAL,
                          "stop must be a string or up to %u strings of 1 to %u bytes",
                          RL_MAX_STOPS, STOP_BYTES);
    g->stops[g->n_stops] = rl_strndup(json_string_value(v), n);
    if (!g->stops[g->n_stops])
        return realm_fail(err, REALM_ENOMEM, "no memory for the request");
    g->n_stops++;
    return REALM_OK;
}

/* How likely each token was, and what else might have come. */
static realm_status read_logprobs(rl_gen *g, const json_t *root, realm_error *err)
{
    const json_t *top = param(root, "top_logprobs");
    realm_status st = read_flag(&g->logprobs, root, "logprobs", err);

    if (st != REALM_OK || !top)
        return st;
    if (!g->logprobs || !json_is_integer(top) || json_integer_value(top) < 0 ||
        json_integer_value(top) > RL_STREAM_TOP)
        return realm_fail(err, REALM_EINVAL,
                          "top_logprobs must be a number from 0 to %u, beside logprobs: true",
                          RL_STREAM_TOP);
    g->n_top = (uint32_t)json_integer_value(top);
    return REALM_OK;
}

/* One string or a list of them. */
static realm_status read_stops(rl_gen *g, const json_t *root, realm_error *err)
{
    json_t *v = param(root, "stop"), *item;
    realm_status st = REALM_OK;
    size_t i;

    if (!v)
        return REALM_OK;
    if (!json_is_array(v))
        return add_stop(g, v, err);
    json_array_foreach(v, i, item)
    {
        if (st == REALM_OK)
            st = add_stop(g, item, err);
    }
    return st;
}

realm_status rl_request_dump(rl_buf *text, json_t *v, realm_error *err)
{
    realm_status st;

    rl_buf_init(text, REQUEST_MAX);
    st = rl_dump(text, v);
    json_decref(v);
    if (st == REALM_OK)
        return REALM_OK;
    rl_buf_deinit(text);
    return realm_fail(err, REALM_ENOMEM, "no memory for the request");
}

/* The object the sampler's own reader understands: params over the Request's own keys. */
static json_t *sampler_params(const json_t *root)
{
    /* Other keys of the Request are none of the sampler's business; a wrong one among these is
     * named by it. */
    static const char *const keys[] = { "temperature",
                                        "top_k",
                                        "top_p",
                                        "min_p",
                                        "typical_p",
                                        "repetition_penalty",
                                        "presence_penalty",
                                        "frequency_penalty",
                                        "seed",
                                        "choice",
                                        "logit_bias" };
    json_t *o = json_object();
    size_t i;

    for (i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *v = param(root, keys[i]);

        if (v)
            (void)json_object_set(o, keys[i], v);
    }
    return o;
}

/* What a Request gets that says nothing: lively, but not wild. */
static void set_defaults(rl_sample_params *p, const json_t *root)
{
    if (!param(root, "temperature"))
        p->temperature = 0.7f;
    if (!param(root, "top_p"))
        p->top_p = 0.9f;
    if (!param(root, "top_k"))
        p->top_k = 40;
}

/* The sampler checks ranges and names what is wrong. */
static realm_status sampler_read(rl_gen *g, const json_t *root, realm_error *err)
{
    rl_buf text;
    realm_status st = rl_request_dump(&text, sampler_params(root), err);

    if (st != REALM_OK)
        return st;
    st = rl_sample_params_parse(&g->params, &g->bias, text.data, text.len, err);
    rl_buf_deinit(&text);
    return st;
}

static realm_status read_params(rl_gen *g, const json_t *root, realm_error *err)
{
    realm_status st = sampler_read(g, root, err);

    if (st == REALM_OK)
        set_defaults(&g->params, root);
    return st;
}

/* Duplicate keys are refused: two readers of one Request could disagree about them. */
static json_t *load_object(const char *json, size_t n, const char *what, realm_error *err)
{
    json_error_t why;
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);

    if (root && json_is_object(root))
        return root;
    if (root)
        (void)realm_fail(err, REALM_EINVAL, "%s must be a JSON object", what);
    else
        (void)realm_fail(err, REALM_EINVAL, "%s is not JSON: %s (line %d)", what, why.text,
                         why.line);
    json_decref(root);
    return NULL;
}

/* ---- grammars -------------------------------------------------------------------------------- */

static realm_status compile(rl_grammar **out, rl_lm *lm, rl_grammar_kind kind, const char *source,
                            size_t n, realm_error *err)
{
    const rl_grammar_env *env = rl_lm_grammar(lm, err);

    return env ? rl_grammar_new(out, env, kind, source, n, err) : err->status;
}

json_t *rl_request_schema(json_t *schema)
{
    json_t *copy = schema ? json_copy(schema) : json_object();

    if (json_object_get(copy, "x-guidance") ||
        json_object_set_new(copy, "x-guidance", json_pack("{s:s}", "whitespace_pattern", " ")) == 0)
        return copy;
    json_decref(copy);
    return NULL;
}

/* A schema as it is, or as text. */
static realm_status compile_schema(rl_grammar **out, rl_lm *lm, json_t *v, realm_error *err)
{
    json_t *parsed = NULL;
    rl_buf text;
    realm_status st;

    if (json_is_string(v)) {
        parsed = load_object(json_string_value(v), json_string_length(v), "json_schema", err);
        if (!parsed)
            return REALM_EINVAL;
        v = parsed;
    }
    if (!json_is_object(v))
        return realm_fail(err, REALM_EINVAL, "json_schema must be a schema: an object");
    st = rl_request_dump(&text, rl_request_schema(v), err);
    json_decref(parsed);
    if (st != REALM_OK)
        return st;
    st = compile(out, lm, RL_GRAMMAR_JSON_SCHEMA, text.data, text.len, err);
    rl_buf_deinit(&text);
    return st;
}

static const char *const grammar_keys[] = { "json_schema", "regex", "lark", "grammar" };

#define N_GRAMMARS (sizeof grammar_keys / sizeof *grammar_keys)

/* At most one of json_schema, regex, lark and grammar (which is Lark too). */
static realm_status read_grammar(rl_grammar **out, rl_lm *lm, const json_t *root, realm_error *err)
{
    static const rl_grammar_kind kinds[] = { RL_GRAMMAR_JSON_SCHEMA, RL_GRAMMAR_REGEX,
                                             RL_GRAMMAR_LARK, RL_GRAMMAR_LARK };
    realm_status st = REALM_OK;

    for (size_t i = 0; i < N_GRAMMARS && st == REALM_OK; i++) {
        json_t *v = param(root, grammar_keys[i]);

        if (!v)
            continue;
        if (*out)
            st = realm_fail(err, REALM_EINVAL, "%s: one grammar at a time", grammar_keys[i]);
        else if (i == 0)
            st = compile_schema(out, lm, v, err);
        else if (!json_is_string(v))
            st = realm_fail(err, REALM_EINVAL, "%s must be a string", grammar_keys[i]);
        else
            st = compile(out, lm, kinds[i], json_string_value(v), json_string_length(v), err);
    }
    return st;
}

/* ---- tools ----------------------------------------------------------------------------------- */

/* A model without an end token has no grammars: then calls are read as they come. That the model
 * must call wins over the form of a text; where it may choose, the reply is one of both. */
static realm_status read_tools(rl_gen *g, rl_lm *lm, const json_t *root, realm_error *err)
{
    realm_error why;
    const rl_grammar_env *env;
    rl_grammar *form = NULL;
    realm_status st = rl_tools_read(&g->tools, root, rl_lm_chat(lm, &why), rl_lm_vocab(lm), err);

    if (st != REALM_OK || !g->tools)
        return st;
    if (!json_is_array(json_object_get(root, "messages")))
        return realm_fail(err, REALM_EINVAL, "tools need messages, not a prompt or ids");
    if (g->tools->choice == RL_TOOL_AUTO)
        st = read_grammar(&form, lm, root, err);
    g->tools->formed = form != NULL;
    env = rl_lm_grammar(lm, &why);
    if (st == REALM_OK && env)
        st = rl_tools_grammar(&g->grammar, g->tools, json_object_get(root, "tools"), env, err);
    else if (st == REALM_OK &&
             !(g->tools->choice == RL_TOOL_AUTO && why.status == REALM_EUNSUPPORTED))
        st = realm_fail(err, why.status, "%s", why.text);
    if (st == REALM_OK && form)
        st = rl_tools_or_form(g->grammar, form, g->tools, err);
    if (st != REALM_OK)
        rl_grammar_free(form);
    return st;
}

/* ---- the prompt ------------------------------------------------------------------------------ */

/* Ids as given: no BOS is added. */
static realm_status read_ids(rl_gen *g, const rl_lm *lm, const json_t *list, realm_error *err)
{
    uint32_t n_vocab = rl_vocab_get_info(rl_lm_vocab(lm))->n_tokens;
    size_t n = json_array_size(list), i;

    if (!json_is_array(list) || n == 0 || n > UINT32_MAX)
        return realm_fail(err, REALM_EINVAL, "ids must be a list of token ids");
    g->ids = rl_alloc_array(n, sizeof *g->ids);
    if (!g->ids)
        return realm_fail(err, REALM_ENOMEM, "no memory for %zu ids", n);
    for (i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);

        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= n_vocab)
            return realm_fail(err, REALM_EINVAL, "ids[%zu] is no token id of this model", i);
        g->ids[i] = (uint32_t)json_integer_value(v);
    }
    g->n_ids = g->echo_to = (uint32_t)n;
    return REALM_OK;
}

static realm_status take_ids(rl_gen *g, realm_status st, size_t n, realm_error *err)
{
    if (st == REALM_OK && n > UINT32_MAX)
        return realm_fail(err, REALM_ETOOBIG, "the prompt is too long");
    g->n_ids = (uint32_t)n;
    return st;
}

/* A text; what the tokenizer puts in front of it, and behind it, is not told again. */
static realm_status read_plain(rl_gen *g, const rl_lm *lm, const json_t *text, bool bare,
                               realm_error *err)
{
    const rl_vocab_info *info = rl_vocab_get_info(rl_lm_vocab(lm));
    const char *p = json_string_value(text);
    size_t len = json_string_length(text), n = 0;
    realm_status st =
        rl_encode(rl_lm_vocab(lm), p, len,
                  (bare ? 0 : RL_ENCODE_ADD_SPECIAL) | RL_ENCODE_PARSE_SPECIAL, &g->ids, &n, err);

    st = take_ids(g, st, n, err);
    if (st != REALM_OK || !g->echo)
        return st;
    g->echo_from = !bare && info->add_bos;
    g->echo_to = g->n_ids - (!bare && info->add_eos);
    g->echo_text = rl_strndup(p, len);
    return g->echo_text ? st : realm_fail(err, REALM_ENOMEM, "no memory for the prompt");
}

/* A template that knows no tools gets everything about them in words. */
static json_t *chat_messages(const json_t *root, const rl_chat *chat, const json_t *tools)
{
    const rl_tool_format *f = rl_tool_format_of(chat);
    json_t *messages = json_object_get(root, "messages");

    if (!f)
        return rl_tools_messages(messages, tools);
    return f->id_chars ? rl_tools_short_ids(messages, f->id_chars) : json_incref(messages);
}

/* The template sees the conversation and what is meant for it, not the sampling parameters. */
static json_t *chat_request(const json_t *root, const rl_chat *chat, const rl_tools *calls)
{
    json_t *o = json_object(), *extra = json_object_get(root, "chat_template_kwargs");
    json_t *tools = calls ? json_object_get(root, "tools") : NULL;
    json_t *add = json_object_get(root, "add_generation_prompt");
    int bad;

    /* First, so that nothing in it can replace the messages themselves. */
    if (json_is_object(extra))
        (void)json_object_update(o, extra);
    bad = json_object_set_new(o, "messages", chat_messages(root, chat, tools));
    (void)json_object_del(o, "tools");
    if (tools && rl_tool_format_of(chat))
        bad |= json_object_set(o, "tools", tools);
    if (json_is_boolean(add))
        bad |= json_object_set(o, "add_generation_prompt", add);
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

/* Only messages need a template; special strings inside them stay plain text. */
static realm_status read_messages(rl_gen *g, const rl_lm *lm, const json_t *root, realm_error *err)
{
    realm_error why = { .status = REALM_EUNSUPPORTED };
    const rl_chat *chat = rl_lm_chat(lm, &why);
    rl_buf text;
    size_t n = 0;
    realm_status st;

    if (!chat)
        return realm_fail(err, why.status, "%s", why.text);
    st = rl_request_dump(&text, chat_request(root, chat, g->tools), err);
    if (st != REALM_OK)
        return st;
    st = rl_chat_tokens(chat, rl_lm_vocab(lm), text.data, text.len, &g->ids, &n, err);
    rl_buf_deinit(&text);
    return take_ids(g, st, n, err);
}

/* The first of messages, ids and prompt that is there. */
static realm_status read_prompt(rl_gen *g, const rl_lm *lm, const json_t *root, realm_error *err)
{
    bool bare = json_is_false(json_object_get(root, "add_special"));
    const json_t *prompt = json_object_get(root, "prompt");
    const json_t *ids = json_object_get(root, "ids");

    if (json_is_array(json_object_get(root, "messages")))
        return read_messages(g, lm, root, err);
    if (ids && !json_is_null(ids))
        return read_ids(g, lm, ids, err);
    if (!json_is_string(prompt))
        return realm_fail(err, REALM_EINVAL,
                          "a Request needs messages (a list), prompt (a string) or ids (a list)");
    return read_plain(g, lm, prompt, bare, err);
}

realm_status rl_prompt_read(const rl_lm *lm, const char *json, size_t n, uint32_t **ids,
                            size_t *n_ids, realm_error *err)
{
    rl_gen gen = { 0 };
    json_t *root = load_object(json, n, "the Request", err);
    realm_status st;

    if (!root)
        return REALM_EINVAL;
    st = read_prompt(&gen, lm, root, err);
    json_decref(root);
    *ids = gen.ids;
    *n_ids = gen.n_ids;
    return st;
}

static realm_status check_n(const json_t *root, realm_error *err)
{
    const json_t *n = param(root, "n");

    if (n && !(json_is_integer(n) && json_integer_value(n) == 1))
        return realm_fail(err, REALM_EUNSUPPORTED, "n must be 1: start one stream for each choice");
    return REALM_OK;
}

/* Here and not in a step of the engine, since it may take a while. */
static realm_status find_ending(rl_gen *g, realm_error *err)
{
    if (!g->grammar || g->ignore_eog)
        return REALM_OK;
    return rl_ending_new(&g->ending, g->grammar, g->max_tokens, RL_ENDING_AHEAD, err);
}

realm_status rl_request_read(rl_gen *gen, rl_lm *lm, const char *json, size_t n, realm_error *err)
{
    json_t *root = load_object(json, n, "the Request", err);
    realm_status st;

    if (!root)
        return REALM_EINVAL;
    st = check_n(root, err);
    if (st == REALM_OK)
        st = read_echo(gen, root, err);
    if (st == REALM_OK)
        st = read_max_tokens(gen, root, err);
    if (st == REALM_OK) /* for measuring: the same number of tokens from any model */
        st = read_flag(&gen->ignore_eog, root, "ignore_eos", err);
    if (st == REALM_OK)
        st = read_stops(gen, root, err);
    if (st == REALM_OK)
        st = read_logprobs(gen, root, err);
    if (st == REALM_OK)
        st = read_params(gen, root, err);
    if (st == REALM_OK)
        st = read_tools(gen, lm, root, err);
    if (st == REALM_OK && !gen->tools)
        st = read_grammar(&gen->grammar, lm, root, err);
    if (st == REALM_OK)
        st = read_prompt(gen, lm, root, err);
    json_decref(root);
    if (st == REALM_OK && gen->n_ids == 0)
        return realm_fail(err, REALM_EINVAL, "the prompt is empty");
    return st == REALM_OK ? find_ending(gen, err) : st;
}

realm_status rl_gen_read(rl_gen *gen, const char *json, size_t n, realm_error *err)
{
    json_t *root = load_object(n ? json : "{}", n ? n : 2, "the parameters", err);
    realm_status st;

    if (!root)
        return REALM_EINVAL;
    st = read_max_tokens(gen, root, err);
    if (st == REALM_OK)
        st = read_stops(gen, root, err);
    if (st == REALM_OK)
        st = read_logprobs(gen, root, err);
    json_decref(root);
    return st;
}

static realm_status read_text(const rl_lm *lm, const json_t *v, uint32_t **ids, uint32_t *n_ids,
                              realm_error *err)
{
    rl_gen gen = { 0 };
    realm_status st;
    size_t n = 0;

    if (json_is_string(v)) {
        st = rl_encode(rl_lm_vocab(lm), json_string_value(v), json_string_length(v),
                       RL_ENCODE_ADD_SPECIAL, &gen.ids, &n, err);
        st = take_ids(&gen, st, n, err);
    } else {
        st = read_ids(&gen, lm, v, err);
    }
    *ids = gen.ids;
    *n_ids = gen.n_ids;
    if (st == REALM_OK && gen.n_ids == 0)
        st = realm_fail(err, REALM_EINVAL, "a text is empty");
    return st;
}

realm_status rl_texts_read(const rl_lm *lm, const char *json, size_t len, uint32_t most,
                           uint32_t **ids, uint32_t *n_ids, uint32_t *n, realm_error *err)
{
    json_error_t why;
    json_t *root = json_loadb(json, len, JSON_ALLOW_NUL, &why);
    const json_t *list = json_is_object(root) ? json_object_get(root, "input") : root;
    size_t count = json_array_size(list);
    realm_status st = REALM_OK;

    *n = 0;
    if (count == 0 || count > most)
        st = realm_fail(err, REALM_EINVAL, "a JSON list of 1 to %u texts is needed", most);
    while (st == REALM_OK && *n < count) {
        st = read_text(lm, json_array_get(list, *n), &ids[*n], &n_ids[*n], err);
        (*n)++;
    }
    json_decref(root);
    return st;
}

realm_status rl_sampler_read(rl_sampler **out, rl_lm *lm, const char *json, size_t n,
                             realm_error *err)
{
    rl_gen gen = { 0 };
    json_t *root = load_object(n ? json : "{}", n ? n : 2, "the parameters", err);
    realm_status st;

    if (!root)
        return REALM_EINVAL;
    st = sampler_read(&gen, root, err);
    if (st == REALM_OK)
        st = read_grammar(&gen.grammar, lm, root, err);
    if (st == REALM_OK)
        st = rl_sampler_new(out, &gen.params, rl_vocab_get_info(rl_lm_vocab(lm))->n_tokens, err);
    if (st == REALM_OK)
        st = rl_sampler_take_grammar(*out, gen.grammar, err);
    if (st == REALM_OK)
        gen.grammar = NULL;
    rl_gen_deinit(&gen);
    json_decref(root);
    return st;
}

realm_status rl_event_check(const char *json, size_t n, realm_error *err)
{
    json_t *root = load_object(json, n, "the event", err);
    const char *kind;
    realm_status st = REALM_OK;

    if (!root)
        return REALM_EINVAL;
    /* Any other word may pass: events are between the program and who called it. */
    kind = json_string_value(json_object_get(root, "event"));
    if (!kind)
        st = realm_fail(err, REALM_EINVAL,
                        "an event needs a string \"event\": delta, tool, finish or error");
    else if (strcmp(kind, "usage") == 0)
        st = realm_fail(err, REALM_EDENIED, "usage is written by the host alone");
    json_decref(root);
    return st;
}
