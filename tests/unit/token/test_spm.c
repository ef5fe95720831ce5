#include "../test.h"

#include "tiny.h"

#define SP "\xe2\x96\x81" /* how files spell a space */

enum {
    UNK,
    BOS,
    EOS,
    A,
    B,
    AB,
    BA,
    SPACE,
    SPACE_A,
    SPACE2,
    C,
    ABC,
    USER,
    CONTROL,
    TAG,
    GT_SPACE,
    GT_SPACE_A,
    GT,
    LT,
    SS,
    BYTES, /* the first of 256 */
};

static tiny_token tokens[BYTES + 256] = {
    [UNK] = { "<unk>", RL_TOKEN_UNKNOWN, 0 },
    [BOS] = { "<s>", RL_TOKEN_CONTROL, 0 },
    [EOS] = { "</s>", RL_TOKEN_CONTROL, 0 },
    [A] = { "a", 0, -10 },
    [B] = { "b", 0, -11 },
    [AB] = { "ab", 0, -2 },
    [BA] = { "ba", 0, -3 },
    [SPACE] = { SP, 0, -12 },
    [SPACE_A] = { SP "a", 0, -1 },
    [SPACE2] = { SP SP, 0, -0.5f },
    [C] = { "c", 0, -13 },
    [ABC] = { "abc", 0, -4 },
    [USER] = { "[user]", RL_TOKEN_USER, 0 },
    [CONTROL] = { "bb", RL_TOKEN_CONTROL, 0 },
    [TAG] = { "<end_of_turn>", RL_TOKEN_NORMAL, 0 },
    [GT_SPACE] = { ">" SP, 0, -20 },
    [GT_SPACE_A] = { ">" SP "a", 0, -5 },
    [GT] = { ">", 0, -14 },
    [LT] = { "<", 0, -15 },
    [SS] = { "s", 0, -16 },
};
static char byte_names[256][8];

static void put_tokens(tiny *t)
{
    for (unsigned b = 0; b < 256; b++) {
        (void)snprintf(byte_names[b], sizeof byte_names[b], "<0x%02X>", b);
        tokens[BYTES + b] = (tiny_token){ byte_names[b], RL_TOKEN_BYTE, 0 };
    }
    tiny_spm_tokens(t, tokens, sizeof tokens / sizeof tokens[0]);
    tiny_u32(t, "tokenizer.ggml.bos_token_id", BOS);
    tiny_u32(t, "tokenizer.ggml.eos_token_id", EOS);
    tiny_u32(t, "tokenizer.ggml.unknown_token_id", UNK);
}

static tiny spaced, bare; /* with and without the space prefix */

