/* Seqs: the sequences and samplers behind a run's handles. Worker only.
 *
 * 1. seq_append only records ids (`fresh`); the next call that computes gives them to the engine.
 * 2. A stream that generates on a sequence owns it and its sampler meanwhile (`lent`): other calls
 *    are told EBUSY. They come back when the engine is done with the job.
 * 3. A call that waits for a draw owns the sampler in its op, so that the run may end meanwhile. */
#ifndef RL_GUEST_SEQS_H
#define RL_GUEST_SEQS_H

#include "guest/call.h"

#include "engine/engine.h"

struct rl_gstream;

typedef struct rl_gseq {
    struct rl_run *run; /* borrowed */
    rl_seq *seq;        /* owned; NULL while lent */
    rl_lm *lm;          /* owned reference */
    uint32_t *fresh;    /* owned; [n_fresh] recorded, not given to the engine yet */
    uint32_t n_fresh, cap_fresh;
    struct rl_gstream *lent; /* the stream that has seq; NULL: none */
} rl_gseq;

typedef struct rl_gsampler {
    rl_sampler *sampler;     /* owned; NULL while lent or in an op */
    rl_lm *lm;               /* owned reference: only on its sequences it may draw */
    struct rl_gstream *lent; /* the stream that has it; NULL: none */
} rl_gsampler;

/* Finds what a handle stands for, and takes back what a stream is done with.
 * -> 0, or the call's answer: ENOTFOUND, or EBUSY while it is lent */
int64_t rl_gseq_get(rl_call *c, uint64_t handle, rl_gseq **out);
int64_t rl_gsampler_get(rl_call *c, uint64_t handle, rl_gsampler **out);

/* Makes one with a handle, a sequence empty, a sampler with `s`, which is taken.
 * -> the handle, or the call's answer */
int64_t rl_gseq_new(rl_call *c, rl_lm *lm, rl_gseq **out);
int64_t rl_gsampler_new(rl_call *c, rl_lm *lm, rl_sampler *s);

/* What a stream was lent it keeps. */
void rl_gseq_free(rl_gseq *q);
void rl_gsampler_free(rl_gsampler *s);

uint32_t rl_gseq_len(const rl_gseq *q); /* recorded ids included; not while it is lent */
/* Records ids, checked and perhaps unaligned. -> 0, or the call's answer: ECONTEXT, ENOMEM */
int64_t rl_gseq_append(rl_call *c, rl_gseq *q, const void *ids, uint64_t n);
/* Item i of an input list of u32, which may lie unaligned in guest memory. */
uint32_t rl_item_of(const rl_arg *a, uint64_t i);
/* Checks that an argument's ids are in the vocabulary. -> 0, or the call's answer: EINVAL */
int64_t rl_ids_check(rl_call *c, const rl_arg *ids, const rl_lm *lm);
/* The fresh ids as a copy for a job, with room for `extra` more. NULL without memory. */
uint32_t *rl_gseq_fresh(const rl_gseq *q, uint32_t extra);

/* What was lent returns. kept: the engine recorded the fresh ids. */
void rl_gseq_return(rl_gseq *q, rl_seq *seq, bool kept);
void rl_gsampler_return(rl_gsampler *s, rl_sampler *sampler);

#endif
