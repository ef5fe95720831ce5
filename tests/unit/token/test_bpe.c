#include "../test.h"

#include "tiny.h"

#define G "\xc4\xa0" /* how files spell a space */

static const char *const merges[] = {
    "h e", "l l", "he ll", "hell o", G " w", "o r", G "w or", "a a", "aa aa", "x y", "y z", "s t",
};

enum { HE = 256, LL, HELL, HELLO, GW, OR, GWOR, AA, AAAA, XY, YZ, ST, WHOLE, IM_END, USER, USER2 };

static const tiny_token extra[] = {
    { "xyz", 0, 0 },                       /* WHOLE: no merge makes it */
    { "<|im_end|>", RL_TOKEN_CONTROL, 0 }, /* IM_END */
    { "<tool>", RL_TOKEN_USER, 0 },        /* USER */
    { "<tool>  x", RL_TOKEN_USER, 0 },     /* USER2: longer, and with real spaces */
};

static tiny qwen, llama3;

static int open_both(void **state)
{
    tiny *both[] = { &qwen, &llama3 };
    realm_error err = { 0 };

    (void)state;
    for (int i = 0; i < 2; i++) {
        tiny_init(both[i], "gpt2");
        tiny_string(both[i], "tokenizer.ggml.pre", i ? "llama-bpe" : "qwen2");
        tiny_bpe_tokens(both[i], merges, sizeof merges / sizeof merges[0], extra, 4);
        tiny_u32(both[i], "tokenizer.ggml.bos_token_id", IM_END);
        if (tiny_open(both[i], &err) != REALM_OK) {
            print_error("%s\n", err.text);
            return -1;
        }
    }
    return 0;
}

/* The same over tables that came with the file. */
static int map_both(void **state)
{
    realm_error err = { 0 };

    if (open_both(state) < 0)
        return -1;
    if (tiny_map(&qwen, &err) != REALM_OK || tiny_map(&llama3, &err) != REALM_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    tiny_deinit(&qwen);
    tiny_deinit(&llama3);
    return 0;
}

static void merges_go_by_rank(void **state)
{
    (void)state;
    assert_ids(qwen.v, "hello", 0, HELLO);
    assert_ids(qwen.v, "hel", 0, HE, 'l');
    assert_ids(qwen.v, "hello world", 0, HELLO, GWOR, 'l', 'd');
    assert_ids(qwen.v, "aaa", 0, AA, 'a');
    assert_ids(qwen.v, "aaaaaaa", 0, AAAA, AA, 'a');
    assert_ids(qwen.v, "xyz", 0, XY, 'z');
    assert_ids(qwen.v, "\xff\xc3", 0, 0xff, 0xc3);
}

static void words_that_are_tokens_may_stay_whole(void **state)
{
    (void)state;
    assert_ids(llama3.v, "xyz", 0, WHOLE);
    assert_ids(llama3.v, "xyzz", 0, XY, 'z', 'z');
    assert_ids(llama3.v, "hello", 0, HELLO);
}

static void special_texts_are_cut_out(void **state)
{
    (void)state;
    assert_ids(qwen.v, "st<|im_end|>st", RL_ENCODE_PARSE_SPECIAL, ST, IM_END, ST);
    assert_ids(qwen.v, "<|im_end|>", 0, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>');
    assert_ids(qwen.v, "a<tool>a", 0, 'a', USER, 'a');
    assert_ids(qwen.v, "<tool>  x", 0, USER2);
    assert_ids(qwen.v, "<tool>  y", 0, USER, ' ', ' ', 'y');
    assert_ids(qwen.v, "<tool><tool", 0, USER, '<', 't', 'o', 'o', 'l');
}

static void defaults_follow_the_pretokenizer(void **state)
{
    (void)state;
    assert_false(rl_vocab_get_info(qwen.v)->add_bos);
    assert_true(rl_vocab_get_info(llama3.v)->add_bos);
    assert_false(rl_vocab_get_info(llama3.v)->add_space_prefix);
    assert_string_equal(rl_vocab_get_info(llama3.v)->pre, "llama-bpe");
    assert_string_equal(rl_vocab_get_info(llama3.v)->model, "gpt2");
    assert_ids(llama3.v, "x", RL_ENCODE_ADD_SPECIAL, IM_END, 'x');
    assert_ids(qwen.v, "x", RL_ENCODE_ADD_SPECIAL, 'x');
}

static void user_texts_keep_their_spelling(void **state)
{
    (void)state;
    assert_int_equal(rl_token_bytes(qwen.v, USER2).n, 9);
    assert_memory_equal(rl_token_bytes(qwen.v, USER2).p, "<tool>  x", 9);
    assert_memory_equal(rl_token_bytes(qwen.v, GWOR).p, " wor", 4);
}

/* Each text repeats; the memo of words must not change what they become. */
static void repeated_words_give_the_same_ids(void **state)
{
    static const char unit[] = "hello wor xyzzy aaaa st12 hellohellohello \xff\xfe,";
    enum { TIMES = 200 };
    char text[TIMES * (sizeof unit - 1)];
    uint32_t *one, *all;
    size_t n_one, n_all;
    realm_error err;

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = unit[i % (sizeof unit - 1)];
    assert_int_equal(rl_encode(qwen.v, unit, sizeof unit - 1, 0, &one, &n_one, &err), REALM_OK);
    assert_int_equal(rl_encode(qwen.v, text, sizeof text, 0, &all, &n_all, &err), REALM_OK);
    assert_int_equal(n_all, TIMES * n_one);
    for (size_t i = 0; i < n_all; i++)
        assert_int_equal(all[i], one[i % n_one]);
    rl_free(one);
    rl_free(all);
}

static void long_words_cost_linear(void **state)
{
    enum { N = 1 << 20 };
    static const char *const units[] = {
        "a", " ", "hello", "xy", "\n", "\xff", "<", "'s", "<tool"
    };
    char *text = rl_alloc(N);

    (void)state;
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        rl_encoder e = { .v = llama3.v };
        size_t k = strlen(units[u]);

        for (size_t i = 0; i < N; i++)
            text[i] = units[u][i % k];
        assert_int_equal(rl_encoder_run(&e, text, N, RL_ENCODE_PARSE_SPECIAL), REALM_OK);
        assert_true(e.merge.n_tried <= 3 * (uint64_t)N);
        assert_true(e.ids.n > 0 && e.ids.n <= N);
        rl_encoder_deinit(&e);
    }
    rl_free(text);
}

static void a_text_over_the_limit_is_refused(void **state)
{
    uint32_t *ids = NULL;
    size_t n_ids;
    realm_error err;

    (void)state;
    assert_int_equal(rl_encode(qwen.v, "", ((size_t)64 << 20) + 1, 0, &ids, &n_ids, &err),
                     REALM_ETOOBIG);
    assert_null(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_go_by_rank),
        cmocka_unit_test(words_that_are_tokens_may_stay_whole),
        cmocka_unit_test(special_texts_are_cut_out),
        cmocka_unit_test(defaults_follow_the_pretokenizer),
        cmocka_unit_test(user_texts_keep_their_spelling),
        cmocka_unit_test(repeated_words_give_the_same_ids),
        cmocka_unit_test(long_words_cost_linear),
        cmocka_unit_test(a_text_over_the_limit_is_refused),
    };

    return cmocka_run_group_tests_name("built", tests, open_both, close_both) +
           cmocka_run_group_tests_name("mapped", tests, map_both, close_both);
}
