/* Responses: OpenAI's newer API, as far as it goes without a memory. Each request brings its whole
 * conversation as a list of items; here they become the messages that chat completions have. What
 * would need a memory, or tools that run on the server, is refused by its name. */
#include "server/ask.h"

#include <stdio.h>
#include <string.h>

#define TOP_MAX   20
#define PAIRS_MAX 16u /* of metadata, which is echoed */

static bool is(const json_t *v, const char *text)
{
    return json_is_string(v) && strcmp(json_string_value(v), text) == 0;
}

/* "input[3]" and "call_id" as "input[3].call_id". */
static void name_member(char out[RL_ASK_PARAM], const char *at, const char *key)
{
    (void)snprintf(out, RL_ASK_PARAM, "%.40s.%.20s", at, key);
}

/* A text that must be there. */
static realm_status text_of(const rl_reading *r, const json_t *o, const char *at, const char *key,
                            json_t **out)
{
    char name[RL_ASK_PARAM];

    *out = rl_member(o, key);
    if (json_is_string(*out))
        return REALM_OK;
    name_member(name, at, key);
    return rl_ask_wrong(r, name, "must be a text");
}

/* ---- items ----------------------------------------------------------------------------------- */

/* Of an item only what a message has: its id and status are OpenAI's own. */
static realm_status add_message(const rl_reading *r, json_t *list, const json_t *item,
                                const char *at)
{
    json_t *role = rl_member(item, "role"), *content = rl_member(item, "content");
    char name[RL_ASK_PARAM];
    json_t *m;
    realm_status st;

    if (!is(role, "user") && !is(role, "assistant") && !is(role, "system") &&
        !is(role, "developer")) {
        name_member(name, at, "role");
        return rl_ask_wrong(r, name, "must be user, assistant, system or developer");
    }
    m = json_object();
    st = rl_ask_set(r, m, "role", role);
    if (st == REALM_OK && content)
        st = rl_ask_set(r, m, "content", content);
    if (st == REALM_OK)
        st = rl_ask_message(r, list, m, at);
    json_decref(m);
    return st;
}

/* The list of calls that one more belongs to: what the assistant said and called in one turn is one
 * message. NULL: no memory */
static json_t *open_calls(json_t *list)
{
    size_t n = json_array_size(list);
    json_t *m = n ? json_array_get(list, n - 1) : NULL, *calls;

    if (!is(rl_member(m, "role"), "assistant")) {
        m = json_pack("{s:s, s:s}", "role", "assistant", "content", "");
        if (json_array_append_new(list, m) != 0)
            return NULL;
    }
    calls = rl_member(m, "tool_calls");
    if (calls)
        return calls;
    calls = json_array();
    return json_object_set_new(m, "tool_calls", calls) == 0 ? calls : NULL;
}

static realm_status add_call(const rl_reading *r, json_t *list, const json_t *item, const char *at)
{
    json_t *id = NULL, *name = NULL, *args = NULL, *call;
    realm_status st = text_of(r, item, at, "call_id", &id);

    if (st == REALM_OK)
        st = text_of(r, item, at, "name", &name);
    if (st == REALM_OK)
        st = text_of(r, item, at, "arguments", &args);
    if (st != REALM_OK)
        return st;
    call = json_pack("{s:O, s:s, s:{s:O, s:O}}", "id", id, "type", "function", "function", "name",
                     name, "arguments", args);
    return json_array_append_new(open_calls(list), call) == 0 ? REALM_OK : rl_ask_no_memory(r);
}

/* What a tool answered: a text, or parts of one. */
static realm_status add_output(const rl_reading *r, json_t *list, const json_t *item,
                               const char *at)
{
    json_t *output = rl_member(item, "output"), *id = NULL, *text = NULL;
    char name[RL_ASK_PARAM];
    realm_status st = text_of(r, item, at, "call_id", &id);

    if (st != REALM_OK)
        return st;
    name_member(name, at, "output");
    if (json_is_string(output))
        text = json_incref(output);
    else if (json_is_array(output))
        st = rl_ask_parts(r, output, name, &text);
    else
        st = rl_ask_wrong(r, name, "must be a text or a list of parts");
    if (st != REALM_OK)
        return st;
    output = json_pack("{s:s, s:O, s:O}", "role", "tool", "tool_call_id", id, "content", text);
    json_decref(text);
    return json_array_append_new(list, output) == 0 ? REALM_OK : rl_ask_no_memory(r);
}

