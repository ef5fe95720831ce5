#include "stream_bed.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

rl_engine *bed_engine;
rl_runtime *bed_rt;

static uint64_t n_direct; /* jobs of the test's own */

static void path_of(char *path, size_t cap, const char *model)
{
    (void)snprintf(path, cap, "%s-%s.realm", BED_MODELS, model);
}

static realm_status resolve(void *ctx, const char *name, char *path, size_t cap, realm_error *err)
{
    (void)ctx;
    path_of(path, cap, name);
    if (access(path, F_OK) != 0)
        return realm_fail(err, REALM_ENOTFOUND, "no model named %s", name);
    return REALM_OK;
}

void bed_pack(const char *model, const char *gguf)
{
    char path[4096];
    rl_packed fresh;
    rl_gguf *g;
    realm_error err;

    path_of(path, sizeof path, model);
    bed_must(rl_gguf_open(&g, gguf, &err), &err);
    bed_must(rl_model_pack(&fresh, g, path, NULL, NULL, &err), &err);
    bed_must(rl_packed_keep(&fresh, path, &err), &err);
    rl_gguf_close(g);
}

int bed_open_tiny(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20 };
    rl_runtime_opts o = {
        .n_workers = 2, .max_guests = 64, .max_memory = (size_t)4 << 20, .resolve = resolve
    };
    realm_error err;

    (void)state;
    bed_pack("tiny", TINY_GGUF);
    bed_must(rl_engine_new(&bed_engine, &eo, &err), &err);
    o.engine = bed_engine;
    bed_rt = bed_open_with(&o);
    return 0;
}

int bed_close_tiny(void **state)
{
    rl_runtime_stats rs;
    rl_engine_stats es;

    (void)state;
    rl_runtime_get_stats(bed_rt, &rs);
    rl_runtime_free(bed_rt);
    rl_engine_get_stats(bed_engine, &es);
    assert_int_equal(rs.live, 0);
    assert_int_equal(es.jobs_posted - n_direct, rs.jobs_from_guests);
    rl_engine_free(bed_engine);
    return 0;
}

/* ---- the engine alone ------------------------------------------------------------------------ */

typedef struct drawn {
    uint32_t ids[64], n;
} drawn;

static rl_token_reply keep(rl_job *job, uint32_t id, float logprob)
{
    drawn *d = job->ctx;

    (void)logprob;
    d->ids[d->n++] = id;
    return RL_TOKEN_GO;
}

static void nothing(rl_job *job)
{
    (void)job;
}

void bed_direct(uint32_t max_tokens, rl_buf *text)
{
    rl_lm_opts lo = { 0 };
    rl_sample_params greedy = { 0 };
    drawn d = { 0 };
    rl_job job = {
        .kind = RL_JOB_GENERATE, .max_tokens = max_tokens, .token = keep, .done = nothing, .ctx = &d
    };
    rl_detok detok = { 0 };
    uint32_t *ids, i;
    size_t n_ids;
    rl_lm *lm;
    char path[4096];
    realm_error err;

    path_of(path, sizeof path, "tiny");
    bed_must(rl_lm_open(&lm, bed_engine, path, &lo, &err), &err);
    bed_must(rl_encode(rl_lm_vocab(lm), BED_PROMPT, strlen(BED_PROMPT),
                       RL_ENCODE_ADD_SPECIAL | RL_ENCODE_PARSE_SPECIAL, &ids, &n_ids, &err),
             &err);
    bed_must(
        rl_sampler_new(&job.sampler, &greedy, rl_vocab_get_info(rl_lm_vocab(lm))->n_tokens, &err),
        &err);
    job.seq = rl_seq_new(bed_engine, lm, 0);
    job.ids = ids;
    job.n_ids = (uint32_t)n_ids;
    bed_must(rl_engine_run(bed_engine, &job, &err), &err);
    n_direct++;
    rl_buf_init(text, 65536);
    for (i = 0; i < d.n; i++)
        bed_must(rl_detok_add(&detok, rl_lm_vocab(lm), d.ids[i], RL_DECODE_SKIP_SPECIAL, text),
                 &err);
    rl_seq_close(job.seq);
    rl_sampler_free(job.sampler);
    rl_free(ids);
    rl_lm_unref(lm);
}

/* ---- guests ---------------------------------------------------------------------------------- */

#define IMPORTS                                                                                    \
    "(import \"realm\" \"input_read\" (func $input (param i64 i32 i32) (result i32)))"             \
    "(import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"                        \
    "(import \"realm\" \"emit_event\" (func $emit_event (param i32 i32) (result i32)))"            \
    "(import \"realm\" \"model_open\" (func $open (param i32 i32) (result i32)))"                  \
    "(import \"realm\" \"generate_chat\" (func $chat (param i32 i32 i32) (result i32)))"           \
    "(import \"realm\" \"stream_read\" (func $read (param i32 i32 i32) (result i32)))"             \
    "(import \"realm\" \"stream_event\" (func $event (param i32 i32 i32) (result i32)))"           \
    "(import \"realm\" \"stream_close\" (func $close (param i32) (result i32)))"                   \
    "(import \"realm\" \"wait_any\" (func $wait (param i32 i32 i64) (result i32)))"                \
    "(import \"realm\" \"emit_stream\" (func $splice (param i32 i32) (result i32)))"               \
    "(import \"env\" \"realm_host_generate\""                                                      \
    " (func $generate (param i32 i32 i32 i32 i32 i32) (result i32)))"                              \
    "(memory (export \"memory\") 4)"                                                               \
    "(func $start (result i32) (call $chat (call $open (i32.const 0) (i32.const 0))"               \
    " (i32.const 65536) (call $input (i64.const 0) (i32.const 65536) (i32.const 65536))))"

rl_program *bed_module(const char *functions)
{
    char wat[8192];
    int n = snprintf(wat, sizeof wat, "(module " IMPORTS "%s)", functions);

    assert_true(n > 0 && (size_t)n < sizeof wat);
    return bed_wat(bed_rt, wat);
}

rl_program *bed_streamer(const char *body)
{
    char run[4096];
    int n = snprintf(run, sizeof run,
                     "(func (export \"run\") (result i32) (local $s i32) (local $n i32)"
                     " (local.set $s (call $start))"
                     " (if (i32.lt_s (local.get $s) (i32.const 0)) (then (return (local.get $s))))"
                     " %s)",
                     body);

    assert_true(n > 0 && (size_t)n < sizeof run);
    return bed_module(run);
}

/* ---- runs ------------------------------------------------------------------------------------ */

rl_run_opts bed_with(const char *input)
{
    return (rl_run_opts){
        .model = "tiny", .input = input, .n_input = strlen(input), .caps = RL_CAP_INFER
    };
}

static void run_on(const char *model, rl_program *p, const char *input, bed_out *out)
{
    rl_run_opts o = bed_with(input);

    o.model = model;
    bed_run(bed_rt, p, o, out);
    if (out->result.status != REALM_OK)
        fail_msg("%s: %s", realm_status_name(out->result.status), out->result.err.text);
}

void bed_run_ok(rl_program *p, const char *input, bed_out *out)
{
    run_on("tiny", p, input, out);
}

void bed_stream(const char *body, const char *input, bed_out *out)
{
    bed_stream_on("tiny", body, input, out);
}

void bed_stream_on(const char *model, const char *body, const char *input, bed_out *out)
{
    run_on(model, bed_streamer(body), input, out);
}
