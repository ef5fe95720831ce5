#include "../test.h"

#include "token/pretok.h"

#include <string.h>

/* Pieces are shown with a bar between them. */
static const struct split {
    const char *pre, *text, *pieces;
} splits[] = {
    { "gpt-2", "Hello world", "Hello| world" },
    { "gpt-2", "I'll don't WE'VE", "I|'ll| don|'t| WE|'|VE" },
    { "gpt-2", "  two  spaces ", " | two| | spaces| " },
    { "gpt-2", "a\n\nb\n", "a|\n|\n|b|\n" },
    { "gpt-2", "x 12345!? --", "x| 12345|!?| --" },
    { "gpt-2", "caf\xc3\xa9\xcc\x81 \xd9\xa3", "caf\xc3\xa9|\xcc\x81| \xd9\xa3" },
    { "gpt-2", "a\xc2\xa0 b", "a|\xc2\xa0| b" },
    { "gpt-2", "\xff\xfe\x80 a\xff", "\xff\xfe\x80| a|\xff" },
    { "gpt-2", "\xff\xfe \xe4", "\xff\xfe| \xe4" },
    { "qwen2", "Hello world", "Hello| world" },
    { "qwen2", "I'LL don't we'Ve", "I|'LL| don|'t| we|'Ve" },
    { "qwen2", "2024-05", "2|0|2|4|-|0|5" },
    { "qwen2", " 7", " |7" },
    { "qwen2", "(foo) .bar", "(foo|)| .|bar" },
    { "qwen2", "!!\r\n\r\n x", "!!\r\n\r\n| x" },
    { "qwen2", "a  \n  \n  b", "a|  \n  \n| | b" },
    { "qwen2", "a \n", "a| \n" },
    { "qwen2", "   ", "   " },
    { "qwen2", "   x", "  | x" },
    { "qwen2", "\tx\n\ty", "\tx|\n|\ty" },
    { "qwen2", " \t!", " |\t|!" },
    { "qwen2", "\n'tis", "\n|'t|is" },
    { "qwen2", "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96",
      "\xe4\xbd\xa0\xe5\xa5\xbd|\xef\xbc\x8c\xe4\xb8\x96" },
    { "qwen2",
      "a\xe3\x80\x80"
      "b",
      "a|\xe3\x80\x80"
      "b" },
    { "qwen2", "\xe4\xbd", "\xe4\xbd" },
    { "llama-bpe", "1234567", "123|456|7" },
    { "llama-bpe", " 12345", " |123|45" },
    { "llama-bpe", "He's $5.00", "He|'s| $|5|.|00" },
    { "llama3", "tab\tword", "tab|\tword" },
    { "deepseek-r1-qwen", "12", "1|2" },
    { "olmo", "ab12", "ab|12" },
};

static const rl_pretok *find(const char *name)
{
    return rl_pretok_find((rl_text){ name, strlen(name) });
}

static void pieces_are_cut_as_the_patterns_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
        const struct split *s = &splits[i];
        const rl_pretok *p = find(s->pre);
        size_t n = strlen(s->text), k = 0;
        char got[256];

        assert_non_null(p);
        for (size_t at = 0; at < n;) {
            size_t len = p->next(s->text + at, n - at);

            assert_in_range(len, 1, n - at);
            if (at)
                got[k++] = '|';
            memcpy(got + k, s->text + at, len);
            k += len;
            at += len;
        }
        got[k] = 0;
        assert_string_equal(got, s->pieces);
    }
}

static void unknown_names_are_not_offered(void **state)
{
    (void)state;
    assert_null(find(""));
    assert_null(find("default"));
    assert_null(find("qwen"));
    assert_null(find("qwen22"));
    assert_true(find("llama-bpe")->whole_words && find("llama-bpe")->add_bos);
    assert_false(find("qwen2")->whole_words || find("qwen2")->add_bos);
}

/* Whatever the bytes: pieces are never empty and never reach past the end. */
static void any_bytes_are_cut(void **state)
{
    static const char *const names[] = { "qwen2", "llama-bpe", "gpt-2" };
    uint64_t x = 88172645463325252u;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        char text[40];
        size_t n = 1 + (size_t)round % sizeof text;

        for (size_t i = 0; i < n; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            text[i] = "a1 \n'\xe2\x80\xa8\xff\r.S"[x % 12];
        }
        for (size_t at = 0; at < n;) {
            size_t len = find(names[round % 3])->next(text + at, n - at);

            assert_in_range(len, 1, n - at);
            at += len;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_cut_as_the_patterns_say),
        cmocka_unit_test(unknown_names_are_not_offered),
        cmocka_unit_test(any_bytes_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
