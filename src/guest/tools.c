/* Reading what a Request says of tools. */
#include "guest/tools.h"

#include "base/alloc.h"

#include <string.h>

static json_t *member(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);

    return json_is_null(v) ? NULL : v;
}

bool rl_tools_has(const rl_tools *t, const char *name, size_t n)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (strlen(t->names[i]) == n && memcmp(t->names[i], name, n) == 0)
            return true;
    return false;
}

static bool is_name(const char *s, size_t n)
{
    static const char rest[] = "0123456789_-";

    for (size_t i = 0; i < n; i++) {
        char lower = (char)(s[i] | 0x20);

        if (!(lower >= 'a' && lower <= 'z') && (s[i] == 0 || !strchr(rest, s[i])))
            return false;
    }
    return n >= 1 && n <= RL_TOOL_NAME;
}

/* ---- the list -------------------------------------------------------------------------------- */

/* Descriptions and the like are the template's business; what the grammar needs is checked. */
static realm_status read_tool(rl_tools *t, const json_t *v, realm_error *err)
{
    const char *type = json_string_value(member(v, "type"));
    const json_t *f = member(v, "function"), *name = member(f, "name");
    const json_t *parameters = member(f, "parameters");
    uint32_t i = t->n;

    if (!type || strcmp(type, "function") != 0 || !json_is_object(f))
        return realm_fail(err, REALM_EINVAL,
                          "tools[%u]: must be {\"type\": \"function\", \"function\": {...}}", i);
    if (!json_is_string(name) || !is_name(json_string_value(name), json_string_length(name)))
        return realm_fail(err, REALM_EINVAL,
                          "tools[%u]: name must be 1 to %u letters, digits, _ or -", i,
                          RL_TOOL_NAME);
    if (rl_tools_has(t, json_string_value(name), json_string_length(name)))
        return realm_fail(err, REALM_EINVAL, "tools[%u]: the name %s is there already", i,
                          json_string_value(name));
    if (member(f, "description") && !json_is_string(member(f, "description")))
        return realm_fail(err, REALM_EINVAL, "tools[%u]: description must be a string", i);
    if (parameters && !json_is_object(parameters))
        return realm_fail(err, REALM_EINVAL, "tools[%u]: parameters must be a schema: an object",
                          i);
    memcpy(t->names[t->n++], json_string_value(name), json_string_length(name) + 1);
    return REALM_OK;
}

static realm_status read_list(rl_tools *t, const json_t *list, realm_error *err)
{
    realm_status st = REALM_OK;
    size_t n = json_array_size(list);

    if (list && !json_is_array(list))
        return realm_fail(err, REALM_EINVAL, "tools must be a list");
    if (n > RL_TOOLS_MAX)
        return realm_fail(err, REALM_EINVAL, "tools: %zu are too many; up to %u are taken", n,
                          RL_TOOLS_MAX);
    t->names = rl_alloc_array(n + 1, sizeof *t->names);
    if (!t->names)
        return realm_fail(err, REALM_ENOMEM, "no memory for the tools");
    for (size_t i = 0; i < n && st == REALM_OK; i++)
        st = read_tool(t, json_array_get(list, i), err);
    return st;
}

/* ---- the choice ------------------------------------------------------------------------------ */

static realm_status read_named(rl_tools *t, const json_t *v, realm_error *err)
{
    const char *type = json_string_value(member(v, "type"));
    const json_t *text = member(member(v, "function"), "name");
    const char *name = json_string_value(text);

    if (!type || strcmp(type, "function") != 0 || !name || strlen(name) != json_string_length(text))
        return realm_fail(err, REALM_EINVAL,
                          "tool_choice must be none, auto, required or "
                          "{\"type\": \"function\", \"function\": {\"name\": ...}}");
    for (t->only = 0; t->only < t->n && strcmp(t->names[t->only], name) != 0; t->only++)
        ;
    if (t->only == t->n)
        return realm_fail(err, REALM_EINVAL, "tool_choice: tools has no function of the name %.80s",
                          name);
    t->choice = RL_TOOL_NAMED;
    return REALM_OK;
}

/* *none: there is nothing to call, or it is not wanted. */
static realm_status read_choice(rl_tools *t, const json_t *v, bool *none, realm_error *err)
{
    const char *word = json_string_value(v);

    *none = t->n == 0;
    if (!v || (word && strcmp(word, "auto") == 0))
        return REALM_OK;
    if (!word)
        return read_named(t, v, err);
    if (strcmp(word, "none") == 0) {
        *none = true;
        return REALM_OK;
    }
    t->choice = RL_TOOL_REQUIRED;
    if (strcmp(word, "required") != 0)
        return read_named(t, v, err);
    if (t->n == 0)
        return realm_fail(err, REALM_EINVAL, "tool_choice is required, but there are no tools");
    return REALM_OK;
}

static realm_status read_parallel(rl_tools *t, const json_t *v, realm_error *err)
{
    if (v && !json_is_boolean(v))
        return realm_fail(err, REALM_EINVAL, "parallel_tool_calls must be true or false");
    t->parallel = !json_is_false(v) && t->choice != RL_TOOL_NAMED;
    return REALM_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Control tokens are no text, neither in a grammar nor in a stream: there they go by number. */
static void find_marks(rl_tools *t, const rl_vocab *v)
{
    uint32_t n = rl_vocab_get_info(v)->n_tokens;

    for (uint32_t k = 0; k < RL_TOOL_MARKS; k++) {
        const char *mark = t->format->marks[k] ? t->format->marks[k] : "";
        size_t len = strlen(mark);

        t->mark_ids[k] = RL_NO_TOKEN;
        for (uint32_t id = 0; len > 0 && id < n && t->mark_ids[k] == RL_NO_TOKEN; id++) {
            rl_text text = rl_token_bytes(v, id);

            if (text.n == len && memcmp(text.p, mark, len) == 0 && rl_vocab_is_special(v, id))
                t->mark_ids[k] = id;
        }
    }
}

realm_status rl_tools_read(rl_tools **out, const json_t *root, const rl_chat *chat,
                           const rl_vocab *vocab, realm_error *err)
{
    rl_tools *t = rl_alloc(sizeof *t);
    bool none = true;
    realm_status st;

    *out = NULL;
    if (!t)
        return realm_fail(err, REALM_ENOMEM, "no memory for the tools");
    st = read_list(t, member(root, "tools"), err);
    if (st == REALM_OK)
        st = read_choice(t, member(root, "tool_choice"), &none, err);
    if (st == REALM_OK)
        st = read_parallel(t, member(root, "parallel_tool_calls"), err);
    if (st == REALM_OK && !none) {
        t->format = rl_tool_format_of(chat);
        if (!t->format)
            t->format = rl_tool_format_default();
        t->parallel = t->parallel && !t->format->single;
        find_marks(t, vocab);
        *out = t;
        return REALM_OK;
    }
    rl_tools_free(t);
    return st;
}

void rl_tools_free(rl_tools *t)
{
    if (t)
        rl_free(t->names);
    rl_free(t);
}
