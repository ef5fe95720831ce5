/* Attention and kv_put: each level against the reference, bit for bit, over block, segment and
 * window edges, with everything that is not written yet poisoned; the reference against double
 * arithmetic. */
#include "kcheck.h"

#include "base/alloc.h"

#define MAX_KEYS   1216u
#define MAX_BLOCKS (MAX_KEYS / RL_KV_BLOCK)
#define MAX_DIM    256u
#define MAX_ROWS   2048u
#define OUT_GAP    24u
#define CANARY     0x1.5a5a5ap+5f
#define K_OFFSET   64u

static const rl_kernels *kn, *ref;
static uint64_t rng = 11;

/* One sequence's KV of one head, with what was put into it. */
typedef struct cache {
    rl_kv_type type;
    uint32_t head_dim, n_keys;
    float size; /* of the values */
    size_t v_offset, block_bytes;
    uint8_t *memory;
    const void *blocks[MAX_BLOCKS];
    float *k, *v; /* [n_keys][head_dim] */
} cache;

static uint8_t *block_of(cache *c, uint32_t i)
{
    /* Not in order: 7 is prime to the number of blocks. */
    return c->memory + c->block_bytes * (i * 7 % MAX_BLOCKS);
}

static void put_key(cache *c, uint32_t key)
{
    size_t at = (size_t)key * c->head_dim;
    uint8_t *b = block_of(c, key / RL_KV_BLOCK);

    random_fill(&rng, c->k + at, c->head_dim, 2.0f);
    random_fill(&rng, c->v + at, c->head_dim, c->size);
    kn->kv_put(c->type, c->head_dim, c->k + at, c->v + at, b + K_OFFSET, b + c->v_offset,
               key % RL_KV_BLOCK);
}

/* A block that holds no key in [from, n_keys) is not even mapped to memory. */
static void cache_init(cache *c, rl_kv_type type, uint32_t head_dim, uint32_t from, uint32_t n_keys,
                       float size)
{
    size_t slab = rl_kv_slab_bytes(type, head_dim);

    *c = (cache){ .type = type, .head_dim = head_dim, .n_keys = n_keys, .size = size };
    c->v_offset = K_OFFSET + slab + 128;
    c->block_bytes = c->v_offset + slab + 64;
    c->memory = rl_alloc_aligned(64, c->block_bytes * MAX_BLOCKS);
    c->k = rl_alloc_array((size_t)n_keys * head_dim, sizeof *c->k);
    c->v = rl_alloc_array((size_t)n_keys * head_dim, sizeof *c->v);
    assert_true(c->memory && c->k && c->v);
    memset(c->memory, 0xff, c->block_bytes * MAX_BLOCKS);
    for (uint32_t b = from / RL_KV_BLOCK; b * RL_KV_BLOCK < n_keys; b++)
        c->blocks[b] = block_of(c, b);
    for (uint32_t key = from / RL_KV_BLOCK * RL_KV_BLOCK; key < n_keys; key++)
        put_key(c, key);
}

static void cache_deinit(cache *c)
{
    rl_free(c->memory);
    rl_free(c->k);
    rl_free(c->v);
}

/* A call on the cache whose last token is its last key. */
static rl_attn attn_on(const cache *c, uint32_t group, uint32_t n_tokens, uint32_t window,
                       const float *q, float *out)
{
    rl_attn a = { .type = c->type,
                  .head_dim = c->head_dim,
                  .group = group,
                  .n_tokens = n_tokens,
                  .pos = c->n_keys - n_tokens,
                  .window = window,
                  .q = q,
                  .out = out };

    a.scale = 1.0f / sqrtf((float)c->head_dim);
    a.q_stride = (size_t)group * c->head_dim + 3;
    a.out_stride = (size_t)group * c->head_dim + OUT_GAP;
    a.blocks = c->blocks;
    a.k_offset = K_OFFSET;
    a.v_offset = c->v_offset;
    return a;
}

