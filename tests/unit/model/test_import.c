/* Import and opening: which files are refused and why, that packing is exact, and that a damaged
 * packed file is never run. */
#include "tiny.h"

#include "base/alloc.h"
#include "model/packfile.h"
#include "model/weights.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static realm_status check(const tiny *t, realm_error *err)
{
    rl_buf bytes;
    rl_gguf *g;
    realm_status st;

    tiny_build(t, &bytes);
    g = tiny_view(&bytes);
    st = rl_model_check(g, err);
    rl_gguf_close(g);
    rl_buf_deinit(&bytes);
    return st;
}

static void expect_refused(const tiny *t, realm_status want, const char *says)
{
    realm_error err = { 0 };
    realm_status st = check(t, &err);

    if (st != want || !strstr(err.text, says))
        fail_msg("wanted %s with '%s', got %s: %s", realm_status_name(want), says,
                 realm_status_name(st), st == REALM_OK ? "" : err.text);
}

static void good_files_pass(void **state)
{
    static const char *const archs[] = { "llama", "qwen2", "qwen3", "gemma3" };
    realm_error err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++) {
        tiny t = tiny_default(archs[i]);

        assert_int_equal(check(&t, &err), REALM_OK);
        t.untied = true;
        t.extra = "blk.0.something_else.weight";
        t.scaling = "none";
        assert_int_equal(check(&t, &err), REALM_OK);
    }
}

