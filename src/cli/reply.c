#include "cli/reply.h"

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE   ((size_t)128 << 10)
#define WAIT_MS 50

static void write_out(rl_reply *k, const char *p, size_t n)
{
    if (fwrite(p, 1, n, stdout) != n || fflush(stdout) != 0)
        k->failed = errno ? errno : EIO;
    if (n)
        k->mid_line = p[n - 1] != '\n';
}

/* Text and other lines come out in one place: a terminal, or a file with 2>&1. */
static bool share_place(void)
{
    struct stat out, err;

    return isatty(STDOUT_FILENO) ||
           (fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 &&
            out.st_dev == err.st_dev && out.st_ino == err.st_ino);
}

/* There, other lines begin after a line break. */
static void break_line(rl_reply *k)
{
    if (k->mid_line && (k->lines || share_place()))
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
    rl_buf line;

    if (k->no_logs)
        return;
    break_line(k);
    rl_buf_init(&line, 8 * PIECE);
    while (n) {
        const char *end = memchr(p, '\n', n);
        size_t len = end ? (size_t)(end - p) : n;

        rl_text_escape(&line, p, len);
        (void)rl_buf_adds(&line, "\n");
        p += len + (end != NULL);
        n -= len + (end != NULL);
    }
    (void)fputs(line.data ? line.data : "\n", stderr);
    rl_buf_deinit(&line);
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
        (void)fprintf(stderr, "realm: cannot write the reply: %s\n", strerror(k->failed));
    rl_free(piece);
    return !piece || k->failed ? RL_EXIT_FAILED : 0;
}
