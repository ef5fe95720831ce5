/* Inspect: what a module imports and exports, as JSON, whether or not it could run here. */
#include "guest/runtime.h"

#include "base/json.h"

#include <string.h>

static const char *const extern_names[] = { "func", "global", "table", "memory", "tag" };

static const char *extern_name(wasm_externkind_t kind)
{
    return kind < sizeof extern_names / sizeof *extern_names ? extern_names[kind] : "other";
}

/* Functions by their signature, all else by its kind. */
static void put_type(rl_json *j, const wasm_externtype_t *ext)
{
    char text[256];

    if (wasm_externtype_kind(ext) != WASM_EXTERN_FUNC) {
        rl_json_string(j, "type", extern_name(wasm_externtype_kind(ext)));
        return;
    }
    rl_type_text(wasm_externtype_as_functype_const(ext), text, sizeof text);
    rl_json_string(j, "type", text);
}

static const char *cap_name(uint32_t caps)
{
    return caps & RL_CAP_LAYERS ? "layers" : (caps & RL_CAP_INFER ? "infer" : "none");
}

/* One import; -> the capabilities its row needs */
static uint32_t put_import(rl_json *j, const wasm_importtype_t *import, bool wide)
{
    const wasm_name_t *module = wasm_importtype_module(import);
    const wasm_name_t *name = wasm_importtype_name(import);
    const rl_row *row = rl_row_find(import, wide, NULL);
    /* With a wrong type too, the name says what the program is after: its capability is told. */
    const rl_row *named = row ? row : rl_row_named(module, name);

    rl_json_object(j, NULL);
    rl_json_stringn(j, "module", module->data, module->size);
    rl_json_stringn(j, "name", name->data, name->size);
    put_type(j, wasm_importtype_type(import));
    rl_json_string(j, "capability", named ? cap_name(named->caps) : "none");
    rl_json_bool(j, "known", row != NULL);
    rl_json_end_object(j);
    return named ? named->caps : 0;
}

static uint32_t put_imports(rl_json *j, const wasmtime_module_t *m, bool wide)
{
    wasm_importtype_vec_t imports;
    uint32_t caps = 0;
    size_t i;

    wasmtime_module_imports(m, &imports);
    rl_json_array(j, "imports");
    for (i = 0; i < imports.size; i++)
        caps |= put_import(j, imports.data[i], wide);
    rl_json_end_array(j);
    wasm_importtype_vec_delete(&imports);
    return caps;
}

static void put_exports(rl_json *j, const wasmtime_module_t *m)
{
    wasm_exporttype_vec_t exports;
    size_t i;

    wasmtime_module_exports(m, &exports);
    rl_json_array(j, "exports");
    for (i = 0; i < exports.size; i++) {
        const wasm_name_t *name = wasm_exporttype_name(exports.data[i]);

        rl_json_object(j, NULL);
        rl_json_stringn(j, "name", name->data, name->size);
        put_type(j, wasm_exporttype_type(exports.data[i]));
        rl_json_end_object(j);
    }
    rl_json_end_array(j);
    wasm_exporttype_vec_delete(&exports);
}

/* null for a program without one. */
static void put_memory(rl_json *j, const rl_shape *s)
{
    if (!s->has_memory) {
        rl_json_null(j, "memory");
        return;
    }
    rl_json_object(j, "memory");
    rl_json_uint(j, "min_pages", s->min_bytes / 65536);
    if (s->max_bytes == UINT64_MAX)
        rl_json_null(j, "max_pages");
    else
        rl_json_uint(j, "max_pages", s->max_bytes / 65536);
    rl_json_bool(j, "memory64", s->wide);
    rl_json_end_object(j);
}

static void put_caps(rl_json *j, uint32_t caps)
{
    rl_json_array(j, "capabilities");
    if (caps & RL_CAP_INFER)
        rl_json_string(j, NULL, "infer");
    if (caps & RL_CAP_LAYERS)
        rl_json_string(j, NULL, "layers");
    rl_json_end_array(j);
}

/* A program that could not be loaded is described too, with its first problem. */
realm_status rl_program_inspect(rl_runtime *rt, const void *wasm, size_t n, rl_buf *json,
                                realm_error *err)
{
    static const char *const kinds[] = { "none", "command", "run", "classic" };
    wasm_engine_t *engine;
    wasmtime_module_t *m = NULL;
    wasmtime_error_t *e;
    realm_error problem = { 0 };
    rl_shape shape;
    rl_json j = rl_json_on(json);

    (void)rt;
    if (n > RL_MAX_WASM)
        return realm_fail(err, REALM_ETOOBIG, "a program of %zu bytes is over the limit of %zu", n,
                          RL_MAX_WASM);
    engine = rl_wasm_engine_new(0, 0, err); /* without the pool, so without its limits */
    if (!engine)
        return REALM_ENOMEM;
    e = wasmtime_module_new(engine, wasm, n, &m);
    wasm_engine_delete(engine); /* the module holds its own reference */
    if (e)
        return rl_wasm_fail(err, REALM_EINVAL, "this is not a program Realm can run", e);
    if (rl_shape_read(&shape, m, false, &problem) != REALM_OK)
        shape.kind = RL_PROGRAM_NONE;
    rl_json_object(&j, NULL);
    rl_json_string(&j, "kind", kinds[shape.kind]);
    put_memory(&j, &shape);
    put_caps(&j, put_imports(&j, m, shape.wide));
    put_exports(&j, m);
    if (problem.text[0])
        rl_json_string(&j, "problem", problem.text);
    rl_json_end_object(&j);
    wasmtime_module_delete(m);
    return json->failed ? realm_fail(err, REALM_ENOMEM, "no memory for the description") : REALM_OK;
}
