/* Guest: WebAssembly programs that call the host (DESIGN section 3, the ABI in abi.def).
 *
 * 1. A run is one instance of a program: its own store, memory, handles, meter and deadline. It is
 *    RUNNING on a worker, PARKED on a job, or DONE. Thousands may be parked on one worker.
 * 2. Guest memory is touched by the worker that owns the run only. A job owns a copy of its input
 *    and its output buffer; the continuation copies out on the worker.
 * 3. A guest's fault (trap, limit, bad export) ends that run with a status and a sentence; it never
 *    disturbs another. Each limit has its own sentence.
 * 4. Files, compiling, encoding of long texts, templates and model loads run on helper threads.
 * 5. Every inference of a run starts inside a host call of that run. */
#ifndef RL_GUEST_GUEST_H
#define RL_GUEST_GUEST_H

#include "engine/engine.h"

typedef struct rl_runtime rl_runtime;
typedef struct rl_program rl_program;
typedef struct rl_run rl_run;

typedef struct rl_runtime_opts {
    rl_engine *engine;        /* borrowed; outlives the runtime */
    const char *compiled_dir; /* cache of machine code (made 0700, owner checked); NULL: none */
    uint32_t n_workers;       /* 0: online CPUs */
    uint32_t max_guests;      /* live instances; 0: from vm.max_map_count */
    size_t max_memory;        /* largest linear memory a run may ask for; 0: 64 MiB */
    rl_lm_opts lm;            /* how models are opened */
    uint32_t keep_models;     /* so many of those opened last stay open; at most 16 */
    /* Name -> path of a packed model file; called on a helper. ENOTFOUND for unknown names. */
    realm_status (*resolve)(void *ctx, const char *name, char *path, size_t cap, realm_error *err);
    /* What runs may open: adds a JSON list of {name, architecture, parameters, sha256}; called on a
     * helper. NULL: none is told. */
    realm_status (*list)(void *ctx, rl_buf *json, realm_error *err);
    void *ctx;
} rl_runtime_opts;

realm_status rl_runtime_new(rl_runtime **out, const rl_runtime_opts *opts,
                            realm_error *err) REALM_MUST_USE;
void rl_runtime_free(rl_runtime *rt); /* no run may be left; NULL is fine */

/* Checks and compiles a module (or maps its compiled form from the cache). Blocking: never on a
 * worker. -> OK | EINVAL (not WebAssembly, unknown import (named), missing export, too big) | ...
 */
realm_status rl_program_load(rl_program **out, rl_runtime *rt, const void *wasm, size_t n,
                             realm_error *err) REALM_MUST_USE;
rl_program *rl_program_ref(rl_program *p);
void rl_program_unref(rl_program *p); /* runs hold their own reference; NULL is fine */

/* What a module imports and exports, as JSON {imports: [{module, name, type, capability, known}],
 * exports, memory {min_pages, max_pages, memory64}, kind: "command"|"run"|"classic"|"none",
 * capabilities}. Needs no runtime limits; for `inspect`. */
realm_status rl_program_inspect(rl_runtime *rt, const void *wasm, size_t n, rl_buf *json,
                                realm_error *err) REALM_MUST_USE;

enum { RL_CAP_INFER = 1, RL_CAP_LAYERS = 2 };

/* A header of the request that asked for the run. */
typedef struct rl_header {
    const char *name, *value;
} rl_header;

typedef struct rl_run_opts {
    rl_program *program; /* borrowed; the run takes a reference */
    const char *model;   /* registry name of model 0; NULL: the run has none */
    const void *input;   /* the request: stdin, input_read, the classic prompt; copied */
    size_t n_input;
    const char *const *args; /* [n_args] argv of preview 1; copied */
    uint32_t n_args;
    const rl_header *headers; /* [n_headers] for header_get; copied. Credentials are never told. */
    uint32_t n_headers;
    uint32_t caps;        /* RL_CAP_ bits */
    uint32_t owner;       /* for the engine */
    size_t max_memory;    /* bytes of linear memory; 0: 64 MiB */
    uint64_t max_time_ms; /* wall; 0: 300,000 */
    uint64_t max_cpu_ms;  /* guest CPU; 0: 30,000 */
    uint64_t max_tokens;  /* generated in the whole run; 0: 4,096 */
    uint64_t max_output;  /* reply bytes; 0: 1 MiB */
    /* Told (worker thread, must not block) that rl_run_read would give something, or that the run
     * is done. May be NULL. */
    void (*notify)(void *ctx);
    void *ctx;
} rl_run_opts;

