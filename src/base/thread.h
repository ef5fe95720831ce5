/* Thread: the names of ours, as ps -L, top and a debugger show them. */
#ifndef RL_BASE_THREAD_H
#define RL_BASE_THREAD_H

#include <stdint.h>

/* Names the calling thread realm-WHAT, or realm-WHAT-NTH when it is one of several (nth > 0). Linux
 * keeps 15 bytes: what is longer is cut. */
void rl_thread_name(const char *what, uint32_t nth);

#endif