#define REFUSED(arch, change, status, says)                                                        \
    do {                                                                                           \
        tiny t = tiny_default(arch);                                                               \
        change;                                                                                    \
        expect_refused(&t, REALM_##status, says);                                                  \
    } while (0)

static void unfit_hyperparameters_are_refused(void **state)
{
    (void)state;
    REFUSED("llama", t.arch = "bert", EUNSUPPORTED, "'bert' is not offered; Realm runs llama");
    REFUSED("llama", t.drop_key = "general.architecture", EINVAL, "general.architecture");
    REFUSED("llama", t.experts = 8, EUNSUPPORTED, "mixture of 8 experts");
    REFUSED("llama", t.layers = 0, EUNSUPPORTED, "llama.block_count is 0");
    REFUSED("llama", t.layers = 1025, EUNSUPPORTED, "llama.block_count is 1025");
    REFUSED("llama", t.layers = UINT32_MAX, EUNSUPPORTED, "llama.block_count");
    REFUSED("llama", t.drop_key = "block_count", EUNSUPPORTED,
            "llama.block_count is 0 (or missing");
    REFUSED("llama", t.drop_key = "context_length", EUNSUPPORTED, "llama.context_length");
    REFUSED("llama", t.embd = 48, EUNSUPPORTED, "llama.embedding_length is 48");
    REFUSED("llama", t.ff = 80, EUNSUPPORTED, "llama.feed_forward_length is 80");
    REFUSED("llama", t.heads = 5, EUNSUPPORTED, "5 attention heads");
    REFUSED("llama", t.zero_key = "attention.head_count", EUNSUPPORTED,
            "llama.attention.head_count is 0");
    REFUSED("llama", t.zero_key = "attention.head_count_kv", EUNSUPPORTED,
            "llama.attention.head_count_kv is 0");
    REFUSED("llama", t.kv_heads = 8, EUNSUPPORTED, "llama.attention.head_count_kv is 8");
    REFUSED("llama", (t.heads = 66, t.kv_heads = 2), EUNSUPPORTED, "66 attention heads");
    REFUSED("llama", t.head_dim = 24, EUNSUPPORTED, "llama.attention.key_length is 24");
    REFUSED("llama", t.head_dim = 512, EUNSUPPORTED, "llama.attention.key_length is 512");
    REFUSED("llama", t.zero_key = "attention.key_length", EUNSUPPORTED,
            "keys of 0 and values of 16");
    REFUSED("llama", t.zero_key = "attention.value_length", EUNSUPPORTED, "values of 0");
    REFUSED("llama", t.eps = 0, EINVAL, "epsilon");
    REFUSED("llama", t.eps = -1e-5f, EINVAL, "epsilon");
    REFUSED("llama", t.eps = NAN, EINVAL, "epsilon");
    REFUSED("llama", t.drop_key = "attention.layer_norm_rms_epsilon", EINVAL, "epsilon");
    REFUSED("llama", t.base = INFINITY, EINVAL, "rope.freq_base");
    REFUSED("llama", t.base = 0, EINVAL, "rope base");
    REFUSED("llama", t.scaling = "yarn", EUNSUPPORTED, "'yarn'");
    REFUSED("gemma3", t.window = 0, EINVAL, "sliding_window");
}

static void unfit_tensors_are_refused(void **state)
{
    (void)state;
    REFUSED("llama", t.skip = "token_embd.weight", EINVAL, "token_embd.weight is missing");
    REFUSED("llama", t.skip = "output_norm.weight", EINVAL, "output_norm.weight is missing");
    REFUSED("llama", t.skip = "blk.1.ffn_down.weight", EINVAL, "blk.1.ffn_down.weight is missing");
    REFUSED("qwen2", t.skip = "blk.1.attn_k.bias", EINVAL, "blk.1.attn_k.bias is missing");
    REFUSED("qwen3", t.skip = "blk.0.attn_q_norm.weight", EINVAL, "attn_q_norm.weight is missing");
    REFUSED("gemma3", t.skip = "blk.6.post_ffw_norm.weight", EINVAL, "blk.6.post_ffw_norm");
    REFUSED("llama", t.longer = "blk.0.attn_q.weight", EINVAL, "blk.0.attn_q.weight is [64, 65,");
    REFUSED("llama", t.longer = "blk.0.attn_norm.weight", EINVAL, "attn_norm.weight is [96,");
    REFUSED("llama", t.deeper = "blk.0.ffn_up.weight", EINVAL, "blk.0.ffn_up.weight is [64, 96, 2");
    REFUSED("llama", (t.longer = "output.weight", t.untied = true), EINVAL, "output.weight is");
    REFUSED("llama", (t.factors = true, t.longer = "rope_freqs.weight"), EINVAL, "rope_freqs");
    REFUSED("llama", (t.typed = "blk.0.attn_v.weight", t.odd_type = RL_TYPE_I8), EUNSUPPORTED,
            "blk.0.attn_v.weight is of type I8");
    REFUSED("llama", (t.typed = "blk.0.attn_v.weight", t.odd_type = RL_TYPE_Q8_1), EUNSUPPORTED,
            "type Q8_1");
    REFUSED("llama", (t.typed = "blk.0.attn_norm.weight", t.odd_type = RL_TYPE_Q8_0), EUNSUPPORTED,
            "attn_norm.weight is of type Q8_0");
    REFUSED("llama", t.extra = "blk.0.ffn_gate_inp.weight", EUNSUPPORTED, "ffn_gate_inp");
    REFUSED("llama", t.extra = "blk.0.attn_output.bias", EUNSUPPORTED, "attn_output.bias");
}

static void info_tells_the_model(void **state)
{
    tiny t = tiny_default("gemma3");
    const rl_model_info *info;
    rl_kv_layout kv;
    rl_model *m;
    char path[512], hex[RL_SHA256_HEX];
    rl_buf bytes;

    (void)state;
    tiny_path(path, sizeof path, "info");
    tiny_pack(&t, path);
    tiny_build(&t, &bytes);
    rl_sha256(bytes.data, bytes.len, hex);
    rl_buf_deinit(&bytes);
    assert_int_equal(rl_model_open(&m, path, NULL, NULL), REALM_OK);
    info = rl_model_get_info(m);
    assert_string_equal(info->arch, "gemma3");
    assert_string_equal(info->sha256, hex);
    assert_int_equal(info->n_layers, 7);
    assert_int_equal(info->n_vocab, 40);
    assert_int_equal(info->window, 16);
    assert_int_equal(info->n_ctx, 512);
    assert_int_equal(info->n_tensors, 2 + 7 * 13);
    assert_int_equal(info->n_params,
                     40 * 64 + 64 +
                         7 * (4 * 64 + 2 * 16 + 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96));
    /* tied: the embedding is read as the head; 40 rows are 3 panels of 16 */
    assert_int_equal(info->weight_bytes_per_token,
                     4 * (48 * 64 + 7 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96)));
    kv = rl_model_kv_layout(m, RL_KV_F32);
    assert_int_equal(kv.n_groups, 2);
    assert_int_equal(kv.n_layers[0], 6);
    assert_int_equal(kv.n_layers[1], 1);
    assert_non_null(rl_gguf_find(rl_model_gguf(m), "gemma3.block_count"));
    rl_model_close(m);
    (void)unlink(path);
}

