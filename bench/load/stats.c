#include "load/stats.h"

#include <string.h>

static uint64_t since(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

/* The server's count beside what was seen. A token may bring no text (half a character, an end), so
 * more tokens than events is usual; more events than tokens, or than were asked for, is not. */
static void add_usage(rl_load_stats *s, const rl_load_result *r)
{
    uint64_t tokens = r->has_usage ? r->completion_tokens : r->n_texts;

    s->tokens += tokens;
    if (tokens < r->max_tokens)
        s->shorter++;
    if (!r->has_usage) {
        s->usage_missing++;
        return;
    }
    s->prompt_least =
        s->n_usage && s->prompt_least < r->prompt_tokens ? s->prompt_least : r->prompt_tokens;
    s->prompt_most = s->prompt_most > r->prompt_tokens ? s->prompt_most : r->prompt_tokens;
    s->prompt_tokens += r->prompt_tokens;
    s->n_usage++;
    if (r->n_events > 1 && tokens != r->n_texts)
        s->usage_differs++;
    if (tokens < r->n_texts || tokens > r->max_tokens)
        s->usage_impossible++;
}

static void add_ok(rl_load_stats *s, const rl_load_result *r)
{
    uint64_t whole = since(r->intended_ns, r->end_ns);

    s->ok++;
    rl_load_hist_add(&s->whole, whole);
    if (r->first_ns)
        rl_load_hist_add(&s->first, since(r->intended_ns, r->first_ns));
    if (s->good_ns && whole <= s->good_ns)
        s->good++;
    add_usage(s, r);
}

void rl_load_stats_add(rl_load_stats *s, const rl_load_result *r)
{
    s->started++;
    s->by_reason[r->reason]++;
    s->by_status[r->status]++;
    if (!s->why[r->reason][0])
        memcpy(s->why[r->reason], r->why, sizeof r->why);
    if (r->reason == RL_LOAD_OK) {
        add_ok(s, r);
    } else if (r->reason == RL_LOAD_REJECTED) {
        s->rejected++;
        rl_load_hist_add(&s->reject, since(r->intended_ns, r->end_ns));
        if (r->retry_after)
            s->retry_after++;
        else
            s->no_retry_after++;
    } else {
        s->failed++;
    }
}

void rl_load_group_add(rl_load_group *g, const rl_load_result *r)
{
    g->by_reason[r->reason]++;
    g->events += r->n_events;
    if (r->reason == RL_LOAD_OK)
        g->ended++;
    else
        g->failed++;
}
