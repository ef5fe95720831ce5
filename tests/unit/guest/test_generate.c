/* Generations of guests on the real engine and a tiny model: the same text as the engine alone
 * gives, streams and their events, the limits on tokens, jobs and handles, and cancelling in the
 * middle. */
#include "bed.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PACKED REALM_BINARY_DIR "/tests/unit/guest/tiny.realm"
#define PROMPT "the water was"

static rl_engine *engine;
static rl_runtime *rt;
static uint64_t n_direct; /* jobs of the test's own */

static void must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

static realm_status resolve(void *ctx, const char *name, char *path, size_t cap, realm_error *err)
{
    (void)ctx;
    if (strcmp(name, "tiny") != 0)
        return realm_fail(err, REALM_ENOTFOUND, "no model named %s", name);
    (void)snprintf(path, cap, "%s", PACKED);
    return REALM_OK;
}

static void pack_tiny(void)
{
    rl_packed fresh;
    rl_gguf *g;
    realm_error err;

    must(rl_gguf_open(&g, TINY_GGUF, &err), &err);
    must(rl_model_pack(&fresh, g, PACKED, NULL, NULL, &err), &err);
    must(rl_packed_keep(&fresh, PACKED, &err), &err);
    rl_gguf_close(g);
}

static int open_rt(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20 };
    rl_runtime_opts o = {
        .n_workers = 2, .max_guests = 64, .max_memory = (size_t)4 << 20, .resolve = resolve
    };
    realm_error err;

    (void)state;
    pack_tiny();
    must(rl_engine_new(&engine, &eo, &err), &err);
    o.engine = engine;
    rt = bed_open_with(&o);
    return 0;
}

/* Invariant 5 of the runtime: no job of the engine comes from anywhere but a guest's call. */
static int close_rt(void **state)
{
    rl_runtime_stats rs;
    rl_engine_stats es;

    (void)state;
    rl_runtime_get_stats(rt, &rs);
    rl_runtime_free(rt);
    rl_engine_get_stats(engine, &es);
    assert_int_equal(rs.live, 0);
    assert_int_equal(es.jobs_posted - n_direct, rs.jobs_from_guests);
    rl_engine_free(engine);
    return 0;
}

/* ---- guests ---------------------------------------------------------------------------------- */

#define IMPORTS                                                                                    \
    "(import \"realm\" \"input_read\" (func $input (param i64 i32 i32) (result i32)))"             \
    "(import \"realm\" \"emit\" (func $emit (param i32 i32) (result i32)))"                        \
    "(import \"realm\" \"model_open\" (func $open (param i32 i32) (result i32)))"                  \
    "(import \"realm\" \"generate_chat\" (func $chat (param i32 i32 i32) (result i32)))"           \
    "(import \"realm\" \"stream_read\" (func $read (param i32 i32 i32) (result i32)))"             \
    "(import \"realm\" \"stream_event\" (func $event (param i32 i32 i32) (result i32)))"           \
    "(import \"realm\" \"stream_close\" (func $close (param i32) (result i32)))"                   \
    "(import \"realm\" \"emit_stream\" (func $splice (param i32 i32) (result i32)))"               \
    "(import \"env\" \"realm_host_generate\""                                                      \
    " (func $generate (param i32 i32 i32 i32 i32 i32) (result i32)))"                              \
    "(memory (export \"memory\") 4)"                                                               \
    "(func $start (result i32) (call $chat (call $open (i32.const 0) (i32.const 0))"               \
    " (i32.const 4096) (call $input (i64.const 0) (i32.const 4096) (i32.const 4096))))"

