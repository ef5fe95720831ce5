/* Block tables over a small budget: every invariant of kv.h that a sequence can see. */
#include "../test.h"

#include "kv/kv.h"
#include "kv/pool.h"

#include <stdlib.h>
#include <string.h>

#define SUPER ((size_t)2 << 20)

/* Group 0: 3 layers, group 1: 15; 2 heads of 64, f32: 16 KiB a slab; 192 KiB and 960 KiB a block.
 */
static const rl_kv_layout layout = {
    .type = RL_KV_F32, .n_groups = 2, .n_layers = { 3, 15 }, .n_heads = 2, .head_dim = 64
};

typedef struct fixture {
    rl_kv_budget *budget;
    rl_kv_pool *pool;
    rl_kv_seq a, b;
} fixture;

static int setup(void **state)
{
    static fixture f;

    memset(&f, 0, sizeof f);
    (void)setenv("REALM_KV_POISON", "1", 1);
    f.budget = rl_kv_budget_new(8 * SUPER + 1);
    assert_non_null(f.budget);
    assert_int_equal(rl_kv_pool_new(&f.pool, f.budget, &layout, NULL), REALM_OK);
    rl_kv_seq_init(&f.a, f.pool);
    rl_kv_seq_init(&f.b, f.pool);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    rl_kv_seq_deinit(&f->a);
    rl_kv_seq_deinit(&f->b);
    assert_int_equal(rl_kv_pool_in_use(f->pool), 0);
    rl_kv_pool_free(f->pool);
    assert_int_equal(rl_kv_budget_used(f->budget), 0);
    rl_kv_budget_free(f->budget);
    return 0;
}

/* What fits alone is what an empty pool then really gives, to the token. */
static void fits_is_what_an_empty_pool_gives(void **state)
{
    fixture *f = *state;
    uint32_t most = 0;

    while (rl_kv_pool_fits(f->pool, most + 1))
        most++;
    assert_true(most > 0 && most % RL_KV_BLOCK == 0);
    assert_int_equal(rl_kv_reserve(&f->a, 0, most, NULL), REALM_OK);
    rl_kv_truncate(&f->a, 0);
    assert_int_equal(rl_kv_reserve(&f->a, 0, most + 1, NULL), REALM_ENOMEM);
    assert_false(rl_kv_pool_fits(f->pool, UINT64_MAX));
    assert_int_equal(rl_kv_reserve(&f->a, 0, 1, NULL), REALM_OK);
    assert_true(rl_kv_pool_fits(f->pool, most)); /* it is about an empty one */
}

static void offsets_do_not_overlap(void **state)
{
    size_t slab = rl_kv_slab_bytes(RL_KV_F32, 64), at = 0;

    (void)state;
    assert_int_equal(slab, 32 * 64 * sizeof(float));
    for (uint32_t l = 0; l < 15; l++) {
        for (uint32_t h = 0; h < 2; h++, at += 2 * slab) {
            assert_int_equal(rl_kv_k_offset(&layout, l, h), at);
            assert_int_equal(rl_kv_v_offset(&layout, l, h), at + slab);
        }
    }
    assert_int_equal(rl_kv_block_bytes(&layout, 1), at);
}

static void reserve_adds_blocks_of_both_groups(void **state)
{
    fixture *f = *state;

    assert_int_equal(rl_kv_reserve(&f->a, 0, 33, NULL), REALM_OK);
    assert_int_equal(f->a.n_blocks, 2);
    assert_int_equal(rl_kv_pool_in_use(f->pool), 4);
    assert_int_equal(rl_kv_reserve(&f->a, 33, 31, NULL), REALM_OK);
    assert_int_equal(f->a.n_blocks, 2);
    assert_int_equal(rl_kv_reserve(&f->a, 64, 1, NULL), REALM_OK);
    assert_int_equal(f->a.n_blocks, 3);
    assert_true(f->a.blocks[0][0] != f->a.blocks[0][1]);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal((uintptr_t)f->a.blocks[1][i] % 64, 0);
}

static void blocks_are_zeroed_and_poisoned(void **state)
{
    fixture *f = *state;
    size_t n = rl_kv_block_bytes(&layout, 0);
    uint8_t *p;

    assert_int_equal(rl_kv_reserve(&f->a, 0, 64, NULL), REALM_OK);
    p = f->a.blocks[0][1];
    memset(p, 7, n);
    rl_kv_truncate(&f->a, 32);
    assert_int_equal(f->a.n_blocks, 1);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(p[i], 0xff);
    assert_int_equal(rl_kv_reserve(&f->a, 32, 1, NULL), REALM_OK);
    assert_ptr_equal(f->a.blocks[0][1], p);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(p[i], 0);
}

