/* Queue: a bounded queue of pointers between threads; many producers, many consumers.
 * It refuses instead of growing: who posts is told EBUSY at once. */
#ifndef RL_BASE_QUEUE_H
#define RL_BASE_QUEUE_H

#include "realm/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct rl_queue rl_queue;

rl_queue *rl_queue_new(uint32_t cap);                /* NULL without memory */
void rl_queue_free(rl_queue *q);                     /* nobody may wait on it; NULL is fine */
realm_status rl_queue_push(rl_queue *q, void *item); /* OK | EBUSY (full) */
void *rl_queue_pop(rl_queue *q, int64_t wait_ns);    /* NULL after wait_ns; < 0 waits forever */
void rl_queue_wake(rl_queue *q);                     /* one waiting pop returns NULL early */

#endif
