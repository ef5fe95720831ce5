/* The table of architectures. Adding one: a row here and, where its file's keys need more than the
 * common reading, a function in arch_<family>.c. */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

static const rl_arch archs[] = {
    { .name = "llama",
      .rope = RL_ROPE_NORM,
      .act = RL_ACT_SILU,
      .rope_factors = true,
      .default_base = 10000.0f },
    { .name = "qwen2",
      .rope = RL_ROPE_NEOX,
      .act = RL_ACT_SILU,
      .qkv_bias = true,
      .default_base = 10000.0f },
    { .name = "qwen3",
      .rope = RL_ROPE_NEOX,
      .act = RL_ACT_SILU,
      .qk_norm = true,
      .default_base = 10000.0f },
    { .name = "gemma3",
      .rope = RL_ROPE_NEOX,
      .act = RL_ACT_GELU,
      .qk_norm = true,
      .post_norms = true,
      .default_base = 1000000.0f,
      .read = rl_arch_read_gemma3 },
};

const rl_arch *rl_arch_find(rl_text name)
{
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++) {
        if (strlen(archs[i].name) == name.n && memcmp(archs[i].name, name.p, name.n) == 0)
            return &archs[i];
    }
    return NULL;
}

void rl_arch_names(char *out, size_t n)
{
    size_t at = 0;

    out[0] = 0;
    for (size_t i = 0; i < sizeof archs / sizeof archs[0] && at < n; i++) {
        int k = snprintf(out + at, n - at, "%s%s", i ? ", " : "", archs[i].name);

        at += k > 0 ? (size_t)k : 0;
    }
}
