/* Parts of chat completions and completions, which are alike but for their choices. */
#include "server/wire.h"

#define EVENT_MAX ((size_t)4096) /* of an event without choices */

void rl_wire_put_text(rl_json *j, const char *key, const char *text)
{
    if (text)
        rl_json_string(j, key, text);
    else
        rl_json_null(j, key);
}

void rl_wire_put_usage(rl_json *j, const rl_said *s)
{
    uint64_t prompt = rl_said_prompt_tokens(s), generated = rl_said_generated_tokens(s);

    rl_json_object(j, "usage");
    rl_json_uint(j, "prompt_tokens", prompt);
    rl_json_uint(j, "completion_tokens", generated);
    rl_json_uint(j, "total_tokens", prompt + generated);
    rl_json_object(j, "prompt_tokens_details");
    rl_json_uint(j, "cached_tokens", rl_said_cached_tokens(s));
    rl_json_end_object(j);
    rl_json_end_object(j);
}

void rl_wire_open_choices(rl_json *j, const rl_said *s, const char *object)
{
    rl_json_object(j, NULL);
    rl_json_string(j, "id", s->id);
    rl_json_string(j, "object", object);
    rl_json_int(j, "created", s->created_s);
    rl_json_string(j, "model", s->ask->model);
    rl_json_array(j, "choices");
}

void rl_wire_close_stream(rl_said *s, const char *object, rl_buf *sse)
{
    rl_buf body;
    rl_json j;

    if (s->ask->include_usage) {
        rl_buf_init(&body, EVENT_MAX);
        j = rl_json_on(&body);
        rl_wire_open_choices(&j, s, object);
        rl_json_end_array(&j);
        rl_wire_put_usage(&j, s);
        rl_json_end_object(&j);
        rl_said_event(s, sse, NULL, &body);
    }
    rl_http_sse(sse, NULL, "[DONE]", 6);
}
