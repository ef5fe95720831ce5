/* The constants of Realm's e^x, silu and gelu, shared by every level.
 *
 * exp, operation by operation (every line one rounding), for RL_EXP_MIN <= x <= RL_EXP_MAX:
 *   t = fma(x, LOG2E, MAGIC)        the integer n nearest x / ln 2 sits in t's low bits
 *   n = t - MAGIC
 *   r = fma(n, -LN2_HI, x);  r = fma(n, -LN2_LO, r)
 *   p = C6;  p = fma(p, r, c) for c = C5, C4, C3, C2, 1, 1
 *   e^x = p * 2^n                   exact: p in [0.70, 1.42] and the result is normal
 * Below RL_EXP_MIN the answer is 0, above RL_EXP_MAX it is FLT_MAX, NaN stays NaN. The error is
 * below 1 ulp (tests/kcheck/vec.c measures it). The coefficients are a minimax fit of relative
 * error 4e-9 on |r| <= ln 2 / 2. */
#ifndef RL_KERNELS_EXP_H
#define RL_KERNELS_EXP_H

#define RL_EXP_MIN    -87.33f
#define RL_EXP_MAX    88.72f
#define RL_EXP_LOG2E  0x1.715476p+0f
#define RL_EXP_MAGIC  0x1.8p+23f
#define RL_EXP_LN2_HI 0x1.62e400p-1f /* 15 bits: n * LN2_HI is exact */
#define RL_EXP_LN2_LO 0x1.7f7d1cp-20f
#define RL_EXP_C2     0x1.fffffcp-2f
#define RL_EXP_C3     0x1.555492p-3f
#define RL_EXP_C4     0x1.5558f2p-5f
#define RL_EXP_C5     0x1.123a20p-7f
#define RL_EXP_C6     0x1.6a23cep-10f

/* gelu(x) = x / (1 + exp(w)), w = fma(x * x * x, CUBE, x) * W, W = -2 sqrt(2 / pi) */
#define RL_GELU_CUBE 0.044715f
#define RL_GELU_W    -0x1.988454p+0f

#endif
