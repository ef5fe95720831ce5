/* Echo: a prompt told again, its ids as text, one after the other, in whole characters.
 *
 * What the prompt leaves of a character is not told: it is the beginning of what comes next, and
 * rl_echo_rest gives it to who tells that. Control tokens have their text, as everybody who sends
 * them sees it. One thread at a time. */
#ifndef RL_ENGINE_ECHO_H
#define RL_ENGINE_ECHO_H

#include "token/token.h"

typedef struct rl_echo {
    const rl_vocab *vocab;    /* borrowed, like ids and text */
    const uint32_t *ids;      /* those in [from, to) are told */
    uint32_t from, to, at;    /* at: the next one */
    const char *text;         /* what the ids were made of; NULL: they were given as ids */
    size_t n_text, n_matched; /* bytes of it; how many were told */
    rl_detok detok;
    rl_buf piece; /* the text of `at` that was not taken yet, once it is open */
    bool open;
    uint32_t skipped; /* bytes of the last token that its text is without */
} rl_echo;

void rl_echo_init(rl_echo *e, const rl_vocab *v, const uint32_t *ids, uint32_t from, uint32_t to,
                  const char *text);
void rl_echo_deinit(rl_echo *e); /* of zeros, too */

/* How much of the next id's text is left; there must be one. -> OK | ETOOBIG | ENOMEM */
realm_status rl_echo_peek(rl_echo *e, size_t *left) REALM_MUST_USE;
/* After a peek: moves up to cap bytes of whole characters. When nothing is left the id is told, and
 * the next one is at. -> bytes */
size_t rl_echo_take(rl_echo *e, char *out, size_t cap);

/* The unfinished character at the end of all, whatever was told so far. -> OK | ETOOBIG | ENOMEM */
realm_status rl_echo_rest(const rl_echo *e, rl_detok *rest) REALM_MUST_USE;

#endif
