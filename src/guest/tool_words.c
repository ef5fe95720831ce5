/* Tools in words, for chat templates that know none: what the template would have written stands in
 * the messages, in the default format. */
#include "guest/tools.h"

#include <string.h>

#define TEXT_MAX ((size_t)64 << 20)

static const char intro[] =
    "You can call functions. Their signatures are the lines between <tools> and </tools>, each a "
    "JSON object:\n<tools>\n";
static const char how[] =
    "</tools>\n\nTo call a function, answer with its name and its arguments as one JSON object "
    "between <tool_call> and </tool_call>, and nothing else:\n<tool_call>\n{\"name\": "
    "<function-name>, \"arguments\": <arguments-as-object>}\n</tool_call>\nThe result will be "
    "given "
    "to you between <tool_response> and </tool_response>. Answer in text when no function helps.";

static int add_piece(const char *piece, size_t n, void *ctx)
{
    return rl_buf_add(ctx, piece, n) == REALM_OK ? 0 : -1;
}

static void put_json(rl_buf *b, const json_t *v)
{
    if (json_dump_callback(v, add_piece, b, JSON_ENCODE_ANY) != 0)
        b->failed = true;
}

static void put_text(rl_buf *b, const json_t *v)
{
    if (json_is_string(v))
        (void)rl_buf_add(b, json_string_value(v), json_string_length(v));
}

/* {"role": ROLE, "content": the text}; takes the text. NULL without memory. */
static json_t *message_of(const char *role, rl_buf *text)
{
    json_t *m = NULL;

    if (!text->failed)
        m = json_pack("{s:s, s:o}", "role", role, "content",
                      json_stringn(text->data ? text->data : "", text->len));
    rl_buf_deinit(text);
    return m;
}

/* ---- the system message ---------------------------------------------------------------------- */

static void put_tools(rl_buf *b, const json_t *list)
{
    const json_t *tool;
    size_t i;

    (void)rl_buf_adds(b, intro);
    json_array_foreach(list, i, tool)
    {
        put_json(b, tool);
        (void)rl_buf_adds(b, "\n");
    }
    (void)rl_buf_adds(b, how);
}

static bool has_role(const json_t *m, const char *role)
{
    const char *s = json_string_value(json_object_get(m, "role"));

    return s && strcmp(s, role) == 0;
}

/* The tools, behind what `first` says if that is a system message. */
static json_t *system_message(const json_t *first, const json_t *list)
{
    rl_buf text;

    rl_buf_init(&text, TEXT_MAX);
    if (has_role(first, "system")) {
        put_text(&text, json_object_get(first, "content"));
        (void)rl_buf_adds(&text, text.len > 0 ? "\n\n" : "");
    }
    put_tools(&text, list);
    return message_of("system", &text);
}

/* ---- calls and results ----------------------------------------------------------------------- */

/* Arguments come as JSON in a string; what is no object stays what it is. */
static void put_arguments(rl_buf *b, const json_t *v)
{
    json_t *object = json_is_string(v) ? json_loadb(json_string_value(v), json_string_length(v),
                                                    JSON_ALLOW_NUL, NULL)
                                       : NULL;

    put_json(b, json_is_object(object) ? object : v ? v : json_null());
    json_decref(object);
}

static void put_calls(rl_buf *b, const json_t *calls)
{
    const json_t *call;
    size_t i;

    json_array_foreach(calls, i, call)
    {
        const json_t *f = json_object_get(call, "function");
        const json_t *name = json_object_get(f, "name");

        (void)rl_buf_adds(b,
                          b->len > 0 ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ");
        put_json(b, name ? name : json_null());
        (void)rl_buf_adds(b, ", \"arguments\": ");
        put_arguments(b, json_object_get(f, "arguments"));
        (void)rl_buf_adds(b, "}\n</tool_call>");
    }
}

static json_t *calling_message(const json_t *m)
{
    rl_buf text;

    rl_buf_init(&text, TEXT_MAX);
    put_text(&text, json_object_get(m, "content"));
    put_calls(&text, json_object_get(m, "tool_calls"));
    return message_of("assistant", &text);
}

/* Results one after the other are one turn: templates want the roles to alternate. */
static json_t *result_message(const json_t *messages, size_t *i)
{
    rl_buf text;

    rl_buf_init(&text, TEXT_MAX);
    for (; has_role(json_array_get(messages, *i), "tool"); (*i)++) {
        const json_t *content = json_object_get(json_array_get(messages, *i), "content");

        (void)rl_buf_adds(&text, text.len > 0 ? "\n<tool_response>\n" : "<tool_response>\n");
        if (json_is_string(content))
            put_text(&text, content);
        else
            put_json(&text, content ? content : json_null());
        (void)rl_buf_adds(&text, "\n</tool_response>");
    }
    (*i)--;
    return message_of("user", &text);
}

json_t *rl_tools_messages(const json_t *messages, const json_t *list)
{
    json_t *out = json_array();
    const json_t *first = json_array_get(messages, 0);
    bool tell = list && json_array_size(messages) > 0, told = tell && has_role(first, "system");
    bool ok = out != NULL;

    if (tell)
        ok = json_array_append_new(out, system_message(first, list)) == 0;
    for (size_t i = told ? 1 : 0; i < json_array_size(messages) && ok; i++) {
        json_t *m = json_array_get(messages, i);

        if (has_role(m, "tool"))
            m = result_message(messages, &i);
        else if (json_array_size(json_object_get(m, "tool_calls")) > 0)
            m = calling_message(m);
        else
            json_incref(m);
        ok = json_array_append_new(out, m) == 0;
    }
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}
