/* The log: lines as JSON, and that nobody waits for who reads it. */
#include "../test.h"

#include "base/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static int ends[2];

static void open_log(void)
{
    realm_error err;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(rl_log_open(ends[1], &err), REALM_OK);
    rl_log_set_level(RL_LOG_INFO);
}

/* Calls `look` with each line. -> their number */
static size_t read_lines(void (*look)(const json_t *o))
{
    FILE *f = fdopen(ends[0], "r");
    char line[2 * RL_LOG_LINE];
    size_t n = 0;

    assert_non_null(f);
    for (; fgets(line, sizeof line, f); n++) {
        json_t *o = json_loads(line, 0, NULL);

        assert_true(strlen(line) <= RL_LOG_LINE);
        assert_true(json_is_object(o));
        look(o);
        json_decref(o);
    }
    (void)fclose(f);
    return n;
}

static void close_log(void)
{
    rl_log_close();
    (void)close(ends[1]);
}

static rl_log_counts counts(void)
{
    rl_log_counts c;

    rl_log_count(&c);
    return c;
}

static void is_warning(const json_t *o)
{
    const char *msg = json_string_value(json_object_get(o, "msg"));

    assert_string_equal(json_string_value(json_object_get(o, "level")), "warn");
    assert_non_null(msg);
    assert_memory_equal(msg, "a\n\"b\x1b", 5);
    assert_non_null(json_object_get(o, "ts"));
}

static void sentences_become_lines(void **state)
{
    static char long_text[2000];

    (void)state;
    open_log();
    memset(long_text, '\x01', sizeof long_text - 1);
    rl_log(RL_LOG_WARN, "a\n\"b\x1b%d", 7);
    rl_log(RL_LOG_WARN, "a\n\"b\x1b%s", long_text);
    rl_log(RL_LOG_DEBUG, "not wanted");
    close_log();
    assert_int_equal(read_lines(is_warning), 2);
}

static void has_parts(const json_t *o)
{
    assert_string_equal(json_string_value(json_object_get(o, "cut")), "1234\xc3\xa4");
    assert_string_equal(json_string_value(json_object_get(o, "whole")), "12");
    assert_null(json_object_get(o, "none"));
}

static void texts_are_cut_between_characters(void **state)
{
    rl_log_event line;

    (void)state;
    open_log();
    assert_false(rl_log_begin(&line, RL_LOG_DEBUG, "x"));
    assert_true(rl_log_begin(&line, RL_LOG_INFO, "x"));
    rl_log_text(&line, "cut", "1234\xc3\xa4\xc3\xb6", 7);
    rl_log_text(&line, "whole", "12", 2);
    rl_log_text(&line, "none", NULL, 2);
    rl_log_end(&line);
    close_log();
    assert_int_equal(read_lines(has_parts), 1);
}

static void any(const json_t *o)
{
    assert_non_null(json_object_get(o, "msg"));
}

/* Nobody reads: the pipe fills, then the queue, then lines are dropped; no call and no end hangs.
 */
static void a_reader_that_does_not_read(void **state)
{
    rl_log_counts before = counts(), after;
    uint64_t told = 5000;

    (void)state;
    open_log();
    for (uint64_t i = 0; i < told; i++)
        rl_log(RL_LOG_INFO, "line %d %0500d", (int)i, 0);
    assert_true(counts().dropped > before.dropped);
    close_log();
    after = counts();
    assert_int_equal(after.written + after.dropped - before.written - before.dropped, told);
    assert_int_equal(read_lines(any), after.written - before.written);
}

/* It has gone: no signal ends the process, the lines count as dropped. */
static void a_reader_that_has_gone(void **state)
{
    rl_log_counts before = counts();

    (void)state;
    open_log();
    (void)close(ends[0]);
    for (int i = 0; i < 10; i++)
        rl_log(RL_LOG_ERROR, "line %d", i);
    close_log();
    assert_int_equal(counts().dropped - before.dropped, 10);
}

/* One that grew over the limit is dropped, and never half of it written. */
static void a_line_that_is_too_long(void **state)
{
    rl_log_counts before = counts();
    static char text[RL_LOG_LINE];
    rl_log_event line;

    (void)state;
    open_log();
    memset(text, 'x', sizeof text - 1);
    assert_true(rl_log_begin(&line, RL_LOG_INFO, "x"));
    rl_log_text(&line, "text", text, sizeof text);
    rl_log_end(&line);
    close_log();
    assert_int_equal(counts().dropped - before.dropped, 1);
    assert_int_equal(read_lines(any), 0);
}

static void opened_twice(void **state)
{
    realm_error err;

    (void)state;
    open_log();
    assert_int_equal(rl_log_open(ends[1], &err), REALM_ECONFLICT);
    close_log();
    rl_log_close(); /* again: nothing */
    assert_int_equal(read_lines(any), 0);
}

static void *tell_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++)
        rl_log(RL_LOG_INFO, "line %d", i);
    return NULL;
}

/* Lines of several threads do not mix, and closing while they are told is safe. */
static void several_threads(void **state)
{
    pthread_t threads[4];

    (void)state;
    open_log();
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, tell_many, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    close_log();
    assert_int_equal(read_lines(any), 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_become_lines),
        cmocka_unit_test(texts_are_cut_between_characters),
        cmocka_unit_test(a_reader_that_does_not_read),
        cmocka_unit_test(a_reader_that_has_gone),
        cmocka_unit_test(a_line_that_is_too_long),
        cmocka_unit_test(opened_twice),
        cmocka_unit_test(several_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
