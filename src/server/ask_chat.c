/* Chat completions: messages, tools, and how the answer must look. */
#include "server/ask.h"

#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX ((size_t)8 << 20)
#define N_MAX    8
#define TOP_MAX  20

/* ---- messages -------------------------------------------------------------------------------- */

/* A part's text: of {"type": "text" | "input_text" | "output_text" | "refusal"}. NULL: it has none
 */
static const json_t *part_text(const json_t *part)
{
    const char *type = json_string_value(rl_member(part, "type"));

    if (!type)
        return NULL;
    if (strcmp(type, "refusal") == 0)
        return rl_member(part, "refusal");
    if (strcmp(type, "text") == 0 || strcmp(type, "input_text") == 0 ||
        strcmp(type, "output_text") == 0)
        return rl_member(part, "text");
    return NULL;
}

/* A part of a kind that is no text: an image, say. */
static bool is_other(const json_t *part)
{
    static const char *const texts[] = { "text", "input_text", "output_text", "refusal" };
    const char *type = json_string_value(rl_member(part, "type"));

    for (size_t i = 0; type && i < sizeof texts / sizeof *texts; i++)
        if (strcmp(type, texts[i]) == 0)
            return false;
    return type != NULL;
}

realm_status rl_ask_parts(const rl_reading *r, const json_t *parts, const char *at, json_t **text)
{
    char name[RL_ASK_PARAM];
    json_t *part;
    rl_buf all;
    size_t i;

    rl_buf_init(&all, TEXT_MAX);
    json_array_foreach(parts, i, part)
    {
        const json_t *t = part_text(part);

        if (!json_is_string(t)) {
            rl_buf_deinit(&all);
            (void)snprintf(name, sizeof name, "%.40s[%zu]", at, i);
            return is_other(part) ? rl_ask_unsupported(r, name)
                                  : rl_ask_wrong(r, name, "must be a part with a type and a text");
        }
        (void)rl_buf_add(&all, json_string_value(t), json_string_length(t));
    }
    *text = all.failed ? NULL : json_stringn(all.data ? all.data : "", all.len);
    rl_buf_deinit(&all);
    return *text ? REALM_OK : rl_ask_no_memory(r);
}

/* Templates know "system" only. */
static realm_status set_role(const rl_reading *r, json_t *message, const char *at)
{
    const json_t *role = rl_member(message, "role");

    if (!json_is_string(role))
        return rl_ask_wrong(r, at, "must be an object with a role");
    if (strcmp(json_string_value(role), "developer") == 0)
        return rl_ask_put(r, message, "role", json_string("system"));
    return REALM_OK;
}

static realm_status set_content(const rl_reading *r, json_t *message, const char *at)
{
    const json_t *content = rl_member(message, "content");
    char name[RL_ASK_PARAM];
    json_t *text = NULL;
    realm_status st;

    (void)snprintf(name, sizeof name, "%.40s.content", at);
    if (!content && !rl_member(message, "tool_calls"))
        return rl_ask_wrong(r, name, "is missing");
    if (!content)
        return rl_ask_put(r, message, "content", json_string(""));
    if (json_is_string(content))
        return REALM_OK;
    if (!json_is_array(content))
        return rl_ask_wrong(r, name, "must be a text or a list of parts");
    st = rl_ask_parts(r, content, name, &text);
    return st == REALM_OK ? rl_ask_put(r, message, "content", text) : st;
}

realm_status rl_ask_message(const rl_reading *r, json_t *list, const json_t *m, const char *at)
{
    json_t *copy = json_is_object(m) ? json_copy((json_t *)(uintptr_t)m) : json_object();
    realm_status st = json_array_append_new(list, copy) == 0 ? REALM_OK : rl_ask_no_memory(r);

    if (st == REALM_OK)
        st = set_role(r, copy, at);
    return st == REALM_OK ? set_content(r, copy, at) : st;
}

