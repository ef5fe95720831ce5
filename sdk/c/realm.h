/* Realm for programs written in C: what a sandboxed program can ask its host, ABI version 1.
 *
 * Copy this file beside your program and compile with clang:
 *
 *     clang --target=wasm32-wasi --sysroot=/usr -O2 -o hello.wasm hello.c
 *
 * with wasi-libc, or without any C library (wasm64 instead of wasm32: with 64-bit memory)
 *
 *     clang --target=wasm32 -nostdlib -O2 -Wl,--no-entry -o hello.wasm hello.c
 *
 * 1. The model's weights and all computing stay in the host; a program sends text and ids, and gets
 *    text, ids and numbers back. Text is UTF-8 with a length; no NUL is needed or counted.
 * 2. A result >= 0 is success, a negative one is a realm_status. realm_error_text says it in words.
 * 3. A handle is a number >= 1. All are closed when the program ends.
 * 4. An output that does not fit is REALM_ESPACE and nothing is written.
 * 5. Calls that may wait put this program to sleep, not the host: thousands wait side by side.
 *
 * A program exports `_start` (an ordinary main), or `run`, or the classic `generate`. Its input is
 * the request (realm_input_read, or stdin); its reply is what it emits (realm_emit, or stdout).
 * docs/abi.md has every rule. The declarations below are generated from the host's own table. */