static uint8_t scratch[1 << 16] __attribute__((aligned(64)));

static void attend(const rl_kernels *k, const rl_attn *a)
{
    size_t bytes = rl_attn_scratch_bytes(a->head_dim, a->group);

    assert_true(bytes <= sizeof scratch - 64);
    memset(scratch, 0xff, sizeof scratch);
    k->attend(a, scratch);
    for (size_t i = bytes; i < sizeof scratch; i++)
        assert_int_equal(scratch[i], 0xff);
}

static float q_data[MAX_ROWS * (MAX_DIM + 3) + 8];
static float got[MAX_ROWS * (MAX_DIM + OUT_GAP)], want[MAX_ROWS * (MAX_DIM + OUT_GAP)];

static void clean(float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = CANARY;
}

static const uint32_t dims[] = { 16, 48, 64, 80, 96, 112, 128, 192, 256 };
static const uint32_t groups[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 32 };
static const uint32_t windows[] = { 0, 0, 0, 1, 2, 7, 31, 32, 33, 100, 255, 256, 257, 300, 512 };
static const uint32_t edges[] = { 0,   1,   2,   15,  16,  17,  30,  31,  32,   33,   100,
                                  255, 256, 257, 300, 511, 512, 513, 700, 1023, 1024, 1100 };
#define PICK(list) (list)[random_below(&rng, sizeof(list) / sizeof *(list))]

static void one_case(rl_kv_type type, uint32_t dim, uint32_t group, uint32_t pos, uint32_t n_tokens,
                     uint32_t window, float size)
{
    uint32_t from = window && pos >= window ? pos - window + 1 : 0;
    size_t n = (size_t)n_tokens * (group * dim + OUT_GAP);
    cache c;
    rl_attn a;

    cache_init(&c, type, dim, from, pos + n_tokens, size);
    random_fill(&rng, q_data, (size_t)n_tokens * (group * dim + 3) + 1, 3.0f);
    clean(got, n);
    clean(want, n);
    a = attn_on(&c, group, n_tokens, window, q_data + 1, got);
    attend(kn, &a);
    a.out = want;
    attend(ref, &a);
    if (!same_floats(got, want, n))
        fail_msg("type %d dim %u group %u pos %u tokens %u window %u", (int)type, dim, group, pos,
                 n_tokens, window);
    for (uint32_t t = 0; t < n_tokens; t++)
        for (uint32_t i = 0; i < OUT_GAP; i++)
            assert_true(got[t * a.out_stride + (size_t)group * dim + i] == CANARY);
    for (uint32_t i = 0; i < group * dim; i++)
        assert_true(isfinite(got[i]));
    cache_deinit(&c);
}

static void random_cases_agree(void **state)
{
    (void)state;
    for (int i = 0; i < 600; i++) {
        uint32_t tokens = i % 4 ? 1 + random_below(&rng, 9) : 1;
        uint32_t pos = i % 2 ? PICK(edges) : random_below(&rng, 1100);

        one_case((rl_kv_type)(i % RL_KV_TYPES), PICK(dims), PICK(groups), pos, tokens,
                 PICK(windows), 1.0f);
    }
}

static void every_position_agrees(void **state)
{
    (void)state;
    for (uint32_t pos = 0; pos <= 1100; pos += pos < 70 ? 1 : 37)
        for (uint32_t tokens = 1; tokens <= 8; tokens += 7) {
            one_case(RL_KV_F16, 32, 3, pos, tokens, pos % 3 ? 0 : 40, 1.0f);
            one_case(RL_KV_BF16, 32, 3, pos, tokens, pos % 3 ? 0 : 40, 1.0f);
        }
}

