/* Prompt: texts of common words, one for each number, none like another.
 *
 * The first four words spell the number (mixed with the seed, one to one), so that no server can
 * take a prompt's beginning from a cache; the rest is drawn. The words are such that the tokenizers
 * in use have a token for each with the space before it: words + a constant is the token count. */
#ifndef RL_LOAD_PROMPT_H
#define RL_LOAD_PROMPT_H

#include "base/buf.h"

#include <stdint.h>

#define RL_LOAD_PROMPT_WORDS 256u /* in the list */
#define RL_LOAD_PROMPT_LEAST 4u   /* words of the shortest prompt */

extern const char *const rl_load_words[RL_LOAD_PROMPT_WORDS];

/* Appends at least LEAST words with spaces between; failure shows in out->failed. */
void rl_load_prompt_write(rl_buf *out, uint64_t seed, uint32_t number, uint32_t n_words);

#endif
