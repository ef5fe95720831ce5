#include "load/report.h"

#include "base/json.h"

#include <stdio.h>

#define DIGITS 7

static void hist(rl_json *j, const char *key, const rl_load_hist *h)
{
    static const struct {
        const char *key;
        double q;
    } rows[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 } };

    rl_json_object(j, key);
    rl_json_uint(j, "n", h->n);
    if (h->n) {
        rl_json_double(j, "mean", rl_load_hist_mean(h) / 1e6, DIGITS);
        rl_json_double(j, "least", (double)h->least / 1e6, DIGITS);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            rl_json_double(j, rows[i].key, (double)rl_load_hist_at(h, rows[i].q) / 1e6, DIGITS);
        rl_json_double(j, "max", (double)h->most / 1e6, DIGITS);
    }
    rl_json_end_object(j);
}

static void asked(rl_json *j, const rl_load_report *r)
{
    const rl_load_options *o = r->o;

    rl_json_object(j, "asked");
    rl_json_string(j, "endpoint", o->completions ? "completions" : "chat/completions");
    rl_json_bool(j, "stream", !o->plain);
    rl_json_string(j, "loop", o->rate > 0 ? "open" : "closed");
    rl_json_uint(j, "clients", rl_load_loop_clients(o));
    rl_json_double(j, "rate", o->rate, DIGITS);
    rl_json_bool(j, "uniform", o->uniform);
    rl_json_uint(j, "requests", o->requests);
    rl_json_double(j, "seconds", o->seconds, DIGITS);
    rl_json_bool(j, "bodies", o->bodies != NULL);
    rl_json_uint(j, "prompt_tokens", o->prompt_tokens);
    rl_json_uint(j, "prompt_words", r->prompt_words);
    rl_json_uint(j, "calibrated_tokens", r->calibrated_tokens);
    rl_json_uint(j, "max_tokens", o->max_tokens);
    rl_json_bool(j, "ignore_eos", !o->eos);
    rl_json_double(j, "temperature", o->temperature, DIGITS);
    rl_json_uint(j, "seed", o->seed);
    rl_json_bool(j, "keepalive", !o->no_keepalive);
    rl_json_end_object(j);
}

static void reasons(rl_json *j, const char *key, const uint64_t by_reason[RL_LOAD_REASONS])
{
    rl_json_object(j, key);
    for (unsigned i = RL_LOAD_REJECTED; i < RL_LOAD_REASONS; i++) {
        if (by_reason[i])
            rl_json_uint(j, rl_load_reason_key((rl_load_reason)i), by_reason[i]);
    }
    rl_json_end_object(j);
}

static void ends(rl_json *j, const rl_load_stats *s)
{
    char status[16];

    rl_json_uint(j, "started", s->started);
    rl_json_uint(j, "ok", s->ok);
    rl_json_uint(j, "rejected", s->rejected);
    rl_json_uint(j, "failed", s->failed);
    rl_json_object(j, "status");
    for (unsigned i = 0; i < RL_LOAD_STATUSES; i++) {
        (void)snprintf(status, sizeof status, "%u", i);
        if (s->by_status[i])
            rl_json_uint(j, status, s->by_status[i]);
    }
    rl_json_end_object(j);
    reasons(j, "reasons", s->by_reason);
    rl_json_object(j, "why");
    for (unsigned i = RL_LOAD_REJECTED; i < RL_LOAD_REASONS; i++) {
        if (s->why[i][0])
            rl_json_string(j, rl_load_reason_key((rl_load_reason)i), s->why[i]);
    }
    rl_json_end_object(j);
}

static double per(double n, double seconds)
{
    return seconds > 0 ? n / seconds : 0;
}

static void tokens(rl_json *j, const rl_load_report *r)
{
    const rl_load_stats *s = r->s;
    double wall = (double)r->t->wall_ns / 1e9;

    rl_json_uint(j, "tokens", s->tokens);
    rl_json_double(j, "tokens_per_s", per((double)s->tokens, wall), DIGITS);
    rl_json_uint(j, "shorter", s->shorter);
    rl_json_object(j, "prompt");
    rl_json_uint(j, "tokens", s->prompt_tokens);
    rl_json_uint(j, "least", s->prompt_least);
    rl_json_uint(j, "most", s->prompt_most);
    rl_json_end_object(j);
    rl_json_object(j, "usage");
    rl_json_uint(j, "seen", s->n_usage);
    rl_json_uint(j, "missing", s->usage_missing);
    rl_json_uint(j, "differs", s->usage_differs);
    rl_json_uint(j, "impossible", s->usage_impossible);
    rl_json_end_object(j);
    if (!s->good_ns)
        return;
    rl_json_object(j, "goodput");
    rl_json_double(j, "limit_ms", (double)s->good_ns / 1e6, DIGITS);
    rl_json_uint(j, "good", s->good);
    rl_json_double(j, "share", per((double)s->good, (double)s->started), DIGITS);
    rl_json_double(j, "per_s", per((double)s->good, wall), DIGITS);
    rl_json_end_object(j);
}

