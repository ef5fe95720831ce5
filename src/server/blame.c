/* Blame: which member of a body a program's failure is about. The host's sentences begin with what
 * they are about, in the words of a Request; a client hears its own. */
#include "server/ask.h"

#include <string.h>

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What the texts or ids of a prompt are called. */
static const char *prompt_of(rl_api api)
{
    static const char *const names[RL_N_APIS] = {
        [RL_API_CHAT] = "messages", [RL_API_TEXT] = "prompt",     [RL_API_RESPONSES] = "input",
        [RL_API_EMBED] = "input",   [RL_API_TOKENIZE] = "prompt", [RL_API_DETOKENIZE] = "tokens",
    };

    return names[api];
}

const char *rl_ask_blame(const rl_ask *a, const realm_error *err)
{
    static const char *const same[] = { "tools",      "tool_choice", "parallel_tool_calls",
                                        "logit_bias", "stop",        "temperature",
                                        "top_p",      "min_p",       "repetition_penalty",
                                        "max_tokens", "seed" };

    if (err->status != REALM_EINVAL && err->status != REALM_EUNSUPPORTED &&
        err->status != REALM_ETOOBIG)
        return NULL;
    if (begins(err->text, "the grammar") || begins(err->text, "json_schema"))
        return a->grammar;
    if (begins(err->text, "ids") || begins(err->text, "a text is empty") ||
        begins(err->text, "the prompt"))
        return prompt_of(a->api);
    for (size_t i = sizeof same / sizeof *same; i-- > 0;)
        if (begins(err->text, same[i]) &&
            !strchr("_abcdefghijklmnopqrstuvwxyz", err->text[strlen(same[i])]))
            return same[i];
    return NULL;
}
