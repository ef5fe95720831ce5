/* Nearly right words: what somebody probably meant. */
#ifndef RL_BASE_NEAREST_H
#define RL_BASE_NEAREST_H

#include <stddef.h>

#define RL_NEAREST_MAX 32u /* characters; longer words are near to none */

/* The one of words [n] that is nearest to `word`, by one or two slips or as its beginning; NULL
 * when none is near. */
const char *rl_nearest(const char *word, const char *const *words, size_t n);

#endif
