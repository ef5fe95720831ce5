/* Order: which of the allowed ids brings a text nearest to its end, by what the ids are made of:
 * what closes something first, white space last. A guess, made without the grammar: that it leads
 * to an end is for the caller to see. One per vocabulary, immutable, any thread. */
#ifndef RL_SAMPLE_ORDER_H
#define RL_SAMPLE_ORDER_H

#include "token/token.h"

#define RL_ORDER_BRIDGES 8u /* most ids that close the likeliest things */

typedef struct rl_order rl_order;

/* How to guess; where one goes round in circles, another one may not. */
typedef enum rl_order_way {
    RL_ORDER_CLOSE, /* brackets, quotes, commas, digits, letters: as JSON ends */
    RL_ORDER_FRESH, /* the same, but a byte that was picked seldom first */
    RL_ORDER_MARKS, /* punctuation before letters; what was picked again and again later */
    RL_ORDER_ANGLE, /* the same, in free text what begins with < first: as XML ends */
    RL_ORDER_WAYS,
} rl_order_way;

/* The picks of one text; zero it to start. */
typedef struct rl_order_past {
    uint16_t began[256];      /* how many began with the byte */
    uint32_t n_bits;          /* of the last mask: where it stays the same one may go round */
    uint16_t alike, used[16]; /* picks since it changed, and of each kind */
} rl_order_past;

rl_order *rl_order_new(const rl_vocab *vocab); /* vocab: borrowed. NULL without memory */
void rl_order_free(rl_order *o);               /* NULL is fine */

/* The best id of mask [ceil(n_tokens / 32)], which the past then counts. RL_NO_TOKEN: there is none
 * that is text or a control token. */
uint32_t rl_order_pick(const rl_order *o, rl_order_way way, const uint32_t *mask,
                       rl_order_past *past);
/* The lowest id of mask that ends a text. RL_NO_TOKEN: there is none */
uint32_t rl_order_end(const rl_order *o, const uint32_t *mask);
bool rl_order_ends(const rl_order *o, uint32_t id); /* it ends a text */
uint32_t rl_order_n_words(const rl_order *o);       /* of a mask */
/* -> how many; out [RL_ORDER_BRIDGES] */
uint32_t rl_order_bridges(const rl_order *o, uint32_t *out);

#endif
