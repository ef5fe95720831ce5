/* How verbs talk: errors, results, standard input, Ctrl-C, and opening the library. */
#include "cli/cli.h"

#include "cli/progress.h"
#include "cli/settings.h"
#include "cli/text.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t interrupts;

static struct termios terminal; /* as it was, while hushed */
static volatile sig_atomic_t hushed;

static void on_interrupt(int sig)
{
    (void)sig;
    if (!interrupts++)
        return;
    if (hushed)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
    _exit(RL_EXIT_INTERRUPTED);
}

void rl_cli_hush(bool on)
{
    struct termios quiet;

    if (!on && hushed) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
        hushed = 0;
    } else if (on && !hushed && tcgetattr(STDIN_FILENO, &terminal) == 0) {
        quiet = terminal;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        hushed = 1;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    }
}

void rl_cli_catch_interrupt(void)
{
    struct sigaction sa;

    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_interrupt; /* without SA_RESTART: a waiting read ends */
    (void)sigaction(SIGINT, &sa, NULL);
}

bool rl_cli_interrupted(void)
{
    return interrupts != 0;
}

void rl_cli_clear_interrupt(void)
{
    interrupts = 0;
}

int rl_cli_fail(const realm_error *err)
{
    rl_buf text;

    rl_progress_clear();
    if (rl_cli_interrupted() && err->status == REALM_ECANCELLED) {
        (void)fputs("realm: stopped\n", stderr);
        return RL_EXIT_INTERRUPTED;
    }
    rl_buf_init(&text, 8 * sizeof err->text); /* it may quote a file or a guest */
    rl_text_escape(&text, err->text, strlen(err->text));
    (void)fprintf(stderr, "realm: %s\n", text.data ? text.data : "");
    rl_buf_deinit(&text);
    return RL_EXIT_FAILED;
}

int rl_cli_print(rl_buf *out)
{
    bool failed = out->failed;

    rl_progress_clear();
    if (!failed && out->len)
        failed = fwrite(out->data, 1, out->len, stdout) != out->len;
    if (failed)
        (void)fprintf(stderr, "realm: cannot write the result\n");
    rl_buf_deinit(out);
    return failed ? RL_EXIT_FAILED : RL_EXIT_OK;
}

void rl_cli_invite(const char *what)
{
    if (isatty(STDIN_FILENO))
        (void)fprintf(stderr, "realm: reading the %s; end it with Ctrl-D on a line of its own\n",
                      what);
}

int rl_cli_read_all(const char *path, rl_buf *out)
{
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    char chunk[65536];
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0) {
        n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR && !rl_cli_interrupted())
            n = 1;
        else if (n > 0 && rl_buf_add(out, chunk, (size_t)n) != REALM_OK)
            break;
    }
    if (n < 0 && rl_cli_interrupted()) {
        (void)fputs("realm: stopped\n", stderr);
        return RL_EXIT_INTERRUPTED;
    }
    if (n < 0)
        (void)fprintf(stderr, "realm: %s: %s\n", path ? path : "standard input", strerror(errno));
    else if (out->failed)
        (void)fprintf(stderr, "realm: %s: over %zu bytes\n", path ? path : "standard input",
                      out->max);
    if (path && fd >= 0)
        (void)close(fd);
    return n < 0 || out->failed ? RL_EXIT_FAILED : RL_EXIT_OK;
}

/* Verbs differ in which of these options they offer. */
static bool offers(const rl_cli *c, const char *name)
{
    for (const rl_opt *o = c->verb->opts; o && o->name; o++) {
        if (strcmp(o->name, name) == 0)
            return true;
    }
    return false;
}

/* The configuration's share of the options; its texts live as long as it. */
static void apply(const rl_config *config, realm_options *o)
{
    o->home = rl_config_get(config, "home")->text;
    o->n_threads = (uint32_t)rl_config_get(config, "threads")->number; /* 0: not set */
    o->kv = (realm_kv)rl_config_get(config, "kv")->number;
    o->kv_bytes = (uint64_t)rl_config_get(config, "kv_memory")->number;
    o->no_prefix_cache = o->no_prefix_cache || rl_config_get(config, "prefix_cache")->number != 0;
    o->no_speculation = o->no_speculation || rl_config_get(config, "speculate")->number != 0;
    o->max_guests = (uint32_t)rl_config_get(config, "max_guests")->number;
    o->n_ctx = (uint32_t)rl_config_get(config, "ctx")->number;
}

int rl_cli_store(const rl_cli *c, rl_store **out)
{
    rl_config config;
    realm_error err;
    int code = rl_settings_load(c, &config);

    *out = NULL;
    if (code)
        return code;
    if (rl_store_open(out, rl_config_get(&config, "home")->text, &err) != REALM_OK)
        code = rl_cli_fail(&err);
    rl_config_deinit(&config);
    return code;
}

int rl_cli_open(rl_cli *c, const realm_options *opts)
{
    realm_options o = opts ? *opts : (realm_options){ .home = NULL };
    rl_config config;
    realm_error err;
    int code = rl_settings_load(c, &config);

    if (code)
        return code;
    apply(&config, &o);
    if (!o.max_guests && opts) /* the verb's own default */
        o.max_guests = opts->max_guests;
    if (offers(c, "reference") && rl_cli_has(c, "reference"))
        o.reference = true;
    o.progress = rl_progress_show;
    if (realm_open(&c->r, &o, &err) != REALM_OK)
        code = rl_cli_fail(&err);
    rl_config_deinit(&config);
    return code;
}