/* The limit of its own that ended a run. */
typedef enum rl_limit {
    RL_LIMIT_NONE,
    RL_LIMIT_TIME,
    RL_LIMIT_CPU,
    RL_LIMIT_MEMORY,
    RL_LIMIT_TOKENS,
    RL_LIMIT_OUTPUT,
    RL_N_LIMITS,
} rl_limit;

/* What a run did; complete once it is done. */
typedef struct rl_run_result {
    realm_status status; /* OK, or why it failed */
    realm_error err;     /* sentence of a failure: names the limit, trap or export */
    rl_limit limit;
    bool trapped;
    int32_t exit_code;    /* of proc_exit or run(); 0 for success */
    uint32_t http_status; /* that the program set; 0: none */
    uint64_t cpu_ns;      /* guest CPU, host calls on its fiber included */
    uint64_t wall_ns;
    uint64_t load_ns; /* waiting for model loads */
    uint64_t prompt_tokens, generated_tokens;
    uint64_t cached_tokens;         /* of the prompts': known from another sequence of the owner */
    uint64_t prefill_ns, decode_ns; /* of its generations, summed */
    uint64_t host_calls;
    size_t peak_memory; /* linear memory, bytes */
} rl_run_result;

/* -> OK | EBUSY (max_guests reached) | EINVAL | ENOMEM. Any thread. */
realm_status rl_run_start(rl_run **out, rl_runtime *rt, const rl_run_opts *opts,
                          realm_error *err) REALM_MUST_USE;

/* One piece of the reply in order. kind: bytes of text, lines of the run's log, or one JSON event:
 * {"event": "delta", "choice", "text"} (text of another choice than 0, or with logprobs: then it
 * has "tokens" [{"id", "text", "bytes", "logprob", "top": [the same]}]), {"event": "finish",
 * "choice", "reason": "stop" | "length"} (the end of a spliced stream), or what the program sent
 * itself. An event larger than cap is ESPACE and stays. Waits up to wait_ms (< 0: for ever). -> OK
 * with *n > 0; OK with *n == 0: nothing within wait_ms, or the end (rl_run_done). The reply queue
 * holds 64 KiB: emitting guests park above it until it is read. One reader. */
typedef enum rl_reply_kind { RL_REPLY_TEXT, RL_REPLY_EVENT, RL_REPLY_LOG } rl_reply_kind;
realm_status rl_run_read(rl_run *run, rl_reply_kind *kind, char *out, size_t cap, size_t *n,
                         int64_t wait_ms) REALM_MUST_USE;

/* The HTTP status the program has set, 0: none. It changes no more once a piece of text or an event
 * was read. Any thread. */
uint32_t rl_run_http_status(const rl_run *run);

/* True when it is over and everything was read; then the result is complete. */
bool rl_run_done(const rl_run *run, rl_run_result *result);
void rl_run_cancel(rl_run *run); /* any thread; ends with ECANCELLED unless it was done */
/* Cancels if need be, waits until the runtime let go, frees. NULL is fine. */
void rl_run_close(rl_run *run);

/* Counters since start. */
typedef struct rl_runtime_stats {
    uint64_t runs_started, runs_done, traps;
    uint64_t host_calls;
    uint64_t jobs_from_guests;   /* engine jobs posted inside guest calls */
    uint64_t modules_compiled;   /* that were not in the cache ... */
    uint64_t modules_cached;     /* ... and that were */
    uint64_t cpu_ns;             /* of guests, those that run included */
    uint64_t ended[RL_N_LIMITS]; /* runs by the limit that ended them; [NONE] the others */
    uint32_t live, parked;
} rl_runtime_stats;
void rl_runtime_get_stats(const rl_runtime *rt, rl_runtime_stats *out);
rl_engine *rl_runtime_engine(const rl_runtime *rt); /* borrowed; NULL: it has none */

#endif
