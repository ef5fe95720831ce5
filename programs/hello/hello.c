/* hello: the smallest program. The host puts the prompt into our memory, calls `generate`, and
 * reads the reply up to its NUL. In between we ask the host to complete the prompt. */
#include "realm.h"

static char reply[16384];

REALM_EXPORT(generate) const char *generate(const char *prompt, size_t len)
{
    /* One byte less than there is, so that the NUL always fits. */
    int32_t n = realm_host_generate(0, prompt, len, reply, sizeof reply - 1);

    if (n < 0) {
        realm_failed("generate", n);
        return NULL; /* fails the run */
    }
    reply[n] = 0;
    return reply;
}
