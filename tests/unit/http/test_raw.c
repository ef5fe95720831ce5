/* Requests byte by byte: what a client may send, and everything else.
 *
 * Behind every refused request the client sends a sound one, for /smuggled, in the same bytes: it
 * must never be served, there must be exactly one answer, and the connection must close. After each
 * row a sound request on a new connection must be served. */
#include "bed.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST      "Host: realm\r\n"
#define GET       "GET / HTTP/1.1\r\n"
#define POST      "POST /echo HTTP/1.1\r\n" HOST
#define CHUNKED   POST "Transfer-Encoding: chunked\r\n\r\n"
#define END       "\r\n"
#define SMUGGLED  "GET /smuggled HTTP/1.1\r\n" HOST END
#define TEN       "0123456789"
#define B(text)   text, sizeof(text) - 1
#define MORE_BODY "0123456789012345678901234567890123456789"

typedef struct row {
    const char *name, *bytes;
    size_t n;
    int status;
} row;

static const row REFUSED[] = {
    /* line ends and folds */
    { "LF throughout", B("GET / HTTP/1.1\nHost: realm\n\n"), 400 },
    { "LF after the request line", B("GET / HTTP/1.1\n" HOST END), 400 },
    { "LF after a field", B(GET "Host: realm\n" END), 400 },
    { "LF between fields", B(GET HOST "A: b\nC: d\r\n" END), 400 },
    { "LF as the empty line", B(GET HOST "\n"), 400 },
    { "CR in a value", B(GET HOST "A: b\rC: d\r\n" END), 400 },
    { "CR CR LF", B(GET HOST "A: b\r\r\n" END), 400 },
    { "CR in the request line", B("GET / HTTP/1.1\r" HOST END), 400 },
    { "fold by a space", B(GET HOST "A: b\r\n c\r\n" END), 400 },
    { "fold by a tab", B(GET HOST "A: b\r\n\tc\r\n" END), 400 },
    { "fold of Host", B(GET "Host: re\r\n alm\r\n" END), 400 },
    { "fold of nothing", B(GET HOST "A: b\r\n \r\n" END), 400 },
    { "fold that hides a length",
      B("POST /echo HTTP/1.1\r\n" HOST "A: b\r\n Content-Length: 9\r\n" END), 400 },
    { "space before the first field", B(GET " " HOST END), 400 },
    { "CR LF before the request line", B(END GET HOST END), 400 },
    { "LF before the request line", B("\n" GET HOST END), 400 },
    /* NUL and control characters */
    { "NUL in a value", B(GET HOST "A: b\0c\r\n" END), 400 },
    { "NUL at the end of a value", B(GET HOST "A: b\0\r\n" END), 400 },
    { "NUL in a name", B(GET HOST "A\0B: c\r\n" END), 400 },
    { "NUL in the target", B("GET /\0x HTTP/1.1\r\n" HOST END), 400 },
    { "NUL in the method", B("G\0T / HTTP/1.1\r\n" HOST END), 400 },
    { "NUL in the version", B("GET / HTTP/1.1\0\r\n" HOST END), 400 },
    { "NUL as a line before", B("\0\r\n" GET HOST END), 400 },
    { "NUL as the empty line", B(GET HOST "\0\r\n"), 400 },
    { "NUL line that hides a field", B(GET HOST "\0A: b\r\n" END), 400 },
    { "control character in a value", B(GET HOST "A: \x01\r\n" END), 400 },
    { "escape in a value", B(GET HOST "A: \x1b[0m\r\n" END), 400 },
    { "DEL in a value", B(GET HOST "A: \x7f\r\n" END), 400 },
    { "vertical tab around a value", B(GET HOST "A:\x0b b\r\n" END), 400 },
    { "NUL LF for CR LF", B(GET HOST "\0\n"), 400 },
    { "NUL LF after the request line", B("GET / HTTP/1.1\0\n" HOST END), 400 },
    { "NUL LF after a field", B(GET HOST "A: b\0\nC: d\r\n" END), 400 },
    { "LF and NUL as the end", B(GET "Host: realm\n\0\r\n"), 400 },
    { "LF and a NUL line as the end", B(GET "Host: realm\n\0x\n"), 400 },
    { "colon LF as the empty line", B(GET HOST ":\n"), 400 },
    { "colon CR LF as the empty line", B(GET HOST ":\r\n"), 400 },
    { "colon CR LF, then the empty line", B(GET HOST ":\r\n" END), 400 },
    { "LF and a colon line as the end", B(GET "Host: realm\n:m\n"), 400 },
    { "what the fuzzer found", B("GET / HTTP/1.0\r\nCHT:\x87\x32n.n e\n:m\nPT\xff"), 400 },
    /* fields */
    { "space before the colon", B(GET "Host : realm\r\n" END), 400 },
    { "tab before the colon", B(GET HOST "A\t: b\r\n" END), 400 },
    { "no colon", B(GET HOST "A\r\n" END), 400 },
    { "no name", B(GET HOST ": b\r\n" END), 400 },
    { "slash in a name", B(GET HOST "A/B: c\r\n" END), 400 },
    { "parenthesis in a name", B(GET HOST "A(: c\r\n" END), 400 },
    { "high byte in a name", B(GET HOST "A\xc3\xa9: c\r\n" END), 400 },
    { "quote in a name", B(GET HOST "\"A\": c\r\n" END), 400 },
    /* Host */
    { "no Host", B(GET END), 400 },
    { "two Hosts", B(GET HOST "Host: other\r\n" END), 400 },
    { "the same Host twice", B(GET HOST HOST END), 400 },
    { "space in Host", B(GET "Host: re alm\r\n" END), 400 },
    { "path in Host", B(GET "Host: realm/x\r\n" END), 400 },
    { "user in Host", B(GET "Host: u@realm\r\n" END), 400 },
    { "list in Host", B(GET "Host: realm, other\r\n" END), 400 },
    /* the request line */
    { "two spaces after the method", B("GET  / HTTP/1.1\r\n" HOST END), 400 },
    { "two spaces before the version", B("GET /  HTTP/1.1\r\n" HOST END), 400 },
    { "space after the version", B("GET / HTTP/1.1 \r\n" HOST END), 400 },
    { "tab for a space", B("GET\t/ HTTP/1.1\r\n" HOST END), 400 },
    { "tab before the version", B("GET /\tHTTP/1.1\r\n" HOST END), 400 },
    { "space before the method", B(" GET / HTTP/1.1\r\n" HOST END), 400 },
    { "one word", B("GET\r\n" HOST END), 400 },
    { "no version", B("GET /\r\n" HOST END), 400 },
    { "HTTP/0.9 as it was", B("GET /\r\n"), 400 },
    { "HTTP/0.9", B("GET / HTTP/0.9\r\n" HOST END), 505 },
    { "HTTP/2.0", B("GET / HTTP/2.0\r\n" HOST END), 505 },
    { "the preface of HTTP/2", B("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505 },
    { "HTTP/1.2", B("GET / HTTP/1.2\r\n" HOST END), 505 },
    { "HTTP/1.9", B("GET / HTTP/1.9\r\n" HOST END), 505 },
    { "HTTP/1.10", B("GET / HTTP/1.10\r\n" HOST END), 400 },
    { "HTTP/1", B("GET / HTTP/1\r\n" HOST END), 400 },
    { "HTTP/1.", B("GET / HTTP/1.\r\n" HOST END), 400 },
    { "HTTP/01.1", B("GET / HTTP/01.1\r\n" HOST END), 400 },
    { "HTTP/+1.1", B("GET / HTTP/+1.1\r\n" HOST END), 400 },
    { "http/1.1", B("GET / http/1.1\r\n" HOST END), 400 },
    { "HTTX/1.1", B("GET / HTTX/1.1\r\n" HOST END), 400 },
    { "HTTP/1,1", B("GET / HTTP/1,1\r\n" HOST END), 400 },
    { "parenthesis in the method", B("G(T / HTTP/1.1\r\n" HOST END), 400 },
    { "control character in the method", B("G\x01T / HTTP/1.1\r\n" HOST END), 400 },
    { "high byte in the method", B("G\xff / HTTP/1.1\r\n" HOST END), 400 },
    { "a method of 33 letters", B("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST END),
      400 },
    { "a TLS hello", B("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), 400 },
    /* the target */
    { "space in the target", B("GET /a b HTTP/1.1\r\n" HOST END), 400 },
    { "high byte in the target", B("GET /\x80 HTTP/1.1\r\n" HOST END), 400 },
    { "control character in the target", B("GET /\x01 HTTP/1.1\r\n" HOST END), 400 },
    { "fragment", B("GET /a#b HTTP/1.1\r\n" HOST END), 400 },
    { "relative target", B("GET a HTTP/1.1\r\n" HOST END), 400 },
    { "query for a target", B("GET ?a HTTP/1.1\r\n" HOST END), 400 },
    { "asterisk with GET", B("GET * HTTP/1.1\r\n" HOST END), 400 },
    { "asterisk and more", B("OPTIONS ** HTTP/1.1\r\n" HOST END), 400 },
    { "CONNECT", B("CONNECT realm:80 HTTP/1.1\r\n" HOST END), 400 },
    { "URL without a host", B("GET http:///a HTTP/1.1\r\n" HOST END), 400 },
    { "URL of another scheme", B("GET ftp://realm/a HTTP/1.1\r\n" HOST END), 400 },
    { "URL of another host", B("GET http://other/ HTTP/1.1\r\n" HOST END), 400 },
    { "URL with a user", B("GET http://u@realm/ HTTP/1.1\r\n" HOST END), 400 },
    { "URL without Host", B("GET http://realm/ HTTP/1.1\r\n" END), 400 },
    { "escape of no digits", B("GET /%zz HTTP/1.1\r\n" HOST END), 400 },
    { "escape cut short", B("GET /%4 HTTP/1.1\r\n" HOST END), 400 },
    { "escaped NUL", B("GET /%00 HTTP/1.1\r\n" HOST END), 400 },
    { "escaped LF", B("GET /a%0ab HTTP/1.1\r\n" HOST END), 400 },
    { "escape that is not UTF-8", B("GET /%ff HTTP/1.1\r\n" HOST END), 400 },
    { "overlong UTF-8", B("GET /%c0%af HTTP/1.1\r\n" HOST END), 400 },
    { "climbing path", B("GET /a/../b HTTP/1.1\r\n" HOST END), 400 },
    { "climbing path, escaped", B("GET /a/%2e%2e/b HTTP/1.1\r\n" HOST END), 400 },
    { "bad escape in the query", B("GET /?a=%g1 HTTP/1.1\r\n" HOST END), 400 },
    { "escaped NUL in the query", B("GET /?a=%00 HTTP/1.1\r\n" HOST END), 400 },
    /* where the body ends */
    { "length and coding",
      B(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n"), 400 },
    { "coding and length",
      B(POST "Transfer-Encoding: chunked\r\nContent-Length: 44\r\n" END "0\r\n\r\n"), 400 },
    { "two lengths", B(POST "Content-Length: 5\r\nContent-Length: 0\r\n" END "hello"), 400 },
    { "the same length twice", B(POST "Content-Length: 5\r\ncontent-length: 5\r\n" END "hello"),
      400 },
    { "length of 2^63", B(POST "Content-Length: 9223372036854775808\r\n" END), 413 },
    { "length over the limit", B(POST "Content-Length: 257\r\n" END "hello"), 413 },
    { "length over the route's limit",
      B("POST /small HTTP/1.1\r\n" HOST "Content-Length: 17\r\n" END), 413 },
    { "gzip", B(POST "Transfer-Encoding: gzip\r\n" END "0\r\n\r\n"), 501 },
    { "identity", B(POST "Transfer-Encoding: identity\r\n" END "0\r\n\r\n"), 501 },
    { "gzip and chunked", B(POST "Transfer-Encoding: gzip, chunked\r\n" END "0\r\n\r\n"), 501 },
    { "chunked and gzip", B(POST "Transfer-Encoding: chunked, gzip\r\n" END "0\r\n\r\n"), 501 },
    { "chunked twice in a list", B(POST "Transfer-Encoding: chunked, chunked\r\n" END "0\r\n\r\n"),
      501 },
    { "chunked in two fields",
      B(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n"), 501 },
    { "chunked, then identity",
      B(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" END "0\r\n\r\n"),
      501 },
    { "xchunked", B(POST "Transfer-Encoding: xchunked\r\n" END "0\r\n\r\n"), 501 },
    { "chunked with a parameter", B(POST "Transfer-Encoding: chunked;q=1\r\n" END "0\r\n\r\n"),
      501 },
    { "chunked in quotes", B(POST "Transfer-Encoding: \"chunked\"\r\n" END "0\r\n\r\n"), 501 },
    { "chunked after a vertical tab",
      B(POST "Transfer-Encoding: \x0b"
             "chunked\r\n" END "0\r\n\r\n"),
      400 },
    { "space before the coding's colon", B(POST "Transfer-Encoding : chunked\r\n" END "0\r\n\r\n"),
      400 },
    { "empty coding", B(POST "Transfer-Encoding:\r\n" END "0\r\n\r\n"), 501 },
    { "chunked in HTTP/1.0",
      B("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n"), 400 },
    { "an expectation", B(POST "Content-Length: 5\r\nExpect: 200-ok\r\n" END "hello"), 417 },
    { "two expectations",
      B(POST "Content-Length: 5\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n" END), 417 },
    { "denied before its body", B("POST /deny HTTP/1.1\r\n" HOST "Content-Length: 48\r\n" END),
      403 },
    { "lengths in a list", B(POST "Content-Length: 5, 5\r\n" END "hello"), 400 },
    { "length with a plus", B(POST "Content-Length: +5\r\n" END "hello"), 400 },
    { "length with a minus", B(POST "Content-Length: -5\r\n" END "hello"), 400 },
    { "hexadecimal length", B(POST "Content-Length: 0x5\r\n" END "hello"), 400 },
    { "length with a letter", B(POST "Content-Length: 5a\r\n" END "hello"), 400 },
    { "length with a space", B(POST "Content-Length: 1 5\r\n" END "hello"), 400 },
    { "length with an exponent", B(POST "Content-Length: 1e1\r\n" END "hello"), 400 },
    { "length with a point", B(POST "Content-Length: 5.0\r\n" END "hello"), 400 },
    { "quoted length", B(POST "Content-Length: \"5\"\r\n" END "hello"), 400 },
    { "empty length", B(POST "Content-Length:\r\n" END "hello"), 400 },
    { "blank length", B(POST "Content-Length:   \r\n" END "hello"), 400 },
    { "length of 2^64", B(POST "Content-Length: 18446744073709551616\r\n" END), 413 },
    { "length of 30 digits", B(POST "Content-Length: 999999999999999999999999999999\r\n" END),
      413 },
    /* chunks */
    { "chunk size of no digits", B(CHUNKED "g\r\nhello\r\n0\r\n\r\n"), 400 },
    { "chunk size with a minus", B(CHUNKED "-5\r\nhello\r\n0\r\n\r\n"), 400 },
    { "chunk size with a plus", B(CHUNKED "+5\r\nhello\r\n0\r\n\r\n"), 400 },
    { "chunk size with 0x", B(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"), 400 },
    { "space before a chunk size", B(CHUNKED " 5\r\nhello\r\n0\r\n\r\n"), 400 },
    { "space after a chunk size", B(CHUNKED "5 \r\nhello\r\n0\r\n\r\n"), 400 },
    { "empty chunk size", B(CHUNKED "\r\nhello\r\n0\r\n\r\n"), 400 },
    { "extension without a chunk size", B(CHUNKED ";a\r\nhello\r\n0\r\n\r\n"), 400 },
    { "NUL in a chunk size", B(CHUNKED "5\0\r\nhello\r\n0\r\n\r\n"), 400 },
    { "chunk size of 2^64", B(CHUNKED "10000000000000000\r\nhello\r\n0\r\n\r\n"), 413 },
    { "chunk longer than its size", B(CHUNKED "5\r\nhello!\r\n0\r\n\r\n"), 400 },
    { "chunk without its end", B(CHUNKED "5\r\nhello0\r\n\r\n"), 400 },
    { "chunks over the limit",
      B(CHUNKED "101\r\n" MORE_BODY MORE_BODY MORE_BODY MORE_BODY MORE_BODY MORE_BODY MORE_BODY),
      413 },
    { "LF after a chunk size", B(CHUNKED "5\nhello\r\n0\r\n\r\n"), 400 },
    { "LF after a chunk", B(CHUNKED "5\r\nhello\n0\r\n\r\n"), 400 },
    { "LF after the last chunk", B(CHUNKED "5\r\nhello\r\n0\n\r\n"), 400 },
    { "LF as the end of a body", B(CHUNKED "5\r\nhello\r\n0\r\n\n"), 400 },
    { "LF after a trailer", B(CHUNKED "5\r\nhello\r\n0\r\nA: b\n\r\n"), 400 },
    { "CR alone after a chunk size", B(CHUNKED "5\rhello\r\n0\r\n\r\n"), 400 },
    { "CR CR LF after a chunk size", B(CHUNKED "5\r\r\nhello\r\n0\r\n\r\n"), 400 },
    { "NUL LF after a chunk size", B(CHUNKED "5\0\nhello\r\n0\r\n\r\n"), 400 },
    { "chunk size with an underscore", B(CHUNKED "0_5\r\nhello\r\n0\r\n\r\n"), 400 },
    { "chunk shorter than its size", B(CHUNKED "6\r\nhello\r\n0\r\n\r\n"), 400 },
    { "chunk size of 17 digits", B(CHUNKED "00000000000000005\r\nhello\r\n0\r\n\r\n"), 413 },
    { "extension without a name", B(CHUNKED "5;\r\nhello\r\n0\r\n\r\n"), 400 },
    { "extension without a value", B(CHUNKED "5;a=\r\nhello\r\n0\r\n\r\n"), 400 },
    { "space before an extension", B(CHUNKED "5 ;a\r\nhello\r\n0\r\n\r\n"), 400 },
    { "space in an extension", B(CHUNKED "5;a b\r\nhello\r\n0\r\n\r\n"), 400 },
    { "LF in an extension", B(CHUNKED "5;a\nb\r\nhello\r\n0\r\n\r\n"), 400 },
    { "LF in a quoted extension", B(CHUNKED "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), 400 },
    { "text behind a quoted extension", B(CHUNKED "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"), 400 },
    { "extension that does not end its quotes", B(CHUNKED "5;a=\"b\r\nhello\r\n0\r\n\r\n"), 400 },
    { "folded trailer", B(CHUNKED "0\r\nA: b\r\n c\r\n\r\n"), 400 },
    { "trailer without a name", B(CHUNKED "0\r\n: b\r\n\r\n"), 400 },
    { "space before a trailer's colon", B(CHUNKED "0\r\nA : b\r\n\r\n"), 400 },
    { "NUL in a trailer", B(CHUNKED "0\r\nA: \0\r\n\r\n"), 400 },
    { "trailer without a colon", B(CHUNKED "5\r\nhello\r\n0\r\nA\r\n\r\n"), 400 },
    /* half requests: the end never comes */
    { "half a method", B("GE"), 408 },
    { "half a request line", B("GET / HT"), 408 },
    { "half a head", B(GET "Host: rea"), 408 },
    { "a head without its end", B(GET HOST), 408 },
};

/* Half requests must not be completed by the smuggled one. */
static bool is_half(const row *r)
{
    return r->status == 408;
}

static void good_request(bed *b)
{
    answers *a = test_malloc(sizeof *a);

    assert_int_equal(client_ask(b, "GET /good?x HTTP/1.1\r\n" HOST "Connection: close\r\n" END, a),
                     200);
    assert_non_null(strstr(a->data, "GET /good?x"));
    test_free(a);
}

static void refused(bed *b, const row *r, answers *a)
{
    int fd = client_open(b);
    int served = atomic_load(&b->served);

    (void)client_send(fd, r->bytes, r->n);
    if (!is_half(r))
        (void)client_say(fd, SMUGGLED);
    client_read(fd, a, 0, false);
    (void)close(fd);
    if (!a->closed || a->reset || a->ragged || a->count != 1 || a->status[0] != r->status ||
        !strstr(a->data, "\r\nX-Request-Id: req-") ||
        (r->status != 403 && !strstr(a->data, "\r\n\r\n{\"status\":")))
        fail_msg("%s: %d answers, the first %d, not %d: %s", r->name, a->count,
                 a->count ? a->status[0] : 0, r->status, a->n ? a->data : "");
    if (atomic_load(&b->served) != served || atomic_load(&b->smuggled) != 0)
        fail_msg("%s: a request was served", r->name);
}

static void test_refused(void **state)
{
    answers *a = test_malloc(sizeof *a);
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .head_ms = 400, .body_max = 256 });
    assert_true(sizeof REFUSED / sizeof REFUSED[0] >= 120);
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        refused(&b, &REFUSED[i], a);
        good_request(&b);
    }
    bed_stop(&b);
    test_free(a);
}

/* A client that closes its side in the middle gets no answer: there was no request. */
static void test_half_closed(void **state)
{
    static const row rows[] = {
        { "nothing", B(""), 0 },
        { "half a method", B("GE"), 0 },
        { "half a head", B(GET "Host: rea"), 0 },
        { "half a body", B(POST "Content-Length: 5\r\n" END "hel"), 0 },
        { "half a chunk", B(CHUNKED "5\r\nhel"), 0 },
        { "no last chunk", B(CHUNKED "5\r\nhello\r\n"), 0 },
        { "no end of trailers", B(CHUNKED "5\r\nhello\r\n0\r\n"), 0 },
    };
    answers *a = test_malloc(sizeof *a);
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fd = client_open(&b);

        assert_true(client_send(fd, rows[i].bytes, rows[i].n));
        (void)shutdown(fd, SHUT_WR);
        client_read(fd, a, 0, false);
        (void)close(fd);
        if (a->n != 0 || atomic_load(&b.served) != (int)i)
            fail_msg("%s: %s", rows[i].name, a->data);
        good_request(&b);
    }
    bed_stop(&b);
    test_free(a);
}

typedef struct good {
    const char *name, *bytes;
    size_t n;
    int count;
    const char *body; /* of the last answer */
    bool closes;      /* the server closes; else another request follows and is served */
} good;

static const good SERVED[] = {
    { "plain", B(GET HOST END), 1, "GET /?", false },
    { "names in any case", B(GET "hOST: realm\r\n" END), 1, "GET /?", false },
    { "no space after the colon", B(GET "Host:realm\r\nA:b\r\n" END), 1, "GET /?", false },
    { "blanks around values", B(GET "Host: \t realm \t \r\nA:\t b\t\r\n" END), 1, "GET /?", false },
    { "an empty value", B(GET HOST "A:\r\nB: \r\n" END), 1, "GET /?", false },
    { "an empty Host", B(GET "Host:\r\n" END), 1, "GET /?", false },
    { "high bytes in a value", B(GET HOST "A: \xc3\xa9\xff\r\n" END), 1, "GET /?", false },
    { "IPv6 in Host", B(GET "Host: [::1]:80\r\n" END), 1, "GET /?", false },
    { "a query", B("GET /a?b=c&d=%20+ HTTP/1.1\r\n" HOST END), 1, "GET /a?b=c&d=%20+", false },
    { "an empty query", B("GET /a? HTTP/1.1\r\n" HOST END), 1, "GET /a?", false },
    { "escapes in the path", B("GET /a%20%C3%A9%2Fb HTTP/1.1\r\n" HOST END), 1,
      "GET /a \xc3\xa9/b?", false },
    { "two slashes", B("GET //a HTTP/1.1\r\n" HOST END), 1, "GET //a?", false },
    { "a URL", B("GET http://realm/a?b HTTP/1.1\r\n" HOST END), 1, "GET /a?b", false },
    { "a URL without a path", B("GET HTTP://REALM HTTP/1.1\r\n" HOST END), 1, "GET /?", false },
    { "OPTIONS of all", B("OPTIONS * HTTP/1.1\r\n" HOST END), 1, "OPTIONS *?", false },
    { "OPTIONS of one", B("OPTIONS /a HTTP/1.1\r\n" HOST END), 1, "OPTIONS /a?", false },
    { "an unknown method", B("FROB /a HTTP/1.1\r\n" HOST END), 1, "FROB /a?", false },
    { "a body", B(POST "Content-Length: 5\r\n" END "hello"), 1, "hello", false },
    { "a body of nothing", B(POST "Content-Length: 0\r\n" END), 1, "", false },
    { "a length with zeros", B(POST "Content-Length: 005\r\n" END "hello"), 1, "hello", false },
    { "a body with a GET", B("GET /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hello"), 1,
      "hello", false },
    { "a body that looks like a request", B(POST "Content-Length: 39\r\n" END SMUGGLED), 1,
      SMUGGLED, false },
    { "three in one",
      B("GET /1 HTTP/1.1\r\n" HOST END "GET /2 HTTP/1.1\r\n" HOST END
        "GET /3 HTTP/1.1\r\n" HOST END),
      3, "GET /3?", false },
    { "a body between two",
      B(POST "Content-Length: 2\r\n" END "hi" POST "Content-Length: 3\r\n" END "you" GET HOST END),
      3, "GET /?", false },
    { "HTTP/1.0", B("GET / HTTP/1.0\r\n\r\n"), 1, "GET /?", true },
    { "HTTP/1.0 with Host", B("GET / HTTP/1.0\r\n" HOST END), 1, "GET /?", true },
    { "HTTP/1.0 kept", B("GET / HTTP/1.0\r\n" HOST "Connection: keep-alive\r\n" END), 1, "GET /?",
      false },
    { "close in a list", B(GET HOST "Connection: te , Close\r\n" END SMUGGLED), 1, "GET /?", true },
    { "close in a second field", B(GET HOST "Connection: te\r\nConnection: close\r\n" END SMUGGLED),
      1, "GET /?", true },
    { "HTTP/1.0 kept and closed",
      B("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n" END SMUGGLED), 1, "GET /?", true },
    { "close, and more behind it", B(GET HOST "Connection: close\r\n" END SMUGGLED), 1, "GET /?",
      true },
    /* a chunked body is the last of its connection */
    { "chunks", B(CHUNKED "5\r\nhello\r\n0\r\n\r\n" SMUGGLED), 1, "hello", true },
    { "chunks of any size", B(CHUNKED "1\r\nh\r\n0004\r\nello\r\n00\r\n\r\n" SMUGGLED), 1, "hello",
      true },
    { "hexadecimal chunk", B(CHUNKED "A\r\n" TEN "\r\n0\r\n\r\n" SMUGGLED), 1, TEN, true },
    { "no chunk", B(CHUNKED "0\r\n\r\n" SMUGGLED), 1, "", true },
    { "chunk extensions", B(CHUNKED "5;a;b=c;d=\"\\\"e f\"\r\nhello\r\n0;g\r\n\r\n" SMUGGLED), 1,
      "hello", true },
    { "chunk extension", B(CHUNKED "5;a=b;c=\"d\"\r\nhello\r\n0\r\n\r\n" SMUGGLED), 1, "hello",
      true },
    { "trailers", B(CHUNKED "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n" SMUGGLED), 1, "hello",
      true },
};

static void served(bed *b, const good *g, bool slowly, answers *a)
{
    int fd = client_open(b);
    size_t n = strlen(g->body);

    for (size_t i = 0; slowly && i < g->n; i++)
        (void)client_send(fd, g->bytes + i, 1);
    if (!slowly)
        (void)client_send(fd, g->bytes, g->n);
    client_read(fd, a, g->closes ? 0 : g->count, false);
    if (a->count != g->count || a->ragged || a->status[a->count - 1] != 200 || a->n < n ||
        memcmp(a->data + a->n - n, g->body, n) != 0)
        fail_msg("%s: %s", g->name, a->n ? a->data : "nothing");
    if (!g->closes) {
        assert_true(client_say(fd, GET HOST END));
        client_read(fd, a, 1, false);
        if (a->count != 1 || a->status[0] != 200)
            fail_msg("%s: the next request", g->name);
    }
    (void)close(fd);
    assert_int_equal(atomic_load(&b->smuggled), 0);
}

static void test_served(void **state)
{
    answers *a = test_malloc(sizeof *a);
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    for (size_t i = 0; i < sizeof SERVED / sizeof SERVED[0]; i++) {
        served(&b, &SERVED[i], false, a);
        served(&b, &SERVED[i], true, a);
    }
    bed_stop(&b);
    test_free(a);
}

/* 100 comes only when admit let the request pass, and the final status otherwise. */
static void test_expect(void **state)
{
    answers *a = test_malloc(sizeof *a);
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .body_max = 256 });
    fd = client_open(&b);
    assert_true(client_say(fd, POST "Content-Length: 5\r\nExpect: 100-continue\r\n" END));
    assert_int_equal(client_skip(fd, strlen("HTTP/1.1 100 Continue\r\n\r\n")), 25);
    assert_true(client_say(fd, "hello"));
    client_read(fd, a, 1, false);
    assert_int_equal(a->status[0], 200);
    assert_int_equal(a->continues, 0); /* the one is read already */
    (void)close(fd);
    assert_int_equal(client_ask(&b, POST "Content-Length: 257\r\nExpect: 100-continue\r\n" END, a),
                     413);
    assert_int_equal(a->continues, 0);
    assert_int_equal(client_ask(&b,
                                "POST /deny HTTP/1.1\r\n" HOST "Content-Length: 5\r\n"
                                "Expect: 100-continue\r\n" END,
                                a),
                     403);
    assert_int_equal(a->continues, 0);
    bed_stop(&b);
    test_free(a);
}

/* HEAD has the length of what GET would have, and no body; the next request is understood. */
static void test_head(void **state)
{
    answers *a = test_malloc(sizeof *a);
    int fd;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ 0 });
    fd = client_open(&b);
    assert_true(client_say(fd, "HEAD /abc HTTP/1.1\r\n" HOST END));
    client_read(fd, a, 1, true);
    assert_int_equal(a->status[0], 200);
    assert_false(a->ragged);
    assert_non_null(strstr(a->data, "Content-Length: 10\r\n"));
    assert_non_null(strstr(a->data, "\r\nDate: "));
    assert_true(client_say(fd, GET HOST END));
    client_read(fd, a, 1, false);
    assert_int_equal(a->status[0], 200);
    (void)close(fd);
    bed_stop(&b);
    test_free(a);
}

/* The room's own refusals have the shape that the callback gives them. */
static void test_shape(void **state)
{
    answers *a = test_malloc(sizeof *a);
    rl_http_counts counts;
    bed b;

    (void)state;
    bed_start(&b, (rl_http_opts){ .head_ms = 200 });
    assert_int_equal(client_ask(&b, GET HOST HOST END, a), 400);
    assert_non_null(strstr(a->data, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(a->data, "{\"status\":400,\"text\":\""));
    assert_non_null(strstr(a->data, "\r\nDate: "));
    assert_int_equal(client_ask(&b, "GE", a), 408);
    assert_non_null(strstr(a->data, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(a->data, "{\"status\":408,\"text\":\""));
    assert_non_null(strstr(a->data, "\r\nDate: "));
    rl_http_count(b.http, &counts);
    assert_int_equal(counts.refused[4], 2);
    assert_int_equal(counts.requests, 0);
    bed_stop(&b);
    test_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_served),  cmocka_unit_test(test_expect),
        cmocka_unit_test(test_head),    cmocka_unit_test(test_shape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
