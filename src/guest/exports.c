/* Exports: what a module offers to the host: its memory, its entry, and for a classic program the
 * allocator that the prompt is placed with. */
#include "guest/program.h"

#include <string.h>

#define PAGE_BYTES ((uint64_t)65536)

typedef struct scan {
    wasm_exporttype_vec_t exports;
    bool wide;
} scan;

/* An export by name and kind: a global called "run" is no entry. */
static const wasm_externtype_t *find(const scan *s, const char *name, wasm_externkind_t kind)
{
    size_t i, n = strlen(name);

    for (i = 0; i < s->exports.size; i++) {
        const wasm_name_t *have = wasm_exporttype_name(s->exports.data[i]);
        const wasm_externtype_t *type = wasm_exporttype_type(s->exports.data[i]);

        if (have->size == n && memcmp(have->data, name, n) == 0 &&
            wasm_externtype_kind(type) == kind)
            return type;
    }
    return NULL;
}

static const wasm_functype_t *find_func(const scan *s, const char *name)
{
    const wasm_externtype_t *type = find(s, name, WASM_EXTERN_FUNC);

    return type ? wasm_externtype_as_functype_const(type) : NULL;
}

/* i32 always; i64 where an address may stand, in a memory64 program. */
static bool address_kind(const scan *s, const wasm_valtype_t *type, uint8_t *kind)
{
    wasm_valkind_t k = wasm_valtype_kind(type);

    *kind = k == WASM_I64 ? WASMTIME_I64 : WASMTIME_I32;
    return k == WASM_I32 || (k == WASM_I64 && s->wide);
}

/* Reads the export `name` as a function of n_args addresses or numbers, with a result or none.
 * -> true: it is there and fits */
static bool read_export(const scan *s, const char *name, uint32_t n_args, bool has_result,
                        rl_export *out)
{
    const wasm_functype_t *type = find_func(s, name);
    const wasm_valtype_vec_t *params, *results;
    uint32_t i;

    if (!type)
        return false;
    params = wasm_functype_params(type);
    results = wasm_functype_results(type);
    if (params->size != n_args || results->size != (has_result ? 1u : 0u))
        return false;
    *out = (rl_export){ .name = name, .n_args = n_args, .result = RL_NO_RESULT };
    for (i = 0; i < n_args; i++)
        if (!address_kind(s, params->data[i], &out->args[i]))
            goto bad;
    if (has_result && !address_kind(s, results->data[0], &out->result))
        goto bad;
    return true;
bad:
    *out = (rl_export){ 0 };
    return false;
}

static realm_status wrong_type(const scan *s, const char *name, const char *right, realm_error *err)
{
    (void)s;
    return realm_fail(err, REALM_EINVAL, "export %s has a wrong type: it must be %s", name, right);
}

/* Pages are 64 KiB: custom page sizes are switched off. */
static realm_status read_memory(rl_shape *shape, const scan *s, realm_error *err)
{
    const wasm_externtype_t *ext = find(s, "memory", WASM_EXTERN_MEMORY);
    const wasm_memorytype_t *type;
    uint64_t max;

    if (!ext)
        return realm_fail(err, REALM_EINVAL,
                          "the program exports no memory: a linear memory named \"memory\" is "
                          "required");
    type = wasm_externtype_as_memorytype_const(ext);
    shape->has_memory = true;
    shape->wide = wasmtime_memorytype_is64(type);
    /* A 64-bit memory may ask for more pages than 64 bits have bytes: both ends saturate. */
    shape->min_bytes = wasmtime_memorytype_minimum(type) > UINT64_MAX / PAGE_BYTES
                           ? UINT64_MAX
                           : wasmtime_memorytype_minimum(type) * PAGE_BYTES;
    shape->max_bytes = UINT64_MAX;
    if (wasmtime_memorytype_maximum(type, &max) && max < UINT64_MAX / PAGE_BYTES)
        shape->max_bytes = max * PAGE_BYTES;
    return REALM_OK;
}