static void truncate_keeps_the_partial_block(void **state)
{
    fixture *f = *state;

    assert_int_equal(rl_kv_reserve(&f->a, 0, 100, NULL), REALM_OK);
    rl_kv_truncate(&f->a, 33);
    assert_int_equal(f->a.n_blocks, 2);
    rl_kv_truncate(&f->a, 1000);
    assert_int_equal(f->a.n_blocks, 2);
    rl_kv_truncate(&f->a, 0);
    assert_int_equal(f->a.n_blocks, 0);
    assert_int_equal(rl_kv_budget_used(f->budget), 0);
}

static void fork_shares_and_copies_on_append(void **state)
{
    fixture *f = *state;
    void *first, *last;

    assert_int_equal(rl_kv_reserve(&f->a, 0, 40, NULL), REALM_OK);
    first = f->a.blocks[1][0];
    last = f->a.blocks[1][1];
    memset(last, 9, rl_kv_block_bytes(&layout, 1));
    assert_int_equal(rl_kv_fork(&f->b, &f->a, 40, NULL), REALM_OK);
    assert_int_equal(rl_kv_pool_in_use(f->pool), 4);
    assert_ptr_equal(f->b.blocks[1][1], last);

    assert_int_equal(rl_kv_reserve(&f->b, 40, 1, NULL), REALM_OK);
    assert_ptr_equal(f->b.blocks[1][0], first);
    assert_ptr_not_equal(f->b.blocks[1][1], last);
    assert_memory_equal(f->b.blocks[1][1], last, rl_kv_block_bytes(&layout, 1));
    assert_int_equal(rl_kv_pool_in_use(f->pool), 6);

    /* the other holder is alone now: nothing more to copy */
    assert_int_equal(rl_kv_reserve(&f->a, 40, 1, NULL), REALM_OK);
    assert_ptr_equal(f->a.blocks[1][1], last);
}

static void fork_outlives_its_source(void **state)
{
    fixture *f = *state;
    uint8_t *p;

    assert_int_equal(rl_kv_reserve(&f->a, 0, 64, NULL), REALM_OK);
    p = f->a.blocks[0][0];
    p[5] = 77;
    assert_int_equal(rl_kv_fork(&f->b, &f->a, 20, NULL), REALM_OK);
    rl_kv_seq_deinit(&f->a);
    assert_int_equal(rl_kv_pool_in_use(f->pool), 2);
    assert_ptr_equal(f->b.blocks[0][0], p);
    assert_int_equal(p[5], 77);
}

static void rewriting_a_shared_full_block_copies_it(void **state)
{
    fixture *f = *state;
    void *shared;

    assert_int_equal(rl_kv_reserve(&f->a, 0, 96, NULL), REALM_OK);
    assert_int_equal(rl_kv_fork(&f->b, &f->a, 96, NULL), REALM_OK);
    shared = f->a.blocks[0][1];
    assert_int_equal(rl_kv_reserve(&f->b, 32, 10, NULL), REALM_OK);
    assert_ptr_equal(f->a.blocks[0][1], shared);
    assert_ptr_not_equal(f->b.blocks[0][1], shared);
    assert_ptr_equal(f->b.blocks[0][0], f->a.blocks[0][0]);
}

static void exhaustion_leaves_the_sequence_as_it_was(void **state)
{
    fixture *f = *state;
    realm_error err;
    uint32_t blocks, in_use;

    assert_int_equal(rl_kv_reserve(&f->a, 0, 32 * 8, NULL), REALM_OK);
    blocks = f->a.n_blocks;
    in_use = rl_kv_pool_in_use(f->pool);
    assert_int_equal(rl_kv_reserve(&f->a, 256, 32 * 50, &err), REALM_ENOMEM);
    assert_non_null(strstr(err.text, "KV room"));
    assert_int_equal(f->a.n_blocks, blocks);
    assert_int_equal(rl_kv_pool_in_use(f->pool), in_use);
    /* a smaller wish still fits, and freeing makes room for another sequence */
    assert_int_equal(rl_kv_reserve(&f->a, 256, 32, NULL), REALM_OK);
    rl_kv_truncate(&f->a, 0);
    assert_int_equal(rl_kv_reserve(&f->b, 0, 32 * 14, NULL), REALM_OK);
}

