/* A small good file and a table of single damages: each must be refused with the reason that fits,
 * and every cut-off prefix must be refused too. Bytes lie at the end of an exact heap block, so a
 * sanitizer build sees any read past them. */
#include "../test.h"

#include "base/alloc.h"
#include "build.h"
#include "gguf/gguf.h"

#include <stdio.h>

/* Where the fields of the good file are. */
typedef enum mark {
    AT_MAGIC,
    AT_VERSION,
    AT_N_TENSORS,
    AT_N_KV,
    AT_ALIGN_KEY, /* length of "general.alignment" */
    AT_ALIGN_KIND,
    AT_ALIGN,
    AT_BOOL_KIND,
    AT_BOOL,
    AT_TEXT_KIND,
    AT_TEXT, /* length of "hello" */
    AT_NUMBERS_KIND,
    AT_NUMBERS_ITEM,
    AT_NUMBERS_N,
    AT_BOOLS_N, /* then the bools */
    AT_TEXTS_ITEM,
    AT_TEXTS_N,
    AT_TEXTS_FIRST, /* length of the first */
    AT_TEXTS_LAST,
    AT_LAST_KEY, /* length of "b2" */
    AT_T0_NAME,  /* length of "t0" */
    AT_T0_DIMS,
    AT_T0_DIM0,
    AT_T0_DIM1,
    AT_T0_TYPE,
    AT_T0_OFFSET,
    AT_T1_NAME, /* length of "t1" */
    AT_T1_DIMS,
    AT_T1_DIM0,
    AT_T1_TYPE,
    AT_T1_OFFSET,
    AT_DATA,
    MARKS
} mark;

static size_t marks[MARKS];

#define KEY_KIND(b, key, kind, m)                                                                  \
    do {                                                                                           \
        put_text((b), (key));                                                                      \
        marks[m] = (b)->n;                                                                         \
        put_int((b), (kind), 4);                                                                   \
    } while (0)

static void build_pairs(build *b)
{
    marks[AT_ALIGN_KEY] = b->n;
    KEY_KIND(b, "general.alignment", RL_GGUF_U32, AT_ALIGN_KIND);
    marks[AT_ALIGN] = b->n;
    put_int(b, 32, 4);
    KEY_KIND(b, "b1", RL_GGUF_BOOL, AT_BOOL_KIND);
    marks[AT_BOOL] = b->n;
    put_int(b, 1, 1);
    KEY_KIND(b, "text", RL_GGUF_STRING, AT_TEXT_KIND);
    marks[AT_TEXT] = b->n;
    put_text(b, "hello");
    KEY_KIND(b, "numbers", RL_GGUF_ARRAY, AT_NUMBERS_KIND);
    marks[AT_NUMBERS_ITEM] = b->n;
    put_int(b, RL_GGUF_U64, 4);
    marks[AT_NUMBERS_N] = b->n;
    put_int(b, 2, 8);
    put_int(b, 1, 8);
    put_int(b, 2, 8);
    put_key(b, "bools", RL_GGUF_ARRAY);
    put_int(b, RL_GGUF_BOOL, 4);
    marks[AT_BOOLS_N] = b->n;
    put_int(b, 4, 8);
    put_int(b, 0x01000001, 4);
    put_key(b, "texts", RL_GGUF_ARRAY);
    marks[AT_TEXTS_ITEM] = b->n;
    put_int(b, RL_GGUF_STRING, 4);
    marks[AT_TEXTS_N] = b->n;
    put_int(b, 2, 8);
    marks[AT_TEXTS_FIRST] = b->n;
    put_text(b, "ab");
    marks[AT_TEXTS_LAST] = b->n;
    put_text(b, "cd");
    marks[AT_LAST_KEY] = b->n;
    put_key(b, "b2", RL_GGUF_BOOL);
    put_int(b, 0, 1);
}

static void build_good(build *b)
{
    b->n = 0;
    marks[AT_MAGIC] = 0;
    marks[AT_VERSION] = 4;
    marks[AT_N_TENSORS] = 8;
    marks[AT_N_KV] = 16;
    put_header(b, 3, 2, 7);
    build_pairs(b);
    marks[AT_T0_NAME] = b->n;
    put_text(b, "t0");
    marks[AT_T0_DIMS] = b->n;
    put_int(b, 2, 4);
    marks[AT_T0_DIM0] = b->n;
    put_int(b, 32, 8);
    marks[AT_T0_DIM1] = b->n;
    put_int(b, 3, 8);
    marks[AT_T0_TYPE] = b->n;
    put_int(b, RL_TYPE_Q4_0, 4);
    marks[AT_T0_OFFSET] = b->n;
    put_int(b, 0, 8);
    marks[AT_T1_NAME] = b->n;
    put_text(b, "t1");
    marks[AT_T1_DIMS] = b->n;
    put_int(b, 1, 4);
    marks[AT_T1_DIM0] = b->n;
    put_int(b, 8, 8);
    marks[AT_T1_TYPE] = b->n;
    put_int(b, RL_TYPE_F32, 4);
    marks[AT_T1_OFFSET] = b->n;
    put_int(b, 64, 8);
    pad(b, 32);
    marks[AT_DATA] = b->n;
    for (int i = 0; i < 64 + 32; i++)
        put_int(b, 0, 1);
}

