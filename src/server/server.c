#include "server/log.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define CONNECTIONS 4096u
#define USED_KEYS   64u

static realm_status copy_options(rl_server *s, const rl_server_opts *o, realm_error *err)
{
    s->o = *o;
    s->o.address = rl_strdup(o->address ? o->address : "127.0.0.1");
    s->o.home = o->home ? rl_strdup(o->home) : NULL;
    s->o.hosts = s->o.origins = NULL;
    s->o.n_hosts = s->o.n_origins = 0;
    if (s->o.address && (s->o.home || !o->home))
        return REALM_OK;
    return realm_fail(err, REALM_ENOMEM, "no memory for the server");
}

static realm_status start_intake(rl_server *s, realm_error *err)
{
    uint32_t most = s->o.max_connections ? s->o.max_connections : CONNECTIONS;
    int rc;

    /* An answer outlives its connection for a moment, so there may be more of them. */
    s->max_answers = most * 2;
    s->intake = rl_queue_new(s->max_answers);
    s->used_keys = rl_queue_new(USED_KEYS);
    if (!s->intake || !s->used_keys)
        return realm_fail(err, REALM_ENOMEM, "no memory for the server");
    rc = pthread_create(&s->thread, NULL, rl_answer_intake, s);
    s->has_thread = rc == 0;
    return rc == 0 ? REALM_OK
                   : realm_fail(err, REALM_EIO, "no thread for the server: %s", strerror(rc));
}

static realm_status start_http(rl_server *s, realm_error *err)
{
    const rl_http_opts o = { .address = s->o.address,
                             .port = s->o.port,
                             .body_max = s->o.max_body,
                             .conns_max = s->o.max_connections,
                             .conns_per_ip_max = s->o.max_connections_per_ip,
                             .admit = rl_routes_admit,
                             .handle = rl_routes_handle,
                             .refuse = rl_routes_refuse,
                             .refuse_type = "application/json",
                             .ended = rl_server_ended,
                             .ctx = s };

    return rl_http_start(&s->http, &o, err);
}

realm_status rl_server_start(rl_server **out, const rl_server_opts *opts, realm_error *err)
{
    rl_server *s = rl_alloc(sizeof *s);
    realm_status st;

    *out = NULL;
    if (!s)
        return realm_fail(err, REALM_ENOMEM, "no memory for the server");
    rl_admission_init(&s->admission, (uint64_t)opts->max_latency_ms * 1000000u);
    s->start_s = (double)rl_clock_unix_s();
    st = copy_options(s, opts, err);
    if (st == REALM_OK)
        st = rl_store_open(&s->store, s->o.home, err);
    if (st == REALM_OK)
        st = rl_store_open(&s->intake_store, s->o.home, err);
    if (st == REALM_OK)
        st = rl_guard_init(s, opts, err);
    if (st == REALM_OK) {
        rl_programs_warm(s);
        st = start_intake(s, err);
    }
    if (st == REALM_OK)
        st = start_http(s, err);
    if (st == REALM_OK)
        *out = s;
    else
        rl_server_free(s);
    return st;
}

uint16_t rl_server_port(const rl_server *s)
{
    return rl_http_port(s->http);
}

void rl_server_drain(rl_server *s)
{
    atomic_store(&s->draining, true);
    rl_http_stop_listening(s->http);
}

bool rl_server_idle(const rl_server *s)
{
    rl_http_counts n;

    rl_http_count(s->http, &n);
    return n.exchanges == 0 && atomic_load(&s->n_answers) == 0;
}

/* The connections first: that ends every exchange, and what is left are answers to be closed. */
void rl_server_free(rl_server *s)
{
    if (!s)
        return;
    rl_http_free(s->http);
    atomic_store(&s->stopping, true);
    if (s->has_thread)
        (void)pthread_join(s->thread, NULL);
    rl_answer_write_used(s); /* what the intake left */
    rl_queue_free(s->used_keys);
    rl_queue_free(s->intake);
    rl_programs_free(s->programs);
    rl_store_close(s->intake_store);
    rl_store_close(s->store);
    rl_guard_deinit(s);
    rl_admission_deinit(&s->admission);
    rl_free((char *)(uintptr_t)s->o.address);
    rl_free((char *)(uintptr_t)s->o.home);
    rl_free(s);
}
