/* The classic program: places the model's name and the prompt in the guest's memory, calls
 * load_model_by_name and generate, and reads the reply. The guest's own allocator makes the room;
 * it runs under the same limits as everything else the guest does. */
#include "guest/entry.h"
#include "guest/trap.h"

#include "base/alloc.h"

#include <string.h>

#define PAGE_BYTES ((uint64_t)65536)
#define MAX_REPLY  ((uint64_t)1 << 20)

/* Asked for each time: an allocator that grew the memory has changed the size. */
static uint8_t *memory(rl_run *run, uint64_t *size)
{
    *size = wasmtime_memory_data_size(run->context, &run->memory);
    return wasmtime_memory_data(run->context, &run->memory);
}

/* Copies n bytes to addr, the answer of guest code and as hostile as any other number. -> false:
 * the run has ended */
static bool place(rl_run *run, uint64_t addr, const void *bytes, size_t n)
{
    uint64_t size;
    uint8_t *mem = memory(run, &size);

    if (addr == 0 || addr > size || n > size - addr) {
        if (!rl_memory_end(run))
            rl_run_end(run, REALM_EINVAL,
                       "the program's allocator answered %llu for %zu bytes: not inside its memory",
                       (unsigned long long)addr, n);
        return false;
    }
    if (n > 0)
        memcpy(mem + addr, bytes, n);
    return true;
}

/* Room at the end of memory, in pages no allocator of the guest has seen. -> 0: the run has ended
 */
static uint64_t grow_room(rl_run *run, size_t n)
{
    uint64_t pages = ((uint64_t)n + PAGE_BYTES - 1) / PAGE_BYTES, old;
    wasmtime_error_t *e;

    e = wasmtime_memory_grow(run->context, &run->memory, pages ? pages : 1, &old);
    if (!e)
        return old * PAGE_BYTES;
    wasmtime_error_delete(e);
    rl_run_limit(run, RL_LIMIT_MEMORY);
    if (!rl_memory_end(run))
        rl_run_end(run, REALM_EQUOTA, "memory limit: no room for %zu bytes of input", n);
    return 0;
}

/* Begins the call of the guest's allocator for n bytes. */
static void call_allocator(rl_run *run, size_t n)
{
    const rl_shape *s = &run->program->shape;
    /* An allocator may answer 0 for 0 bytes, which would look like no memory. */
    uint64_t size = n ? n : 1;
    uint64_t cabi[4] = { 0, 0, 8, size }, two[2] = { size, 1 };

    rl_entry_call(run, &s->alloc, s->alloc.n_args, s->alloc.n_args == 4 ? cabi : two);
}

/* The prompt is in place: the entry itself. Model and options are given as 0, the defaults. */
static void call_generate(rl_run *run)
{
    const rl_export *entry = &run->program->shape.entry;
    uint64_t args[4] = { run->classic.prompt, run->n_input, 0, 0 };

    if (!place(run, run->classic.prompt, run->input, run->n_input))
        return;
    run->phase = RL_PHASE_MAIN;
    rl_entry_call(run, entry, entry->n_args, args);
}

static void call_load_name(rl_run *run)
{
    size_t n = strlen(run->model);
    uint64_t args[2] = { run->classic.name, n };

    if (!place(run, run->classic.name, run->model, n))
        return;
    run->phase = RL_PHASE_NAME;
    rl_entry_call(run, &run->program->shape.load_name, 2, args);
}

/* Room for the prompt: asked of the guest, or taken at the end of memory. */
static void begin_prompt(rl_run *run)
{
    if (run->program->shape.allocator != RL_ALLOC_PAGES) {
        run->phase = RL_PHASE_ALLOC;
        call_allocator(run, run->n_input);
        return;
    }
    run->classic.prompt = grow_room(run, run->n_input);
    if (run->classic.prompt)
        call_generate(run);
}

/* The model's name goes first, if the program wants to hear it. */
void rl_classic_begin(rl_run *run)
{
    if (!run->program->shape.load_name.name || !run->model[0]) {
        begin_prompt(run);
    } else if (run->program->shape.allocator != RL_ALLOC_PAGES) {
        run->phase = RL_PHASE_NAME_ALLOC;
        call_allocator(run, strlen(run->model));
    } else {
        run->classic.name = grow_room(run, strlen(run->model));
        if (run->classic.name)
            call_load_name(run);
    }
}

/* The allocator answered. AssemblyScript's collector must be told to leave the block alone. */
static void allocated(rl_run *run, uint64_t *addr, rl_phase pin_phase, void (*then)(rl_run *run))
{
    const rl_export *pin = &run->program->shape.pin;

    *addr = rl_entry_answer(run);
    if (!pin->name || *addr == 0) {
        then(run);
        return;
    }
    run->phase = pin_phase;
    rl_entry_call(run, pin, 1, addr);
}

/* The id is the program's to remember; only a refusal concerns us. */
static void after_name(rl_run *run)
{
    int64_t id = run->answer.kind == WASMTIME_I64 ? run->answer.of.i64 : run->answer.of.i32;

    if (id < 0)
        rl_run_end(run, REALM_EMODEL, "the program's load_model_by_name answered %lld for %s: %s",
                   (long long)id, run->model, run->last.text);
    else
        begin_prompt(run);
}

/* The text at addr, up to a NUL, the end of memory or 1 MiB, becomes the reply. */
static void read_reply(rl_run *run)
{
    uint64_t addr = rl_entry_answer(run), size, n;
    uint8_t *mem = memory(run, &size);
    const void *nul;
    void *copy;

    if (addr == 0 || addr >= size) {
        if (!rl_memory_end(run))
            rl_run_end(run, REALM_EINVAL, "the program's generate answered %llu: %s",
                       (unsigned long long)addr,
                       addr ? "an address outside its memory" : "no reply");
        return;
    }
    n = size - addr < MAX_REPLY ? size - addr : MAX_REPLY;
    nul = memchr(mem + addr, 0, n);
    if (nul)
        n = (uint64_t)((const uint8_t *)nul - (mem + addr));
    copy = rl_alloc(n);
    if (!copy) {
        rl_run_end(run, REALM_ENOMEM, "no memory for a reply of %llu bytes", (unsigned long long)n);
        return;
    }
    memcpy(copy, mem + addr, n);
    rl_emit_set(run, RL_REPLY_TEXT, copy, n, copy);
    run->phase = RL_PHASE_REPLY;
}

void rl_classic_next(rl_run *run)
{
    switch (run->phase) {
    case RL_PHASE_NAME_ALLOC:
        allocated(run, &run->classic.name, RL_PHASE_NAME_PIN, call_load_name);
        break;
    case RL_PHASE_NAME_PIN:
        call_load_name(run);
        break;
    case RL_PHASE_NAME:
        after_name(run);
        break;
    case RL_PHASE_ALLOC:
        allocated(run, &run->classic.prompt, RL_PHASE_PIN, call_generate);
        break;
    case RL_PHASE_PIN:
        call_generate(run);
        break;
    default:
        read_reply(run);
    }
}
