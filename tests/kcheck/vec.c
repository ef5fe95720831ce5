/* Vector operations: each level against the reference, bit for bit, and the reference against
 * double arithmetic. */
#include "kcheck.h"

#include <float.h>
#include <stdlib.h>

#define N_MAX  515u
#define CANARY 0x1.5a5a5ap+5f
#define PAD    16u

static const rl_kernels *kn, *ref;
static uint64_t rng = 7;

/* A NaN whose low bits would reach the exponent if 2^n were added to it. */
#define NAN_PAYLOAD __builtin_nanf("0x3fffff")

static const float specials[] = {
    0.0f,     -0.0f,    1.0f,    -1.0f,   INFINITY,   -INFINITY,  NAN,         FLT_MAX, -FLT_MAX,
    FLT_MIN,  -FLT_MIN, 88.72f,  88.73f,  0x1p-149f,  -0x1p-149f, -87.33f,     -87.34f, -103.97f,
    88.721f,  1e-10f,   -1e-10f, 1e20f,   -1e20f,     0x1.8p+23f, -1e13f,      87.0f,   2e-38f,
    0.34657f, -2e-38f,  -12.5f,  12345.f, -0x1p-126f, -0.346573f, NAN_PAYLOAD,
};
#define N_SPECIALS (sizeof specials / sizeof *specials)

/* Moderate numbers with a special one now and then. */
static void fill(float *x, size_t n)
{
    random_fill(&rng, x, n, 12.0f);
    for (size_t i = random_below(&rng, 9); i < n; i += 1 + random_below(&rng, 17))
        x[i] = specials[random_below(&rng, N_SPECIALS)];
}

/* One shape for the slots that work element by element. */
typedef enum op { ADD, SCALE, SILU, GELU, EXP, OPS } op;

static void run(const rl_kernels *k, op o, const float *a, const float *b, uint32_t n, float *y)
{
    switch (o) {
    case ADD:
        memcpy(y, b, n * sizeof *y);
        k->add(y, a, n);
        break;
    case SCALE:
        memcpy(y, a, n * sizeof *y);
        k->scale(y, -0.37f, n);
        break;
    case SILU:
        k->silu_mul(a, b, n, y);
        break;
    case GELU:
        k->gelu_mul(a, b, n, y);
        break;
    default:
        k->exp(a, n, y);
        break;
    }
}

static void elements_agree(void **state)
{
    static float a[N_MAX + PAD], b[N_MAX + PAD], got[N_MAX + 2 * PAD], want[N_MAX];

    (void)state;
    for (op o = ADD; o < OPS; o++)
        for (uint32_t n = 0; n <= N_MAX; n++) {
            uint32_t oa = n % 5, ob = n % 3, oy = n % 7;

            fill(a, N_MAX + PAD);
            fill(b, N_MAX + PAD);
            for (uint32_t i = 0; i < N_MAX + 2 * PAD; i++)
                got[i] = CANARY;
            run(kn, o, a + oa, b + ob, n, got + oy + 1);
            run(ref, o, a + oa, b + ob, n, want);
            assert_true(same_floats(got + oy + 1, want, n));
            assert_true(got[oy] == CANARY);
            for (uint32_t i = oy + 1 + n; i < N_MAX + 2 * PAD; i++)
                assert_true(got[i] == CANARY);
        }
}

static void every_special_meets_every_lane(void **state)
{
    float x[N_SPECIALS + PAD], one[N_SPECIALS + PAD], got[N_SPECIALS + PAD], want[N_SPECIALS + PAD];

    (void)state;
    for (uint32_t shift = 0; shift < 16; shift++)
        for (op o = SILU; o < OPS; o++) {
            uint32_t n = (uint32_t)N_SPECIALS + shift;

            for (uint32_t i = 0; i < n; i++) {
                x[i] = i < shift ? 0.5f : specials[i - shift];
                one[i] = 1.0f;
            }
            run(kn, o, x, one, n, got);
            run(ref, o, x, one, n, want);
            assert_true(same_floats(got, want, n));
        }
}

