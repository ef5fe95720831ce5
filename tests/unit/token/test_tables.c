/* A vocabulary's tables as bytes: they come back as they were, nothing is made again when they are
 * opened, and no damage to them is worse than a refusal or wrong tokens. */
#include "../test.h"

#include "tiny.h"

#include "token/marks.h"
#include "token/tables.h"

enum { SPM, BPE, MODELS };

static const tiny_token pieces[] = {
    { "<unk>", RL_TOKEN_UNKNOWN, 0 },
    { "<s>", RL_TOKEN_CONTROL, 0 },
    { "<|im_end|>", RL_TOKEN_CONTROL, 0 },
    { "[user]", RL_TOKEN_USER, 0 },
    { "a", 0, -10 },
    { "b", 0, -11 },
    { "ab", 0, -2 },
    { "\xe2\x96\x81", 0, -12 },
    { "\xe2\x96\x81"
      "a",
      0, -1 },
    { ">\xe2\x96\x81", 0, -3 },
    { "<0x41>", RL_TOKEN_BYTE, 0 },
};
static const char *const merges[] = { "a b", "ab a", "< |", "h e" };
static const tiny_token extra[] = {
    { "xyz", 0, 0 },
    { "<|im_start|>", RL_TOKEN_CONTROL, 0 },
    { "<|im_end|>", RL_TOKEN_CONTROL, 0 },
    { "<think>", RL_TOKEN_USER, 0 },
};

static const char *const texts[] = {
    "", "a", "abab ab  a", "> a xyz [user]", "<|im_end|>a<|im_start|><think>ab", "\xff\xc3\xa9 A<|",
};

static void start(tiny *t, int model)
{
    realm_error err = { 0 };

    tiny_init(t, model == SPM ? "llama" : "gpt2");
    if (model == SPM) {
        tiny_spm_tokens(t, pieces, sizeof pieces / sizeof pieces[0]);
        tiny_u32(t, "tokenizer.ggml.unknown_token_id", 0);
    } else {
        tiny_string(t, "tokenizer.ggml.pre", "llama-bpe");
        tiny_bpe_tokens(t, merges, 4, extra, 4);
    }
    tiny_u32(t, "tokenizer.ggml.bos_token_id", 1);
    tiny_u32(t, "tokenizer.ggml.eos_token_id", 2);
    if (tiny_open(t, &err) != REALM_OK)
        fail_msg("%s", err.text);
}

static void assert_same_texts(const rl_vocab *a, const rl_vocab *b)
{
    uint32_t n = rl_vocab_get_info(a)->n_tokens;

    assert_int_equal(rl_vocab_get_info(b)->n_tokens, n);
    for (uint32_t id = 0; id < n; id++) {
        rl_text x = rl_token_bytes(a, id), y = rl_token_bytes(b, id);

        assert_int_equal(x.n, y.n);
        assert_memory_equal(x.p, y.p, x.n);
        assert_int_equal(rl_vocab_is_eog(a, id), rl_vocab_is_eog(b, id));
        assert_int_equal(rl_vocab_is_special(a, id), rl_vocab_is_special(b, id));
        assert_int_equal(rl_vocab_is_parsed(a, id), rl_vocab_is_parsed(b, id));
    }
    assert_int_equal(rl_token_bytes(b, n).n, 0);
}

static void assert_same_ids(const rl_vocab *a, const rl_vocab *b, const char *text)
{
    for (uint32_t flags = 0; flags < 4; flags++) {
        uint32_t *x, *y;
        size_t n_x, n_y;

        assert_int_equal(rl_encode(a, text, strlen(text), flags, &x, &n_x, NULL), REALM_OK);
        assert_int_equal(rl_encode(b, text, strlen(text), flags, &y, &n_y, NULL), REALM_OK);
        assert_int_equal(n_x, n_y);
        assert_memory_equal(x, y, n_x * sizeof *x);
        rl_free(x);
        rl_free(y);
    }
}

static void assert_same_marks(const rl_vocab *a, const rl_vocab *b, const char *text)
{
    rl_marks x, y;
    rl_buf out_x, out_y;

    rl_buf_init(&out_x, 4096);
    rl_buf_init(&out_y, 4096);
    rl_marks_init(&x, a);
    rl_marks_init(&y, b);
    assert_int_equal(rl_marks_put(&x, text, strlen(text), &out_x),
                     rl_marks_put(&y, text, strlen(text), &out_y));
    assert_int_equal(out_x.len, out_y.len);
    assert_memory_equal(out_x.data, out_y.data, out_x.len);
    rl_buf_deinit(&out_x);
    rl_buf_deinit(&out_y);
}

