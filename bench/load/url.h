/* Url: where a server is. http://HOST[:PORT][/PREFIX]; https is refused, realm-load speaks plain
 * HTTP. A "/v1" at the end, as OpenAI's clients want it, is dropped: paths are added with it. */
#ifndef RL_LOAD_URL_H
#define RL_LOAD_URL_H

#include "realm/status.h"

#include <sys/socket.h>

typedef struct rl_load_url {
    char host[256];   /* a name or an address; IPv6 without its brackets */
    char port[6];     /* 1..65535 */
    char prefix[256]; /* "" or "/x/y", no slash at the end */
} rl_load_url;

typedef struct rl_load_addr {
    struct sockaddr_storage at;
    socklen_t size;
} rl_load_addr;

realm_status rl_load_url_parse(rl_load_url *u, const char *text, realm_error *err) REALM_MUST_USE;

/* Asks the resolver, once; its first answer is taken. OK | ENOTFOUND */
realm_status rl_load_url_resolve(const rl_load_url *u, rl_load_addr *a,
                                 realm_error *err) REALM_MUST_USE;

#endif
