/* Activations in the forms matmuls take: carving of the caller's memory. */
#include "kernels/kernels.h"

#include "base/assert.h"

/* Row strides are an odd number of cache lines: the rows of a tile are read side by side, and a
 * power of two between them would make them fight for the same sets of the cache. */
static size_t odd_lines(size_t bytes)
{
    size_t lines = (bytes + 63) / 64;

    return (lines | 1) * 64;
}

static size_t row_bytes(rl_act_form form, uint32_t k)
{
    return form == RL_ACT_Q8 ? odd_lines(k / 32 * sizeof(rl_act32)) : sizeof(float) * k;
}

static size_t form_bytes(rl_act_form form, uint32_t m, uint32_t k)
{
    return (m * row_bytes(form, k) + 63) / 64 * 64;
}

size_t rl_acts_bytes(uint32_t m, uint32_t k, uint32_t forms)
{
    size_t bytes = 0;

    for (uint32_t f = 0; f < RL_ACT_FORMS; f++)
        if (forms >> f & 1)
            bytes += form_bytes((rl_act_form)f, m, k);
    return bytes;
}

void rl_acts_init(rl_acts *a, void *memory, uint32_t m, uint32_t k, uint32_t forms)
{
    uint8_t *at = memory;

    RL_ASSERT(!(forms >> RL_ACT_Q8 & 1) || k % 32 == 0);
    *a = (rl_acts){ .m = m, .k = k, .forms = forms };
    if (forms >> RL_ACT_F32 & 1) {
        a->f32 = (float *)(void *)at;
        at += form_bytes(RL_ACT_F32, m, k);
    }
    if (forms >> RL_ACT_Q8 & 1) {
        a->q8 = at;
        a->q8_stride = row_bytes(RL_ACT_Q8, k);
    }
}
