/* Any bytes as what a client sends, through a socket. What is served must be what a strict reader
 * of the same bytes sees, in that order and with those bodies: nothing that was refused, nothing
 * from inside a body. The strict reader is written here, from the RFC, and shares no line with the
 * room.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEEN_MAX   64
#define TARGET_MAX 64
#define SUM_START  1469598103934665603u

typedef struct seen {
    char targets[SEEN_MAX][TARGET_MAX]; /* "PATH?QUERY", the path decoded; cut */
    uint64_t sums[SEEN_MAX];            /* of the bodies */
    int n;
} seen;

typedef struct text {
    const char *p;
    size_t n;
} text;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static seen served;
static int refused, ended;
static rl_http *http;

static uint64_t add_to_sum(uint64_t sum, text t)
{
    for (size_t i = 0; i < t.n; i++)
        sum = (sum ^ (unsigned char)t.p[i]) * 1099511628211u;
    return sum;
}

static void note(seen *s, const char target[TARGET_MAX], uint64_t sum)
{
    if (s->n == SEEN_MAX)
        return;
    s->sums[s->n] = sum;
    memcpy(s->targets[s->n++], target, TARGET_MAX);
}

static void handle(void *ctx, rl_http_exchange *ex)
{
    rl_http_answer a = { .status = 200, .type = "text/plain" };
    char target[TARGET_MAX] = "";
    text body;

    (void)ctx;
    (void)snprintf(target, sizeof target, "%s?%s", rl_http_path(ex), rl_http_query(ex));
    body.p = rl_http_body(ex, &body.n);
    RL_ASSERT(body.p[body.n] == 0);
    (void)pthread_mutex_lock(&lock);
    note(&served, target, add_to_sum(SUM_START, body));
    (void)pthread_mutex_unlock(&lock);
    RL_ASSERT(rl_http_reply(ex, &a, rl_strdup("ok"), 2) == REALM_OK);
}

static void count_ended(void *ctx, const rl_http_record *r)
{
    (void)ctx;
    (void)pthread_mutex_lock(&lock);
    ended++;
    refused += r->refused;
    (void)pthread_mutex_unlock(&lock);
}

/* --- the strict reader ---------------------------------------------------------------------- */

static void skip(text *in, size_t n)
{
    in->p += n;
    in->n -= n;
}

