#include "cli/reply.h"

#include "base/alloc.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE   ((size_t)128 << 10)
#define WAIT_MS 50

typedef struct copy {
    int logs;
    rl_buf *keep;
    bool mid_line; /* text without a newline at its end stands on the screen */
    bool failed;   /* standard output is gone */
} copy;

static void write_out(copy *k, const char *p, size_t n)
{
    if (fwrite(p, 1, n, stdout) != n || fflush(stdout) != 0)
        k->failed = true;
    if (n)
        k->mid_line = p[n - 1] != '\n';
}

/* On a terminal, other lines begin after a line break. */
static void break_line(copy *k)
{
    if (k->mid_line && isatty(STDOUT_FILENO))
        write_out(k, "\n", 1);
}

static void show(copy *k, realm_piece kind, const char *p, size_t n)
{
    if (kind == REALM_PIECE_TEXT) {
        write_out(k, p, n);
        if (k->keep)
            (void)rl_buf_add(k->keep, p, n);
    } else if (kind == REALM_PIECE_EVENT) {
        if (k->mid_line)
            write_out(k, "\n", 1);
        write_out(k, p, n);
        write_out(k, "\n", 1);
    } else if (k->logs == RL_REPLY_LOGS) {
        break_line(k);
        (void)fprintf(stderr, "%.*s%s", (int)n, p, n && p[n - 1] == '\n' ? "" : "\n");
    }
}

int rl_reply_copy(realm_run *run, int logs, rl_buf *keep, realm_run_result *result)
{
    copy k = { .logs = logs, .keep = keep };
    char *piece = rl_alloc(PIECE);
    bool cancelled = false;
    realm_piece kind;
    size_t n;

    memset(result, 0, sizeof *result);
    while (piece && !realm_run_done(run, result)) {
        if (!cancelled && (k.failed || rl_cli_interrupted())) {
            realm_run_cancel(run);
            cancelled = true;
        }
        if (realm_run_read(run, &kind, piece, PIECE, &n, WAIT_MS) != REALM_OK)
            break;
        if (n && !k.failed)
            show(&k, kind, piece, n);
    }
    break_line(&k);
    if (!piece)
        (void)fputs("realm: no memory for the reply\n", stderr);
    else if (k.failed)
        (void)fprintf(stderr, "realm: cannot write the reply: %s\n", strerror(errno));
    rl_free(piece);
    return !piece || k.failed ? RL_EXIT_FAILED : 0;
}
