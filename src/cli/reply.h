/* Copies the reply of a run to where it belongs, as it comes: text to standard output, events as
 * one JSON line each, log lines to standard error, control characters written out. The host's own
 * event at the end of a generation is not shown but noted. Ctrl-C cancels the run. */
#ifndef RL_CLI_REPLY_H
#define RL_CLI_REPLY_H

#include "base/buf.h"
#include "realm/realm.h"

typedef struct rl_reply {
    bool no_logs, no_events;
    bool lines;   /* the reply ends with a newline, wherever it goes */
    rl_buf *keep; /* text is also appended to it; NULL: not */
    /* Filled: */
    realm_run_result result;
    char finish[16]; /* why the last generation ended: "stop", "length"; "" when none did */
    /* Of its own: */
    bool mid_line; /* text without a newline at its end stands on the screen */
    int failed;    /* standard output is gone: its errno */
} rl_reply;

/* Until the run is over. -> 0, or RL_EXIT_FAILED when standard output is gone (the run is
 * cancelled) */
int rl_reply_copy(rl_reply *k, realm_run *run);

#endif
