/* librealm: models, engine and WebAssembly programs inside another program.
 *
 * 1. Handles are opaque. A handle is closed after everything opened through it; closing NULL is
 * fine.
 * 2. Every call that can fail answers a realm_status and, when `err` is not NULL, writes a sentence
 *    that says what went wrong and what to do next. Outputs are only valid with REALM_OK.
 * 3. Memory that a call hands out (char **, uint32_t **, realm_entry **) is given back with
 *    realm_free. Borrowed memory says so.
 * 4. All calls on one `realm` may be made from any thread, also at once, except where noted. Long
 *    calls (import, verify, opening a model, logits, perplexity, bench) block their caller.
 * 5. Zero in an options struct is the default; every field says which. Sizes are bytes, token ids
 *    are uint32_t, logits are floats, times are nanoseconds unless the name says otherwise. */
#ifndef REALM_REALM_H
#define REALM_REALM_H

#include "realm/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

REALM_API const char *realm_version(void); /* "0.1.0" */
REALM_API void realm_free(void *p);        /* what a call handed out; NULL is fine */

/* ---- the library handle ---------------------------------------------------------------------- */

typedef struct realm realm;
typedef struct realm_model realm_model; /* a loaded model; open many at will, weights are shared */
typedef struct realm_program realm_program; /* a checked and compiled WebAssembly module */
typedef struct realm_run realm_run;         /* one run of a program */

/* bf16 has room for any value; f16 rounds less, but keeps what lies beyond +-65504 as +-65504; f32
 * takes twice the memory. */
typedef enum realm_kv { REALM_KV_BF16 = 0, REALM_KV_F16 = 1, REALM_KV_F32 = 2 } realm_kv;

/* Told now and then how far long work is: `what` is a few words ("packing"), total 0 when unknown.
 * Called on the thread of the call it belongs to. -> true to stop: the call ends ECANCELLED. */
typedef bool (*realm_progress)(void *ctx, const char *what, uint64_t done, uint64_t total);

typedef struct realm_options {
    const char *home;     /* NULL: $REALM_HOME, $XDG_DATA_HOME/realm, ~/.local/share/realm */
    uint32_t n_threads;   /* compute threads; 0: one per CPU */
    realm_kv kv;          /* how keys and values are kept, for all models of this handle */
    uint64_t kv_bytes;    /* budget for keys and values; 0: 1 GiB */
    uint32_t n_ctx;       /* context limit in tokens; 0: the model's, at most 32,768 */
    bool no_prefix_cache; /* compute every prompt anew, also what others began with: to measure */
    bool no_speculation;  /* one row a step for each reply: to measure; replies are the same */
    bool reference; /* the slow F32 path for all: exact weights, activations, keys and values */
    uint32_t max_guests;     /* runs alive at a time; 0: by vm.max_map_count, at most 4,096 */
    uint64_t max_memory;     /* largest linear memory a run may be given; 0: 64 MiB */
    realm_progress progress; /* NULL: nobody watches */
    void *ctx;               /* of progress */
} realm_options;

/* Cheap: the registry is opened by the first call that needs it, the engine and the WebAssembly
 * runtime likewise. opts NULL: all defaults; copied. -> OK | EINVAL (REALM_CPU names a level that
 * this machine lacks) | ENOMEM */
REALM_API realm_status realm_open(realm **out, const realm_options *opts,
                                  realm_error *err) REALM_MUST_USE;
REALM_API void realm_close(realm *r);

/* ---- the registry of models ------------------------------------------------------------------ */

typedef struct realm_entry {
    char name[129];
    char sha256[65];       /* of the file it was imported from */
    char arch[32];         /* "qwen2" */
    char source[1024];     /* where it came from, for people */
    uint64_t source_bytes; /* of that file */
    uint64_t packed_bytes; /* on disk, in Realm's own form */
    uint64_t n_params;
    int64_t created_s; /* seconds since 1970 */
    bool usable;       /* its packed file is there and of the right size */
} realm_entry;

typedef struct realm_import_options {
    const char *name; /* NULL: made from the file's name; "": none, the file is only packed */
    bool replace;     /* the name may stand for another model: it is moved */
} realm_import_options;

/* Checks a GGUF file, packs it into the registry and names it. A file that is packed already is
 * only named. The file is not needed afterwards. out may be NULL.
 * -> OK | EUNSUPPORTED, EINVAL (why it cannot be run) | ECONFLICT (the name stands for another
 * model, or the file changed meanwhile) | EDISK | ENOTFOUND | ECANCELLED | EIO | ENOMEM */
REALM_API realm_status realm_import(realm *r, const char *path, const realm_import_options *opts,
                                    realm_entry *out, realm_error *err) REALM_MUST_USE;