static const struct damage {
    const char *what;
    mark at;
    int delta; /* bytes after the mark */
    unsigned width;
    uint64_t value;
    const char *reason; /* part of the error text */
} damages[] = {
    { "wrong magic", AT_MAGIC, 0, 4, 0x46554748, "letters GGUF" },
    { "old magic", AT_MAGIC, 0, 4, 0x67676a74, "letters GGUF" },
    { "version 0", AT_VERSION, 0, 4, 0, "version 0" },
    { "version 1", AT_VERSION, 0, 4, 1, "version 1" },
    { "version 4", AT_VERSION, 0, 4, 4, "version 4" },
    { "big endian", AT_VERSION, 0, 4, 0x03000000, "big-endian" },
    { "version all ones", AT_VERSION, 0, 4, UINT32_MAX, "version" },
    { "tensor count huge", AT_N_TENSORS, 0, 8, UINT64_MAX, "number of tensors" },
    { "tensor count 2^63", AT_N_TENSORS, 0, 8, (uint64_t)1 << 63, "number of tensors" },
    { "tensor count 2^32", AT_N_TENSORS, 0, 8, (uint64_t)1 << 32, "number of tensors" },
    { "tensor count over the bytes", AT_N_TENSORS, 0, 8, 40, "number of tensors" },
    { "tensor count one more", AT_N_TENSORS, 0, 8, 3, "empty tensor name" },
    { "key count huge", AT_N_KV, 0, 8, UINT64_MAX, "number of keys" },
    { "key count 2^32", AT_N_KV, 0, 8, (uint64_t)1 << 32, "number of keys" },
    { "key count over the bytes", AT_N_KV, 0, 8, 100, "number of keys" },
    { "key count one more", AT_N_KV, 0, 8, 8, "byte" },
    { "key count one less", AT_N_KV, 0, 8, 6, "byte" },
    { "key length 0", AT_ALIGN_KEY, 0, 8, 0, "empty key" },
    { "key length 2^16", AT_ALIGN_KEY, 0, 8, 65536, "limit is 65535" },
    { "key length past the end", AT_ALIGN_KEY, 0, 8, 60000, "cut off" },
    { "key length huge", AT_ALIGN_KEY, 0, 8, UINT64_MAX, "limit is 65535" },
    { "key length wraps", AT_ALIGN_KEY, 0, 8, UINT64_MAX - 7, "limit is 65535" },
    { "key with a NUL", AT_ALIGN_KEY, 10, 1, 0, "0x00" },
    { "key with a newline", AT_ALIGN_KEY, 9, 1, '\n', "0x0a" },
    { "key with a space", AT_ALIGN_KEY, 9, 1, ' ', "0x20" },
    { "key with a high byte", AT_ALIGN_KEY, 24, 1, 0xff, "0xff" },
    { "alignment of another kind", AT_ALIGN_KIND, 0, 4, RL_GGUF_F32, "not u32" },
    { "alignment signed", AT_ALIGN_KIND, 0, 4, RL_GGUF_I32, "not u32" },
    { "alignment 0", AT_ALIGN, 0, 4, 0, "power of two" },
    { "alignment 1", AT_ALIGN, 0, 4, 1, "power of two" },
    { "alignment 4", AT_ALIGN, 0, 4, 4, "power of two" },
    { "alignment 24", AT_ALIGN, 0, 4, 24, "power of two" },
    { "alignment 2^31", AT_ALIGN, 0, 4, 0x80000000, "power of two" },
    { "alignment all ones", AT_ALIGN, 0, 4, UINT32_MAX, "power of two" },
    { "alignment larger than offsets", AT_ALIGN, 0, 4, 128, "multiple of the alignment" },
    { "kind 13", AT_BOOL_KIND, 0, 4, 13, "kind 13" },
    { "kind all ones", AT_BOOL_KIND, 0, 4, UINT32_MAX, "is unknown" },
    { "bool 2", AT_BOOL, 0, 1, 2, "a bool that is 2" },
    { "bool 255", AT_BOOL, 0, 1, 255, "a bool that is 255" },
    { "string length huge", AT_TEXT, 0, 8, UINT64_MAX, "cut off" },
    { "string length wraps", AT_TEXT, 0, 8, UINT64_MAX - 8, "cut off" },
    { "string length past the end", AT_TEXT, 0, 8, 5000, "cut off" },
    { "string length one more", AT_TEXT, 0, 8, 6, "byte" },
    { "string read as array", AT_TEXT_KIND, 0, 4, RL_GGUF_ARRAY, "byte" },
    { "array of arrays", AT_NUMBERS_ITEM, 0, 4, RL_GGUF_ARRAY, "array of arrays" },
    { "array of kind 13", AT_NUMBERS_ITEM, 0, 4, 13, "kind 13" },
    { "array length huge", AT_NUMBERS_N, 0, 8, UINT64_MAX, "do not fit" },
    { "array length wraps to small", AT_NUMBERS_N, 0, 8, ((uint64_t)1 << 61) + 2, "do not fit" },
    { "array length over the bytes", AT_NUMBERS_N, 0, 8, 500, "do not fit" },
    { "array length one more", AT_NUMBERS_N, 0, 8, 3, "byte" },
    { "array length one less", AT_NUMBERS_N, 0, 8, 1, "byte" },
    { "array bool 2", AT_BOOLS_N, 9, 1, 2, "a bool that is 2" },
    { "array of bools huge", AT_BOOLS_N, 0, 8, (uint64_t)1 << 40, "do not fit" },
    { "array of texts huge", AT_TEXTS_N, 0, 8, (uint64_t)1 << 60, "do not fit" },
    { "array of texts over the bytes", AT_TEXTS_N, 0, 8, 200, "do not fit" },
    { "array of texts one more", AT_TEXTS_N, 0, 8, 3, "byte" },
    { "first text huge", AT_TEXTS_FIRST, 0, 8, (uint64_t)1 << 62, "cut off" },
    { "last text huge", AT_TEXTS_LAST, 0, 8, UINT64_MAX - 3, "cut off" },
    { "texts read as bools", AT_TEXTS_ITEM, 0, 4, RL_GGUF_BOOL, "bool" },
    { "key twice", AT_LAST_KEY, 9, 1, '1', "b1 comes twice" },
    { "tensor name empty", AT_T0_NAME, 0, 8, 0, "empty tensor name" },
    { "tensor name too long", AT_T0_NAME, 0, 8, 65, "limit is 64" },
    { "tensor name huge", AT_T0_NAME, 0, 8, UINT64_MAX, "limit is 64" },
    { "tensor name with a control byte", AT_T0_NAME, 8, 1, 7, "0x07" },
    { "tensor twice", AT_T1_NAME, 9, 1, '0', "t0 comes twice" },
    { "no dimensions", AT_T0_DIMS, 0, 4, 0, "0 dimensions" },
    { "five dimensions", AT_T0_DIMS, 0, 4, 5, "5 dimensions" },
    { "dimensions all ones", AT_T0_DIMS, 0, 4, UINT32_MAX, "dimensions" },
    { "fewer dimensions", AT_T0_DIMS, 0, 4, 1, "byte" },
    { "row of 0", AT_T0_DIM0, 0, 8, 0, "no elements in dimension 0" },
    { "no rows", AT_T0_DIM1, 0, 8, 0, "no elements in dimension 1" },
    { "row of half a block", AT_T0_DIM0, 0, 8, 48, "no whole blocks" },
    { "row huge", AT_T0_DIM0, 0, 8, (uint64_t)1 << 63, "2^63" },
    { "row huge F32", AT_T1_DIM0, 0, 8, (uint64_t)1 << 62, "2^63" },
    { "rows huge", AT_T0_DIM1, 0, 8, (uint64_t)1 << 63, "2^63" },
    { "product wraps to 0", AT_T0_DIM1, 0, 8, (uint64_t)1 << 59, "2^63" },
    { "bytes wrap", AT_T0_DIM1, 0, 8, (uint64_t)1 << 60, "2^63" },
    { "more rows than data", AT_T0_DIM1, 0, 8, 6, "wants bytes" },
    { "more rows than space before t1", AT_T0_DIM1, 0, 8, 4, "overlap" },
    { "type 4", AT_T0_TYPE, 0, 4, 4, "unknown type 4" },
    { "type past the last", AT_T0_TYPE, 0, 4, RL_TYPE_COUNT, "unknown type" },
    { "type all ones", AT_T0_TYPE, 0, 4, UINT32_MAX, "unknown type" },
    { "type with larger blocks", AT_T0_TYPE, 0, 4, RL_TYPE_Q4_K, "no whole blocks" },
    { "type larger", AT_T0_TYPE, 0, 4, RL_TYPE_F32, "wants bytes" },
    { "offset unaligned", AT_T1_OFFSET, 0, 8, 63, "multiple of the alignment" },
    { "offset past the data", AT_T1_OFFSET, 0, 8, 128, "wants bytes" },
    { "offset to the end", AT_T1_OFFSET, 0, 8, 96, "wants bytes" },
    { "offset huge", AT_T1_OFFSET, 0, 8, UINT64_MAX - 31, "wants bytes" },
    { "offset wraps the sum", AT_T0_OFFSET, 0, 8, UINT64_MAX - 63, "wants bytes" },
    { "second tensor's type", AT_T1_TYPE, 0, 4, RL_TYPE_F64, "wants bytes" },
    { "second tensor's dims", AT_T1_DIMS, 0, 4, 4, "byte" },
};

