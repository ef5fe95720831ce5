#include "guest/keep.h"

#include <string.h>

void rl_keep_init(rl_keep *k, uint32_t most)
{
    *k = (rl_keep){ .most = most < RL_KEEP_MAX ? most : RL_KEEP_MAX };
    (void)pthread_mutex_init(&k->lock, NULL);
}

void rl_keep_deinit(rl_keep *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        rl_lm_unref(k->lms[i]);
    k->n = 0;
    (void)pthread_mutex_destroy(&k->lock);
}

/* Where lm is, or where room for it is made at the end. *gone: what had to leave. Under lock. */
static uint32_t place(rl_keep *k, rl_lm *lm, rl_lm **gone)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (k->lms[i] == lm)
            return i;
    if (k->n == k->most)
        *gone = k->lms[--k->n];
    k->lms[k->n] = rl_lm_ref(lm);
    return k->n++;
}

/* Closing a model may take long: not under the lock. */
void rl_keep_add(rl_keep *k, rl_lm *lm)
{
    rl_lm *gone = NULL;
    uint32_t at;

    if (k->most == 0)
        return;
    (void)pthread_mutex_lock(&k->lock);
    at = place(k, lm, &gone);
    memmove(k->lms + 1, k->lms, at * sizeof(void *));
    k->lms[0] = lm;
    (void)pthread_mutex_unlock(&k->lock);
    rl_lm_unref(gone);
}
