/* Private to the room: who fills rl_kernels. Each function overwrites only its own slots; the
 * reference ones are called first, then each level upwards (kernels.c). A level's file is compiled
 * with that level's instructions, so nothing in it may run before the CPU was asked. */
#ifndef RL_KERNELS_INIT_H
#define RL_KERNELS_INIT_H

#include "kernels/kernels.h"

/* matmul, matmul_level, quantize_row */
void rl_kernels_init_ref_matmul(rl_kernels *kn);
void rl_kernels_init_avx2_matmul(rl_kernels *kn);
void rl_kernels_init_avx512_matmul(rl_kernels *kn);

void rl_quantize_row_ref(rl_acts *a, uint32_t row, const float *x);

/* every other slot */
void rl_kernels_init_ref_vec(rl_kernels *kn);
void rl_kernels_init_avx2_vec(rl_kernels *kn);
void rl_kernels_init_avx512_vec(rl_kernels *kn);

#endif
