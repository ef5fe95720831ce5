/* Ids back to text: at once, streamed, and random bytes there and back for both models. */
#include "../test.h"

#include "tiny.h"

static tiny bpe, spm;

enum { CONTROL = 256, SPM_SPACE_A = 0, SPM_UNK, SPM_BOS, SPM_USER, SPM_BYTES };

static int open_both(void **state)
{
    static const tiny_token extra[] = { { "<|im_end|>", RL_TOKEN_CONTROL, 0 } };
    static tiny_token tokens[SPM_BYTES + 256] = {
        [SPM_SPACE_A] = { "\xe2\x96\x81"
                          "a",
                          0, -1 },
        [SPM_UNK] = { "<unk>", RL_TOKEN_UNKNOWN, 0 },
        [SPM_BOS] = { "<s>", RL_TOKEN_CONTROL, 0 },
        [SPM_USER] = { "[a user token]", RL_TOKEN_USER, 0 },
    };
    static char names[256][8];
    realm_error err = { 0 };

    (void)state;
    tiny_init(&bpe, "gpt2");
    tiny_string(&bpe, "tokenizer.ggml.pre", "gpt-2");
    tiny_bpe_tokens(&bpe, NULL, 0, extra, 1);
    for (unsigned b = 0; b < 256; b++) {
        (void)snprintf(names[b], sizeof names[b], "<0x%02X>", b);
        tokens[SPM_BYTES + b] = (tiny_token){ names[b], RL_TOKEN_BYTE, 0 };
    }
    tiny_init(&spm, "llama");
    tiny_spm_tokens(&spm, tokens, SPM_BYTES + 256);
    tiny_u32(&spm, "tokenizer.ggml.bos_token_id", SPM_BOS);
    if (tiny_open(&bpe, &err) != REALM_OK || tiny_open(&spm, &err) != REALM_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    tiny_deinit(&bpe);
    tiny_deinit(&spm);
    return 0;
}

static void the_first_space_is_dropped(void **state)
{
    const uint32_t ids[] = { SPM_BOS, SPM_SPACE_A, SPM_SPACE_A };
    rl_buf out;
    realm_error err;

    (void)state;
    rl_buf_init(&out, 100);
    assert_int_equal(rl_decode(spm.v, ids, 3, RL_DECODE_SKIP_SPECIAL, &out, &err), REALM_OK);
    assert_string_equal(out.data, "a a");
    rl_buf_clear(&out);
    assert_int_equal(rl_decode(spm.v, ids, 3, 0, &out, &err), REALM_OK);
    assert_string_equal(out.data, "<s> a a");
    rl_buf_deinit(&out);
}

static void bad_ids_and_full_buffers_are_told(void **state)
{
    const uint32_t bad[] = { 'a', 257 }, good[] = { 'a', 'b' };
    rl_buf out;
    realm_error err;

    (void)state;
    rl_buf_init(&out, 1);
    assert_int_equal(rl_decode(bpe.v, bad, 2, 0, &out, &err), REALM_EINVAL);
    rl_buf_clear(&out);
    assert_int_equal(rl_decode(bpe.v, good, 2, 0, &out, &err), REALM_ETOOBIG);
    rl_buf_deinit(&out);
}

static void feed(const rl_vocab *v, const uint32_t *ids, size_t n, uint32_t flags, const char *want)
{
    rl_detok d = { .n_held = 0 };
    rl_buf out;

    rl_buf_init(&out, 1000);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rl_detok_add(&d, v, ids[i], flags, &out), REALM_OK);
        assert_true(out.len == 0 || rl_utf8_valid(out.data, out.len));
    }
    assert_int_equal(rl_detok_add(&d, v, RL_NO_TOKEN, flags, &out), REALM_OK);
    assert_int_equal(d.n_held, 0);
    assert_string_equal(out.data ? out.data : "", want);
    rl_buf_deinit(&out);
}

#define FEED(v, flags, want, ...)                                                                  \
    feed((v), (const uint32_t[]){ __VA_ARGS__ },                                                   \
         sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), (flags), (want))

