/* The prefix index over a small budget: who finds what, whose a block is, and what goes first. */
#include "../test.h"

#include "kv/pool.h"
#include "kv/prefix.h"

#include <string.h>

#define SUPER ((size_t)2 << 20)

/* Group 0: 192 KiB a block, group 1: 960 KiB. */
static const rl_kv_layout layout = {
    .type = RL_KV_F32, .n_groups = 2, .n_layers = { 3, 15 }, .n_heads = 2, .head_dim = 64
};

typedef struct fixture {
    rl_kv_budget *budget;
    rl_kv_pool *pool;
    rl_kv_prefix *x;
    rl_kv_seq a, b;
    uint32_t ids[8][RL_KV_BLOCK];
    uint64_t now;
} fixture;

static int setup(void **state)
{
    static fixture f;

    memset(&f, 0, sizeof f);
    f.budget = rl_kv_budget_new(8 * SUPER);
    assert_non_null(f.budget);
    assert_int_equal(rl_kv_pool_new(&f.pool, f.budget, &layout, NULL), REALM_OK);
    f.x = rl_kv_prefix_new(f.pool);
    assert_non_null(f.x);
    rl_kv_seq_init(&f.a, f.pool);
    rl_kv_seq_init(&f.b, f.pool);
    for (uint32_t i = 0; i < 8; i++)
        for (uint32_t k = 0; k < RL_KV_BLOCK; k++)
            f.ids[i][k] = 100 * i + k;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    rl_kv_seq_deinit(&f->a);
    rl_kv_seq_deinit(&f->b);
    assert_int_equal(rl_kv_pool_in_use(f->pool), 0);
    assert_int_equal(rl_kv_pool_idle(f->pool), 2 * rl_kv_prefix_nodes(f->x));
    rl_kv_prefix_free(f->x);
    assert_int_equal(rl_kv_pool_idle(f->pool), 0);
    rl_kv_pool_free(f->pool);
    assert_int_equal(rl_kv_budget_used(f->budget), 0);
    rl_kv_budget_free(f->budget);
    return 0;
}

/* s computes n blocks of those ids, from `first` on, behind `node`. -> the last one's node */
static rl_kv_node *compute(fixture *f, rl_kv_seq *s, uint32_t domain, rl_kv_node *node,
                           uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = rl_kv_node_depth(node);

        assert_int_equal(rl_kv_reserve(s, at * RL_KV_BLOCK, RL_KV_BLOCK, NULL), REALM_OK);
        node = rl_kv_prefix_put(f->x, domain, node, f->ids[first + i], s, ++f->now);
        assert_non_null(node);
        assert_int_equal(rl_kv_node_depth(node), at + 1);
    }
    return node;
}

static void what_was_computed_is_found(void **state)
{
    fixture *f = *state;
    rl_kv_node *first, *second, *last = compute(f, &f->a, 7, NULL, 0, 2);
    void *blocks[2] = { f->a.blocks[0][1], f->a.blocks[1][1] };

    rl_kv_seq_deinit(&f->a); /* nobody has them but the index */
    assert_int_equal(rl_kv_pool_in_use(f->pool), 0);
    assert_int_equal(rl_kv_pool_bytes(f->pool), 0);
    assert_int_equal(rl_kv_pool_idle(f->pool), 4);
    first = rl_kv_prefix_find(f->x, 7, NULL, f->ids[0]);
    second = rl_kv_prefix_find(f->x, 7, first, f->ids[1]);
    assert_ptr_equal(second, last);
    assert_ptr_equal(rl_kv_node_up(second, 1), first);
    assert_null(rl_kv_node_up(second, 0));
    assert_int_equal(rl_kv_prefix_attach(f->x, first, &f->b, ++f->now, NULL), REALM_OK);
    assert_int_equal(rl_kv_prefix_attach(f->x, second, &f->b, ++f->now, NULL), REALM_OK);
    assert_int_equal(f->b.n_blocks, 2);
    assert_ptr_equal(f->b.blocks[0][1], blocks[0]);
    assert_ptr_equal(f->b.blocks[1][1], blocks[1]);
    assert_int_equal(rl_kv_pool_in_use(f->pool), 4);
    assert_int_equal(rl_kv_pool_idle(f->pool), 0);
}

static void keys_are_exact(void **state)
{
    fixture *f = *state;
    rl_kv_node *node = compute(f, &f->a, 7, NULL, 0, 1);
    uint32_t ids[RL_KV_BLOCK];

    assert_null(rl_kv_prefix_find(f->x, 8, NULL, f->ids[0])); /* another's */
    assert_null(rl_kv_prefix_find(f->x, 7, node, f->ids[0])); /* not there */
    for (uint32_t k = 0; k < RL_KV_BLOCK; k++) {
        memcpy(ids, f->ids[0], sizeof ids);
        ids[k] ^= 1u << k;
        assert_null(rl_kv_prefix_find(f->x, 7, NULL, ids));
    }
    assert_ptr_equal(rl_kv_prefix_find(f->x, 7, NULL, f->ids[0]), node);
}

/* Two have computed the same at the same time: one block is left, and both have it. */
static void the_same_is_kept_once(void **state)
{
    fixture *f = *state;
    rl_kv_node *node = compute(f, &f->a, 7, NULL, 0, 1);

    assert_ptr_equal(compute(f, &f->b, 7, NULL, 0, 1), node);
    assert_ptr_equal(f->a.blocks[0][0], f->b.blocks[0][0]);
    assert_ptr_equal(f->a.blocks[1][0], f->b.blocks[1][0]);
    assert_int_equal(rl_kv_pool_in_use(f->pool), 2);
    assert_int_equal(rl_kv_prefix_nodes(f->x), 1);
}

