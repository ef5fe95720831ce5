#include "server/log.h"

#include "base/assert.h"
#include "base/clock.h"
#include "server/trace.h"

#include <string.h>

/* Texts from outside may take six bytes for each when escaped; a line holds all of them. */
#define PATH_MAX_LOGGED 300u
#define WORD_MAX        64u

static void put_trace(rl_log_event *l, const char *id, const char *traceparent)
{
    rl_trace t;

    rl_trace_of(traceparent, id, &t);
    rl_log_text(l, "id", id, WORD_MAX);
    rl_log_text(l, "trace_id", t.id, sizeof t.id);
    rl_log_text(l, "span_id", t.span, sizeof t.span);
    if (t.parent[0])
        rl_log_text(l, "parent_id", t.parent, sizeof t.parent);
}

static void put_ms(rl_log_event *l, const char *key, uint64_t ns)
{
    uint64_t us = ns / 1000;

    rl_json_double(&l->json, key, (double)us / 1e3, 15);
}

static void put_key(rl_log_event *l, const char *key)
{
    if (key && key[0])
        rl_log_text(l, "key", key, WORD_MAX);
}

/* The client's mistakes are its own; ours deserve a look. */
static rl_log_level level_of(int status)
{
    return status >= 500 ? RL_LOG_WARN : RL_LOG_INFO;
}

static void log_request(const rl_http_record *rec)
{
    rl_log_event l;

    if (!rl_log_begin(&l, level_of(rec->status), "request"))
        return;
    put_trace(&l, rec->id, rec->traceparent);
    rl_log_text(&l, "peer", rec->peer, WORD_MAX);
    rl_log_text(&l, "method", rec->method, WORD_MAX / 2);
    rl_log_text(&l, "path", rec->path, PATH_MAX_LOGGED);
    rl_json_int(&l.json, "status", rec->status);
    put_ms(&l, "ms", rec->ns);
    if (rec->first_ns)
        put_ms(&l, "first_ms", rec->first_ns);
    rl_json_uint(&l.json, "bytes", rec->body_bytes);
    put_key(&l, rec->note);
    if (rec->refused)
        rl_json_bool(&l.json, "refused", true);
    rl_log_end(&l);
}

static int route_of(const rl_http_record *rec)
{
    bool known;
    const rl_route *r;

    if (rec->refused || !rec->method || !rec->path)
        return -1;
    r = rl_route_find(rec->method, rec->path, &known);
    return r ? (int)(r - rl_routes) : -1;
}

void rl_server_ended(void *ctx, const rl_http_record *rec)
{
    rl_server *s = ctx;

    rl_metrics_request(&s->metrics, route_of(rec), rec->status);
    log_request(rec);
}

/* ---- completions ----------------------------------------------------------------------------- */

static rl_finished finished(const rl_server_run *run)
{
    static const char *const words[] = { "stop", "length", "tool_calls", "content_filter" };

    if (run->result->status == REALM_ECANCELLED)
        return RL_FINISHED_CANCELLED;
    if (run->result->status != REALM_OK)
        return RL_FINISHED_FAILED;
    if (run->result->http_status >= 400)
        return RL_FINISHED_REFUSED;
    for (uint32_t i = 0; i < RL_COUNT(words); i++)
        if (strcmp(run->finish, words[i]) == 0)
            return (rl_finished)i;
    return RL_FINISHED_STOP;
}

static const char *finish_word(const rl_server_run *run)
{
    if (run->result->status == REALM_ECANCELLED)
        return "cancelled";
    if (run->result->status != REALM_OK)
        return "error";
    if (run->result->http_status >= 400)
        return "refused";
    return run->finish[0] ? run->finish : "stop";
}

static void log_run(const rl_server_run *run, uint64_t ns)
{
    const rl_run_result *r = run->result;
    bool bad = r->status != REALM_OK && r->status != REALM_ECANCELLED;
    rl_log_event l;

    if (!rl_log_begin(&l, bad ? RL_LOG_WARN : RL_LOG_INFO, "run"))
        return;
    put_trace(&l, run->id, run->traceparent);
    put_key(&l, run->key);
    rl_log_text(&l, "model", run->model, RL_NAME_MAX);
    rl_json_uint(&l.json, "prompt_tokens", r->prompt_tokens);
    rl_json_uint(&l.json, "cached_tokens", r->cached_tokens);
    rl_json_uint(&l.json, "completion_tokens", r->generated_tokens);
    if (run->timing->first_ns)
        put_ms(&l, "ttft_ms", run->timing->first_ns - run->timing->begin_ns);
    else
        rl_json_null(&l.json, "ttft_ms");
    put_ms(&l, "ms", ns);
    put_ms(&l, "guest_cpu_ms", r->cpu_ns);
    rl_log_text(&l, "finish", finish_word(run), WORD_MAX);
    if (bad) /* the name alone: a sentence may quote the request */
        rl_json_string(&l.json, "error", realm_status_name(r->status));
    rl_log_end(&l);
}

void rl_server_run_ended(rl_server *s, const rl_server_run *run)
{
    uint64_t ns = rl_clock_ns() - run->timing->begin_ns;

    rl_metrics_count(&s->metrics, RL_COUNT_finishes, finished(run));
    rl_metrics_observe(&s->metrics, RL_HIST_request, ns);
    log_run(run, ns);
}
