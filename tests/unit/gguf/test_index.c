#include "../test.h"

#include "gguf/index.h"

#include <stdio.h>
#include <string.h>

enum { N = 5000 };

typedef struct named {
    uint64_t other; /* so that the stride matters */
    rl_text name;
} named;

static char words[N][16];
static named items[N];

static int fill(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        int n = snprintf(words[i], sizeof words[i], "%.*s%d", i % 9, "abcdefghi", i);

        items[i].name = (rl_text){ words[i], (size_t)n };
    }
    return 0;
}

static void every_text_is_found(void **state)
{
    rl_gguf_index ix;

    (void)state;
    assert_int_equal(rl_gguf_index_init(&ix, &items->name, sizeof *items, N), REALM_OK);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(rl_gguf_index_find(&ix, words[i], items[i].name.n), RL_INDEX_NONE);
        assert_int_equal(rl_gguf_index_add(&ix, i), i);
    }
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(rl_gguf_index_find(&ix, words[i], items[i].name.n), i);
    assert_int_equal(rl_gguf_index_find(&ix, "absent", 6), RL_INDEX_NONE);
    assert_int_equal(rl_gguf_index_find(&ix, "", 0), RL_INDEX_NONE);
    rl_gguf_index_deinit(&ix);
}

static void equal_texts_are_told(void **state)
{
    rl_text twice[3] = { { "same", 4 }, { "same", 4 }, { "sam", 3 } };
    rl_gguf_index ix;

    (void)state;
    assert_int_equal(rl_gguf_index_init(&ix, twice, sizeof *twice, 3), REALM_OK);
    assert_int_equal(rl_gguf_index_add(&ix, 0), 0);
    assert_int_equal(rl_gguf_index_add(&ix, 1), 0);
    assert_int_equal(rl_gguf_index_add(&ix, 2), 2);
    assert_int_equal(rl_gguf_index_find(&ix, "same", 4), 0);
    rl_gguf_index_deinit(&ix);
}

static void an_empty_index_finds_nothing(void **state)
{
    rl_gguf_index ix = { 0 };

    (void)state;
    assert_int_equal(rl_gguf_index_find(&ix, "x", 1), RL_INDEX_NONE);
    rl_gguf_index_deinit(&ix);
    assert_int_equal(rl_gguf_index_init(&ix, NULL, 0, 0), REALM_OK);
    assert_int_equal(rl_gguf_index_find(&ix, "x", 1), RL_INDEX_NONE);
    rl_gguf_index_deinit(&ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_is_found),
        cmocka_unit_test(equal_texts_are_told),
        cmocka_unit_test(an_empty_index_finds_nothing),
    };

    return cmocka_run_group_tests(tests, fill, NULL);
}