static void every_tile_size_agrees(void **state)
{
    (void)state;
    for (uint32_t group = 1; group <= 32; group++)
        for (uint32_t type = 0; type < RL_KV_TYPES; type++) {
            one_case((rl_kv_type)type, 80, group, 290, 1, 0, 1.0f);
            one_case((rl_kv_type)type, 112, group, 250, 9, 6, 1.0f);
        }
}

/* Products that underflow leave zeros whose sign would show which hidden keys were added. In f16
 * these are its subnormals and zeros of both signs. */
static void tiny_values_agree(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        one_case(RL_KV_F32, 64, 1 + i % 5, PICK(edges), 1 + i % 7, PICK(windows), 0x1p-147f);
        one_case(RL_KV_F16, 64, 1 + i % 5, PICK(edges), 1 + i % 7, PICK(windows), 0x1p-24f);
        one_case(RL_KV_F16, 64, 1 + i % 5, PICK(edges), 1 + i % 7, PICK(windows), 0x1p-20f);
    }
}

/* Values beyond f16's range are kept as its largest: attention stays finite and agrees. */
static void huge_values_agree(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        one_case(RL_KV_F16, 64, 1 + i % 5, PICK(edges), 1 + i % 7, PICK(windows), 0x1p17f);
}

static void chunks_change_nothing_in(rl_kv_type type)
{
    enum { TOKENS = 150, GROUP = 5, DIM = 64 };
    static const uint32_t chunk[] = { 1, 7, 64, TOKENS };
    static const uint32_t window[] = { 0, 100 };

    for (uint32_t w = 0; w < 2; w++) {
        cache c;
        rl_attn whole;

        cache_init(&c, type, DIM, 0, 200 + TOKENS, 1.0f);
        random_fill(&rng, q_data, TOKENS * (GROUP * DIM + 3), 3.0f);
        whole = attn_on(&c, GROUP, TOKENS, window[w], q_data, want);
        clean(want, TOKENS * whole.out_stride);
        attend(ref, &whole);
        for (uint32_t i = 0; i < 4; i++) {
            clean(got, TOKENS * whole.out_stride);
            for (uint32_t t = 0; t < TOKENS; t += chunk[i]) {
                rl_attn a = whole;

                a.n_tokens = TOKENS - t < chunk[i] ? TOKENS - t : chunk[i];
                a.pos += t;
                a.q += t * a.q_stride;
                a.out = got + t * a.out_stride;
                attend(kn, &a);
            }
            assert_true(same_floats(got, want, TOKENS * whole.out_stride));
        }
        cache_deinit(&c);
    }
}

static void chunks_change_nothing(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < RL_KV_TYPES; type++)
        chunks_change_nothing_in((rl_kv_type)type);
}

/* A row whose query is broken answers NaN; the rows beside it do not notice. */
static void a_broken_row_stays_alone_in(rl_kv_type type)
{
    enum { GROUP = 7, DIM = 96 };
    cache c;
    rl_attn a;

    cache_init(&c, type, DIM, 0, 600, 1.0f);
    random_fill(&rng, q_data, 2 * (GROUP * DIM + 3), 3.0f);
    a = attn_on(&c, GROUP, 2, 0, q_data, want);
    attend(ref, &a);
    q_data[4 * DIM + 5] = NAN;
    a.out = got;
    attend(kn, &a);
    assert_true(same_floats(got, want, 4 * DIM));
    assert_true(same_floats(got + 5 * DIM, want + 5 * DIM, 2 * DIM));
    assert_true(isnan(got[4 * DIM]) && isnan(got[5 * DIM - 1]));
    cache_deinit(&c);
}

static void a_broken_row_stays_alone(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < RL_KV_TYPES; type++)
        a_broken_row_stays_alone_in((rl_kv_type)type);
}

