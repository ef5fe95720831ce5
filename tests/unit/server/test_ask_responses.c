#include "quoted.h"

#include "base/buf.h"

#include <string.h>

#define TOOL                                                                                       \
    ",'tools':[{'type':'function','name':'f','parameters':{'type':'object'},'strict':true}]"
#define BODY(more)   "{'model':'m','input':'hi'" more "}"
#define INPUT(items) "{'model':'m','input':[" items "]}"
#define USER         "{'role':'user','content':'hi'}"

/* What a body becomes, at a path of the Request. */
static void expect_request(const char *body, const char *path, const char *json)
{
    rl_ask_why why;
    rl_ask ask;

    assert_int_equal(read_body(&ask, RL_API_RESPONSES, &why, body), REALM_OK);
    expect(ask.request, path, json);
    rl_ask_deinit(&ask);
}

static void items_become_messages(void **state)
{
    (void)state;
    expect_request(BODY(), "messages", "[{'role':'user','content':'hi'}]");
    expect_request(BODY(",'instructions':'Be brief'"), "messages",
                   "[{'role':'system','content':'Be brief'},{'role':'user','content':'hi'}]");
    expect_request("{'model':'m','input':["
                   "{'role':'developer','content':'Speak'},"
                   "{'type':'message','role':'user','content':[{'type':'input_text','text':'a'},"
                   "{'type':'input_text','text':'b'}]},"
                   "{'type':'message','id':'msg_1','status':'completed','role':'assistant',"
                   "'content':[{'type':'output_text','text':'c','annotations':[]},"
                   "{'type':'refusal','refusal':'d'}]},"
                   "{'role':'user','content':''}]}",
                   "messages",
                   "[{'role':'system','content':'Speak'},{'role':'user','content':'ab'},"
                   "{'role':'assistant','content':'cd'},{'role':'user','content':''}]");
}

#define CALLED_AS(id)                                                                              \
    "{'type':'function_call','id':'fc_1','call_id':'" id "','name':'f','arguments':'{}',"          \
    "'status':'completed'}"
#define CALL_OF(id) "{'id':'" id "','type':'function','function':{'name':'f','arguments':'{}'}}"

static void calls_of_a_turn_are_one_message(void **state)
{
    (void)state;
    expect_request("{'model':'m','input':[{'role':'user','content':'hi'}," CALLED_AS(
                       "a") ","
                            "{'type':'reasoning','id':'rs_1','summary':[]}," CALLED_AS(
                                "b") ","
                                     "{'type':'function_call_output','call_id':'a','output':'1'},"
                                     "{'type':'function_call_output','call_id':'b','output':[{'"
                                     "type':'input_text','text':'2'},"
                                     "{'type':'input_text','text':'3'}]}," CALLED_AS("c") "]}",
                   "messages",
                   "[{'role':'user','content':'hi'},"
                   "{'role':'assistant','content':'','tool_calls':[" CALL_OF("a") "," CALL_OF(
                       "b") "]},"
                            "{'role':'tool','tool_call_id':'a','content':'1'},"
                            "{'role':'tool','tool_call_id':'b','content':'23'},"
                            "{'role':'assistant','content':'','tool_calls':[" CALL_OF("c") "]}]");
    expect_request("{'model':'m','input':[{'role':'assistant','content':'See'}," CALLED_AS(
                       "a") ","
                            "{'role':'assistant','content':'So'}]}",
                   "messages",
                   "[{'role':'assistant','content':'See','tool_calls':[" CALL_OF(
                       "a") "]},"
                            "{'role':'assistant','content':'So'}]");
}

static void tools_get_the_form_of_chats(void **state)
{
    (void)state;
    expect_request(BODY(TOOL), "tools",
                   "[{'type':'function','function':{'name':'f','parameters':{'type':'object'},"
                   "'strict':true}}]");
    expect_request(BODY(",'tools':[{'type':'function','name':'f','description':'d',"
                        "'parameters':null,'strict':null,'other':1}]"),
                   "tools", "[{'type':'function','function':{'name':'f','description':'d'}}]");
    expect_request(BODY(TOOL ",'tool_choice':'required'"), "tool_choice", "'required'");
    expect_request(BODY(TOOL ",'tool_choice':{'type':'function','name':'f'}"), "tool_choice",
                   "{'type':'function','function':{'name':'f'}}");
    expect_request(BODY(TOOL ",'parallel_tool_calls':false"), "parallel_tool_calls", "false");
}

