#include "jobs.h"

#include "base/buf.h"
#include "gguf/gguf.h"
#include "token/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "the people say: hello, World! 12345";

static realm_status wrong(realm_error *err, const char *what)
{
    return realm_fail(err, REALM_EBUG, "%s is not what it should be", what);
}

static realm_status run_gguf(const char *home, const char *tiny, realm_error *err)
{
    rl_gguf *g;
    realm_status st = rl_gguf_open(&g, tiny, err);

    (void)home;
    if (st == REALM_OK && !rl_gguf_find(g, "general.architecture"))
        st = wrong(err, "the file's metadata");
    rl_gguf_close(g);
    return st;
}

static realm_status open_home(realm **r, const char *home, realm_error *err)
{
    realm_options o = { .home = home, .n_threads = 2, .kv_bytes = 32u << 20 };

    return realm_open(r, &o, err);
}

static realm_status run_registry(const char *home, const char *tiny, realm_error *err)
{
    realm *r = NULL;
    realm_entry *list = NULL;
    size_t n = 0;
    realm_status st = open_home(&r, home, err);

    (void)tiny;
    if (st == REALM_OK)
        st = realm_list(r, &list, &n, err);
    if (st == REALM_OK && (n != 1 || strcmp(list[0].name, "tiny") != 0 || !list[0].usable))
        st = wrong(err, "the list of models");
    realm_free(list);
    realm_close(r);
    return st;
}

/* The whole way each time: the model is removed again. */
static realm_status run_import(const char *home, const char *tiny, realm_error *err)
{
    realm_import_options o = { .name = "other" };
    realm *r = NULL;
    realm_status st = open_home(&r, home, err);

    if (st == REALM_OK)
        st = realm_import(r, tiny, &o, NULL, err);
    if (st == REALM_OK)
        st = realm_verify(r, "other", err);
    if (st == REALM_OK)
        st = realm_remove(r, "other", NULL, err);
    realm_close(r);
    return st;
}

/* A file that is packed already gets one more name. */
static realm_status run_again(const char *home, const char *tiny, realm_error *err)
{
    return run_import(home, tiny, err);
}

static realm_status run_tokenizer(const char *home, const char *tiny, realm_error *err)
{
    realm_tokenizer *t = NULL;
    realm *r = NULL;
    uint32_t *ids = NULL;
    char *back = NULL;
    size_t n_ids = 0, n = 0;
    realm_status st = open_home(&r, home, err);

    if (st == REALM_OK)
        st = realm_tokenizer_open(&t, r, tiny, err);
    if (st == REALM_OK)
        st = realm_tokenize(t, text, sizeof text - 1, 0, &ids, &n_ids, err);
    if (st == REALM_OK)
        st = realm_detokenize(t, ids, n_ids, &back, &n, err);
    if (st == REALM_OK && !strstr(back, "hello"))
        st = wrong(err, back);
    realm_free(back);
    realm_free(ids);
    realm_tokenizer_close(t);
    realm_close(r);
    return st;
}

