#include "quoted.h"

#include "base/alloc.h"
#include "server/said.h"

#include <string.h>

#define TOOL                                                                                       \
    ",'tools':[{'type':'function','name':'f','parameters':{'type':'object'},'strict':true}]"
#define BODY(more) "{'model':'m','input':'hi'" more "}"

typedef struct step {
    bool event; /* else text */
    const char *data;
} step;

typedef struct talk {
    const char *body;
    const step *steps;
    size_t n;
    realm_error err; /* OK: none */
} talk;

#define TALK(sent, said)                                                                           \
    {                                                                                              \
        .body = (sent), .steps = (said), .n = sizeof(said) / sizeof *(said)                        \
    }

static void say(rl_said *s, const talk *t, rl_buf *sse)
{
    rl_run_result result = { .status = t->err.status, .prompt_tokens = 7, .generated_tokens = 3 };

    for (size_t i = 0; i < t->n; i++) {
        const char *data = quoted(t->steps[i].data);

        rl_said_add(s, &s->choices[0], t->steps[i].event ? RL_REPLY_EVENT : RL_REPLY_TEXT, data,
                    strlen(data), sse);
    }
    rl_said_end(s, &s->choices[0], &result, sse);
}

/* A stream, or a whole answer. -> whether all of it was written */
static bool write_answer(const talk *t, bool stream, rl_buf *out)
{
    rl_ask_why why;
    rl_ask ask;
    rl_said s;
    bool ok;

    if (read_body(&ask, RL_API_RESPONSES, &why, t->body) != REALM_OK)
        return false;
    ok = rl_said_init(&s, &rl_wire_responses, &ask);
    if (ok) {
        if (stream)
            s.wire->open(&s, out);
        say(&s, t, stream ? out : NULL);
        if (t->err.status != REALM_OK) /* cmocka has a macro of that name */
            (s.wire->fail)(&s, &t->err, out);
        else if (stream)
            s.wire->close(&s, out);
        else
            s.wire->whole(&s, out);
        ok = !s.failed && !out->failed;
    }
    rl_said_deinit(&s);
    rl_ask_deinit(&ask);
    return ok;
}

/* One event: its name is its type, and they are numbered from 0. */
static json_t *event_of(const char *name, size_t n_name, const char *data, size_t n, size_t i)
{
    json_t *e = json_loadb(data, n, 0, NULL);

    assert_non_null(e);
    assert_int_equal(strlen(text_at(e, "type")), n_name);
    assert_memory_equal(text_at(e, "type"), name, n_name);
    assert_int_equal(json_integer_value(at(e, "sequence_number")), i);
    return e;
}

static json_t *streamed(const talk *t)
{
    static const char head[] = "event: ", body[] = "data: ";
    json_t *events = json_array();
    rl_buf sse;

    rl_buf_init(&sse, (size_t)1 << 24);
    assert_true(write_answer(t, true, &sse));
    for (const char *p = sse.data, *line; *p; p = line + strcspn(line, "\n") + 2) {
        assert_memory_equal(p, head, sizeof head - 1);
        p += sizeof head - 1;
        line = p + strcspn(p, "\n") + 1;
        assert_memory_equal(line, body, sizeof body - 1);
        line += sizeof body - 1;
        json_array_append_new(events, event_of(p, strcspn(p, "\n"), line, strcspn(line, "\n"),
                                               json_array_size(events)));
        assert_memory_equal(line + strcspn(line, "\n"), "\n\n", 2);
    }
    rl_buf_deinit(&sse);
    return events;
}

static json_t *answered(const talk *t)
{
    rl_buf body;
    json_t *v;

    rl_buf_init(&body, (size_t)1 << 24);
    assert_true(write_answer(t, false, &body));
    v = json_loadb(body.data, body.len, 0, NULL);
    assert_non_null(v);
    rl_buf_deinit(&body);
    return v;
}

/* The types without "response.", with blanks between them. */
static void expect_types(const json_t *events, const char *types)
{
    static const char prefix[] = "response.";
    const json_t *e;
    rl_buf all;
    size_t i;

    rl_buf_init(&all, (size_t)1 << 16);
    json_array_foreach(events, i, e)
    {
        assert_memory_equal(text_at(e, "type"), prefix, sizeof prefix - 1);
        (void)rl_buf_addf(&all, "%s%s", i ? " " : "", text_at(e, "type") + sizeof prefix - 1);
    }
    assert_string_equal(all.data, types);
    rl_buf_deinit(&all);
}

static json_t *last(const json_t *events)
{
    return json_array_get(events, json_array_size(events) - 1);
}

