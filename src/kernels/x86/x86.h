/* Private to x86/: what the matmul files of a level hand to its init function. */
#ifndef RL_KERNELS_X86_H
#define RL_KERNELS_X86_H

#include "kernels/kernels.h"

void rl_quantize_row_avx2(rl_acts *a, uint32_t row, const float *x);
void rl_quantize_row_avx512(rl_acts *a, uint32_t row, const float *x);

#endif