static void group(rl_json *j, const char *key, const rl_load_group *g, uint32_t streams)
{
    rl_json_object(j, key);
    rl_json_uint(j, "clients", g->n);
    rl_json_uint(j, "opened", g->opened);
    rl_json_uint(j, "streams_at_end", streams);
    rl_json_uint(j, "ended", g->ended);
    rl_json_uint(j, "failed", g->failed);
    rl_json_uint(j, "events", g->events);
    reasons(j, "reasons", g->by_reason);
    rl_json_end_object(j);
}

static void cost(rl_json *j, const rl_load_report *r)
{
    const rl_load_counts *n = &r->t->count;
    const rl_load_machine *a = &r->t->opened, *b = &r->t->to;
    double own = b->own_s - a->own_s, machine = b->busy_s - a->busy_s;

    rl_json_object(j, "client");
    rl_json_double(j, "cpu_s", own, DIGITS);
    rl_json_double(j, "share_of_core", rl_load_report_share(r), DIGITS);
    rl_json_uint(j, "events", n->events);
    rl_json_uint(j, "text_events", n->texts);
    rl_json_double(j, "cpu_us_per_event", n->events ? own * 1e6 / (double)n->events : 0, DIGITS);
    rl_json_uint(j, "bytes_in", n->bytes_in);
    rl_json_uint(j, "bytes_out", n->bytes_out);
    rl_json_uint(j, "connections", n->connects);
    rl_json_uint(j, "sent_again", n->again);
    rl_json_uint(j, "stray", n->stray);
    rl_json_end_object(j);
    rl_json_object(j, "machine");
    rl_json_double(j, "seconds", (double)(b->at_ns - a->at_ns) / 1e9, DIGITS);
    rl_json_double(j, "busy_s", machine, DIGITS);
    rl_json_double(j, "tokens_per_cpu_s", per((double)r->s->tokens, machine - own), DIGITS);
    rl_json_end_object(j);
    if (!a->has_server || !b->has_server)
        return;
    rl_json_object(j, "server");
    rl_json_double(j, "cpu_s", b->server_s - a->server_s, DIGITS);
    rl_json_double(j, "tokens_per_cpu_s", per((double)r->s->tokens, b->server_s - a->server_s),
                   DIGITS);
    rl_json_uint(j, "rss_before", r->t->from.server_rss);
    rl_json_uint(j, "rss_opened", a->server_rss);
    rl_json_uint(j, "rss_after", b->server_rss);
    rl_json_uint(j, "rss_peak", b->server_peak);
    rl_json_double(j, "foreign_cores", rl_load_report_foreign(r), DIGITS);
    rl_json_end_object(j);
}

void rl_load_report_json(const rl_load_report *r, rl_buf *out)
{
    const rl_load_stats *s = r->s;
    rl_json j = rl_json_on(out);
    rl_load_warnings w;

    rl_json_object(&j, NULL);
    asked(&j, r);
    ends(&j, s);
    rl_json_double(&j, "wall_s", (double)r->t->wall_ns / 1e9, DIGITS);
    tokens(&j, r);
    hist(&j, "first_ms", &s->first);
    hist(&j, "gap_ms", &s->gap);
    hist(&j, "whole_ms", &s->whole);
    rl_json_object(&j, "rejects");
    rl_json_uint(&j, "retry_after", s->retry_after);
    rl_json_uint(&j, "no_retry_after", s->no_retry_after);
    hist(&j, "ms", &s->reject);
    rl_json_end_object(&j);
    hist(&j, "late_ms", &s->late);
    group(&j, "idle", &s->idle, r->t->idle_streams);
    rl_json_uint(&j, "idle_connections", r->t->idle_connections);
    group(&j, "slow", &s->slow, r->t->slow_streams);
    cost(&j, r);
    rl_load_report_warnings(r, &w);
    rl_json_array(&j, "warnings");
    for (unsigned i = 0; i < w.n; i++)
        rl_json_string(&j, NULL, w.text[i]);
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}
