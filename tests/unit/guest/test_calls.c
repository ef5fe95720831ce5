/* Calls of tools on the real engine and a tiny model with random weights: what a guest's stream
 * gives when the model must call, may call, and may not. */
#include "bed.h"

#include "base/fs.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TINY_PACKED    REALM_BINARY_DIR "/tests/unit/guest/tiny-calls.realm"
#define MISTRAL_GGUF   REALM_BINARY_DIR "/tests/unit/guest/tiny-mistral.gguf"
#define MISTRAL_PACKED REALM_BINARY_DIR "/tests/unit/guest/tiny-mistral.realm"

static rl_engine *engine;
static rl_runtime *rt;

static void must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

static realm_status resolve(void *ctx, const char *name, char *path, size_t cap, realm_error *err)
{
    (void)ctx;
    (void)err;
    (void)snprintf(path, cap, "%s", strcmp(name, "mistral") == 0 ? MISTRAL_PACKED : TINY_PACKED);
    return REALM_OK;
}

static void pack(const char *source, const char *packed)
{
    rl_packed fresh;
    realm_error err;
    rl_gguf *g;

    must(rl_gguf_open(&g, source, &err), &err);
    must(rl_model_pack(&fresh, g, packed, NULL, NULL, &err), &err);
    must(rl_packed_keep(&fresh, packed, &err), &err);
    rl_gguf_close(g);
}

static void replace(rl_buf *data, const char *from, const char *to)
{
    size_t n = strlen(from), found = 0;

    assert_int_equal(strlen(to), n);
    for (size_t i = 0; i + n <= data->len; i++) {
        if (memcmp(data->data + i, from, n) == 0) {
            memcpy(data->data + i, to, n);
            found++;
        }
    }
    assert_true(found > 0);
}

/* The tiny model with another template, which knows tools and has a control token for calls. */
static void pack_mistral(void)
{
    rl_buf data;
    realm_error err;
    FILE *f;

    rl_buf_init(&data, (size_t)256 << 20);
    must(rl_fs_read(TINY_GGUF, &data, &err), &err);
    replace(&data, "<|im_start|>", "[TOOL_CALLS]");
    replace(&data, "add_generation_prompt", "tools or true or true");
    f = fopen(MISTRAL_GGUF, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data.data, 1, data.len, f), data.len);
    assert_int_equal(fclose(f), 0);
    rl_buf_deinit(&data);
    pack(MISTRAL_GGUF, MISTRAL_PACKED);
}

static int open_rt(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20 };
    rl_runtime_opts o = {
        .n_workers = 2, .max_guests = 64, .max_memory = (size_t)4 << 20, .resolve = resolve
    };
    realm_error err;

    (void)state;
    pack(TINY_GGUF, TINY_PACKED);
    pack_mistral();
    must(rl_engine_new(&engine, &eo, &err), &err);
    o.engine = engine;
    rt = bed_open_with(&o);
    return 0;
}

