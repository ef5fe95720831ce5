/* Sizes, durations and counts: short writing. (Reading is base/units.h.) */
#ifndef RL_CLI_UNITS_H
#define RL_CLI_UNITS_H

#include "base/units.h"

#include <stddef.h>

#define RL_UNITS_TEXT 32

/* "512 B", "46.3 MiB", "1.04 GiB" */
const char *rl_units_show_size(uint64_t bytes, char out[RL_UNITS_TEXT]);
/* "987", "494 M", "1.54 B" */
const char *rl_units_show_count(uint64_t n, char out[RL_UNITS_TEXT]);
/* "0.4 ms", "2.31 s", "3 min 20 s" */
const char *rl_units_show_ns(uint64_t ns, char out[RL_UNITS_TEXT]);
/* Local date and time, "2026-11-22 14:05". */
const char *rl_units_show_date(int64_t unix_s, char out[RL_UNITS_TEXT]);

#endif
