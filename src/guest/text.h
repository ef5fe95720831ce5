/* Text: turning text, chats and Requests into ids for a call: at once when it is short, else on a
 * helper thread. */
#ifndef RL_GUEST_TEXT_H
#define RL_GUEST_TEXT_H

#include "guest/generate.h"
#include "guest/op.h"

#include "base/buf.h"

#define RL_TEXT_INLINE ((size_t)16 << 10) /* up to here encoding stays on the worker */

typedef enum rl_text_kind {
    RL_TEXT_ENCODE,      /* -> ids */
    RL_TEXT_PROMPT,      /* a Request -> the ids of its prompt */
    RL_TEXT_CHAT_RENDER, /* a chat request -> out */
    RL_TEXT_REQUEST,     /* a Request -> gen, its ids included */
    RL_TEXT_PARAMS,      /* parameters of generate_seq -> gen, without a prompt */
    RL_TEXT_SAMPLER,     /* parameters of a sampler -> sampler */
    RL_TEXT_EVENT,       /* checks an event to be emitted; lm NULL */
} rl_text_kind;

typedef struct rl_text_op {
    rl_op op;
    rl_text_kind kind;
    rl_lm *lm;  /* reference; NULL for events */
    char *text; /* owned; [n] and a NUL */
    size_t n;
    uint32_t flags; /* of rl_encode */
    uint32_t *ids;  /* owned; [n_ids] */
    size_t n_ids;
    rl_buf out;
    rl_gen gen;          /* also prepared by the caller, for what follows */
    rl_sampler *sampler; /* owned */
} rl_text_op;

/* Copies the text. NULL without memory. */
rl_text_op *rl_text_new(rl_run *run, rl_text_kind kind, rl_lm *lm, const void *text, size_t n);

/* Does the work, here if it is a short encode, else on a helper while the call is parked; then
 * `then` answers with the op in c->state. Takes the op; NULL is a failed call. */
int64_t rl_text_run(rl_call *c, rl_text_op *op, int64_t (*then)(rl_call *c));

/* Decodes the ids of argument `ids` into the output pair `out`. -> the call's answer */
int64_t rl_decode_call(rl_call *c, const rl_lm *lm, uint32_t ids, uint32_t out, uint32_t flags);

/* The u32 or f32 items of an input pair, which may lie unaligned in guest memory, as a copy the
 * caller rl_frees. NULL without memory. */
void *rl_items_dup(const rl_arg *a);

/* request.c: reads a Request; fills gen and its ids. Helper thread. */
realm_status rl_request_read(rl_gen *gen, rl_lm *lm, const char *json, size_t n,
                             realm_error *err) REALM_MUST_USE;
/* Its prompt alone: messages by the model's template, a prompt (without the tokens that begin a
 * text when "add_special" is false) or ids. *ids [*n_ids] is rl_alloc'ed, also after a failure. */
realm_status rl_prompt_read(const rl_lm *lm, const char *json, size_t n, uint32_t **ids,
                            size_t *n_ids, realm_error *err) REALM_MUST_USE;
/* The part of a Request that is not the sampler's: max_tokens, stop, logprobs. "" is {}. */
realm_status rl_gen_read(rl_gen *gen, const char *json, size_t n, realm_error *err) REALM_MUST_USE;
/* A sampler for the model by parameters as rl_sample_params_parse has them. "" is {}: greedy. */
realm_status rl_sampler_read(rl_sampler **out, rl_lm *lm, const char *json, size_t n,
                             realm_error *err) REALM_MUST_USE;
/* Reads a JSON list of 1 to `most` texts, strings or lists of ids, or a Request with one as
 * "input"; ids[i] [n_ids[i]] are rl_alloc'ed, also after a failure. -> how many into *n */
realm_status rl_texts_read(const rl_lm *lm, const char *json, size_t len, uint32_t most,
                           uint32_t **ids, uint32_t *n_ids, uint32_t *n,
                           realm_error *err) REALM_MUST_USE;
/* Checks that it is a JSON object a guest may send as an event: not `usage`. Helper thread. */
realm_status rl_event_check(const char *json, size_t n, realm_error *err) REALM_MUST_USE;

#endif
