/* Editor: messages from a person (libedit, with history) or from a pipe, one at a time. */
#ifndef RL_CLI_EDITOR_H
#define RL_CLI_EDITOR_H

#include "base/buf.h"

#include <stdbool.h>

typedef struct rl_editor rl_editor;

/* person: a terminal; else plain lines of standard input. history: folder of the history file,
 * NULL: the user's state folder. -> NULL without memory */
rl_editor *rl_editor_open(bool person, const char *history);
void rl_editor_close(rl_editor *e); /* saves the history; NULL is fine */

/* The next message without its line end; a backslash before the end of a line continues it.
 * -> false at the end of input */
bool rl_editor_read(rl_editor *e, rl_buf *message);
bool rl_editor_interrupted(const rl_editor *e); /* Ctrl-C on an empty line ended the input */

#endif
