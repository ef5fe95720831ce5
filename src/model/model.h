/* Model: packed weights and the forward pass of every architecture.
 *
 * Files: pack.c (GGUF -> packed file), weights.c (mapped packed file -> rl_model), traits.c (the
 * table of architectures), forward.c (one path over the traits), rope.c, and one file per family
 * for what differs (arch_llama.c arch_qwen.c arch_gemma.c: reading of hyperparameters).
 *
 * 1. A packed file holds its source's GGUF metadata verbatim, the tokenizer's tables that were
 *    attached to it, then every tensor: matrices as R16 panels, vectors as f32. It is named by the
 *    source's SHA-256 and RL_PACK_LAYOUT, mapped read only and shared by all processes. Never
 *    trusted blindly: sizes, the header and what loading reads are checked.
 * 2. rl_model is immutable after opening; any thread may read it.
 * 3. Forward results of a sequence are the same bits for every batch, chunking and thread count.
 * 4. forward is embed, a loop over layers, head: calling these one by one gives the same bits. */
#ifndef RL_MODEL_MODEL_H
#define RL_MODEL_MODEL_H

#include "base/fs.h"
#include "base/work.h"
#include "gguf/gguf.h"
#include "kernels/kernels.h"
#include "kv/kv.h"
#include "model/profile.h"

#define RL_PACK_LAYOUT 2u /* raise when the packed form of any type or of the tables changes */

/* ---- import ---------------------------------------------------------------------------------- */

/* Says why a GGUF file cannot be run, or OK: architecture, needed keys, tensors with their shapes
 * and types, tokenizer left out. -> OK | EUNSUPPORTED | EINVAL */
realm_status rl_model_check(const rl_gguf *g, realm_error *err) REALM_MUST_USE;

/* A packed file, synced, that nobody knows yet. All zero: none. */
typedef struct rl_packed {
    char *path;                 /* owned; a file that goes unless it is kept */
    char sha256[RL_SHA256_HEX]; /* of the source: of the very bytes that were packed */
} rl_packed;

/* Packs the checked file `g`, and what is attached to it (gguf.h), into a new file
 * `<beside>.XXXXXX`; the file is read once, through.
 * -> OK | EUNSUPPORTED | EINVAL | EDISK | EIO | ENOMEM | ECONFLICT (the file changed meanwhile) |
 * ECANCELLED (progress said stop); nothing is left on failure */
realm_status rl_model_pack(rl_packed *out, const rl_gguf *g, const char *beside,
                           rl_progress_fn progress, void *ctx, realm_error *err) REALM_MUST_USE;

/* Makes it appear as `path`, in the same folder, at once and durably. */
realm_status rl_packed_keep(rl_packed *p, const char *path, realm_error *err) REALM_MUST_USE;
void rl_packed_drop(rl_packed *p); /* removes the file unless it was kept; frees */

/* Reads a packed file through and compares its own digest. -> OK | EINVAL (damaged) | EIO ... */
realm_status rl_model_verify(const char *packed_path, rl_progress_fn progress, void *ctx,
                             realm_error *err) REALM_MUST_USE;

/* ---- model ----------------------------------------------------------------------------------- */

typedef struct rl_model rl_model;

typedef struct rl_model_info {
    char arch[32];
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_ctx;
    uint32_t n_tensors;
    uint32_t window; /* sliding window in tokens, 0: none */
    float rope_theta, rms_eps;
    uint64_t n_params;
    uint64_t weight_bytes;           /* of all tensors in the packed file */
    uint64_t weight_bytes_per_token; /* read for one decoded token: all matrices but a lookup-only
                                        embedding */
    char sha256[RL_SHA256_HEX];      /* of the source file */
} rl_model_info;

typedef struct rl_model_opts {
    bool reference; /* the F32 path: weights dequantised, activations not quantised */
    bool look;      /* only its metadata is wanted: the weights are not read ahead */
    bool whole;     /* all of the source's metadata is wanted, the tokenizer's arrays, too */
} rl_model_opts;

/* Maps a packed file. -> OK | ENOTFOUND | EINVAL | EUNSUPPORTED | EIO | ENOMEM */
realm_status rl_model_open(rl_model **out, const char *packed_path, const rl_model_opts *opts,
                           realm_error *err) REALM_MUST_USE;
void rl_model_close(rl_model *m); /* NULL is fine */

const rl_model_info *rl_model_get_info(const rl_model *m);
/* The metadata with the tables attached: for vocab and chat template. */
const rl_gguf *rl_model_gguf(const rl_model *m);
rl_kv_layout rl_model_kv_layout(const rl_model *m, rl_kv_type type);

/* ---- forward --------------------------------------------------------------------------------- */

/* n consecutive tokens of one sequence from position pos on. The KV of [0, pos) is computed (for
 * the layers that run) and [pos, pos + n) reserved. */
typedef struct rl_span {
    rl_kv_seq *kv; /* borrowed */
    uint32_t pos, n;
    const uint32_t *ids; /* [n], each < n_vocab; for rl_forward_run */
    uint32_t n_logits;   /* logits of the last n_logits tokens are wanted, 0..n */
    float *logits;       /* [n_logits][n_vocab]; for rl_forward_run */
    uint32_t n_hidden;   /* or states after the final norm of the last n_hidden tokens, 0..n */
    float *hidden;       /* [n_hidden][n_embd]; for rl_forward_run */
} rl_span;

typedef struct rl_forward
    rl_forward; /* scratch for one compute thread pool; one caller at a time */

/* max_rows: most tokens of all spans of one call together. */
realm_status rl_forward_new(rl_forward **out, rl_work *work, uint32_t max_rows,
                            realm_error *err) REALM_MUST_USE;
void rl_forward_free(rl_forward *f); /* NULL is fine */
/* From now on the regions of passes are marked in p (borrowed; NULL: no longer). */
void rl_forward_profile(rl_forward *f, rl_profile *p);

/* A whole pass over one model: fills the spans' KV and logits. Cannot fail for checked spans;
 * scratch for a model is made at its first use, which may be ENOMEM. */
realm_status rl_forward_run(rl_forward *f, const rl_model *m, const rl_span *spans,
                            uint32_t n_spans, realm_error *err) REALM_MUST_USE;

/* The parts. hidden: [rows of all spans][n_embd], span after span; layer in place. */
void rl_model_embed(const rl_model *m, const uint32_t *ids, uint32_t n, float *hidden);
realm_status rl_forward_layer(rl_forward *f, const rl_model *m, uint32_t layer,
                              const rl_span *spans, uint32_t n_spans, float *hidden,
                              realm_error *err) REALM_MUST_USE;
/* final norm and head of n rows: logits [n][n_vocab] */
realm_status rl_forward_head(rl_forward *f, const rl_model *m, const float *hidden, uint32_t n,
                             float *logits, realm_error *err) REALM_MUST_USE;

#endif
