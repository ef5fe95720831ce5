/* Token ids and detokenised text against the vectors of the reference library: all exact.
 *
 * usage: test_golden_tokens VECTORS FILE: the vectors' file and the name of the model's file
 * (model_path): a real model or a vocabulary alone, ggml-vocab-*. */
#include "../unit/test.h"

#include "base/alloc.h"
#include "models.h"
#include "token/token.h"

#include <jansson.h>
#include <string.h>

static const char *vectors_path, *model_file;
static char path[4096];
static json_t *vectors;
static rl_gguf *gguf;
static rl_vocab *vocab;
static rl_buf tables; /* of the second round: what the vocabulary lies in */

static int open_all(void **state)
{
    realm_error err = { 0 };
    json_error_t why;

    (void)state;
    vectors = json_load_file(vectors_path, 0, &why);
    if (!vectors) {
        print_error("%s: %s\n", vectors_path, why.text);
        return -1;
    }
    if (rl_gguf_open(&gguf, path, &err) != REALM_OK ||
        rl_vocab_open(&vocab, gguf, &err) != REALM_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

/* The same over tables that were saved, as a packed file has them. */
static int map_all(void **state)
{
    realm_error err = { 0 };
    realm_status st;

    if (open_all(state) < 0)
        return -1;
    rl_buf_init(&tables, (size_t)1 << 30);
    st = rl_vocab_save(vocab, &tables, &err);
    rl_vocab_close(vocab);
    vocab = NULL;
    rl_gguf_attach(gguf, tables.data, tables.len);
    if (st == REALM_OK)
        st = rl_vocab_open(&vocab, gguf, &err);
    if (st != REALM_OK)
        print_error("%s\n", err.text);
    return st == REALM_OK ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    rl_vocab_close(vocab);
    rl_gguf_close(gguf);
    rl_buf_deinit(&tables);
    json_decref(vectors);
    return 0;
}

static void print_ids(const char *label, const uint32_t *ids, size_t n)
{
    print_error("%s", label);
    for (size_t i = 0; i < n; i++)
        print_error(" %u", ids[i]);
    print_error("\n");
}

static void check_ids(const char *text, size_t n, uint32_t flags, const json_t *want)
{
    uint32_t *ids, wanted[4096];
    size_t n_ids, n_want = json_array_size(want);
    realm_error err;

    assert_in_range(n_want, 0, 4096);
    for (size_t i = 0; i < n_want; i++)
        wanted[i] = (uint32_t)json_integer_value(json_array_get(want, i));
    assert_int_equal(rl_encode(vocab, text, n, flags, &ids, &n_ids, &err), REALM_OK);
    if (n_ids != n_want || memcmp(ids, wanted, n_ids * sizeof *ids) != 0) {
        print_ids("  got   ", ids, n_ids);
        print_ids("  wanted", wanted, n_want);
        fail_msg("\"%s\" with flags %u", text, flags);
    }
    rl_free(ids);
}

static void ids_are_exact(void **state)
{
    json_t *list = json_object_get(vectors, "tokens");

    (void)state;
    assert_in_range(json_array_size(list), 40, 1000);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *e = json_array_get(list, i);
        json_t *text = json_object_get(e, "text"), *plain = json_object_get(e, "plain");
        json_t *special = json_object_get(e, "special");
        const char *s = json_string_value(text);
        size_t n = json_string_length(text);

        check_ids(s, n, 0, plain);
        check_ids(s, n, RL_ENCODE_PARSE_SPECIAL, special ? special : plain);
    }
}

static void text_comes_back(void **state)
{
    json_t *list = json_object_get(vectors, "tokens");

    (void)state;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *e = json_array_get(list, i);
        json_t *text = json_object_get(e, "text"), *detok = json_object_get(e, "detok");
        json_t *pieces = detok ? detok : text, *plain = json_object_get(e, "plain");
        uint32_t ids[4096];
        size_t n = json_array_size(plain);
        rl_buf joined, decoded;
        realm_error err;

        rl_buf_init(&joined, 1 << 20);
        rl_buf_init(&decoded, 1 << 20);
        for (size_t k = 0; k < n; k++) {
            rl_text t;

            ids[k] = (uint32_t)json_integer_value(json_array_get(plain, k));
            t = rl_token_bytes(vocab, ids[k]);
            assert_int_equal(rl_buf_add(&joined, t.p, t.n), REALM_OK);
        }
        assert_int_equal(joined.len, json_string_length(pieces));
        assert_memory_equal(joined.len ? joined.data : "", json_string_value(pieces), joined.len);
        assert_int_equal(rl_decode(vocab, ids, n, 0, &decoded, &err), REALM_OK);
        assert_int_equal(decoded.len, json_string_length(text));
        assert_memory_equal(decoded.len ? decoded.data : "", json_string_value(text), decoded.len);
        rl_buf_deinit(&joined);
        rl_buf_deinit(&decoded);
    }
}

/* Random bytes, mostly no UTF-8, and mixtures with text: decoding gives them back. */
static void random_bytes_come_back(void **state)
{
    static const char mix[] = "the  e\xc3\xa9\n\t<>0\xff\xf0\x9f\x98\x80 ";
    uint64_t x = 42;

    (void)state;
    for (size_t round = 0; round < 3000; round++) {
        char text[200];
        size_t n = 1 + round % sizeof text, n_ids;
        uint32_t *ids;
        rl_buf out;
        realm_error err;

        for (size_t i = 0; i < n; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            text[i] = round % 2 ? (char)(x >> 56) : mix[(x >> 33) % (sizeof mix - 1)];
        }
        rl_buf_init(&out, 4096);
        assert_int_equal(rl_encode(vocab, text, n, 0, &ids, &n_ids, &err), REALM_OK);
        assert_int_equal(rl_decode(vocab, ids, n_ids, 0, &out, &err), REALM_OK);
        assert_int_equal(out.len, n);
        assert_memory_equal(out.data, text, n);
        rl_free(ids);
        rl_buf_deinit(&out);
    }
}

static uint32_t id_of(const char *key)
{
    json_int_t id = json_integer_value(json_object_get(vectors, key));

    return id < 0 ? RL_NO_TOKEN : (uint32_t)id;
}

static void keys_are_read(void **state)
{
    const rl_vocab_info *info = rl_vocab_get_info(vocab);

    (void)state;
    assert_int_equal(info->n_tokens, json_integer_value(json_object_get(vectors, "n_vocab")));
    assert_int_equal(info->bos, id_of("bos"));
    assert_int_equal(info->eos, id_of("eos"));
    assert_int_equal(info->add_bos, json_boolean_value(json_object_get(vectors, "add_bos")));
    assert_true(rl_vocab_is_eog(vocab, info->eos));
    if (id_of("eot") != RL_NO_TOKEN)
        assert_true(rl_vocab_is_eog(vocab, id_of("eot")));
    assert_false(rl_vocab_is_eog(vocab, 5));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_exact),
        cmocka_unit_test(text_comes_back),
        cmocka_unit_test(random_bytes_come_back),
        cmocka_unit_test(keys_are_read),
    };

    if (argc != 3)
        return 2;
    vectors_path = argv[1];
    model_file = argv[2];
    model_path(path, sizeof path, model_file);
    return cmocka_run_group_tests_name("built", tests, open_all, close_all) +
           cmocka_run_group_tests_name("mapped", tests, map_all, close_all);
}
