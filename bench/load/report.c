#include "load/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

typedef rl_load_report report;

#define LATE_NS 5000000u /* an open loop that is late by this does not do what it says */

static double span_s(const report *r)
{
    return (double)(r->t->to.at_ns - r->t->opened.at_ns) / 1e9;
}

static double own_s(const report *r)
{
    return r->t->to.own_s - r->t->opened.own_s;
}

static double server_s(const report *r)
{
    return r->t->to.server_s - r->t->opened.server_s;
}

static bool has_server(const report *r)
{
    return r->t->opened.has_server && r->t->to.has_server;
}

double rl_load_report_share(const report *r)
{
    return span_s(r) > 0 ? own_s(r) / span_s(r) : 0;
}

double rl_load_report_foreign(const report *r)
{
    double busy = r->t->to.busy_s - r->t->opened.busy_s;
    double foreign = span_s(r) > 0 ? (busy - own_s(r) - server_s(r)) / span_s(r) : 0;

    return foreign > 0 ? foreign : 0;
}

/* ---- warnings -------------------------------------------------------------------------------- */

static void REALM_PRINTF(2, 3) warn(rl_load_warnings *w, const char *fmt, ...)
{
    va_list args;

    if (w->n == RL_LOAD_WARNINGS)
        return;
    va_start(args, fmt);
    (void)vsnprintf(w->text[w->n++], sizeof *w->text, fmt, args);
    va_end(args);
}

static void warn_client(const report *r, rl_load_warnings *w)
{
    const rl_load_stats *s = r->s;

    if (r->t->stopped)
        warn(w, "the run was broken off");
    if (rl_load_report_share(r) > 0.8 &&
        span_s(r) > 1) /* shorter, the clock of CPUs is too coarse */
        warn(w, "the client used %.0f %% of its core: it may be the limit, not the server",
             100 * rl_load_report_share(r));
    if (rl_load_hist_at(&s->late, 0.99) > LATE_NS)
        warn(w, "1 %% of the requests went out %.1f ms late or later: the client is at its limit",
             (double)rl_load_hist_at(&s->late, 0.99) / 1e6);
    if (s->by_reason[RL_LOAD_NO_CLIENT])
        warn(w, "%" PRIu64 " requests were not sent, all %" PRIu32 " clients were busy",
             s->by_reason[RL_LOAD_NO_CLIENT], rl_load_loop_clients(r->o));
}

void rl_load_report_warnings(const report *r, rl_load_warnings *w)
{
    const rl_load_stats *s = r->s;

    w->n = 0;
    warn_client(r, w);
    if (s->usage_missing)
        warn(w, "%" PRIu64 " answers had no usage: their tokens are counted by events",
             s->usage_missing);
    if (s->usage_impossible)
        warn(w, "%" PRIu64 " answers had a usage below their events or above max_tokens",
             s->usage_impossible);
    if (s->shorter)
        warn(w, "%" PRIu64 " of %" PRIu64 " answers ended before max_tokens", s->shorter, s->ok);
    if (r->t->count.stray)
        warn(w, "%" PRIu64 " times the server sent bytes that belong to no answer",
             r->t->count.stray);
    if (r->o->pid && !has_server(r))
        warn(w, "process %" PRIu32 " could not be read: is it the server's?", r->o->pid);
    if (has_server(r) && rl_load_report_foreign(r) > 0.1)
        warn(w, "%.2f cores were busy with other work", rl_load_report_foreign(r));
}

/* ---- table ----------------------------------------------------------------------------------- */

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void row(rl_buf *out, const char *name, const rl_load_hist *h)
{
    if (h->n == 0)
        return;
    (void)rl_buf_addf(out, "%-16s %9" PRIu64 " %9.2f %9.2f %9.2f %9.2f %9.2f\n", name, h->n,
                      rl_load_hist_mean(h) / 1e6, ms(rl_load_hist_at(h, 0.5)),
                      ms(rl_load_hist_at(h, 0.9)), ms(rl_load_hist_at(h, 0.99)), ms(h->most));
}

static void table_head(const report *r, rl_buf *out)
{
    const rl_load_options *o = r->o;

    (void)rl_buf_addf(out, "http://%s:%s%s/v1/%s, ", o->url.host, o->url.port, o->url.prefix,
                      o->completions ? "completions" : "chat/completions");
    if (o->rate > 0)
        (void)rl_buf_addf(out, "open loop, %g/s %s", o->rate, o->uniform ? "uniform" : "Poisson");
    else
        (void)rl_buf_addf(out, "closed loop, %" PRIu32 " client%s", o->clients,
                          o->clients == 1 ? "" : "s");
    (void)rl_buf_addf(out, ", %s, at most %" PRIu32 " tokens\n", o->plain ? "plain" : "streams",
                      o->max_tokens);
}

