/* Copies the reply of a run to where it belongs, as it comes: text to standard output, events as
 * one JSON line each, log lines to standard error. Ctrl-C cancels the run. */
#ifndef RL_CLI_REPLY_H
#define RL_CLI_REPLY_H

#include "base/buf.h"
#include "realm/realm.h"

enum { RL_REPLY_LOGS = 0, RL_REPLY_QUIET = 1 };

/* Until the run is over. keep: text is also appended to it; NULL: not. *result is filled. -> 0, or
 * RL_EXIT_FAILED when standard output is gone (the run is cancelled) */
int rl_reply_copy(realm_run *run, int logs, rl_buf *keep, realm_run_result *result);

#endif
