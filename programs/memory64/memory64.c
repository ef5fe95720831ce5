/* memory64: a program with 64-bit addresses. The source is that of any other: pointers and lengths
 * are 64 bits wide, everything else is the same.
 *
 * It puts the prompt and the answer into memory that it asks for as it goes, and sets every option
 * of the generation itself. The input is the prompt as plain text. */
#include "realm.h"

_Static_assert(sizeof(void *) == 8, "build with --target=wasm64");

REALM_EXPORT(run) int32_t run(void)
{
    const realm_generate_options options = { .max_tokens = 64, .repetition_penalty = 1.0f };
    const size_t cap = 65536;
    size_t len = (size_t)realm_input_len();
    char *prompt = realm_pages(len + 1);
    char *answer = realm_pages(cap);
    int32_t n;

    n = prompt && answer ? realm_read_input(prompt, len + 1) : REALM_ENOMEM;
    if (n < 0)
        return realm_failed("prompt", n);
    n = realm_host_generate_opts(0, prompt, len, &options, answer, cap);
    if (n < 0)
        return realm_failed("generate", n);
    n = realm_emit(answer, (size_t)n);
    return n < 0 ? realm_failed("reply", n) : 0;
}