/* All names in order. *list: realm_free. */
REALM_API realm_status realm_list(realm *r, realm_entry **list, size_t *n,
                                  realm_error *err) REALM_MUST_USE;

/* -> OK | ENOTFOUND (err lists what there is and how to import) | EINVAL (no name can look like it)
 */
REALM_API realm_status realm_find(realm *r, const char *name, realm_entry *out,
                                  realm_error *err) REALM_MUST_USE;

/* Forgets a name; the packed file goes with its last name. *freed (NULL is fine): bytes freed.
 * Those who have the model open keep it. */
REALM_API realm_status realm_remove(realm *r, const char *name, uint64_t *freed,
                                    realm_error *err) REALM_MUST_USE;

/* Reads the packed file of a name, or the module of an installed program, through and compares its
 * digest. -> OK | EINVAL (damaged) | ... */
REALM_API realm_status realm_verify(realm *r, const char *name, realm_error *err) REALM_MUST_USE;

/* Deletes files that no name stands for (packed ones from runs on a path and from broken imports,
 * modules of programs that are gone).
 * with dry: only counts. *n_files, *bytes: what was or would be deleted. */
REALM_API realm_status realm_prune(realm *r, bool dry, uint32_t *n_files, uint64_t *bytes,
                                   realm_error *err) REALM_MUST_USE;

/* Describes a GGUF file (metadata, tensors, types, tokenizer; also when Realm cannot run it, and
 * then why), a WebAssembly module (imports, exports, capabilities), or the model or installed
 * program of a name. *json: an object with "kind" "gguf" or "wasm"; realm_free. -> OK | EINVAL
 * (neither, or damaged) | ... */
REALM_API realm_status realm_inspect(realm *r, const char *path_or_name, char **json,
                                     realm_error *err) REALM_MUST_USE;

/* ---- models ---------------------------------------------------------------------------------- */

typedef struct realm_model_info {
    char name[129]; /* of the registry; "" when it was opened by a path */
    char sha256[65];
    char arch[32];
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab;
    uint32_t n_ctx;  /* context limit in tokens, as opened */
    uint32_t window; /* sliding window in tokens; 0: none */
    uint64_t n_params;
    uint64_t weight_bytes;           /* of all tensors */
    uint64_t weight_bytes_per_token; /* read for one token of one sequence */
    uint32_t bos, eos;               /* UINT32_MAX: none */
    bool has_chat;                   /* it carries a chat template */
} realm_model_info;

/* Opens the model of a name or of the GGUF file at a path (which is packed first, under no name).
 * reference: as if the handle were opened with it, for this model only. Weights are shared between
 * all who open the same model in the same way.
 * -> OK | ENOTFOUND | EINVAL | EUNSUPPORTED | EDISK | EIO | ENOMEM | ECANCELLED */
REALM_API realm_status realm_model_open(realm_model **out, realm *r, const char *name_or_path,
                                        bool reference, realm_error *err) REALM_MUST_USE;
REALM_API void realm_model_close(realm_model *m);
REALM_API const realm_model_info *realm_model_get_info(const realm_model *m); /* borrowed */

/* ---- text and tokens ------------------------------------------------------------------------- */

typedef struct realm_tokenizer realm_tokenizer;

enum {
    REALM_TOKENS_ADD_SPECIAL = 1,   /* BOS (and EOS) as the model says */
    REALM_TOKENS_PARSE_SPECIAL = 2, /* the text of control tokens becomes these tokens */
};

/* The tokenizer of a name or of a GGUF file alone; the model need not be one that Realm can run. */
REALM_API realm_status realm_tokenizer_open(realm_tokenizer **out, realm *r,
                                            const char *name_or_path,
                                            realm_error *err) REALM_MUST_USE;
REALM_API void realm_tokenizer_close(realm_tokenizer *t);
REALM_API const realm_tokenizer *realm_model_tokenizer(const realm_model *m); /* borrowed */

/* text [n bytes] -> *ids [*n_ids], realm_free. flags: REALM_TOKENS_. */
REALM_API realm_status realm_tokenize(const realm_tokenizer *t, const char *text, size_t n,
                                      uint32_t flags, uint32_t **ids, size_t *n_ids,
                                      realm_error *err) REALM_MUST_USE;

/* ids [n_ids] -> *text [*n bytes and a NUL], realm_free. Special tokens are kept. */
REALM_API realm_status realm_detokenize(const realm_tokenizer *t, const uint32_t *ids, size_t n_ids,
                                        char **text, size_t *n, realm_error *err) REALM_MUST_USE;

/* The bytes of one token, [*n], borrowed; not NUL-terminated. *n 0: no such id. */
REALM_API const char *realm_token_bytes(const realm_tokenizer *t, uint32_t id, size_t *n);

/* ---- measuring: these use the engine directly ------------------------------------------------ */

