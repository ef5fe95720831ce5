/* What a vocabulary needs of its file: each missing or broken key is refused with a reason. */
#include "../test.h"

#include "tiny.h"

#include <math.h>

static const tiny_token spm_tokens[] = {
    { "<unk>", RL_TOKEN_UNKNOWN, 0 },
    { "a", 0, -1 },
    { "<|im_end|>", RL_TOKEN_CONTROL, 0 },
    { "<eos>", 0, 0 },
    { "</s>", 0, 0 },
    { "<|file_sep|>", RL_TOKEN_CONTROL, 0 },
    { "<|fim_pad|>", 0, 0 },
};
enum { N_SPM = sizeof spm_tokens / sizeof spm_tokens[0] };

static const char *const one_merge[] = { "a b" };

static void refused(tiny *t, realm_status want, const char *reason)
{
    realm_error err = { 0 };

    assert_int_equal(tiny_open(t, &err), want);
    assert_null(t->v);
    if (!strstr(err.text, reason))
        fail_msg("said \"%s\", not \"%s\"", err.text, reason);
    tiny_deinit(t);
}

static void start_spm(tiny *t)
{
    tiny_init(t, "llama");
    tiny_spm_tokens(t, spm_tokens, N_SPM);
}

static void start_bpe(tiny *t, const char *pre)
{
    tiny_init(t, "gpt2");
    if (pre)
        tiny_string(t, "tokenizer.ggml.pre", pre);
}

static void models_not_offered_are_named(void **state)
{
    tiny t;

    (void)state;
    tiny_init(&t, "t5");
    refused(&t, REALM_EUNSUPPORTED, "\"t5\"");
    start_bpe(&t, "tekken");
    refused(&t, REALM_EUNSUPPORTED, "\"tekken\"");
    start_bpe(&t, NULL);
    refused(&t, REALM_EUNSUPPORTED, "pretokenizer \"\"");
    tiny_init(&t, "x");
    t.n_kv = 0;
    rl_buf_clear(&t.body);
    refused(&t, REALM_EUNSUPPORTED, "no tokenizer");
}

static void broken_spm_files_are_refused(void **state)
{
    tiny_token bad[2] = { { "a", 0, 0 }, { "<0xZZ>", RL_TOKEN_BYTE, 0 } };
    tiny_token many[] = { { "a", 7, 0 } };
    tiny t;

    (void)state;
    tiny_init(&t, "llama");
    refused(&t, REALM_EINVAL, "tokenizer.ggml.tokens");
    tiny_init(&t, "llama");
    tiny_array(&t, "tokenizer.ggml.tokens", RL_GGUF_STRING, 0);
    refused(&t, REALM_EINVAL, "tokenizer.ggml.tokens");
    tiny_init(&t, "llama");
    tiny_array(&t, "tokenizer.ggml.tokens", RL_GGUF_STRING, 1);
    tiny_text(&t.body, "a", 1);
    refused(&t, REALM_EINVAL, "scores");
    tiny_init(&t, "llama");
    tiny_spm_tokens(&t, bad, 2);
    refused(&t, REALM_EINVAL, "<0xNN>");
    tiny_init(&t, "llama");
    tiny_spm_tokens(&t, many, 1);
    refused(&t, REALM_EINVAL, "unknown kind 7");
    bad[1] = (tiny_token){ "b", 0, 0 };
    bad[0].score = -INFINITY;
    tiny_init(&t, "llama");
    tiny_spm_tokens(&t, bad, 2);
    refused(&t, REALM_EINVAL, "score of token 0");
    bad[0].score = 0;
    tiny_init(&t, "llama");
    tiny_spm_tokens(&t, bad, 2);
    refused(&t, REALM_EINVAL, "no token for byte 0");
}

static void broken_keys_are_refused(void **state)
{
    char long_text[300];
    tiny t;

    (void)state;
    start_spm(&t);
    tiny_u32(&t, "tokenizer.ggml.bos_token_id", N_SPM);
    refused(&t, REALM_EINVAL, "bos_token_id is 7");
    start_spm(&t);
    tiny_string(&t, "tokenizer.ggml.eos_token_id", "1");
    refused(&t, REALM_EINVAL, "eos_token_id");
    start_spm(&t);
    tiny_u32(&t, "tokenizer.ggml.add_bos_token", 1);
    refused(&t, REALM_EINVAL, "add_bos_token");
    start_spm(&t);
    tiny_string(&t, "tokenizer.ggml.eot_token_id", "1");
    refused(&t, REALM_EINVAL, "eot_token_id");
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    tiny_init(&t, "llama");
    tiny_spm_tokens(&t, &(tiny_token){ long_text, RL_TOKEN_CONTROL, 0 }, 1);
    refused(&t, REALM_EINVAL, "special token 0 has 299 bytes");
    tiny_init(&t, "llama");
    tiny_array(&t, "tokenizer.ggml.tokens", RL_GGUF_STRING, 1);
    tiny_text(&t.body, "a", 1);
    tiny_array(&t, "tokenizer.ggml.token_type", RL_GGUF_I32, 2);
    tiny_int(&t.body, 1, 8);
    refused(&t, REALM_EINVAL, "has 2 items, not 1");
    tiny_init(&t, "llama");
    tiny_array(&t, "tokenizer.ggml.tokens", RL_GGUF_STRING, 1);
    tiny_text(&t.body, "a", 1);
    tiny_array(&t, "tokenizer.ggml.token_type", RL_GGUF_U8, 1);
    tiny_int(&t.body, 1, 1);
    refused(&t, REALM_EINVAL, "no array of i32");
}