/* What the cache holds of k and v, read by the layouts that kernels.h promises. */
static void read_back(cache *c)
{
    for (uint32_t i = 0; i < c->n_keys * c->head_dim; i++) {
        uint32_t key = i / c->head_dim, d = i % c->head_dim, slot = key % RL_KV_BLOCK;
        const uint8_t *b = block_of(c, key / RL_KV_BLOCK);
        const uint16_t *k = (const void *)(b + K_OFFSET), *v = (const void *)(b + c->v_offset);

        if (c->type == RL_KV_F16) {
            c->k[i] = rl_f16_to_f32(k[d * RL_KV_BLOCK + slot]);
            c->v[i] = rl_f16_to_f32(v[slot * c->head_dim + d]);
        } else if (c->type == RL_KV_BF16) {
            c->k[i] = rl_bf16_to_f32(k[(d / 2 * RL_KV_BLOCK + slot) * 2 + d % 2]);
            c->v[i] = rl_bf16_to_f32(v[(slot / 2 * c->head_dim + d) * 2 + slot % 2]);
        }
    }
}

/* softmax(scale q k) v in double, from what the cache rounded. */
static void naive(const cache *c, const rl_attn *a, uint32_t t, uint32_t h, double *o)
{
    static double score[MAX_KEYS];
    const float *q = a->q + t * a->q_stride + (size_t)h * c->head_dim;
    uint32_t pos = a->pos + t, first = a->window && pos >= a->window ? pos - a->window + 1 : 0;
    double top = -INFINITY, sum = 0;

    for (uint32_t j = first; j <= pos; j++) {
        score[j] = 0;
        for (uint32_t d = 0; d < c->head_dim; d++)
            score[j] += (double)q[d] * (double)c->k[(size_t)j * c->head_dim + d];
        score[j] *= (double)a->scale;
        top = score[j] > top ? score[j] : top;
    }
    memset(o, 0, c->head_dim * sizeof *o);
    for (uint32_t j = first; j <= pos; j++) {
        double e = exp(score[j] - top);

        sum += e;
        for (uint32_t d = 0; d < c->head_dim; d++)
            o[d] += e * (double)c->v[(size_t)j * c->head_dim + d];
    }
    for (uint32_t d = 0; d < c->head_dim; d++)
        o[d] /= sum;
}

static void attention_is_right(void **state)
{
    double o[MAX_DIM];

    (void)state;
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t group = 1 + i % 5, tokens = 1 + i;
        cache c;
        rl_attn a;

        cache_init(&c, (rl_kv_type)(i % RL_KV_TYPES), 128, 0, 30 + i * 90, 1.0f);
        read_back(&c);
        random_fill(&rng, q_data, tokens * (group * 128 + 3), 1.0f);
        a = attn_on(&c, group, tokens, i % 4 ? 0 : 290, q_data, got);
        attend(kn, &a);
        for (uint32_t t = 0; t < tokens; t++)
            for (uint32_t h = 0; h < group; h++) {
                naive(&c, &a, t, h, o);
                for (uint32_t d = 0; d < 128; d++) {
                    double y = (double)got[t * a.out_stride + h * 128 + d];

                    assert_true(fabs(y - o[d]) < 3e-6);
                }
            }
        cache_deinit(&c);
    }
}