/* Completes its input greedily: cap bytes of room, then emits the text and the byte behind it. */
static rl_program *completer(uint32_t max_tokens, uint32_t cap)
{
    char wat[4096];

    (void)snprintf(wat, sizeof wat,
                   "(module " IMPORTS "(func (export \"run\") (result i32) (local $n i32)"
                   " (i32.store (i32.const 64) (i32.const %u))" /* max_tokens; the rest is 0 */
                   " (memory.fill (i32.const 8192) (i32.const 42) (i32.const 4096))"
                   " (local.set $n (call $generate (i32.const 0) (i32.const 4096)"
                   "  (call $input (i64.const 0) (i32.const 4096) (i32.const 4096))"
                   "  (i32.const 64) (i32.const 8192) (i32.const %u)))"
                   " (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return (local.get $n))))"
                   " (drop (call $emit (i32.const 8192) (i32.add (local.get $n) (i32.const 1))))"
                   " (i32.const 0)))",
                   max_tokens, cap);
    return bed_wat(rt, wat);
}

/* A program whose run does `body` with a stream $s started for the Request in its input. */
static rl_program *streamer(const char *body)
{
    char wat[4096];

    (void)snprintf(wat, sizeof wat,
                   "(module " IMPORTS
                   "(func (export \"run\") (result i32) (local $s i32) (local $n i32)"
                   " (local.set $s (call $start))"
                   " (if (i32.lt_s (local.get $s) (i32.const 0)) (then (return (local.get $s))))"
                   " %s))",
                   body);
    return bed_wat(rt, wat);
}

#define SPLICE "(call $splice (local.get $s) (i32.const 0))"
#define COPY(call)                                                                                 \
    "(block $end (loop $l"                                                                         \
    " (local.set $n (call $" call " (local.get $s) (i32.const 8192) (i32.const 4096)))"            \
    " (br_if $end (i32.le_s (local.get $n) (i32.const 0)))"                                        \
    " (drop (call $emit (i32.const 8192) (local.get $n)))"                                         \
    " (br $l))) (local.get $n)"

static rl_run_opts with(const char *input)
{
    return (rl_run_opts){
        .model = "tiny", .input = input, .n_input = strlen(input), .caps = RL_CAP_INFER
    };
}

/* Runs a program that must end well. */
static void run_ok(rl_program *p, const char *input, bed_out *out)
{
    bed_run(rt, p, with(input), out);
    if (out->result.status != REALM_OK)
        fail_msg("%s: %s", realm_status_name(out->result.status), out->result.err.text);
}

/* ---- generate -------------------------------------------------------------------------------- */

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

/* What the engine says to the prompt without any guest, greedily. */
static void direct(uint32_t max_tokens, rl_buf *text)
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
    realm_error err;

    must(rl_lm_open(&lm, engine, PACKED, &lo, &err), &err);
    must(rl_encode(rl_lm_vocab(lm), PROMPT, strlen(PROMPT),
                   RL_ENCODE_ADD_SPECIAL | RL_ENCODE_PARSE_SPECIAL, &ids, &n_ids, &err),
         &err);
    must(rl_sampler_new(&job.sampler, &greedy, rl_vocab_get_info(rl_lm_vocab(lm))->n_tokens, &err),
         &err);
    job.seq = rl_seq_new(engine, lm, 0);
    job.ids = ids;
    job.n_ids = (uint32_t)n_ids;
    must(rl_engine_run(engine, &job, &err), &err);
    n_direct++;
    rl_buf_init(text, 65536);
    for (i = 0; i < d.n; i++)
        must(rl_detok_add(&detok, rl_lm_vocab(lm), d.ids[i], RL_DECODE_SKIP_SPECIAL, text), &err);
    rl_seq_close(job.seq);
    rl_sampler_free(job.sampler);
    rl_free(ids);
    rl_lm_unref(lm);
}

