/* Sink: a thread that writes the log's lines, one write each, from a bounded queue. It asks the
 * file whether it takes more before it writes and gives up waiting when it is told to stop, so
 * neither the callers nor the end of the process hang on a reader that reads no more. Its signals
 * are blocked: a reader that has gone is an error of the write, not the death of the process. */
#include "base/log_sink.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define LINES   1024u
#define LOOK_MS 100         /* between two looks whether to give up */
#define LAST_NS 1000000000u /* for what is left at the end */

static struct {
    pthread_mutex_t lock; /* of `queue`: putting against closing */
    rl_queue *queue;      /* owned lines; NULL: not open */
    atomic_bool open;
    int fd;
    pthread_t thread;
    _Atomic uint64_t stop_ns; /* when to give up; 0: not yet */
    _Atomic uint64_t written, dropped;
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER };

bool rl_log_sink_is_open(void)
{
    return atomic_load(&sink.open);
}

void rl_log_sink_put(rl_buf *line)
{
    char *text = line->failed ? NULL : rl_buf_take(line);
    realm_status st = REALM_EBUSY;

    rl_buf_deinit(line);
    (void)pthread_mutex_lock(&sink.lock);
    if (text && sink.queue)
        st = rl_queue_push(sink.queue, text);
    (void)pthread_mutex_unlock(&sink.lock);
    if (st == REALM_OK)
        return;
    rl_free(text);
    atomic_fetch_add(&sink.dropped, 1);
}

void rl_log_count(rl_log_counts *out)
{
    *out = (rl_log_counts){ atomic_load(&sink.written), atomic_load(&sink.dropped) };
}

static bool is_late(void)
{
    uint64_t stop = atomic_load(&sink.stop_ns);

    return stop && rl_clock_ns() >= stop;
}

/* -> false: the file takes nothing more, or not in time */
static bool write_line(const char *p, size_t n)
{
    while (n) {
        struct pollfd at = { .fd = sink.fd, .events = POLLOUT };
        ssize_t k;

        if (is_late())
            return false;
        if (poll(&at, 1, LOOK_MS) <= 0)
            continue;
        k = write(sink.fd, p, n);
        if (k < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        }
    }
    return true;
}

static void *sink_main(void *arg)
{
    rl_queue *queue = arg;

    rl_thread_name("log", 0);
    for (;;) {
        bool last = atomic_load(&sink.stop_ns) != 0; /* before the look: nothing comes after it */
        char *line = rl_queue_pop(queue, last ? 0 : -1);

        if (!line && last)
            return NULL;
        if (line)
            atomic_fetch_add(write_line(line, strlen(line)) ? &sink.written : &sink.dropped, 1);
        rl_free(line);
    }
}

static realm_status start(rl_queue *queue, realm_error *err)
{
    sigset_t all, before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&sink.thread, NULL, sink_main, queue);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? realm_fail(err, REALM_ENOMEM, "no thread for the log: %s", strerror(rc)) : REALM_OK;
}

realm_status rl_log_open(int fd, realm_error *err)
{
    rl_queue *queue;
    realm_status st;

    if (rl_log_sink_is_open())
        return realm_fail(err, REALM_ECONFLICT, "the log is open already");
    queue = rl_queue_new(LINES);
    if (!queue)
        return realm_fail(err, REALM_ENOMEM, "no memory for the log");
    sink.fd = fd;
    atomic_store(&sink.stop_ns, 0);
    st = start(queue, err);
    if (st != REALM_OK) {
        rl_queue_free(queue);
        return st;
    }
    (void)pthread_mutex_lock(&sink.lock);
    sink.queue = queue;
    (void)pthread_mutex_unlock(&sink.lock);
    atomic_store(&sink.open, true);
    return REALM_OK;
}

void rl_log_close(void)
{
    rl_queue *queue;

    if (!rl_log_sink_is_open())
        return;
    atomic_store(&sink.open, false);
    (void)pthread_mutex_lock(&sink.lock);
    queue = sink.queue;
    sink.queue = NULL;
    (void)pthread_mutex_unlock(&sink.lock);
    atomic_store(&sink.stop_ns, rl_clock_ns() + LAST_NS);
    rl_queue_wake(queue);
    (void)pthread_join(sink.thread, NULL);
    rl_queue_free(queue);
}
