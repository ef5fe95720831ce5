/* Program: a module that was checked, compiled and linked, ready to be instantiated by many runs.
 * Its linker holds exactly its imports: each with the row that fits the import's type. */
#include "guest/forms.h"
#include "guest/runtime.h"

#include "base/alloc.h"

#include <string.h>

/* Text that wasmtime and the module wrote: bounded and on one line, for logs and replies. */
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

/* The row of every import, in order. -> rl_alloc'ed [imports->size], or NULL with the reason */
static const rl_row **find_rows(const rl_program *p, const wasm_importtype_vec_t *imports,
                                realm_error *err)
{
    const rl_row **rows = rl_alloc_array(imports->size + 1, sizeof(const rl_row *));
    size_t i;

    if (!rows) {
        (void)realm_fail(err, REALM_ENOMEM, "no memory for a program");
        return NULL;
    }
    for (i = 0; i < imports->size; i++) {
        rows[i] = rl_row_find(imports->data[i], p->shape.wide, err);
        if (!rows[i]) {
            rl_free(rows);
            return NULL;
        }
    }
    return rows;
}

/* A module may import one function many times; the linker wants it once. */
static bool seen_before(const rl_row *const *rows, size_t i)
{
    size_t k;

    for (k = 0; k < i; k++)
        if (rows[k] == rows[i])
            return true;
    return false;
}

/* both: the module was changed for the two forms of one name (forms.h). */
static realm_status define_rows(rl_program *p, const rl_row *const *rows, size_t n, bool both,
                                realm_error *err)
{
    size_t i;

    for (i = 0; i < n; i++) {
        wasmtime_error_t *e;

        if (seen_before(rows, i))
            continue;
        e = rl_row_define(p->linker, rows[i], both ? rl_forms_name(rows[i]) : rows[i]->name,
                          p->shape.wide);
        if (e)
            return rl_wasm_fail(err, REALM_EINVAL, "import refused", e);
        /* What the imports could need, whatever the run is granted: a program without any
         * capability does not wait for a model. */
        p->caps |= rows[i]->caps;
    }
    return REALM_OK;
}

/* Compiles it again with one form renamed. */
static realm_status split_forms(rl_program *p, const uint8_t *wasm, size_t n,
                                const rl_row *const *rows, size_t n_rows, realm_error *err)
{
    uint8_t *copy = rl_forms_rename(wasm, n, rows, n_rows);
    realm_status st;

    if (!copy)
        return realm_fail(err, REALM_EINVAL,
                          "both forms of realm_host_generate are imported: import one of them");
    wasmtime_module_delete(p->module);
    p->module = NULL;
    st = rl_module_compile(&p->module, p->rt, copy, n, err);
    rl_free(copy);
    return st;
}

static realm_status link_imports(rl_program *p, const wasm_importtype_vec_t *imports,
                                 const void *wasm, size_t n, realm_error *err)
{
    const rl_row **rows = find_rows(p, imports, err);
    bool both = rows && rl_forms_both(rows, imports->size);
    realm_status st = REALM_OK;

    if (!rows)
        return err->status;
    if (both)
        st = split_forms(p, wasm, n, rows, imports->size, err);
    if (st == REALM_OK)
        st = define_rows(p, rows, imports->size, both, err);
    rl_free(rows);
    return st;
}

/* The mark of AssemblyScript, whose classic programs are called in their own way (exports.c). */
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

/* wasmtime has refused what the pool cannot hold; this says it in our words when limits differ. */
static realm_status check_size(const rl_program *p, realm_error *err)
{
    if (p->shape.min_bytes > p->rt->max_memory)
        return realm_fail(err, REALM_EINVAL,
                          "the program starts with %llu bytes of memory; the runtime allows %zu",
                          (unsigned long long)p->shape.min_bytes, p->rt->max_memory);
    return REALM_OK;
}

static realm_status link_program(rl_program *p, const void *wasm, size_t n, realm_error *err)
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
        st = link_imports(p, &imports, wasm, n, err);
    }
    wasm_importtype_vec_delete(&imports);
    if (st != REALM_OK)
        return st;
    /* Links once for all runs; an instance then costs only its memory. */
    e = wasmtime_linker_instantiate_pre(p->linker, p->module, &p->pre);
    return e ? rl_wasm_fail(err, REALM_EINVAL, "the program cannot be linked", e) : REALM_OK;
}

/* Refused before a compiler sees it, with a sentence for what people upload by mistake. */
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
    realm_error own;
    realm_status st = check_bytes(wasm, n, err = err ? err : &own);
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
        st = link_program(p, wasm, n, err);
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

/* The instance_pre holds what it needs of the others; the order is only the reverse of making. */
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
