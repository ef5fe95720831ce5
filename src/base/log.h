/* Log lines. stdout carries results only. Any thread.
 *
 * 1. As the command line has it: "realm: warning: ..." on stderr, written at once.
 * 2. After rl_log_open, as a server has it: one JSON object a line, {"ts","level","msg",...},
 * handed to a thread of its own. No caller ever waits for who reads the log: a line that finds no
 * room is dropped and counted.
 * 3. A line is one write of at most RL_LOG_LINE bytes, which a pipe takes whole, so the lines of
 *    several processes do not mix. What is quoted in it is escaped and cut. */
#ifndef RL_BASE_LOG_H
#define RL_BASE_LOG_H

#include "base/json.h"
#include "realm/status.h"

#define RL_LOG_LINE 4096u

typedef enum rl_log_level { RL_LOG_DEBUG, RL_LOG_INFO, RL_LOG_WARN, RL_LOG_ERROR } rl_log_level;

void rl_log(rl_log_level level, const char *fmt, ...) REALM_PRINTF(2, 3);
void rl_log_set_level(rl_log_level least); /* default RL_LOG_WARN */

/* ---- JSON lines ------------------------------------------------------------------------------ */

/* Lines go to `fd` (borrowed) from now on, those of rl_log too. -> OK | ECONFLICT (it is open) |
 * ENOMEM */
realm_status rl_log_open(int fd, realm_error *err) REALM_MUST_USE;
/* Writes what is left, for a second at most; rl_log is as before then. */
void rl_log_close(void);

typedef struct rl_log_counts {
    uint64_t written, dropped; /* lines since the start of the process */
} rl_log_counts;
void rl_log_count(rl_log_counts *out);

/* A line with members of its own: begin, add to `json`, end. */
typedef struct rl_log_event {
    rl_json json;
    rl_buf buf;
} rl_log_event;

/* -> false: no line is wanted (the level, or no log is open); there is nothing to end then */
bool rl_log_begin(rl_log_event *line, rl_log_level level, const char *msg);
/* A text from outside, cut to `most` bytes at a character's end. NULL: no member. */
void rl_log_text(rl_log_event *line, const char *key, const char *text, size_t most);
void rl_log_end(rl_log_event *line);

#endif