static void what_was_saved_comes_back(void **state)
{
    (void)state;
    for (int model = 0; model < MODELS; model++) {
        tiny built, mapped;
        realm_error err = { 0 };
        rl_buf again;

        start(&built, model);
        start(&mapped, model);
        if (tiny_map(&mapped, &err) != REALM_OK)
            fail_msg("%s", err.text);
        assert_same_texts(built.v, mapped.v);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            assert_same_ids(built.v, mapped.v, texts[i]);
            assert_same_marks(built.v, mapped.v, texts[i]);
        }
        rl_buf_init(&again, 1u << 24);
        assert_int_equal(rl_vocab_save(mapped.v, &again, &err), REALM_OK);
        assert_int_equal(again.len, mapped.n_tables);
        assert_memory_equal(again.data, mapped.tables, again.len);
        rl_buf_deinit(&again);
        tiny_deinit(&built);
        tiny_deinit(&mapped);
    }
}

static uint64_t n_added(const rl_vocab *v)
{
    return v->words.n_added + v->merges.n_added + v->special.edges.n_added +
           v->reversed.edges.n_added;
}

static bool inside(const tiny *t, const void *p)
{
    return (const char *)p >= t->tables && (const char *)p < t->tables + t->n_tables;
}

static void nothing_is_made_again(void **state)
{
    (void)state;
    for (int model = 0; model < MODELS; model++) {
        realm_error err = { 0 };
        tiny t;

        start(&t, model);
        assert_true(n_added(t.v) > 20);
        assert_int_equal(tiny_map(&t, &err), REALM_OK);
        assert_int_equal(n_added(t.v), 0);
        assert_true(inside(&t, t.v->texts.starts) && inside(&t, t.v->texts.pool));
        assert_true(inside(&t, t.v->kind) && inside(&t, t.v->eog));
        assert_true(inside(&t, t.v->special.nodes) && inside(&t, t.v->special.edges.slots));
        assert_true(inside(&t, t.v->reversed.nodes) && inside(&t, t.v->reversed.edges.slots));
        assert_true(inside(&t, t.v->words.slots));
        assert_true(inside(&t, model == SPM ? (void *)t.v->priority : (void *)t.v->merges.slots));
        tiny_deinit(&t);
    }
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* The tables with something else in them, opened. */
static realm_status reopen(tiny *t, const void *bytes, size_t n, realm_error *err)
{
    rl_vocab_close(t->v);
    t->v = NULL;
    rl_gguf_attach(t->g, bytes, n);
    return rl_vocab_open(&t->v, t->g, err);
}

static void refused(tiny *t, const void *bytes, size_t n, const char *reason)
{
    realm_error err = { 0 };

    assert_int_equal(reopen(t, bytes, n, &err), REALM_EINVAL);
    assert_null(t->v);
    if (!strstr(err.text, reason) || !strstr(err.text, "import the model again"))
        fail_msg("said \"%s\", not \"%s\"", err.text, reason);
}

static void cut_tables_are_refused(void **state)
{
    (void)state;
    for (int model = 0; model < MODELS; model++) {
        realm_error err = { 0 };
        tiny t;

        start(&t, model);
        assert_int_equal(tiny_map(&t, &err), REALM_OK);
        for (size_t n = 1; n < t.n_tables; n += n < 3000 ? 1 : 97) {
            char *cut = rl_alloc(n);

            assert_non_null(cut);
            memcpy(cut, t.tables, n);
            refused(&t, cut, n, n < sizeof(rl_tables_head) ? "cut off" : "another length");
            rl_free(cut);
        }
        tiny_deinit(&t);
    }
}

typedef struct forgery {
    int model; /* MODELS: of both */
    size_t at; /* in the head */
    uint64_t value;
    size_t bytes;
    const char *reason;
} forgery;

#define PART(i, field)                                                                             \
    (offsetof(rl_tables_head, parts) + (i) * sizeof(rl_part) + offsetof(rl_part, field))
#define HEAD(field) offsetof(rl_tables_head, field)

static const forgery forgeries[] = {
    { MODELS, 0, 'X', 1, "do not begin as such" },
    { MODELS, HEAD(version), RL_TABLES_VERSION + 1, 4, "another version" },
    { MODELS, HEAD(head_bytes), 0, 4, "another version" },
    { MODELS, HEAD(bytes), UINT64_MAX, 8, "another length" },
    { MODELS, HEAD(n_tokens), 0, 4, "counts of tokens" },
    { MODELS, HEAD(n_tokens), 10, 4, "counts of tokens" },
    { MODELS, HEAD(n_tokens), UINT32_MAX, 4, "counts of tokens" },
    { MODELS, HEAD(spm), 2, 4, "another tokenizer" },
    { MODELS, PART(RL_PART_STARTS, offset), 0, 8, "outside" },
    { MODELS, PART(RL_PART_STARTS, offset), UINT64_MAX - 63, 8, "outside" },
    { MODELS, PART(RL_PART_POOL, n), UINT64_MAX, 8, "outside" },
    { MODELS, PART(RL_PART_POOL, n), 3, 8, "follow each other" },
    { MODELS, PART(RL_PART_KINDS, n), 1, 8, "counts of tokens" },
    { MODELS, PART(RL_PART_EOG, offset), 4, 8, "outside" },
    { MODELS, PART(RL_PART_EDGES, n), 0, 8, "odd size" },
    { MODELS, PART(RL_PART_EDGES, n), 3, 8, "odd size" },
    { MODELS, PART(RL_PART_REV_EDGES, n), 5, 8, "odd size" },
    { MODELS, PART(RL_PART_NODES, n), 0, 8, "no root" },
    { MODELS, PART(RL_PART_REV_NODES, n), 1, 8, "tree of special texts" },
    { MODELS, HEAD(byte_id) + 4 * 'A', 0x7fffffff, 4, "none of the tokens" },
    { SPM, PART(RL_PART_WORDS, n), 0, 8, "odd size" },
    { SPM, PART(RL_PART_MERGES, n), 1, 8, "odd size" },
    { SPM, PART(RL_PART_PRIORITY, n), 2, 8, "counts of tokens" },
    { BPE, PART(RL_PART_WORDS, n), 7, 8, "odd size" },
    { BPE, PART(RL_PART_MERGES, n), 0, 8, "odd size" },
    { BPE, PART(RL_PART_PRIORITY, n), 1, 8, "odd size" },
    { BPE, HEAD(byte_id) + 4 * 'A', RL_NO_TOKEN, 4, "no token" },
};

static void forged_heads_are_refused(void **state)
{
    (void)state;
    for (int model = 0; model < MODELS; model++) {
        realm_error err = { 0 };
        tiny t;

        start(&t, model);
        assert_int_equal(tiny_map(&t, &err), REALM_OK);
        for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
            const forgery *f = &forgeries[i];
            uint64_t was = 0;

            if (f->model != MODELS && f->model != model)
                continue;
            memcpy(&was, t.tables + f->at, f->bytes);
            memcpy(t.tables + f->at, &f->value, f->bytes); /* little endian */
            refused(&t, t.tables, t.n_tables, f->reason);
            memcpy(t.tables + f->at, &was, f->bytes);
        }
        assert_int_equal(reopen(&t, t.tables, t.n_tables, &err), REALM_OK);
        tiny_deinit(&t);
    }
}