static void rmsnorm_agrees(void **state)
{
    static float x[4096 + PAD], w[4096 + PAD], got[4096 + PAD], want[4096];

    (void)state;
    for (uint32_t n = 16; n <= 4096; n += n < 528 ? 16 : 880) {
        for (int round = 0; round < 3; round++) {
            if (round == 2)
                fill(x, n + PAD);
            else
                random_fill(&rng, x, n + PAD, round ? 1e-22f : 30.0f);
            random_fill(&rng, w, n + PAD, 2.0f);
            got[n + 1] = CANARY;
            kn->rmsnorm(x + 3, w + 1, 1e-6f, n, got + 1);
            ref->rmsnorm(x + 3, w + 1, 1e-6f, n, want);
            assert_true(same_floats(got + 1, want, n));
            assert_true(got[n + 1] == CANARY);
            kn->rmsnorm(x + 3, w + 1, 1e-6f, n, x + 3);
            assert_true(same_floats(x + 3, want, n));
        }
    }
}

static void rmsnorm_is_right(void **state)
{
    float x[64], w[64], y[64];
    double sum = 0;

    (void)state;
    random_fill(&rng, x, 64, 5.0f);
    random_fill(&rng, w, 64, 2.0f);
    for (uint32_t i = 0; i < 64; i++)
        sum += (double)x[i] * (double)x[i];
    kn->rmsnorm(x, w, 1e-5f, 64, y);
    for (uint32_t i = 0; i < 64; i++) {
        double want = (double)x[i] * (double)w[i] / sqrt(sum / 64 + (double)1e-5f);

        assert_true(fabs((double)y[i] - want) <= 1e-6 * (fabs(want) + 1e-6));
    }
}

static double worst_ulps; /* of exp, for the report */

static void exp_is_close(void **state)
{
    enum { BATCH = 512 };
    float x[BATCH], y[BATCH];
    uint32_t bits = 0, n = 0;

    (void)state;
    for (; bits < 0x7f800000u; bits += 499) {
        for (int negative = 0; negative < 2; negative++) {
            float v;

            memcpy(&v, &bits, sizeof v);
            v = negative ? -v : v;
            if (v >= -87.33f && v <= 88.72f)
                x[n++] = v;
        }
        if (n + 2 <= BATCH && bits + 499 < 0x7f800000u)
            continue;
        kn->exp(x, n, y);
        for (uint32_t i = 0; i < n; i++) {
            double want = exp((double)x[i]);
            double ulp = ldexp(1.0, ilogb(want) - 23);
            double off = fabs((double)y[i] - want) / ulp;

            worst_ulps = off > worst_ulps ? off : worst_ulps;
        }
        n = 0;
    }
    (void)fprintf(stderr, "exp: at most %.3f ulp off\n", worst_ulps);
    assert_true(worst_ulps > 0.4 && worst_ulps < 2.0);
}

static void exp_ends_as_told(void **state)
{
    float x[] = { -87.34f, 88.73f, 0.0f, -0.0f, INFINITY, -INFINITY, NAN, 0x1p-149f };
    float y[8];

    (void)state;
    kn->exp(x, 8, y);
    assert_true(y[0] == 0.0f && y[1] == FLT_MAX && y[2] == 1.0f && y[3] == 1.0f);
    assert_true(y[4] == FLT_MAX && y[5] == 0.0f && isnan(y[6]) && y[7] == 1.0f);
}

static void activations_are_right(void **state)
{
    float one = 1.0f, y;

    (void)state;
    for (float x = -30.0f; x < 30.0f; x += 0.0137f) {
        double d = (double)x;
        double u = sqrt(2.0 / 3.14159265358979323846) * (d + 0.044715 * d * d * d);

        kn->silu_mul(&x, &one, 1, &y);
        assert_true(fabs((double)y - d / (1 + exp(-d))) <= 4e-7 * fabs(d / (1 + exp(-d))));
        kn->gelu_mul(&x, &one, 1, &y);
        assert_true(fabs((double)y - 0.5 * d * (1 + tanh(u))) <= 2e-6 * fabs(d));
    }
}