/* Takes a line that ends with CR LF and holds neither alone, nor a NUL. */
static bool take_line(text *in, text *line)
{
    size_t i = 0;

    while (i < in->n && in->p[i] != '\n' && in->p[i] != '\r' && in->p[i] != 0)
        i++;
    if (in->n - i < 2 || in->p[i] != '\r' || in->p[i + 1] != '\n')
        return false;
    *line = (text){ in->p, i };
    skip(in, i + 2);
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

static bool is_hex(char c)
{
    return c && strchr("0123456789abcdefABCDEF", c);
}

/* What is left of a target behind its scheme and authority, if it has them. */
static text local_part(text target)
{
    const char *host = target.p[0] == '/' ? NULL : memmem(target.p, target.n, "://", 3);

    if (!host)
        return target;
    skip(&target, (size_t)(host + 3 - target.p));
    while (target.n && target.p[0] != '/' && target.p[0] != '?')
        skip(&target, 1);
    return target;
}

/* A target as the room tells it; any text for one that may not be served. */
static void read_target(text target, char out[TARGET_MAX])
{
    text t = local_part(target);
    size_t n = 0;

    memset(out, 0, TARGET_MAX);
    if (t.n == 0 || t.p[0] == '?')
        out[n++] = '/';
    for (; t.n && t.p[0] != '?' && n < TARGET_MAX - 1; skip(&t, 1)) {
        out[n] = t.p[0];
        if (t.n > 2 && t.p[0] == '%' && is_hex(t.p[1]) && is_hex(t.p[2])) {
            char digits[3] = { t.p[1], t.p[2], 0 };

            out[n] = (char)strtoul(digits, NULL, 16);
            skip(&t, 2);
        }
        n++;
    }
    (void)snprintf(out + n, TARGET_MAX - n, "%s%.*s", t.n ? "" : "?", (int)t.n, t.p);
}

static bool named(text line, const char *name)
{
    return line.n > strlen(name) && strncasecmp(line.p, name, strlen(name)) == 0 &&
           line.p[strlen(name)] == ':';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool read_length(text line, size_t *length)
{
    size_t i = strlen("Content-Length:");

    while (i < line.n && is_blank(line.p[i]))
        i++;
    while (line.n > i && is_blank(line.p[line.n - 1]))
        line.n--;
    if (i == line.n)
        return false;
    for (*length = 0; i < line.n; i++) {
        if (line.p[i] < '0' || line.p[i] > '9' || *length > 1u << 30)
            return false;
        *length = *length * 10 + (size_t)(line.p[i] - '0');
    }
    return true;
}

/* A field, in a head or behind chunks. */
static bool is_field(text line)
{
    const char *colon = memchr(line.p, ':', line.n);

    return colon && colon > line.p && !is_blank(line.p[0]) && !is_blank(colon[-1]);
}

/* The size before the extensions. */
static bool read_size(text line, size_t *size)
{
    size_t i = 0;

    for (*size = 0; i < line.n && strchr("0123456789abcdefABCDEF", line.p[i]); i++) {
        char digit[2] = { line.p[i], 0 };

        if (*size > 1u << 30)
            return false;
        *size = *size * 16 + strtoul(digit, NULL, 16);
    }
    return i > 0 && (i == line.n || line.p[i] == ';');
}

static bool take_chunks(text *in, uint64_t *sum)
{
    text line;
    size_t n;

    for (;;) {
        if (!take_line(in, &line) || !read_size(line, &n))
            return false;
        if (n == 0)
            break;
        if (in->n < n + 2 || memcmp(in->p + n, "\r\n", 2) != 0)
            return false;
        *sum = add_to_sum(*sum, (text){ in->p, n });
        skip(in, n + 2);
    }
    while (take_line(in, &line)) {
        if (line.n == 0)
            return true;
        if (!is_field(line))
            return false;
    }
    return false;
}

/* One request off `in`. false: it, and all that follows, may not be served. */
static bool take_request(text *in, text *target, uint64_t *sum)
{
    text line;
    size_t length = 0;
    bool chunked = false, counted = false;

    *sum = SUM_START;
    if (!take_line(in, &line) || !read_request_line(line, target))
        return false;
    for (;;) {
        if (!take_line(in, &line))
            return false;
        if (line.n == 0)
            break;
        if (!is_field(line))
            return false;
        if (named(line, "Content-Length") && (counted || !read_length(line, &length)))
            return false;
        counted = counted || named(line, "Content-Length");
        chunked = chunked || named(line, "Transfer-Encoding");
    }
    if (chunked)
        return !counted && take_chunks(in, sum);
    if (in->n < length)
        return false;
    *sum = add_to_sum(*sum, (text){ in->p, length });
    skip(in, length);
    return true;
}

static void read_all(text in, seen *s)
{
    text target;
    uint64_t sum;

    while (in.n && take_request(&in, &target, &sum)) {
        char named_by[TARGET_MAX];

        read_target(target, named_by);
        note(s, named_by, sum);
    }
}

/* --- the run -------------------------------------------------------------------------------- */

static void start(void)
{
    rl_http_opts opts = { .handle = handle, .ended = count_ended };

    if (!http)
        RL_ASSERT(rl_http_start(&http, &opts, NULL) == REALM_OK);
}

static bool send_all(int fd, text t)
{
    while (t.n) {
        ssize_t k = send(fd, t.p, t.n, MSG_NOSIGNAL);

        if (k < 0 && errno != EINTR)
            return false;
        skip(&t, k > 0 ? (size_t)k : 0);
    }
    return true;
}

/* Each from another address of the loopback net: ports of one would run out, as each is kept for a
 * minute after its connection. */
static int open_client(void)
{
    static uint32_t number;
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(rl_http_port(http)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in from = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number++ % 65536) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    RL_ASSERT(fd >= 0);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    RL_ASSERT(bind(fd, (const struct sockaddr *)&from, sizeof from) == 0);
    while (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EISCONN) {
        if (errno != EINTR && errno != EALREADY) { /* the fuzzer has a timer */
            perror("connect");
            abort();
        }
    }
    return fd;
}

/* In two pieces, cut at a place that depends on the bytes. */
static void say(text t)
{
    text first = { t.p, add_to_sum(SUM_START, t) % (t.n + 1) };
    int fd = open_client();
    char away[4096];
    ssize_t n;

    if (send_all(fd, first)) {
        skip(&t, first.n);
        (void)send_all(fd, t);
    }
    (void)shutdown(fd, SHUT_WR);
    do {
        n = recv(fd, away, sizeof away, 0);
    } while (n > 0 || (n < 0 && errno == EINTR));
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    text in = { (const char *)data, n };
    seen strict = { .n = 0 };

    start();
    (void)pthread_mutex_lock(&lock);
    served.n = refused = ended = 0;
    (void)pthread_mutex_unlock(&lock);
    read_all(in, &strict);
    say(in);
    (void)pthread_mutex_lock(&lock);
    RL_ASSERT(served.n <= strict.n && refused <= 1 && ended >= served.n);
    for (int i = 0; i < served.n; i++) {
        RL_ASSERT(strcmp(served.targets[i], strict.targets[i]) == 0);
        RL_ASSERT(served.sums[i] == strict.sums[i]);
    }
    (void)pthread_mutex_unlock(&lock);
    return 0;
}
