/* Tokenizers: bytes <-> ids, chat templates. Immutable after opening; any thread; scratch is the
 * caller's or on the heap of the call. Models: SPM ("llama") and BPE ("gpt2" with the pretokenizers
 * qwen2, llama-bpe, gpt-2 and their aliases). Everything runs in time linear (BPE and SPM merges:
 * n log n) in the text's length, hostile text included. */
#ifndef RL_TOKEN_TOKEN_H
#define RL_TOKEN_TOKEN_H

#include "base/buf.h"
#include "gguf/gguf.h"

#define RL_NO_TOKEN UINT32_MAX

typedef struct rl_vocab rl_vocab;

typedef struct rl_vocab_info {
    uint32_t n_tokens;
    const char *model;      /* "llama" | "gpt2" */
    const char *pre;        /* "qwen2", "" for SPM; borrowed */
    uint32_t bos, eos, unk; /* RL_NO_TOKEN when the file names none */
    bool add_bos, add_eos;  /* what encoding with RL_ENCODE_ADD_SPECIAL does */
    bool add_space_prefix;
    uint32_t n_eog;      /* end-of-generation ids: eos, eot and their known names */
    const uint32_t *eog; /* [n_eog] ascending; borrowed */
} rl_vocab_info;

enum {
    RL_ENCODE_ADD_SPECIAL = 1,   /* BOS (and EOS) as the model says */
    RL_ENCODE_PARSE_SPECIAL = 2, /* the text of control tokens becomes these tokens */
    RL_ENCODE_MIDDLE = 4,        /* the text goes on from another: no space is put before it */
};
enum {
    RL_DECODE_SKIP_SPECIAL = 1, /* control tokens give no bytes */
};

/* Builds the tables from a file's tokenizer.* keys; takes those that are attached to `g` (gguf.h)
 * as they are, once every number in them is checked. `g` must outlive the vocab.
 * -> OK | EUNSUPPORTED (model or pretokenizer not offered, named in err) | EINVAL | ENOMEM */
realm_status rl_vocab_open(rl_vocab **out, const rl_gguf *g, realm_error *err) REALM_MUST_USE;
void rl_vocab_close(rl_vocab *v); /* NULL is fine */

/* Appends the tables as bytes to attach to the same metadata, at an address that is a multiple of
 * 8; for a packed file, at one of 64. -> OK | ENOMEM */
realm_status rl_vocab_save(const rl_vocab *v, rl_buf *out, realm_error *err) REALM_MUST_USE;

const rl_vocab_info *rl_vocab_get_info(const rl_vocab *v);
bool rl_vocab_is_eog(const rl_vocab *v, uint32_t id);
bool rl_vocab_is_special(const rl_vocab *v, uint32_t id); /* control or unknown */

/* text[0..n) -> ids. Invalid UTF-8 is encoded byte by byte as the tokenizer's byte fallback does
 * (decoding gives the bytes back). *ids is rl_alloc'ed by the callee; the caller rl_frees it.
 * -> OK | ENOMEM | ETOOBIG (n over 64 MiB) */
realm_status rl_encode(const rl_vocab *v, const char *text, size_t n, uint32_t flags,
                       uint32_t **ids, size_t *n_ids, realm_error *err) REALM_MUST_USE;

/* The bytes of one token, borrowed for the life of the vocab; n 0 for an id past the vocabulary.
 * SPM: U+2581 is already a space, <0xNN> already its byte. */
rl_text rl_token_bytes(const rl_vocab *v, uint32_t id);

/* ids -> appended bytes. An id past the vocabulary is EINVAL. The first token's leading space is
 * dropped when the model adds a space prefix (SPM). */
realm_status rl_decode(const rl_vocab *v, const uint32_t *ids, size_t n, uint32_t flags,
                       rl_buf *out, realm_error *err) REALM_MUST_USE;

/* Streaming detokenisation: keeps back the bytes of an unfinished character (0..3). Bytes that
 * never become UTF-8 are passed through as U+FFFD. Caller's storage; zero it to start. */
typedef struct rl_detok {
    char held[4];
    uint32_t n_held;
} rl_detok;

/* Appends what can be shown after `id`; RL_NO_TOKEN ends the text and flushes. Special tokens give
 * nothing with RL_DECODE_SKIP_SPECIAL. */
realm_status rl_detok_add(rl_detok *d, const rl_vocab *v, uint32_t id, uint32_t flags,
                          rl_buf *out) REALM_MUST_USE;

/* ---- chat templates (minijinja) -------------------------------------------------------------- */

typedef struct rl_chat rl_chat; /* a compiled template; immutable, any thread */

/* Compiles tokenizer.chat_template of `g`. -> OK | EUNSUPPORTED (the model has none) | EINVAL (does
 * not compile; err says where) | ENOMEM. Rendering needs a stack of ~1 MiB: never on a guest fiber.
 */
realm_status rl_chat_open(rl_chat **out, const rl_gguf *g, const rl_vocab *v,
                          realm_error *err) REALM_MUST_USE;
void rl_chat_close(rl_chat *c); /* NULL is fine */

/* Whether the template's source has this text in it. */
bool rl_chat_mentions(const rl_chat *c, const char *text);

/* request: JSON {"messages": [...], "tools": [...] (optional), "add_generation_prompt": bool
 * (default true), further keys are given to the template}. As text, for display. */
realm_status rl_chat_render(const rl_chat *c, const char *request, size_t n, rl_buf *out,
                            realm_error *err) REALM_MUST_USE;

/* The same as ids for the model. Special tokens written by the template are tokens; the same
 * strings inside a message's contents are plain text. *ids as for rl_encode. */
realm_status rl_chat_tokens(const rl_chat *c, const rl_vocab *v, const char *request, size_t n,
                            uint32_t **ids, size_t *n_ids, realm_error *err) REALM_MUST_USE;

#endif