#define OPEN    "created in_progress"
#define MESSAGE " output_item.added content_part.added"
#define TEXT    " output_text.delta"
#define SAID    " output_text.done content_part.done output_item.done"
#define CALL    " output_item.added"
#define ARGS    " function_call_arguments.delta"
#define CALLED  " function_call_arguments.done output_item.done"

static void a_text_is_one_message(void **state)
{
    static const step steps[] = { { false, "Hel" }, { false, "lo\n" } };
    json_t *e = streamed(&(talk)TALK(BODY(), steps));

    (void)state;
    expect_types(e, OPEN MESSAGE TEXT TEXT SAID " completed");
    expect(e, "0.response.status", "'in_progress'");
    expect(e, "0.response.output", "[]");
    expect(e, "0.response.usage", "null");
    assert_memory_equal(text_at(e, "0.response.id"), "resp_", 5);
    expect(e, "2.item.content", "[]");
    expect(e, "2.item.status", "'in_progress'");
    expect(e, "2.output_index", "0");
    expect(e, "3.part", "{'type':'output_text','text':'','annotations':[],'logprobs':[]}");
    expect(e, "4.delta", "'Hel'");
    expect(e, "5.delta", "'lo\\n'");
    expect(e, "5.logprobs", "[]");
    expect(e, "5.content_index", "0");
    expect(e, "6.text", "'Hello\\n'");
    expect(e, "7.part", "{'type':'output_text','text':'Hello\\n','annotations':[],'logprobs':[]}");
    assert_true(json_equal(at(e, "8.item"), at(e, "9.response.output.0")));
    expect(e, "8.item.status", "'completed'");
    expect(e, "8.item.role", "'assistant'");
    for (size_t i = 3; i < 8; i++)
        assert_string_equal(text_at(json_array_get(e, i), "item_id"), text_at(e, "2.item.id"));
    assert_string_equal(text_at(e, "9.response.id"), text_at(e, "0.response.id"));
    expect(e, "9.response.status", "'completed'");
    expect(e, "9.response.usage",
           "{'input_tokens':7,'input_tokens_details':{'cached_tokens':0,'cache_write_tokens':0},"
           "'output_tokens':3,'output_tokens_details':{'reasoning_tokens':0},'total_tokens':10}");
    json_decref(e);
}

static void a_call_is_an_item(void **state)
{
    static const step steps[] = {
        { true, "{'event':'tool','index':0,'id':'call_a','name':'f','args':''}" },
        { true, "{'event':'tool','index':0,'args':'{\\'x\\':'}" },
        { true, "{'event':'tool','index':0,'args':'1}'}" },
        { true, "{'event':'finish','reason':'tool_calls'}" },
    };
    json_t *e = streamed(&(talk)TALK(BODY(TOOL), steps));

    (void)state;
    expect_types(e, OPEN CALL ARGS ARGS CALLED " completed");
    expect(e, "2.item.type", "'function_call'");
    expect(e, "2.item.status", "'in_progress'");
    expect(e, "2.item.arguments", "''");
    expect(e, "2.item.call_id", "'call_a'");
    expect(e, "3.delta", "'{\\'x\\':'");
    expect(e, "5.arguments", "'{\\'x\\':1}'");
    assert_memory_equal(text_at(e, "5.item_id"), "fc_", 3);
    assert_string_equal(text_at(e, "5.item_id"), text_at(e, "2.item.id"));
    assert_true(json_equal(at(e, "6.item"), at(e, "7.response.output.0")));
    expect(e, "6.item.name", "'f'");
    expect(e, "6.item.arguments", "'{\\'x\\':1}'");
    expect(e, "6.item.status", "'completed'");
    json_decref(e);
}

static const step two_calls[] = {
    { false, "See" },
    { true, "{'event':'tool','index':0,'id':'call_a','name':'f','args':'{}'}" },
    { true, "{'event':'tool','index':1,'id':'call_b','name':'g','args':'[]'}" },
};

static void items_follow_each_other(void **state)
{
    json_t *e = streamed(&(talk)TALK(BODY(), two_calls));

    (void)state;
    expect_types(e, OPEN MESSAGE TEXT SAID CALL ARGS CALLED CALL ARGS CALLED " completed");
    expect(e, "8.output_index", "1");
    expect(e, "12.output_index", "2");
    assert_int_equal(json_array_size(at(last(e), "response.output")), 3);
    expect(last(e), "response.output.0.content.0.text", "'See'");
    expect(last(e), "response.output.1.call_id", "'call_a'");
    expect(last(e), "response.output.2.name", "'g'");
    expect(last(e), "response.output.2.arguments", "'[]'");
    json_decref(e);
}