static realm_status add_item(const rl_reading *r, json_t *list, const json_t *item, const char *at)
{
    const json_t *type = rl_member(item, "type");
    char name[RL_ASK_PARAM];

    if (!json_is_object(item))
        return rl_ask_wrong(r, at, "must be an item: an object");
    if (!type || is(type, "message"))
        return add_message(r, list, item, at);
    if (is(type, "function_call"))
        return add_call(r, list, item, at);
    if (is(type, "function_call_output"))
        return add_output(r, list, item, at);
    if (is(type, "reasoning")) /* what the model thought is no part of what it is told */
        return REALM_OK;
    if (json_is_string(type))
        return rl_ask_unsupported(r, at);
    name_member(name, at, "type");
    return rl_ask_wrong(r, name, "must be a text");
}

static realm_status add_text(const rl_reading *r, json_t *list, const char *role, json_t *text)
{
    json_t *m = json_pack("{s:s, s:O}", "role", role, "content", text);

    return json_array_append_new(list, m) == 0 ? REALM_OK : rl_ask_no_memory(r);
}

static realm_status read_input(const rl_reading *r, json_t *list)
{
    json_t *input = rl_member(r->body, "input"), *item;
    size_t i, before = json_array_size(list);
    realm_status st = REALM_OK;
    char at[RL_ASK_PARAM];

    if (json_is_string(input))
        return add_text(r, list, "user", input);
    if (!json_is_array(input))
        return rl_ask_wrong(r, "input", "must be a text or a list of items");
    json_array_foreach(input, i, item)
    {
        (void)snprintf(at, sizeof at, "input[%zu]", i);
        if (st == REALM_OK)
            st = add_item(r, list, item, at);
    }
    if (st == REALM_OK && json_array_size(list) == before)
        return rl_ask_wrong(r, "input", "has nothing to answer");
    return st;
}

static realm_status messages(const rl_reading *r)
{
    json_t *list = json_array(), *instructions = rl_member(r->body, "instructions");
    realm_status st = rl_ask_put(r, r->request, "messages", list);

    if (st == REALM_OK && instructions)
        st = json_is_string(instructions) ? add_text(r, list, "system", instructions)
                                          : rl_ask_wrong(r, "instructions", "must be a text");
    return st == REALM_OK ? read_input(r, list) : st;
}

/* ---- tools ----------------------------------------------------------------------------------- */

/* What a function has, here beside its type, there in an object of its own. */
static realm_status copy_function(const rl_reading *r, json_t *to, const json_t *from,
                                  const char *at)
{
    static const struct {
        const char *key;
        unsigned types; /* bits, by json_type */
        const char *rule;
    } rows[] = { { "name", 1u << JSON_STRING, "must be a text" },
                 { "description", 1u << JSON_STRING, "must be a text" },
                 { "parameters", 1u << JSON_OBJECT, "must be a JSON schema: an object" },
                 { "strict", (1u << JSON_TRUE) | (1u << JSON_FALSE), "must be true or false" } };
    realm_status st = REALM_OK;
    char name[RL_ASK_PARAM];

    for (size_t i = 0; i < sizeof rows / sizeof *rows && st == REALM_OK; i++) {
        json_t *v = rl_member(from, rows[i].key);

        name_member(name, at, rows[i].key);
        if (v && ((1u << json_typeof(v)) & rows[i].types) == 0)
            st = rl_ask_wrong(r, name, rows[i].rule);
        else if (v)
            st = rl_ask_set(r, to, rows[i].key, v);
    }
    if (st == REALM_OK && json_string_length(rl_member(from, "name")) == 0) {
        name_member(name, at, "name");
        st = rl_ask_wrong(r, name, "must be the name of a function");
    }
    return st;
}

static realm_status add_tool(const rl_reading *r, json_t *list, const json_t *t, size_t i)
{
    const json_t *type = rl_member(t, "type");
    char at[RL_ASK_PARAM], name[RL_ASK_PARAM];
    json_t *tool;

    (void)snprintf(at, sizeof at, "tools[%zu]", i);
    name_member(name, at, "type");
    if (!json_is_string(type))
        return rl_ask_wrong(r, name, "must be \"function\"");
    if (!is(type, "function"))
        return rl_ask_unsupported(r, name);
    tool = json_pack("{s:s, s:{}}", "type", "function", "function");
    if (json_array_append_new(list, tool) != 0)
        return rl_ask_no_memory(r);
    return copy_function(r, json_object_get(tool, "function"), t, at);
}