static void copy_on_append_can_run_out(void **state)
{
    fixture *f = *state;
    uint32_t n = 0;

    while (rl_kv_reserve(&f->a, n, 32, NULL) == REALM_OK)
        n += 32;
    assert_true(n >= 32 * 14);
    assert_int_equal(rl_kv_fork(&f->b, &f->a, n - 1, NULL), REALM_OK);
    assert_int_equal(rl_kv_reserve(&f->b, n - 1, 1, NULL), REALM_ENOMEM);
    assert_ptr_equal(f->b.blocks[1][f->b.n_blocks - 1], f->a.blocks[1][f->a.n_blocks - 1]);
    rl_kv_truncate(&f->a, n - 32); /* b holds the last block alone now */
    assert_int_equal(rl_kv_reserve(&f->b, n - 1, 1, NULL), REALM_OK);
}

static void superblocks_return_to_the_budget(void **state)
{
    fixture *f = *state;
    rl_kv_layout small = {
        .type = RL_KV_F16, .n_groups = 1, .n_layers = { 2 }, .n_heads = 1, .head_dim = 32
    };
    rl_kv_pool *other;
    rl_kv_seq s;
    size_t all = 8 * SUPER;

    assert_int_equal(rl_kv_pool_new(&other, f->budget, &small, NULL), REALM_OK);
    rl_kv_seq_init(&s, other);
    while (rl_kv_budget_used(f->budget) < all)
        assert_int_equal(rl_kv_reserve(&s, 32 * s.n_blocks, 32, NULL), REALM_OK);
    assert_int_equal(rl_kv_reserve(&f->a, 0, 1, NULL), REALM_ENOMEM);
    rl_kv_truncate(&s, 32);
    assert_int_equal(rl_kv_budget_used(f->budget), SUPER);
    assert_int_equal(rl_kv_reserve(&f->a, 0, 32, NULL), REALM_OK);
    rl_kv_seq_deinit(&s);
    rl_kv_pool_free(other);
}

static void a_block_over_a_superblock_takes_several(void **state)
{
    fixture *f = *state;
    rl_kv_layout big = {
        .type = RL_KV_F32, .n_groups = 1, .n_layers = { 32 }, .n_heads = 8, .head_dim = 64
    };
    rl_kv_pool *other;
    rl_kv_seq s;
    uint8_t *p;

    assert_int_equal(rl_kv_block_bytes(&big, 0), 2 * SUPER);
    assert_int_equal(rl_kv_pool_new(&other, f->budget, &big, NULL), REALM_OK);
    rl_kv_seq_init(&s, other);
    assert_int_equal(rl_kv_reserve(&s, 0, 4 * 32, NULL), REALM_OK);
    assert_int_equal(rl_kv_reserve(&s, 4 * 32, 32, NULL), REALM_ENOMEM);
    p = s.blocks[0][2];
    p[2 * SUPER - 1] = 1;
    rl_kv_truncate(&s, 32);
    assert_int_equal(rl_kv_budget_used(f->budget), 2 * SUPER);
    rl_kv_seq_deinit(&s);
    rl_kv_pool_free(other);
}

static void a_budget_too_small_is_told_at_once(void **state)
{
    fixture *f = *state;
    rl_kv_layout huge = {
        .type = RL_KV_F32, .n_groups = 1, .n_layers = { 200 }, .n_heads = 8, .head_dim = 256
    };
    rl_kv_pool *other;
    realm_error err;

    assert_int_equal(rl_kv_pool_new(&other, f->budget, &huge, &err), REALM_ENOMEM);
    assert_null(other);
    assert_non_null(strstr(err.text, "raise the budget"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(fits_is_what_an_empty_pool_gives),
        T(offsets_do_not_overlap),
        T(reserve_adds_blocks_of_both_groups),
        T(blocks_are_zeroed_and_poisoned),
        T(truncate_keeps_the_partial_block),
        T(fork_shares_and_copies_on_append),
        T(fork_outlives_its_source),
        T(rewriting_a_shared_full_block_copies_it),
        T(exhaustion_leaves_the_sequence_as_it_was),
        T(copy_on_append_can_run_out),
        T(superblocks_return_to_the_budget),
        T(a_block_over_a_superblock_takes_several),
        T(a_budget_too_small_is_told_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
