/* Admission: whether a request that comes now would be answered in time.
 *
 * Requests share the engine, so one that comes while n are under way ends after about n + 1 times
 * what a request takes of it. That is measured: with v the integral of the engine's busy time over
 * the number under way, a request has taken v(end) - v(begin), its share of a processor that is
 * shared evenly; the mean is smoothed over the latest. So the limit is a time, and how many
 * requests it means follows from the model, the machine and what is asked. Any thread. */
#ifndef RL_SERVER_ADMISSION_H
#define RL_SERVER_ADMISSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct rl_admission {
    pthread_mutex_t lock; /* of all below */
    uint64_t most_ns;     /* what a request may take in all; 0: everyone is let in */
    uint64_t cost_ns;     /* what one takes of the engine; 0: none has ended */
    uint64_t busy_ns;     /* of the engine, at the last look */
    uint64_t v_ns;
    uint32_t n; /* under way */
} rl_admission;

void rl_admission_init(rl_admission *a, uint64_t most_ns);
void rl_admission_deinit(rl_admission *a);
void rl_admission_set(rl_admission *a, uint64_t most_ns);

/* busy_ns: of the engine, now. -> true: let in, and *v_ns is to be given back at its end; false:
 * *retry_s says after how many seconds there may be room */
bool rl_admission_begin(rl_admission *a, uint64_t busy_ns, uint64_t *v_ns, uint32_t *retry_s);
void rl_admission_end(rl_admission *a, uint64_t busy_ns, uint64_t v_ns);
uint64_t rl_admission_cost(rl_admission *a); /* ns; 0: not known */

#endif
