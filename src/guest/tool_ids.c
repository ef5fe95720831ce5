/* Ids of calls in messages, for templates that refuse all but their own form of them. */
#include "guest/tools.h"

#include <string.h>

#define ID_MAX 32u

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The last n letters and digits of an id, zeros before them: the random part of ours. */
static json_t *short_id(const json_t *v, uint32_t n)
{
    const char *s = json_string_value(v);
    char id[ID_MAX + 1] = "";
    uint32_t k = n < ID_MAX ? n : ID_MAX;

    memset(id, '0', k);
    for (size_t i = json_string_length(v); i-- > 0 && k > 0;)
        if (is_alnum(s[i]))
            id[--k] = s[i];
    return json_string(id);
}

static bool shorten(json_t *o, const char *key, uint32_t n)
{
    return !json_is_object(o) ||
           json_object_set_new(o, key, short_id(json_object_get(o, key), n)) == 0;
}

json_t *rl_tools_short_ids(const json_t *messages, uint32_t n)
{
    json_t *out = json_deep_copy(messages), *m, *call;
    bool ok = out != NULL;
    size_t i, k;

    json_array_foreach(out, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));

        if (role && strcmp(role, "tool") == 0)
            ok = ok && shorten(m, "tool_call_id", n);
        json_array_foreach(json_object_get(m, "tool_calls"), k, call)
        {
            ok = ok && shorten(call, "id", n);
        }
    }
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}
