/* A GGUF file that is read while others change it, and that what is packed is what was hashed. */
#include "tiny.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct spoiler {
    const char *path;                                 /* of the GGUF file */
    void (*spoil)(const char *path, uint64_t offset); /* at half of it */
    bool done;
} spoiler;

static bool spoil_at_half(void *ctx, uint64_t done, uint64_t total)
{
    spoiler *s = ctx;

    if (!s->done && done * 2 > total) {
        s->done = true;
        s->spoil(s->path, done);
    }
    return false;
}

static void cut_here(const char *path, uint64_t offset)
{
    assert_int_equal(truncate(path, (off_t)offset), 0);
}

static void cut_to_nothing(const char *path, uint64_t offset)
{
    (void)offset;
    assert_int_equal(truncate(path, 0), 0);
}

static void flip_a_byte(const char *path, uint64_t offset)
{
    char c;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(pread(fd, &c, 1, (off_t)offset + 1000), 1);
    c = (char)(c ^ 1);
    assert_int_equal(pwrite(fd, &c, 1, (off_t)offset + 1000), 1);
    assert_int_equal(close(fd), 0);
}

static void replace_it(const char *path, uint64_t offset)
{
    char other[600];

    (void)offset;
    (void)snprintf(other, sizeof other, "%s.other", path);
    assert_int_equal(rl_fs_write(other, "GGUF", 4, NULL), REALM_OK);
    assert_int_equal(rename(other, path), 0);
}

/* Two seconds old, so that the clock has ticked since. */
static void age(const char *path)
{
    struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };

    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

/* Several pieces large, so that half of it is still to be read when it is spoiled. */
static tiny large(void)
{
    tiny t = tiny_default("llama");

    t.embd = 512;
    t.head_dim = 128;
    t.ff = 1024;
    return t;
}

static void a_file_that_changes_is_not_imported(void **state)
{
    static const struct {
        void (*spoil)(const char *, uint64_t);
        const char *says;
    } ways[] = { { cut_here, "the file ends here" },
                 { cut_to_nothing, "the file ends here" },
                 { flip_a_byte, "changed while it was read" },
                 { replace_it, "changed while it was read" } };
    tiny t = large();
    char path[512], gguf[512];
    rl_buf bytes;

    (void)state;
    tiny_path(path, sizeof path, "changing");
    tiny_path(gguf, sizeof gguf, "source");
    tiny_build(&t, &bytes);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        spoiler s = { .path = gguf, .spoil = ways[i].spoil };
        realm_error err = { .text = "" };
        rl_packed fresh;
        rl_gguf *g;

        assert_int_equal(rl_fs_write(gguf, bytes.data, bytes.len, NULL), REALM_OK);
        age(gguf);
        assert_int_equal(rl_gguf_open(&g, gguf, &err), REALM_OK);
        assert_int_equal(rl_model_pack(&fresh, g, path, spoil_at_half, &s, &err), REALM_ECONFLICT);
        assert_true(s.done);
        if (!strstr(err.text, ways[i].says) || !strstr(err.text, "source.realm"))
            fail_msg("%zu: %s", i, err.text);
        assert_null(fresh.path);
        assert_int_equal(tiny_n_files(path), 0);
        rl_gguf_close(g);
    }
    (void)unlink(gguf);
    rl_buf_deinit(&bytes);
}

/* From a file and from memory the same packed bytes come, named by the digest of all of them: also
 * of those between and behind the tensors that the model needs. */
static void a_file_packs_like_its_bytes(void **state)
{
    tiny t = large();
    char path[512], gguf[512], hex[RL_SHA256_HEX];
    rl_buf bytes, one, two;
    rl_packed fresh;
    rl_gguf *g;

    (void)state;
    t.extra = "behind.all.tensors";
    tiny_path(path, sizeof path, "twice");
    tiny_path(gguf, sizeof gguf, "source");
    tiny_build(&t, &bytes);
    (void)rl_buf_adds(&bytes, "what follows the last tensor");
    assert_int_equal(rl_fs_write(gguf, bytes.data, bytes.len, NULL), REALM_OK);
    rl_buf_init(&one, 1u << 26);
    rl_buf_init(&two, 1u << 26);
    g = tiny_view(&bytes);
    tiny_pack_view(g, path);
    rl_gguf_close(g);
    assert_int_equal(rl_fs_read(path, &one, NULL), REALM_OK);
    assert_int_equal(rl_gguf_open(&g, gguf, NULL), REALM_OK);
    assert_int_equal(rl_model_pack(&fresh, g, path, NULL, NULL, NULL), REALM_OK);
    rl_sha256(bytes.data, bytes.len, hex);
    assert_string_equal(fresh.sha256, hex);
    assert_int_equal(rl_fs_read(fresh.path, &two, NULL), REALM_OK);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    rl_packed_drop(&fresh);
    rl_gguf_close(g);
    (void)unlink(path);
    (void)unlink(gguf);
    rl_buf_deinit(&one);
    rl_buf_deinit(&two);
    rl_buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_changes_is_not_imported),
        cmocka_unit_test(a_file_packs_like_its_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
