/* Calls: from a guest's import to the function behind its row and back. See call.h for the rules.
 */
#include "guest/runtime.h"

#include "base/assert.h"
#include "base/tsan.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ELEMENT 4u /* bytes of an item of I F v g */

/* ---- for the rows ---------------------------------------------------------------------------- */

int64_t rl_call_fail(rl_call *c, realm_status st, const char *fmt, ...)
{
    realm_error *e = &c->run->last;
    va_list ap;

    e->status = st;
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return st;
}

/* `last` is what error_text gives, whichever room wrote it. */
int64_t rl_call_fail_err(rl_call *c, const realm_error *err)
{
    if (err != &c->run->last)
        c->run->last = *err;
    return err->status;
}

uint8_t *rl_call_at(const rl_call *c, uint64_t addr, uint64_t bytes)
{
    if (addr > c->mem_size || bytes > c->mem_size - addr)
        return NULL;
    return c->mem + addr;
}

/* Bytes of one item behind a letter. */
static uint64_t element_bytes(char letter)
{
    return letter == 'I' || letter == 'F' || letter == 'v' || letter == 'g' ? ELEMENT : 1;
}

int64_t rl_call_put(rl_call *c, uint32_t k, const void *data, uint64_t n)
{
    const rl_arg *a = &c->arg[k];

    if (n > a->n)
        return rl_call_fail(c, REALM_ESPACE, "the output holds %llu elements, %llu are needed",
                            (unsigned long long)a->n, (unsigned long long)n);
    if (n > 0)
        memcpy(c->mem + a->u, data, n * element_bytes(c->row->args[k]));
    return (int64_t)n;
}

int64_t rl_call_park(rl_call *c, int64_t (*resume)(rl_call *c), void (*abandon)(rl_call *c),
                     void *state, uint64_t timeout_ns)
{
    RL_ASSERT(c->row->mode == RL_MODE_PARK);
    c->resume = resume;
    c->abandon = abandon;
    c->state = state;
    c->wake_ns = timeout_ns;
    return RL_PARKED;
}

int64_t rl_call_end(rl_call *c, realm_status st, const char *fmt, ...)
{
    /* Formatted apart: rl_run_end drops the words of any but the first end. */
    char text[sizeof c->run->result.err.text];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rl_run_end(c->run, st, "%s", text);
    return RL_ENDED;
}

int64_t rl_call_exit(rl_call *c, int32_t code)
{
    rl_run_exit(c->run, code, "the program ended with exit code");
    return RL_ENDED;
}

/* ---- arguments ------------------------------------------------------------------------------- */

/* The memory export may be needed before the instance is known to us: in a start function. Its base
 * is asked for once: a pooled memory never moves. */
static bool find_memory(rl_run *run, wasmtime_caller_t *caller, wasmtime_context_t *context)
{
    wasmtime_extern_t ext;

    if (run->base)
        return true;
    if (!run->has_memory) {
        if (!wasmtime_caller_export_get(caller, "memory", 6, &ext))
            return false;
        RL_ASSERT(ext.kind == WASMTIME_EXTERN_MEMORY);
        run->memory = ext.of.memory;
        run->has_memory = true;
    }
    run->base = wasmtime_memory_data(context, &run->memory);
    return true;
}

/* Counts of elements are i32 in both widths, addresses and bytes have the memory's type. */
static int64_t read_pair(rl_call *c, char letter, rl_arg *a, const wasmtime_val_raw_t *v)
{
    bool bytes = letter == 'B' || letter == 'T' || letter == 'b';
    uint64_t size;

    a->u = c->wide ? (uint64_t)v[0].i64 : (uint32_t)v[0].i32;
    a->n = bytes && c->wide ? (uint64_t)v[1].i64 : (uint32_t)v[1].i32;
    /* Before the multiplication: with n bounded by a memory size no product below overflows. */
    if (a->n > c->mem_size)
        return rl_call_fail(c, REALM_EINVAL, "%s: a length of %llu is larger than the memory",
                            c->row->name, (unsigned long long)a->n);
    size = a->n * element_bytes(letter);
    if (!rl_call_at(c, a->u, size))
        return rl_call_fail(c, REALM_EINVAL, "%s: %llu bytes at %llu are not inside the memory",
                            c->row->name, (unsigned long long)size, (unsigned long long)a->u);
    /* Outputs: who writes checks the room, and there is nothing to read. */
    if (letter == 'b' || letter == 'v' || letter == 'g')
        return 0;
    a->in = c->mem + a->u;
    if (size > c->row->limit)
        return rl_call_fail(c, REALM_ETOOBIG, "%s: %llu bytes are over its limit of %llu",
                            c->row->name, (unsigned long long)size,
                            (unsigned long long)c->row->limit);
    if (letter == 'T' && !rl_utf8_valid((const char *)a->in, a->n))
        return rl_call_fail(c, REALM_EINVAL, "%s: the text is not UTF-8", c->row->name);
    return 0;
}

/* Reads the arguments of c->row. -> 0, or the failure the guest gets */
static int64_t read_args(rl_call *c, const wasmtime_val_raw_t *v)
{
    const char *letter = c->row->args;
    rl_arg *a = c->arg;

    for (; *letter; letter++, a++) {
        switch (*letter) {
        case 'h':
        case 'u':
            a->u = (uint32_t)v++->i32;
            break;
        case 'i':
            a->i = v->i32;
            a->u = (uint32_t)v++->i32;
            break;
        case 'l':
            a->i = v->i64;
            a->u = (uint64_t)v++->i64;
            break;
        case 'f':
            a->f = v++->f32;
            break;
        case 'p':
        case 'o':
            a->u = c->wide ? (uint64_t)v->i64 : (uint32_t)v->i32;
            v++;
            break;
        default: {
            int64_t st = read_pair(c, *letter, a, v);

            if (st != 0)
                return st;
            v += 2;
        }
        }
    }
    return 0;
}