/* Raw logits after the last of ids [n_ids > 0]. logits [n_vocab], the caller's. */
REALM_API realm_status realm_logits(realm_model *m, const uint32_t *ids, size_t n_ids,
                                    float *logits, realm_error *err) REALM_MUST_USE;

typedef struct realm_logit {
    uint32_t id;
    float logit;
} realm_logit;

/* The k largest of logits [n_vocab], best first, ties to the lower id, into top [k], k <= n_vocab.
 * -> the log of the sum of the exponentials of all */
REALM_API double realm_top_logits(const float *logits, uint32_t n_vocab, realm_logit *top,
                                  uint32_t k);

typedef struct realm_perplexity_options {
    const uint32_t *ids; /* [n_ids] the text */
    size_t n_ids;
    uint32_t n_ctx;         /* tokens per chunk; 0: 512. At least 8 */
    uint32_t n_chunks;      /* at most this many; 0: all */
    realm_model *reference; /* also compare with this model, position by position; NULL: do not */
} realm_perplexity_options;

/* Over the second half of each chunk; a model that begins texts with BOS gets it in place of the
 * first token of each chunk. */
typedef struct realm_perplexity_result {
    double ppl, ppl_stderr; /* e^(mean negative log-likelihood) and its standard error */
    uint64_t n_tokens;      /* positions scored */
    uint32_t n_chunks;
    double reference_ppl;      /* these only with a reference: */
    double kl_mean, kl_stderr; /* of KL(reference || model), nats per position */
    double kl_max;
    double top1_agreement; /* share of positions with the same best token, 0..1 */
} realm_perplexity_result;

/* -> OK | EINVAL (too short a text, another vocabulary) | ECANCELLED | ENOMEM | ... */
REALM_API realm_status realm_perplexity(realm_model *m, const realm_perplexity_options *opts,
                                        realm_perplexity_result *out,
                                        realm_error *err) REALM_MUST_USE;

/* One timing. n_prompt > 0: the time to take in that many tokens. Else batch sequences generate
 * n_gen tokens each, batch 0: one. Before the time begins each sequence has taken in `depth` tokens
 * of its own; with batch >= 1, 0 stands for 128. A handle with no_speculation times steps alone:
 * what is generated here soon repeats itself. */
typedef struct realm_bench_options {
    uint32_t n_prompt, n_gen, batch, depth;
    float temperature, top_p; /* of the draws; temperature 0: greedy; top_p 0: 1 */
    uint32_t reps;            /* timed repetitions after one that warms up; 0: 3 */
    double *samples;          /* [reps] tokens per second of each, the caller's; NULL is fine */
    bool profile;             /* `regions` of the result are wanted */
} realm_bench_options;

/* Where the wall time of the timed steps went: embeddings; norms and quantisation where they are a
 * region of their own; a layer's five regions; the output matrix; everything behind it, up to ids
 * that were delivered; the rest of a step. */
#define REALM_BENCH_REGIONS 10

typedef struct realm_bench_result {
    double tokens_per_second; /* median of the repetitions */
    double least, most;
    double regions[REALM_BENCH_REGIONS]; /* seconds, of all timed repetitions together */
} realm_bench_result;

/* "attention"; region < REALM_BENCH_REGIONS */
REALM_API const char *realm_bench_region(uint32_t region);

REALM_API realm_status realm_bench(realm_model *m, const realm_bench_options *opts,
                                   realm_bench_result *out, realm_error *err) REALM_MUST_USE;

/* The CPU and its kernels as JSON {"cpu", "threads", "level", "served": {"Q4_K": {"avx512":
 * calls}}}: calls counted since the process began. *json: realm_free. */
REALM_API realm_status realm_kernels(realm *r, char **json, realm_error *err) REALM_MUST_USE;

/* ---- programs -------------------------------------------------------------------------------- */

/* wasm [n]: the bytes of a module, needed only during the call. */
REALM_API realm_status realm_program_load(realm_program **out, realm *r, const void *wasm, size_t n,
                                          realm_error *err) REALM_MUST_USE;
/* The program behind chat completions that is part of the library. It takes a Request: JSON
 * {"messages": [{"role", "content"}], "params": {"temperature", "max_tokens", ...}} or "prompt". */
REALM_API realm_status realm_program_chat(realm_program **out, realm *r,
                                          realm_error *err) REALM_MUST_USE;
REALM_API void realm_program_close(realm_program *p); /* its runs may still be going */

/* A program of the registry, under a name that no model has: the two share one space of names. */
typedef struct realm_installed {
    char name[129];
    char sha256[65]; /* of the module */
    uint64_t bytes;
    int64_t created_s; /* seconds since 1970 */
    bool usable;       /* its file is there and of the right size */
} realm_installed;

#define REALM_PROGRAM_MAX ((size_t)16 << 20) /* bytes of a module */

