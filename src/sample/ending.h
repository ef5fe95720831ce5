/* Ending: how a text inside a grammar comes to its end within so many draws. It holds a way to the
 * end: ids from where the text stands to a complete one, and the id that ends it.
 *
 * 1. While a way is known that fits what is left, every id near the end that is let through leaves
 *    one that fits too; an id that would not is replaced by the first of the known way. So the text
 *    is complete in time, and until the last moment that allows it, it is the model's own.
 * 2. Far from the end, with RL_ENDING_NEAR draws to spare or more, nothing is replaced, and only
 * some ids are looked at: the next look is an eighth of what there is to spare later.
 * 3. What it costs is counted in masks, never in time, so the same text comes about anywhere. A
 *    text may cost RL_ENDING_PER_ID masks for each of its ids, saved up to RL_ENDING_SAVED.
 * 4. Where no way is known nothing is steered. While a grammar waits the text is complete.
 * 5. The grammar itself is asked, but never moved. One thread at a time. */
#ifndef RL_SAMPLE_ENDING_H
#define RL_SAMPLE_ENDING_H

#include "sample/grammar.h"

#define RL_ENDING_MAX    1024u /* most ids of a way */
#define RL_ENDING_AHEAD  1024u /* masks for the first look, on a helper */
#define RL_ENDING_PER_ID 4u
#define RL_ENDING_SAVED  64u
#define RL_ENDING_NEAR   128u

typedef struct rl_ending_stats {
    uint32_t length;       /* ids of the known way; 0: none is known */
    uint64_t masks, looks; /* computed so far; ids that were looked at */
    uint64_t replaced;     /* ids that were not the drawn ones */
} rl_ending_stats;

/* Looks for a short way, for at most `masks` masks. g: where the text stands, borrowed for the
 * call; `left` ids may be drawn. -> OK, also when there is none | ENOMEM */
realm_status rl_ending_new(rl_ending **out, const rl_grammar *g, uint64_t left, uint32_t masks,
                           realm_error *err) REALM_MUST_USE;
realm_status rl_ending_clone(rl_ending **out, const rl_ending *e, realm_error *err) REALM_MUST_USE;
void rl_ending_free(rl_ending *e); /* NULL is fine */

/* *id was drawn and is allowed, g has not gone on by it; `left` ids may be drawn, it among them.
 * Replaces it where it has to be. -> OK | ENOMEM */
realm_status rl_ending_steer(rl_ending *e, rl_grammar *g, uint64_t left, uint32_t *id,
                             realm_error *err) REALM_MUST_USE;
/* The text goes on by the id, steered or not. Before g does. */
void rl_ending_go(rl_ending *e, uint32_t id);
rl_ending_stats rl_ending_get_stats(const rl_ending *e);

#endif