static void test_same_text(void **state)
{
    rl_buf want;
    bed_out out;

    (void)state;
    direct(24, &want);
    run_ok(completer(24, 4096), PROMPT, &out);
    assert_int_equal(out.text.len, want.len + 1); /* the NUL was emitted too */
    assert_memory_equal(out.text.data, want.data, want.len);
    assert_int_equal(out.text.data[want.len], 0);
    assert_int_equal(out.result.generated_tokens, 24);
    assert_true(out.result.prompt_tokens > 0);
    assert_true(out.result.load_ns > 0);
    bed_free(&out);
    /* cut by the room: a beginning of the same text, without the NUL */
    run_ok(completer(24, 10), PROMPT, &out);
    assert_int_equal(out.text.len, 11);
    assert_memory_equal(out.text.data, want.data, 10);
    assert_int_equal(out.text.data[10], '*');
    bed_free(&out);
    rl_buf_deinit(&want);
}

static void test_generate_refused(void **state)
{
    rl_run_opts o = with(PROMPT);

    (void)state;
    bed_expect(rt, completer(0, 100), o, REALM_EINVAL, "max_tokens is 0");
    bed_expect(rt, completer(4, 0), o, REALM_ESPACE, "no room");
    bed_expect(rt, completer(4, 1000000), o, REALM_EINVAL, "larger than the memory");
    bed_expect(rt, completer(4, 262144), o, REALM_EINVAL, "not inside the memory");
    o.model = NULL;
    bed_expect(rt, completer(4, 100), o, REALM_ENOTFOUND, "without a model of its own");
    o.model = "huge";
    bed_expect(rt, completer(4, 100), o, REALM_ENOTFOUND, "no model named huge");
    o.model = "tiny";
    o.caps = 0;
    bed_expect(rt, completer(4, 100), o, REALM_EDENIED, "capability");
}

static void test_token_limit(void **state)
{
    rl_run_opts o = with(PROMPT);
    bed_out out;

    (void)state;
    o.max_tokens = 5;
    bed_run(rt, completer(24, 4096), o, &out);
    assert_int_equal(out.result.status, REALM_EQUOTA);
    assert_string_equal(out.result.err.text, "token limit of 5 tokens reached");
    assert_int_equal(out.result.limit, RL_LIMIT_TOKENS);
    assert_int_equal(out.result.generated_tokens, 5);
    bed_free(&out);
    o.max_tokens = 24; /* all of it, but no more, is no failure */
    bed_run(rt, completer(24, 4096), o, &out);
    assert_int_equal(out.result.status, REALM_OK);
    bed_free(&out);
}

/* ---- streams --------------------------------------------------------------------------------- */

#define REQUEST(more)                                                                              \
    "{\"prompt\":\"" PROMPT "\",\"params\":{\"temperature\":0,\"max_tokens\":24" more "}}"

static void test_streams(void **state)
{
    rl_buf want;
    bed_out out;

    (void)state;
    direct(24, &want);
    run_ok(streamer(SPLICE), REQUEST(""), &out);
    assert_string_equal(out.text.data, want.data);
    assert_string_equal(out.events.data,
                        "{\"event\":\"finish\",\"choice\":0,\"reason\":\"length\"}\n");
    bed_free(&out);
    run_ok(streamer(COPY("read")), REQUEST(""), &out);
    assert_string_equal(out.text.data, want.data);
    bed_free(&out);
    run_ok(streamer(COPY("event")), REQUEST(""), &out);
    assert_non_null(strstr(out.text.data, "{\"event\":\"delta\",\"choice\":0,\"text\":\""));
    assert_non_null(strstr(out.text.data, "{\"event\":\"finish\",\"choice\":0,"
                                          "\"reason\":\"length\"}{\"event\":\"usage\","));
    assert_non_null(strstr(out.text.data, "\"completion_tokens\":24,\"cached_tokens\":0}"));
    bed_free(&out);
    rl_buf_deinit(&want);
}

/* Splicing into another choice gives events that say which. */
static void test_choice(void **state)
{
    bed_out out;

    (void)state;
    run_ok(streamer("(call $splice (local.get $s) (i32.const 3))"), REQUEST(""), &out);
    assert_int_equal(out.text.len, 0);
    assert_non_null(strstr(out.events.data, "{\"event\":\"delta\",\"choice\":3,\"text\":\""));
    assert_non_null(strstr(out.events.data, "{\"event\":\"finish\",\"choice\":3,"));
    bed_free(&out);
}

