/* Sizes, durations and counts as people write them: strict reading. */
#ifndef RL_BASE_UNITS_H
#define RL_BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* Whole numbers with a unit and nothing else: bytes "4096", "64KiB", "64MiB", "2GiB", "1TiB",
 * "5kB", "5MB", "5GB"; durations need one: "250ms", "300s", "5m", "1h". -> false: not so, or over
 * 2^63 */
bool rl_units_size(const char *s, uint64_t *bytes);
bool rl_units_duration(const char *s, uint64_t *ms);
bool rl_units_uint(const char *s, uint64_t *v);

#endif