/* Every weight of every type that Realm computes with, after packing and mapping. */
static void packing_is_exact(void **state)
{
    char path[512];

    (void)state;
    tiny_path(path, sizeof path, "exact");
    for (uint32_t type = 0; type < RL_TYPE_COUNT; type++) {
        tiny t = tiny_default("llama");
        const rl_type_traits *traits = rl_type_get(type);
        const rl_gguf_tensor *source;
        float want[256], got[256];
        rl_model *m;
        rl_buf bytes;
        rl_gguf *g;

        if (!traits || !traits->compute)
            continue;
        t.embd = 256;
        t.head_dim = 64;
        t.ff = 256;
        t.embd_type = t.types[0] = t.types[1] = t.types[2] = t.types[3] = (rl_type)type;
        tiny_build(&t, &bytes);
        g = tiny_view(&bytes);
        tiny_pack_view(g, path);
        assert_int_equal(rl_model_open(&m, path, NULL, NULL), REALM_OK);
        source = rl_gguf_tensor_find(g, "token_embd.weight");
        for (uint32_t r = 0; r < t.vocab; r++) {
            const rl_weight *w = &m->globals.embd;

            rl_dequant((rl_type)type, source->data + r * rl_type_row_bytes((rl_type)type, 256), 256,
                       want);
            rl_panel_unpack_row(w->type, w->k, w->panels + r / 16 * w->panel_bytes, r % 16, got);
            assert_memory_equal(want, got, sizeof want);
            rl_model_embed(m, &r, 1, got);
            assert_memory_equal(want, got, sizeof want);
        }
        source = rl_gguf_tensor_find(g, "blk.1.ffn_norm.weight");
        assert_memory_equal(source->data, m->layers[1].ffn_norm, 256 * sizeof(float));
        rl_model_close(m);
        rl_gguf_close(g);
        rl_buf_deinit(&bytes);
    }
    (void)unlink(path);
}

static bool stop_at_half(void *ctx, uint64_t done, uint64_t total)
{
    *(uint64_t *)ctx = total;
    return done * 2 > total;
}

static void a_stopped_import_leaves_nothing(void **state)
{
    tiny t = tiny_default("llama");
    rl_packed fresh;
    rl_buf bytes;
    rl_gguf *g;
    realm_error err;
    uint64_t total = 0;
    char path[512];

    (void)state;
    tiny_path(path, sizeof path, "stopped");
    tiny_build(&t, &bytes);
    g = tiny_view(&bytes);
    assert_int_equal(rl_model_pack(&fresh, g, path, stop_at_half, &total, &err), REALM_ECANCELLED);
    assert_int_equal(total, bytes.len);
    assert_null(fresh.path);
    assert_int_equal(rl_model_pack(&fresh, g, "no/such/folder/x", NULL, NULL, &err), REALM_EIO);
    assert_int_equal(rl_model_pack(&fresh, g, path, NULL, NULL, &err), REALM_OK);
    assert_int_equal(tiny_n_files(path), 1);
    assert_int_equal(rl_packed_keep(&fresh, "no/such/folder/x", &err), REALM_EIO);
    rl_packed_drop(&fresh);
    assert_int_equal(tiny_n_files(path), 0);
    rl_gguf_close(g);
    rl_buf_deinit(&bytes);
}

/* ---- damaged packed files ---------------------------------------------------------------------
 */

typedef struct packed {
    char path[512];
    rl_buf good; /* the file's bytes */
} packed;

static int setup(void **state)
{
    static packed p;
    tiny t = tiny_default("qwen2");

    tiny_path(p.path, sizeof p.path, "damaged");
    tiny_pack(&t, p.path);
    rl_buf_init(&p.good, 1u << 24);
    assert_int_equal(rl_fs_read(p.path, &p.good, NULL), REALM_OK);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    packed *p = *state;

    (void)unlink(p->path);
    rl_buf_deinit(&p->good);
    return 0;
}

static void store(const packed *p, const void *bytes, size_t n)
{
    assert_int_equal(rl_fs_write(p->path, bytes, n, NULL), REALM_OK);
}

static realm_status open_and_close(const packed *p, realm_error *err)
{
    rl_model *m;
    realm_status st = rl_model_open(&m, p->path, NULL, err);

    rl_model_close(m);
    return st;
}

static void every_byte_of_the_head_counts(void **state)
{
    packed *p = *state;
    rl_pack_header h;
    size_t end;
    realm_error err;

    memcpy(&h, p->good.data, sizeof h);
    assert_int_equal(open_and_close(p, &err), REALM_OK);
    end = (size_t)(h.metadata_offset + h.metadata_bytes);
    for (size_t i = 0; i < end; i += i < sizeof h ? 1 : 37) {
        bool padding = i >= sizeof h + h.n_tensors * sizeof(rl_pack_entry) && i < h.metadata_offset;

        if (padding)
            continue;
        p->good.data[i] = (char)(p->good.data[i] ^ 0x10);
        store(p, p->good.data, p->good.len);
        p->good.data[i] = (char)(p->good.data[i] ^ 0x10);
        if (open_and_close(p, &err) != REALM_EINVAL)
            fail_msg("byte %zu of the head was not missed", i);
        assert_non_null(strstr(err.text, "import the model again"));
    }
}