static realm_status messages(const rl_reading *r)
{
    const json_t *said = rl_member(r->body, "messages"), *m;
    json_t *list = json_array();
    realm_status st = rl_ask_put(r, r->request, "messages", list);
    char at[RL_ASK_PARAM];
    size_t i;

    if (st == REALM_OK && (!json_is_array(said) || json_array_size(said) == 0))
        st = rl_ask_wrong(r, "messages", "must be a list of at least one message");
    json_array_foreach(said, i, m)
    {
        (void)snprintf(at, sizeof at, "messages[%zu]", i);
        if (st == REALM_OK)
            st = rl_ask_message(r, list, m, at);
    }
    return st;
}

/* ---- tools ----------------------------------------------------------------------------------- */

/* What a tool is, the guest room knows; that it is none of OpenAI's own is said here. */
static realm_status tools(const rl_reading *r)
{
    static const char *const keys[] = { "tools", "tool_choice", "parallel_tool_calls" };
    const json_t *list = rl_member(r->body, "tools"), *t;
    realm_status st = REALM_OK;
    char at[RL_ASK_PARAM];
    size_t i;

    if (list && !json_is_array(list))
        return rl_ask_wrong(r, "tools", "must be a list");
    json_array_foreach(list, i, t)
    {
        const char *type = json_string_value(rl_member(t, "type"));

        (void)snprintf(at, sizeof at, "tools[%zu].type", i);
        if (!type)
            return rl_ask_wrong(r, at, "must be \"function\"");
        if (strcmp(type, "function") != 0)
            return rl_ask_unsupported(r, at);
    }
    for (i = 0; i < sizeof keys / sizeof *keys && st == REALM_OK; i++)
        if (rl_member(r->body, keys[i]))
            st = rl_ask_set(r, r->request, keys[i], rl_member(r->body, keys[i]));
    return st;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static realm_status logprobs(const rl_reading *r)
{
    int64_t top = -1;
    realm_status st = rl_ask_bool(r, "logprobs", &r->ask->logprobs);

    if (st == REALM_OK)
        st = rl_ask_whole(r, "top_logprobs", 0, TOP_MAX, &top);
    if (st != REALM_OK)
        return st;
    if (top >= 0 && !r->ask->logprobs)
        return rl_ask_wrong(r, "top_logprobs", "needs logprobs: true");
    if (r->ask->logprobs)
        st = rl_ask_put(r, r->params, "logprobs", json_true());
    return st == REALM_OK && top >= 0 ? rl_ask_put(r, r->params, "top_logprobs", json_integer(top))
                                      : st;
}

/* What this server cannot do and must not pass over. */
static realm_status refusals(const rl_reading *r)
{
    const json_t *modalities = rl_member(r->body, "modalities"), *m;
    size_t i;

    if (json_is_true(rl_member(r->body, "store")))
        return rl_ask_unsupported(r, "store");
    if (rl_member(r->body, "audio"))
        return rl_ask_unsupported(r, "audio");
    json_array_foreach(modalities, i, m)
    {
        if (!json_is_string(m) || strcmp(json_string_value(m), "text") != 0)
            return rl_ask_unsupported(r, "modalities");
    }
    return REALM_OK;
}

realm_status rl_ask_chat(const rl_reading *r)
{
    bool newer = rl_member(r->body, "max_completion_tokens") != NULL;
    int64_t n = 1;
    realm_status st = messages(r);

    if (st == REALM_OK)
        st = rl_ask_whole(r, "n", 1, N_MAX, &n);
    r->ask->n = (uint32_t)n;
    if (st == REALM_OK)
        st = refusals(r);
    if (st == REALM_OK)
        st = tools(r);
    if (st == REALM_OK)
        st = rl_ask_sampling(r, newer ? "max_completion_tokens" : "max_tokens", RL_ASK_TOKENS);
    if (st == REALM_OK)
        st = rl_ask_format(r, rl_member(r->body, "response_format"), "response_format",
                           "json_schema");
    return st == REALM_OK ? logprobs(r) : st;
}
