/* The matmul slots of the AVX2 level. */
#include "kernels/init.h"
#include "kernels/x86/x86.h"

#define SET(type, name, level)                                                                     \
    kn->matmul[RL_TYPE_##type] = rl_matmul_##name##_##level;                                       \
    kn->matmul_level[RL_TYPE_##type] = RL_LEVEL_AVX2;

void rl_kernels_init_avx2_matmul(rl_kernels *kn)
{
    RL_X86_MATMULS(SET, avx2)
    kn->quantize_row = rl_quantize_row_avx2;
}