static void a_file_of_another_length_is_refused(void **state)
{
    packed *p = *state;
    static const size_t lengths[] = { 0, 1, 223, 224, 4096 };
    rl_buf longer;

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        store(p, p->good.data, lengths[i]);
        assert_int_equal(open_and_close(p, NULL), REALM_EINVAL);
    }
    store(p, p->good.data, p->good.len - 1);
    assert_int_equal(open_and_close(p, NULL), REALM_EINVAL);
    rl_buf_init(&longer, 1u << 24);
    (void)rl_buf_add(&longer, p->good.data, p->good.len + 1); /* the NUL behind it */
    store(p, longer.data, longer.len);
    assert_int_equal(open_and_close(p, NULL), REALM_EINVAL);
    rl_buf_deinit(&longer);
}

/* A head that is consistent in itself but does not fit its own metadata. */
static void a_forged_head_is_refused(void **state)
{
    packed *p = *state;
    char *bytes = rl_alloc(p->good.len);
    rl_pack_header *h = (rl_pack_header *)(void *)bytes;
    rl_pack_entry *table = (rl_pack_entry *)(void *)(bytes + sizeof *h);
    realm_error err;

    for (int forgery = 0; forgery < 9; forgery++) {
        memcpy(bytes, p->good.data, p->good.len);
        switch (forgery) {
        case 0:
            h->n_tensors--;
            break;
        case 1:
            table[3].bytes -= 64;
            break;
        case 2:
            table[3].offset = h->data_bytes - 64;
            break;
        case 3:
            table[3].offset += 4;
            break;
        case 4:
            h->metadata_bytes -= 100;
            break;
        case 5:
            h->tables_bytes = p->good.len;
            break;
        case 6:
            h->tables_offset += 8;
            break;
        case 7:
            h->whole_bytes = UINT64_MAX;
            break;
        default:
            h->body_offset = p->good.len + RL_PACK_PAGE;
            break;
        }
        assert_true(rl_packfile_head_digest(h, table, (const uint8_t *)bytes + h->metadata_offset,
                                            h->head_digest));
        store(p, bytes, p->good.len);
        if (open_and_close(p, &err) != REALM_EINVAL)
            fail_msg("forgery %d was not missed", forgery);
    }
    rl_free(bytes);
}

static void verify_reads_the_tensors(void **state)
{
    packed *p = *state;
    rl_pack_header h;
    realm_error err;
    uint64_t total;

    memcpy(&h, p->good.data, sizeof h);
    store(p, p->good.data, p->good.len);
    assert_int_equal(rl_model_verify(p->path, NULL, NULL, &err), REALM_OK);
    assert_int_equal(rl_model_verify(p->path, stop_at_half, &total, &err), REALM_ECANCELLED);
    for (size_t i = (size_t)h.data_offset; i < p->good.len; i += 9973) {
        p->good.data[i] = (char)(p->good.data[i] ^ 1);
        store(p, p->good.data, p->good.len);
        p->good.data[i] = (char)(p->good.data[i] ^ 1);
        assert_int_equal(open_and_close(p, &err), REALM_OK);
        assert_int_equal(rl_model_verify(p->path, NULL, NULL, &err), REALM_EINVAL);
        assert_non_null(strstr(err.text, "damaged"));
    }
}

static void other_files_are_refused(void **state)
{
    packed *p = *state;
    rl_model *m;
    realm_error err;

    assert_int_equal(rl_model_open(&m, "no/such/file", NULL, &err), REALM_ENOTFOUND);
    assert_int_equal(rl_model_open(&m, "/", NULL, &err), REALM_EINVAL);
    assert_int_equal(rl_model_verify("no/such/file", NULL, NULL, &err), REALM_ENOTFOUND);
    store(p, "GGUF this is not it", 19);
    assert_int_equal(open_and_close(p, &err), REALM_EINVAL);
    assert_null(m);
    rl_model_close(NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_pass),
        cmocka_unit_test(unfit_hyperparameters_are_refused),
        cmocka_unit_test(unfit_tensors_are_refused),
        cmocka_unit_test(info_tells_the_model),
        cmocka_unit_test(packing_is_exact),
        cmocka_unit_test(a_stopped_import_leaves_nothing),
        T(every_byte_of_the_head_counts),
        T(a_file_of_another_length_is_refused),
        T(a_forged_head_is_refused),
        T(verify_reads_the_tensors),
        T(other_files_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
