/* Progress bars on stderr, only when it is a terminal that can be drawn on. One at a time. */
#ifndef RL_CLI_PROGRESS_H
#define RL_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* A realm_progress; ctx is not used. Draws at most ten times a second. -> Ctrl-C was pressed */
bool rl_progress_show(void *ctx, const char *what, uint64_t done, uint64_t total);
/* What the bar is about, put before its words ("pp512"); borrowed, NULL: nothing. */
void rl_progress_label(const char *label);
/* Takes the bar off the screen; anything else on stderr goes after this. */
void rl_progress_clear(void);

#endif
