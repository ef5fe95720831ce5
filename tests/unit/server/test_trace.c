/* Traces: what is a valid traceparent, and that a request has one trace and one span. */
#include "../test.h"

#include "server/trace.h"

#include <stdio.h>
#include <string.h>

#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static void good_ones(void **state)
{
    static const char *const good[] = {
        "00-" ID "-" PARENT "-01",
        "00-" ID "-" PARENT "-00",
        "00-" ID "-" PARENT "-ff",
        "01-" ID "-" PARENT "-01",
        "cc-" ID "-" PARENT "-01-what comes later",
        "01-" ID "-" PARENT "-01-",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        rl_trace t = { .id = "" };

        if (!rl_trace_parse(good[i], &t))
            fail_msg("%s", good[i]);
        assert_string_equal(t.id, ID);
        assert_string_equal(t.parent, PARENT);
    }
}

static void bad_ones(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" ID "-" PARENT,
        "00-" ID "-" PARENT "-1",
        "00-" ID "-" PARENT "-01-",
        "00-" ID "-" PARENT "-011",
        "01-" ID "-" PARENT "-011",
        "ff-" ID "-" PARENT "-01",
        "0-" ID "-" PARENT "-001",
        "00_" ID "-" PARENT "-01",
        "00-" ID "_" PARENT "-01",
        "00-" ID "-" PARENT "_01",
        " 00-" ID "-" PARENT "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-" ID "-00F067AA0BA902B7-01",
        "00-" ID "-" PARENT "-0G",
        "0x-" ID "-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" ID "-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473\n-" PARENT "-01",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rl_trace t = { .id = "x" };

        if (rl_trace_parse(bad[i], &t))
            fail_msg("%s", bad[i]);
        assert_string_equal(t.id, "x");
        assert_string_equal(t.parent, "");
    }
}

/* The line of a request and that of its run must agree, and two requests must not. */
static void a_request_has_one(void **state)
{
    rl_trace a, b, c, d;

    (void)state;
    rl_trace_of(NULL, "req-1", &a);
    rl_trace_of(NULL, "req-1", &b);
    rl_trace_of("nonsense", "req-2", &c);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(strlen(a.id), 32);
    assert_int_equal(strlen(a.span), 16);
    assert_string_equal(a.parent, "");
    assert_string_not_equal(a.id, c.id);
    assert_string_not_equal(a.span, c.span);
    rl_trace_of("00-" ID "-" PARENT "-01", "req-1", &d);
    assert_string_equal(d.id, ID);
    assert_string_equal(d.parent, PARENT);
    assert_string_equal(d.span, a.span);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones),
        cmocka_unit_test(a_request_has_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
