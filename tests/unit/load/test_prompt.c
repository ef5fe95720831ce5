#include "../test.h"

#include "base/alloc.h"
#include "load/prompt.h"

#include <stdlib.h>
#include <string.h>

#define MANY 30000u

static void the_words_are_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < RL_LOAD_PROMPT_WORDS; i++) {
        assert_non_null(rl_load_words[i]);
        assert_true(strspn(rl_load_words[i], "abcdefghijklmnopqrstuvwxyz") ==
                        strlen(rl_load_words[i]) &&
                    *rl_load_words[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rl_load_words[i], rl_load_words[k]);
    }
}

static size_t count_words(const char *text)
{
    size_t n = 1;

    for (; *text; text++)
        n += *text == ' ';
    return n;
}

static void a_prompt_has_its_number_of_words(void **state)
{
    static const struct {
        uint32_t asked, got;
    } rows[] = { { 0, 4 }, { 1, 4 }, { 4, 4 }, { 5, 5 }, { 238, 238 } };
    rl_buf a, b;

    (void)state;
    rl_buf_init(&a, 1 << 16);
    rl_buf_init(&b, 1 << 16);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rl_buf_clear(&a);
        rl_buf_clear(&b);
        rl_load_prompt_write(&a, 1, 7, rows[i].asked);
        rl_load_prompt_write(&b, 1, 7, rows[i].asked);
        assert_int_equal(count_words(a.data), rows[i].got);
        assert_string_equal(a.data, b.data);
    }
    rl_buf_deinit(&a);
    rl_buf_deinit(&b);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Already the first four words differ, so no prompt begins as another does. */
static void no_prompt_begins_like_another(void **state)
{
    char **all = rl_alloc_array(MANY, sizeof *all);

    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        for (uint32_t i = 0; i < MANY; i++) {
            rl_buf text;

            rl_buf_init(&text, 1 << 16);
            rl_load_prompt_write(&text, seed, i < MANY / 2 ? i : UINT32_MAX - i, 4);
            all[i] = rl_buf_take(&text);
        }
        qsort(all, MANY, sizeof *all, by_text);
        for (uint32_t i = 1; i < MANY; i++)
            assert_string_not_equal(all[i - 1], all[i]);
        for (uint32_t i = 0; i < MANY; i++)
            rl_free(all[i]);
    }
    rl_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_words_are_words),
        cmocka_unit_test(a_prompt_has_its_number_of_words),
        cmocka_unit_test(no_prompt_begins_like_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
