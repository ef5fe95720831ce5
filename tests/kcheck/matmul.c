/* Matmul of the level under test against the reference, bit for bit; and the reference against a
 * plain sum in double precision. */
#include "weights.h"

#define MAX_M 65u

typedef struct problem {
    matrix weights;
    rl_acts acts; /* [MAX_M] rows */
    uint8_t *act_memory;
    float *want; /* [MAX_M][ldo], by the reference */
    float *got;  /* the same and a guard; misaligned by one float */
    float *got_memory;
    size_t ldo;
    uint8_t *scratch; /* with a guard */
    size_t scratch_bytes;
} problem;

static void *checked(void *p)
{
    assert_non_null(p);
    return p;
}

static void fill_acts(problem *p, bool extreme, uint64_t *random)
{
    float *x = checked(rl_alloc_array(p->acts.k, sizeof *x));

    for (uint32_t row = 0; row < MAX_M; row++) {
        random_fill(random, x, p->acts.k, 4.0f);
        for (uint32_t c = 0; extreme && c < p->acts.k; c++)
            x[c] = row % 3 == 0 ? 1.0f : row % 3 == 1 ? -1.0f : c / 4 % 2 ? 1.0f : -1.0f;
        if (row % 7 == 3)
            memset(x, 0, p->acts.k / 2 * sizeof *x);
        rl_kernels_of(RL_LEVEL_REF)->quantize_row(&p->acts, row, x);
    }
    rl_free(x);
}

static problem problem_new(rl_type type, uint32_t n, uint32_t k, fill_kind kind, uint64_t *random)
{
    const uint32_t forms = 1u << rl_type_get(type)->act | 1u << RL_ACT_F32;
    problem p = { .weights = matrix_new(type, n, k, kind, random) };

    p.act_memory = checked(rl_alloc_aligned(64, rl_acts_bytes(MAX_M, k, forms)));
    rl_acts_init(&p.acts, p.act_memory, MAX_M, k, forms);
    fill_acts(&p, kind != FILL_RANDOM, random);
    p.ldo = 16 * rl_weight_panels(n) + 3;
    p.want = checked(rl_alloc_array(MAX_M * p.ldo, sizeof(float)));
    p.got_memory = checked(rl_alloc_array(MAX_M * p.ldo + 1, sizeof(float)));
    p.got = p.got_memory + 1;
    p.scratch_bytes = rl_matmul_f32_scratch_bytes(k);
    p.scratch = checked(rl_alloc_aligned(64, p.scratch_bytes + GUARD));
    memset(p.scratch, GUARD_BYTE, p.scratch_bytes + GUARD);
    rl_matmul(rl_kernels_of(RL_LEVEL_REF), &p.weights.w, &p.acts, 0, MAX_M, 0, rl_weight_panels(n),
              p.want, p.ldo);
    return p;
}

static void problem_free(problem *p)
{
    assert_true(guard_holds(p->scratch + p->scratch_bytes, GUARD));
    rl_free(p->act_memory);
    rl_free(p->want);
    rl_free(p->got_memory);
    rl_free(p->scratch);
    matrix_free(&p->weights);
}

static void clear_got(problem *p)
{
    memset(p->got, GUARD_BYTE, MAX_M * p->ldo * sizeof(float));
}

/* got holds what was asked for in rows [row0, row1), panels [panel0, panel1), and the guard byte
 * everywhere else. */
static void check_got(const problem *p, uint32_t row0, uint32_t row1, uint32_t panel0,
                      uint32_t panel1)
{
    for (uint32_t row = 0; row < MAX_M; row++) {
        const float *got = p->got + row * p->ldo;
        uint32_t from = 16 * panel0, to = 16 * panel1;

        if (row < row0 || row >= row1)
            from = to = 0;
        assert_true(guard_holds((const uint8_t *)got, from * sizeof *got));
        if (!same_floats(got + from, p->want + row * p->ldo + from, to - from))
            fail_msg("%s k %u rows %u to %u, panels %u to %u: row %u differs",
                     rl_type_get(p->weights.w.type)->name, p->acts.k, row0, row1, panel0, panel1,
                     row);
        assert_true(guard_holds((const uint8_t *)(got + to), (p->ldo - to) * sizeof *got));
    }
}

