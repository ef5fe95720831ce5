/* Fills 64 KiB of its own, waits in realm_host_generate for a greedy completion, and sends it; 7
 * when its own data is no longer what it was. Input: "TOKENS PROMPT". */
#include "realm.h"

static unsigned char own[65536];

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 + (i >> 8) + 1);
}

REALM_EXPORT(run) int32_t run(void)
{
    static char input[8192], answer[8192];
    realm_generate_options options = { .repetition_penalty = 1.0f };
    int32_t n = realm_read_input(input, sizeof input), at = 0;

    for (size_t i = 0; i < sizeof own; i++)
        own[i] = pattern(i);
    while (at < n && input[at] >= '0' && input[at] <= '9')
        options.max_tokens = options.max_tokens * 10 + (uint32_t)(input[at++] - '0');
    at++;
    if (n < at)
        return realm_failed("input", REALM_EINVAL);
    n = realm_host_generate_opts(0, input + at, (size_t)(n - at), &options, answer, sizeof answer);
    if (n < 0)
        return realm_failed("generate", n);
    for (size_t i = 0; i < sizeof own; i++)
        if (own[i] != pattern(i))
            return 7;
    return realm_emit(answer, (size_t)n);
}
