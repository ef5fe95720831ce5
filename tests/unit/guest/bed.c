#include "bed.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <wasmtime.h>

void bed_must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

/* cmocka puts its own handlers of these signals in place for each test; a guest's traps are
 * wasmtime's. What wasmtime installed with its first engine is kept, and put back before a guest
 * runs. */
static const int trap_signals[] = { SIGSEGV, SIGILL, SIGFPE, SIGBUS };
static struct sigaction trap_actions[4];
static bool have_actions;

static void keep_traps(void)
{
    size_t i;

    for (i = 0; i < 4 && !have_actions; i++)
        assert_int_equal(sigaction(trap_signals[i], NULL, &trap_actions[i]), 0);
    have_actions = true;
}

static void put_traps(void)
{
    size_t i;

    for (i = 0; i < 4; i++)
        assert_int_equal(sigaction(trap_signals[i], &trap_actions[i], NULL), 0);
}

rl_runtime *bed_open_with(const rl_runtime_opts *o)
{
    rl_runtime *rt;
    realm_error err;

    bed_must(rl_runtime_new(&rt, o, &err), &err);
    keep_traps();
    return rt;
}

rl_runtime *bed_open(const char *compiled_dir, uint32_t n_workers)
{
    rl_runtime_opts o = { .compiled_dir = compiled_dir,
                          .n_workers = n_workers,
                          .max_guests = 256,
                          .max_memory = (size_t)16 << 20 };

    return bed_open_with(&o);
}

realm_status bed_try(rl_program **out, rl_runtime *rt, const char *wat, realm_error *err)
{
    wasm_byte_vec_t wasm, why;
    wasmtime_error_t *e = wasmtime_wat2wasm(wat, strlen(wat), &wasm);
    realm_status st;

    if (e) {
        wasmtime_error_message(e, &why);
        fail_msg("%.*s", (int)why.size, why.data);
    }
    st = rl_program_load(out, rt, wasm.data, wasm.size, err);
    wasm_byte_vec_delete(&wasm);
    return st;
}

rl_program *bed_wat(rl_runtime *rt, const char *wat)
{
    rl_program *p;
    realm_error err;

    bed_must(bed_try(&p, rt, wat, &err), &err);
    return p;
}

rl_program *bed_call(rl_runtime *rt, const char *name, const char *type, const char *body)
{
    char wat[2048];

    (void)snprintf(wat, sizeof wat,
                   "(module (import \"realm\" \"%s\" (func $f %s))"
                   "(memory (export \"memory\") 1)"
                   "(func (export \"run\") (result i32) %s))",
                   name, type, body);
    return bed_wat(rt, wat);
}

rl_run *bed_start(rl_runtime *rt, const rl_run_opts *opts)
{
    rl_run *run;
    realm_error err;

    put_traps();
    bed_must(rl_run_start(&run, rt, opts, &err), &err);
    return run;
}

void bed_finish(rl_run *run, bed_out *out)
{
    static char piece[1 << 16];
    rl_buf *to[3];

    memset(out, 0, sizeof *out);
    rl_buf_init(&out->text, (size_t)8 << 20);
    rl_buf_init(&out->log, (size_t)8 << 20);
    rl_buf_init(&out->events, (size_t)8 << 20);
    to[RL_REPLY_TEXT] = &out->text;
    to[RL_REPLY_EVENT] = &out->events;
    to[RL_REPLY_LOG] = &out->log;
    while (!rl_run_done(run, &out->result)) {
        rl_reply_kind kind;
        size_t n;

        assert_int_equal(rl_run_read(run, &kind, piece, sizeof piece, &n, 1000), REALM_OK);
        if (n == 0)
            continue;
        assert_int_equal(rl_buf_add(to[kind], piece, n), REALM_OK);
        if (kind == RL_REPLY_EVENT)
            assert_int_equal(rl_buf_adds(to[kind], "\n"), REALM_OK);
    }
    rl_run_close(run);
}

void bed_run(rl_runtime *rt, rl_program *p, rl_run_opts opts, bed_out *out)
{
    rl_run *run;

    opts.program = p;
    run = bed_start(rt, &opts);
    rl_program_unref(p);
    bed_finish(run, out);
}

void bed_free(bed_out *out)
{
    rl_buf_deinit(&out->text);
    rl_buf_deinit(&out->log);
    rl_buf_deinit(&out->events);
}

/* The limit that a sentence names. */
static rl_limit limit_of(const char *text)
{
    static const char *const words[] = {
        "", "time limit", "CPU limit", "memory limit", "token limit", "output limit"
    };

    for (size_t i = 1; i < RL_N_LIMITS; i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return (rl_limit)i;
    return RL_LIMIT_NONE;
}

void bed_expect(rl_runtime *rt, rl_program *p, rl_run_opts opts, realm_status st, const char *text)
{
    rl_runtime_stats before, after;
    bed_out out;

    rl_runtime_get_stats(rt, &before);
    bed_run(rt, p, opts, &out);
    rl_runtime_get_stats(rt, &after);
    assert_int_equal(out.result.limit, limit_of(out.result.err.text));
    assert_int_equal(after.ended[out.result.limit] - before.ended[out.result.limit], 1);
    assert_true(after.cpu_ns - before.cpu_ns >= out.result.cpu_ns);
    if (out.result.status != st || !strstr(out.result.err.text, text))
        fail_msg("%s: %s (wanted %s: %s)", realm_status_name(out.result.status),
                 out.result.err.text, realm_status_name(st), text);
    bed_free(&out);
}

int32_t bed_answer(rl_runtime *rt, rl_program *p)
{
    bed_out out;
    int32_t answer;

    bed_run(rt, p, (rl_run_opts){ 0 }, &out);
    assert_false(out.result.trapped);
    answer = out.result.exit_code;
    if (answer == 0 && out.result.status != REALM_OK)
        fail_msg("%s", out.result.err.text);
    bed_free(&out);
    return answer;
}