/* A good byte-level vocabulary but for its merges. */
static void refuse_merge(const char *merge)
{
    tiny t;

    start_bpe(&t, "qwen2");
    tiny_bpe_tokens(&t, one_merge, 1, NULL, 0);
    t.body.len -= 3; /* the text of the one merge, replaced */
    rl_buf_consume(&t.body, 0);
    t.body.len -= 8;
    tiny_text(&t.body, merge, strlen(merge));
    refused(&t, REALM_EINVAL, "merge 0");
}

static void broken_merges_are_refused(void **state)
{
    char long_merge[2000];
    tiny t;
    realm_error err;

    (void)state;
    refuse_merge("ab");
    refuse_merge("");
    refuse_merge(" ");
    refuse_merge("a ");
    refuse_merge(" b");
    refuse_merge("a b c");
    refuse_merge("a c");
    refuse_merge("zz b");
    memset(long_merge, 'a', sizeof long_merge - 1);
    long_merge[1000] = ' ';
    long_merge[sizeof long_merge - 1] = 0;
    refuse_merge(long_merge);
    start_bpe(&t, "qwen2");
    tiny_spm_tokens(&t, spm_tokens, N_SPM);
    refused(&t, REALM_EINVAL, "merges");
    start_bpe(&t, "qwen2");
    tiny_spm_tokens(&t, spm_tokens, N_SPM);
    tiny_array(&t, "tokenizer.ggml.merges", RL_GGUF_STRING, 0);
    refused(&t, REALM_EINVAL, "no token for byte 0");
    start_bpe(&t, "qwen2");
    tiny_bpe_tokens(&t, one_merge, 1, NULL, 0);
    assert_int_equal(tiny_open(&t, &err), REALM_OK);
    assert_int_equal(rl_vocab_get_info(t.v)->n_tokens, 257);
    tiny_deinit(&t);
}

static void ends_are_known_by_key_and_name(void **state)
{
    const rl_vocab_info *info;
    tiny t;
    realm_error err;

    (void)state;
    start_spm(&t);
    tiny_u32(&t, "tokenizer.ggml.unknown_token_id", 0);
    tiny_u32(&t, "tokenizer.ggml.eot_token_id", 1);
    tiny_u32(&t, "tokenizer.ggml.eos_token_id", 2);
    assert_int_equal(tiny_open(&t, &err), REALM_OK);
    info = rl_vocab_get_info(t.v);
    assert_int_equal(info->n_eog, 4); /* a, <|im_end|>, <eos>, <|file_sep|> */
    assert_int_equal(info->eog[0], 1);
    assert_int_equal(info->eog[1], 2);
    assert_int_equal(info->eog[2], 3);
    assert_int_equal(info->eog[3], 5);
    assert_true(rl_vocab_is_eog(t.v, 3));
    assert_false(rl_vocab_is_eog(t.v, 4)); /* </s> is plain text here */
    assert_false(rl_vocab_is_eog(t.v, 6));
    assert_false(rl_vocab_is_eog(t.v, RL_NO_TOKEN));
    assert_int_equal(info->bos, RL_NO_TOKEN);
    assert_false(info->add_bos); /* there is none to add */
    assert_int_equal(info->eos, 2);
    assert_int_equal(info->unk, 0);
    tiny_deinit(&t);
}

/* No byte tokens: a character that is no piece is the unknown token, once. */
static void unknown_characters_need_no_bytes(void **state)
{
    tiny t;
    realm_error err;

    (void)state;
    start_spm(&t);
    tiny_u32(&t, "tokenizer.ggml.unknown_token_id", 0);
    tiny_bool(&t, "tokenizer.ggml.add_space_prefix", false);
    assert_int_equal(tiny_open(&t, &err), REALM_OK);
    assert_ids(t.v,
               "a\xc3\xa9\xc3\xa9"
               "a",
               0, 1, 0, 0, 1);
    tiny_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_not_offered_are_named),
        cmocka_unit_test(broken_spm_files_are_refused),
        cmocka_unit_test(broken_keys_are_refused),
        cmocka_unit_test(broken_merges_are_refused),
        cmocka_unit_test(ends_are_known_by_key_and_name),
        cmocka_unit_test(unknown_characters_need_no_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
