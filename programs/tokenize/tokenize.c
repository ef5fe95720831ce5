/* tokenize: the program behind /tokenize; it is built into realm. Its reply is, for each token of
 * the Request's prompt, the id and the length of its text as little-endian u32, and the text. */
#include "realm.h"

#define SLACK    16384u /* tokens that a template may add */
#define TEXT_MAX 4096u  /* of one token */

/* Reads the request; a failure is negative. */
static int32_t read_request(char **request)
{
    size_t cap = (size_t)realm_input_len() + 1;

    *request = realm_pages(cap);
    return *request ? realm_read_input(*request, cap) : REALM_ENOMEM;
}

static int32_t emit_token(uint32_t model, uint32_t id)
{
    static char record[8 + TEXT_MAX];
    int32_t n = realm_decode(model, &id, 1, record + 8, TEXT_MAX, 0);

    if (n < 0)
        return n;
    for (int i = 0; i < 4; i++) {
        record[i] = (char)(id >> (8 * i));
        record[4 + i] = (char)((uint32_t)n >> (8 * i));
    }
    return realm_emit(record, 8 + (size_t)n);
}

REALM_EXPORT(run) int32_t run(void)
{
    char *request;
    int32_t n = read_request(&request), model, r = 0;
    uint32_t *ids, cap;

    if (n < 0)
        return realm_failed("request", n);
    model = realm_model_open(NULL, 0); /* an empty name is the run's own model */
    if (model < 0)
        return realm_failed("model", model);
    cap = (uint32_t)n * 2 + SLACK;
    ids = realm_pages(cap * sizeof *ids);
    n = ids ? realm_chat_tokens((uint32_t)model, request, (size_t)n, ids, cap) : REALM_ENOMEM;
    for (int32_t i = 0; i < n && r >= 0; i++)
        r = emit_token((uint32_t)model, ids[i]);
    n = n < 0 ? n : r;
    return n < 0 ? realm_failed("tokens", n) : 0;
}
