/* Vector operations, AVX2. */
#include "kernels/init.h"

void rl_kernels_init_avx2_vec(rl_kernels *kn)
{
    (void)kn;
}
