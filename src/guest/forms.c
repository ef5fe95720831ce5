#include "guest/forms.h"

#include "base/alloc.h"

#include <string.h>

#define GENERATE       "realm_host_generate"
#define HEADER_BYTES   8u
#define SECTION_IMPORT 2u
#define KIND_FUNC      0u

_Static_assert(sizeof RL_FORM_NAME == sizeof GENERATE, "a rename must not move bytes");

/* What is left to read of a module that wasmtime has found valid. `bad` once it ends early. */
typedef struct reader {
    uint8_t *p, *end;
    bool bad;
} reader;

static uint8_t read_byte(reader *r)
{
    if (!r->p || r->p == r->end) {
        r->bad = true;
        return 0;
    }
    return *r->p++;
}

/* wasmtime has checked lengths and widths of the numbers; this must merely not run away on its own
 * mistakes. */
static uint32_t read_leb(reader *r)
{
    uint32_t v = 0, shift = 0;
    uint8_t b;

    do {
        b = read_byte(r);
        if (shift < 32)
            v |= (uint32_t)(b & 0x7f) << shift;
        shift += 7;
    } while ((b & 0x80) && !r->bad);
    return v;
}

/* Steps over n bytes. -> the first of them, or NULL */
static uint8_t *skip(reader *r, uint32_t n)
{
    uint8_t *at = r->p;

    if (r->bad || n > (size_t)(r->end - r->p)) {
        r->bad = true;
        return NULL;
    }
    r->p += n;
    return at;
}

/* The form with the options record. */
static bool is_second(const rl_row *row)
{
    return strcmp(row->name, GENERATE) == 0 && strchr(row->args, 'p') != NULL;
}

bool rl_forms_both(const rl_row *const *rows, size_t n)
{
    bool first = false, second = false;
    size_t i;

    for (i = 0; i < n; i++) {
        if (strcmp(rows[i]->name, GENERATE) != 0)
            continue;
        first = first || !is_second(rows[i]);
        second = second || is_second(rows[i]);
    }
    return first && second;
}

const char *rl_forms_name(const rl_row *row)
{
    return is_second(row) ? RL_FORM_NAME : row->name;
}

/* Finds the content of the import section. Custom sections may stand anywhere: each is stepped
 * over.
 */
static bool find_imports(reader *r)
{
    while (!r->bad && r->p < r->end) {
        uint8_t id = read_byte(r);
        uint32_t n = read_leb(r);
        uint8_t *content = skip(r, n);

        if (content && id == SECTION_IMPORT) {
            *r = (reader){ .p = content, .end = content + n };
            return true;
        }
    }
    return false;
}

/* Imports stand in the order in which wasmtime lists them. */
static bool rename_imports(reader *r, const rl_row *const *rows, size_t n_rows)
{
    uint32_t n = read_leb(r), i;

    for (i = 0; i < n && !r->bad; i++) {
        uint32_t len;
        uint8_t *name;

        (void)skip(r, read_leb(r)); /* the import's module */
        len = read_leb(r);
        name = skip(r, len);
        if (!name || i >= n_rows || len != strlen(rows[i]->name) || read_byte(r) != KIND_FUNC)
            return false;
        (void)read_leb(r); /* its type */
        if (is_second(rows[i]))
            memcpy(name, RL_FORM_NAME, len);
    }
    return !r->bad && n == n_rows;
}

/* The caller's bytes are his: a copy is changed. The new name is as long as the old one, so nothing
 * moves and no length in the module becomes wrong. */
uint8_t *rl_forms_rename(const uint8_t *wasm, size_t n, const rl_row *const *rows, size_t n_rows)
{
    uint8_t *copy = n > HEADER_BYTES ? rl_alloc(n) : NULL;
    reader r;

    if (!copy)
        return NULL;
    memcpy(copy, wasm, n);
    r = (reader){ .p = copy + HEADER_BYTES, .end = copy + n };
    if (find_imports(&r) && rename_imports(&r, rows, n_rows))
        return copy;
    rl_free(copy);
    return NULL;
}