/* One item of a part becomes `value`. */
static void forge_item(tiny *t, int part, size_t at, uint64_t value, size_t bytes,
                       const char *reason)
{
    const rl_tables_head *h = (const rl_tables_head *)(const void *)t->tables;
    char *item = t->tables + h->parts[part].offset + at;
    uint64_t was = 0;

    memcpy(&was, item, bytes);
    memcpy(item, &value, bytes);
    refused(t, t->tables, t->n_tables, reason);
    memcpy(item, &was, bytes);
}

/* Fills the empty slots of a table, so that a search would not end. */
static void fill_slots(tiny *t, int part, size_t bytes, const char *reason)
{
    const rl_tables_head *h = (const rl_tables_head *)(const void *)t->tables;
    char *slots = t->tables + h->parts[part].offset;
    size_t n = (size_t)h->parts[part].n;
    char *was = rl_alloc(n * bytes);
    uint64_t one = 1;

    assert_non_null(was);
    memcpy(was, slots, n * bytes);
    for (size_t i = 0; i < n; i++) {
        uint64_t key;

        memcpy(&key, slots + i * bytes, sizeof key);
        if (key)
            continue;
        memcpy(slots + i * bytes, &one, sizeof one); /* word 0; or the key 0 ... */
        if (bytes == 16)
            memcpy(slots + i * bytes + 8, &one, sizeof one); /* ... with the value 1 */
    }
    refused(t, t->tables, t->n_tables, reason);
    memcpy(slots, was, n * bytes);
    rl_free(was);
}