static void parameters_are_read(void **state)
{
    rl_ask_why why;
    rl_ask ask;

    (void)state;
    expect_request(BODY(",'max_output_tokens':5"), "params.max_tokens", "5");
    expect_request(BODY(), "params.max_tokens", "2048");
    expect_request(BODY(",'temperature':0"), "params.temperature", "0");
    expect_request(BODY(",'text':{'format':{'type':'json_schema','name':'n','strict':true,"
                        "'schema':{'type':'integer'}}}"),
                   "params.json_schema", "{'type':'integer'}");
    expect_request(BODY(",'include':['message.output_text.logprobs'],'top_logprobs':4"),
                   "params.top_logprobs", "4");
    expect_request(BODY(",'include':['message.output_text.logprobs']"), "params.logprobs", "true");
    assert_int_equal(
        read_body(&ask, RL_API_RESPONSES, &why, BODY(",'stream':true,'top_logprobs':2")), REALM_OK);
    assert_true(ask.stream && !ask.logprobs && rl_ask_choices(&ask) == 1);
    assert_null(at(ask.request, "params.logprobs"));
    rl_ask_deinit(&ask);
    assert_int_equal(
        read_body(
            &ask, RL_API_RESPONSES, &why,
            BODY(",'store':false,'background':false,'previous_response_id':null,"
                 "'include':['reasoning.encrypted_content'],'truncation':'auto',"
                 "'reasoning':{'effort':'low'},'service_tier':'auto','user':'u',"
                 "'stream_options':{'include_obfuscation':false},'max_tool_calls':3,"
                 "'text':{'verbosity':'low'},'safety_identifier':'s','prompt_cache_key':'k'")),
        REALM_OK);
    rl_ask_deinit(&ask);
}

static const struct {
    const char *body, *param;
} wrong[] = {
    { "{'model':'m'}", "input" },
    { "{'model':'m','input':7}", "input" },
    { "{'model':'m','input':{}}", "input" },
    { INPUT(""), "input" },
    { INPUT("{'type':'reasoning'}"), "input" },
    { INPUT("null"), "input[0]" },
    { INPUT(USER ",'x'"), "input[1]" },
    { INPUT(USER ",{'type':7}"), "input[1].type" },
    { INPUT("{}"), "input[0].role" },
    { INPUT("{'role':'tool','content':'x'}"), "input[0].role" },
    { INPUT("{'role':['user'],'content':'x'}"), "input[0].role" },
    { INPUT("{'type':'message','role':'user'}"), "input[0].content" },
    { INPUT("{'role':'assistant','tool_calls':[]}"), "input[0].content" },
    { INPUT("{'role':'user','content':1}"), "input[0].content" },
    { INPUT(USER "," USER ",{'role':'user','content':[1]}"), "input[2].content[0]" },
    { INPUT("{'role':'user','content':[{'type':'input_text','text':'a'},{}]}"),
      "input[0].content[1]" },
    { INPUT("{'type':'function_call','name':'f','arguments':''}"), "input[0].call_id" },
    { INPUT("{'type':'function_call','call_id':'a','name':{},'arguments':''}"), "input[0].name" },
    { INPUT("{'type':'function_call','call_id':'a','name':'f','arguments':{}}"),
      "input[0].arguments" },
    { INPUT("{'type':'function_call_output','output':''}"), "input[0].call_id" },
    { INPUT("{'type':'function_call_output','call_id':'a'}"), "input[0].output" },
    { INPUT("{'type':'function_call_output','call_id':'a','output':{}}"), "input[0].output" },
    { INPUT("{'type':'function_call_output','call_id':'a','output':[[]]}"), "input[0].output[0]" },
    { BODY(",'instructions':[]"), "instructions" },
    { BODY(",'tools':{}"), "tools" },
    { BODY(",'tools':[1]"), "tools[0].type" },
    { BODY(",'tools':[{'type':'function'}]"), "tools[0].name" },
    { BODY(",'tools':[{'type':'function','name':''}]"), "tools[0].name" },
    { BODY(",'tools':[{'type':'function','name':'f'},{'type':'function','name':[]}]"),
      "tools[1].name" },
    { BODY(",'tools':[{'type':'function','function':{'name':'f'}}]"), "tools[0].name" },
    { BODY(",'tools':[{'type':'function','name':'f','parameters':'x'}]"), "tools[0].parameters" },
    { BODY(",'tools':[{'type':'function','name':'f','strict':1}]"), "tools[0].strict" },
    { BODY(",'tool_choice':'f'"), "tool_choice" },
    { BODY(",'tool_choice':1"), "tool_choice" },
    { BODY(",'tool_choice':{'type':'function'}"), "tool_choice" },
    { BODY(",'parallel_tool_calls':'no'"), "parallel_tool_calls" },
    { BODY(",'metadata':[]"), "metadata" },
    { BODY(",'metadata':{'a':1}"), "metadata" },
    { BODY(",'text':'x'"), "text" },
    { BODY(",'text':{'format':'json'}"), "text.format" },
    { BODY(",'text':{'format':{'type':'json_schema','schema':[]}}"), "text.format" },
    { BODY(",'include':'x'"), "include" },
    { BODY(",'include':[1]"), "include" },
    { BODY(",'top_logprobs':21"), "top_logprobs" },
    { BODY(",'max_output_tokens':0"), "max_output_tokens" },
    { BODY(",'temperature':'hot'"), "temperature" },
    { BODY(",'stream':1"), "stream" },
    { BODY(",'store':'x'"), "store" },
};

