/* Unicode classes, as far as the pretokenizers' patterns name them: \p{L}, \p{N}, \s, the rest.
 * The tables are generated (tools/gen_unicode.py). Any thread. */
#ifndef RL_TOKEN_UNICODE_H
#define RL_TOKEN_UNICODE_H

#include <stdint.h>

typedef enum rl_char_class {
    RL_CHAR_OTHER = 0,
    RL_CHAR_LETTER = 1,
    RL_CHAR_NUMBER = 2,
    RL_CHAR_SPACE = 3,
} rl_char_class;

#define RL_UNICODE_STAGES 0x1100u /* pages of 256 code points */

extern const uint8_t rl_unicode_stage[RL_UNICODE_STAGES]; /* page of each 256 code points */
extern const uint8_t rl_unicode_pages[][64];              /* 2 bits per code point */

/* cp <= 0x10ffff */
static inline rl_char_class rl_char_class_of(uint32_t cp)
{
    const uint8_t *page = rl_unicode_pages[rl_unicode_stage[cp >> 8]];

    return (rl_char_class)(page[(cp & 255) >> 2] >> (2 * (cp & 3)) & 3);
}

#endif
