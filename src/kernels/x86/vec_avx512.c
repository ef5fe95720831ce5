/* Vector operations, AVX512. */
#include "kernels/init.h"

void rl_kernels_init_avx512_vec(rl_kernels *kn)
{
    (void)kn;
}
