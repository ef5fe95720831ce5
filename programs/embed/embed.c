/* embed: the program behind embeddings; it is built into realm. Its reply is no text but the
 * floats, little endian, of one text after the other. */
#include "realm.h"

#define EMIT_MAX ((size_t)1 << 20)

static int32_t emit_all(const char *p, size_t n)
{
    int32_t r = 0;

    for (size_t at = 0; at < n && r >= 0; at += EMIT_MAX)
        r = realm_emit(p + at, n - at < EMIT_MAX ? n - at : EMIT_MAX);
    return r;
}

REALM_EXPORT(run) int32_t run(void)
{
    size_t cap = (size_t)realm_input_len() + 1;
    char *request = realm_pages(cap);
    int32_t n = request ? realm_read_input(request, cap) : REALM_ENOMEM;
    int32_t model, floats;
    float *out;

    if (n < 0)
        return realm_failed("request", n);
    model = realm_model_open(NULL, 0); /* an empty name is the run's own model */
    if (model < 0)
        return realm_failed("model", model);
    floats = realm_embed((uint32_t)model, request, (size_t)n, NULL, 0);
    if (floats < 0)
        return realm_failed("input", floats);
    out = realm_pages((size_t)floats * sizeof *out);
    floats =
        out ? realm_embed((uint32_t)model, request, (size_t)n, out, (size_t)floats) : REALM_ENOMEM;
    if (floats < 0)
        return realm_failed("embed", floats);
    n = emit_all((const char *)out, (size_t)floats * sizeof *out);
    return n < 0 ? realm_failed("reply", n) : 0;
}
