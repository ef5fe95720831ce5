/* Refusals of the room's own: what is malformed, over a limit, too slow or too many. */
#include "http/internal.h"

#include "base/clock.h"

#include <string.h>

#define REFUSAL_MAX 4096

/* "Sun, 06 Nov 1994 08:49:37 GMT", in no locale; "" when the clock is beyond that. */
const char *rl_http_date(rl_http *h)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    rl_buf text;
    struct tm t;

    if (now == h->date_s)
        return h->date;
    h->date_s = now;
    h->date[0] = 0;
    rl_buf_init(&text, sizeof h->date - 1);
    if (gmtime_r(&now, &t) &&
        rl_buf_addf(&text, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT", days + t.tm_wday * 3, t.tm_mday,
                    months + t.tm_mon * 3, t.tm_year + 1900, t.tm_hour, t.tm_min,
                    t.tm_sec) == REALM_OK)
        memcpy(h->date, text.data, text.len + 1);
    rl_buf_deinit(&text);
    return h->date;
}

static void write_body(rl_http *h, rl_http_fault fault, rl_buf *body)
{
    rl_buf_init(body, REFUSAL_MAX);
    atomic_fetch_add(&h->refused[fault.status / 100], 1);
    if (h->o.refuse)
        h->o.refuse(h->o.ctx, fault.status, fault.text, body);
    else
        (void)rl_buf_addf(body, "%s\n", fault.text);
    if (body->failed)
        rl_buf_clear(body);
}

/* A whole message, in `message`, which the caller deinits; bare: without its body, as HEAD has it.
 * *body_n: bytes of the body in it. false: no memory. */
bool rl_http_refuse_raw(rl_http *h, rl_http_fault fault, const char *id, bool bare, size_t *body_n,
                        rl_buf *message)
{
    rl_buf body;

    rl_buf_init(message, (size_t)2 * REFUSAL_MAX);
    write_body(h, fault, &body);
    (void)rl_buf_addf(message, "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Request-Id: %s\r\n", fault.status,
                      rl_http_reason(fault.status), rl_http_date(h), id);
    if (fault.status == 503)
        (void)rl_buf_adds(message, "Retry-After: 1\r\n");
    (void)rl_buf_addf(message,
                      "Content-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                      h->o.refuse_type, body.len);
    *body_n = bare ? 0 : body.len;
    if (*body_n)
        (void)rl_buf_add(message, body.data, body.len);
    rl_buf_deinit(&body);
    return !message->failed;
}

/* From here on no answer of the callbacks' is taken: who watches is told that all is lost. */
static void take_over(rl_http_exchange *ex, int status)
{
    rl_http_exchange_gone(ex);
    if (!ex->id[0])
        rl_http_id_make(ex->id);
    ex->phase = RL_HTTP_SENDING;
    ex->refused = true;
    ex->status = status;
}

/* Without memory for an exchange the client is told all the same, as long as there is some for
 * that.
 */
void rl_http_refuse(rl_http_conn *c, rl_http_fault fault)
{
    rl_http_exchange *ex = c->ex ? c->ex : rl_http_exchange_new(c);
    char id[RL_HTTP_ID];
    rl_buf message;
    size_t body_n;

    c->ex = ex;
    c->closing = c->unread = true;
    if (ex)
        take_over(ex, fault.status);
    else
        rl_http_id_make(id);
    if (rl_http_refuse_raw(c->http, fault, ex ? ex->id : id, ex && strcmp(ex->method, "HEAD") == 0,
                           &body_n, &message)) {
        if (ex && body_n) {
            ex->body_sent = body_n;
            ex->first_ns = rl_clock_ns();
        }
        (void)rl_http_send(c, message.data, message.len);
    }
    rl_buf_deinit(&message);
}