static realm_status run_chat(const char *home, const char *tiny, realm_error *err)
{
    static const char request[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
    rl_vocab *v = NULL;
    rl_chat *c = NULL;
    rl_gguf *g;
    rl_buf out;
    realm_status st = rl_gguf_open(&g, tiny, err);

    (void)home;
    rl_buf_init(&out, 65536);
    if (st == REALM_OK)
        st = rl_vocab_open(&v, g, err);
    if (st == REALM_OK)
        st = rl_chat_open(&c, g, v, err);
    if (st == REALM_OK)
        st = rl_chat_render(c, request, sizeof request - 1, &out, err);
    if (st == REALM_OK && !strstr(out.data, "hello"))
        st = wrong(err, "the rendered chat");
    rl_buf_deinit(&out);
    rl_chat_close(c);
    rl_vocab_close(v);
    rl_gguf_close(g);
    return st;
}

static realm_status read_guest(rl_buf *wasm, char *path, size_t cap, realm_error *err)
{
    const char *dir = getenv("REALM_GUESTS");

    (void)snprintf(path, cap, "%s/hello.wasm", dir ? dir : ".");
    rl_buf_init(wasm, 1u << 20);
    return rl_fs_read(path, wasm, err);
}

static realm_status run_inspect(const char *home, const char *tiny, realm_error *err)
{
    char *a = NULL, *b = NULL, *c = NULL, path[512];
    realm *r = NULL;
    rl_buf wasm;
    realm_status st = read_guest(&wasm, path, sizeof path, err);

    rl_buf_deinit(&wasm);
    if (st == REALM_OK)
        st = open_home(&r, home, err);
    if (st == REALM_OK)
        st = realm_inspect(r, tiny, &a, err);
    if (st == REALM_OK)
        st = realm_inspect(r, "tiny", &b, err);
    if (st == REALM_OK)
        st = realm_inspect(r, path, &c, err);
    if (st == REALM_OK &&
        (!strstr(a, "n_params") || !strstr(b, "n_params") || !strstr(c, "exports")))
        st = wrong(err, "the description");
    realm_free(a);
    realm_free(b);
    realm_free(c);
    realm_close(r);
    return st;
}

static realm_status run_logits(const char *home, const char *tiny, realm_error *err)
{
    static const uint32_t ids[] = { 5, 6, 7, 8 };
    float *logits = NULL;
    realm_logit best;
    realm_model *m = NULL;
    realm *r = NULL;
    realm_status st = open_home(&r, home, err);

    (void)tiny;
    if (st == REALM_OK)
        st = realm_model_open(&m, r, "tiny", false, err);
    if (st == REALM_OK) {
        logits = calloc(realm_model_get_info(m)->n_vocab, sizeof *logits); /* the test's own */
        st = realm_logits(m, ids, 4, logits, err);
    }
    if (st == REALM_OK) {
        (void)realm_top_logits(logits, realm_model_get_info(m)->n_vocab, &best, 1);
        if (!(best.logit > 0))
            st = wrong(err, "the best logit");
    }
    free(logits);
    realm_model_close(m);
    realm_close(r);
    return st;
}

/* The text of a run to its end, which is compared with that of the first run. */
static realm_status finish(realm_run *run, realm_error *err)
{
    static char first[4096];
    char out[65536], all[4096] = "";
    realm_run_result result;
    realm_piece kind;
    size_t n, at = 0;

    while (!realm_run_done(run, &result)) {
        realm_status st = realm_run_read(run, &kind, out, sizeof out, &n, 1000);

        if (st != REALM_OK)
            return realm_fail(err, st, "the reply cannot be read");
        for (size_t i = 0; kind == REALM_PIECE_TEXT && i < n && at + 1 < sizeof all; i++)
            all[at++] = out[i];
    }
    all[at] = 0;
    /* the program has heard of it, and that is how it answers */
    if (strstr(result.text, "generate answered 0"))
        return realm_fail(err, REALM_ENOMEM, "%s", result.text);
    if (result.status != REALM_OK)
        return realm_fail(err, result.status, "%s", result.text);
    if (result.exit_code != 0)
        return realm_fail(err, REALM_ENOMEM, "the program said so with %d", result.exit_code);
    if (!first[0])
        memcpy(first, all, sizeof first);
    return strcmp(first, all) == 0 && at > 0 ? REALM_OK : wrong(err, "the reply");
}

static realm_status run_program(const char *home, const char *tiny, realm_error *err)
{
    realm_run_options o = {
        .model = "tiny", .input = "the people", .n_input = 10, .max_tokens = 600
    };
    realm_run *run = NULL;
    realm *r = NULL;
    char path[512];
    rl_buf wasm;
    realm_status st = read_guest(&wasm, path, sizeof path, err);

    (void)tiny;
    if (st == REALM_OK)
        st = open_home(&r, home, err);
    if (st == REALM_OK)
        st = realm_program_load(&o.program, r, wasm.data, wasm.len, err);
    if (st == REALM_OK)
        st = realm_run_start(&run, r, &o, err);
    if (st == REALM_OK)
        st = finish(run, err);
    realm_run_close(run);
    realm_program_close(o.program);
    realm_close(r);
    rl_buf_deinit(&wasm);
    return st;
}

const job jobs[] = {
    { "gguf", false, run_gguf },          { "registry", true, run_registry },
    { "import", false, run_import },      { "again", true, run_again },
    { "tokenizer", true, run_tokenizer }, { "chat", false, run_chat },
    { "inspect", true, run_inspect },     { "logits", true, run_logits },
    { "program", true, run_program },
};
const size_t n_jobs = sizeof jobs / sizeof jobs[0];
