#include "house.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasmtime.h>

#define WORK_DIR REALM_BINARY_DIR "/tests/abi/models"

/* ---- models ---------------------------------------------------------------------------------- */

static void source_of(const char *name, char *path, size_t cap)
{
    const char *dir = getenv("REALM_MODELS_DIR");
    const char *home = getenv("HOME");

    if (strcmp(name, "tiny") == 0)
        (void)snprintf(path, cap, "%s", ABI_TINY_GGUF);
    else if (dir != NULL)
        (void)snprintf(path, cap, "%s/%s.gguf", dir, name);
    else
        (void)snprintf(path, cap, "%s/.cache/realm/models/%s.gguf", home ? home : "", name);
}

static realm_status pack(const char *source, const char *packed, realm_error *err)
{
    rl_packed fresh;
    rl_gguf *g = NULL;
    realm_status st = rl_gguf_open(&g, source, err);

    if (st == REALM_OK)
        st = rl_model_pack(&fresh, g, packed, NULL, NULL, err);
    if (st == REALM_OK)
        st = rl_packed_keep(&fresh, packed, err);
    rl_gguf_close(g);
    return st;
}

/* Packed files are kept for the next test; a changed source has another name. Several tests may run
 * at once: the lock file lets one of them pack. */
static realm_status pack_once(const char *name, char *path, size_t cap, realm_error *err)
{
    char source[512];
    struct stat sb;
    realm_status st = rl_fs_mkdirs(WORK_DIR, err);
    int lock = st == REALM_OK ? open(WORK_DIR "/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600) : -1;

    source_of(name, source, sizeof source);
    if (st == REALM_OK && (lock < 0 || flock(lock, LOCK_EX) != 0 || stat(source, &sb) != 0))
        st = realm_fail(err, REALM_EIO, "%s: %s", source, strerror(errno));
    if (st == REALM_OK) {
        (void)snprintf(path, cap, "%s/%s.%lld.%lld.%u.realm", WORK_DIR, name, (long long)sb.st_size,
                       (long long)sb.st_mtime, RL_PACK_LAYOUT);
        if (!rl_fs_exists(path))
            st = pack(source, path, err);
    }
    if (lock >= 0)
        (void)close(lock);
    return st;
}

realm_status house_model(const char *name, char *path, size_t cap, realm_error *err)
{
    static const char *const known[] = { "tiny", "gemma3-270m", "qwen2.5-coder-0.5b" };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i], name) == 0)
            return pack_once(name, path, cap, err);
    return realm_fail(err, REALM_ENOTFOUND, "no model is called '%s'", name);
}

static realm_status resolve(void *ctx, const char *name, char *path, size_t cap, realm_error *err)
{
    (void)ctx;
    return house_model(name, path, cap, err);
}

/* ---- the house ------------------------------------------------------------------------------- */

/* cmocka puts its own handlers of these signals in place for each test and fixture, but a guest's
 * traps are signals too: wasmtime's handlers, installed once a process, are put back. */
static const int trap_signals[] = { SIGSEGV, SIGILL, SIGFPE, SIGBUS };
static struct sigaction trap_actions[4];
static bool trap_known;

static void keep_trap_handlers(void)
{
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(trap_known ? sigaction(trap_signals[i], &trap_actions[i], NULL)
                                    : sigaction(trap_signals[i], NULL, &trap_actions[i]),
                         0);
    trap_known = true;
}

static void must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

void house_open(house *h, size_t kv_bytes, uint32_t n_workers)
{
    realm_error err;
    rl_engine_opts engine = { .n_threads = 2, .kv_bytes = kv_bytes ? kv_bytes : (size_t)256 << 20 };
    rl_runtime_opts runtime = { .n_workers = n_workers, .resolve = resolve };

    memset(h, 0, sizeof *h);
    must(rl_engine_new(&h->engine, &engine, &err), &err);
    runtime.engine = h->engine;
    must(rl_runtime_new(&h->rt, &runtime, &err), &err);
    keep_trap_handlers();
}