static size_t used_slot(const rl_map *m)
{
    size_t i = 0;

    while (!m->slots[i].key1)
        i++;
    return i;
}

static void forged_items_are_refused(void **state)
{
    (void)state;
    for (int model = 0; model < MODELS; model++) {
        realm_error err = { 0 };
        size_t used = 0;
        uint32_t n;
        tiny t;

        start(&t, model);
        assert_int_equal(tiny_map(&t, &err), REALM_OK);
        n = t.v->info.n_tokens;
        if (model == BPE)
            used = used_slot(&t.v->merges);
        forge_item(&t, RL_PART_STARTS, 0, 1, 4, "follow each other");
        forge_item(&t, RL_PART_STARTS, 12, UINT32_MAX, 4, "follow each other");
        forge_item(&t, RL_PART_STARTS, 4 * (size_t)n, 1 << 20, 4, "follow each other");
        forge_item(&t, RL_PART_KINDS, 3, 0, 1, "no kind");
        forge_item(&t, RL_PART_KINDS, 3, 7, 1, "no kind");
        forge_item(&t, RL_PART_EOG, 0, n, 4, "none of the tokens");
        forge_item(&t, RL_PART_NODES, 4, n, 4, "tree of special texts");
        forge_item(&t, RL_PART_REV_NODES, 12, n, 4, "tree of special texts");
        fill_slots(&t, RL_PART_EDGES, 16, "tree of special texts");
        fill_slots(&t, RL_PART_REV_EDGES, 16, "tree of special texts");
        fill_slots(&t, RL_PART_WORDS, 8, "index of words");
        forge_item(&t, RL_PART_WORDS, 0, n + 1, 8, "index of words");
        forge_item(&t, RL_PART_WORDS, 0, (uint64_t)1 << 32, 8, "index of words");
        if (model == BPE) {
            fill_slots(&t, RL_PART_MERGES, 16, "table of merges");
            forge_item(&t, RL_PART_MERGES, 16 * used + 8, n, 4, "table of merges");
        }
        tiny_deinit(&t);
    }
}

/* Whatever a byte becomes, opening answers, and what opens can be used. */
static void no_byte_does_harm(void **state)
{
    static const uint8_t flips[] = { 0x01, 0x80, 0xff };
    size_t n_opened = 0, n_refused = 0;

    (void)state;
    for (int model = 0; model < MODELS; model++) {
        realm_error err = { 0 };
        tiny t;

        start(&t, model);
        assert_int_equal(tiny_map(&t, &err), REALM_OK);
        for (size_t i = 0; i < 3 * t.n_tables; i += i < 3 * sizeof(rl_tables_head) ? 1 : 5) {
            char *byte = &t.tables[i / 3], was = *byte;

            *byte = (char)(was ^ (char)flips[i % 3]);
            if (reopen(&t, t.tables, t.n_tables, &err) == REALM_OK) {
                for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
                    uint32_t *ids;
                    size_t n;

                    assert_int_equal(rl_encode(t.v, texts[k], strlen(texts[k]), 3, &ids, &n, NULL),
                                     REALM_OK);
                    for (size_t j = 0; j < n; j++)
                        assert_in_range(ids[j], 0, t.v->info.n_tokens - 1);
                    rl_free(ids);
                }
                assert_same_texts(t.v, t.v); /* reads them all */
                n_opened++;
            } else {
                n_refused++;
            }
            *byte = was;
        }
        tiny_deinit(&t);
    }
    assert_true(n_opened > 1000 && n_refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_comes_back), cmocka_unit_test(nothing_is_made_again),
        cmocka_unit_test(cut_tables_are_refused),    cmocka_unit_test(forged_heads_are_refused),
        cmocka_unit_test(forged_items_are_refused),  cmocka_unit_test(no_byte_does_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
