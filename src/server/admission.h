/* Admission: whether a request that comes now would be answered in time.
 *
 * Requests share the engine, so one that comes while n compute ends after about n + 1 times what a
 * request takes of it. That is measured: with v the integral of the engine's busy time over n, a
 * request has taken v(end) - v(begin), its share of a processor that is shared evenly; the mean is
 * smoothed over the latest, and so is how far they are from it: twice that is added, for the limit
 * is one that most keep, not the mean (as Jacobson's timeout of TCP does, RFC 6298). So the limit
 * is a time, and how many requests it means follows from the model, the machine and what is asked.
 * Programs that sleep do not count: n are those with a job and those whose runs have not started
 * yet, as many as are under way at most. Any thread. */
#ifndef RL_SERVER_ADMISSION_H
#define RL_SERVER_ADMISSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The engine, now. */
typedef struct rl_admission_load {
    uint64_t busy_ns; /* how long it has computed */
    uint32_t jobs;    /* that it has */
} rl_admission_load;

typedef struct rl_admission {
    pthread_mutex_t lock; /* of all below */
    uint64_t most_ns;     /* what a request may take in all; 0: everyone is let in */
    uint64_t cost_ns;     /* what one takes of the engine; 0: none has ended */
    uint64_t spread_ns;   /* how far from it they are */
    uint64_t busy_ns;     /* of the engine, at the last look */
    uint64_t v_ns;
    uint32_t n, n_young;  /* under way; of those: their runs have not started */
    uint32_t n_computing; /* at the last look */
} rl_admission;

void rl_admission_init(rl_admission *a, uint64_t most_ns);
void rl_admission_deinit(rl_admission *a);
void rl_admission_set(rl_admission *a, uint64_t most_ns);

/* -> true: let in, and *v_ns is to be given back at its end; false: *retry_s says after how many
 * seconds there may be room */
bool rl_admission_begin(rl_admission *a, rl_admission_load now, uint64_t *v_ns, uint32_t *retry_s);
void rl_admission_started(rl_admission *a); /* the runs of one, once */
/* started: it was told so. */
void rl_admission_end(rl_admission *a, rl_admission_load now, uint64_t v_ns, bool started);
uint64_t rl_admission_cost(rl_admission *a); /* ns; 0: not known */

#endif
