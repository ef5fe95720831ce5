/* spin: lets its model write, reads a little of it now and then, and computes all the time between;
 * says nothing, and comes to no end of its own. */
#include "realm.h"

REALM_EXPORT(run) int32_t run(void)
{
    static char request[65536], piece[64];
    int32_t n = realm_read_input(request, sizeof request);
    int32_t model = n < 0 ? n : realm_model_open(NULL, 0);
    int32_t stream = model < 0 ? model : realm_generate_chat((uint32_t)model, request, (size_t)n);

    if (stream < 0)
        return realm_failed("spin", stream);
    for (;;) {
        for (volatile uint32_t i = 0; i < 5000000; i++)
            ;
        (void)realm_stream_read((uint32_t)stream, piece, sizeof piece);
    }
}