/* Checks that the module at a path can be loaded, keeps a copy of it and names it; the file is not
 * needed afterwards. opts: its name must be given. Installing the same again is fine. out may be
 * NULL. -> OK | EINVAL (why it cannot be run, or the name) | ETOOBIG | ECONFLICT (the name is a
 * model's, or another program's and not replaced) | EDISK | ENOTFOUND | EIO | ENOMEM */
REALM_API realm_status realm_program_add(realm *r, const char *path,
                                         const realm_import_options *opts, realm_installed *out,
                                         realm_error *err) REALM_MUST_USE;

/* All installed programs by name. *list: realm_free. */
REALM_API realm_status realm_program_list(realm *r, realm_installed **list, size_t *n,
                                          realm_error *err) REALM_MUST_USE;

/* out may be NULL. -> OK | ENOTFOUND (err lists what there is) | EINVAL (no name looks like it) */
REALM_API realm_status realm_program_find(realm *r, const char *name, realm_installed *out,
                                          realm_error *err) REALM_MUST_USE;

/* The file of its module: *path, realm_free. -> OK | ENOTFOUND | EINVAL | EIO (it is missing) */
REALM_API realm_status realm_program_path(realm *r, const char *name, char **path,
                                          realm_error *err) REALM_MUST_USE;

/* Forgets a program; its file goes with its last name. Runs of it go on. */
REALM_API realm_status realm_program_remove(realm *r, const char *name,
                                            realm_error *err) REALM_MUST_USE;

typedef struct realm_run_options {
    realm_program *program; /* borrowed */
    const char *model;      /* name, or path of a GGUF file; NULL: none */
    /* Or an open model (not a `reference` one), whatever has become of its name and file; borrowed
     * during the call; `model` is ignored then. */
    const realm_model *opened;
    const void *input; /* [n_input] what the program reads (stdin, the prompt); copied */
    size_t n_input;
    const char *const *args; /* [n_args] its argv, the name first; copied */
    uint32_t n_args;
    bool no_layers;       /* refuse it the calls that drive single layers */
    uint64_t max_memory;  /* 0: 64 MiB */
    uint64_t max_time_ms; /* 0: 300,000 of wall time */
    uint64_t max_cpu_ms;  /* 0: 30,000 of its own CPU time */
    uint64_t max_tokens;  /* 0: 4,096 generated */
    uint64_t max_output;  /* 0: 1 MiB of reply */
} realm_run_options;

typedef struct realm_run_result {
    realm_status status; /* OK, or why the run failed */
    char text[240];      /* the sentence of a failure */
    bool trapped;
    int32_t exit_code;
    uint64_t cpu_ns, wall_ns; /* the guest's CPU time, host calls included; wall time of the run */
    uint64_t load_ns;         /* wall time of opening models */
    uint64_t prompt_tokens, generated_tokens;
    uint64_t prefill_ns, decode_ns; /* wall time of its generations, summed */
    uint64_t host_calls;
    uint64_t peak_memory;
} realm_run_result;

/* Starts a run; a path as model is packed first. -> OK | ENOTFOUND (no such model) | EBUSY | ... */
REALM_API realm_status realm_run_start(realm_run **out, realm *r, const realm_run_options *opts,
                                       realm_error *err) REALM_MUST_USE;

typedef enum realm_piece { REALM_PIECE_TEXT, REALM_PIECE_EVENT, REALM_PIECE_LOG } realm_piece;

/* The next piece of the reply, in order: bytes of text, one JSON event, or a line of the log, into
 * out [cap >= 65536]. Waits up to wait_ms (< 0: without end). *n 0: nothing yet, or the end. One
 * reader. */
REALM_API realm_status realm_run_read(realm_run *run, realm_piece *kind, char *out, size_t cap,
                                      size_t *n, int64_t wait_ms) REALM_MUST_USE;

/* True once the run is over and all of the reply was read; then result is complete. */
REALM_API bool realm_run_done(const realm_run *run, realm_run_result *result);
REALM_API void realm_run_cancel(realm_run *run); /* any thread; the run ends ECANCELLED */
REALM_API void realm_run_close(realm_run *run);  /* cancels and waits if need be */

/* ---- the machine ----------------------------------------------------------------------------- */

typedef enum realm_health { REALM_GOOD, REALM_NOTE, REALM_BAD } realm_health;

typedef struct realm_check {
    realm_health health;
    char name[32];    /* "memory" */
    char value[256];  /* "23.4 GiB, 22.1 GiB free" */
    char advice[256]; /* what to do when it is not GOOD, else "" */
} realm_check;

/* Looks at the machine and at the registry. *checks [*n]: realm_free. */
REALM_API realm_status realm_doctor(realm *r, realm_check **checks, size_t *n,
                                    realm_error *err) REALM_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
