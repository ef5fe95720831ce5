/* Weight types: their numbers and block shapes in GGUF files, and Realm's packed form.
 *
 * A packed matrix [n rows][k columns] is a run of panels of 16 rows (R16). Inside a panel the 16
 * rows are interleaved, so that output r of the panel has a vector lane of its own; the bits per
 * weight are those of the file and packing is exact: a row unpacked again dequantises to the same
 * floats. Rows past n in the last panel are zero weights. Layout per type: see pack.c. */
#ifndef RL_KERNELS_QUANT_H
#define RL_KERNELS_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RL_PANEL_ROWS 16u

/* The numbers of the GGUF format (ggml types). Every one that a file may name is here, so that
 * sizes can be checked and a report can name it; `compute` in the traits says which ones Realm
 * runs. */
typedef enum rl_type {
    RL_TYPE_F32 = 0,
    RL_TYPE_F16 = 1,
    RL_TYPE_Q4_0 = 2,
    RL_TYPE_Q4_1 = 3,
    RL_TYPE_Q5_0 = 6,
    RL_TYPE_Q5_1 = 7,
    RL_TYPE_Q8_0 = 8,
    RL_TYPE_Q8_1 = 9,
    RL_TYPE_Q2_K = 10,
    RL_TYPE_Q3_K = 11,
    RL_TYPE_Q4_K = 12,
    RL_TYPE_Q5_K = 13,
    RL_TYPE_Q6_K = 14,
    RL_TYPE_Q8_K = 15,
    RL_TYPE_IQ2_XXS = 16,
    RL_TYPE_IQ2_XS = 17,
    RL_TYPE_IQ3_XXS = 18,
    RL_TYPE_IQ1_S = 19,
    RL_TYPE_IQ4_NL = 20,
    RL_TYPE_IQ3_S = 21,
    RL_TYPE_IQ2_S = 22,
    RL_TYPE_IQ4_XS = 23,
    RL_TYPE_I8 = 24,
    RL_TYPE_I16 = 25,
    RL_TYPE_I32 = 26,
    RL_TYPE_I64 = 27,
    RL_TYPE_F64 = 28,
    RL_TYPE_IQ1_M = 29,
    RL_TYPE_BF16 = 30,
    RL_TYPE_TQ1_0 = 34,
    RL_TYPE_TQ2_0 = 35,
    RL_TYPE_MXFP4 = 39,
    RL_TYPE_NVFP4 = 40,
    RL_TYPE_Q1_0 = 41,
    RL_TYPE_COUNT = 42
} rl_type;

/* The forms in which a matmul takes its activations. */
typedef enum rl_act_form {
    RL_ACT_F32 = 0, /* unquantised: F32, F16 and BF16 weights, and the reference path */
    RL_ACT_Q8 = 1,  /* int8, one f32 scale per 32 columns: every quantised type */
    RL_ACT_FORMS = 2
} rl_act_form;

typedef struct rl_type_traits {
    const char *name;     /* "Q4_K" */
    uint16_t block;       /* weights per block; a row is a whole number of blocks */
    uint16_t block_bytes; /* bytes per block in the file */
    bool compute;         /* Realm has kernels for it */
    rl_act_form act;      /* what its matmul takes, when `compute` */
} rl_type_traits;

/* -> the traits of a type number of a file, NULL when the number is unknown. */
const rl_type_traits *rl_type_get(uint32_t type);

/* Bytes of one file row of k weights; 0 when k is not a whole number of blocks. */
size_t rl_type_row_bytes(rl_type type, uint64_t k);

/* Bytes of one packed panel of 16 rows x k weights: a multiple of 64. `type` has compute. */
size_t rl_panel_bytes(rl_type type, uint32_t k);

/* Packs n_rows (1..16) file rows, row_bytes apart, into one panel.
 * panel  [rl_panel_bytes(type, k)], 64-byte aligned, wholly written */
void rl_panel_pack(rl_type type, uint32_t k, uint32_t n_rows, const void *rows, size_t row_bytes,
                   void *panel);

/* Dequantises row r (0..15) of a panel into out [k]. Exact: the same bits as from the file. */
void rl_panel_unpack_row(rl_type type, uint32_t k, const void *panel, uint32_t r, float *out);

/* Dequantises n weights of a file's row, n a multiple of the block. The definition of the types. */
void rl_dequant(rl_type type, const void *blocks, size_t n, float *out);

/* Half precision <-> single, exact widening, round to nearest even. */
float rl_f16_to_f32(uint16_t h);
uint16_t rl_f32_to_f16(float f);
static inline float rl_bf16_to_f32(uint16_t b)
{
    union {
        uint32_t u;
        float f;
    } v = { .u = (uint32_t)b << 16 };

    return v.f;
}
uint16_t rl_f32_to_bf16(float f); /* round to nearest even; NaN stays NaN */

#endif