static void a_text_after_a_call_is_another_message(void **state)
{
    static const step steps[] = {
        { false, "one" },
        { true, "{'event':'tool','index':0,'id':'call_a','name':'f','args':'{}'}" },
        { false, "two" },
    };
    json_t *e = streamed(&(talk)TALK(BODY(), steps));

    (void)state;
    expect_types(e, OPEN MESSAGE TEXT SAID CALL ARGS CALLED MESSAGE TEXT SAID " completed");
    expect(last(e), "response.output.0.content.0.text", "'one'");
    expect(last(e), "response.output.2.content.0.text", "'two'");
    assert_string_not_equal(text_at(last(e), "response.output.0.id"),
                            text_at(last(e), "response.output.2.id"));
    json_decref(e);
}

static void a_cut_answer_is_incomplete(void **state)
{
    static const step steps[] = {
        { true, "{'event':'tool','index':0,'id':'call_a','name':'f','args':'{}'}" },
        { false, "and th" },
        { true, "{'event':'finish','reason':'length'}" },
    };
    json_t *e = streamed(&(talk)TALK(BODY(",'max_output_tokens':3"), steps));

    (void)state;
    expect_types(e, OPEN CALL ARGS CALLED MESSAGE TEXT SAID " incomplete");
    expect(last(e), "response.status", "'incomplete'");
    expect(last(e), "response.incomplete_details", "{'reason':'max_output_tokens'}");
    expect(last(e), "response.max_output_tokens", "3");
    expect(last(e), "response.output.0.status", "'completed'");
    expect(last(e), "response.output.1.status", "'incomplete'");
    expect(last(e), "response.usage.total_tokens", "10");
    json_decref(e);
}

static void a_filtered_answer_is_incomplete(void **state)
{
    static const step steps[] = {
        { false, "not that" },
        { true, "{'event':'finish','reason':'content_filter'}" },
    };
    json_t *e = streamed(&(talk)TALK(BODY(""), steps));

    (void)state;
    expect_types(e, OPEN MESSAGE TEXT SAID " incomplete");
    expect(last(e), "response.status", "'incomplete'");
    expect(last(e), "response.incomplete_details", "{'reason':'content_filter'}");
    json_decref(e);
}

static void an_empty_answer_has_a_message(void **state)
{
    static const step steps[] = { { false, "" } };
    json_t *e = streamed(&(talk)TALK(BODY(), steps)), *w;

    (void)state;
    expect_types(e, OPEN MESSAGE SAID " completed");
    expect(e, "4.text", "''");
    json_decref(e);
    w = answered(&(talk)TALK(BODY(), steps));
    expect(w, "output.0.content.0.text", "''");
    json_decref(w);
}

static void a_failure_ends_the_stream(void **state)
{
    static const step steps[] = { { false, "Wel" } };
    talk t = TALK(BODY(), steps);
    json_t *e;

    (void)state;
    (void)realm_fail(&t.err, REALM_ETIMEOUT, "the run took too long");
    e = streamed(&t);
    expect_types(e, OPEN MESSAGE TEXT " failed");
    expect(last(e), "response.status", "'failed'");
    expect(last(e), "response.error", "{'code':'server_error','message':'the run took too long'}");
    expect(last(e), "response.output.0.status", "'incomplete'");
    expect(last(e), "response.output.0.content.0.text", "'Wel'");
    expect(last(e), "response.usage", "null");
    json_decref(e);
    t.n = 0;
    t.err.status = REALM_EQUOTA;
    e = streamed(&t);
    expect_types(e, OPEN " failed");
    expect(last(e), "response.error.code", "'rate_limit_exceeded'");
    json_decref(e);
    t.err.status = REALM_ECONTEXT;
    e = streamed(&t);
    expect(last(e), "response.error.code", "'invalid_prompt'");
    json_decref(e);
}

#define TOKEN(t) "{'id':1,'text':'" t "','bytes':[65],'logprob':-0.5,'top':[]}"
#define ENTRY(t) "{'token':'" t "','bytes':[65],'logprob':-0.5,'top_logprobs':[]}"

