/* What is attached to a file's metadata goes with it into the packed file and comes back in place;
 * the metadata that loading reads has no long arrays then, and the whole is there for who asks. */
#include "tiny.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "model/metadata.h"
#include "model/packfile.h"

#include <string.h>
#include <unistd.h>

#define N_TABLES 5001u
#define TOKENS   "tokenizer.ggml.tokens"
#define BOS      "tokenizer.ggml.bos_token_id"

typedef struct bed {
    char path[512];
    char tables[N_TABLES];
    rl_buf source;
    rl_gguf *g; /* over `source`, with `tables` attached */
} bed;

static int setup(void **state)
{
    static bed b;
    tiny t = tiny_default("llama");

    t.words = 1000;
    for (size_t i = 0; i < N_TABLES; i++)
        b.tables[i] = (char)(i * 31);
    tiny_path(b.path, sizeof b.path, "tables");
    tiny_build(&t, &b.source);
    b.g = tiny_view(&b.source);
    rl_gguf_attach(b.g, b.tables, N_TABLES);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bed *b = *state;

    (void)unlink(b->path);
    rl_gguf_close(b->g);
    rl_buf_deinit(&b->source);
    return 0;
}

static rl_model *open_packed(const bed *b, bool whole)
{
    rl_model_opts opts = { .look = true, .whole = whole };
    realm_error err = { 0 };
    rl_model *m = NULL;

    if (rl_model_open(&m, b->path, &opts, &err) != REALM_OK)
        fail_msg("%s", err.text);
    return m;
}

static void tables_come_back_in_place(void **state)
{
    const bed *b = *state;

    tiny_pack_view(b->g, b->path);
    for (int whole = 0; whole < 2; whole++) {
        rl_model *m = open_packed(b, whole);
        rl_text back = rl_gguf_attached(rl_model_gguf(m));

        assert_int_equal(back.n, N_TABLES);
        assert_memory_equal(back.p, b->tables, N_TABLES);
        assert_int_equal((uintptr_t)back.p % 64, 0);
        rl_model_close(m);
    }
}

static void loading_reads_no_long_arrays(void **state)
{
    const bed *b = *state;
    rl_model *m;
    const rl_gguf *g;
    uint32_t bos = 0;

    tiny_pack_view(b->g, b->path);
    m = open_packed(b, false);
    g = rl_model_gguf(m);
    assert_null(rl_gguf_find(g, TOKENS));
    assert_int_equal(rl_gguf_u32(g, BOS, &bos, NULL), REALM_OK);
    assert_int_equal(bos, 7);
    assert_int_equal(rl_gguf_n_kv(g), rl_gguf_n_kv(b->g) - 1);
    assert_int_equal(rl_gguf_n_tensors(g), rl_gguf_n_tensors(b->g));
    assert_true(rl_gguf_metadata_bytes(g) < 8000);
    for (uint32_t i = 0; i < rl_gguf_n_tensors(g); i++) {
        const rl_gguf_tensor *x = rl_gguf_tensor_at(g, i), *y = rl_gguf_tensor_at(b->g, i);

        assert_int_equal(x->name.n, y->name.n);
        assert_memory_equal(x->name.p, y->name.p, x->name.n);
        assert_int_equal(x->bytes, y->bytes);
    }
    rl_model_close(m);
}

static void the_whole_metadata_is_verbatim(void **state)
{
    const bed *b = *state;
    rl_model *m;
    const rl_gguf *g;

    tiny_pack_view(b->g, b->path);
    m = open_packed(b, true);
    g = rl_model_gguf(m);
    assert_int_equal(rl_gguf_metadata_bytes(g), rl_gguf_metadata_bytes(b->g));
    assert_memory_equal(rl_gguf_bytes(g), b->source.data, rl_gguf_metadata_bytes(g));
    assert_int_equal(rl_gguf_find(g, TOKENS)->n, 1000);
    rl_model_close(m);
}

static void without_tables_there_is_one_metadata(void **state)
{
    bed *b = *state;

    rl_gguf_attach(b->g, NULL, 0);
    tiny_pack_view(b->g, b->path);
    for (int whole = 0; whole < 2; whole++) {
        rl_model *m = open_packed(b, whole);

        assert_int_equal(rl_gguf_attached(rl_model_gguf(m)).n, 0);
        assert_non_null(rl_gguf_find(rl_model_gguf(m), TOKENS));
        rl_model_close(m);
    }
}

/* Whatever of its keys a file has, first, last or none that is dropped. */
static void the_short_metadata_is_a_file_of_its_own(void **state)
{
    static const uint32_t words[] = { 0, 1, 256, 257 };

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        tiny t = tiny_default("gemma3");
        realm_error err = { 0 };
        rl_buf source, out;
        rl_gguf *g, *s = NULL;

        t.words = words[i];
        tiny_build(&t, &source);
        g = tiny_view(&source);
        rl_buf_init(&out, 1u << 20);
        (void)rl_buf_adds(&out, "before it");
        assert_int_equal(rl_metadata_short(g, &out, &err), REALM_OK);
        if (rl_gguf_open_memory(&s, out.data + 9, out.len - 9, true, &err) != REALM_OK)
            fail_msg("%s", err.text);
        assert_int_equal(rl_gguf_metadata_bytes(s), out.len - 9);
        assert_int_equal(rl_gguf_n_kv(s), rl_gguf_n_kv(g) - (words[i] > 256));
        rl_gguf_close(s);
        rl_gguf_close(g);
        rl_buf_deinit(&source);
        rl_buf_deinit(&out);
    }
}

/* Damage to what loading does not read, or reads in part, is found by who looks for it. */
static void verify_reads_the_tables(void **state)
{
    const bed *b = *state;
    rl_pack_header h;
    realm_error err;
    rl_buf file;

    tiny_pack_view(b->g, b->path);
    rl_buf_init(&file, 1u << 24);
    assert_int_equal(rl_fs_read(b->path, &file, NULL), REALM_OK);
    memcpy(&h, file.data, sizeof h);
    assert_true(h.whole_bytes && h.tables_bytes == N_TABLES);
    assert_int_equal(rl_model_verify(b->path, NULL, NULL, &err), REALM_OK);
    for (size_t i = (size_t)h.body_offset; i < h.data_offset; i += 997) {
        file.data[i] = (char)(file.data[i] ^ 4);
        assert_int_equal(rl_fs_write(b->path, file.data, file.len, NULL), REALM_OK);
        file.data[i] = (char)(file.data[i] ^ 4);
        rl_model_close(open_packed(b, false));
        assert_int_equal(rl_model_verify(b->path, NULL, NULL, &err), REALM_EINVAL);
        assert_non_null(strstr(err.text, "damaged"));
    }
    rl_buf_deinit(&file);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(tables_come_back_in_place),
        T(loading_reads_no_long_arrays),
        T(the_whole_metadata_is_verbatim),
        T(without_tables_there_is_one_metadata),
        T(the_short_metadata_is_a_file_of_its_own),
        T(verify_reads_the_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
