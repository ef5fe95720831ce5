/* detokenize: the program behind /detokenize; it is built into realm. Its reply is the text of the
 * Request's ids, special tokens too. */
#include "realm.h"

#define TEXT_MAX ((size_t)32 << 20)

/* Decodes into room that is made larger until the text fits. -> its length */
static int32_t decode(uint32_t model, const uint32_t *ids, size_t n, char **text)
{
    int32_t r = REALM_ESPACE;

    for (size_t cap = n * 16 + 4096; r == REALM_ESPACE && cap <= TEXT_MAX; cap *= 2) {
        *text = realm_pages(cap);
        r = *text ? realm_decode(model, ids, n, *text, cap, 0) : REALM_ENOMEM;
    }
    return r;
}

/* The reply takes so much at once. */
static int32_t emit_all(const char *p, size_t n)
{
    const size_t most = (size_t)1 << 20;
    int32_t r = 0;

    for (size_t at = 0; at < n && r >= 0; at += most)
        r = realm_emit(p + at, n - at < most ? n - at : most);
    return r;
}

REALM_EXPORT(run) int32_t run(void)
{
    size_t cap = (size_t)realm_input_len() + 1;
    char *request = realm_pages(cap), *text;
    int32_t n = request ? realm_read_input(request, cap) : REALM_ENOMEM;
    int32_t model;
    uint32_t *ids;

    if (n < 0)
        return realm_failed("request", n);
    model = realm_model_open(NULL, 0); /* an empty name is the run's own model */
    if (model < 0)
        return realm_failed("model", model);
    ids = realm_pages(cap * sizeof *ids); /* an id takes a byte of the request at least */
    n = ids ? realm_chat_tokens((uint32_t)model, request, (size_t)n, ids, cap) : REALM_ENOMEM;
    if (n < 0)
        return realm_failed("tokens", n);
    n = decode((uint32_t)model, ids, (size_t)n, &text);
    if (n >= 0)
        n = emit_all(text, (size_t)n);
    return n < 0 ? realm_failed("text", n) : 0;
}
