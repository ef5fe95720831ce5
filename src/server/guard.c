/* Guard: who may call. A page of somebody else's in the user's browser must not (Host and Origin),
 * and over a network only who has a key. */
#include "server/internal.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NOTE_S   60 /* a key's last use is known to the minute */
#define MAX_BODY ((size_t)1 << 20)

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

static bool is_listed(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(list[i], text) == 0)
            return true;
    return false;
}

/* ---- the rules ------------------------------------------------------------------------------- */

static char **copy_list(const char *const *list, size_t n)
{
    char **copy = rl_alloc_array(n + 1, sizeof *copy);

    for (size_t i = 0; copy && i < n; i++)
        copy[i] = rl_strdup(list[i]);
    return copy;
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        rl_free(list[i]);
    rl_free(list);
}

static bool is_whole(char *const *list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        if (!list[i])
            return false;
    return list != NULL;
}

static void free_rules(rl_guard_rules *r)
{
    if (!r)
        return;
    free_list(r->hosts, r->n_hosts);
    free_list(r->origins, r->n_origins);
    rl_free(r);
}

static rl_guard_rules *new_rules(const rl_server_opts *o)
{
    rl_guard_rules *r = rl_alloc(sizeof *r);

    if (!r)
        return NULL;
    r->max_body = o->max_body ? o->max_body : MAX_BODY;
    r->n_hosts = o->n_hosts;
    r->n_origins = o->n_origins;
    r->hosts = copy_list(o->hosts, o->n_hosts);
    r->origins = copy_list(o->origins, o->n_origins);
    if (is_whole(r->hosts, r->n_hosts) && is_whole(r->origins, r->n_origins))
        return r;
    free_rules(r);
    return NULL;
}

/* Whether callers of this address need keys, of which there are n. */
static realm_status decide(const char *address, rl_server_keys keys, uint64_t n, bool *needs_key,
                           realm_error *err)
{
    bool local = is_loopback(address);

    *needs_key = keys != RL_SERVER_KEYS_NO && (keys == RL_SERVER_KEYS_YES || n > 0 || !local);
    if (keys == RL_SERVER_KEYS_NO && !local)
        return realm_fail(err, REALM_EAUTH,
                          "%.100s can be reached by others: keys are needed there; leave out "
                          "--keys-required no",
                          address);
    if (*needs_key && n == 0)
        return realm_fail(
            err, REALM_EAUTH,
            "callers of %.100s need keys and there is none: make one with realm key new", address);
    return REALM_OK;
}

static realm_status make_rules(const rl_server *s, rl_store *store, const rl_server_opts *o,
                               rl_guard_rules **out, realm_error *err)
{
    bool needs_key = false;
    uint64_t n = 0;
    realm_status st = rl_store_key_count(store, &n, err);

    *out = NULL;
    if (st == REALM_OK)
        st = decide(s->o.address, o->keys, n, &needs_key, err);
    if (st != REALM_OK)
        return st;
    *out = new_rules(o);
    if (!*out)
        return realm_fail(err, REALM_ENOMEM, "no memory for the server's settings");
    (*out)->needs_key = needs_key;
    return REALM_OK;
}

realm_status rl_guard_init(rl_server *s, const rl_server_opts *o, realm_error *err)
{
    atomic_store(&s->stall_seconds, o->stall_seconds);
    return make_rules(s, s->store, o, &s->rules, err);
}

void rl_guard_deinit(rl_server *s)
{
    free_rules(s->rules);
    free_rules(atomic_load(&s->new_rules));
}

/* Made here, with a connection of its own, and handed over: the http thread never waits. */
realm_status rl_server_reload(rl_server *s, const rl_server_opts *opts, realm_error *err)
{
    rl_guard_rules *rules = NULL;
    rl_store *store = NULL;
    realm_status st = rl_store_open(&store, s->o.home, err);

    if (st == REALM_OK)
        st = make_rules(s, store, opts, &rules, err);
    rl_store_close(store);
    if (st != REALM_OK)
        return st;
    atomic_store(&s->stall_seconds, opts->stall_seconds);
    rl_admission_set(&s->admission, (uint64_t)opts->max_latency_ms * 1000000u);
    free_rules(atomic_exchange(&s->new_rules, rules)); /* given before and not taken yet */
    return REALM_OK;
}

/* The http thread, with each request: all that is asked about one is by the same rules. */
static const rl_guard_rules *take_rules(rl_server *s)
{
    rl_guard_rules *rules =
        atomic_load(&s->new_rules) ? atomic_exchange(&s->new_rules, NULL) : NULL;

    if (rules) {
        free_rules(s->rules);
        s->rules = rules;
    }
    return s->rules;
}

/* ---- for each request ------------------------------------------------------------------------ */

/* Addresses cannot be borrowed by a name of somebody else's, so they pass as they are. Asked
 * first of all. */
bool rl_guard_host(rl_server *s, rl_http_exchange *ex)
{
    const rl_guard_rules *rules = take_rules(s);
    char host[256];

    rl_http_limit_body(ex, rules->max_body);
    if (bare_host(rl_http_host(ex), host, sizeof host) &&
        (host[0] == 0 || is_literal(host) || strcasecmp(host, "localhost") == 0 ||
         strcasecmp(host, s->o.address) == 0 || is_listed(rules->hosts, rules->n_hosts, host)))
        return true;
    rl_reply_complain(ex, &(rl_complaint){ .status = 421,
                                           .text = "this server does not answer for that host; "
                                                   "allow its name with --allowed-hosts" });
    return false;
}

bool rl_guard_origin(rl_server *s, rl_http_exchange *ex)
{
    const char *origin = rl_http_header(ex, "Origin"), *at;

    if (!origin || is_listed(s->rules->origins, s->rules->n_origins, origin))
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

    if (!s->rules->needs_key)
        return true;
    c.text = "a key is needed: send Authorization: Bearer rk_... (realm key new makes one)";
    if (key && rl_store_key_check(s->store, key, strlen(key), &row, &err) == REALM_OK) {
        note_use(s, &row);
        rl_http_note(ex, row.id);
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
