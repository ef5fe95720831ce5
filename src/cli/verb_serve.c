/* serve: the OpenAI API on a port, until a signal. The main thread waits for signals and, each
 * second, says how things are: to `realm ps`, to the service manager, and in the log when the
 * engine has stopped making steps. */
#include "cli/cli.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/notify.h"
#include "cli/runfile.h"
#include "cli/settings.h"
#include "lib/serve.h"
#include "server/server.h"
#include "store/store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS   50000000u
#define SECOND_NS 1000000000u

typedef struct serving {
    rl_cli *cli;
    const rl_config *config; /* as it was started with */
    rl_server *server;
    rl_store *store; /* of this thread; NULL: not opened */
    rl_runfile file;
    rl_runfile_row row;
    sigset_t signals;
    int64_t drain_seconds;
    uint64_t told_ns;               /* when the file was written last */
    uint64_t watchdog_ns, alive_ns; /* how often, and when last */
    const char *health;             /* as it was told last; constant */
} serving;

/* The signals are waited for, not caught; the threads made after this inherit the mask. Whoever
 * reads standard error may go without taking the server along. */
static void hold_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
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
        .max_latency_ms = (uint32_t)rl_config_get(c, "max_latency_ms")->number,
        .stall_seconds = (uint32_t)rl_config_get(c, "stall_seconds")->number,
    };
}

/* What the verb itself does by the settings. */
static void obey(serving *s, const rl_config *c)
{
    rl_log_set_level((rl_log_level)rl_config_get(c, "log_level")->number);
    s->drain_seconds = rl_config_get(c, "drain_seconds")->number;
}

/* ---- SIGHUP ---------------------------------------------------------------------------------- */

static bool differs(const rl_config_value *a, const rl_config_value *b)
{
    return strcmp(a->text ? a->text : "", b->text ? b->text : "") != 0;
}

/* Says which settings wait for the next start. */
static void tell_fixed(const rl_config *now, const rl_config *fresh)
{
    for (size_t i = 0; i < now->n_rows; i++)
        if (!now->rows[i].reloadable && differs(&now->values[i], &fresh->values[i]))
            rl_log(RL_LOG_WARN, "%s takes effect at the next start", now->rows[i].name);
}

static void reload(serving *s)
{
    rl_config fresh;
    rl_server_opts o;
    realm_error err;
    realm_status st;

    (void)rl_notify_reloading();
    st = rl_settings_read(s->cli, &fresh, &err);
    if (st == REALM_OK) {
        o = options(&fresh);
        st = rl_server_reload(s->server, &o, &err);
        if (st == REALM_OK) {
            tell_fixed(s->config, &fresh);
            rl_log(RL_LOG_INFO, "the settings were read again");
            obey(s, &fresh); /* after that: it may want fewer lines */
        }
        rl_config_deinit(&fresh);
    }
    if (st != REALM_OK)
        rl_log(RL_LOG_ERROR, "the settings stay as they were: %s", err.text);
    (void)rl_notify("READY=1");
}

/* ---- each second ----------------------------------------------------------------------------- */

/* Names of loaded models, whole ones only. */
static void put_models(const serving *s, char *out, size_t cap)
{
    rl_server_model *list = NULL;
    size_t n = 0, at = 0;

    *out = 0;
    if (!s->store || rl_server_models(s->server, s->store, &list, &n, NULL) != REALM_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i].name);

        if (!list[i].loaded || at + len + 2 > cap)
            continue;
        if (at)
            out[at++] = ',';
        memcpy(out + at, list[i].name, len + 1);
        at += len;
    }
    rl_free(list);
}

static void tell_ps(serving *s, uint64_t now)
{
    uint64_t before = s->row.generated_tokens, since = now - s->told_ns;
    rl_server_status status;

    rl_server_get_status(s->server, &status);
    put_models(s, s->row.models, sizeof s->row.models);
    s->row.running = status.running;
    s->row.waiting = status.waiting;
    s->row.requests = status.requests;
    s->row.prompt_tokens = status.prompt_tokens;
    s->row.generated_tokens = status.generated_tokens;
    s->row.tokens_per_s =
        s->told_ns ? (status.generated_tokens - before) * SECOND_NS / (since ? since : 1) : 0;
    s->row.memory = rl_runfile_memory();
    rl_runfile_write(&s->file, &s->row);
    s->told_ns = now;
}

/* A server that drains does what it should; one whose engine stands still does not. */
static void tell_manager(serving *s, uint64_t now)
{
    const char *why;
    bool ready = rl_server_is_ready(s->server, &why), stalled = strcmp(why, "stalled") == 0;

    if (strcmp(why, s->health) != 0 && stalled)
        rl_log(RL_LOG_ERROR, "there is work and the engine makes no step: not ready");
    else if (ready && strcmp(s->health, "stalled") == 0)
        rl_log(RL_LOG_WARN, "the engine makes steps again");
    s->health = why;
    if (s->watchdog_ns && !stalled && now - s->alive_ns >= s->watchdog_ns) {
        (void)rl_notify("WATCHDOG=1");
        s->alive_ns = now;
    }
}

