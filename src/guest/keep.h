/* Keep: the models opened last stay open when the runs that opened them are over, so that the next
 * run need not load them again. Any thread. */
#ifndef RL_GUEST_KEEP_H
#define RL_GUEST_KEEP_H

#include "engine/engine.h"

#include <pthread.h>

#define RL_KEEP_MAX 16u

typedef struct rl_keep {
    pthread_mutex_t lock;
    rl_lm *lms[RL_KEEP_MAX]; /* references; the one opened last first; under lock */
    uint32_t n, most;        /* n under lock */
} rl_keep;

void rl_keep_init(rl_keep *k, uint32_t most); /* 0: none is kept */
void rl_keep_deinit(rl_keep *k);
/* lm was opened: keeps it in place of the one that was longest not opened. */
void rl_keep_add(rl_keep *k, rl_lm *lm);

#endif
