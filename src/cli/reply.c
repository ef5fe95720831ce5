#include "cli/reply.h"

#include "base/alloc.h"
#include "cli/cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE   ((size_t)128 << 10)
#define WAIT_MS 50

static void write_out(rl_reply *k, const char *p, size_t n)
{
    if (fwrite(p, 1, n, stdout) != n || fflush(stdout) != 0)
        k->failed = true;
    if (n)
        k->mid_line = p[n - 1] != '\n';
}

/* On a terminal, other lines begin after a line break. */
static void break_line(rl_reply *k)
{
    if (k->mid_line && isatty(STDOUT_FILENO))
        write_out(k, "\n", 1);
}

/* {"event": "finish", "choice", "reason"}: the host's, after each generation. */
static bool is_finish(rl_reply *k, const char *json, size_t n)
{
    json_t *o = json_loadb(json, n, 0, NULL);
    const char *event = json_string_value(json_object_get(o, "event"));
    const char *reason = json_string_value(json_object_get(o, "reason"));
    bool yes = event && strcmp(event, "finish") == 0;

    if (yes)
        (void)snprintf(k->finish, sizeof k->finish, "%s", reason ? reason : "");
    json_decref(o);
    return yes;
}

static void show_event(rl_reply *k, const char *json, size_t n)
{
    if (is_finish(k, json, n) || k->no_events)
        return;
    if (k->mid_line)
        write_out(k, "\n", 1);
    write_out(k, json, n);
    write_out(k, "\n", 1);
}

static void show_log(rl_reply *k, const char *p, size_t n)
{
    if (k->no_logs)
        return;
    break_line(k);
    (void)fprintf(stderr, "%.*s%s", (int)n, p, n && p[n - 1] == '\n' ? "" : "\n");
}

static void show(rl_reply *k, realm_piece kind, const char *p, size_t n)
{
    if (kind == REALM_PIECE_TEXT) {
        write_out(k, p, n);
        if (k->keep)
            (void)rl_buf_add(k->keep, p, n);
    } else if (kind == REALM_PIECE_EVENT) {
        show_event(k, p, n);
    } else {
        show_log(k, p, n);
    }
}

int rl_reply_copy(rl_reply *k, realm_run *run)
{
    char *piece = rl_alloc(PIECE);
    bool cancelled = false;
    realm_piece kind;
    size_t n;

    while (piece && !realm_run_done(run, &k->result)) {
        if (!cancelled && (k->failed || rl_cli_interrupted())) {
            realm_run_cancel(run);
            cancelled = true;
        }
        if (realm_run_read(run, &kind, piece, PIECE, &n, WAIT_MS) != REALM_OK)
            break;
        if (n && !k->failed)
            show(k, kind, piece, n);
    }
    break_line(k);
    if (!piece)
        (void)fputs("realm: no memory for the reply\n", stderr);
    else if (k->failed)
        (void)fprintf(stderr, "realm: cannot write the reply: %s\n", strerror(errno));
    rl_free(piece);
    return !piece || k->failed ? RL_EXIT_FAILED : 0;
}