static void table_ends(const report *r, rl_buf *out)
{
    const rl_load_stats *s = r->s;

    (void)rl_buf_addf(out,
                      "requests: %" PRIu64 " complete, %" PRIu64 " rejected, %" PRIu64
                      " failed, in %.2f s\n",
                      s->ok, s->rejected, s->failed, (double)r->t->wall_ns / 1e9);
    for (unsigned i = RL_LOAD_REJECTED; i < RL_LOAD_REASONS; i++) {
        if (s->by_reason[i])
            (void)rl_buf_addf(out, "  %" PRIu64 " %s: %s%s%s\n", s->by_reason[i],
                              rl_load_reason_key((rl_load_reason)i),
                              rl_load_reason_text((rl_load_reason)i), s->why[i][0] ? ": " : "",
                              s->why[i]);
    }
    for (unsigned i = 1; i < RL_LOAD_STATUSES; i++) {
        if (s->by_status[i] && i != 200)
            (void)rl_buf_addf(out, "  status %u: %" PRIu64 "\n", i, s->by_status[i]);
    }
    if (s->rejected)
        (void)rl_buf_addf(out, "  Retry-After: %" PRIu64 " with, %" PRIu64 " without\n",
                          s->retry_after, s->no_retry_after);
}

static void table_rates(const report *r, rl_buf *out)
{
    const rl_load_stats *s = r->s;
    double wall = (double)r->t->wall_ns / 1e9;

    if (wall <= 0 || s->started == 0)
        return;
    (void)rl_buf_addf(out, "tokens: %" PRIu64 ", %.2f/s", s->tokens, (double)s->tokens / wall);
    if (s->n_usage)
        (void)rl_buf_addf(out, "; of a prompt: %.1f (%" PRIu64 " to %" PRIu64 ")",
                          (double)s->prompt_tokens / (double)s->n_usage, s->prompt_least,
                          s->prompt_most);
    (void)rl_buf_addf(out, "; requests: %.3f/s\n", (double)s->ok / wall);
    if (s->good_ns)
        (void)rl_buf_addf(out, "goodput: %" PRIu64 " within %.1f ms, %.1f %% of all, %.3f/s\n",
                          s->good, ms(s->good_ns), 100 * (double)s->good / (double)s->started,
                          (double)s->good / wall);
}

static void table_group(rl_buf *out, const char *name, const rl_load_group *g, uint32_t held)
{
    if (g->n)
        (void)rl_buf_addf(out,
                          "%s clients: %" PRIu32 " of %" PRIu32 " opened, %" PRIu32
                          " stream at the end; %" PRIu64 " ended, %" PRIu64 " failed, %" PRIu64
                          " events\n",
                          name, g->opened, g->n, held, g->ended, g->failed, g->events);
}

static void table_cost(const report *r, rl_buf *out)
{
    const rl_load_counts *n = &r->t->count;

    (void)rl_buf_addf(out, "client: %.3f s CPU (%.1f %% of a core)", own_s(r),
                      100 * rl_load_report_share(r));
    if (n->events)
        (void)rl_buf_addf(out, ", %.2f us an event of %" PRIu64, own_s(r) * 1e6 / (double)n->events,
                          n->events);
    (void)rl_buf_addf(out,
                      "; %" PRIu64 " bytes in, %" PRIu64 " out, %" PRIu64 " connections, %" PRIu64
                      " sent again\n",
                      n->bytes_in, n->bytes_out, n->connects, n->again);
    if (has_server(r))
        (void)rl_buf_addf(
            out, "server: %.2f s CPU, %.1f MiB, at most %.1f MiB; other work: %.2f cores\n",
            server_s(r), (double)r->t->to.server_rss / 1048576,
            (double)r->t->to.server_peak / 1048576, rl_load_report_foreign(r));
}

void rl_load_report_table(const report *r, rl_buf *out)
{
    const rl_load_stats *s = r->s;
    rl_load_warnings w;

    table_head(r, out);
    table_ends(r, out);
    table_rates(r, out);
    if (s->started)
        (void)rl_buf_addf(out, "%-16s %9s %9s %9s %9s %9s %9s\n", "ms", "n", "mean", "p50", "p90",
                          "p99", "max");
    row(out, "first token", &s->first);
    row(out, "between tokens", &s->gap);
    row(out, "whole request", &s->whole);
    row(out, "rejected", &s->reject);
    row(out, "sent late", &s->late);
    table_group(out, "idle", &s->idle, r->t->idle_streams);
    table_group(out, "slow", &s->slow, r->t->slow_streams);
    table_cost(r, out);
    rl_load_report_warnings(r, &w);
    for (unsigned i = 0; i < w.n; i++)
        (void)rl_buf_addf(out, "warning: %s\n", w.text[i]);
}
