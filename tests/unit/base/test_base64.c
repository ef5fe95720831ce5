/* Base64 against RFC 4648's own vectors, and against a decoder as plain as the RFC's words. */
#include "../test.h"

#include "base/alloc.h"
#include "base/base64.h"

#include <string.h>

/* The standard's section 10. */
static void the_vectors_of_the_rfc(void **state)
{
    static const struct {
        const char *bytes, *text;
    } rows[] = { { "f", "Zg==" },        { "fo", "Zm8=" },        { "foo", "Zm9v" },
                 { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
    rl_buf b;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rl_buf_init(&b, 100);
        rl_base64(&b, rows[i].bytes, strlen(rows[i].bytes));
        assert_string_equal(b.data, rows[i].text);
        rl_buf_deinit(&b);
    }
    rl_buf_init(&b, 100);
    rl_base64(&b, NULL, 0); /* BASE64("") = "" */
    assert_int_equal(b.len, 0);
    assert_false(b.failed);
    rl_buf_deinit(&b);
}

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* Every digit and pad is where it may be, unused bits are 0. -> bytes in out */
static size_t decode(const char *text, size_t n, uint8_t *out)
{
    size_t bytes = 0;

    assert_int_equal(n % 4, 0);
    for (size_t at = 0; at < n; at += 4) {
        int pads = at + 4 < n ? 0 : (text[at + 3] == '=') + (text[at + 2] == '=');
        uint32_t bits = 0;

        for (int i = 0; i < 4; i++) {
            int d = i < 4 - pads ? digit(text[at + (size_t)i]) : 0;

            assert_true(d >= 0);
            bits = bits << 6 | (uint32_t)d;
        }
        assert_true(pads < 2 || text[at + 3] == '=');
        assert_int_equal(bits & ((1u << (8 * pads)) - 1), 0);
        for (int i = 0; i < 3 - pads; i++)
            out[bytes++] = (uint8_t)(bits >> (16 - 8 * i));
    }
    return bytes;
}

static void goes_round(const uint8_t *bytes, size_t n)
{
    uint8_t *back = rl_alloc(n + 3);
    rl_buf b;

    assert_non_null(back);
    rl_buf_init(&b, (n + 2) / 3 * 4);
    rl_base64(&b, bytes, n);
    assert_false(b.failed);
    assert_int_equal(b.len, (n + 2) / 3 * 4);
    assert_int_equal(decode(b.data ? b.data : "", b.len, back), n);
    assert_memory_equal(back, bytes, n);
    rl_buf_deinit(&b);
    rl_free(back);
}

/* Of every length up to a few groups' ends, at which padding must not come in the middle. */
static void every_length_and_byte(void **state)
{
    enum { MOST = 9300, GROUP = 3072 };
    uint8_t *bytes = rl_alloc(MOST);

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < MOST; i++)
        bytes[i] = (uint8_t)(i * 151 + i / 256);
    for (size_t n = 0; n <= 300; n++)
        goes_round(bytes + n % 7, n);
    for (size_t group = GROUP; group <= 3 * GROUP; group += GROUP)
        for (size_t n = group - 4; n <= group + 4; n++)
            goes_round(bytes, n);
    memset(bytes, 0xff, MOST);
    goes_round(bytes, MOST);
    memset(bytes, 0, MOST);
    goes_round(bytes, MOST);
    rl_free(bytes);
}

static void it_comes_after_what_is_there(void **state)
{
    rl_buf b;

    (void)state;
    rl_buf_init(&b, 100);
    (void)rl_buf_adds(&b, "x,");
    rl_base64(&b, "\0\xff", 2);
    assert_string_equal(b.data, "x,AP8=");
    rl_buf_deinit(&b);
}

static void failures_show(void **state)
{
    static const char bytes[10000];
    rl_buf b;

    (void)state;
    rl_buf_init(&b, 7); /* one less than it takes */
    rl_base64(&b, "four", 4);
    assert_true(b.failed && b.len == 0);
    rl_base64(&b, "x", 1); /* would fit, but something is missing before it */
    assert_true(b.failed && b.len == 0);
    rl_buf_deinit(&b);
    rl_buf_init(&b, 13335); /* its last group does not fit */
    rl_base64(&b, bytes, sizeof bytes);
    assert_true(b.failed && b.len < 13336);
    rl_buf_deinit(&b);
    rl_buf_init(&b, 100);
    (void)rl_alloc_fail_at(1);
    rl_base64(&b, "four", 4);
    assert_true(rl_alloc_fail_at(0) && b.failed);
    rl_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc),
        cmocka_unit_test(every_length_and_byte),
        cmocka_unit_test(it_comes_after_what_is_there),
        cmocka_unit_test(failures_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
