/* What a service manager is told, over real sockets. */
#include "../test.h"

#include "cli/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Binds a datagram socket by the name that NOTIFY_SOCKET has then. */
static int listen_at(const char *name)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    size_t n = strlen(name);

    assert_true(fd >= 0 && n < sizeof at.sun_path);
    memcpy(at.sun_path, name, n);
    if (name[0] == '@')
        at.sun_path[0] = 0;
    assert_int_equal(bind(fd, (const struct sockaddr *)&at,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static const char *hear(int fd)
{
    static char text[256];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = 0;
    return text;
}

static void both_kinds_of_names(void **state)
{
    char names[2][100];

    (void)state;
    (void)snprintf(names[0], sizeof names[0], "%s/notify-%d",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
    (void)snprintf(names[1], sizeof names[1], "@realm-test-%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        int fd = listen_at(names[i]);

        assert_true(rl_notify("READY=1"));
        assert_string_equal(hear(fd), "READY=1");
        assert_true(rl_notify_reloading());
        assert_memory_equal(hear(fd), "RELOADING=1\nMONOTONIC_USEC=", 27);
        assert_string_equal(hear(fd), "");
        (void)close(fd);
        assert_false(rl_notify("READY=1")); /* nobody listens: no signal, no wait */
    }
    (void)unlink(names[0]);
}

static void a_full_socket_does_not_block(void **state)
{
    char name[100];
    int fd, n = 0;

    (void)state;
    (void)snprintf(name, sizeof name, "@realm-test-full-%d", (int)getpid());
    fd = listen_at(name);
    while (n < 100000 && rl_notify("WATCHDOG=1"))
        n++;
    assert_true(n > 0 && n < 100000);
    (void)close(fd);
}

static void no_manager(void **state)
{
    static const char *const names[] = { "", "@", "relative", "vsock:2:1" };
    char long_name[300];

    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    assert_false(rl_notify("READY=1"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        assert_false(rl_notify("READY=1"));
    }
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[0] = '/';
    long_name[sizeof long_name - 1] = 0;
    assert_int_equal(setenv("NOTIFY_SOCKET", long_name, 1), 0);
    assert_false(rl_notify("READY=1"));
}

static void the_watchdog(void **state)
{
    char pid[32];

    (void)state;
    (void)unsetenv("WATCHDOG_PID");
    (void)unsetenv("WATCHDOG_USEC");
    assert_int_equal(rl_notify_watchdog_ns(), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "20000000", 1), 0);
    assert_int_equal(rl_notify_watchdog_ns(), 10000000000u);
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_int_equal(rl_notify_watchdog_ns(), 10000000000u);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    assert_int_equal(rl_notify_watchdog_ns(), 0);
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "18446744073709551615", 1), 0);
    assert_int_equal(rl_notify_watchdog_ns(), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "2s", 1), 0);
    assert_int_equal(rl_notify_watchdog_ns(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_kinds_of_names),
        cmocka_unit_test(a_full_socket_does_not_block),
        cmocka_unit_test(no_manager),
        cmocka_unit_test(the_watchdog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
