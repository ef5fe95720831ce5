/* Any bytes as what a client sends, through a socket and libmicrohttpd. What is served must be what
 * a strict reader of the same bytes sees, in that order: nothing that was refused, nothing from
 * inside a body. The strict reader is written here, from the RFC, and shares no line with the room.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "http/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEEN_MAX   64
#define TARGET_MAX 64

typedef struct seen {
    char targets[SEEN_MAX][TARGET_MAX];
    int n;
} seen;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static seen served;
static rl_http *http;

static void note(seen *s, const char *target, size_t n)
{
    if (s->n == SEEN_MAX)
        return;
    (void)snprintf(s->targets[s->n++], TARGET_MAX, "%.*s", (int)n, target);
}

static void handle(void *ctx, rl_http_exchange *ex)
{
    rl_http_answer a = { .status = 200, .type = "text/plain" };
    size_t n;
    const char *body = rl_http_body(ex, &n);

    (void)ctx;
    RL_ASSERT(body[n] == 0 || n == 0);
    (void)pthread_mutex_lock(&lock);
    note(&served, rl_http_target(ex), strlen(rl_http_target(ex)));
    (void)pthread_mutex_unlock(&lock);
    RL_ASSERT(rl_http_reply(ex, &a, rl_strdup("ok"), 2) == REALM_OK);
}

/* --- the strict reader ---------------------------------------------------------------------- */

typedef struct text {
    const char *p;
    size_t n;
} text;

/* What src/http/wire.c cannot tell from CR LF: NUL LF. Also, at the end of a head, a lone LF beside
 * a line of three bytes that begins with NUL. */
static bool is_line_end(text in, size_t i)
{
    return in.n - i >= 2 && in.p[i + 1] == '\n' && (in.p[i] == '\r' || in.p[i] == 0);
}

static bool is_odd_head_end(text in, size_t i)
{
    return in.n - i >= 4 && in.p[i + 3] == '\n' &&
           ((in.p[i] == '\n' && in.p[i + 1] == 0) || (in.p[i] == 0 && in.p[i + 2] == '\n'));
}

/* Takes a line, `last` when the end of the head was with it. false: it holds a lone CR or LF, or a
 * NUL. */
static bool take_line(text *in, text *line, bool *last)
{
    size_t i = 0;

    while (i < in->n && in->p[i] != '\n' && in->p[i] != '\r' && in->p[i] != 0)
        i++;
    *last = is_odd_head_end(*in, i);
    if (!*last && !is_line_end(*in, i))
        return false;
    *line = (text){ in->p, i };
    i += *last ? 4 : 2;
    in->p += i;
    in->n -= i;
    return true;
}

static bool read_request_line(text line, text *target)
{
    const char *one = memchr(line.p, ' ', line.n), *two;

    if (!one)
        return false;
    target->p = one + 1;
    two = memchr(target->p, ' ', (size_t)(line.p + line.n - target->p));
    if (!two || line.p + line.n - two != 9 || memcmp(two + 1, "HTTP/1.", 7) != 0)
        return false;
    target->n = (size_t)(two - target->p);
    return one > line.p && target->n > 0;
}

static bool named(text line, const char *name)
{
    return line.n > strlen(name) && strncasecmp(line.p, name, strlen(name)) == 0 &&
           line.p[strlen(name)] == ':';
}

static bool read_length(text line, size_t *length)
{
    size_t i = strlen("Content-Length:");

    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'))
        i++;
    if (i == line.n)
        return false;
    for (*length = 0; i < line.n; i++) {
        if (line.p[i] < '0' || line.p[i] > '9' || *length > 1u << 30)
            return false;
        *length = *length * 10 + (size_t)(line.p[i] - '0');
    }
    return true;
}

/* One request off `in`. -> 1: whole, and more may follow; 0: it is the last that may be served; -1:
 * it may not be served. What the room does with chunks is not told apart here: it closes after
 * them. */
static int take_request(text *in, text *target)
{
    text line;
    size_t length = 0;
    bool chunked = false, counted = false, last;

    if (!take_line(in, &line, &last) || !read_request_line(line, target))
        return -1;
    while (!last) {
        if (!take_line(in, &line, &last))
            return -1;
        if (line.n == 0)
            break;
        if (line.p[0] == ' ' || line.p[0] == '\t' || !memchr(line.p, ':', line.n))
            return -1;
        if (named(line, "Content-Length") && (counted || !read_length(line, &length)))
            return -1;
        counted = counted || named(line, "Content-Length");
        chunked = chunked || named(line, "Transfer-Encoding");
    }
    if (chunked)
        return counted ? -1 : 0;
    if (in->n < length)
        return -1;
    in->p += length;
    in->n -= length;
    return 1;
}

static void read_all(text in, seen *s)
{
    text target;
    int more = 1;

    while (more == 1 && in.n) {
        more = take_request(&in, &target);
        if (more >= 0)
            note(s, target.p, target.n);
    }
}

/* --- the run -------------------------------------------------------------------------------- */

static void start(void)
{
    rl_http_opts opts = { .handle = handle };

    if (!http)
        RL_ASSERT(rl_http_start(&http, &opts, NULL) == REALM_OK);
}

static void say(const uint8_t *data, size_t n)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(rl_http_port(http)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char away[4096];

    RL_ASSERT(fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0);
    while (n) {
        ssize_t k = send(fd, data, n, MSG_NOSIGNAL);

        if (k <= 0)
            break;
        data += k;
        n -= (size_t)k;
    }
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, away, sizeof away, 0) > 0)
        ;
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    seen strict = { .n = 0 };

    start();
    served.n = 0;
    read_all((text){ (const char *)data, n }, &strict);
    say(data, n);
    (void)pthread_mutex_lock(&lock);
    RL_ASSERT(served.n <= strict.n);
    for (int i = 0; i < served.n; i++)
        RL_ASSERT(strcmp(served.targets[i], strict.targets[i]) == 0);
    (void)pthread_mutex_unlock(&lock);
    return 0;
}
