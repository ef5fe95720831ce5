/* Types, packing and quantisation: sizes and dequantised values against the Python package gguf,
 * panels unpacked against file rows, half precision against its definition, quantize_row of the
 * level under test against the reference. */
#include "weights.h"

#include <float.h>
#include <stdlib.h>

/* ---- values from outside --------------------------------------------------------------------- */

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;

    for (; hex[0] && hex[1]; hex += 2) {
        char two[3] = { hex[0], hex[1], 0 };

        out[n++] = (uint8_t)strtoul(two, NULL, 16);
    }
    return n;
}

static unsigned long number(const char *text)
{
    assert_non_null(text);
    return strtoul(text, NULL, 10);
}

static rl_type type_named(const char *name)
{
    for (uint32_t t = 0; t < RL_TYPE_COUNT; t++)
        if (rl_type_get(t) && strcmp(rl_type_get(t)->name, name) == 0)
            return (rl_type)t;
    fail_msg("no type %s", name);
    return RL_TYPE_COUNT;
}

static void check_values(const char *name, const char *blocks_hex, const char *floats_hex)
{
    static uint8_t blocks[8192], want[16384];
    static float got[4096];
    rl_type type = type_named(name);
    size_t bytes = unhex(blocks_hex, blocks), n = unhex(floats_hex, want) / sizeof(float);

    assert_int_equal(bytes / rl_type_get(type)->block_bytes * rl_type_get(type)->block, n);
    rl_dequant(type, blocks, n, got);
    if (!same_floats(got, (const float *)(const void *)want, n))
        fail_msg("%s dequantises differently", name);
}

static void vectors_match(void **state)
{
    static char line[65536];
    FILE *f = fopen(VECTORS, "r");
    int sizes = 0, values = 0;

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char *rest = line, *kind = strsep(&rest, " \n"), *name = strsep(&rest, " \n");
        char *a = strsep(&rest, " \n"), *b = strsep(&rest, " \n"), *c = strsep(&rest, " \n");

        assert_non_null(b);
        if (strcmp(kind, "values") == 0) {
            check_values(name, a, b);
            values++;
            continue;
        }
        assert_int_equal(type_named(name), number(a));
        assert_int_equal(rl_type_get(type_named(name))->block, number(b));
        assert_int_equal(rl_type_get(type_named(name))->block_bytes, number(c));
        sizes++;
    }
    (void)fclose(f);
    assert_int_equal(sizes, 33);
    assert_int_equal(values, 7);
}

static void unknown_types_have_no_size(void **state)
{
    (void)state;
    assert_null(rl_type_get(4));
    assert_null(rl_type_get(RL_TYPE_COUNT));
    assert_null(rl_type_get(UINT32_MAX));
    assert_int_equal(rl_type_row_bytes(RL_TYPE_Q4_K, 257), 0);
    assert_int_equal(rl_type_row_bytes(RL_TYPE_F64, UINT64_MAX), 0);
    assert_int_equal(rl_type_row_bytes(RL_TYPE_Q8_0, 64), 68);
}

/* ---- half precision -------------------------------------------------------------------------- */