static void tick(serving *s)
{
    uint64_t now = rl_clock_ns();

    tell_manager(s, now);
    if (now - s->told_ns >= SECOND_NS)
        tell_ps(s, now);
}

/* Waits for so long at most. -> a signal that ends the server, 0: none came */
static int wait_signal(serving *s, uint64_t ns)
{
    uint64_t most = s->watchdog_ns && s->watchdog_ns < ns ? s->watchdog_ns : ns;
    const struct timespec wait = { .tv_sec = (time_t)(most / SECOND_NS),
                                   .tv_nsec = (long)(most % SECOND_NS) };
    int signal = sigtimedwait(&s->signals, NULL, &wait);

    tick(s);
    return signal == SIGTERM || signal == SIGINT ? signal : signal == SIGHUP ? -SIGHUP : 0;
}

/* Lets replies end, as long as they may. A second signal ends everything at once. */
static void drain(serving *s)
{
    uint64_t until = rl_clock_ns() + (uint64_t)s->drain_seconds * SECOND_NS;

    rl_log(RL_LOG_INFO, "stopping; what runs may end");
    (void)rl_notify("STOPPING=1");
    rl_server_drain(s->server);
    while (!rl_server_idle(s->server) && rl_clock_ns() < until) {
        if (wait_signal(s, LOOK_NS) > 0) {
            rl_runfile_close(&s->file);
            rl_log_close();
            _exit(RL_EXIT_OK);
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Without the file the server is not listed, which is no reason not to serve. */
static void open_file(serving *s, const rl_server_opts *o)
{
    bool brackets = strchr(o->address, ':') != NULL;
    realm_error err;

    (void)snprintf(s->row.address, sizeof s->row.address, "http://%s%s%s:%u", brackets ? "[" : "",
                   o->address, brackets ? "]" : "", (unsigned)rl_server_port(s->server));
    s->row.pid = getpid();
    s->row.birth = rl_runfile_birth(getpid());
    s->row.started_s = rl_clock_unix_s();
    if (rl_store_open(&s->store, o->home, &err) != REALM_OK ||
        rl_runfile_open(&s->file, rl_store_home(s->store), &err) != REALM_OK)
        rl_log(RL_LOG_WARN, "realm ps will not list this server: %s", err.text);
}

static void run(serving *s, const rl_server_opts *o)
{
    int signal = 0;

    open_file(s, o);
    tick(s);
    (void)fprintf(stderr, "listening on %s\n", s->row.address);
    (void)fflush(stderr);
    (void)rl_notify("READY=1");
    while (signal <= 0) {
        signal = wait_signal(s, SECOND_NS);
        if (signal < 0)
            reload(s);
    }
    drain(s);
    rl_runfile_close(&s->file);
    rl_store_close(s->store);
}

static realm_status load_program(void *r, const char *name, rl_program **out, realm_error *err)
{
    return rl_lib_serve_program(r, name, out, err);
}

static int serve(rl_cli *c, const rl_config *config, const sigset_t *set)
{
    serving s = { .cli = c,
                  .config = config,
                  .file = { .fd = -1 },
                  .signals = *set,
                  .watchdog_ns = rl_notify_watchdog_ns(),
                  .health = "ok" };
    rl_server_opts o = options(config);
    rl_lib_programs p;
    realm_error err;
    realm_status st = rl_lib_serve_begin(c->r, &o.runtime, &p, &o.home, &err);

    o.builtin = (rl_server_programs){ p.chat, p.embed, p.tokenize, p.detokenize };
    o.load = load_program;
    o.ctx = c->r;
    if (st == REALM_OK)
        st = rl_log_open(STDERR_FILENO, &err);
    if (st == REALM_OK) {
        obey(&s, config);
        st = rl_server_start(&s.server, &o, &err);
        if (st == REALM_OK)
            run(&s, &o);
        rl_server_free(s.server);
        rl_log_close();
    }
    rl_lib_serve_end(&p);
    return st == REALM_OK ? RL_EXIT_OK : rl_cli_fail(&err);
}

bool rl_serve_row(size_t i, char head[RL_CLI_HEAD], const char **text)
{
    rl_server_endpoint e;

    if (!rl_server_endpoint_at(i, &e))
        return false;
    (void)snprintf(head, RL_CLI_HEAD, "%-4s %s%s", e.method, e.path, e.named ? "NAME" : "");
    *text = e.text;
    return true;
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
