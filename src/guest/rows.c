/* The ABI table in memory: rows, the wasm types they have for each pointer width, and the search
 * for the row that an import means. */
#include "guest/abi.h"
#include "guest/program.h"

#include "base/assert.h"

#include <stdio.h>
#include <string.h>

#define CAP_none   0u
#define CAP_infer  RL_CAP_INFER
#define CAP_layers RL_CAP_LAYERS
#define MODE_NOW   RL_MODE_NOW
#define MODE_PARK  RL_MODE_PARK

#define MAX_PARAMS (2 * RL_ARGS_MAX)

const rl_row rl_rows[] = {
#define ABI(module_, name_, variant, args_, result_, cap, mode_, limit_, sentence_)                \
    { .module = #module_,                                                                          \
      .name = #name_,                                                                              \
      .args = args_,                                                                               \
      .result = #result_[0],                                                                       \
      .mode = MODE_##mode_,                                                                        \
      .caps = CAP_##cap,                                                                           \
      .limit = (limit_) ? (limit_) : (uint64_t)64 << 20,                                           \
      .fn = rl_abi_##module_##_##name_##variant,                                                   \
      .sentence = sentence_ },
#include "guest/abi.def"
#include "guest/abi_wasi.def"
#undef ABI
};
const uint32_t rl_n_rows = (uint32_t)RL_COUNT(rl_rows);

/* Appends the wasm kinds of one letter. -> how many, 1 or 2 */
static size_t letter_kinds(char letter, bool wide, wasm_valkind_t out[2])
{
    wasm_valkind_t pointer = wide ? WASM_I64 : WASM_I32;

    switch (letter) {
    case 'h':
    case 'u':
    case 'i':
        out[0] = WASM_I32;
        return 1;
    case 'l':
        out[0] = WASM_I64;
        return 1;
    case 'f':
        out[0] = WASM_F32;
        return 1;
    case 'p':
    case 'o':
        out[0] = pointer;
        return 1;
    case 'I':
    case 'F':
    case 'v':
    case 'g':
        out[0] = pointer;
        out[1] = WASM_I32;
        return 2;
    default: /* B T b */
        RL_ASSERT(letter == 'B' || letter == 'T' || letter == 'b');
        out[0] = out[1] = pointer;
        return 2;
    }
}

/* The whole parameter list of a row. */
static size_t row_params(const rl_row *row, bool wide, wasm_valkind_t kinds[MAX_PARAMS])
{
    size_t n = 0;
    const char *a;

    for (a = row->args; *a; a++)
        n += letter_kinds(*a, wide, kinds + n);
    return n;
}

static wasm_valkind_t result_kind(const rl_row *row)
{
    return row->result == 'l' ? WASM_I64 : WASM_I32;
}

wasm_functype_t *rl_row_type(const rl_row *row, bool wide)
{
    wasm_valkind_t kinds[MAX_PARAMS];
    wasm_valtype_t *types[MAX_PARAMS], *result[1];
    wasm_valtype_vec_t params, results;
    size_t n = row_params(row, wide, kinds), i;

    for (i = 0; i < n; i++)
        types[i] = wasm_valtype_new(kinds[i]);
    wasm_valtype_vec_new(&params, n, types);
    if (row->result == '-') {
        wasm_valtype_vec_new_empty(&results);
    } else {
        result[0] = wasm_valtype_new(result_kind(row));
        wasm_valtype_vec_new(&results, 1, result);
    }
    /* Takes both vectors. */
    return wasm_functype_new(&params, &results);
}

/* Is this the type of the import, exactly? */
static bool row_fits(const rl_row *row, bool wide, const wasm_functype_t *type)
{
    const wasm_valtype_vec_t *params = wasm_functype_params(type);
    const wasm_valtype_vec_t *results = wasm_functype_results(type);
    wasm_valkind_t kinds[MAX_PARAMS];
    size_t n = row_params(row, wide, kinds), i;

    if (params->size != n || results->size != (row->result == '-' ? 0u : 1u))
        return false;
    for (i = 0; i < n; i++)
        if (wasm_valtype_kind(params->data[i]) != kinds[i])
            return false;
    return results->size == 0 || wasm_valtype_kind(results->data[0]) == result_kind(row);
}

