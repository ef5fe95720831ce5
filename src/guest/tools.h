/* Tools: the functions a Request declares, and what follows from them: the grammar of their calls
 * and, for templates that know no tools, messages that tell of them. All but rl_tools_free on a
 * helper thread: jansson recurses and allocates. */
#ifndef RL_GUEST_TOOLS_H
#define RL_GUEST_TOOLS_H

#include "guest/tool_format.h"

#include "sample/grammar.h"
#include "sample/heads.h"

#include <jansson.h>

#define RL_TOOLS_MAX 128u
#define RL_TOOL_NAME 64u

typedef enum rl_tool_choice {
    RL_TOOL_AUTO,     /* text, or calls */
    RL_TOOL_REQUIRED, /* one call or more */
    RL_TOOL_NAMED,    /* one call, of names[only] */
} rl_tool_choice;

typedef struct rl_tools {
    const rl_tool_format *format;
    rl_tool_choice choice;
    bool parallel; /* more than one call may be made */
    bool formed;   /* with AUTO: a reply without calls has a form, a grammar of its own */
    uint32_t n, only;
    char (*names)[RL_TOOL_NAME + 1];  /* owned; [n] */
    uint32_t mark_ids[RL_TOOL_MARKS]; /* control tokens of the format's marks, or RL_NO_TOKEN */
} rl_tools;

/* Reads tools, tool_choice and parallel_tool_calls of a Request. *out NULL with OK: the model is
 * not to call anything. chat: the model's template, or NULL.
 * -> OK | EINVAL (err names the member) | EUNSUPPORTED | ENOMEM */
realm_status rl_tools_read(rl_tools **out, const json_t *root, const rl_chat *chat,
                           const rl_vocab *vocab, realm_error *err) REALM_MUST_USE;
void rl_tools_free(rl_tools *t); /* NULL is fine */
bool rl_tools_has(const rl_tools *t, const char *name, size_t n);

/* tool_grammar.c: the grammar of the calls. With AUTO and no form it waits for the format's marker.
 * `list` is the Request's tools. -> OK | EINVAL (a schema does not compile) | ETOOBIG | ENOMEM */
realm_status rl_tools_grammar(rl_grammar **out, const rl_tools *t, const json_t *list,
                              const rl_grammar_env *env, realm_error *err) REALM_MUST_USE;

/* With a form: a reply is calls, or inside `form`, which is taken. -> OK | ENOMEM: it is not */
realm_status rl_tools_or_form(rl_grammar *calls, rl_grammar *form, const rl_tools *t,
                              realm_error *err) REALM_MUST_USE;
/* How calls begin beside a form: by the marker, or without one by the name. -> false: no i-th */
bool rl_tools_head(const rl_tools *t, uint32_t i, rl_head *head);

/* tool_words.c: the messages as a template can take them that knows no tools: the tools (list;
 * NULL: none) told in a system message, calls and their results as text. NULL without memory. */
json_t *rl_tools_messages(const json_t *messages, const json_t *list);
/* tool_ids.c: the messages with ids of calls that are n letters and digits. NULL without memory. */
json_t *rl_tools_short_ids(const json_t *messages, uint32_t n);

/* request.c: writes a value as JSON text;
 * takes the value; NULL is one there was no memory for. */
realm_status rl_request_dump(rl_buf *text, json_t *v, realm_error *err) REALM_MUST_USE;
/* request.c: a copy of a schema for grammars: between the parts of a JSON text one space may stand,
 * as models like to write it, and no more: a model that wanders would else fill its tokens with
 * white space. NULL without memory. */
json_t *rl_request_schema(json_t *schema);

#endif