static void test_messages(void **state)
{
    bed_out out;

    (void)state;
    run_ok(streamer(SPLICE),
           "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":8,"
           "\"temperature\":0}",
           &out);
    assert_int_equal(out.result.generated_tokens, 8);
    bed_free(&out);
    run_ok(streamer(SPLICE), "{\"ids\":[300,301],\"max_tokens\":3,\"seed\":7}", &out);
    assert_int_equal(out.result.generated_tokens, 3);
    assert_int_equal(out.result.prompt_tokens, 2);
    bed_free(&out);
}

static void test_bad_requests(void **state)
{
    static const struct {
        const char *request, *text;
        realm_status st;
    } bad[] = {
        { "", "not JSON", REALM_EINVAL },
        { "[]", "must be a JSON object", REALM_EINVAL },
        { "{}", "needs messages", REALM_EINVAL },
        { "{\"prompt\":7}", "needs messages", REALM_EINVAL },
        { "{\"ids\":[]}", "list of token ids", REALM_EINVAL },
        { "{\"ids\":[1,99999]}", "ids[1]", REALM_EINVAL },
        { "{\"ids\":[-1]}", "ids[0]", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"n\":2}", "n must be 1", REALM_EUNSUPPORTED },
        { "{\"prompt\":\"a\",\"max_tokens\":0}", "max_tokens", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"max_tokens\":-1,\"echo\":true}", "max_tokens", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"echo\":1}", "echo must be", REALM_EINVAL },
        { "{\"messages\":[],\"echo\":true}", "echo needs a prompt", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"stop\":[\"\"]}", "stop must be", REALM_EINVAL },
        { "{\"prompt\":\"a\",\"temperature\":-1}", "temperature", REALM_EINVAL },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++)
        bed_expect(rt, streamer(SPLICE), with(bad[i].request), bad[i].st, bad[i].text);
}

/* A stop string ends the text before itself. */
static void test_stop(void **state)
{
    rl_buf want;
    char request[256], stop[4];
    bed_out out;

    (void)state;
    direct(24, &want);
    (void)snprintf(stop, sizeof stop, "%.3s", want.data + 8);
    assert_null(strpbrk(stop, "\"\\"));
    (void)snprintf(request, sizeof request, REQUEST(",\"stop\":[\"%s\"]"), stop);
    run_ok(streamer(SPLICE), request, &out);
    *strstr(want.data, stop) = 0;
    assert_string_equal(out.text.data ? out.text.data : "", want.data);
    assert_non_null(strstr(out.events.data, "\"reason\":\"stop\""));
    bed_free(&out);
    rl_buf_deinit(&want);
}

/* ---- echo ------------------------------------------------------------------------------------ */

typedef struct told {
    uint32_t ids[2100], n, n_nulls; /* n_nulls: tokens without a prediction */
    double logprobs[2100];
    rl_buf text, joined; /* of the deltas; of their tokens */
} told;

static void add_token(told *t, const json_t *token, size_t n_top)
{
    const json_t *logprob = json_object_get(token, "logprob"), *top = json_object_get(token, "top");

    assert_true(t->n < 2100);
    t->n_nulls += json_is_null(logprob);
    if (t->n == 0 && json_is_null(logprob)) {
        assert_true(json_is_null(top));
    } else {
        assert_true(json_is_number(logprob) && json_number_value(logprob) <= 0);
        assert_int_equal(json_array_size(top), n_top);
    }
    t->ids[t->n] = (uint32_t)json_integer_value(json_object_get(token, "id"));
    t->logprobs[t->n++] = json_number_value(logprob);
    (void)rl_buf_adds(&t->joined, json_string_value(json_object_get(token, "text")));
}