static void rope_agrees(void **state)
{
    static float x[7 * 256 + PAD], got[7 * 256 + 2 * PAD], want[7 * 256 + 2 * PAD];
    static float cs[128 + PAD], sn[128 + PAD];

    (void)state;
    for (uint32_t head_dim = 16; head_dim <= 256; head_dim += head_dim < 128 ? 16 : 128)
        for (uint32_t n_rot = 0; n_rot <= head_dim; n_rot += 2)
            for (uint32_t kind = 0; kind < 2; kind++) {
                uint32_t heads = 1 + n_rot % 7, off = n_rot % 5;

                fill(x, heads * head_dim + PAD);
                random_fill(&rng, cs, n_rot / 2 + PAD, 1.0f);
                random_fill(&rng, sn, n_rot / 2 + PAD, 1.0f);
                memcpy(got, x, sizeof x);
                memcpy(want, x, sizeof x);
                kn->rope(got + off, heads, head_dim, n_rot, cs + 1, sn + 3, (rl_rope_kind)kind);
                ref->rope(want + off, heads, head_dim, n_rot, cs + 1, sn + 3, (rl_rope_kind)kind);
                assert_true(same_floats(got, want, heads * head_dim + PAD));
            }
}

static void rope_turns(void **state)
{
    float x[6] = { 1, 2, 3, 4, 5, 6 }, c[2] = { 0, 1 }, s[2] = { 1, 0 };
    float norm[6] = { -2, 1, 3, 4, 5, 6 }, neox[6] = { -3, 2, 1, 4, 5, 6 }, y[6];

    (void)state;
    memcpy(y, x, sizeof y);
    kn->rope(y, 1, 6, 4, c, s, RL_ROPE_NORM);
    assert_memory_equal(y, norm, sizeof y);
    memcpy(y, x, sizeof y);
    kn->rope(y, 1, 6, 4, c, s, RL_ROPE_NEOX);
    assert_memory_equal(y, neox, sizeof y);
}

static void argmax_agrees(void **state)
{
    static float x[5000 + PAD];

    (void)state;
    for (uint32_t n = 1; n <= 5000; n += n < N_MAX ? 1 : 997) {
        uint32_t off = n % 5;

        for (int round = 0; round < 4; round++) {
            for (uint32_t i = 0; i < n + PAD; i++)
                x[i] = (float)random_below(&rng, round ? 4u * n : 3u); /* ties */
            if (round == 2)
                fill(x, n + PAD);
            if (round == 3)
                for (uint32_t i = 0; i < n; i++)
                    x[off + i] = random_below(&rng, 50) ? NAN : -INFINITY;
            x[off + n] = INFINITY; /* just outside */
            assert_int_equal(kn->argmax(x + off, n), ref->argmax(x + off, n));
        }
    }
}

static void argmax_is_right(void **state)
{
    float ties[] = { 1, 7, NAN, 7, 3 }, nans[] = { NAN, NAN, -INFINITY, NAN }, all[] = { NAN, NAN };
    float zeros[] = { -1, -0.0f, 0.0f };

    (void)state;
    assert_int_equal(kn->argmax(ties, 5), 1);
    assert_int_equal(kn->argmax(nans, 4), 2);
    assert_int_equal(kn->argmax(all, 2), 0);
    assert_int_equal(kn->argmax(zeros, 3), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_agree),
        cmocka_unit_test(every_special_meets_every_lane),
        cmocka_unit_test(rmsnorm_agrees),
        cmocka_unit_test(rmsnorm_is_right),
        cmocka_unit_test(exp_is_close),
        cmocka_unit_test(exp_ends_as_told),
        cmocka_unit_test(activations_are_right),
        cmocka_unit_test(rope_agrees),
        cmocka_unit_test(rope_turns),
        cmocka_unit_test(argmax_agrees),
        cmocka_unit_test(argmax_is_right),
    };

    kn = level_under_test();
    if (!kn)
        return SKIPPED;
    ref = rl_kernels_of(RL_LEVEL_REF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
