/* Trap: how a guest's fault becomes the end of its run: a status and a sentence. Worker only. */
#ifndef RL_GUEST_TRAP_H
#define RL_GUEST_TRAP_H

#include "guest/run.h"

/* Ends the run by run->trap or run->error, one of which is set. Nothing if it has ended before. */
void rl_trap_end(rl_run *run);

/* If the guest was refused memory, ends the run by that limit. -> true: it did */
bool rl_memory_end(rl_run *run);

#endif
