/* Traps: why a guest ended that did not return, in a sentence for who wrote the program. Worker
 * only. */
#include "guest/trap.h"

#include "guest/program.h"

#include <stdio.h>
#include <string.h>

/* In words for people who wrote the program, not for us. */
static const char *code_text(wasmtime_trap_code_t code)
{
    switch (code) {
    case WASMTIME_TRAP_CODE_STACK_OVERFLOW:
        return "call stack exhausted";
    case WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS:
        return "memory access out of bounds";
    case WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS:
        return "table access out of bounds";
    case WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL:
        return "indirect call to nothing";
    case WASMTIME_TRAP_CODE_BAD_SIGNATURE:
        return "indirect call with a wrong type";
    case WASMTIME_TRAP_CODE_INTEGER_OVERFLOW:
        return "integer overflow";
    case WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO:
        return "integer division by zero";
    case WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER:
        return "float does not fit an integer";
    case WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED:
        return "unreachable executed (an abort or a panic)";
    default:
        return "fault";
    }
}

/* Writes " in function f (offset 0x..)" of the innermost frame, or nothing. */
static void where(const wasm_trap_t *trap, char *out, size_t cap)
{
    wasm_frame_vec_t frames;

    out[0] = 0;
    /* Offsets are in the module as given: debuggers and wasm-objdump find them. */
    wasm_trap_trace(trap, &frames);
    if (frames.size > 0) {
        const wasm_name_t *name = wasmtime_frame_func_name(frames.data[0]);

        (void)snprintf(out, cap, " in %.*s (function %u, offset 0x%zx)",
                       name ? (int)(name->size < 64 ? name->size : 64) : 1, name ? name->data : "?",
                       wasm_frame_func_index(frames.data[0]),
                       wasm_frame_module_offset(frames.data[0]));
    }
    wasm_frame_vec_delete(&frames);
}

bool rl_memory_end(rl_run *run)
{
    if (!run->limit.refused)
        return false;
    rl_run_limit(run, RL_LIMIT_MEMORY);
    rl_run_end(run, REALM_EQUOTA, "memory limit of %llu bytes reached: the program asked for %llu",
               (unsigned long long)run->limit.max_memory, (unsigned long long)run->limit.refused);
    return true;
}

/* After a refused growth any trap is that limit's: allocators answer with unreachable. */
static void end_by_trap(rl_run *run)
{
    wasmtime_trap_code_t code;
    char place[160];

    run->result.trapped = true;
    if (rl_memory_end(run))
        return;
    where(run->trap, place, sizeof place);
    if (wasmtime_trap_code(run->trap, &code)) {
        rl_run_end(run, REALM_EINVAL, "trap: %s%s", code_text(code), place);
    } else {
        wasm_message_t text;

        wasm_trap_message(run->trap, &text);
        rl_run_end(run, REALM_EINVAL, "trap: %.*s", (int)strnlen(text.data, text.size), text.data);
        wasm_byte_vec_delete(&text);
    }
}

/* An error instead of a trap comes from instantiation: a segment out of bounds, no slot. */
void rl_trap_end(rl_run *run)
{
    realm_error err;

    if (run->ended)
        return;
    if (run->trap) {
        end_by_trap(run);
        return;
    }
    (void)rl_wasm_fail(&err, REALM_EINVAL, "the program could not be started", run->error);
    run->error = NULL;
    if (!rl_memory_end(run))
        rl_run_end(run, err.status, "%s", err.text);
}