static int close_rt(void **state)
{
    (void)state;
    rl_runtime_free(rt);
    rl_engine_free(engine);
    return 0;
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
    "(import \"realm\" \"wait_any\" (func $wait (param i32 i32 i64) (result i32)))"                \
    "(import \"realm\" \"emit_stream\" (func $splice (param i32 i32) (result i32)))"               \
    "(memory (export \"memory\") 4)"                                                               \
    "(func $start (result i32) (call $chat (call $open (i32.const 0) (i32.const 0))"               \
    " (i32.const 65536) (call $input (i64.const 0) (i32.const 65536) (i32.const 65536))))"

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

#define SPLICE(choice) "(call $splice (local.get $s) (i32.const " #choice "))"
/* Waits for the stream, then copies what the call gives, until its end; `usage` may not be sent on,
 * so the copying ends before it. */
#define COPY(call, emit, cap)                                                                      \
    "(i32.store (i32.const 16) (local.get $s))"                                                    \
    "(block $end (loop $l"                                                                         \
    " (drop (call $wait (i32.const 16) (i32.const 1) (i64.const -1)))"                             \
    " (local.set $n (call $" call " (local.get $s) (i32.const 8192) (i32.const " #cap ")))"        \
    " (br_if $end (i32.le_s (local.get $n) (i32.const 0)))"                                        \
    " (br_if $end (i32.eq (i32.load8_u (i32.const 8202)) (i32.const 117)))" /* "event":"u */       \
    " (drop (call $" emit " (i32.const 8192) (local.get $n)))"                                     \
    " (br $l))) (select (local.get $n) (i32.const 0) (i32.lt_s (local.get $n) (i32.const 0)))"

static rl_run_opts with(const char *input)
{
    return (rl_run_opts){
        .model = "tiny", .input = input, .n_input = strlen(input), .caps = RL_CAP_INFER
    };
}

static void run_on(const char *model, const char *body, const char *input, bed_out *out)
{
    rl_run_opts o = with(input);

    o.model = model;
    bed_run(rt, streamer(body), o, out);
    if (out->result.status != REALM_OK)
        fail_msg("%s: %s", realm_status_name(out->result.status), out->result.err.text);
}

static void run_ok(const char *body, const char *input, bed_out *out)
{
    run_on("tiny", body, input, out);
}

/* ---- requests -------------------------------------------------------------------------------- */

#define LIGHT                                                                                      \
    "{\"type\":\"function\",\"function\":{\"name\":\"light\",\"parameters\":{\"type\":\"object\"," \
    "\"properties\":{\"on\":{\"type\":\"boolean\"},\"level\":{\"type\":\"integer\","               \
    "\"minimum\":0,\"maximum\":9}},\"required\":[\"on\",\"level\"],"                               \
    "\"additionalProperties\":false}}}"
#define HALT                                                                                       \
    "{\"type\":\"function\",\"function\":{\"name\":\"halt\",\"parameters\":{\"type\":\"object\","  \
    "\"properties\":{},\"additionalProperties\":false}}}"
#define USER  "{\"messages\":[{\"role\":\"user\",\"content\":\"light?\"}],\"temperature\":1,"
#define TOOLS USER "\"tools\":[" LIGHT "," HALT "],"

/* ---- what came ------------------------------------------------------------------------------- */

#define MOST 32

typedef struct calls {
    uint32_t n, choice;
    char name[MOST][65], id[MOST][64];
    rl_buf args[MOST];
    rl_buf text, tokens; /* tokens: their texts */
    uint32_t n_tokens, most_tokens;
    char finish[16];
} calls;

static void add_tokens(calls *c, const json_t *tokens)
{
    const json_t *t;
    size_t i;

    json_array_foreach(tokens, i, t)
    {
        assert_true(json_real_value(json_object_get(t, "logprob")) <= 0);
        (void)rl_buf_adds(&c->tokens, json_string_value(json_object_get(t, "text")));
    }
    c->n_tokens += (uint32_t)json_array_size(tokens);
    if (json_array_size(tokens) > c->most_tokens)
        c->most_tokens = (uint32_t)json_array_size(tokens);
}

static void add_event(calls *c, const json_t *e)
{
    const char *kind = json_string_value(json_object_get(e, "event"));
    const json_t *args = json_object_get(e, "args"), *name = json_object_get(e, "name");
    json_int_t i = json_integer_value(json_object_get(e, "index"));

    assert_int_equal(json_integer_value(json_object_get(e, "choice")), c->choice);
    assert_string_equal(c->finish, ""); /* the last event of all */
    if (strcmp(kind, "delta") == 0) {
        (void)rl_buf_adds(&c->text, json_string_value(json_object_get(e, "text")));
        add_tokens(c, json_object_get(e, "tokens"));
    } else if (strcmp(kind, "finish") == 0) {
        (void)snprintf(c->finish, sizeof c->finish, "%s",
                       json_string_value(json_object_get(e, "reason")));
    } else {
        assert_string_equal(kind, "tool");
        assert_null(json_object_get(e, "tokens"));
        assert_true(json_is_string(args));
        if (name) {
            assert_int_equal(i, c->n++);
            assert_true(c->n <= MOST);
            rl_buf_init(&c->args[i], 1 << 16);
            assert_string_equal(json_string_value(args), "");
            (void)snprintf(c->name[i], sizeof c->name[i], "%s", json_string_value(name));
            (void)snprintf(c->id[i], sizeof c->id[i], "%s",
                           json_string_value(json_object_get(e, "id")));
            assert_int_equal(strlen(c->id[i]), 29);
            assert_true(strncmp(c->id[i], "call_", 5) == 0);
            assert_int_equal(strspn(c->id[i] + 5, "0123456789abcdef"), 24);
        } else {
            assert_int_equal(i, c->n - 1);
            assert_true(json_string_length(args) > 0);
            assert_null(json_object_get(e, "id"));
            (void)rl_buf_adds(&c->args[i], json_string_value(args));
        }
    }
}

static void read_calls(calls *c, const bed_out *out, uint32_t choice)
{
    const char *at = out->events.data;

    memset(c, 0, sizeof *c);
    c->choice = choice;
    rl_buf_init(&c->text, 1 << 20);
    rl_buf_init(&c->tokens, 1 << 20);
    while (at && *at) {
        const char *end = strchr(at, '\n');
        json_error_t why;
        json_t *e = json_loadb(at, (size_t)(end - at), 0, &why);

        if (!e)
            fail_msg("%s: %.*s", why.text, (int)(end - at), at);
        add_event(c, e);
        json_decref(e);
        at = end + 1;
    }
}

static void free_calls(calls *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        rl_buf_deinit(&c->args[i]);
    rl_buf_deinit(&c->text);
    rl_buf_deinit(&c->tokens);
}

/* Each call is one of the two, with arguments as its schema has them. */
static void check_calls(const calls *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        json_t *o = json_loadb(c->args[i].data, c->args[i].len, JSON_REJECT_DUPLICATES, NULL);
        const json_t *level = json_object_get(o, "level");

        if (!json_is_object(o))
            fail_msg("no object: %s", c->args[i].data);
        if (strcmp(c->name[i], "light") == 0) {
            assert_int_equal(json_object_size(o), 2);
            assert_true(json_is_boolean(json_object_get(o, "on")));
            assert_true(json_is_integer(level) && json_integer_value(level) >= 0 &&
                        json_integer_value(level) <= 9);
        } else {
            assert_string_equal(c->name[i], "halt");
            assert_int_equal(json_object_size(o), 0);
        }
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(c->id[i], c->id[k]);
        json_decref(o);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_required(void **state)
{
    uint32_t both = 0, most = 0;

    (void)state;
    for (int seed = 0; seed < 100; seed++) {
        char request[2048];
        bed_out out;
        calls c;

        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":\"required\",\"seed\":%d,\"max_tokens\":1000}", seed);
        run_ok(SPLICE(0), request, &out);
        assert_int_equal(out.text.len, 0);
        read_calls(&c, &out, 0);
        assert_int_equal(c.text.len, 0);
        assert_true(c.n >= 1);
        assert_string_equal(c.finish, "tool_calls");
        check_calls(&c);
        both |= strcmp(c.name[0], "light") == 0 ? 1 : 2;
        most = c.n > most ? c.n : most;
        free_calls(&c);
        bed_free(&out);
    }
    assert_int_equal(both, 3);
    assert_true(most > 1);
}

static void test_one(void **state)
{
    (void)state;
    for (int seed = 0; seed < 20; seed++) {
        char request[2048];
        bed_out out;
        calls c;

        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":\"required\",\"parallel_tool_calls\":false,"
                             "\"seed\":%d,\"max_tokens\":1000}",
                       seed);
        run_ok(SPLICE(0), request, &out);
        read_calls(&c, &out, 0);
        assert_int_equal(c.n, 1);
        assert_string_equal(c.finish, "tool_calls");
        check_calls(&c);
        free_calls(&c);
        bed_free(&out);
        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
                             "\"light\"}},\"seed\":%d,\"max_tokens\":1000,\"regex\":\"wins not\"}",
                       seed);
        run_ok(SPLICE(0), request, &out);
        read_calls(&c, &out, 0);
        assert_int_equal(c.n, 1);
        assert_string_equal(c.name[0], "light");
        assert_string_equal(c.finish, "stop");
        check_calls(&c);
        free_calls(&c);
        bed_free(&out);
    }
}