/* Who chooses: the model, or the client by the name of a function. */
static realm_status tool_choice(const rl_reading *r)
{
    json_t *v = rl_member(r->body, "tool_choice"), *name = rl_member(v, "name");
    const json_t *type = rl_member(v, "type");

    if (!v)
        return REALM_OK;
    if (is(v, "auto") || is(v, "none") || is(v, "required"))
        return rl_ask_set(r, r->request, "tool_choice", v);
    if (is(type, "function") && json_is_string(name))
        return rl_ask_put(
            r, r->request, "tool_choice",
            json_pack("{s:s, s:{s:O}}", "type", "function", "function", "name", name));
    if (json_is_string(type) && !is(type, "function"))
        return rl_ask_unsupported(r, "tool_choice");
    return rl_ask_wrong(r, "tool_choice", "must be auto, none, required or a function's name");
}

static realm_status tools(const rl_reading *r)
{
    const json_t *said = rl_member(r->body, "tools"), *t;
    json_t *list = json_array();
    realm_status st = REALM_OK;
    bool parallel = true;
    size_t i;

    if (said && !json_is_array(said))
        st = rl_ask_wrong(r, "tools", "must be a list");
    json_array_foreach(said, i, t)
    {
        if (st == REALM_OK)
            st = add_tool(r, list, t, i);
    }
    if (st == REALM_OK && json_array_size(said) > 0)
        st = rl_ask_set(r, r->request, "tools", list);
    json_decref(list);
    if (st == REALM_OK)
        st = tool_choice(r);
    if (st == REALM_OK)
        st = rl_ask_bool(r, "parallel_tool_calls", &parallel);
    if (st == REALM_OK && rl_member(r->body, "parallel_tool_calls"))
        st = rl_ask_put(r, r->request, "parallel_tool_calls", json_boolean(parallel));
    return st;
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* What this server cannot do and must not pass over. */
static realm_status refusals(const rl_reading *r)
{
    static const char *const flags[] = { "background", "store" };
    static const char *const references[] = { "previous_response_id", "conversation", "prompt" };
    realm_status st = REALM_OK;

    for (size_t i = 0; i < sizeof flags / sizeof *flags && st == REALM_OK; i++) {
        bool on = false;

        st = rl_ask_bool(r, flags[i], &on);
        if (on)
            st = rl_ask_unsupported(r, flags[i]);
    }
    for (size_t i = 0; i < sizeof references / sizeof *references && st == REALM_OK; i++)
        if (rl_member(r->body, references[i]))
            st = rl_ask_unsupported(r, references[i]);
    return st;
}

static realm_status metadata(const rl_reading *r)
{
    json_t *pairs = rl_member(r->body, "metadata"), *v;
    const char *key;

    if (!pairs)
        return REALM_OK;
    if (!json_is_object(pairs) || json_object_size(pairs) > PAIRS_MAX)
        return rl_ask_wrong(r, "metadata", "must be an object of up to 16 texts");
    json_object_foreach(pairs, key, v)
    {
        if (!json_is_string(v))
            return rl_ask_wrong(r, "metadata", "must be an object of up to 16 texts");
    }
    return REALM_OK;
}

static realm_status format(const rl_reading *r)
{
    const json_t *text = rl_member(r->body, "text");

    if (text && !json_is_object(text))
        return rl_ask_wrong(r, "text", "must be an object");
    return rl_ask_format(r, rl_member(text, "format"), "text.format", NULL);
}

/* Told only when they are included; how many alternatives each has is said on its own. */
static realm_status logprobs(const rl_reading *r)
{
    const json_t *include = rl_member(r->body, "include"), *v;
    int64_t top = 0;
    realm_status st = rl_ask_whole(r, "top_logprobs", 0, TOP_MAX, &top);
    size_t i;

    if (st == REALM_OK && include && !json_is_array(include))
        st = rl_ask_wrong(r, "include", "must be a list of texts");
    if (st != REALM_OK)
        return st;
    json_array_foreach(include, i, v)
    {
        if (!json_is_string(v))
            return rl_ask_wrong(r, "include", "must be a list of texts");
        if (is(v, "message.output_text.logprobs"))
            r->ask->logprobs = true;
    }
    if (!r->ask->logprobs)
        return REALM_OK;
    st = rl_ask_put(r, r->params, "logprobs", json_true());
    return st == REALM_OK ? rl_ask_put(r, r->params, "top_logprobs", json_integer(top)) : st;
}

realm_status rl_ask_responses(const rl_reading *r)
{
    realm_status st = refusals(r);

    if (st == REALM_OK)
        st = messages(r);
    if (st == REALM_OK)
        st = tools(r);
    if (st == REALM_OK)
        st = metadata(r);
    if (st == REALM_OK)
        st = rl_ask_sampling(r, "max_output_tokens", RL_ASK_TOKENS);
    if (st == REALM_OK)
        st = format(r);
    return st == REALM_OK ? logprobs(r) : st;
}
