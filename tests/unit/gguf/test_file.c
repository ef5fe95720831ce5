#include "../test.h"

#include "build.h"
#include "gguf/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One pair of every kind, two arrays and two tensors. */
static void build_all_kinds(build *b, uint32_t version, uint32_t align)
{
    const uint64_t dims[2] = { 32, 2 };

    put_header(b, version, 2, 15);
    put_key(b, "general.alignment", RL_GGUF_U32);
    put_int(b, align, 4);
    put_key(b, "u8", RL_GGUF_U8);
    put_int(b, 200, 1);
    put_key(b, "i8", RL_GGUF_I8);
    put_int(b, (uint64_t)-5, 1);
    put_key(b, "u16", RL_GGUF_U16);
    put_int(b, 65535, 2);
    put_key(b, "i16", RL_GGUF_I16);
    put_int(b, (uint64_t)-300, 2);
    put_key(b, "u32", RL_GGUF_U32);
    put_int(b, UINT32_MAX, 4);
    put_key(b, "i32", RL_GGUF_I32);
    put_int(b, 77, 4);
    put_key(b, "f32", RL_GGUF_F32);
    put_int(b, 0x3fc00000, 4); /* 1.5 */
    put_key(b, "bool", RL_GGUF_BOOL);
    put_int(b, 1, 1);
    put_key(b, "string", RL_GGUF_STRING);
    put_text(b, "h\xff\xc3\xa9");
    put_key(b, "u64", RL_GGUF_U64);
    put_int(b, (uint64_t)1 << 40, 8);
    put_key(b, "i64", RL_GGUF_I64);
    put_int(b, (uint64_t) - (1ll << 40), 8);
    put_key(b, "f64", RL_GGUF_F64);
    put_int(b, 0xc004000000000000u, 8); /* -2.5 */
    put_key(b, "numbers", RL_GGUF_ARRAY);
    put_int(b, RL_GGUF_I16, 4);
    put_int(b, 3, 8);
    put_int(b, 0xfffe0001, 4);
    put_int(b, 7, 2);
    put_key(b, "texts", RL_GGUF_ARRAY);
    put_int(b, RL_GGUF_STRING, 4);
    put_int(b, 3, 8);
    put_text(b, "a");
    put_text(b, "");
    put_text(b, "bcd");
    put_tensor(b, "one", 2, dims, RL_TYPE_F32, 0);
    put_tensor(b, "two", 1, dims, RL_TYPE_Q8_0, 256);
    pad(b, align);
    for (unsigned i = 0; i < 256 + 34; i++)
        put_int(b, i, 1);
}

static rl_gguf *open_built(const build *b)
{
    rl_gguf *g;
    realm_error err = { 0 };

    if (rl_gguf_open_memory(&g, b->bytes, b->n, false, &err) != REALM_OK)
        fail_msg("%s", err.text);
    return g;
}