/* What a spliced stream with logprobs says. */
static void hear(told *t, const char *request, size_t n_top)
{
    json_t *e, *token;
    char *line, *end;
    bed_out out;
    size_t i;

    run_ok(streamer(SPLICE), request, &out);
    *t = (told){ .n = 0 };
    rl_buf_init(&t->text, 1 << 20);
    rl_buf_init(&t->joined, 1 << 20);
    for (line = out.events.data; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        e = json_loadb(line, (size_t)(end - line), 0, NULL);
        assert_non_null(e);
        assert_true(end - line < 65536);
        if (json_object_get(e, "text"))
            (void)rl_buf_adds(&t->text, json_string_value(json_object_get(e, "text")));
        json_array_foreach(json_object_get(e, "tokens"), i, token) add_token(t, token, n_top);
        json_decref(e);
    }
    bed_free(&out);
}

static void forget(told *t)
{
    rl_buf_deinit(&t->text);
    rl_buf_deinit(&t->joined);
}

/* Text and ids come back before what is drawn, in every way to read. */
static void test_echo(void **state)
{
    static const char ids[] = "{\"ids\":[300,301,302],\"echo\":true,\"max_tokens\":0}";
    char expected[512];
    rl_buf want;
    bed_out out;

    (void)state;
    direct(24, &want);
    (void)snprintf(expected, sizeof expected, PROMPT "%s", want.data);
    run_ok(streamer(SPLICE), REQUEST(",\"echo\":true"), &out);
    assert_string_equal(out.text.data, expected);
    assert_int_equal(out.result.generated_tokens, 24);
    bed_free(&out);
    run_ok(streamer(COPY("read")), REQUEST(",\"echo\":true"), &out);
    assert_string_equal(out.text.data, expected);
    bed_free(&out);
    run_ok(streamer(COPY("event")), REQUEST(",\"echo\":true"), &out);
    assert_non_null(strstr(out.text.data, "\"completion_tokens\":24,"));
    bed_free(&out);
    run_ok(streamer(SPLICE), ids, &out);
    assert_int_equal(out.text.len, 3); /* letters */
    assert_int_equal(out.result.prompt_tokens, 3);
    assert_int_equal(out.result.generated_tokens, 0);
    assert_non_null(strstr(out.events.data, "\"reason\":\"length\""));
    bed_free(&out);
    rl_buf_deinit(&want);
}

#define SCORED ",\"logprobs\":true,\"top_logprobs\":3"

/* A token of a prompt has the number that it had when it was drawn. */
static void test_echo_tokens(void **state)
{
    static told before, whole, again;
    char request[2048];
    rl_buf b;

    (void)state;
    hear(&before, REQUEST(SCORED), 3);
    hear(&whole, REQUEST(SCORED ",\"echo\":true"), 3);
    assert_int_equal(before.n, 24);
    assert_int_equal(before.n_nulls, 0);
    assert_int_equal(whole.n_nulls, 1);
    assert_string_equal(whole.text.data, whole.joined.data);
    assert_memory_equal(whole.text.data, PROMPT, strlen(PROMPT));
    assert_string_equal(whole.text.data + strlen(PROMPT), before.text.data);
    rl_buf_init(&b, sizeof request); /* all of it as a prompt, behind the BOS that was added */
    (void)rl_buf_adds(&b, "{\"ids\":[1");
    for (uint32_t i = 0; i < whole.n; i++)
        (void)rl_buf_addf(&b, ",%u", whole.ids[i]);
    (void)rl_buf_adds(&b, "],\"echo\":true,\"max_tokens\":0" SCORED "}");
    hear(&again, b.data, 3);
    assert_int_equal(again.n, whole.n + 1);
    assert_memory_equal(again.ids + 1, whole.ids, whole.n * sizeof *whole.ids);
    for (uint32_t i = 1; i < whole.n; i++)
        assert_true(again.logprobs[i + 1] == whole.logprobs[i]);
    for (uint32_t i = 0; i < 24; i++)
        assert_true(whole.logprobs[whole.n - 24 + i] == before.logprobs[i]);
    rl_buf_deinit(&b);
    forget(&before);
    forget(&whole);
    forget(&again);
}