static void wrong_bodies_are_named(void **state)
{
    rl_ask_why why;
    rl_ask ask;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(read_body(&ask, RL_API_RESPONSES, &why, wrong[i].body), REALM_EINVAL);
        assert_string_equal(why.param, wrong[i].param);
    }
}

static void what_is_not_offered_is_named(void **state)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        { INPUT("{'role':'user','content':[{'type':'input_image','image_url':'x'}]}"),
          "input[0].content[0]" },
        { INPUT(USER ",{'role':'user','content':[{'type':'input_file','file_id':'x'}]}"),
          "input[1].content[0]" },
        { INPUT(USER ",{'type':'item_reference','id':'msg_1'}"), "input[1]" },
        { INPUT("{'type':'computer_call'}"), "input[0]" },
        { BODY(",'tools':[{'type':'web_search'}]"), "tools[0].type" },
        { BODY(",'tool_choice':{'type':'file_search'}"), "tool_choice" },
        { BODY(",'background':true"), "background" },
        { BODY(",'store':true"), "store" },
        { BODY(",'previous_response_id':'resp_1'"), "previous_response_id" },
        { BODY(",'conversation':'conv_1'"), "conversation" },
        { BODY(",'prompt':{'id':'p'}"), "prompt" },
    };
    rl_ask_why why;
    rl_ask ask;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(read_body(&ask, RL_API_RESPONSES, &why, rows[i].body), REALM_EUNSUPPORTED);
        assert_string_equal(why.param, rows[i].param);
    }
}

static const char *const forms[] = {
    "{'model':'m','input':%s}",
    INPUT("%s"),
    INPUT("{'type':%s}"),
    INPUT("{'role':%s,'content':'x'}"),
    INPUT("{'role':'user','content':%s}"),
    INPUT("{'role':'assistant','content':[%s]}"),
    INPUT("{'role':'user','content':[{'type':%s}]}"),
    INPUT("{'role':'user','content':[{'type':'input_text','text':%s}]}"),
    INPUT("{'type':'function_call','call_id':%s,'name':'f','arguments':'{}'}"),
    INPUT("{'type':'function_call','call_id':'a','name':%s,'arguments':'{}'}"),
    INPUT("{'type':'function_call','call_id':'a','name':'f','arguments':%s}"),
    INPUT("{'type':'function_call_output','call_id':'a','output':%s}"),
    INPUT("{'type':'function_call_output','call_id':'a','output':[%s]}"),
    BODY(",'instructions':%s"),
    BODY(",'tools':%s"),
    BODY(",'tools':[%s]"),
    BODY(",'tools':[{'type':%s}]"),
    BODY(",'tools':[{'type':'function','name':%s}]"),
    BODY(",'tools':[{'type':'function','name':'f','parameters':%s}]"),
    BODY(",'tool_choice':%s"),
    BODY(",'tool_choice':{'type':%s}"),
    BODY(",'tool_choice':{'type':'function','name':%s}"),
    BODY(",'parallel_tool_calls':%s"),
    BODY(",'metadata':%s"),
    BODY(",'text':%s"),
    BODY(",'text':{'format':%s}"),
    BODY(",'include':%s"),
    BODY(",'include':[%s]"),
    BODY(",'top_logprobs':%s"),
    BODY(",'previous_response_id':%s"),
    BODY(",'store':%s"),
};

static const char *const values[] = { "null",     "true",
                                      "0",        "-1",
                                      "1e300",    "''",
                                      "'x'",      "[]",
                                      "[[]]",     "['x']",
                                      "{}",       "[null]",
                                      "[{}]",     "{'type':'function'}",
                                      "{'a':{}}", "9223372036854775807" };

/* Any value anywhere is read or refused by a name. */
static void any_value_anywhere_is_harmless(void **state)
{
    rl_ask_why why;
    rl_ask ask;
    rl_buf body;

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            size_t head = (size_t)(strstr(forms[i], "%s") - forms[i]);
            realm_status st;

            rl_buf_init(&body, 4096);
            (void)rl_buf_add(&body, forms[i], head);
            (void)rl_buf_addf(&body, "%s%s", values[k], forms[i] + head + 2);
            st = read_body(&ask, RL_API_RESPONSES, &why, body.data);
            assert_true(st == REALM_OK || st == REALM_EINVAL || st == REALM_EUNSUPPORTED);
            assert_true(st == REALM_OK || why.param[0] != 0);
            if (st == REALM_OK)
                rl_ask_deinit(&ask);
            rl_buf_deinit(&body);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_become_messages),
        cmocka_unit_test(calls_of_a_turn_are_one_message),
        cmocka_unit_test(tools_get_the_form_of_chats),
        cmocka_unit_test(parameters_are_read),
        cmocka_unit_test(wrong_bodies_are_named),
        cmocka_unit_test(what_is_not_offered_is_named),
        cmocka_unit_test(any_value_anywhere_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