static void logprobs_go_with_their_text(void **state)
{
    static const step steps[] = {
        { true, "{'event':'delta','text':'ab','tokens':[" TOKEN("a") "," TOKEN("b") "]}" },
        { true, "{'event':'delta','text':'c','tokens':[" TOKEN("c") "]}" },
        { true, "{'event':'tool','index':0,'id':'call_a','name':'f','args':'{}'}" },
        { true, "{'event':'delta','text':'d','tokens':[{'id':1,'text':'d','bytes':[100],"
                "'logprob':-1,'top':[{'id':2,'text':'e','bytes':[101],'logprob':-2}]}]}" },
    };
    talk t = TALK(BODY(",'include':['message.output_text.logprobs'],'top_logprobs':1"), steps);
    json_t *e = streamed(&t), *w = answered(&t);

    (void)state;
    expect(e, "4.logprobs", "[" ENTRY("a") "," ENTRY("b") "]");
    expect(e, "5.logprobs", "[" ENTRY("c") "]");
    expect(e, "6.logprobs", "[" ENTRY("a") "," ENTRY("b") "," ENTRY("c") "]");
    expect(last(e), "response.output.0.content.0.logprobs",
           "[" ENTRY("a") "," ENTRY("b") "," ENTRY("c") "]");
    expect(last(e), "response.output.2.content.0.logprobs",
           "[{'token':'d','bytes':[100],'logprob':-1,"
           "'top_logprobs':[{'token':'e','bytes':[101],'logprob':-2}]}]");
    assert_true(json_equal(at(w, "output.0.content"), at(last(e), "response.output.0.content")));
    assert_true(json_equal(at(w, "output.2.content"), at(last(e), "response.output.2.content")));
    json_decref(w);
    json_decref(e);
}

static void the_whole_says_what_was_asked(void **state)
{
    json_t *w = answered(&(talk)TALK(
        BODY(TOOL ",'instructions':'Be brief','temperature':0.7,'top_p':1,'metadata':{'a':'b'},"
                  "'tool_choice':{'type':'function','name':'f'},'parallel_tool_calls':false,"
                  "'text':{'format':{'type':'json_object'}}"),
        two_calls));

    (void)state;
    expect(w, "object", "'response'");
    expect(w, "status", "'completed'");
    expect(w, "model", "'m'");
    expect(w, "error", "null");
    expect(w, "incomplete_details", "null");
    expect(w, "instructions", "'Be brief'");
    expect(w, "max_output_tokens", "null");
    expect(w, "temperature", "0.7");
    expect(w, "top_logprobs", "0");
    expect(w, "metadata", "{'a':'b'}");
    expect(w, "parallel_tool_calls", "false");
    expect(w, "tool_choice", "{'type':'function','name':'f'}");
    expect(w, "tools.0.name", "'f'");
    expect(w, "tools.0.type", "'function'");
    expect(w, "text", "{'format':{'type':'json_object'}}");
    expect(w, "reasoning", "{'effort':null,'summary':null}");
    expect(w, "store", "false");
    expect(w, "background", "false");
    expect(w, "truncation", "'disabled'");
    expect(w, "previous_response_id", "null");
    expect(w, "user", "null");
    expect(w, "output.2.status", "'completed'");
    expect(w, "usage.input_tokens", "7");
    json_decref(w);
    w = answered(&(talk)TALK(BODY(), two_calls));
    expect(w, "text", "{'format':{'type':'text'}}");
    expect(w, "tool_choice", "'auto'");
    expect(w, "tools", "[]");
    expect(w, "metadata", "{}");
    expect(w, "parallel_tool_calls", "true");
    json_decref(w);
}

/* Each allocation fails in turn: an answer is whole, or known not to be. */
static void runs_out_of_memory_cleanly(void **state)
{
    static const talk t = TALK(BODY(TOOL), two_calls);
    rl_buf out;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        bool fired = true, ok;

        for (long k = 1; fired; k++) {
            rl_buf_init(&out, (size_t)1 << 24);
            (void)rl_alloc_fail_at(k);
            ok = write_answer(&t, i == 0, &out);
            fired = rl_alloc_fail_at(0);
            assert_true(ok != fired);
            rl_buf_deinit(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_one_message),
        cmocka_unit_test(a_call_is_an_item),
        cmocka_unit_test(items_follow_each_other),
        cmocka_unit_test(a_text_after_a_call_is_another_message),
        cmocka_unit_test(a_cut_answer_is_incomplete),
        cmocka_unit_test(a_filtered_answer_is_incomplete),
        cmocka_unit_test(an_empty_answer_has_a_message),
        cmocka_unit_test(a_failure_ends_the_stream),
        cmocka_unit_test(logprobs_go_with_their_text),
        cmocka_unit_test(the_whole_says_what_was_asked),
        cmocka_unit_test(runs_out_of_memory_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