/* In events of the size that any stream's have. */
static void test_echo_of_a_long_prompt(void **state)
{
    static told long_one;
    char prompt[2001], request[3000];

    (void)state;
    for (size_t i = 0; i < 2000; i++)
        prompt[i] = (char)('A' + i * i % 26);
    prompt[2000] = 0;
    (void)snprintf(request, sizeof request,
                   "{\"prompt\":\"%s\",\"echo\":true,\"max_tokens\":0,\"logprobs\":true,"
                   "\"top_logprobs\":5}",
                   prompt);
    hear(&long_one, request, 5);
    assert_int_equal(long_one.n, 2000);
    assert_string_equal(long_one.text.data, prompt);
    assert_string_equal(long_one.joined.data, prompt);
    forget(&long_one);
}

/* ---- handles and limits ---------------------------------------------------------------------- */

static void test_handles(void **state)
{
    static const struct {
        const char *body;
        int32_t answer;
    } calls[] = {
        { "(call $read (i32.const 77) (i32.const 0) (i32.const 8))", REALM_ENOTFOUND },
        { "(call $read (i32.const 0) (i32.const 0) (i32.const 8))", REALM_ENOTFOUND },
        { "(drop (call $close (local.get $s))) (call $close (local.get $s))", REALM_ENOTFOUND },
        /* a model's handle is no stream */
        { "(call $close (call $open (i32.const 0) (i32.const 0)))", REALM_ENOTFOUND },
        { "(call $event (local.get $s) (i32.const 0) (i32.const 20))", REALM_ESPACE },
        /* eight generations may run, and here each is refused once they do */
        { "(loop $l (br_if $l (i32.gt_s (call $start) (i32.const 0)))) (call $start)",
          REALM_EQUOTA },
        { "(loop $l (br_if $l (i32.gt_s (call $open (i32.const 0) (i32.const 0)) (i32.const 0))))"
          "(call $open (i32.const 0) (i32.const 0))",
          REALM_EQUOTA },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof calls / sizeof *calls; i++) {
        bed_out out;

        bed_run(rt, streamer(calls[i].body), with(REQUEST("")), &out);
        if (out.result.exit_code != calls[i].answer)
            fail_msg("call %zu: %d (%s)", i, out.result.exit_code, out.result.err.text);
        bed_free(&out);
    }
}

/* Closing a stream early does not make its tokens free. */
static void test_no_free_tokens(void **state)
{
    rl_run_opts o = with(REQUEST(""));
    bed_out out;

    (void)state;
    o.max_tokens = 60;
    bed_run(rt,
            streamer("(loop $l"
                     " (drop (call $read (local.get $s) (i32.const 8192) (i32.const 4096)))"
                     " (drop (call $read (local.get $s) (i32.const 8192) (i32.const 4096)))"
                     " (drop (call $close (local.get $s)))"
                     " (local.set $s (call $start)) (br $l)) (i32.const 0)"),
            o, &out);
    assert_int_equal(out.result.status, REALM_EQUOTA);
    assert_non_null(strstr(out.result.err.text, "token limit of 60 tokens reached"));
    assert_true(out.result.generated_tokens <= 60);
    bed_free(&out);
}

/* A run that is cancelled or closed in the middle of a generation lets go of everything. */
static void test_cancel(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 8; i++) {
        rl_program *p = streamer(SPLICE);
        rl_run_opts o = with("{\"prompt\":\"a\",\"max_tokens\":2000}");
        rl_reply_kind kind;
        rl_run *run;
        char piece[64];
        size_t n;

        o.program = p;
        run = bed_start(rt, &o);
        rl_program_unref(p);
        if (i % 2)
            assert_int_equal(rl_run_read(run, &kind, piece, sizeof piece, &n, -1), REALM_OK);
        rl_run_close(run);
    }
}