/* Opens a copy that ends exactly where its heap block ends. */
static realm_status open_exact(const uint8_t *bytes, size_t n, realm_error *err)
{
    uint8_t *copy = rl_alloc(n);
    rl_gguf *g;
    realm_status st;

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    st = rl_gguf_open_memory(&g, copy, n, false, err);
    if (st != REALM_OK)
        assert_null(g);
    rl_gguf_close(g);
    rl_free(copy);
    return st;
}

static void the_good_file_opens(void **state)
{
    build b;
    realm_error err = { 0 };

    (void)state;
    build_good(&b);
    if (open_exact(b.bytes, b.n, &err) != REALM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(marks[AT_DATA] + 96, b.n);
}

static void every_damage_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        const struct damage *d = &damages[i];
        build b;
        realm_error err = { 0 };

        build_good(&b);
        for (unsigned k = 0; k < d->width; k++)
            b.bytes[marks[d->at] + (size_t)d->delta + k] = (uint8_t)(d->value >> (8 * k));
        if (open_exact(b.bytes, b.n, &err) != REALM_EINVAL)
            fail_msg("%s: was not refused", d->what);
        if (!strstr(err.text, d->reason) || !strstr(err.text, "byte "))
            fail_msg("%s: said \"%s\", not \"%s\"", d->what, err.text, d->reason);
    }
}

