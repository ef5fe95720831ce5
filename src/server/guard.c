/* Guard: who may call. A page of somebody else's in the user's browser must not (Host and Origin),
 * and over a network only who has a key. */
#include "server/internal.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NOTE_S 60 /* a key's last use is known to the minute */

/* ---- addresses ------------------------------------------------------------------------------- */

/* A Host without its port, and without the brackets of IPv6. -> false: too long */
static bool bare_host(const char *host, char *out, size_t cap)
{
    const char *from = host[0] == '[' ? host + 1 : host;
    const char *end = host[0] == '[' ? strchr(from, ']') : strchr(from, ':');
    size_t n = end ? (size_t)(end - from) : strlen(from);

    if (n >= cap)
        return false;
    memcpy(out, from, n);
    out[n] = 0;
    return true;
}

static bool is_literal(const char *host)
{
    uint8_t at[16];

    return inet_pton(AF_INET, host, at) == 1 || inet_pton(AF_INET6, host, at) == 1;
}

static bool is_loopback(const char *address)
{
    return strcmp(address, "localhost") == 0 || strcmp(address, "::1") == 0 ||
           strncmp(address, "127.", 4) == 0;
}

static bool is_listed(const char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(list[i], text) == 0)
            return true;
    return false;
}

/* ---- at the start ---------------------------------------------------------------------------- */

realm_status rl_guard_init(rl_server *s, realm_error *err)
{
    bool local = is_loopback(s->o.address);
    uint64_t n = 0;
    realm_status st = rl_store_key_count(s->store, &n, err);

    if (st != REALM_OK)
        return st;
    s->needs_key = s->o.keys == RL_SERVER_KEYS_YES || n > 0 || !local;
    if (s->o.keys == RL_SERVER_KEYS_NO && !local)
        return realm_fail(err, REALM_EAUTH,
                          "%.100s can be reached by others: keys are needed there; leave out "
                          "--keys-required no",
                          s->o.address);
    if (s->o.keys == RL_SERVER_KEYS_NO)
        s->needs_key = false;
    if (s->needs_key && n == 0)
        return realm_fail(
            err, REALM_EAUTH,
            "callers of %.100s need keys and there is none: make one with realm key new",
            s->o.address);
    return REALM_OK;
}

/* ---- for each request ------------------------------------------------------------------------ */

/* Addresses cannot be borrowed by a name of somebody else's, so they pass as they are. */
bool rl_guard_host(rl_server *s, rl_http_exchange *ex)
{
    char host[256];

    if (bare_host(rl_http_host(ex), host, sizeof host) &&
        (host[0] == 0 || is_literal(host) || strcasecmp(host, "localhost") == 0 ||
         strcasecmp(host, s->o.address) == 0 || is_listed(s->o.hosts, s->o.n_hosts, host)))
        return true;
    rl_reply_complain(ex, &(rl_complaint){ .status = 421,
                                           .text = "this server does not answer for that host; "
                                                   "allow its name with --allowed-hosts" });
    return false;
}

bool rl_guard_origin(rl_server *s, rl_http_exchange *ex)
{
    const char *origin = rl_http_header(ex, "Origin"), *at;

    if (!origin || is_listed(s->o.origins, s->o.n_origins, origin))
        return true;
    at = strstr(origin, "://");
    if (at && strcasecmp(at + 3, rl_http_host(ex)) == 0)
        return true; /* a page of this server's own */
    rl_reply_complain(ex, &(rl_complaint){ .status = 403,
                                           .text = "pages of that origin may not call; allow it "
                                                   "with --allowed-origins" });
    return false;
}

/* "Bearer <key>", the scheme in any case. */
static const char *bearer(const rl_http_exchange *ex)
{
    const char *value = rl_http_header(ex, "Authorization");

    if (!value || strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    value += 7;
    return value + strspn(value, " ");
}

/* That a key is used is written by the intake: this thread must not wait for a disk. A note that
 * finds no room is no loss, the next use makes another. */
static void note_use(rl_server *s, const rl_store_key *row)
{
    rl_store_key *note;

    if (rl_clock_unix_s() - row->last_used_s < NOTE_S)
        return;
    note = rl_alloc(sizeof *note);
    if (!note)
        return;
    *note = *row;
    if (rl_queue_push(s->used_keys, note) != REALM_OK)
        rl_free(note);
}

bool rl_guard_key(rl_server *s, rl_http_exchange *ex)
{
    rl_complaint c = { .status = 401, .code = "invalid_api_key" };
    const char *key = bearer(ex);
    rl_store_key row;
    realm_error err;

    if (!s->needs_key)
        return true;
    c.text = "a key is needed: send Authorization: Bearer rk_... (realm key new makes one)";
    if (key && rl_store_key_check(s->store, key, strlen(key), &row, &err) == REALM_OK) {
        note_use(s, &row);
        return true;
    }
    if (key && err.status != REALM_EAUTH) {
        rl_reply_error(ex, &err, NULL);
        return false;
    }
    if (key)
        c.text = err.text;
    rl_reply_complain(ex, &c);
    return false;
}
