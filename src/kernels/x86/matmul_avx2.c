/* The matmul slots of the AVX2 level. */
#include "kernels/init.h"
#include "kernels/x86/x86.h"

void rl_kernels_init_avx2_matmul(rl_kernels *kn)
{
    kn->quantize_row = rl_quantize_row_avx2;
}