static void kv_put_agrees(void **state)
{
    static const float special[] = {
        0.0f,        -0.0f,          INFINITY,   -INFINITY, 1.00390625f,    1.01171875f, 0x1p-149f,
        -0x1p-133f,  0x1.fffffep127, -0x1p16f,   65504.0f,  65519.996f,     65520.0f,    -65520.0f,
        1.00048828f, 0x1p-14f,       0x1.8p-24f, 0x1p-25f,  0x1.00002p-25f, NAN,         -NAN
    };
    static uint8_t a[4][32 * 256 * 4 + 64];
    float k[MAX_DIM + 1], v[MAX_DIM + 1];

    (void)state;
    for (uint32_t type = 0; type < RL_KV_TYPES; type++)
        for (uint32_t dim = 16; dim <= 256; dim += 16) {
            memset(a, 0xa5, sizeof a);
            for (uint32_t slot = 0; slot < RL_KV_BLOCK; slot++) {
                uint32_t s = slot * 11 % RL_KV_BLOCK;

                random_fill(&rng, k, dim + 1, 4.0f);
                random_fill(&rng, v, dim + 1, 4.0f);
                k[1 + slot % dim] = PICK(special);
                v[1 + slot % dim] = PICK(special);
                kn->kv_put((rl_kv_type)type, dim, k + 1, v + 1, a[0], a[1], s);
                ref->kv_put((rl_kv_type)type, dim, k + 1, v + 1, a[2], a[3], s);
                assert_memory_equal(a[0], a[2], sizeof a[0]);
                assert_memory_equal(a[1], a[3], sizeof a[0]);
            }
            assert_int_equal(a[0][rl_kv_slab_bytes((rl_kv_type)type, dim)], 0xa5);
            assert_int_equal(a[1][rl_kv_slab_bytes((rl_kv_type)type, dim)], 0xa5);
            assert_true(a[0][rl_kv_slab_bytes((rl_kv_type)type, dim) - 2] != 0xa5 ||
                        a[0][rl_kv_slab_bytes((rl_kv_type)type, dim) - 1] != 0xa5);
        }
}

static void kv_put_rounds_to_even(void **state)
{
    static const float x[] = { 1.0f, 1.00390625f, 1.01171875f, 1.0039064f, NAN, -INFINITY };
    static const uint16_t y[] = { 0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x7fc0, 0xff80 };
    uint16_t ks[16 * 32], vs[16 * 32];
    float k[16] = { 0 };

    (void)state;
    memcpy(k, x, sizeof x);
    kn->kv_put(RL_KV_BF16, 16, k, k, ks, vs, 5);
    for (uint32_t d = 0; d < 6; d++) {
        assert_int_equal(ks[(d / 2 * 32 + 5) * 2 + d % 2], y[d]);
        assert_int_equal(vs[(2 * 16 + d) * 2 + 1], y[d]);
    }
}

/* f16: nearest even, subnormals kept, what is too large becomes the largest, NaN stays NaN. */
static void kv_put_saturates(void **state)
{
    static const float x[16] = { 1.0f,      1.00048828125f, 1.00146484375f, -65504.0f,  65519.0f,
                                 -65520.0f, 1e30f,          -1e30f,         INFINITY,   -INFINITY,
                                 NAN,       0x1p-24f,       0x1p-25f,       0x1.8p-24f, -0x1p-30f,
                                 0.1f };
    static const uint16_t y[16] = {
        0x3c00, 0x3c00, 0x3c02, 0xfbff, 0x7bff, 0xfbff, 0x7bff, 0xfbff,
        0x7bff, 0xfbff, 0x7e00, 0x0001, 0x0000, 0x0002, 0x8000, 0x2e66
    };
    uint16_t ks[16 * 32], vs[16 * 32];

    (void)state;
    kn->kv_put(RL_KV_F16, 16, x, x, ks, vs, 5);
    for (uint32_t d = 0; d < 16; d++) {
        assert_int_equal(ks[d * 32 + 5], y[d]);
        assert_int_equal(vs[5 * 16 + d], y[d]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kv_put_agrees),          cmocka_unit_test(kv_put_rounds_to_even),
        cmocka_unit_test(random_cases_agree),     cmocka_unit_test(every_position_agrees),
        cmocka_unit_test(every_tile_size_agrees), cmocka_unit_test(tiny_values_agree),
        cmocka_unit_test(kv_put_saturates),       cmocka_unit_test(huge_values_agree),
        cmocka_unit_test(chunks_change_nothing),  cmocka_unit_test(a_broken_row_stays_alone),
        cmocka_unit_test(attention_is_right),
    };

    kn = level_under_test();
    if (!kn)
        return SKIPPED;
    ref = rl_kernels_of(RL_LEVEL_REF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