void house_close(house *h)
{
    rl_engine_stats engine;
    rl_runtime_stats runtime;

    rl_engine_get_stats(h->engine, &engine);
    rl_runtime_get_stats(h->rt, &runtime);
    rl_runtime_free(h->rt);
    rl_engine_free(h->engine);
    assert_int_equal(engine.jobs_posted, runtime.jobs_from_guests);
    assert_int_equal(runtime.live, 0);
}

rl_program *house_program(house *h, const char *name)
{
    char path[512];
    rl_buf wasm;
    realm_error err;
    rl_program *p = NULL;

    (void)snprintf(path, sizeof path, "%s/guests/%s.wasm", REALM_BINARY_DIR, name);
    rl_buf_init(&wasm, (size_t)64 << 20);
    must(rl_fs_read(path, &wasm, &err), &err);
    must(rl_program_load(&p, h->rt, wasm.data, wasm.len, &err), &err);
    rl_buf_deinit(&wasm);
    return p;
}

realm_status house_try_wat(house *h, rl_program **out, const char *wat, realm_error *err)
{
    wasm_byte_vec_t wasm;
    wasmtime_error_t *e = wasmtime_wat2wasm(wat, strlen(wat), &wasm);
    realm_status st;

    if (e != NULL) {
        wasm_message_t text;

        wasmtime_error_message(e, &text);
        fail_msg("the test's own module: %.*s\n%s", (int)text.size, text.data, wat);
    }
    st = rl_program_load(out, h->rt, wasm.data, wasm.size, err);
    wasm_byte_vec_delete(&wasm);
    return st;
}

rl_program *house_wat(house *h, const char *wat)
{
    rl_program *p = NULL;
    realm_error err;

    must(house_try_wat(h, &p, wat, &err), &err);
    return p;
}

/* ---- runs ------------------------------------------------------------------------------------ */

rl_run_opts house_opts(rl_program *p, const char *input)
{
    return (rl_run_opts){ .program = p,
                          .model = "tiny",
                          .input = input,
                          .n_input = strlen(input),
                          .caps = RL_CAP_INFER | RL_CAP_LAYERS };
}

rl_run *house_start(house *h, const rl_run_opts *opts)
{
    rl_run *run = NULL;
    realm_error err;

    keep_trap_handlers();
    must(rl_run_start(&run, h->rt, opts, &err), &err);
    return run;
}

static void collect(house_out *out, rl_reply_kind kind, const char *data, size_t n)
{
    rl_buf *to = kind == RL_REPLY_TEXT  ? &out->text
                 : kind == RL_REPLY_LOG ? &out->log
                                        : &out->events;

    (void)rl_buf_add(to, data, n);
    if (kind != RL_REPLY_TEXT)
        (void)rl_buf_adds(to, "\n");
}

void house_finish(rl_run *run, house_out *out)
{
    static _Thread_local char data[(size_t)128 << 10];
    rl_reply_kind kind;
    size_t n;

    memset(out, 0, sizeof *out);
    rl_buf_init(&out->text, (size_t)16 << 20);
    rl_buf_init(&out->log, (size_t)16 << 20);
    rl_buf_init(&out->events, (size_t)16 << 20);
    do {
        assert_int_equal(rl_run_read(run, &kind, data, sizeof data, &n, 1000), REALM_OK);
        if (n > 0)
            collect(out, kind, data, n);
    } while (!rl_run_done(run, &out->result));
    rl_run_close(run);
}

void house_out_free(house_out *out)
{
    rl_buf_deinit(&out->text);
    rl_buf_deinit(&out->log);
    rl_buf_deinit(&out->events);
}

void house_run(house *h, const rl_run_opts *opts, house_out *out)
{
    house_finish(house_start(h, opts), out);
}

const char *house_text(const house_out *out)
{
    return out->text.data ? out->text.data : "";
}

void house_assert_ok(const house_out *out)
{
    if (out->result.status != REALM_OK)
        fail_msg("%s: %s (exit code %d)\nlog: %s", realm_status_name(out->result.status),
                 out->result.err.text, out->result.exit_code, out->log.data ? out->log.data : "");
}
