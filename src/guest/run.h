/* Run: the record of one running program (the room's inner view of guest.h's rl_run).
 *
 * Fields are grouped by who may touch them. References: the one of rl_run_start's caller, the
 * worker's until the run is done, and one per op that is under way; the record goes with the last.
 * So an op that ends late finds a record that is done and its wake is dropped: wakes carry no
 * result. */
#ifndef RL_GUEST_RUN_H
#define RL_GUEST_RUN_H

#include "guest/call.h"
#include "guest/cancel.h"
#include "guest/guest.h"
#include "guest/handles.h"
#include "guest/reply.h"

#include <stdatomic.h>
#include <realm_rt.h>
#include <wasmtime.h>

#define RL_ENV_MODELS 16u /* model ids of module env per run, 0 included */

typedef enum rl_phase {
    RL_PHASE_MODEL,       /* waiting for the run's model */
    RL_PHASE_INSTANTIATE, /* start functions included */
    RL_PHASE_INITIALIZE,  /* _initialize */
    RL_PHASE_NAME_ALLOC,  /* classic: room for the model's name ... */
    RL_PHASE_NAME_PIN,
    RL_PHASE_NAME,  /* ... load_model_by_name */
    RL_PHASE_ALLOC, /* classic: room for the prompt */
    RL_PHASE_PIN,
    RL_PHASE_MAIN,  /* _start, run or generate */
    RL_PHASE_REPLY, /* classic: its reply is being sent */
    RL_PHASE_OVER,
} rl_phase;

/* A model as module env numbers them. */
typedef struct rl_env_model {
    rl_lm *lm;           /* owned; NULL: free row */
    rl_seq *layer_seq;   /* owned; implicit sequence of forward_layer, NULL before */
    uint32_t *layer_len; /* owned; [n_layers] length of each layer of it */
} rl_env_model;

struct rl_run {
    /* Fixed at the start. */
    rl_runtime *rt;           /* borrowed */
    rl_program *program;      /* reference */
    struct rl_worker *worker; /* borrowed: the owner */
    char *model;              /* owned; "" without one */
    uint8_t *input;           /* owned; [n_input] */
    size_t n_input;
    char **args;        /* owned; [n_args] */
    rl_header *headers; /* owned, names and values too; [n_headers] */
    uint32_t n_args, n_headers, caps, owner;
    size_t max_memory;
    uint64_t max_time_ms, max_cpu_ms, max_tokens, max_output;
    uint64_t start_ns, deadline_ns; /* rl_clock_ns */
    void (*notify)(void *ctx);
    void *notify_ctx;

    /* Any thread. */
    _Atomic uint32_t refs;
    atomic_bool cancelled;
    atomic_bool done; /* result is complete */
    bool released;    /* under reply.lock: the worker touches nothing any more */
    rl_reply reply;
    rl_cancel jobs;               /* at the engine */
    _Atomic uint32_t http_status; /* 0: none was set */

    /* Under the worker's lock. */
    rl_run *next_ready;
    bool queued;

    /* The worker only. */
    rl_phase phase;
    struct rl_op *opening; /* of RL_PHASE_MODEL; reference */
    RealmLimit limit;      /* of the store */
    wasmtime_store_t *store;
    wasmtime_context_t *context;
    wasmtime_instance_t instance;
    wasmtime_memory_t memory;
    bool has_memory;
    uint8_t *base;                  /* of the memory; NULL until a host call asked for it */
    wasmtime_call_future_t *future; /* NULL between two calls into the guest */
    wasm_trap_t *trap;
    wasmtime_error_t *error;
    wasmtime_func_t func;
    wasmtime_val_t vals[4], answer; /* of the call that runs */
    rl_call call;                   /* the host call that runs or is parked */
    wasmtime_val_t *slot;           /* where a parked call's answer goes */
    uint64_t wake_ns;               /* timer heap key */
    uint32_t heap_at;               /* index in the worker's timer heap */

    bool ended; /* rl_run_end was called: the guest must not go on */
    rl_run_result result;
    realm_error last; /* of the last failed call, for error_text */
    uint64_t n_output, used_tokens, promised_tokens;
    uint32_t n_jobs, n_seqs; /* generations under way, sequences open */
    struct {
        const uint8_t *p;
        size_t n, at;
        rl_reply_kind kind;
        void *owned;
        int64_t answer;
        bool last; /* the output limit is reached with it */
    } emit;        /* what a parked emit still has to send */

    rl_env_model env[RL_ENV_MODELS];
    rl_handles handles;
    struct {
        uint64_t name, prompt; /* classic: guest addresses */
    } classic;

    /* Preview 1 keeps its state here (abi_wasi.c); freed by wasi_free when the run ends. */
    uint64_t stdin_at;
    void *wasi;
    void (*wasi_free)(void *wasi);
};

void rl_run_ref(rl_run *run);
void rl_run_unref(rl_run *run); /* any thread */

/* Asks the worker to look at the run: a parked call's resume is called. Any thread; never blocks,
 * never fails, may come too often. The caller holds a reference or knows that the run lives. */
void rl_run_wake(rl_run *run);

/* Records how the run ends; the first call counts. Worker only. */
void rl_run_end(rl_run *run, realm_status st, const char *fmt, ...) REALM_PRINTF(3, 4);
/* Before rl_run_end: that a limit is the reason. */
void rl_run_limit(rl_run *run, rl_limit limit);
/* The program said how it ended: 0 is OK. The number of its last failed call is that failure, with
 * its sentence; anything else is EINVAL: "<says> <code>". Worker only. */
void rl_run_exit(rl_run *run, int32_t code, const char *says);

#endif
