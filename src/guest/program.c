/* Program: a module that was checked, compiled and linked, ready to be instantiated by many runs.
 * Its linker holds exactly its imports: each with the row that fits the import's type. */
#include "guest/runtime.h"

#include "base/alloc.h"

#include <string.h>

realm_status rl_wasm_fail(realm_error *err, realm_status st, const char *what,
                          wasmtime_error_t *error)
{
    wasm_byte_vec_t text;
    size_t n = 0, i;
    char line[160];

    wasmtime_error_message(error, &text);
    wasmtime_error_delete(error);
    /* the outermost message says where, the causes after it say why: all of it, on one line */
    for (i = 0; i < text.size && n < sizeof line - 1; i++) {
        char ch = text.data[i] == '\n' ? ' ' : text.data[i];

        if (ch != ' ' || (n > 0 && line[n - 1] != ' '))
            line[n++] = ch;
    }
    line[n] = 0;
    wasm_byte_vec_delete(&text);
    return realm_fail(err, st, "%s: %s", what, line);
}

static realm_status define_import(rl_program *p, const wasm_importtype_t *import,
                                  const rl_row **defined, size_t *n_defined, realm_error *err)
{
    const rl_row *row = rl_row_find(import, p->shape.wide, err);
    wasmtime_error_t *e;
    size_t i;

    if (!row)
        return REALM_EINVAL;
    for (i = 0; i < *n_defined; i++)
        if (defined[i] == row)
            return REALM_OK;
    e = rl_row_define(p->linker, row, p->shape.wide);
    if (e)
        return rl_wasm_fail(err, REALM_EINVAL, "import refused", e);
    defined[(*n_defined)++] = row;
    p->caps |= row->caps;
    return REALM_OK;
}

static realm_status link_imports(rl_program *p, const wasm_importtype_vec_t *imports,
                                 realm_error *err)
{
    const rl_row **defined = rl_alloc_array(imports->size + 1, sizeof *defined);
    realm_status st = defined ? REALM_OK : REALM_ENOMEM;
    size_t i, n_defined = 0;

    for (i = 0; st == REALM_OK && i < imports->size; i++)
        st = define_import(p, imports->data[i], defined, &n_defined, err);
    rl_free(defined);
    return st;
}

static bool imports_abort(const wasm_importtype_vec_t *imports)
{
    size_t i;

    for (i = 0; i < imports->size; i++) {
        const wasm_name_t *name = wasm_importtype_name(imports->data[i]);
        const wasm_name_t *module = wasm_importtype_module(imports->data[i]);

        if (name->size == 5 && memcmp(name->data, "abort", 5) == 0 && module->size == 3 &&
            memcmp(module->data, "env", 3) == 0)
            return true;
    }
    return false;
}

static realm_status check_size(const rl_program *p, realm_error *err)
{
    if (p->shape.min_bytes > p->rt->max_memory)
        return realm_fail(err, REALM_EINVAL,
                          "the program starts with %llu bytes of memory; the runtime allows %zu",
                          (unsigned long long)p->shape.min_bytes, p->rt->max_memory);
    return REALM_OK;
}

static realm_status link_program(rl_program *p, realm_error *err)
{
    wasm_importtype_vec_t imports;
    wasmtime_error_t *e;
    realm_status st;

    wasmtime_module_imports(p->module, &imports);
    /* the pointer width comes from the memory export, so exports are read first */
    st = rl_shape_read(&p->shape, p->module, imports_abort(&imports), err);
    if (st == REALM_OK)
        st = check_size(p, err);
    if (st == REALM_OK) {
        p->linker = wasmtime_linker_new(p->rt->wasm);
        st = link_imports(p, &imports, err);
    }
    wasm_importtype_vec_delete(&imports);
    if (st != REALM_OK)
        return st;
    e = wasmtime_linker_instantiate_pre(p->linker, p->module, &p->pre);
    return e ? rl_wasm_fail(err, REALM_EINVAL, "the program cannot be linked", e) : REALM_OK;
}

static realm_status check_bytes(const void *wasm, size_t n, realm_error *err)
{
    static const uint8_t magic[8] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };

    if (n > RL_MAX_WASM)
        return realm_fail(err, REALM_ETOOBIG, "a program of %zu bytes is over the limit of %zu", n,
                          RL_MAX_WASM);
    if (n < sizeof magic || memcmp(wasm, magic, 4) != 0)
        return realm_fail(err, REALM_EINVAL, "this is not a WebAssembly module");
    if (memcmp(wasm, magic, sizeof magic) != 0)
        return realm_fail(err, REALM_EINVAL,
                          "this is not a core WebAssembly module of version 1 (a component?)");
    return REALM_OK;
}

realm_status rl_program_load(rl_program **out, rl_runtime *rt, const void *wasm, size_t n,
                             realm_error *err)
{
    realm_status st = check_bytes(wasm, n, err);
    rl_program *p;

    *out = NULL;
    if (st != REALM_OK)
        return st;
    p = rl_alloc(sizeof *p);
    if (!p)
        return realm_fail(err, REALM_ENOMEM, "no memory for a program");
    p->rt = rt;
    atomic_store(&p->refs, 1);
    st = rl_module_compile(&p->module, rt, wasm, n, err);
    if (st == REALM_OK)
        st = link_program(p, err);
    if (st != REALM_OK) {
        rl_program_unref(p);
        return st;
    }
    *out = p;
    return REALM_OK;
}

rl_program *rl_program_ref(rl_program *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void rl_program_unref(rl_program *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    if (p->pre)
        wasmtime_instance_pre_delete(p->pre);
    if (p->linker)
        wasmtime_linker_delete(p->linker);
    if (p->module)
        wasmtime_module_delete(p->module);
    rl_free(p);
}