static void streams_show_whole_characters(void **state)
{
    (void)state;
    FEED(bpe.v, 0, "\xe2\x82\xac!", 0xe2, 0x82, 0xac, '!');
    FEED(bpe.v, 0, "\xf0\x9f\x98\x80", 0xf0, 0x9f, 0x98, 0x80);
    FEED(bpe.v, 0, "\xef\xbf\xbd", 0xf0, 0x9f, 0x98);
    FEED(bpe.v, 0,
         "a\xef\xbf\xbd"
         "b",
         'a', 0xff, 'b');
    FEED(bpe.v, 0,
         "\xef\xbf\xbd"
         "A",
         0xe2, 0x82, 'A');
    FEED(bpe.v, 0, "\xef\xbf\xbd\xe2\x82\xac", 0xe2, 0xe2, 0x82, 0xac);
    FEED(bpe.v, 0, "\xef\xbf\xbd\xef\xbf\xbd", 0x80, 0x80);
    FEED(bpe.v, 0, "x<|im_end|>", 'x', CONTROL);
    FEED(bpe.v, RL_DECODE_SKIP_SPECIAL, "xy", 'x', CONTROL, 'y');
    FEED(spm.v, 0, " a a", SPM_SPACE_A, SPM_SPACE_A);
    FEED(spm.v, 0, "\xe2\x82\xac a", SPM_BYTES + 0xe2, SPM_BYTES + 0x82, SPM_BYTES + 0xac,
         SPM_SPACE_A);
    FEED(spm.v, 0, "\xef\xbf\xbd a", SPM_BYTES + 0xe2, SPM_SPACE_A);
}

/* Streaming any bytes shows what replacing the bad parts of the whole text shows. */
static void streams_agree_with_the_whole(void **state)
{
    uint64_t x = 0x9e3779b97f4a7c15u;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        static const uint8_t some[] = { 'a',  0x80, 0xbf, 0xc3, 0xe2, 0x82,
                                        0xac, 0xf0, 0x9f, 0xed, 0xf4, 0xff };
        rl_detok slow = { .n_held = 0 };
        rl_buf streamed, whole;
        char text[24];
        uint32_t cp;

        rl_buf_init(&streamed, 1000);
        rl_buf_init(&whole, 1000);
        for (size_t i = 0; i < sizeof text; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            text[i] = (char)some[(x >> 33) % sizeof some];
            assert_int_equal(rl_detok_add(&slow, bpe.v, (uint8_t)text[i], 0, &streamed), REALM_OK);
        }
        assert_int_equal(rl_detok_add(&slow, bpe.v, RL_NO_TOKEN, 0, &streamed), REALM_OK);
        for (size_t i = 0; i < sizeof text;) {
            size_t k = 1;
            int len = rl_utf8_next(text + i, sizeof text - i, &cp);

            while (len <= 0 && i + k < sizeof text && rl_utf8_next(text + i, k + 1, &cp) == -1)
                k++;
            if (len > 0)
                (void)rl_buf_add(&whole, text + i, k = (size_t)len);
            else
                (void)rl_buf_adds(&whole, "\xef\xbf\xbd");
            i += k;
        }
        assert_int_equal(streamed.len, whole.len);
        assert_memory_equal(streamed.data, whole.data, whole.len);
        rl_buf_deinit(&streamed);
        rl_buf_deinit(&whole);
    }
}

static void random_bytes_come_back(void **state)
{
    const rl_vocab *both[] = { bpe.v, spm.v };
    uint64_t x = 1;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        const rl_vocab *v = both[round % 2];
        char text[96];
        size_t n = round % sizeof text + 1, n_ids;
        uint32_t *ids;
        rl_buf out;
        realm_error err;

        for (size_t i = 0; i < n; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            text[i] = (char)(x >> 56);
            if (round % 3 == 0)
                text[i] = " a\xff\xe2"[(uint8_t)text[i] % 4]; /* never U+2581 */
        }
        rl_buf_init(&out, 1000);
        assert_int_equal(
            rl_encode(v, text, n, round % 5 ? 0 : RL_ENCODE_ADD_SPECIAL, &ids, &n_ids, &err),
            REALM_OK);
        assert_int_equal(rl_decode(v, ids, n_ids, RL_DECODE_SKIP_SPECIAL, &out, &err), REALM_OK);
        assert_int_equal(out.len, n);
        assert_memory_equal(out.data, text, n);
        rl_free(ids);
        rl_buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_space_is_dropped),
        cmocka_unit_test(bad_ids_and_full_buffers_are_told),
        cmocka_unit_test(streams_show_whole_characters),
        cmocka_unit_test(streams_agree_with_the_whole),
        cmocka_unit_test(random_bytes_come_back),
    };

    return cmocka_run_group_tests(tests, open_both, close_both);
}
