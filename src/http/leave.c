/* Leaving: sockets on which all is said while their client may still be sending.
 *
 * A socket that is closed with bytes unread resets its client, which then may never read the answer
 * that told it to stop. So it is kept until the client closes, LEAVE_MS at most, and what comes is
 * read away, LEAVE_BYTES at most.
 *
 * The list is short, for each of them holds a descriptor that no limit of connections counts. When
 * it is full the one that has been longest in it goes: its client had the most time to read.
 * Closing the new one instead would reset a client in the moment it is told, and in a flood all of
 * them. */
#include "http/internal.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEAVE_MS     1000
#define LEAVE_BYTES  ((size_t)4 * 1024 * 1024)
#define READS_A_LOOK 16

static void let_go(rl_http *h, uint32_t i)
{
    (void)close(h->leaving[i].fd);
    h->leaving[i] = h->leaving[--h->n_leaving];
}

static uint32_t oldest(const rl_http *h)
{
    uint32_t at = 0;

    for (uint32_t i = 1; i < h->n_leaving; i++)
        if (h->leaving[i].until_ms < h->leaving[at].until_ms)
            at = i;
    return at;
}

void rl_http_leave(rl_http *h, int fd)
{
    struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = h->leaving };

    if (fd < 0)
        return;
    (void)shutdown(fd, SHUT_WR);
    if (h->n_leaving == RL_HTTP_LEAVING)
        let_go(h, oldest(h));
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
        (void)close(fd);
        return;
    }
    h->leaving[h->n_leaving++] = (rl_http_leaving){ .fd = fd, .until_ms = h->now_ms + LEAVE_MS };
}

void rl_http_leave_told(rl_http *h, int fd, const char *text)
{
    char id[RL_HTTP_ID];
    rl_buf message;
    size_t n;

    rl_http_id_make(id);
    if (rl_http_refuse_raw(h, (rl_http_fault){ 503, text }, id, false, &n, &message))
        (void)!send(fd, message.data, message.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    rl_buf_deinit(&message);
    rl_http_leave(h, fd);
}

/* Reads away what came. -> whether that was the last of it */
static bool has_left(rl_http_leaving *l)
{
    char away[16 * 1024];

    for (int i = 0; i < READS_A_LOOK; i++) {
        ssize_t n = recv(l->fd, away, sizeof away, MSG_DONTWAIT);

        if (n == 0)
            return true;
        if (n < 0)
            return false;
        l->bytes += (size_t)n;
    }
    return l->bytes >= LEAVE_BYTES;
}

void rl_http_leave_look(rl_http *h)
{
    for (uint32_t i = h->n_leaving; i-- > 0;)
        if (h->now_ms >= h->leaving[i].until_ms || has_left(&h->leaving[i]))
            let_go(h, i);
}

void rl_http_leave_all(rl_http *h)
{
    while (h->n_leaving)
        let_go(h, h->n_leaving - 1);
}
