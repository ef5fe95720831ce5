/* Sockets: what the kernel is asked, in one place. */
#include "http/internal.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel takes beyond what it could send: a client that does not read stops its stream
 * after so much, not after the megabytes a send buffer grows to. */
#define UNSENT_MAX (32 * 1024)

static void set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

static int open_listener(const struct addrinfo *at, uint32_t sndbuf)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* inherited by what is accepted, as are these */
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
    if (sndbuf)
        set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)sndbuf);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } a;
    socklen_t n = sizeof a;

    memset(&a, 0, sizeof a);
    if (getsockname(fd, &a.any, &n) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.six.sin6_port : a.four.sin_port);
}

int rl_http_sock_listen(const char *address, uint16_t *port, uint32_t sndbuf, realm_error *err)
{
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    char service[8];
    int fd = -1, failed;

    (void)snprintf(service, sizeof service, "%u", (unsigned)*port);
    failed = getaddrinfo(address, service, &hints, &list);
    if (failed) {
        (void)realm_fail(err, REALM_EINVAL, "%.100s: %s; give an address of this machine", address,
                         gai_strerror(failed));
        return -1;
    }
    for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
        fd = open_listener(at, sndbuf);
    freeaddrinfo(list);
    if (fd < 0)
        (void)realm_fail(err, REALM_EIO, "%.100s port %s: %s; choose another address or port",
                         address, service, strerror(errno));
    else
        *port = port_of(fd);
    return fd;
}

void rl_http_sock_name(const void *sockaddr, char *out, size_t cap)
{
    const struct sockaddr *a = sockaddr;
    const void *at = a->sa_family == AF_INET6
                         ? (const void *)&((const struct sockaddr_in6 *)sockaddr)->sin6_addr
                         : (const void *)&((const struct sockaddr_in *)sockaddr)->sin_addr;

    if (!inet_ntop(a->sa_family, at, out, (socklen_t)cap))
        (void)snprintf(out, cap, "?");
}

/* Who counts as one client: an IPv4 address, or an IPv6 /64, which is what one subscriber gets. */
void rl_http_sock_key(const void *sockaddr, uint8_t key[16])
{
    const struct sockaddr *a = sockaddr;

    memset(key, 0, 16);
    if (a->sa_family == AF_INET)
        memcpy(key, &((const struct sockaddr_in *)sockaddr)->sin_addr, 4);
    if (a->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)sockaddr)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(six))
            memcpy(key, six->s6_addr + 12, 4);
        else
            memcpy(key + 8, six->s6_addr, 8);
    }
}

uint64_t rl_http_sock_acked(int fd)
{
    struct tcp_info info;
    socklen_t n = sizeof info;

    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
        return 0;
    return info.tcpi_bytes_acked;
}

size_t rl_http_sock_unread(int fd)
{
    int n = 0;

    return ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

void rl_http_sock_reset_on_close(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}