/* Names are not NUL-terminated and may hold any byte: lengths first. */
static bool name_is(const wasm_name_t *name, const char *s)
{
    return name->size == strlen(s) && memcmp(name->data, s, name->size) == 0;
}

/* A search through the whole table, once per import when a program is loaded. */
const rl_row *rl_row_named(const wasm_name_t *module, const wasm_name_t *name)
{
    uint32_t i;

    for (i = 0; i < rl_n_rows; i++)
        if (name_is(name, rl_rows[i].name) && name_is(module, rl_rows[i].module))
            return &rl_rows[i];
    return NULL;
}

/* Names as people write them in text format. */
static const char *kind_text(wasm_valkind_t kind)
{
    switch (kind) {
    case WASM_I32:
        return "i32";
    case WASM_I64:
        return "i64";
    case WASM_F32:
        return "f32";
    case WASM_F64:
        return "f64";
    default:
        return "ref";
    }
}

void rl_type_text(const wasm_functype_t *type, char *out, size_t cap)
{
    const wasm_valtype_vec_t *vecs[2] = { wasm_functype_params(type), wasm_functype_results(type) };
    size_t at = 0, i, v;

    out[0] = 0;
    for (v = 0; v < 2; v++) {
        const char *open = v ? " -> " : "(", *close = v ? "" : ")";

        if (v && vecs[v]->size == 0)
            break;
        /* snprintf says what it would have written: `at` past the end stops the loops, the text is
         * cut. */
        for (i = 0; i <= vecs[v]->size && at < cap; i++) {
            bool last = i == vecs[v]->size;
            int n = snprintf(out + at, cap - at, "%s%s", i == 0 ? open : (last ? "" : ", "),
                             last ? close : kind_text(wasm_valtype_kind(vecs[v]->data[i])));

            at += n > 0 ? (size_t)n : 0;
        }
    }
}

/* The import names a row, but with another type. */
static void refuse_type(const rl_row *row, bool wide, const wasm_functype_t *type, realm_error *err)
{
    wasm_functype_t *right = rl_row_type(row, wide);
    char have[96], want[96];

    rl_type_text(type, have, sizeof have);
    rl_type_text(right, want, sizeof want);
    wasm_functype_delete(right);
    (void)realm_fail(err, REALM_EINVAL, "import %s.%s has the type %s; it is %s", row->module,
                     row->name, have, want);
}

const rl_row *rl_row_find(const wasm_importtype_t *import, bool wide, realm_error *err)
{
    const wasm_name_t *module = wasm_importtype_module(import);
    const wasm_name_t *name = wasm_importtype_name(import);
    const wasm_externtype_t *ext = wasm_importtype_type(import);
    const rl_row *row = rl_row_named(module, name);
    const wasm_functype_t *type;
    uint32_t i;

    if (!row || wasm_externtype_kind(ext) != WASM_EXTERN_FUNC) {
        (void)realm_fail(err, REALM_EINVAL, "unknown import %.*s.%.*s: the host offers no such %s",
                         (int)(module->size < 64 ? module->size : 64), module->data,
                         (int)(name->size < 96 ? name->size : 96), name->data,
                         row ? "memory, table or global" : "function");
        return NULL;
    }
    /* Its records hold 32-bit pointers by definition; there is no wide form to offer. */
    if (wide && strcmp(row->module, "wasi_snapshot_preview1") == 0) {
        (void)realm_fail(
            err, REALM_EINVAL,
            "import %s.%s: WASI preview 1 has 32-bit addresses; compile for wasm32, or "
            "use the calls of module realm",
            row->module, row->name);
        return NULL;
    }
    type = wasm_externtype_as_functype_const(ext);
    /* One name may have two rows with different types (realm_host_generate): the type decides. */
    for (i = 0; i < rl_n_rows; i++) {
        const rl_row *r = &rl_rows[i];

        if (name_is(name, r->name) && name_is(module, r->module) && row_fits(r, wide, type))
            return r;
    }
    refuse_type(row, wide, type, err);
    return NULL;
}
