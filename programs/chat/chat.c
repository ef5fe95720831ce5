/* chat: the program behind every plain chat completion; it is built into realm.
 *
 * It hands the request to the model and splices the model's stream into the reply. The host then
 * delivers token by token without waking us, so this costs nothing per token. A tenant who wants
 * more (a filter, a tool, a second opinion) starts from here. */
#include "realm.h"

REALM_EXPORT(run) int32_t run(void)
{
    size_t cap = (size_t)realm_input_len() + 1;
    char *request = realm_pages(cap);
    int32_t n = request ? realm_read_input(request, cap) : REALM_ENOMEM;
    int32_t model, stream;

    if (n < 0)
        return realm_failed("request", n);
    model = realm_model_open(NULL, 0); /* an empty name is the run's own model */
    if (model < 0)
        return realm_failed("model", model);
    stream = realm_generate_chat((uint32_t)model, request, (size_t)n);
    if (stream < 0)
        return realm_failed("chat", stream);
    n = realm_emit_stream((uint32_t)stream, 0);
    return n < 0 ? realm_failed("reply", n) : 0;
}