/* The first allocator of the list that the program exports. */
static void read_allocator(rl_shape *shape, const scan *s)
{
    static const struct {
        const char *name;
        uint32_t n_args;
        rl_allocator kind;
    } known[] = {
        { "realm_alloc", 1, RL_ALLOC_REALM }, { "cabi_realloc", 4, RL_ALLOC_CABI },
        { "__new", 2, RL_ALLOC_NEW },         { "malloc", 1, RL_ALLOC_MALLOC },
        { "__alloc", 1, RL_ALLOC_OLD },       { "__alloc", 2, RL_ALLOC_OLD },
    };
    size_t i;

    shape->allocator = RL_ALLOC_PAGES;
    for (i = 0; i < sizeof known / sizeof *known; i++) {
        if (!read_export(s, known[i].name, known[i].n_args, true, &shape->alloc))
            continue;
        shape->allocator = known[i].kind;
        break;
    }
    /* A collector may move or free what only the host knows; a program without __pin has none that
     * does. */
    if (shape->allocator == RL_ALLOC_NEW)
        (void)read_export(s, "__pin", 1, true, &shape->pin);
}

/* An AssemblyScript program without its runtime would hand our pages out a second time. */
static realm_status read_classic(rl_shape *shape, const scan *s, bool classic_abort,
                                 realm_error *err)
{
    if (!read_export(s, "generate", 2, true, &shape->entry) &&
        !read_export(s, "generate", 4, true, &shape->entry))
        return wrong_type(s, "generate",
                          "(pointer, length) -> pointer, or (pointer, length, model, options) -> "
                          "pointer",
                          err);
    /* Offered or not, the program is good: then it is called with its prompt at once. */
    (void)read_export(s, "load_model_by_name", 2, true, &shape->load_name);
    read_allocator(shape, s);
    if (shape->allocator == RL_ALLOC_PAGES && classic_abort)
        return realm_fail(err, REALM_EINVAL,
                          "an AssemblyScript program must export its runtime: compile it with "
                          "--exportRuntime");
    shape->kind = RL_PROGRAM_CLASSIC;
    return REALM_OK;
}

/* The first of _start, run and generate decides what kind of program it is. */
static realm_status read_entry(rl_shape *shape, const scan *s, bool classic_abort, realm_error *err)
{
    rl_export init;

    if (find_func(s, "_start")) {
        if (!read_export(s, "_start", 0, false, &shape->entry))
            return wrong_type(s, "_start", "() -> ()", err);
        shape->kind = RL_PROGRAM_COMMAND;
        return REALM_OK;
    }
    if (find_func(s, "_initialize")) {
        if (!read_export(s, "_initialize", 0, false, &init))
            return wrong_type(s, "_initialize", "() -> ()", err);
        shape->has_initialize = true;
    }
    if (find_func(s, "run")) {
        if (!read_export(s, "run", 0, true, &shape->entry) || shape->entry.result != WASMTIME_I32)
            return wrong_type(s, "run", "() -> i32", err);
        shape->kind = RL_PROGRAM_RUN;
        return REALM_OK;
    }
    if (find_func(s, "generate"))
        return read_classic(shape, s, classic_abort, err);
    return realm_fail(err, REALM_EINVAL,
                      "the program has no entry: it must export _start, run or generate");
}

realm_status rl_shape_read(rl_shape *out, const wasmtime_module_t *m, bool classic_abort,
                           realm_error *err)
{
    scan s = { .wide = false };
    realm_status st;

    *out = (rl_shape){ 0 };
    wasmtime_module_exports(m, &s.exports);
    st = read_memory(out, &s, err);
    s.wide = out->wide;
    if (st == REALM_OK)
        st = read_entry(out, &s, classic_abort, err);
    wasm_exporttype_vec_delete(&s.exports);
    return st;
}
