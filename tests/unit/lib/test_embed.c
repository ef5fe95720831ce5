/* librealm from outside: only the public header, only the shared library. The tiny model's text
 * means nothing; what is tested is the way from a file to tokens, logits and a program's reply. */
#include "../test.h"

#include "realm/realm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char home[64];
static realm *lib;
static int stop_after; /* progress says stop at this call; 0: never */

static bool watch(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    assert_true(total == 0 || done <= total);
    ++*(int *)ctx;
    return stop_after && *(int *)ctx >= stop_after;
}

static int calls;

static int open_lib(void **state)
{
    realm_options o = { .home = home, .n_threads = 2, .progress = watch, .ctx = &calls };
    realm_error err = { .text = "" };

    (void)state;
    (void)snprintf(home, sizeof home, "/tmp/realm-lib-XXXXXX");
    if (!mkdtemp(home) || realm_open(&lib, &o, &err) != REALM_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_lib(void **state)
{
    char cmd[128];

    (void)state;
    realm_close(lib);
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", home);
    return system(cmd); /* NOLINT(cert-env33-c,bugprone-command-processor): our own folder */
}

static const char *tiny(void)
{
    const char *path = getenv("REALM_TINY");

    assert_non_null(path);
    return path;
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        realm_error err = { .text = "" };                                                          \
        if ((call) != REALM_OK)                                                                    \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

static void a_stopped_import_leaves_nothing(void **state)
{
    realm_error why;
    realm_entry *list;
    uint32_t n_files;
    uint64_t bytes;
    size_t n;

    (void)state;
    stop_after = 1;
    calls = 0;
    assert_int_equal(realm_import(lib, tiny(), NULL, NULL, &why), REALM_ECANCELLED);
    stop_after = 0;
    OK(realm_list(lib, &list, &n, &err));
    assert_int_equal(n, 0);
    realm_free(list);
    OK(realm_prune(lib, true, &n_files, &bytes, &err));
    assert_int_equal(n_files, 0);
}

static void a_model_is_imported_and_found(void **state)
{
    realm_import_options o = { .name = "tiny" };
    realm_entry e, again;
    realm_error why;

    (void)state;
    calls = 0;
    OK(realm_import(lib, tiny(), &o, &e, &err));
    assert_true(calls > 0);
    assert_string_equal(e.arch, "llama");
    assert_true(e.usable && e.n_params > 100000 && e.packed_bytes > 100000);
    OK(realm_find(lib, "tiny", &again, &err));
    assert_string_equal(again.sha256, e.sha256);
    assert_int_equal(realm_find(lib, "none", &again, &why), REALM_ENOTFOUND);
    assert_non_null(strstr(why.text, "tiny"));
    assert_int_equal(realm_find(lib, "Not A Name", &again, &why), REALM_EINVAL);
    assert_int_equal(realm_find(lib, "./tiny.gguf", &again, &why), REALM_EINVAL);
}

static void text_becomes_tokens_and_logits(void **state)
{
    const realm_model_info *info;
    realm_model *m;
    realm_logit top[3];
    uint32_t *ids;
    char *text;
    float *logits;
    size_t n, len;

    (void)state;
    OK(realm_model_open(&m, lib, "tiny", false, &err));
    info = realm_model_get_info(m);
    assert_string_equal(info->name, "tiny");
    assert_int_equal(info->n_layers, 3);
    assert_int_equal(info->n_ctx, 2048);
    assert_true(info->has_chat && info->bos == 1);
    OK(realm_tokenize(realm_model_tokenizer(m), "the people", 10, REALM_TOKENS_ADD_SPECIAL, &ids,
                      &n, &err));
    assert_int_equal(ids[0], 1);
    OK(realm_detokenize(realm_model_tokenizer(m), ids + 1, n - 1, &text, &len, &err));
    assert_string_equal(text, "the people");
    logits = calloc(info->n_vocab, sizeof *logits);
    assert_non_null(logits);
    OK(realm_logits(m, ids, n, logits, &err));
    assert_true(realm_top_logits(logits, info->n_vocab, top, 3) >= (double)top[0].logit);
    assert_true(top[0].logit >= top[1].logit && top[1].logit >= top[2].logit);
    assert_true(logits[top[0].id] == top[0].logit);
    assert_int_equal(realm_logits(m, ids, 0, logits, NULL), REALM_EINVAL);
    free(logits);
    realm_free(text);
    realm_free(ids);
    realm_model_close(m);
}

static void ties_and_nans_among_the_top(void **state)
{
    const float x[] = { 1, NAN, 3, 3, -INFINITY, 2 };
    realm_logit top[4];

    (void)state;
    (void)realm_top_logits(x, 6, top, 4);
    assert_int_equal(top[0].id, 2);
    assert_int_equal(top[1].id, 3);
    assert_int_equal(top[2].id, 5);
    assert_int_equal(top[3].id, 0);
}

static void two_handles_of_one_model_are_the_same(void **state)
{
    realm_model *a, *b;
    uint32_t ids[] = { 1, 300, 301 };
    float x[512], y[512];

    (void)state;
    OK(realm_model_open(&a, lib, "tiny", false, &err));
    OK(realm_model_open(&b, lib, tiny(), false, &err));
    assert_string_equal(realm_model_get_info(b)->name, "");
    assert_string_equal(realm_model_get_info(a)->sha256, realm_model_get_info(b)->sha256);
    OK(realm_logits(a, ids, 3, x, &err));
    OK(realm_logits(b, ids, 3, y, &err));
    assert_memory_equal(x, y, sizeof x);
    realm_model_close(a);
    realm_model_close(b);
}

static void long_work_can_be_stopped(void **state)
{
    realm_perplexity_options p = { .n_ctx = 512 };
    realm_perplexity_result x;
    realm_model *m;
    uint32_t *ids = calloc(20480, sizeof *ids);

    (void)state;
    assert_non_null(ids);
    for (size_t i = 0; i < 20480; i++)
        ids[i] = 262 + (uint32_t)(i * 7 % 200);
    p.ids = ids;
    p.n_ids = 20480;
    OK(realm_model_open(&m, lib, "tiny", false, &err));
    stop_after = 1;
    calls = 0;
    assert_int_equal(realm_perplexity(m, &p, &x, NULL), REALM_ECANCELLED);
    stop_after = 0;
    p.n_chunks = 1;
    OK(realm_perplexity(m, &p, &x, &err));
    assert_int_equal(x.n_tokens, 255);
    assert_true(isfinite(x.ppl) && x.ppl > 1);
    realm_model_close(m);
    free(ids);
}

static void chat_replies(void **state)
{
    static const char request[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                                  "\"params\":{\"temperature\":0,\"max_tokens\":8}}";
    realm_run_options o = { .model = "tiny", .input = request, .n_input = sizeof request - 1 };
    static char out[65536];
    realm_run_result x;
    realm_program *p;
    realm_piece kind;
    realm_run *run;
    size_t n, total = 0;

    (void)state;
    OK(realm_program_chat(&p, lib, &err));
    o.program = p;
    OK(realm_run_start(&run, lib, &o, &err));
    while (!realm_run_done(run, &x)) {
        assert_int_equal(realm_run_read(run, &kind, out, sizeof out, &n, -1), REALM_OK);
        total += kind == REALM_PIECE_TEXT ? n : 0;
    }
    assert_int_equal(x.status, REALM_OK);
    assert_true(total > 0);
    assert_int_equal(x.generated_tokens, 8);
    assert_true(x.prompt_tokens > 0 && x.host_calls > 0 && x.cpu_ns > 0 &&
                x.wall_ns >= x.decode_ns);
    realm_run_close(run);
    o.model = "none";
    assert_int_equal(realm_run_start(&run, lib, &o, NULL), REALM_ENOTFOUND);
    realm_program_close(p);
}

static void a_removed_model_stays_open_for_its_user(void **state)
{
    uint32_t ids[] = { 1, 300 };
    float x[512];
    realm_model *m;
    uint64_t freed;

    (void)state;
    OK(realm_model_open(&m, lib, "tiny", false, &err));
    OK(realm_remove(lib, "tiny", &freed, &err));
    assert_true(freed > 100000);
    OK(realm_logits(m, ids, 2, x, &err));
    realm_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_import_leaves_nothing),
        cmocka_unit_test(a_model_is_imported_and_found),
        cmocka_unit_test(text_becomes_tokens_and_logits),
        cmocka_unit_test(ties_and_nans_among_the_top),
        cmocka_unit_test(two_handles_of_one_model_are_the_same),
        cmocka_unit_test(long_work_can_be_stopped),
        cmocka_unit_test(chat_replies),
        cmocka_unit_test(a_removed_model_stays_open_for_its_user),
    };

    return cmocka_run_group_tests(tests, open_lib, close_lib);
}
