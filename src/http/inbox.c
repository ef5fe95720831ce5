/* Inbox: exchanges that want the http thread's attention. An exchange is in it at most once. */
#include "http/internal.h"

#include "base/alloc.h"

#include <sys/eventfd.h>
#include <unistd.h>

rl_http_inbox *rl_http_inbox_new(void)
{
    rl_http_inbox *box = rl_alloc(sizeof *box);

    if (!box)
        return NULL;
    box->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (box->event < 0) {
        rl_free(box);
        return NULL;
    }
    (void)pthread_mutex_init(&box->lock, NULL);
    (void)pthread_cond_init(&box->changed, NULL);
    atomic_init(&box->refs, 1);
    return box;
}

void rl_http_inbox_unref(rl_http_inbox *box)
{
    if (!box || atomic_fetch_sub(&box->refs, 1) != 1)
        return;
    (void)close(box->event);
    (void)pthread_cond_destroy(&box->changed);
    (void)pthread_mutex_destroy(&box->lock);
    rl_free(box);
}

void rl_http_inbox_poke(rl_http_inbox *box)
{
    uint64_t one = 1;

    (void)!write(box->event, &one, sizeof one); /* full means it is signalled already */
}

void rl_http_inbox_post(rl_http_exchange *ex)
{
    rl_http_inbox *box = ex->inbox;

    if (ex->queued || ex->dead)
        return;
    ex->queued = true;
    ex->next = NULL;
    if (box->last)
        box->last->next = rl_http_ref(ex);
    else
        box->first = rl_http_ref(ex);
    if (!box->last)
        rl_http_inbox_poke(box); /* only who finds it empty need wake the thread */
    box->last = ex;
}

rl_http_exchange *rl_http_inbox_take(rl_http_inbox *box)
{
    rl_http_exchange *ex;

    (void)pthread_mutex_lock(&box->lock);
    ex = box->first;
    if (ex) {
        box->first = ex->next;
        if (!box->first)
            box->last = NULL;
        ex->queued = false;
    }
    (void)pthread_mutex_unlock(&box->lock);
    return ex;
}