static void count_jobs(uint64_t *all, uint64_t *from_guests)
{
    rl_runtime_stats rs;
    rl_engine_stats es;

    rl_engine_get_stats(engine, &es);
    rl_runtime_get_stats(rt, &rs);
    *all = es.jobs_posted;
    *from_guests = rs.jobs_from_guests;
}

/* A guest's job counts in both; one that no guest asked for in the first alone. */
static void test_jobs_of_nobody_show(void **state)
{
    uint64_t all, guests, all2, guests2;
    rl_buf text;
    bed_out out;

    (void)state;
    count_jobs(&all, &guests);
    run_ok(completer(4, 4096), PROMPT, &out);
    bed_free(&out);
    count_jobs(&all2, &guests2);
    assert_int_equal(all2 - all, 1);
    assert_int_equal(guests2 - guests, 1);
    direct(4, &text);
    rl_buf_deinit(&text);
    count_jobs(&all, &guests);
    assert_int_equal(all - all2, 1);
    assert_int_equal(guests - guests2, 0);
}

static atomic_bool held, inside;

/* The run's worker waits here: it looks at nothing. */
static void hold(void *ctx)
{
    (void)ctx;
    atomic_store(&inside, true);
    while (atomic_load(&held))
        (void)usleep(100);
}

/* Until the engine has ended all it was given, a minute at most. */
static void wait_idle(rl_engine_stats *es)
{
    for (int i = 0; i < 600000; i++) {
        rl_engine_get_stats(engine, es);
        if (es->jobs_done == es->jobs_posted)
            return;
        (void)usleep(100);
    }
}

/* The engine hears of a cancel from who cancels, whatever the worker does. */
static void test_cancel_needs_no_worker(void **state)
{
    rl_program *p = streamer(SPLICE);
    rl_run_opts o = with("{\"prompt\":\"a\",\"max_tokens\":2000}");
    rl_engine_stats before, es;
    uint64_t asked = 0;
    rl_run *run;

    (void)state;
    wait_idle(&before);
    o.program = p;
    o.notify = hold;
    atomic_store(&held, true);
    run = bed_start(rt, &o);
    rl_program_unref(p);
    while (!atomic_load(&inside))
        (void)usleep(100);
    rl_run_cancel(run);
    wait_idle(&es);
    atomic_store(&held, false);
    rl_run_close(run);
    assert_int_equal(es.jobs_done, es.jobs_posted);
    for (size_t i = 0; i + 1 < RL_CANCEL_STEPS; i++)
        asked += es.jobs_cancelled[i] - before.jobs_cancelled[i];
    assert_int_equal(asked, 1);
    assert_int_equal(es.jobs_cancelled[RL_CANCEL_STEPS - 1], 0);
}

static void test_side_by_side(void **state)
{
    rl_run *runs[24];
    rl_program *p = streamer(SPLICE);
    rl_run_opts o = with(REQUEST(""));
    rl_buf want;
    size_t i;

    (void)state;
    direct(24, &want);
    o.program = p;
    for (i = 0; i < sizeof runs / sizeof *runs; i++)
        runs[i] = bed_start(rt, &o);
    rl_program_unref(p);
    for (i = 0; i < sizeof runs / sizeof *runs; i++) {
        bed_out out;

        bed_finish(runs[i], &out);
        assert_int_equal(out.result.status, REALM_OK);
        assert_string_equal(out.text.data, want.data);
        bed_free(&out);
    }
    rl_buf_deinit(&want);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_text),
        cmocka_unit_test(test_generate_refused),
        cmocka_unit_test(test_token_limit),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_echo_tokens),
        cmocka_unit_test(test_echo_of_a_long_prompt),
        cmocka_unit_test(test_handles),
        cmocka_unit_test(test_no_free_tokens),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_needs_no_worker),
        cmocka_unit_test(test_side_by_side),
        cmocka_unit_test(test_jobs_of_nobody_show),
    };

    return cmocka_run_group_tests(tests, open_rt, close_rt);
}
