/* Completions, embeddings, tokens: APIs that take texts or ids as they are. */
#include "server/ask.h"

#include <string.h>

#define TOKENS     16 /* OpenAI's own default */
#define N_MAX      8
#define TOP_MAX    20
#define INPUTS_MAX 2048u

/* ---- texts and ids --------------------------------------------------------------------------- */

/* Whether v is a text or a list of ids: what one prompt may be. */
static bool is_prompt(const json_t *v)
{
    const json_t *id;
    size_t i;

    if (json_is_string(v))
        return true;
    json_array_foreach(v, i, id)
    {
        if (!json_is_integer(id))
            return false;
    }
    return json_array_size(v) > 0;
}

/* How many prompts a list of them has; 0: it is none. */
static size_t count_prompts(const json_t *list)
{
    const json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        if (!is_prompt(v))
            return 0;
    }
    return json_array_size(list);
}

static realm_status set_prompt(const rl_reading *r, json_t *v)
{
    return rl_ask_set(r, r->request, json_is_string(v) ? "prompt" : "ids", v);
}

/* ---- completions ----------------------------------------------------------------------------- */

static realm_status prompts(const rl_reading *r)
{
    json_t *v = rl_member(r->body, "prompt");
    size_t n = is_prompt(v) ? 1 : count_prompts(v);

    if (n == 0)
        return rl_ask_wrong(r, "prompt", "must be a text, a list of token ids, or a list of those");
    if (n * r->ask->n > RL_ASK_CHOICES)
        return rl_ask_wrong(r, "prompt", "and n make more than 64 choices");
    r->ask->n_prompts = (uint32_t)n;
    if (is_prompt(v))
        return set_prompt(r, v);
    r->ask->prompts = v;
    return REALM_OK;
}

/* A number here, not a switch: so many alternatives beside each token. */
static realm_status logprobs(const rl_reading *r)
{
    int64_t top = -1;
    realm_status st = rl_ask_whole(r, "logprobs", 0, TOP_MAX, &top);

    if (st != REALM_OK || top < 0)
        return st;
    r->ask->logprobs = true;
    st = rl_ask_put(r, r->params, "logprobs", json_true());
    return st == REALM_OK ? rl_ask_put(r, r->params, "top_logprobs", json_integer(top)) : st;
}

/* best_of asks for the best of several: as many as there are choices is no more than those. */
static realm_status counts(const rl_reading *r)
{
    int64_t n = 1, best = 0;
    realm_status st = rl_ask_whole(r, "n", 1, N_MAX, &n);

    r->ask->n = (uint32_t)n;
    if (st == REALM_OK)
        st = rl_ask_whole(r, "best_of", 1, N_MAX, &best);
    if (st == REALM_OK && best > n)
        return rl_ask_unsupported(r, "best_of");
    return st;
}

/* The prompt comes first, which the program tells: what ids mean, and how likely they are, the
 * model alone knows. */
static realm_status echo(const rl_reading *r)
{
    realm_status st = rl_ask_bool(r, "echo", &r->ask->echo);

    return st == REALM_OK && r->ask->echo ? rl_ask_put(r, r->request, "echo", json_true()) : st;
}

realm_status rl_ask_text(const rl_reading *r)
{
    bool newer = rl_member(r->body, "max_completion_tokens") != NULL;
    realm_status st = counts(r);

    if (st == REALM_OK)
        st = prompts(r);
    if (st == REALM_OK && rl_member(r->body, "suffix"))
        st = rl_ask_unsupported(r, "suffix");
    if (st == REALM_OK)
        st = echo(r);
    if (st == REALM_OK)
        st = rl_ask_sampling(r, newer ? "max_completion_tokens" : "max_tokens", TOKENS);
    if (st == REALM_OK)
        st = rl_ask_format(r, rl_member(r->body, "response_format"), "response_format",
                           "json_schema");
    return st == REALM_OK ? logprobs(r) : st;
}

/* ---- embeddings ------------------------------------------------------------------------------ */

/* An empty text has no vector: OpenAI refuses it too. */
static bool has_empty_text(const json_t *v)
{
    const json_t *item;
    size_t i;

    if (json_is_string(v))
        return json_string_length(v) == 0;
    json_array_foreach(v, i, item)
    {
        if (json_is_string(item) && json_string_length(item) == 0)
            return true;
    }
    return false;
}

realm_status rl_ask_embed(const rl_reading *r)
{
    json_t *v = rl_member(r->body, "input");
    const json_t *format = rl_member(r->body, "encoding_format");
    const char *name = json_string_value(format);
    bool one = is_prompt(v);
    size_t n = one ? 1 : count_prompts(v);
    int64_t dimensions = 0;
    realm_status st;

    if (n == 0 || n > INPUTS_MAX)
        return rl_ask_wrong(
            r, "input", "must be a text, a list of token ids, or a list of up to 2048 of those");
    if (has_empty_text(v))
        return rl_ask_wrong(r, "input", "must not be an empty text, or have one");
    if (format && (!name || (strcmp(name, "float") != 0 && strcmp(name, "base64") != 0)))
        return rl_ask_wrong(r, "encoding_format", "must be float or base64");
    r->ask->base64 = name && strcmp(name, "base64") == 0;
    st = rl_ask_whole(r, "dimensions", 1, 65536, &dimensions);
    r->ask->dimensions = (uint32_t)dimensions;
    if (st == REALM_OK)
        st = one ? rl_ask_put(r, r->request, "input", json_pack("[O]", v))
                 : rl_ask_set(r, r->request, "input", v);
    return st == REALM_OK ? rl_ask_put(r, r->request, "kind", json_string("embed")) : st;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* A conversation as chat completions take it, or a text. */
realm_status rl_ask_tokenize(const rl_reading *r)
{
    json_t *prompt = rl_member(r->body, "prompt");
    bool special = true;
    realm_status st = rl_ask_bool(r, "add_special_tokens", &special);

    if (st == REALM_OK)
        st = rl_ask_bool(r, "return_token_strs", &r->ask->token_strs);
    if (st != REALM_OK)
        return st;
    if (rl_member(r->body, "messages")) {
        st = rl_ask_chat(r);
        r->ask->n = 1; /* one conversation, however many answers it would have */
        return st;
    }
    if (!json_is_string(prompt))
        return rl_ask_wrong(r, "prompt", "must be a text, or messages a conversation");
    st = rl_ask_set(r, r->request, "prompt", prompt);
    return st == REALM_OK ? rl_ask_put(r, r->request, "add_special", json_boolean(special)) : st;
}

realm_status rl_ask_detokenize(const rl_reading *r)
{
    json_t *ids = rl_member(r->body, "tokens");

    if (!json_is_array(ids) || !is_prompt(ids))
        return rl_ask_wrong(r, "tokens", "must be a list of token ids");
    return rl_ask_set(r, r->request, "ids", ids);
}
