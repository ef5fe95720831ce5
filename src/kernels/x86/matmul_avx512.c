/* The matmul slots of the AVX-512 level. */
#include "kernels/init.h"
#include "kernels/x86/x86.h"

#define SET(type, name, level)                                                                     \
    kn->matmul[RL_TYPE_##type] = rl_matmul_##name##_##level;                                       \
    kn->matmul_level[RL_TYPE_##type] = RL_LEVEL_AVX512;

void rl_kernels_init_avx512_matmul(rl_kernels *kn)
{
    RL_X86_MATMULS(SET, avx512)
    kn->quantize_row = rl_quantize_row_avx512;
}
