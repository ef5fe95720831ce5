#include "../test.h"

#include "base/toml.h"

#include <stdio.h>
#include <string.h>

/* What was told, one line per key: "server.port int 80 @3". */
static char told[65536];

static void say(const char *fmt, ...) REALM_PRINTF(1, 2);

static void say(const char *fmt, ...)
{
    size_t n = strlen(told);
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(told + n, sizeof told - n, fmt, args);
    va_end(args);
}

static realm_status on_key(void *ctx, const char *table, const char *key, const rl_toml_value *v,
                           realm_error *err)
{
    (void)ctx;
    if (!key) {
        say("[%s]\n", table);
        return REALM_OK;
    }
    if (strcmp(key, "stop") == 0)
        return realm_fail(err, REALM_EBUSY, "not now");
    say("%s.%s ", table, key);
    if (v->type == RL_TOML_TEXT)
        say("text <%s>", v->text);
    else if (v->type == RL_TOML_INT)
        say("int %lld", (long long)v->number);
    else if (v->type == RL_TOML_BOOL)
        say("bool %lld", (long long)v->number);
    else
        say("list");
    for (size_t i = 0; i < v->n_list; i++)
        say(" <%s>", v->list[i]);
    say(" @%u\n", v->line);
    return REALM_OK;
}

static realm_status parse(const char *text, size_t n, realm_error *err)
{
    told[0] = 0;
    return rl_toml_parse(text, n, "f", on_key, NULL, err);
}

static void gives(const char *text, const char *expected)
{
    realm_error err = { .text = "" };

    if (parse(text, strlen(text), &err) != REALM_OK)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(told, expected);
}

static void refuses(const char *text, size_t n, const char *sentence)
{
    realm_error err = { .text = "" };

    if (parse(text, n, &err) != REALM_EINVAL || !strstr(err.text, sentence))
        fail_msg("<%s> answered: %s", text, err.text);
}

static void keys_and_tables(void **state)
{
    (void)state;
    gives("", "");
    gives("\n# nothing\n  \t\n", "");
    gives("a = 1", ".a int 1 @1\n");
    gives(" a=1 # one\n\n[ t-1 ]\t\r\nb_2 = true\r\n3 = false\n[u]\na = 1\n",
          ".a int 1 @1\n[t-1]\nt-1.b_2 bool 1 @4\nt-1.3 bool 0 @5\n[u]\nu.a int 1 @7\n");
}

static void numbers(void **state)
{
    (void)state;
    gives("a = 0\nb = -0\nc = +17\nd = 1_000_000\n",
          ".a int 0 @1\n.b int 0 @2\n.c int 17 @3\n.d int 1000000 @4\n");
    gives("a = 9223372036854775807\nb = -9223372036854775808\n",
          ".a int 9223372036854775807 @1\n.b int -9223372036854775808 @2\n");
}

static void texts(void **state)
{
    (void)state;
    gives("a = \"\"\nb = ''\nc = \"a # b\"\nd = 'C:\\new'\n",
          ".a text <> @1\n.b text <> @2\n.c text <a # b> @3\n.d text <C:\\new> @4\n");
    gives("a = \"\\b\\t\\n\\f\\r\\\"\\\\\"\n", ".a text <\b\t\n\f\r\"\\> @1\n");
    gives("a = \"\\u00e9\\U0001F600\\u0041\"\n", ".a text <\xc3\xa9\xf0\x9f\x98\x80"
                                                 "A> @1\n");
    gives("a = \"tab\there \xc3\xa9\"\n", ".a text <tab\there \xc3\xa9> @1\n");
}

static void lists(void **state)
{
    (void)state;
    gives("a = []\n", ".a list @1\n");
    gives("a = [\"x\"]\nb = [ 'x' , \"y\", ]\n", ".a list <x> @1\n.b list <x> <y> @2\n");
    gives("a = [ # first\n\n  \"x\", # one\n  \"y\"\n]\nb = 1\n",
          ".a list <x> <y> @1\n.b int 1 @6\n");
}