/* The same events one by one, whatever the room; and stream_read gives none of a call. */
static void test_events(void **state)
{
    static const char request[] =
        TOOLS "\"tool_choice\":\"required\",\"seed\":5,\"max_tokens\":1000}";
    bed_out spliced, out;
    calls a, b;

    (void)state;
    run_ok(SPLICE(0), request, &spliced);
    read_calls(&a, &spliced, 0);
    run_ok(COPY("event", "emit_event", 4096), request, &out);
    read_calls(&b, &out, 0);
    assert_int_equal(a.n, b.n);
    for (uint32_t i = 0; i < a.n; i++) {
        assert_string_equal(a.args[i].data, b.args[i].data);
        assert_string_equal(a.name[i], b.name[i]);
    }
    free_calls(&b);
    bed_free(&out);
    run_ok(COPY("event", "emit_event", 256), request, &out);
    read_calls(&b, &out, 0);
    assert_int_equal(a.n, b.n);
    assert_string_equal(a.args[0].data, b.args[0].data);
    free_calls(&b);
    bed_free(&out);
    run_ok(COPY("read", "emit", 100), request, &out);
    assert_int_equal(out.text.len, 0);
    bed_free(&out);
    bed_expect(rt, streamer("(call $event (local.get $s) (i32.const 0) (i32.const 255))"),
               with(request), REALM_ESPACE, "256 bytes");
    free_calls(&a);
    bed_free(&spliced);
}