static void integers_of_every_kind_are_read(void **state)
{
    build b = { .n = 0 };
    rl_gguf *g;
    uint32_t u = 0;
    realm_error err;

    (void)state;
    build_all_kinds(&b, 3, 32);
    g = open_built(&b);
    assert_int_equal(rl_gguf_u32(g, "u8", &u, NULL), REALM_OK);
    assert_int_equal(u, 200);
    assert_int_equal(rl_gguf_u32(g, "u16", &u, NULL), REALM_OK);
    assert_int_equal(u, 65535);
    assert_int_equal(rl_gguf_u32(g, "u32", &u, NULL), REALM_OK);
    assert_true(u == UINT32_MAX);
    assert_int_equal(rl_gguf_u32(g, "i32", &u, NULL), REALM_OK);
    assert_int_equal(u, 77);
    assert_int_equal(rl_gguf_u32(g, "i8", &u, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_u32(g, "i16", &u, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_u32(g, "u64", &u, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_u32(g, "i64", &u, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_u32(g, "f32", &u, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_u32(g, "bool", &u, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_u32(g, "texts", &u, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "texts"));
    assert_int_equal(rl_gguf_u32(g, "none", &u, &err), REALM_ENOTFOUND);
    assert_int_equal(u, 77);
    assert_true(rl_gguf_number(rl_gguf_find(g, "i8"), 0) == -5.0);
    assert_true(rl_gguf_number(rl_gguf_find(g, "i16"), 0) == -300.0);
    assert_true(rl_gguf_number(rl_gguf_find(g, "u64"), 0) == 1099511627776.0);
    assert_true(rl_gguf_number(rl_gguf_find(g, "i64"), 0) == -1099511627776.0);
    rl_gguf_close(g);
}

static void other_kinds_are_read(void **state)
{
    build b = { .n = 0 };
    rl_gguf *g;
    float f = 0;
    bool yes = false;
    rl_text t;
    realm_error err;

    (void)state;
    build_all_kinds(&b, 2, 64);
    g = open_built(&b);
    assert_int_equal(rl_gguf_version(g), 2);
    assert_int_equal(rl_gguf_file_bytes(g), b.n);
    assert_ptr_equal(rl_gguf_bytes(g), b.bytes);
    assert_int_equal(rl_gguf_f32(g, "f32", &f, NULL), REALM_OK);
    assert_true(f == 1.5f);
    assert_int_equal(rl_gguf_f32(g, "f64", &f, NULL), REALM_OK);
    assert_true(f == -2.5f);
    assert_int_equal(rl_gguf_f32(g, "u32", &f, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_bool(g, "bool", &yes, NULL), REALM_OK);
    assert_true(yes);
    assert_int_equal(rl_gguf_bool(g, "u8", &yes, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_text(g, "string", &t, NULL), REALM_OK);
    assert_int_equal(t.n, 4);
    assert_memory_equal(t.p, "h\xff\xc3\xa9", 4);
    assert_int_equal(rl_gguf_text(g, "u8", &t, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_text(g, "nope", &t, &err), REALM_ENOTFOUND);
    rl_gguf_close(g);
}

static void arrays_are_walked(void **state)
{
    build b = { .n = 0 };
    rl_gguf *g;
    const rl_gguf_kv *kv;
    const uint8_t *at;
    rl_text t;

    (void)state;
    build_all_kinds(&b, 3, 32);
    g = open_built(&b);
    kv = rl_gguf_find(g, "numbers");
    assert_non_null(kv);
    assert_int_equal(kv->kind, RL_GGUF_ARRAY);
    assert_int_equal(kv->item, RL_GGUF_I16);
    assert_int_equal(kv->n, 3);
    assert_int_equal(kv->bytes, 6);
    assert_true(rl_gguf_number(kv, 0) == 1.0 && rl_gguf_number(kv, 1) == -2.0);
    assert_true(rl_gguf_number(kv, 2) == 7.0);
    assert_true(isnan(rl_gguf_number(kv, 3)));
    kv = rl_gguf_find(g, "texts");
    assert_int_equal(kv->item, RL_GGUF_STRING);
    at = kv->value;
    t = rl_gguf_next_text(&at);
    assert_memory_equal(t.p, "a", t.n);
    t = rl_gguf_next_text(&at);
    assert_int_equal(t.n, 0);
    t = rl_gguf_next_text(&at);
    assert_int_equal(t.n, 3);
    assert_memory_equal(t.p, "bcd", 3);
    assert_ptr_equal(at, kv->value + kv->bytes);
    assert_int_equal(rl_gguf_n_kv(g), 15);
    assert_ptr_equal(rl_gguf_kv_at(g, 14), kv);
    assert_null(rl_gguf_kv_at(g, 15));
    rl_gguf_close(g);
}

static void tensors_lie_where_they_should(void **state)
{
    build b = { .n = 0 };
    rl_gguf *g;
    const rl_gguf_tensor *t;

    (void)state;
    build_all_kinds(&b, 3, 64);
    g = open_built(&b);
    assert_int_equal(rl_gguf_n_tensors(g), 2);
    t = rl_gguf_tensor_find(g, "two");
    assert_non_null(t);
    assert_ptr_equal(t, rl_gguf_tensor_at(g, 1));
    assert_null(rl_gguf_tensor_at(g, 2));
    assert_null(rl_gguf_tensor_find(g, "three"));
    assert_int_equal(t->type, RL_TYPE_Q8_0);
    assert_int_equal(t->n_dims, 1);
    assert_int_equal(t->dims[0], 32);
    assert_int_equal(t->dims[3], 1);
    assert_int_equal(t->bytes, 34);
    assert_int_equal(t->data[0], 0); /* byte 256 of the data section */
    assert_int_equal(t->data[33], 33);
    assert_ptr_equal(t->data + t->bytes, b.bytes + b.n);
    t = rl_gguf_tensor_find(g, "one");
    assert_int_equal(t->bytes, 256);
    assert_int_equal((size_t)(t->data - b.bytes) % 64, 0);
    assert_in_range(t->data - b.bytes, rl_gguf_metadata_bytes(g), rl_gguf_metadata_bytes(g) + 63);
    rl_gguf_close(g);
}

static void metadata_alone_needs_no_data(void **state)
{
    build b = { .n = 0 };
    rl_gguf *g;
    size_t n;
    realm_error err;

    (void)state;
    build_all_kinds(&b, 3, 32);
    g = open_built(&b);
    n = rl_gguf_metadata_bytes(g);
    rl_gguf_close(g);
    assert_int_equal(rl_gguf_open_memory(&g, b.bytes, n, false, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_open_memory(&g, b.bytes, n, true, &err), REALM_OK);
    assert_null(rl_gguf_tensor_find(g, "one")->data);
    assert_int_equal(rl_gguf_tensor_find(g, "one")->bytes, 256);
    rl_gguf_close(g);
    assert_int_equal(rl_gguf_open_memory(&g, b.bytes, n - 1, true, &err), REALM_EINVAL);
}

static void files_are_opened_by_path(void **state)
{
    char path[] = "/tmp/realm-gguf-XXXXXX";
    int fd = mkstemp(path);
    build b = { .n = 0 };
    rl_gguf *g;
    realm_error err;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(rl_gguf_open(&g, path, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "empty"));
    build_all_kinds(&b, 3, 32);
    assert_int_equal(write(fd, b.bytes, b.n), b.n);
    assert_int_equal(rl_gguf_open(&g, path, &err), REALM_OK);
    assert_non_null(rl_gguf_find(g, "texts"));
    rl_gguf_close(g);
    assert_int_equal(ftruncate(fd, (off_t)b.n - 1), 0);
    assert_int_equal(rl_gguf_open(&g, path, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "byte"));
    assert_null(g);
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(rl_gguf_open(&g, path, &err), REALM_ENOTFOUND);
    assert_int_equal(rl_gguf_open(&g, "/", &err), REALM_EINVAL);
    rl_gguf_close(NULL);
}

/* What was checked is a copy; what is read later comes from the file as it is by then. */
static void a_file_may_be_cut_after_opening(void **state)
{
    char path[] = "/tmp/realm-gguf-XXXXXX";
    int fd = mkstemp(path);
    const rl_gguf_tensor *t;
    build b = { .n = 0 };
    uint8_t bytes[256];
    uint64_t at;
    rl_gguf *g;
    realm_error err;

    (void)state;
    build_all_kinds(&b, 3, 32);
    assert_int_equal(write(fd, b.bytes, b.n), b.n);
    assert_int_equal(rl_gguf_open(&g, path, &err), REALM_OK);
    t = rl_gguf_tensor_find(g, "one");
    at = rl_gguf_data_offset(g) + t->offset;
    assert_null(t->data);
    assert_int_equal(rl_gguf_read(g, at, bytes, sizeof bytes, &err), REALM_OK);
    assert_memory_equal(bytes, b.bytes + at, sizeof bytes);
    assert_int_equal(rl_gguf_check_unchanged(g, &err), REALM_OK);
    assert_int_equal(rl_gguf_read(g, b.n, bytes, 0, &err), REALM_OK);
    assert_int_equal(rl_gguf_read(g, b.n - 1, bytes, 2, &err), REALM_EINVAL);
    assert_int_equal(rl_gguf_read(g, UINT64_MAX, bytes, 1, &err), REALM_EINVAL);
    assert_int_equal(ftruncate(fd, 10), 0);
    assert_int_equal(rl_gguf_read(g, at, bytes, sizeof bytes, &err), REALM_ECONFLICT);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "the file ends here"));
    assert_int_equal(rl_gguf_check_unchanged(g, &err), REALM_ECONFLICT);
    assert_non_null(rl_gguf_find(g, "texts"));
    rl_gguf_close(g);
    (void)close(fd);
    (void)unlink(path);
}

static uint64_t size_of(int fd)
{
    return (uint64_t)lseek(fd, 0, SEEK_END);
}

/* The beginning of a file whose one pair is a string of so many bytes (a hole), behind it the
 * pair "last". */
static int large_metadata(char *path, uint64_t bytes)
{
    int fd = mkstemp(path);
    build b = { .n = 0 };

    put_header(&b, 3, 0, 2);
    put_key(&b, "hole", RL_GGUF_STRING);
    put_int(&b, bytes, 8);
    assert_int_equal(write(fd, b.bytes, b.n), b.n);
    assert_int_equal(ftruncate(fd, (off_t)(b.n + bytes)), 0);
    b.n = 0;
    put_key(&b, "last", RL_GGUF_U32);
    put_int(&b, 77, 4);
    assert_int_equal(pwrite(fd, b.bytes, b.n, (off_t)size_of(fd)), b.n);
    return fd;
}

/* More than the first read brings: once just, once several times. */
static void large_metadata_are_read_in_steps(void **state)
{
    static const uint64_t sizes[] = { (8u << 20) - 60, 8u << 20, 40u << 20 };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char path[] = "/tmp/realm-gguf-XXXXXX";
        int fd = large_metadata(path, sizes[i]);
        uint32_t last = 0;
        rl_text hole;
        rl_gguf *g;
        realm_error err;

        if (rl_gguf_open(&g, path, &err) != REALM_OK)
            fail_msg("%s", err.text);
        assert_int_equal(rl_gguf_u32(g, "last", &last, &err), REALM_OK);
        assert_int_equal(last, 77);
        assert_int_equal(rl_gguf_text(g, "hole", &hole, &err), REALM_OK);
        assert_int_equal(hole.n, sizes[i]);
        assert_int_equal(rl_gguf_metadata_bytes(g), size_of(fd));
        rl_gguf_close(g);
        (void)close(fd);
        (void)unlink(path);
    }
}

static void endless_metadata_are_refused(void **state)
{
    char path[] = "/tmp/realm-gguf-XXXXXX";
    int fd = large_metadata(path, (uint64_t)1 << 32);
    rl_gguf *g;
    realm_error err;

    (void)state;
    assert_int_equal(rl_gguf_open(&g, path, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "over 256 MiB"));
    (void)close(fd);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_kind_are_read),
        cmocka_unit_test(other_kinds_are_read),
        cmocka_unit_test(arrays_are_walked),
        cmocka_unit_test(tensors_lie_where_they_should),
        cmocka_unit_test(metadata_alone_needs_no_data),
        cmocka_unit_test(files_are_opened_by_path),
        cmocka_unit_test(a_file_may_be_cut_after_opening),
        cmocka_unit_test(large_metadata_are_read_in_steps),
        cmocka_unit_test(endless_metadata_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