static void mistakes_name_their_line(void **state)
{
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        { "a", "f:1: after the name a comes =" },
        { "a = ", "f:1: the value is missing" },
        { "a = # 1", "f:1: the value is missing" },
        { "= 1", "f:1: the name of a key has" },
        { "\n\na = 1 b = 2", "f:3: nothing more comes on this line" },
        { "a = 1\nb = 2\na = 3", "f:3: the name a is there already, in line 1" },
        { "[t]\n[u]\n[t]", "f:3: the name t is there already, in line 1" },
        { "t = 1\n[t]", "f:2: the name t is there already, in line 1" },
        { "[t]\na = 1\na = 1", "f:3: the name a is there already, in line 2" },
        { "a.b = 1", "f:1: names with dots" },
        { "[a.b]", "f:1: tables inside of tables" },
        { "[[a]]", "f:1: lists of tables" },
        { "[a", "f:1: after the name of a table comes ]" },
        { "[]", "f:1: the name of a table has" },
        { "[a] b = 1", "f:1: nothing more comes" },
        { "\"a\" = 1", "f:1: a key has no quotes" },
        { "caf\xc3\xa9 = 1", "f:1: after the name caf comes =" },
        { "a = {}", "f:1: tables on one line" },
        { "a = yes", "f:1: this is no value" },
        { "a = truely", "f:1: this is no value" },
        { "a = nan", "f:1: this is no value" },
        { "a = 1.5", "f:1: numbers are whole" },
        { "a = 1e3", "f:1: numbers are whole" },
        { "a = 0x10", "f:1: numbers are whole" },
        { "a = 1979-05-27", "f:1: numbers are whole" },
        { "a = 07:32:00", "f:1: numbers are whole" },
        { "a = 1__0", "f:1: numbers are whole" },
        { "a = 1_", "f:1: numbers are whole" },
        { "a = _1", "f:1: this is no value" },
        { "a = -", "f:1: numbers are whole" },
        { "a = 64MiB", "f:1: numbers are whole" },
        { "a = 012", "f:1: the number begins with 0" },
        { "a = 9223372036854775808", "f:1: the number is too large" },
        { "a = -9223372036854775809", "f:1: the number is too large" },
        { "a = 99999999999999999999999999999", "f:1: the number is too large" },
        { "a = \"x", "f:1: the text does not end on its line" },
        { "a = 'x\nb = 1'", "f:1: the text does not end on its line" },
        { "a = \"x\\\"", "f:1: the text does not end on its line" },
        { "a = \"x\\", "f:1: the text does not end on its line" },
        { "a = \"x\\\nb\"", "f:1: the text does not end on its line" },
        { "a = \"\"\"x\"\"\"", "f:1: texts of several lines" },
        { "a = '''x'''", "f:1: texts of several lines" },
        { "a = \"\\x41\"", "f:1: there is no escape \\x" },
        { "a = \"\\ \"", "f:1: there is no escape" },
        { "a = \"\\u12\"", "f:1: \\u needs 4 hexadecimal digits" },
        { "a = \"\\u12g4\"", "f:1: \\u needs 4 hexadecimal digits" },
        { "a = \"\\U0001F60\"", "f:1: \\U needs 8 hexadecimal digits" },
        { "a = \"\\ud800\"", "f:1: \\ud800 is no character" },
        { "a = \"\\U00110000\"", "f:1: \\U00110000 is no character" },
        { "a = \"\\u0000\"", "f:1: a text cannot hold the character 0" },
        { "a = [", "f:1: the list does not end" },
        { "a = [\n\"x\"", "f:2: after a text of a list comes" },
        { "a = [1]", "f:1: a list holds texts" },
        { "a = [[\"x\"]]", "f:1: a list holds texts" },
        { "a = [\"x\" \"y\"]", "f:1: after a text of a list comes" },
        { "a = [,]", "f:1: a list holds texts" },
        { "a = [\"x\",,]", "f:1: a list holds texts" },
        { "\xef\xbb\xbf"
          "a = 1",
          "f:1: the name of a key has" },
        { "# ok\n# \xff", "f:2: this line is not UTF-8" },
        { "a = \"\xed\xa0\x80\"", "f:1: this line is not UTF-8" },
        { "a = 1\n# \x01", "f:2: the control character 1" },
        { "a = \"\x7f\"", "f:1: the control character 127" },
        { "a = 1\rb = 2", "f:1: a carriage return without a newline" },
        { "a = 1\r", "f:1: a carriage return without a newline" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuses(rows[i].text, strlen(rows[i].text), rows[i].sentence);
    refuses("a = \"\0\"", 7, "f:1: the control character 0");
}

/* Reading ends there; what came before was told. */
static void the_callback_may_refuse(void **state)
{
    realm_error err;

    (void)state;
    assert_int_equal(parse("a = 1\nstop = 2\nb = 3\n", 21, &err), REALM_EBUSY);
    assert_string_equal(err.text, "f:2: not now");
    assert_string_equal(told, ".a int 1 @1\n");
}

static void limits_are_exact(void **state)
{
    static char text[RL_TOML_BYTES + 2];
    size_t n = 0;

    (void)state;
    memset(text, '#', sizeof text);
    assert_int_equal(parse(text, RL_TOML_BYTES, NULL), REALM_OK);
    refuses(text, RL_TOML_BYTES + 1, "f: over 64 KiB");
    for (unsigned i = 0; i < RL_TOML_NAMES; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "k%u = 1\n", i);
    assert_int_equal(parse(text, n, NULL), REALM_OK);
    n += (size_t)snprintf(text + n, sizeof text - n, "one = 1\n");
    refuses(text, n, "more than 1024 tables and keys");
    (void)snprintf(text, sizeof text, "%064d = 1", 7);
    assert_int_equal(parse(text, strlen(text), NULL), REALM_OK);
    (void)snprintf(text, sizeof text, "%065d = 1", 7);
    refuses(text, strlen(text), "longer than 64 characters");
    n = (size_t)snprintf(text, sizeof text, "a = [");
    for (unsigned i = 0; i < RL_TOML_ITEMS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "'',");
    (void)snprintf(text + n, sizeof text - n, "]");
    assert_int_equal(parse(text, n + 1, NULL), REALM_OK);
    n += (size_t)snprintf(text + n, sizeof text - n, "'']");
    refuses(text, n, "at most 256 texts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_tables),
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts),
        cmocka_unit_test(lists),
        cmocka_unit_test(mistakes_name_their_line),
        cmocka_unit_test(the_callback_may_refuse),
        cmocka_unit_test(limits_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