static void run_and_check(const rl_kernels *kn, problem *p, uint32_t row0, uint32_t row1,
                          uint32_t panel0, uint32_t panel1)
{
    clear_got(p);
    rl_matmul(kn, &p->weights.w, &p->acts, row0, row1, panel0, panel1, p->got, p->ldo);
    check_got(p, row0, row1, panel0, panel1);
}

/* k of a type: multiples of its block, for floats also the tails of four chains. */
static uint32_t size_of(rl_type type, uint32_t i)
{
    static const uint32_t floats[] = { 1, 2, 3, 4, 7, 8, 33, 100, 256 };
    static const uint32_t blocks32[] = { 1, 2, 3, 4, 5, 7, 8, 9, 28 };
    static const uint32_t blocks256[] = { 1, 2, 3, 4, 5 };

    switch (rl_type_get(type)->block) {
    case 1:
        return i < 9 ? floats[i] : 0;
    case 32:
        return i < 9 ? blocks32[i] * 32 : 0;
    default:
        return i < 5 ? blocks256[i] * 256 : 0;
    }
}

static void every_number_of_rows_equals_the_reference(void **state)
{
    const rl_kernels *kn = *state;
    uint64_t random = 5;

    for (size_t t = 0; t < N_COMPUTED; t++) {
        for (uint32_t i = 0; size_of(computed_types[t], i); i++) {
            problem p = problem_new(computed_types[t], i % 2 ? 16 : 37,
                                    size_of(computed_types[t], i), FILL_RANDOM, &random);

            for (uint32_t m = 0; m <= MAX_M; m = m == 35 ? 64 : m + 1)
                run_and_check(kn, &p, 0, m, 0, rl_weight_panels(p.weights.w.n));
            problem_free(&p);
        }
    }
}

/* Long rows, of which rl_matmul takes only some at a time through the panels. */
static void long_rows_equal_the_reference(void **state)
{
    const rl_kernels *kn = *state;
    uint64_t random = 11;

    for (size_t t = 0; t < N_COMPUTED; t++) {
        problem p = problem_new(computed_types[t], 20, 9216, FILL_RANDOM, &random);

        run_and_check(kn, &p, 0, MAX_M, 0, 2);
        run_and_check(kn, &p, 5, 55, 1, 2);
        problem_free(&p);
    }
}

static void extremes_equal_the_reference(void **state)
{
    static const uint32_t rows[] = { 1, 3, 8, 12, 26, MAX_M };
    const rl_kernels *kn = *state;
    uint64_t random = 6;

    for (size_t t = 0; t < N_COMPUTED; t++) {
        for (fill_kind kind = FILL_ONES; kind < FILL_KINDS; kind++) {
            uint32_t block = rl_type_get(computed_types[t])->block;
            problem p = problem_new(computed_types[t], 16, 3 * block, kind, &random);

            for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                run_and_check(kn, &p, 0, rows[i], 0, 1);
            problem_free(&p);
        }
    }
}

/* Row i is the same whatever rows and panels it is computed with. */
static void splits_do_not_change_rows(void **state)
{
    const rl_kernels *kn = *state;
    uint64_t random = 7;

    for (size_t t = 0; t < N_COMPUTED; t++) {
        problem p = problem_new(computed_types[t], 61, 512, FILL_RANDOM, &random);

        for (int i = 0; i < 60; i++) {
            uint32_t row0 = random_below(&random, MAX_M + 1);
            uint32_t row1 = row0 + random_below(&random, MAX_M + 1 - row0);
            uint32_t panel0 = random_below(&random, 5);
            uint32_t panel1 = panel0 + random_below(&random, 5 - panel0);

            run_and_check(kn, &p, row0, row1, panel0, panel1);
        }
        problem_free(&p);
    }
}

/* The same weights by dequantised floats: the level against the reference, which is against a sum
 * in double precision. */