#ifndef REALM_GUEST_H
#define REALM_GUEST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __wasm__
#define REALM_IMPORT(module, name)                                                                 \
    __attribute__((import_module(#module), import_name(#name))) extern
#define REALM_EXPORT(name) __attribute__((export_name(#name)))
#else /* so that editors and checkers can read programs without a WebAssembly target */
#define REALM_IMPORT(module, name) extern
#define REALM_EXPORT(name)
#endif

/* generated: status */
typedef enum realm_status {
    REALM_OK = 0,             /* ok */
    REALM_EINVAL = -1,        /* bad argument */
    REALM_ENOTFOUND = -2,     /* no such name or handle */
    REALM_EDENIED = -3,       /* capability not granted */
    REALM_EQUOTA = -4,        /* own limit reached */
    REALM_ENOMEM = -5,        /* no memory or KV room */
    REALM_ETOOBIG = -6,       /* input over its limit */
    REALM_ECONTEXT = -7,      /* context window full */
    REALM_ETIMEOUT = -8,      /* deadline passed */
    REALM_ECANCELLED = -9,    /* cancelled */
    REALM_EMODEL = -10,       /* model cannot serve */
    REALM_EIO = -11,          /* file or network failed */
    REALM_EUNSUPPORTED = -12, /* not offered */
    REALM_EBUG = -13,         /* our fault */
    REALM_ESPACE = -14,       /* output buffer too small */
    REALM_EBUSY = -15,        /* one job per handle; try again */
    REALM_ECONFLICT = -16,    /* exists or changed meanwhile */
    REALM_EAUTH = -17,        /* not authenticated */
    REALM_EDISK = -18,        /* no room on disk */
} realm_status;
/* end generated */

/* ---- module realm: version 1 ----------------------------------------------------------------- */

enum {
    REALM_ADD_SPECIAL = 1,   /* realm_encode: begin as the model's texts begin */
    REALM_PARSE_SPECIAL = 2, /* realm_encode: "<|im_end|>" and the like become their token */
    REALM_SKIP_SPECIAL = 1,  /* realm_decode: such tokens give no text */
};

/* generated: realm */
/* Opens a model by its registry name (empty: the run's own); answers a handle. May wait. */
REALM_IMPORT(realm, model_open)
int32_t realm_model_open(const char *name, size_t len);

/* Closes a model handle; answers 0. */
REALM_IMPORT(realm, model_close)
int32_t realm_model_close(uint32_t model);

/* Writes what the model is as JSON; capacity 0 asks for the size. */
REALM_IMPORT(realm, model_info)
int32_t realm_model_info(uint32_t model, void *out, size_t cap);

/* Writes the models that may be opened as JSON; capacity 0 asks for the size. May wait. */
REALM_IMPORT(realm, model_list)
int32_t realm_model_list(void *out, size_t cap);

/* Text to token ids; flags 1 add_special, 2 parse_special; answers the number of tokens. May
 * wait. */
REALM_IMPORT(realm, encode)
int32_t realm_encode(uint32_t model, const char *text, size_t len, uint32_t *out_ids, uint32_t cap,
                     uint32_t flags);

/* Token ids to bytes; flag 1 skip_special; answers the bytes written. */
REALM_IMPORT(realm, decode)
int32_t realm_decode(uint32_t model, const uint32_t *ids, uint32_t n_ids, void *out, size_t cap,
                     uint32_t flags);

/* The prompt of a Request to token ids: messages and tools by the model's own template, prompt,
 * or ids; answers the number of tokens. May wait. */
REALM_IMPORT(realm, chat_tokens)
int32_t realm_chat_tokens(uint32_t model, const char *request, size_t len, uint32_t *out_ids,
                          uint32_t cap);

/* The same as text, for display; answers the bytes written. May wait. */
REALM_IMPORT(realm, chat_render)
int32_t realm_chat_render(uint32_t model, const char *request, size_t len, void *out, size_t cap);

/* An empty sequence of a model; answers a handle. */
REALM_IMPORT(realm, seq_new)
int32_t realm_seq_new(uint32_t model);

/* A second sequence that begins with all of the first; answers a handle. May wait. */
REALM_IMPORT(realm, seq_fork)
int32_t realm_seq_fork(uint32_t seq);

/* Tokens of a sequence, recorded ones included. */
REALM_IMPORT(realm, seq_len)
int32_t realm_seq_len(uint32_t seq);

/* Closes a sequence; answers 0. */
REALM_IMPORT(realm, seq_close)
int32_t realm_seq_close(uint32_t seq);

/* Keeps the first so many tokens of a sequence; answers 0. May wait. */
REALM_IMPORT(realm, seq_truncate)
int32_t realm_seq_truncate(uint32_t seq, uint32_t keep);

/* Records ids at the end of a sequence, to be computed when they are needed; answers 0. */
REALM_IMPORT(realm, seq_append)
int32_t realm_seq_append(uint32_t seq, const uint32_t *ids, uint32_t n_ids);

/* Draws the next id with a sampler and records it; answers the id, end tokens too. May wait. */
REALM_IMPORT(realm, seq_next)
int32_t realm_seq_next(uint32_t seq, uint32_t sampler);

/* The same for 1 to 16 sequences at once, each with its own sampler; an item that fails has its
 * error as id; answers their number. May wait. */
REALM_IMPORT(realm, seqs_next)
int32_t realm_seqs_next(const uint32_t *seqs, uint32_t n_seqs, const uint32_t *samplers,
                        uint32_t n_samplers, uint32_t *out_ids, uint32_t cap);

/* Writes the raw logits after the last token; answers their number. May wait. */
REALM_IMPORT(realm, seq_logits)
int32_t realm_seq_logits(uint32_t seq, float *out_logits, uint32_t cap);

/* Writes the k best next ids and their log-probabilities, best first; answers k. May wait. */
REALM_IMPORT(realm, seq_topk)
int32_t realm_seq_topk(uint32_t seq, uint32_t k, uint32_t *out_ids, uint32_t cap_ids,
                       float *out_logprobs, uint32_t cap_logprobs);

/* Writes the log-probability of each id after what precedes it, and leaves the sequence as it
 * is; answers their number. May wait. */
REALM_IMPORT(realm, seq_score)
int32_t realm_seq_score(uint32_t seq, const uint32_t *ids, uint32_t n_ids, float *out_logprobs,
                        uint32_t cap);

/* A sampler for sequences of a model by parameters as JSON (empty: greedy); answers a handle.
 * May wait. */
REALM_IMPORT(realm, sampler_new)
int32_t realm_sampler_new(uint32_t model, const char *params, size_t len);

/* A second sampler in the state of the first; answers a handle. */
REALM_IMPORT(realm, sampler_clone)
int32_t realm_sampler_clone(uint32_t sampler);

/* Allows only the ids whose bit is set (bit id % 8 of byte id / 8) in the next draw; answers 0. */
REALM_IMPORT(realm, sampler_mask)
int32_t realm_sampler_mask(uint32_t sampler, const void *bits, size_t n_bytes);

/* Counts ids for the penalties; answers 0. */
REALM_IMPORT(realm, sampler_accept)
int32_t realm_sampler_accept(uint32_t sampler, const uint32_t *ids, uint32_t n_ids);

/* Closes a sampler; answers 0. */
REALM_IMPORT(realm, sampler_close)
int32_t realm_sampler_close(uint32_t sampler);

/* Starts generating on a sequence with a sampler, by max_tokens and stop as JSON; both are busy
 * until it ends; answers a stream handle. May wait. */
REALM_IMPORT(realm, generate_seq)
int32_t realm_generate_seq(uint32_t seq, uint32_t sampler, const char *params, size_t len);

/* Starts generating for a Request (messages, prompt or ids); answers a stream handle. May wait. */
REALM_IMPORT(realm, generate_chat)
int32_t realm_generate_chat(uint32_t model, const char *request, size_t len);

/* Next whole characters of a stream; answers the bytes written, 0 at its end. May wait. */
REALM_IMPORT(realm, stream_read)
int32_t realm_stream_read(uint32_t stream, void *out, size_t cap);

/* Next event of a stream (text, a tool call, the finish, usage) as JSON; answers the bytes
 * written, 0 at its end. May wait. */
REALM_IMPORT(realm, stream_event)
int32_t realm_stream_event(uint32_t stream, void *out, size_t cap);

/* Closes a stream, cancelling what still runs; answers 0. May wait. */
REALM_IMPORT(realm, stream_close)
int32_t realm_stream_close(uint32_t stream);

/* Waits until one of the streams has something to read, at most so many milliseconds (0 polls,
 * -1 has no limit); answers its index. May wait. */
REALM_IMPORT(realm, wait_any)
int32_t realm_wait_any(const uint32_t *streams, uint32_t n_streams, int64_t timeout_ms);

/* Writes the embeddings of a JSON list of 1 to 2048 texts (or lists of ids), each scaled to
 * length 1; capacity 0 asks for the size; answers the number of floats. May wait. */
REALM_IMPORT(realm, embed)
int32_t realm_embed(uint32_t model, const char *texts, size_t len, float *out_floats, uint32_t cap);

/* Sends bytes to whoever called the program; answers 0. May wait. */
REALM_IMPORT(realm, emit)
int32_t realm_emit(const void *data, size_t len);

/* Sends one JSON event to whoever called the program; answers 0. May wait. */
REALM_IMPORT(realm, emit_event)
int32_t realm_emit_event(const char *json, size_t len);

/* Splices a stream into the reply inside the host until it ends, its choice raised by the
 * number given; answers 0. May wait. */
REALM_IMPORT(realm, emit_stream)
int32_t realm_emit_stream(uint32_t stream, uint32_t choice);

/* Length of the request in bytes. */
REALM_IMPORT(realm, input_len)
int64_t realm_input_len(void);

/* Copies the request from an offset on; answers the bytes written. */
REALM_IMPORT(realm, input_read)
int32_t realm_input_read(int64_t offset, void *out, size_t cap);

/* A header of the request, never a credential; capacity 0 asks for the size; answers the bytes
 * written. */
REALM_IMPORT(realm, header_get)
int32_t realm_header_get(const char *name, size_t len, void *out, size_t cap);

/* The HTTP status of the reply, 200 to 599, before its first byte; answers 0. */
REALM_IMPORT(realm, set_status)
int32_t realm_set_status(uint32_t status);

/* Writes what the run has used so far as JSON; capacity 0 asks for the size. */
REALM_IMPORT(realm, usage)
int32_t realm_usage(void *out, size_t cap);

/* Version of this module: 1. */
REALM_IMPORT(realm, version)
int32_t realm_version(void);

/* Writes a line to the run's log; level 0 debug, 1 info, 2 warning, 3 error; answers 0. */
REALM_IMPORT(realm, log)
int32_t realm_log(uint32_t level, const char *text, size_t len);

/* The sentence of the last failed call, or of an error number; answers the bytes written. */
REALM_IMPORT(realm, error_text)
int32_t realm_error_text(int32_t number, void *out, size_t cap);

/* Milliseconds since 1970, coarse. */
REALM_IMPORT(realm, now_ms)
int64_t realm_now_ms(void);

/* Waits that long, at most to the run's deadline; answers 0. May wait. */
REALM_IMPORT(realm, sleep_ms)
int32_t realm_sleep_ms(int64_t ms);

/* Fills out with random bytes; answers their number. */
REALM_IMPORT(realm, random)
int32_t realm_random(void *out, size_t cap);
/* end generated */

/* ---- module env: the classic calls; model 0 is the run's own --------------------------------- */

/* What realm_host_generate_opts takes. A record is taken as it stands; without one the defaults
 * hold: 512, 0.7, 0.9, 40, 1.1, 0 and no stop tokens. */
typedef struct realm_generate_options {
    uint32_t max_tokens;      /* >= 1 */
    float temperature;        /* 0: always the most likely token */
    float top_p;              /* 0 or >= 1: off */
    uint32_t top_k;           /* 0: off */
    float repetition_penalty; /* 0 or 1: off */
    uint32_t seed;            /* 0 is a seed like any other */
    uint8_t stop_token_count;
    const uint32_t *stop_tokens; /* [stop_token_count] */
} realm_generate_options;

#if defined(__wasm__) && !defined(__cplusplus)
_Static_assert(sizeof(realm_generate_options) == (sizeof(void *) == 8 ? 40 : 32), "ABI version 1");
#endif

/* generated: env */
/* Completes the raw prompt with the default options into out; answers the bytes written. May
 * wait. */
REALM_IMPORT(env, realm_host_generate)
int32_t realm_host_generate(uint32_t model, const char *prompt, size_t prompt_len, void *out,
                            size_t cap);

/* The same with an options record; 0 means the defaults. May wait. */
REALM_IMPORT(env, realm_host_generate)
int32_t realm_host_generate_opts(uint32_t model, const char *prompt, size_t prompt_len,
                                 const void *options, void *out, size_t cap);

/* Opens a model by its registry name; answers its id >= 1. May wait. */
REALM_IMPORT(env, realm_host_load_model_by_name)
int32_t realm_host_load_model_by_name(const char *name, size_t len);

/* Text to token ids (u32, capacity in bytes); answers the number of tokens. May wait. */
REALM_IMPORT(env, realm_encode_tokens)
int32_t realm_encode_tokens(uint32_t model, const char *text, size_t len, void *out_ids,
                            size_t cap_bytes);

/* Token ids to bytes, special tokens kept; answers the bytes written. */
REALM_IMPORT(env, realm_decode_tokens)
int32_t realm_decode_tokens(uint32_t model, const uint32_t *ids, uint32_t n_ids, void *out,
                            size_t cap);

/* Input embeddings of the ids, scaled as the model does; answers the bytes written. Needs the
 * capability layers. */
REALM_IMPORT(env, realm_embed_tokens)
int32_t realm_embed_tokens(uint32_t model, const uint32_t *ids, uint32_t n_ids, void *out_floats);

/* One layer over hidden states from a position on; answers the bytes written. May wait. Needs
 * the capability layers. */
REALM_IMPORT(env, realm_forward_layer)
int32_t realm_forward_layer(uint32_t model, uint32_t layer, const float *hidden, uint32_t n_floats,
                            uint32_t position, void *out_floats);

/* Final norm and head of the last position; answers the bytes written. May wait. Needs the
 * capability layers. */
REALM_IMPORT(env, realm_compute_logits)
int32_t realm_compute_logits(uint32_t model, const float *hidden, uint32_t n_floats,
                             void *out_floats);

/* Sends text to whoever called the program; answers 0. May wait. */
REALM_IMPORT(env, realm_stream_token)
int32_t realm_stream_token(const char *text, size_t len);

/* Writes the tensor count (u32) and the total bytes (u64); answers 0. */
REALM_IMPORT(env, realm_get_model_info)
int32_t realm_get_model_info(uint32_t model, void *out_tensor_count, void *out_total_bytes);

/* Writes the model's configuration as JSON; answers the bytes written. */
REALM_IMPORT(env, realm_get_model_metadata)
int32_t realm_get_model_metadata(uint32_t model, void *out, size_t cap);

/* Releases this instance's handle on a model; answers 0. */
REALM_IMPORT(env, realm_remove_model)
int32_t realm_remove_model(uint32_t model);

/* Not offered: weights stay in the host. */
REALM_IMPORT(env, realm_get_tensor)
int32_t realm_get_tensor(uint32_t model, const char *name, size_t len, void *out, size_t cap);

/* Not offered: weights stay in the host. */
REALM_IMPORT(env, realm_store_model)
int32_t realm_store_model(const void *data, size_t len);

/* Not offered: weights stay in the host. */
REALM_IMPORT(env, memory64_load_layer)
int32_t memory64_load_layer(uint32_t model, uint32_t layer, void *out, size_t cap);

/* Not offered: weights stay in the host. */
REALM_IMPORT(env, memory64_read)
int32_t memory64_read(int64_t offset, void *out, size_t cap);

/* Writes a line to the run's log; answers 0. */
REALM_IMPORT(env, wasm_log)
int32_t wasm_log(const char *text, size_t len);
/* end generated */

/* ---- helpers --------------------------------------------------------------------------------- */

static inline size_t realm_length(const char *text)
{
    size_t n = 0;

    while (text[n] != 0)
        n++;
    return n;
}

/* Sends a NUL-terminated text to whoever called the program. */
static inline int32_t realm_say(const char *text)
{
    return realm_emit(text, realm_length(text));
}

/* Writes a NUL-terminated line to the run's log. */
static inline int32_t realm_note(const char *text)
{
    return realm_log(1, text, realm_length(text));
}

/* Fresh zeroed memory from the end of the program's memory, never given back: for programs without
 * a C library. -> NULL when the run's memory limit is reached */
static inline void *realm_pages(size_t bytes)
{
#ifdef __wasm__
    const size_t page = 65536;
    size_t before = __builtin_wasm_memory_grow(0, bytes / page + 1);

    return before == (size_t)-1 ? NULL : (void *)(before * page);
#else
    (void)bytes;
    return NULL;
#endif
}

/* Copies the whole request into out and puts a NUL behind it, which is not counted.
 * -> its length, or REALM_ESPACE when it does not fit */
static inline int32_t realm_read_input(char *out, size_t cap)
{
    int64_t need = realm_input_len();
    int32_t n;

    if (need < 0 || (uint64_t)need >= cap)
        return need < 0 ? (int32_t)need : REALM_ESPACE;
    n = realm_input_read(0, out, (size_t)need);
    if (n >= 0)
        out[n] = 0;
    return n;
}

/* Writes what went wrong to the log: "what: the host's sentence". -> status: a program whose run
 * (or main) returns the status of its last failed call fails with that very status and sentence, so
 * `return realm_failed("answer", status);` is all it takes. */
static inline int32_t realm_failed(const char *what, int32_t status)
{
    char line[320];
    size_t n = 0;
    int32_t more;

    while (what[n] != 0 && n < 64) {
        line[n] = what[n];
        n++;
    }
    line[n++] = ':';
    line[n++] = ' ';
    more = realm_error_text(status, line + n, sizeof line - n);
    realm_log(3, line, n + (more > 0 ? (size_t)more : 0));
    return status;
}

#ifdef __cplusplus
}
#endif
#endif