/* Random weights hardly ever call anything: with auto it is text, in events; with none, as ever. */
static void test_text(void **state)
{
    bed_out out, bare;
    calls c;

    (void)state;
    run_ok(SPLICE(0), TOOLS "\"seed\":5,\"max_tokens\":30}", &out);
    assert_int_equal(out.text.len, 0);
    read_calls(&c, &out, 0);
    assert_int_equal(c.n, 0);
    assert_true(c.text.len > 0);
    assert_string_equal(c.finish, "length");
    free_calls(&c);
    bed_free(&out);
    run_ok(SPLICE(0), TOOLS "\"seed\":5,\"max_tokens\":30,\"tool_choice\":\"none\"}", &out);
    run_ok(SPLICE(0), USER "\"seed\":5,\"max_tokens\":30}", &bare);
    assert_string_equal(out.text.data, bare.text.data);
    assert_string_equal(out.events.data, bare.events.data);
    assert_int_equal(out.result.prompt_tokens, bare.result.prompt_tokens);
    bed_free(&bare);
    /* with auto the prompt tells of the tools, and the grammar moves no draw */
    run_ok(SPLICE(0), TOOLS "\"seed\":5,\"max_tokens\":30}", &bare);
    assert_true(bare.result.prompt_tokens > out.result.prompt_tokens + 100);
    bed_free(&bare);
    bed_free(&out);
}

