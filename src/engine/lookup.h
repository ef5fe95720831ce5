/* Lookup: what came after an earlier place where the last ids of a text stood already. A text that
 * repeats itself or its prompt is guessed well by that.
 *
 * No memory of its own; a find looks at RL_LOOKUP_REACH ids at most, and compares RL_LOOKUP_MOST of
 * each place. Any thread. */
#ifndef RL_ENGINE_LOOKUP_H
#define RL_ENGINE_LOOKUP_H

#include <stdint.h>

#define RL_LOOKUP_REACH 16384u /* ids back from the end that are looked at */
#define RL_LOOKUP_LEAST 2u     /* ids that must be the same */
#define RL_LOOKUP_MOST  8u     /* more are not compared */

/* Where the most of the last ids stood before, up to RL_LOOKUP_MOST of them; of equals the latest.
 * ids: [n]. *at: what followed them there begins at ids[*at], 0 < *at < n.
 * -> how many are the same, RL_LOOKUP_LEAST or more; 0: nowhere, *at is unchanged */
uint32_t rl_lookup_find(const uint32_t *ids, uint32_t n, uint32_t *at);

/* Writes the k ids from `at` on behind the end, [n, n + k). Past the end it reads what it wrote: a
 * text that goes round goes on so. */
void rl_lookup_copy(uint32_t *ids, uint32_t n, uint32_t at, uint32_t k);

#endif
