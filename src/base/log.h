/* Log lines on stderr: "realm: warning: ...". stdout carries results only. Any thread. */
#ifndef RL_BASE_LOG_H
#define RL_BASE_LOG_H

#include "realm/status.h"

typedef enum rl_log_level { RL_LOG_DEBUG, RL_LOG_INFO, RL_LOG_WARN, RL_LOG_ERROR } rl_log_level;

void rl_log(rl_log_level level, const char *fmt, ...) REALM_PRINTF(2, 3);
void rl_log_set_level(rl_log_level least); /* default RL_LOG_WARN */

#endif