static void every_prefix_is_refused(void **state)
{
    build b;
    realm_error err;

    (void)state;
    build_good(&b);
    for (size_t n = 0; n < b.n; n++) {
        if (open_exact(b.bytes, n, &err) != REALM_EINVAL)
            fail_msg("a prefix of %zu bytes was not refused", n);
    }
}

/* Any byte changed to anything: whatever is decided, nothing is read outside (sanitizers watch). */
static void every_byte_may_be_anything(void **state)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    build b;
    unsigned refused = 0;

    (void)state;
    build_good(&b);
    for (size_t at = 0; at < marks[AT_DATA]; at++) {
        uint8_t was = b.bytes[at];

        for (size_t i = 0; i < sizeof values; i++) {
            b.bytes[at] = values[i];
            refused += open_exact(b.bytes, b.n, NULL) != REALM_OK;
        }
        b.bytes[at] = was;
    }
    assert_true(refused > marks[AT_DATA]);
}

static void a_long_name_is_quoted_short(void **state)
{
    build b = { .n = 0 };
    realm_error err;
    char key[301];

    (void)state;
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = 0;
    put_header(&b, 3, 0, 2);
    put_key(&b, key, RL_GGUF_U8);
    put_int(&b, 1, 1);
    put_key(&b, key, RL_GGUF_U8);
    put_int(&b, 1, 1);
    assert_int_equal(open_exact(b.bytes, b.n, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "comes twice"));
}

static void floats_that_are_no_numbers_are_refused(void **state)
{
    build b = { .n = 0 };
    rl_gguf *g;
    float f = 3;
    realm_error err;

    (void)state;
    put_header(&b, 3, 0, 2);
    put_key(&b, "nan", RL_GGUF_F32);
    put_int(&b, 0x7fc00000, 4);
    put_key(&b, "large", RL_GGUF_F64);
    put_int(&b, 0x7fe0000000000000u, 8);
    assert_int_equal(rl_gguf_open_memory(&g, b.bytes, b.n, false, &err), REALM_OK);
    assert_int_equal(rl_gguf_f32(g, "nan", &f, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_f32(g, "large", &f, &err), REALM_EINVAL);
    assert_true(f == 3);
    rl_gguf_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_good_file_opens),
        cmocka_unit_test(every_damage_is_refused),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(every_byte_may_be_anything),
        cmocka_unit_test(a_long_name_is_quoted_short),
        cmocka_unit_test(floats_that_are_no_numbers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