/* Text has its tokens as it has them without tools, calls have none. */
static void test_logprobs(void **state)
{
    static const char *const more[] = { "", ",\"top_logprobs\":3", ",\"top_logprobs\":20" };
    static const uint32_t most[] = { 21, 5, 1 };
    char request[2048];
    bed_out out;
    calls c;

    (void)state;
    for (int k = 0; k < 30; k++) {
        (void)snprintf(request, sizeof request,
                       TOOLS "\"seed\":%d,\"max_tokens\":40,\"logprobs\":true%s}", k, more[k % 3]);
        run_ok(k % 2 ? SPLICE(0) : COPY("event", "emit_event", 65536), request, &out);
        read_calls(&c, &out, 0);
        if (c.n == 0) {
            assert_int_equal(c.n_tokens, 40);
            assert_string_equal(c.tokens.data, c.text.data);
            assert_true(c.most_tokens <= most[k % 3]);
        }
        free_calls(&c);
        bed_free(&out);
        (void)snprintf(request, sizeof request,
                       TOOLS "\"seed\":%d,\"max_tokens\":1000,\"logprobs\":true%s,"
                             "\"tool_choice\":\"required\"}",
                       k, more[k % 3]);
        run_ok(SPLICE(0), request, &out);
        read_calls(&c, &out, 0);
        assert_true(c.n >= 1 && c.n_tokens == 0 && c.text.len == 0);
        check_calls(&c);
        free_calls(&c);
        bed_free(&out);
    }
    run_ok(COPY("read", "emit", 100), TOOLS "\"seed\":5,\"max_tokens\":40,\"logprobs\":true}",
           &out);
    assert_true(out.text.len > 40);
    bed_free(&out);
    bed_expect(rt, streamer("(call $event (local.get $s) (i32.const 0) (i32.const 65535))"),
               with(TOOLS "\"logprobs\":true}"), REALM_ESPACE, "65536 bytes");
}

/* Where the Request has a form for the text too, each reply is calls or has the form. */
static void test_formed(void **state)
{
    static const char *const models[] = { "tiny", "mistral" };

    (void)state;
    for (int k = 0; k < 4; k++) {
        uint32_t called = 0, said = 0;

        for (int seed = 0; seed < 40; seed++) {
            char request[2048];
            bed_out out;
            calls c;

            (void)snprintf(request, sizeof request,
                           TOOLS "\"seed\":%d,\"max_tokens\":1000,\"logprobs\":%s,"
                                 "\"parallel_tool_calls\":false,\"regex\":\"(yes|no)[0-9]{2}\","
                                 "\"logit_bias\":{\"3\":%d}}",
                           seed, k % 2 ? "true" : "false", k / 2 && seed % 4 == 0 ? 1000 : 0);
            run_on(models[k / 2], SPLICE(0), request, &out);
            read_calls(&c, &out, 0);
            check_calls(&c);
            if (c.n > 0) {
                called++;
                assert_int_equal(c.text.len, 0);
                assert_string_equal(c.finish, "tool_calls");
            } else {
                size_t n = c.text.len;

                said++;
                assert_true(n == 4 || n == 5);
                assert_memory_equal(c.text.data, n == 4 ? "no" : "yes", n - 2);
                assert_int_equal(strspn(c.text.data + n - 2, "0123456789"), 2);
                assert_string_equal(c.finish, "stop");
            }
            assert_int_equal(c.n_tokens > 0, k % 2 && c.n == 0);
            free_calls(&c);
            bed_free(&out);
        }
        if (called == 0 || said == 0)
            fail_msg("%s: %u called, %u said", models[k / 2], called, said);
    }
}

/* A call may be cut like any text. */
static void test_cut(void **state)
{
    bed_out out;
    calls c;

    (void)state;
    for (int most = 1; most < 60; most += 6) {
        char request[2048];

        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
                             "\"light\"}},\"seed\":1,\"max_tokens\":%d}",
                       most);
        run_ok(SPLICE(0), request, &out);
        read_calls(&c, &out, 0);
        assert_true(c.n + (c.text.len > 0) == 1); /* the beginning is text, or a call */
        if (out.result.generated_tokens == (uint64_t)most)
            assert_string_equal(c.finish, "length");
        free_calls(&c);
        bed_free(&out);
    }
}

/* A marker that is a control token gives no text by itself, and no text can be it: both the grammar
 * and the reader know it by its number. With auto the model is made to begin by its bias. */
