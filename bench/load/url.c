#include "load/url.h"

#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HINT "give an address such as http://127.0.0.1:8080"

/* Copies text[0..n) when it fits; nothing that could break a header line may be in it. */
static bool put(char *out, size_t size, const char *text, size_t n)
{
    if (n >= size)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] <= ' ' || text[i] > '~' || strchr("@?#\\\"<>", text[i]))
            return false;
    }
    memcpy(out, text, n);
    out[n] = 0;
    return true;
}

static bool put_port(rl_load_url *u, const char *text, size_t n)
{
    unsigned long port = 0;

    if (n == 0 || n >= sizeof u->port)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    return port >= 1 && port <= 65535 && put(u->port, sizeof u->port, text, n);
}

/* HOST, HOST:PORT, [IPv6] or [IPv6]:PORT */
static bool put_authority(rl_load_url *u, const char *text, size_t n)
{
    const char *end = text + n, *host = text, *rest;

    if (n && text[0] == '[') {
        host++;
        rest = memchr(host, ']', n - 1);
        if (!rest || !put(u->host, sizeof u->host, host, (size_t)(rest - host)))
            return false;
        rest++;
    } else {
        rest = memchr(text, ':', n);
        rest = rest ? rest : end;
        if (!put(u->host, sizeof u->host, host, (size_t)(rest - host)))
            return false;
    }
    if (!u->host[0])
        return false;
    if (rest == end)
        return put_port(u, "80", 2);
    return *rest == ':' && put_port(u, rest + 1, (size_t)(end - rest - 1));
}

realm_status rl_load_url_parse(rl_load_url *u, const char *text, realm_error *err)
{
    const char *at = text, *path;
    size_t n;

    *u = (rl_load_url){ .port = "" };
    if (strncmp(text, "https:", 6) == 0)
        return realm_fail(err, REALM_EUNSUPPORTED,
                          "%s: https is not spoken here; put the client beside the server", text);
    if (strncmp(at, "http://", 7) == 0)
        at += 7;
    else if (strstr(at, "://"))
        return realm_fail(err, REALM_EINVAL, "%s: " HINT, text);
    path = at + strcspn(at, "/");
    n = strlen(path);
    while (n && path[n - 1] == '/')
        n--;
    if (n >= 3 && memcmp(path + n - 3, "/v1", 3) == 0)
        n -= 3;
    if (!put_authority(u, at, (size_t)(path - at)) || !put(u->prefix, sizeof u->prefix, path, n))
        return realm_fail(err, REALM_EINVAL, "%s: " HINT, text);
    return REALM_OK;
}

realm_status rl_load_url_resolve(const rl_load_url *u, rl_load_addr *a, realm_error *err)
{
    const struct addrinfo want = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int code = getaddrinfo(u->host, u->port, &want, &found);

    *a = (rl_load_addr){ .size = 0 };
    if (code || !found || found->ai_addrlen > sizeof a->at) {
        if (!code)
            freeaddrinfo(found);
        return realm_fail(err, REALM_ENOTFOUND, "%.100s: %s; " HINT, u->host,
                          code ? gai_strerror(code) : "no address");
    }
    memcpy(&a->at, found->ai_addr, found->ai_addrlen);
    a->size = found->ai_addrlen;
    freeaddrinfo(found);
    return REALM_OK;
}