static void the_f32_path_equals_the_reference(void **state)
{
    const rl_kernels *kn = *state, *ref = rl_kernels_of(RL_LEVEL_REF);
    uint64_t random = 8;

    for (size_t t = 0; t < N_COMPUTED; t++) {
        problem p = problem_new(computed_types[t], 37, 512, FILL_RANDOM, &random);

        rl_matmul_f32(ref, &p.weights.w, &p.acts, 0, MAX_M, 0, 3, p.want, p.ldo, p.scratch);
        for (uint32_t m = 1; m <= MAX_M; m += 16) {
            clear_got(&p);
            rl_matmul_f32(kn, &p.weights.w, &p.acts, 0, m, 0, 3, p.got, p.ldo, p.scratch);
            check_got(&p, 0, m, 0, 3);
        }
        problem_free(&p);
    }
}

/* Activation column c of a row as the type's matmul sees it. */
static double act_value(const problem *p, uint32_t row, uint32_t c)
{
    const rl_act32 *b;

    if (rl_type_get(p->weights.w.type)->act == RL_ACT_F32)
        return (double)p->acts.f32[row * p->acts.k + c];
    b = rl_acts_q8(&p->acts, row) + c / 32;
    return (double)b->q[c % 32] * (double)b->s;
}

static void near_double_sums(const problem *p, bool quantised, float *w)
{
    for (uint32_t r = 0; r < p->weights.w.n; r++) {
        rl_dequant(p->weights.w.type, p->weights.rows + r * p->weights.row_bytes, p->acts.k, w);
        for (uint32_t row = 0; row < MAX_M; row += 9) {
            double sum = 0, size = 0;

            for (uint32_t c = 0; c < p->acts.k; c++) {
                double x =
                    quantised ? act_value(p, row, c) : (double)p->acts.f32[row * p->acts.k + c];

                sum += (double)w[c] * x;
                size += fabs((double)w[c] * x);
            }
            assert_true(fabs((double)p->want[row * p->ldo + r] - sum) <= 2e-6 * size + 1e-30);
        }
    }
}

static void the_reference_is_near_the_true_sum(void **state)
{
    uint64_t random = 9;

    (void)state;
    for (size_t t = 0; t < N_COMPUTED; t++) {
        problem p = problem_new(computed_types[t], 37, 768, FILL_RANDOM, &random);
        float *w = checked(rl_alloc_array(p.acts.k, sizeof *w));

        near_double_sums(&p, true, w);
        rl_matmul_f32(rl_kernels_of(RL_LEVEL_REF), &p.weights.w, &p.acts, 0, MAX_M, 0, 3, p.want,
                      p.ldo, p.scratch);
        near_double_sums(&p, false, w);
        rl_free(w);
        problem_free(&p);
    }
}

/* Every computed type has its own kernel at this level, and calls are counted under it. */
static void calls_are_counted_under_their_level(void **state)
{
    const rl_kernels *kn = *state;
    uint64_t random = 10;

    for (size_t t = 0; t < N_COMPUTED; t++) {
        rl_type type = computed_types[t];
        problem p = problem_new(type, 16, 256, FILL_RANDOM, &random);
        uint64_t before = rl_matmul_served(type, kn->level);

        assert_int_equal(kn->matmul_level[type], kn->level);
        run_and_check(kn, &p, 0, 2, 0, 1);
        assert_int_equal(rl_matmul_served(type, kn->level), before + 1);
        problem_free(&p);
    }
    assert_null(kn->matmul[RL_TYPE_IQ4_NL]);
}

static int start(void **state)
{
    *state = (void *)(uintptr_t)rl_kernels_get();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_rows_equals_the_reference),
        cmocka_unit_test(long_rows_equal_the_reference),
        cmocka_unit_test(extremes_equal_the_reference),
        cmocka_unit_test(splits_do_not_change_rows),
        cmocka_unit_test(the_f32_path_equals_the_reference),
        cmocka_unit_test(the_reference_is_near_the_true_sum),
        cmocka_unit_test(calls_are_counted_under_their_level),
    };

    if (!level_under_test())
        return SKIPPED;
    return cmocka_run_group_tests(tests, start, NULL);
}