/* Capability first, then arguments, then the function: a guest without the capability learns
 * nothing about its arguments. */
static int64_t call_row(rl_run *run, const rl_row *row, wasmtime_caller_t *caller,
                        wasmtime_context_t *context, const wasmtime_val_raw_t *v)
{
    rl_call *c = &run->call;
    int64_t st;

    run->result.host_calls++;
    c->row = row;
    if (row->caps & ~run->caps)
        return rl_call_fail(c, REALM_EDENIED, "%s.%s needs a capability this run was not given",
                            row->module, row->name);
    if (!find_memory(run, caller, context))
        return rl_call_fail(c, REALM_EINVAL, "%s: the program exports no memory", row->name);
    c->mem_size = wasmtime_memory_data_size(context, &run->memory);
    c->mem = run->base;
    st = read_args(c, v);
    return st != 0 ? st : row->fn(c);
}

/* ---- from wasmtime --------------------------------------------------------------------------- */

/* What follows runs on a fiber's stack and over a guest's memory. Both are places of the pool,
 * which go from worker to worker under a lock of wasmtime's; so each entry acquires and releases
 * for a sanitizer, which sees no such lock. */

/* Unwinds a guest whose run has ended inside a call; nobody reads the message. */
static wasm_trap_t *ended_trap(void)
{
    static const char why[] = "the run is over";

    return wasmtime_trap_new(why, sizeof why - 1);
}

/* NOW rows: wasmtime's unchecked form, arguments and result in one array. */
static wasm_trap_t *now_entry(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n)
{
    const rl_row *row = env;
    wasmtime_context_t *context = wasmtime_caller_context(caller);
    rl_run *run = wasmtime_context_get_data(context);
    int64_t r;

    (void)n;
    rl_tsan_acquire(run->rt);
    r = call_row(run, row, caller, context, v);
    if (row->result == 'l')
        v[0].i64 = r;
    else if (row->result == 'i')
        v[0].i32 = (int32_t)r;
    rl_tsan_release(run->rt);
    return r == RL_ENDED ? ended_trap() : NULL;
}

static void give_result(rl_call *c, int64_t r)
{
    wasmtime_val_t *slot = c->run->slot;

    if (c->row->result == 'l') {
        slot->kind = WASMTIME_I64;
        slot->of.i64 = r;
    } else if (c->row->result == 'i') {
        slot->kind = WASMTIME_I32;
        slot->of.i32 = (int32_t)r;
    }
}

/* wasmtime asks whether the guest may go on. The worker has resumed the call before it polls. */
static bool park_over(void *env)
{
    rl_run *run = env;

    if (run->call.parked)
        return false;
    give_result(&run->call, run->call.result);
    rl_tsan_release(run->rt);
    return true;
}

/* The arguments in the raw form of NOW rows, so that one decoder serves both. */
static int64_t call_checked(rl_run *run, const rl_row *row, wasmtime_caller_t *caller,
                            const wasmtime_val_t *args, size_t n_args)
{
    wasmtime_val_raw_t raw[2 * RL_ARGS_MAX] = { 0 };
    size_t i;

    for (i = 0; i < n_args && i < 2 * RL_ARGS_MAX; i++) {
        if (args[i].kind == WASMTIME_I64)
            raw[i].i64 = args[i].of.i64;
        else if (args[i].kind == WASMTIME_F32)
            raw[i].f32 = args[i].of.f32;
        else
            raw[i].i32 = args[i].of.i32;
    }
    return call_row(run, row, caller, wasmtime_caller_context(caller), raw);
}

/* PARK rows. The continuation must be set even with a trap; `results` stays where it is until the
 * future is deleted, `caller` only until this returns: what a parked call needs is in the run. */
static void park_entry(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *args,
                       size_t n_args, wasmtime_val_t *results, size_t n_results, wasm_trap_t **trap,
                       wasmtime_async_continuation_t *k)
{
    rl_run *run = wasmtime_context_get_data(wasmtime_caller_context(caller));
    int64_t r;

    (void)n_results;
    rl_tsan_acquire(run->rt);
    run->slot = results;
    r = call_checked(run, env, caller, args, n_args);
    run->call.parked = r == RL_PARKED;
    run->call.result = r;
    if (r == RL_ENDED)
        *trap = ended_trap();
    *k = (wasmtime_async_continuation_t){ .callback = park_over, .env = run };
    rl_tsan_release(run->rt);
}

wasmtime_error_t *rl_row_define(wasmtime_linker_t *linker, const rl_row *row, const char *name,
                                bool wide)
{
    wasm_functype_t *type = rl_row_type(row, wide);
    size_t module_len = strlen(row->module), name_len = strlen(name);
    wasmtime_error_t *e;

    if (row->mode == RL_MODE_PARK)
        e = wasmtime_linker_define_async_func(linker, row->module, module_len, name, name_len, type,
                                              park_entry, (void *)(uintptr_t)row, NULL);
    else
        e = wasmtime_linker_define_func_unchecked(linker, row->module, module_len, name, name_len,
                                                  type, now_entry, (void *)(uintptr_t)row, NULL);
    wasm_functype_delete(type);
    return e;
}
