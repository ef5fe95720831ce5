#include "../test.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

static void arrays_refuse_to_overflow(void **state)
{
    (void)state;
    assert_null(rl_alloc_array(SIZE_MAX / 2, 3));
    assert_null(rl_alloc_aligned(64, SIZE_MAX - 3));
}

static void arena_gives_aligned_zeroes(void **state)
{
    rl_arena a = { 0 };

    (void)state;
    for (size_t n = 0; n < 600000; n = n * 3 + 1) {
        uint8_t *p = rl_arena_alloc(&a, n);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xee, n);
    }
    assert_null(rl_arena_alloc(&a, SIZE_MAX - 10));
    rl_arena_deinit(&a);
}

static void buf_keeps_its_cap(void **state)
{
    rl_buf b;

    (void)state;
    rl_buf_init(&b, 10);
    assert_int_equal(rl_buf_adds(&b, "0123456789"), REALM_OK);
    assert_int_equal(rl_buf_add(&b, "x", 1), REALM_ETOOBIG);
    assert_true(b.failed);
    assert_string_equal(b.data, "0123456789");
    rl_buf_clear(&b);
    assert_int_equal(rl_buf_addf(&b, "%d-%s", 42, "ab"), REALM_OK);
    rl_buf_consume(&b, 3);
    assert_string_equal(b.data, "ab");
    rl_buf_deinit(&b);
}

static void pages_are_huge_aligned(void **state)
{
    uint8_t *p = rl_pages_map(5000);

    (void)state;
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % (2u << 20), 0);
    p[4999] = 1;
    rl_pages_unmap(p, 5000);
    rl_pages_unmap(NULL, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_refuse_to_overflow),
        cmocka_unit_test(arena_gives_aligned_zeroes),
        cmocka_unit_test(buf_keeps_its_cap),
        cmocka_unit_test(pages_are_huge_aligned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
