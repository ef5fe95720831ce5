#include "base/thread.h"

#include <pthread.h>
#include <stdio.h>

#define NAME 15 /* bytes: the kernel refuses longer ones */

/* A thread without its name works all the same. */
void rl_thread_name(const char *what, uint32_t nth)
{
    char name[32]; /* room for all that is written */

    if (nth)
        (void)snprintf(name, sizeof name, "realm-%.14s-%u", what, nth);
    else
        (void)snprintf(name, sizeof name, "realm-%.14s", what);
    name[NAME] = 0;
    (void)pthread_setname_np(pthread_self(), name);
}