static int open_both(void **state)
{
    realm_error err = { 0 };

    (void)state;
    tiny_init(&spaced, "llama");
    put_tokens(&spaced);
    tiny_init(&bare, "llama");
    put_tokens(&bare);
    tiny_bool(&bare, "tokenizer.ggml.add_space_prefix", false);
    tiny_bool(&bare, "tokenizer.ggml.add_bos_token", false);
    tiny_bool(&bare, "tokenizer.ggml.add_eos_token", true);
    if (tiny_open(&spaced, &err) != REALM_OK || tiny_open(&bare, &err) != REALM_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

/* The same over tables that came with the file. */
static int map_both(void **state)
{
    realm_error err = { 0 };

    if (open_both(state) < 0)
        return -1;
    if (tiny_map(&spaced, &err) != REALM_OK || tiny_map(&bare, &err) != REALM_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    tiny_deinit(&spaced);
    tiny_deinit(&bare);
    return 0;
}

static void the_highest_score_merges_first(void **state)
{
    (void)state;
    assert_ids(bare.v, "ab", 0, AB);
    assert_ids(bare.v, "aba", 0, AB, A);
    assert_ids(bare.v, "bab", 0, B, AB); /* ab before ba */
    assert_ids(bare.v, "ababab", 0, AB, AB, AB);
    assert_ids(bare.v, "abc", 0, ABC);
    assert_ids(bare.v, " ab", 0, SPACE_A, B); /* the space binds stronger */
    assert_ids(bare.v, "a  b", 0, A, SPACE2, B);
    assert_ids(bare.v, "a  a", 0, A, SPACE2, A);
}

static void of_equal_scores_the_leftmost_merges(void **state)
{
    (void)state;
    assert_ids(bare.v, "   ", 0, SPACE2, SPACE);
    assert_ids(bare.v, "     ", 0, SPACE2, SPACE2, SPACE);
}

static void pieces_may_hold_a_space_inside(void **state)
{
    (void)state;
    assert_ids(bare.v, "> a", 0, GT_SPACE_A); /* over the end of a word */
    assert_ids(bare.v, "> b", 0, GT_SPACE, B);
}

static void unknown_characters_become_bytes(void **state)
{
    (void)state;
    assert_ids(bare.v, "\xc3\xa9", 0, BYTES + 0xc3, BYTES + 0xa9);
    assert_ids(bare.v,
               "a\xff"
               "b",
               0, A, BYTES + 0xff, B);
    assert_ids(bare.v, "\xe2\x96", 0, BYTES + 0xe2, BYTES + 0x96);
    assert_ids(bare.v, "\n", 0, BYTES + 0x0a);
}

static void the_space_mark_is_a_space(void **state)
{
    (void)state;
    assert_ids(bare.v, SP "a", 0, SPACE_A);
    assert_ids(bare.v, "a" SP SP "b", 0, A, SPACE2, B);
}

static void a_space_is_put_before_text(void **state)
{
    (void)state;
    assert_ids(spaced.v, "a", 0, SPACE_A);
    assert_ids(spaced.v, " a", 0, SPACE2, A);
    assert_ids(spaced.v, "[user]a", 0, USER, SPACE_A);
    assert_ids(spaced.v, "a[user] a", 0, SPACE_A, USER, SPACE2, A);
    assert_ids(spaced.v, "<s>a", RL_ENCODE_PARSE_SPECIAL, BOS, SPACE_A);
    assert_ids(spaced.v, "a", RL_ENCODE_MIDDLE, A); /* but not before one that goes on */
    assert_ids(spaced.v, "[user]a", RL_ENCODE_MIDDLE, USER, SPACE_A);
    assert_int_equal(rl_vocab_get_info(spaced.v)->add_space_prefix, true);
}

static void beginning_and_end_are_added(void **state)
{
    (void)state;
    assert_ids(spaced.v, "a", RL_ENCODE_ADD_SPECIAL, BOS, SPACE_A);
    assert_ids(bare.v, "a", RL_ENCODE_ADD_SPECIAL, A, EOS);
    assert_ids(spaced.v, "", RL_ENCODE_ADD_SPECIAL, BOS);
    assert_ids(bare.v, "", RL_ENCODE_ADD_SPECIAL, EOS);
}

/* What spells a control or byte token gives other tokens unless special tokens are parsed. */
static void spelled_out_tokens_stay_text(void **state)
{
    (void)state;
    assert_ids(bare.v, "bb", 0, B, B);
    assert_ids(bare.v, "bb", RL_ENCODE_PARSE_SPECIAL, CONTROL);
    assert_ids(bare.v, "<s>", 0, LT, SS, GT);
    assert_ids(bare.v, "a<s>b", RL_ENCODE_PARSE_SPECIAL, A, BOS, B);
    assert_ids(bare.v, "a[user]b", 0, A, USER, B);
    assert_ids(bare.v, "<0x61>", RL_ENCODE_PARSE_SPECIAL, LT, BYTES + '0', BYTES + 'x', BYTES + '6',
               BYTES + '1', GT);
    assert_ids(bare.v, "<end_of_turn>", RL_ENCODE_PARSE_SPECIAL, TAG);
}

static void tokens_know_their_bytes(void **state)
{
    (void)state;
    assert_int_equal(rl_token_bytes(bare.v, SPACE_A).n, 2);
    assert_memory_equal(rl_token_bytes(bare.v, SPACE_A).p, " a", 2);
    assert_int_equal(rl_token_bytes(bare.v, BYTES + 0xff).n, 1);
    assert_memory_equal(rl_token_bytes(bare.v, BYTES + 0xff).p, "\xff", 1);
    assert_int_equal(rl_token_bytes(bare.v, BYTES + 256).n, 0);
    assert_int_equal(rl_token_bytes(bare.v, RL_NO_TOKEN).n, 0);
    assert_true(rl_vocab_is_special(bare.v, BOS) && rl_vocab_is_special(bare.v, UNK));
    assert_false(rl_vocab_is_special(bare.v, USER) || rl_vocab_is_special(bare.v, A));
    assert_false(rl_vocab_is_special(bare.v, RL_NO_TOKEN));
}

/* A MiB of one letter is one word: look-ups stay linear, and so does a MiB of spaces. */
static void long_words_cost_linear(void **state)
{
    enum { N = 1 << 20 };
    static const char *const units[] = { "a", " ", "ab", "ba", "ab ", "\xff", "> a", "  a" };
    char *text = rl_alloc(N);

    (void)state;
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        rl_encoder e = { .v = spaced.v };
        size_t k = strlen(units[u]);

        for (size_t i = 0; i < N; i++)
            text[i] = units[u][i % k];
        assert_int_equal(rl_encoder_run(&e, text, N, 0), REALM_OK);
        assert_true(e.merge.n_tried <= 3 * (uint64_t)N + 3);
        assert_true(e.ids.n > 0 && e.ids.n <= N + 1);
        rl_encoder_deinit(&e);
    }
    rl_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_highest_score_merges_first),
        cmocka_unit_test(of_equal_scores_the_leftmost_merges),
        cmocka_unit_test(pieces_may_hold_a_space_inside),
        cmocka_unit_test(unknown_characters_become_bytes),
        cmocka_unit_test(the_space_mark_is_a_space),
        cmocka_unit_test(a_space_is_put_before_text),
        cmocka_unit_test(beginning_and_end_are_added),
        cmocka_unit_test(spelled_out_tokens_stay_text),
        cmocka_unit_test(tokens_know_their_bytes),
        cmocka_unit_test(long_words_cost_linear),
    };

    return cmocka_run_group_tests_name("built", tests, open_both, close_both) +
           cmocka_run_group_tests_name("mapped", tests, map_both, close_both);
}
