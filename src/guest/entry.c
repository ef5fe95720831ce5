/* Phases of a run on its worker: its model, its instance, _initialize, its entry, and for a classic
 * program what lies around generate (classic.c). Each call into the guest is one future. */
#include "guest/entry.h"

#include "guest/models.h"
#include "guest/runtime.h"
#include "guest/trap.h"

#include "base/assert.h"
#include "base/tsan.h"

#include <string.h>

/* ---- calls into the guest -------------------------------------------------------------------- */

void rl_entry_call(rl_run *run, const rl_export *e, uint32_t n, const uint64_t *vals)
{
    wasmtime_extern_t ext;
    uint32_t i;

    RL_ASSERT(n == e->n_args && !run->future);
    if (!wasmtime_instance_export_get(run->context, &run->instance, e->name, strlen(e->name),
                                      &ext) ||
        ext.kind != WASMTIME_EXTERN_FUNC) {
        rl_run_end(run, REALM_EBUG, "the export %s is gone", e->name);
        return;
    }
    for (i = 0; i < n; i++) {
        run->vals[i].kind = e->args[i];
        if (e->args[i] == WASMTIME_I64)
            run->vals[i].of.i64 = (int64_t)vals[i];
        else
            run->vals[i].of.i32 = (int32_t)(uint32_t)vals[i];
    }
    run->func = ext.of.func;
    /* func, vals and answer live in the run: the future refers to them until it is deleted. */
    run->future = wasmtime_func_call_async(run->context, &run->func, run->vals, n, &run->answer,
                                           e->result != RL_NO_RESULT, &run->trap, &run->error);
}

/* An i32 address is unsigned. */
uint64_t rl_entry_answer(const rl_run *run)
{
    if (run->answer.kind == WASMTIME_I64)
        return (uint64_t)run->answer.of.i64;
    return (uint32_t)run->answer.of.i32;
}

static void begin_instance(rl_run *run)
{
    run->store = wasmtime_store_new(run->rt->wasm, run, NULL);
    run->context = wasmtime_store_context(run->store);
    run->limit.max_memory = run->max_memory;
    run->limit.max_table = RL_TABLE_MAX;
    realm_store_limit(run->store, &run->limit);
    /* From the first tick on: a start function may loop as well as any other. */
    wasmtime_context_set_epoch_deadline(run->context, 1);
    /* Its header promises an error, its code returns nothing: what comes back is no answer. */
    (void)wasmtime_context_epoch_deadline_async_yield_and_update(run->context, 1);
    run->phase = RL_PHASE_INSTANTIATE;
    run->future = wasmtime_instance_pre_instantiate_async(run->program->pre, run->context,
                                                          &run->instance, &run->trap, &run->error);
}

/* ---- phases ---------------------------------------------------------------------------------- */

/* The instance is ready. */
static void begin_main(rl_run *run)
{
    if (run->program->shape.kind == RL_PROGRAM_CLASSIC) {
        rl_classic_begin(run);
        return;
    }
    run->phase = RL_PHASE_MAIN;
    rl_entry_call(run, &run->program->shape.entry, 0, NULL);
}

/* Start functions have run; a host call of theirs may have found the memory already. */
static void after_instance(rl_run *run)
{
    static const rl_export init = { .name = "_initialize", .result = RL_NO_RESULT };
    wasmtime_extern_t ext;

    if (!run->has_memory) {
        bool found = wasmtime_instance_export_get(run->context, &run->instance, "memory", 6, &ext);

        RL_ASSERT(found && ext.kind == WASMTIME_EXTERN_MEMORY); /* checked when it was loaded */
        run->memory = ext.of.memory;
        run->has_memory = true;
    }
    if (!run->program->shape.has_initialize) {
        begin_main(run);
        return;
    }
    run->phase = RL_PHASE_INITIALIZE;
    rl_entry_call(run, &init, 0, NULL);
}

/* The entry has returned: its number, or a classic program's reply. */
static void after_main(rl_run *run)
{
    int32_t code = 0;

    if (run->program->shape.kind == RL_PROGRAM_CLASSIC) {
        rl_classic_next(run);
        return;
    }
    if (run->program->shape.kind == RL_PROGRAM_RUN)
        code = run->answer.of.i32;
    rl_run_exit(run, code, "the program's run answered");
}

/* The call of this phase is over, without a trap. */
static void next_phase(rl_run *run)
{
    switch (run->phase) {
    case RL_PHASE_INSTANTIATE:
        after_instance(run);
        break;
    case RL_PHASE_INITIALIZE:
        begin_main(run);
        break;
    case RL_PHASE_MAIN:
        after_main(run);
        break;
    default:
        rl_classic_next(run);
    }
}

/* -> true: go on (or the run has ended); false: wait for a wake */
static bool wait_phase(rl_run *run)
{
    if (run->phase == RL_PHASE_REPLY) {
        if (!rl_emit_pump(run))
            return false;
        rl_run_end(run, REALM_OK, "%s", "");
        return true;
    }
    RL_ASSERT(run->phase == RL_PHASE_MODEL);
    if (!rl_models_begin(run))
        return false;
    if (!run->ended)
        begin_instance(run);
    return true;
}

/* A trap is the guest's fault, an error the host's or the module's. */
static void end_call(rl_run *run)
{
    rl_tsan_acquire(run->rt); /* its place in the pool, see call.c */
    wasmtime_call_future_delete(run->future);
    run->future = NULL;
    if (run->trap || run->error)
        rl_trap_end(run);
}

/* One call into the guest follows another until one of them has to wait. */
rl_step rl_entry_step(rl_run *run)
{
    while (!run->ended) {
        if (!run->future) {
            if (!wait_phase(run))
                return RL_STEP_WAIT;
        } else if (!wasmtime_call_future_poll(run->future)) {
            /* Not parked and not over: the epoch took the guest off, and it is its turn again after
             * the others. */
            return run->call.parked ? RL_STEP_WAIT : RL_STEP_AGAIN;
        } else {
            end_call(run);
            if (!run->ended)
                next_phase(run);
        }
    }
    return RL_STEP_OVER;
}

void rl_entry_deinit(rl_run *run)
{
    rl_tsan_release(run->rt);
    if (run->future)
        wasmtime_call_future_delete(run->future); /* unwinds the guest's fiber */
    run->future = NULL;
    if (run->trap)
        wasm_trap_delete(run->trap);
    if (run->error)
        wasmtime_error_delete(run->error);
    run->trap = NULL;
    run->error = NULL;
    if (run->has_memory) /* memory never shrinks: its size is its peak */
        run->result.peak_memory = wasmtime_memory_data_size(run->context, &run->memory);
    run->has_memory = false;
    if (run->store)
        /* Memory, table and stack go back to the pool here. */
        wasmtime_store_delete(run->store);
    run->store = NULL;
}