static void test_control_token(void **state)
{
    static const char *const choices[] = { "\"required\"", "\"auto\",\"logit_bias\":{\"3\":1000}" };

    (void)state;
    for (int k = 0; k < 40; k++) {
        char request[2048];
        bed_out out;
        calls c;

        (void)snprintf(request, sizeof request,
                       TOOLS "\"tool_choice\":%s,\"parallel_tool_calls\":false,\"seed\":%d,"
                             "\"max_tokens\":1000}",
                       choices[k % 2], k);
        run_on("mistral", SPLICE(0), request, &out);
        read_calls(&c, &out, 0);
        assert_int_equal(c.n, 1);
        assert_int_equal(c.text.len, 0);
        assert_string_equal(c.finish, "tool_calls");
        check_calls(&c);
        free_calls(&c);
        bed_free(&out);
    }
}

/* An event's choice is the stream's own and what emit_stream adds to it. */
static void test_choice(void **state)
{
    static const char text[] = USER "\"seed\":5,\"max_tokens\":8,\"choice\":2}";
    static const char request[] =
        TOOLS "\"params\":{\"choice\":2},\"tool_choice\":\"required\",\"max_tokens\":1000}";
    bed_out out;
    calls c;

    (void)state;
    run_ok(SPLICE(0), request, &out);
    read_calls(&c, &out, 2);
    assert_true(c.n >= 1);
    free_calls(&c);
    bed_free(&out);
    run_ok(SPLICE(3), text, &out);
    assert_int_equal(out.text.len, 0);
    read_calls(&c, &out, 5);
    assert_true(c.text.len > 0);
    free_calls(&c);
    bed_free(&out);
    run_ok(COPY("event", "emit_event", 4096), text, &out);
    read_calls(&c, &out, 2);
    assert_true(c.text.len > 0);
    free_calls(&c);
    bed_free(&out);
}

static void test_refused(void **state)
{
    static const struct {
        const char *request, *text;
        realm_status st;
    } bad[] = {
        { "{\"prompt\":\"a\",\"tools\":[" HALT "]}", "tools need messages", REALM_EINVAL },
        { TOOLS "\"json_schema\":7}", "json_schema must be", REALM_EINVAL },
        { TOOLS "\"params\":{\"regex\":\"(\"}}", "the grammar does not compile", REALM_EINVAL },
        { TOOLS "\"regex\":\"a\",\"lark\":\"start: \\\"a\\\"\"}", "one grammar", REALM_EINVAL },
        { USER "\"tools\":[" HALT "," HALT "]}", "tools[1]", REALM_EINVAL },
        { USER "\"tool_choice\":\"required\"}", "there are no tools", REALM_EINVAL },
        { USER "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
               "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/none\"}}}}}]}",
          "tools: ", REALM_EINVAL },
        { USER "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
               "{\"type\":\"array\"}}}],\"tool_choice\":\"none\",\"max_tokens\":0}",
          "max_tokens", REALM_EINVAL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        bed_expect(rt, streamer(SPLICE(0)), with(bad[i].request), bad[i].st, bad[i].text);
}

/* A conversation with calls and results in it goes through a template that knows none. */
static void test_conversation(void **state)
{
    bed_out out;

    (void)state;
    run_ok(SPLICE(0),
           "{\"messages\":[{\"role\":\"user\",\"content\":\"light?\"},"
           "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\","
           "\"type\":\"function\",\"function\":{\"name\":\"halt\",\"arguments\":\"{}\"}}]},"
           "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"done\"}],"
           "\"tools\":[" HALT "],\"max_tokens\":5}",
           &out);
    assert_int_equal(out.result.generated_tokens, 5);
    bed_free(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_required),     cmocka_unit_test(test_one),
        cmocka_unit_test(test_events),       cmocka_unit_test(test_text),
        cmocka_unit_test(test_cut),          cmocka_unit_test(test_control_token),
        cmocka_unit_test(test_choice),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_conversation), cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_formed),
    };

    return cmocka_run_group_tests(tests, open_rt, close_rt);
}
