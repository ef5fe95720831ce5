/* Replies: JSON bodies, ids, and failures as OpenAI's clients expect them. */
#include "server/internal.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define ERROR_MAX ((size_t)16 << 10)
#define DIGITS    32u

void rl_reply_id(char out[RL_ANSWER_ID], const char *prefix)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[DIGITS / 2];
    size_t n = strlen(prefix);

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        memset(bytes, (int)(rl_clock_ns() & 255), sizeof bytes); /* an id, not a secret */
    memcpy(out, prefix, n);
    for (size_t i = 0; i < DIGITS && n + 1 < RL_ANSWER_ID; i++)
        out[n++] = hex[bytes[i / 2] >> i % 2 * 4 & 15];
    out[n] = 0;
}

/* Whoever passed the guard may read the answer; 403 and 421 are the guard's own. */
const rl_http_field *rl_reply_fields(const rl_http_exchange *ex, int status, const char *name,
                                     const char *value, rl_http_field out[RL_REPLY_FIELDS])
{
    const char *origin = rl_http_header(ex, "Origin");
    size_t n = 0;

    if (name)
        out[n++] = (rl_http_field){ name, value };
    if (origin && status != 403 && status != 421) {
        out[n++] = (rl_http_field){ "Access-Control-Allow-Origin", origin };
        out[n++] = (rl_http_field){ "Access-Control-Expose-Headers", "X-Request-Id, Retry-After" };
        out[n++] = (rl_http_field){ "Vary", "Origin" };
    }
    out[n] = (rl_http_field){ NULL, NULL };
    return out;
}

void rl_reply_preflight(rl_http_exchange *ex)
{
    static const rl_http_field rules[] = {
        { "Access-Control-Allow-Methods", "GET, POST" },
        { "Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id" },
        { "Access-Control-Max-Age", "600" },
    };
    rl_http_field fields[RL_REPLY_FIELDS + 3];
    size_t n = 0;

    (void)rl_reply_fields(ex, 204, NULL, NULL, fields);
    while (fields[n].name)
        n++;
    for (size_t i = 0; i < RL_COUNT(rules); i++)
        fields[n++] = rules[i];
    fields[n] = (rl_http_field){ NULL, NULL };
    (void)rl_http_reply(ex, &(rl_http_answer){ .status = 204, .headers = fields }, NULL, 0);
}

static void send(rl_http_exchange *ex, int status, const char *header, const char *value,
                 rl_buf *body)
{
    rl_http_field fields[RL_REPLY_FIELDS];
    rl_http_answer a = { .status = status,
                         .type = "application/json",
                         .headers = rl_reply_fields(ex, status, header, value, fields) };
    size_t n = body->len;

    /* A client that has left needs no answer, and one without memory for it gets the next. */
    if (rl_http_reply(ex, &a, rl_buf_take(body), n) == REALM_ENOMEM)
        (void)rl_http_reply(ex, &(rl_http_answer){ .status = 503 }, NULL, 0);
}

void rl_reply_json(rl_http_exchange *ex, int status, rl_buf *body)
{
    if (!body->failed) {
        send(ex, status, NULL, NULL, body);
        return;
    }
    rl_buf_deinit(body);
    rl_reply_complain(ex, &(rl_complaint){ .status = 503, .text = "no memory for the answer" });
}

static const char *type_of(int status)
{
    return status == 429   ? "rate_limit_error"
           : status >= 500 ? "server_error"
                           : "invalid_request_error";
}

static void put_or_null(rl_json *j, const char *key, const char *text)
{
    if (text)
        rl_json_string(j, key, text);
    else
        rl_json_null(j, key);
}

void rl_reply_put_error(rl_buf *body, const rl_complaint *c)
{
    rl_json j = rl_json_on(body);

    rl_json_object(&j, NULL);
    rl_json_object(&j, "error");
    rl_json_string(&j, "message", c->text);
    rl_json_string(&j, "type", type_of(c->status));
    put_or_null(&j, "param", c->param);
    put_or_null(&j, "code", c->code);
    rl_json_end_object(&j);
    rl_json_end_object(&j);
}

void rl_reply_complain(rl_http_exchange *ex, const rl_complaint *c)
{
    bool later = c->status == 429 || c->status == 503;
    char seconds[16];
    rl_buf body;

    (void)snprintf(seconds, sizeof seconds, "%u", c->retry_s ? c->retry_s : 1);
    rl_buf_init(&body, ERROR_MAX);
    rl_reply_put_error(&body, c);
    send(ex, c->status,
         later              ? "Retry-After"
         : c->status == 401 ? "WWW-Authenticate"
                            : NULL,
         later ? seconds : "Bearer", &body);
}

void rl_reply_error(rl_http_exchange *ex, const realm_error *err, const char *param)
{
    rl_complaint c = { .status = realm_status_http(err->status),
                       .param = param,
                       .text = err->text };

    if (c.status == 499) /* cancelled by us: the client is still there */
        c.status = 503;
    if (err->status == REALM_ENOTFOUND)
        c.code = "model_not_found";
    if (err->status == REALM_ECONTEXT)
        c.code = "context_length_exceeded";
    rl_reply_complain(ex, &c);
}