static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = rl_f16_to_f32((uint16_t)h);

        if (isnan(f)) {
            assert_int_equal(h & 0x7c00, 0x7c00);
            continue;
        }
        assert_int_equal(rl_f32_to_f16(f), h);
        if (isinf(f) || (h & 0x7fff) == 0x7bff)
            continue;
        /* between h and its neighbour outwards: the midpoint goes to the even one */
        float next = rl_f16_to_f32((uint16_t)(h + 1)), mid = f + (next - f) * 0.5f;

        assert_int_equal(rl_f32_to_f16(mid), h & 1 ? h + 1 : h);
        assert_int_equal(rl_f32_to_f16(nextafterf(mid, f)), h);
        assert_int_equal(rl_f32_to_f16(nextafterf(mid, next)), h + 1);
    }
    assert_int_equal(rl_f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(rl_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(rl_f32_to_f16(-FLT_MAX), 0xfc00);
    assert_true(isnan(rl_f16_to_f32(rl_f32_to_f16(NAN))));
    assert_int_equal(rl_f32_to_bf16(1.00390625f), 0x3f80);   /* halfway, to even */
    assert_int_equal(rl_f32_to_bf16(1.01171875f), 0x3f82);   /* halfway, to even */
    assert_int_equal(rl_f32_to_bf16(1.0039063692f), 0x3f81); /* just above */
    assert_int_equal(rl_f32_to_bf16(FLT_MAX), 0x7f80);
    assert_true(isnan(rl_bf16_to_f32(rl_f32_to_bf16(NAN))));
}

/* ---- packing --------------------------------------------------------------------------------- */

static void check_panel(rl_type type, uint32_t n, uint32_t k, fill_kind kind, uint64_t *random)
{
    matrix m = matrix_new(type, n, k, kind, random);
    float *got = rl_alloc_array(k, sizeof *got), *want = rl_alloc_array(k, sizeof *want);

    assert_non_null(got);
    assert_non_null(want);
    for (uint32_t r = 0; r < 16 * rl_weight_panels(n); r++) {
        rl_panel_unpack_row(type, k, m.memory + r / 16 * m.w.panel_bytes, r % 16, got);
        if (r < n) {
            rl_dequant(type, m.rows + r * m.row_bytes, k, want);
            assert_true(same_floats(got, want, k));
            continue;
        }
        for (uint32_t c = 0; c < k; c++) /* rows that pad the last panel */
            assert_true(got[c] == 0.0f);
    }
    rl_free(got);
    rl_free(want);
    matrix_free(&m);
}

static void panels_unpack_to_the_same_floats(void **state)
{
    static const uint32_t rows[] = { 1, 15, 16, 17, 40 };
    uint64_t random = 1;

    (void)state;
    for (size_t t = 0; t < N_COMPUTED; t++)
        for (uint32_t blocks = 1; blocks <= 5; blocks++)
            for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                for (fill_kind kind = 0; kind < FILL_KINDS; kind++)
                    check_panel(computed_types[t], rows[i],
                                blocks * rl_type_get(computed_types[t])->block, kind, &random);
}

/* Packing keeps the bits per weight: at most one head per panel is padding. */
static void panels_are_as_small_as_rows(void **state)
{
    (void)state;
    for (size_t t = 0; t < N_COMPUTED; t++) {
        uint32_t k = 8 * 256;
        size_t file = 16 * rl_type_row_bytes(computed_types[t], k);

        assert_int_equal(rl_panel_bytes(computed_types[t], k), file);
    }
}

/* ---- quantize_row ---------------------------------------------------------------------------- */

#define K 768u

static void fill_row(float *x, uint32_t kind, uint64_t *random)
{
    static const float sizes[] = { 1.0f, 1e-30f, 1e30f, 1e-38f, 1e-44f, 0.0f };

    for (uint32_t i = 0; i < K; i++) {
        if (kind < 6)
            x[i] = random_float(random) * sizes[kind];
        else if (kind == 6) /* ties: multiples of half a step */
            x[i] = (float)((int)random_below(random, 509) - 254) * 0.5f;
        else if (kind == 7) /* sizes from denormal to huge side by side */
            x[i] = ldexpf(random_float(random), (int)random_below(random, 276) - 149);
        else
            x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
        if (kind == 6 && i % 32 == 5)
            x[i] = 127.0f; /* makes the step exactly 1 */
    }
    if (kind == 9)
        x[40] = NAN;
    if (kind == 10)
        x[300] = -INFINITY;
}

static void compare_rows(const rl_acts *got, const rl_acts *want, uint32_t row)
{
    assert_memory_equal(got->f32 + row * K, want->f32 + row * K, K * sizeof(float));
    for (uint32_t b = 0; b < K / 32; b++) {
        const rl_act32 *g = rl_acts_q8(got, row) + b, *w = rl_acts_q8(want, row) + b;

        assert_memory_equal(g->q, w->q, sizeof g->q);
        assert_true(same_floats(&g->s, &w->s, 1));
        assert_true(same_floats(&g->sum, &w->sum, 1));
        assert_int_equal(g->bias, w->bias);
        assert_memory_equal(g->bias16, w->bias16, sizeof g->bias16);
        for (size_t i = 0; i < sizeof g->q; i++)
            assert_int_not_equal(g->q[i], -128);
    }
}

static void quantized_rows_equal_the_reference(void **state)
{
    const rl_kernels *kn = *state, *ref = rl_kernels_of(RL_LEVEL_REF);
    const uint32_t m = 5, forms = (1u << RL_ACT_FORMS) - 1;
    const size_t bytes = rl_acts_bytes(m, K, forms);
    uint8_t *one = rl_alloc_aligned(64, bytes + GUARD), *two = rl_alloc_aligned(64, bytes);
    float x[K + 1];
    uint64_t random = 3;
    rl_acts a, b;

    assert_non_null(one);
    assert_non_null(two);
    memset(one + bytes, GUARD_BYTE, GUARD);
    rl_acts_init(&a, one, m, K, forms);
    rl_acts_init(&b, two, m, K, forms);
    for (uint32_t i = 0; i < 55; i++) {
        fill_row(x + i % 2, i % 11, &random); /* aligned and not */
        kn->quantize_row(&a, i % m, x + i % 2);
        ref->quantize_row(&b, i % m, x + i % 2);
        compare_rows(&a, &b, i % m);
    }
    assert_true(guard_holds(one + bytes, GUARD));
    rl_free(one);
    rl_free(two);
}

/* The reference against its definition, in double precision. */
static void the_reference_quantizes_as_defined(void **state)
{
    const rl_kernels *ref = rl_kernels_of(RL_LEVEL_REF);
    const uint32_t forms = 1u << RL_ACT_Q8;
    uint8_t *memory = rl_alloc_aligned(64, rl_acts_bytes(1, K, forms));
    float x[K];
    uint64_t random = 4;
    rl_acts a;

    (void)state;
    assert_non_null(memory);
    rl_acts_init(&a, memory, 1, K, forms);
    for (uint32_t kind = 0; kind < 9; kind++) {
        fill_row(x, kind, &random);
        ref->quantize_row(&a, 0, x);
        for (uint32_t i = 0; i < K; i++) {
            const rl_act32 *r = rl_acts_q8(&a, 0) + i / 32;
            double error = fabs((double)r->q[i % 32] * (double)r->s - (double)x[i]);

            assert_true(error <= 0.50001 * (double)r->s || (r->s == 0.0f && fabsf(x[i]) < 2e-36f));
        }
        for (uint32_t i = 0; i < K; i += 32) {
            const rl_act32 *r = rl_acts_q8(&a, 0) + i / 32;
            int half[2] = { 0, 0 };

            for (uint32_t c = 0; c < 32; c++)
                half[c / 16] += r->q[c];
            assert_int_equal(r->bias, -128 * (half[0] + half[1]));
            assert_int_equal(r->bias16[0], -32 * half[0]);
            assert_int_equal(r->bias16[1], -32 * half[1]);
            assert_true(r->sum == r->s * (float)(half[0] + half[1]));
        }
    }
    rl_free(memory);
}

static int start(void **state)
{
    *state = (void *)(uintptr_t)rl_kernels_get();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_match),
        cmocka_unit_test(unknown_types_have_no_size),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(panels_unpack_to_the_same_floats),
        cmocka_unit_test(panels_are_as_small_as_rows),
        cmocka_unit_test(quantized_rows_equal_the_reference),
        cmocka_unit_test(the_reference_quantizes_as_defined),
    };

    if (!level_under_test())
        return SKIPPED;
    return cmocka_run_group_tests(tests, start, NULL);
}
