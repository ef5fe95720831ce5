/* Private to the room: what a sampler holds. */
#ifndef RL_SAMPLE_SAMPLER_H
#define RL_SAMPLE_SAMPLER_H

#include "sample/dense.h"
#include "sample/ending.h"
#include "sample/grammar.h"
#include "sample/sample.h"

struct rl_sampler {
    rl_sample_params p; /* bias points to `bias` below */
    uint32_t n_vocab;
    uint32_t window[RL_PENALTY_WINDOW]; /* ring of accepted ids */
    uint32_t n_window, next;            /* how many, and where the next one goes */
    rl_logit_bias *bias;                /* [p.n_bias] by rising id */
    rl_changed *changed;                /* [p.n_bias + RL_PENALTY_WINDOW] scratch of a draw */
    double *tile_sums;                  /* [rl_dense_tiles(n_vocab)] scratch of a draw */
    uint32_t *mask;                     /* owned; [ceil(n_vocab / 32)], NULL before the first one */
    bool masked;                        /* the next draw is under it */
    rl_grammar *grammar;                /* owned; NULL: none */
    uint32_t *allowed;                  /* owned; [ceil(n_vocab / 32)] scratch of the grammar */
    uint64_t left;                      /* draws, the next one among them; 0: not known */
    rl_ending *ending;                  /* owned; NULL: none, or not yet */
}; /* bias, changed and tile_sums lie behind the struct in the same memory */

/* -> OK | EINVAL with the name of the parameter that is out of range */
realm_status rl_sample_params_check(const rl_sample_params *p, realm_error *err) REALM_MUST_USE;

/* Fills s->changed with every id whose logit bias or penalties change. -> how many */
uint32_t rl_sampler_changes(rl_sampler *s, const float *logits);

#endif
