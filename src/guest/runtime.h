/* The inside of a runtime: what the files of this room share (guest.h has the public part). */
#ifndef RL_GUEST_RUNTIME_H
#define RL_GUEST_RUNTIME_H

#include "guest/keep.h"
#include "guest/program.h"
#include "guest/worker.h"

#include "base/queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <wasmtime.h>

#define RL_N_HELPERS      2u
#define RL_HELPER_STACK   ((size_t)8 << 20)
#define RL_TABLE_MAX      20000u /* elements of a guest's table */
#define RL_MAX_WORKERS    64u
#define RL_MEMORY_DEFAULT ((size_t)64 << 20)

/* Raises wasmtime's epoch every millisecond while a guest computes, so that none keeps a worker. */
typedef struct rl_ticker {
    const wasm_engine_t *wasm; /* borrowed */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    atomic_bool asleep, stop;
    _Atomic uint32_t computing; /* workers inside a guest */
} rl_ticker;

struct rl_runtime {
    rl_runtime_opts opts; /* compiled_dir is compiled_dir below */
    char *compiled_dir;
    wasm_engine_t *wasm;
    rl_worker *workers; /* [n_workers] */
    uint32_t n_workers, max_guests;
    size_t max_memory;
    rl_ticker ticker;
    rl_keep keep;

    rl_queue *tasks; /* rl_op */
    pthread_t helpers[RL_N_HELPERS];
    uint32_t n_helpers;

    _Atomic uint32_t next_worker;
    _Atomic uint32_t live, parked;
    _Atomic uint32_t ops; /* rl_op that were not freed */
    _Atomic uint64_t runs_started, runs_done, traps, host_calls, jobs_from_guests;
    _Atomic uint64_t modules_compiled, modules_cached;
    _Atomic uint64_t cpu_ns, ended[RL_N_LIMITS];
};

realm_status rl_ticker_start(rl_ticker *t, const wasm_engine_t *wasm,
                             realm_error *err) REALM_MUST_USE;
void rl_ticker_stop(rl_ticker *t);
void rl_ticker_enter(rl_ticker *t); /* a worker begins to compute in a guest ... */
void rl_ticker_leave(rl_ticker *t); /* ... and has left it */

realm_status rl_helpers_start(rl_runtime *rt, realm_error *err) REALM_MUST_USE;
void rl_helpers_stop(rl_runtime *rt); /* after all ops are gone */

/* A wasmtime engine for that many live instances at once; 0: without a pool, for looking at modules
 * only. */
wasm_engine_t *rl_wasm_engine_new(uint32_t slots, size_t max_memory, realm_error *err);
/* Address space of one memory; machine code is made for it. */
uint64_t rl_wasm_reservation(size_t max_memory);
/* What else a compiled module depends on, for the name of its cache entry. */
#define RL_WASM_CONFIG "wasmtime-48.0.8 epoch cow pool memory64 simd 1"

#endif
