/* Refusals of the room's own: their bodies, and whole messages for sockets libmicrohttpd is not
 * asked to answer on. */
#include "http/internal.h"

#include <time.h>

#define REFUSAL_MAX 4096

void rl_http_refuse_body(rl_http *h, rl_http_fault fault, rl_buf *body)
{
    rl_buf_init(body, REFUSAL_MAX);
    atomic_fetch_add(&h->refused[fault.status / 100], 1);
    if (h->o.refuse)
        h->o.refuse(h->o.ctx, fault.status, fault.text, body);
    else
        (void)rl_buf_addf(body, "%s\n", fault.text);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", in no locale. */
static void add_date(rl_buf *out)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    struct tm t;

    if (!gmtime_r(&now, &t))
        return;
    (void)rl_buf_addf(out, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + t.tm_wday * 3,
                      t.tm_mday, months + t.tm_mon * 3, t.tm_year + 1900, t.tm_hour, t.tm_min,
                      t.tm_sec);
}

/* The message is in `message`, which the caller deinits. false: no memory. */
bool rl_http_refuse_raw(rl_http *h, rl_http_fault fault, rl_buf *message)
{
    rl_buf body;

    rl_buf_init(message, (size_t)2 * REFUSAL_MAX);
    rl_http_refuse_body(h, fault, &body);
    (void)rl_buf_addf(message, "HTTP/1.1 %d %s\r\n", fault.status,
                      MHD_get_reason_phrase_for((unsigned)fault.status));
    add_date(message);
    if (fault.status == 503)
        (void)rl_buf_adds(message, "Retry-After: 1\r\n");
    (void)rl_buf_addf(message,
                      "Content-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                      h->o.refuse_type, body.len);
    (void)rl_buf_add(message, body.data ? body.data : "", body.len);
    rl_buf_deinit(&body);
    return !message->failed;
}
