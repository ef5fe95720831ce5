/* The thread behind log.h's JSON lines. Private to log.c. */
#ifndef RL_BASE_LOG_SINK_H
#define RL_BASE_LOG_SINK_H

#include "base/buf.h"

bool rl_log_sink_is_open(void);
/* Takes the line; counts it as dropped when it failed or there is no room. Never blocks. */
void rl_log_sink_put(rl_buf *line);

#endif
