/* Ask: what a client asks for, whichever API it speaks, as Requests of the guest ABI.
 *
 * Read on the intake thread. What OpenAI does not know is ignored, as its own server does; what is
 * known is checked here or by the guest room, never dropped. */
#ifndef RL_SERVER_ASK_H
#define RL_SERVER_ASK_H

#include "base/buf.h"
#include "realm/status.h"

#include <jansson.h>
#include <stdint.h>

#define RL_ASK_NAME    257u /* PROGRAM@MODEL, each up to 128 */
#define RL_ASK_PARAM   64u
#define RL_ASK_TOKENS  2048 /* of a conversation's answer, when the request says nothing */
#define RL_ASK_CHOICES 64u  /* of one request: prompts x n */

typedef enum rl_api {
    RL_API_CHAT,
    RL_API_TEXT,
    RL_API_RESPONSES,
    RL_API_EMBED,
    RL_API_TOKENIZE,
    RL_API_DETOKENIZE,
    RL_N_APIS
} rl_api;

typedef struct rl_ask {
    rl_api api;
    char model[RL_ASK_NAME + 1]; /* as the client named it */
    bool stream, include_usage;
    bool logprobs, echo; /* echo: the program tells the prompt first */
    bool base64;         /* embeddings as base64 of little-endian floats */
    bool token_strs;     /* tokenize: the tokens' texts too */
    const char *grammar; /* constant: the member that says what texts must look like, or NULL */
    uint32_t n;          /* choices of each prompt */
    uint32_t n_prompts;  /* 1, or as many as the list has */
    uint32_t dimensions; /* of embeddings; 0: all that the model has */
    json_t *body;        /* owned: what was sent */
    json_t *request;     /* owned: the Request, but for what differs between choices */
    json_t *prompts;     /* in body; NULL, or the list of them */
} rl_ask;

/* Why a body was refused, beside the error. */
typedef struct rl_ask_why {
    char param[RL_ASK_PARAM]; /* which member; "" when it is none */
} rl_ask_why;

/* -> OK | EINVAL | EUNSUPPORTED | ETOOBIG | ENOMEM */
realm_status rl_ask_read(rl_ask *out, rl_api api, const char *body, size_t n, rl_ask_why *why,
                         realm_error *err) REALM_MUST_USE;
void rl_ask_deinit(rl_ask *a); /* leaves it empty */

/* How many runs answer it: each choice is a run of its own. */
static inline uint32_t rl_ask_choices(const rl_ask *a)
{
    return a->n * a->n_prompts;
}

/* The Request of choice i as JSON text. Choices of one prompt differ in the sampler's choice
 * alone, so that each is what it would be without the others. -> OK | ENOMEM */
realm_status rl_ask_request(rl_ask *a, uint32_t i, rl_buf *out, realm_error *err) REALM_MUST_USE;

/* blame.c: the member that a failed program means, or NULL. Constant. */
const char *rl_ask_blame(const rl_ask *a, const realm_error *err);

/* ---- for the readers of each API (ask_*.c) --------------------------------------------------- */

typedef struct rl_reading {
    rl_ask *ask;
    const json_t *body;
    json_t *request, *params; /* of the Request: to be filled */
    rl_ask_why *why;
    realm_error *err;
} rl_reading;

/* A member; null counts as absent. */
json_t *rl_member(const json_t *o, const char *key);

/* Failures: `param` is told to the client as it is. */
realm_status rl_ask_wrong(const rl_reading *r, const char *param, const char *what);
realm_status rl_ask_unsupported(const rl_reading *r, const char *param);
realm_status rl_ask_no_memory(const rl_reading *r);

/* Sets a member of the Request, or of its params; borrowed or taken (put). A NULL taken value is a
 * failure of memory. */
realm_status rl_ask_set(const rl_reading *r, json_t *o, const char *key, json_t *v);
realm_status rl_ask_put(const rl_reading *r, json_t *o, const char *key, json_t *v);

/* A whole number within [least, most]; *out stays when it is absent. */
realm_status rl_ask_whole(const rl_reading *r, const char *key, int64_t least, int64_t most,
                          int64_t *out);
realm_status rl_ask_bool(const rl_reading *r, const char *key, bool *out);

/* Sampling parameters: what all APIs that generate share, defaults included. limit_key: what that
 * API calls the limit of tokens; default_tokens: without it. */
realm_status rl_ask_sampling(const rl_reading *r, const char *limit_key, int64_t default_tokens);
/* format: {"type": "text" | "json_object" | "json_schema", ...schema} as a grammar; param: how the
 * client calls it. schema_in: the member of `format` that has "schema", NULL: format itself */
realm_status rl_ask_format(const rl_reading *r, const json_t *format, const char *param,
                           const char *schema_in);

/* ask_numbers.c: a body with numbers that pass 64 bits, or a real, as one that can be read. */
realm_status rl_ask_tame_numbers(rl_buf *out, const char *body, size_t n) REALM_MUST_USE;

/* One message of a conversation into `list`, its parts joined. `at`: its name for complaints. */
realm_status rl_ask_message(const rl_reading *r, json_t *list, const json_t *m, const char *at);
/* A list of parts ({type, text}) as one text. */
realm_status rl_ask_parts(const rl_reading *r, const json_t *parts, const char *at, json_t **text);

realm_status rl_ask_chat(const rl_reading *r);
realm_status rl_ask_text(const rl_reading *r);
realm_status rl_ask_responses(const rl_reading *r);
realm_status rl_ask_embed(const rl_reading *r);
realm_status rl_ask_tokenize(const rl_reading *r);
realm_status rl_ask_detokenize(const rl_reading *r);

#endif
