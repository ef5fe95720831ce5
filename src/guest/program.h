/* The inside of a program: a checked, compiled module that runs are made from. Immutable after
 * loading; any thread. */
#ifndef RL_GUEST_PROGRAM_H
#define RL_GUEST_PROGRAM_H

#include "guest/call.h"
#include "guest/guest.h"

#include <stdatomic.h>
#include <wasmtime.h>

#define RL_MAX_WASM ((size_t)64 << 20)

typedef enum rl_program_kind {
    RL_PROGRAM_NONE,
    RL_PROGRAM_COMMAND, /* _start */
    RL_PROGRAM_RUN,     /* run */
    RL_PROGRAM_CLASSIC, /* generate */
} rl_program_kind;

/* A function export as far as we call it: kinds of its parameters and its result. */
#define RL_EXPORT_ARGS 4u
typedef struct rl_export {
    const char *name; /* static; NULL: not exported */
    uint32_t n_args;
    uint8_t args[RL_EXPORT_ARGS]; /* WASMTIME_I32 | WASMTIME_I64 */
    uint8_t result;               /* the same, or RL_NO_RESULT */
} rl_export;
#define RL_NO_RESULT 255u

typedef enum rl_allocator {
    RL_ALLOC_PAGES, /* none exported: pages grown before first use */
    RL_ALLOC_REALM, /* realm_alloc(n) */
    RL_ALLOC_CABI,  /* cabi_realloc(0, 0, 8, n) */
    RL_ALLOC_NEW,   /* __new(n, 1), then __pin(p) */
    RL_ALLOC_MALLOC,
    RL_ALLOC_OLD, /* __alloc(n) or __alloc(n, 1) */
} rl_allocator;

/* What the exports say (exports.c). */
typedef struct rl_shape {
    rl_program_kind kind;
    bool has_memory, wide; /* wide: memory64 */
    uint64_t min_bytes, max_bytes;
    bool has_initialize;
    rl_export entry, load_name; /* load_name: classic load_model_by_name */
    rl_allocator allocator;
    rl_export alloc, pin;
} rl_shape;

struct rl_program {
    _Atomic uint32_t refs;
    rl_runtime *rt; /* borrowed */
    wasmtime_module_t *module;
    wasmtime_linker_t *linker;
    wasmtime_instance_pre_t *pre;
    rl_shape shape;
    uint32_t caps; /* that its imports may need */
};

/* exports.c: reads the exports; names what is missing or has a wrong type. classic_abort: the
 * module imports env.abort (AssemblyScript). */
realm_status rl_shape_read(rl_shape *out, const wasmtime_module_t *m, bool classic_abort,
                           realm_error *err) REALM_MUST_USE;

/* rows.c: the row for an import, matched by name and type. -> NULL with the reason in err (EINVAL)
 */
const rl_row *rl_row_find(const wasm_importtype_t *import, bool wide, realm_error *err);
/* Any row of that name, for inspect; NULL: unknown. */
const rl_row *rl_row_named(const wasm_name_t *module, const wasm_name_t *name);
/* The type of a row for one pointer width. NULL without memory. */
wasm_functype_t *rl_row_type(const rl_row *row, bool wide);
/* "(i32, i64) -> i32" */
void rl_type_text(const wasm_functype_t *type, char *out, size_t cap);

/* call.c: defines one row in a linker, under its own name or another. */
wasmtime_error_t *rl_row_define(wasmtime_linker_t *linker, const rl_row *row, const char *name,
                                bool wide);

/* cache.c: a compiled module, from the cache if it is there. */
realm_status rl_module_compile(wasmtime_module_t **out, rl_runtime *rt, const void *wasm, size_t n,
                               realm_error *err) REALM_MUST_USE;
realm_status rl_cache_open(char **out, const char *dir, realm_error *err) REALM_MUST_USE;

/* Moves a wasmtime error's message (first line) into err and deletes it. */
realm_status rl_wasm_fail(realm_error *err, realm_status st, const char *what,
                          wasmtime_error_t *error);

#endif