/* Blocks that were reserved and not written make room for what is known. */
static void known_blocks_replace_reserved_ones(void **state)
{
    fixture *f = *state;
    rl_kv_node *node = compute(f, &f->a, 7, NULL, 0, 1);

    assert_int_equal(rl_kv_reserve(&f->b, 0, 2 * RL_KV_BLOCK, NULL), REALM_OK);
    assert_int_equal(rl_kv_prefix_attach(f->x, node, &f->b, ++f->now, NULL), REALM_OK);
    assert_int_equal(f->b.n_blocks, 2);
    assert_ptr_equal(f->a.blocks[1][0], f->b.blocks[1][0]);
    assert_int_equal(rl_kv_pool_in_use(f->pool), 4);
}

/* Who writes into a block that is known gets his own copy; the known one stays as it was. */
static void what_is_known_is_never_written(void **state)
{
    fixture *f = *state;
    void *known;

    (void)compute(f, &f->a, 7, NULL, 0, 1);
    known = f->a.blocks[0][0];
    assert_int_equal(rl_kv_reserve(&f->a, RL_KV_BLOCK - 1, 1, NULL), REALM_OK);
    assert_ptr_not_equal(f->a.blocks[0][0], known);
    assert_int_equal(rl_kv_pool_idle(f->pool), 2);
}

/* A fork into another domain holds the other's blocks, which stay the other's. */
static void a_block_has_one_domain(void **state)
{
    fixture *f = *state;

    (void)compute(f, &f->a, 7, NULL, 0, 1);
    assert_int_equal(rl_kv_fork(&f->b, &f->a, RL_KV_BLOCK, NULL), REALM_OK);
    assert_null(rl_kv_prefix_put(f->x, 8, NULL, f->ids[0], &f->b, ++f->now));
    assert_null(rl_kv_prefix_find(f->x, 8, NULL, f->ids[0]));
    assert_int_equal(rl_kv_prefix_nodes(f->x), 1);
}

/* Three prefixes: 0-1, 0-2 and 3; leaves go first, the longest unused before others. */
static void the_oldest_unused_leaf_goes_first(void **state)
{
    fixture *f = *state;
    rl_kv_node *root, *node;

    root = rl_kv_node_up(compute(f, &f->a, 7, NULL, 0, 2), 1);
    rl_kv_truncate(&f->a, RL_KV_BLOCK);
    (void)compute(f, &f->a, 7, root, 2, 1);
    rl_kv_seq_deinit(&f->a);
    node = compute(f, &f->b, 7, NULL, 3, 1);
    rl_kv_seq_deinit(&f->b);
    assert_int_equal(rl_kv_prefix_nodes(f->x), 4);
    assert_int_equal(rl_kv_prefix_attach(f->x, root, &f->a, ++f->now, NULL), REALM_OK);
    assert_int_equal(rl_kv_prefix_oldest(f->x), 2);
    assert_true(rl_kv_prefix_evict(f->x));
    assert_null(rl_kv_prefix_find(f->x, 7, root, f->ids[1]));
    assert_int_equal(rl_kv_prefix_oldest(f->x), 3);
    assert_true(rl_kv_prefix_evict(f->x));
    assert_null(rl_kv_prefix_find(f->x, 7, root, f->ids[2]));
    assert_ptr_equal(rl_kv_prefix_find(f->x, 7, NULL, f->ids[3]), node);
    assert_true(rl_kv_prefix_evict(f->x));
    assert_false(rl_kv_prefix_evict(f->x)); /* the root has a user */
    assert_int_equal(rl_kv_prefix_oldest(f->x), UINT64_MAX);
    rl_kv_seq_deinit(&f->a);
    assert_true(rl_kv_prefix_evict(f->x));
    assert_int_equal(rl_kv_prefix_nodes(f->x), 0);
    assert_int_equal(rl_kv_budget_used(f->budget), 0);
}

/* More nodes than the table began with, all of them found. */
static void the_table_grows(void **state)
{
    static const rl_kv_layout small = {
        .type = RL_KV_BF16, .n_groups = 1, .n_layers = { 1 }, .n_heads = 1, .head_dim = 8
    };
    fixture *f = *state;
    rl_kv_pool *pool;
    rl_kv_prefix *x;
    rl_kv_node *node = NULL;
    uint32_t ids[RL_KV_BLOCK] = { 0 };
    rl_kv_seq s;

    assert_int_equal(rl_kv_pool_new(&pool, f->budget, &small, NULL), REALM_OK);
    x = rl_kv_prefix_new(pool);
    rl_kv_seq_init(&s, pool);
    for (ids[31] = 0; ids[31] < 1000; ids[31]++) {
        assert_int_equal(rl_kv_reserve(&s, ids[31] * RL_KV_BLOCK, RL_KV_BLOCK, NULL), REALM_OK);
        node = rl_kv_prefix_put(x, 1, node, ids, &s, 1);
        assert_non_null(node);
    }
    node = NULL;
    for (ids[31] = 0; ids[31] < 1000; ids[31]++) {
        node = rl_kv_prefix_find(x, 1, node, ids);
        assert_non_null(node);
    }
    assert_int_equal(rl_kv_node_depth(node), 1000);
    rl_kv_seq_deinit(&s);
    rl_kv_prefix_free(x);
    rl_kv_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_computed_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_is_kept_once, setup, teardown),
        cmocka_unit_test_setup_teardown(known_blocks_replace_reserved_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_known_is_never_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_has_one_domain, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_unused_leaf_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_table_grows, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
