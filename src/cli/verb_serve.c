/* serve: the OpenAI API on a port, until a signal. */
#include "cli/cli.h"

#include "cli/settings.h"
#include "lib/serve.h"
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 50000000L

/* The signals are waited for, not caught; the threads made after this inherit the mask. */
static void hold_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
}

static rl_server_opts options(const rl_config *c)
{
    const rl_config_value *hosts = rl_config_get(c, "allowed_hosts");
    const rl_config_value *origins = rl_config_get(c, "allowed_origins");

    return (rl_server_opts){
        .address = rl_config_get(c, "host")->text,
        .port = (uint16_t)rl_config_get(c, "port")->number,
        .keys = (rl_server_keys)rl_config_get(c, "keys_required")->number,
        .hosts = hosts->list,
        .n_hosts = hosts->n_list,
        .origins = origins->list,
        .n_origins = origins->n_list,
        .max_connections = (uint32_t)rl_config_get(c, "max_connections")->number,
        .max_connections_per_ip = (uint32_t)rl_config_get(c, "max_connections_per_ip")->number,
        .max_body = (size_t)rl_config_get(c, "max_body")->number,
    };
}

/* Lets replies end, as long as they may. A second signal ends everything at once. */
static void drain(rl_server *s, const sigset_t *set, int64_t seconds)
{
    const struct timespec look = { .tv_nsec = LOOK_NS };
    struct timespec now;
    int64_t until;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    until = now.tv_sec + seconds;
    (void)fputs("stopping; what runs may end\n", stderr);
    rl_server_drain(s);
    while (!rl_server_idle(s) && now.tv_sec < until) {
        if (sigtimedwait(set, NULL, &look) > 0)
            _exit(RL_EXIT_OK);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    }
}

static realm_status load_program(void *r, const char *name, rl_program **out, realm_error *err)
{
    return rl_lib_serve_program(r, name, out, err);
}

static int serve(rl_cli *c, const rl_config *config, const sigset_t *set)
{
    rl_server_opts o = options(config);
    rl_server *s = NULL;
    rl_lib_programs p;
    realm_error err;
    realm_status st = rl_lib_serve_begin(c->r, &o.runtime, &p, &o.home, &err);
    int signal;

    o.builtin = (rl_server_programs){ p.chat, p.embed, p.tokenize, p.detokenize };
    o.load = load_program;
    o.ctx = c->r;
    if (st == REALM_OK)
        st = rl_server_start(&s, &o, &err);
    if (st == REALM_OK) {
        (void)fprintf(stderr, "listening on http://%s%s%s:%u\n", strchr(o.address, ':') ? "[" : "",
                      o.address, strchr(o.address, ':') ? "]" : "", (unsigned)rl_server_port(s));
        (void)fflush(stderr);
        (void)sigwait(set, &signal);
        drain(s, set, rl_config_get(config, "drain_seconds")->number);
    }
    rl_server_free(s);
    rl_lib_serve_end(&p);
    return st == REALM_OK ? RL_EXIT_OK : rl_cli_fail(&err);
}

int rl_verb_serve(rl_cli *c)
{
    rl_config config;
    sigset_t set;
    int code;

    hold_signals(&set);
    code = rl_cli_open(c, NULL);
    if (code)
        return code;
    code = rl_settings_load(c, &config);
    if (code)
        return code;
    code = serve(c, &config, &set);
    rl_config_deinit(&config);
    return code;
}
