/* Which rows the next step of a model computes: one of every sequence that decodes, then pieces of
 * prompts, owners in turn. Engine thread only. */
#include "engine/internal.h"

#define PREFILL_NS   60000000u /* a step with decoding rows spends about this much on prompts */
#define PREFILL_ROWS 16u       /* but computes at least so many of them */

/* The position from which on a job wants logits, or states for a mean. What it was given before an
 * eviction it does not want again. */
uint32_t rl_batch_first_wanted(const rl_seq *s)
{
    const rl_job *job = s->run.job;

    switch (job->kind) {
    case RL_JOB_SCORE:
        return (uint32_t)((int64_t)s->run.len0 + job->first_row) + s->run.n_given;
    case RL_JOB_EMBED:
        return s->run.len0 + s->run.n_given;
    case RL_JOB_GENERATE:
        return rl_job_to_score(s) ? s->run.len0 + s->run.n_given : s->len - 1;
    case RL_JOB_LAYER:
        return s->len; /* none */
    default:
        return s->len - 1;
    }
}

/* Adds rows [n_computed, n_computed + n) of s, fewer when their logits would not fit. -> false when
 * there is no room, in memory or in the batch */
static bool add_span(rl_batch *b, rl_seq *s, uint32_t n)
{
    uint32_t pos = s->n_computed, first = rl_batch_first_wanted(s), wanted, logits;
    bool states = s->run.job->kind == RL_JOB_EMBED;

    if (rl_room_reserve(s, pos, s->len - pos) != REALM_OK)
        return false;
    wanted = pos + n > first ? pos + n - (first > pos ? first : pos) : 0;
    logits = states ? 0 : wanted;
    if (logits > b->max_logits - b->n_logits) {
        uint32_t drop = logits - (b->max_logits - b->n_logits);

        if (drop >= n)
            return false;
        n -= drop;
        logits -= drop;
    }
    s->run.in_batch = true;
    b->spans[b->n] = (rl_span){ .kv = &s->kv,
                                .pos = pos,
                                .n = n,
                                .ids = s->ids + pos,
                                .n_logits = logits,
                                .n_hidden = states ? wanted : 0 };
    b->seqs[b->n++] = s;
    b->n_rows += n;
    b->n_logits += logits;
    b->n_hidden += states ? wanted : 0;
    return true;
}

/* Every sequence with one row to compute; the others come into *cands. Each one looked at goes to
 * the list's end, so that when they are too many the next step begins where this one stopped. */
static void add_decoding(rl_engine *e, rl_lm *lm, rl_seq **cands)
{
    rl_batch *b = &e->batch;

    for (uint32_t left = lm->run.n; left > 0; left--) {
        rl_seq *s = lm->run.head;

        if (b->n_rows == e->opts.max_rows || b->n_logits == b->max_logits)
            break;
        rl_seq_list_remove(&lm->run, s);
        rl_seq_list_push(&lm->run, s);
        if (s->len - s->n_computed == 1) {
            (void)add_span(b, s, 1);
        } else {
            s->run.cand_next = *cands;
            *cands = s;
        }
    }
}

/* The owner that waited longest, its eldest job first. */
static rl_seq **next_cand(rl_seq **cands)
{
    rl_seq **best = cands;

    for (rl_seq **at = cands; *at; at = &(*at)->run.cand_next) {
        const struct rl_job_state *a = &(*at)->run, *b = &(*best)->run;

        if (a->owner->last_turn < b->owner->last_turn ||
            (a->owner == b->owner && a->order < b->order))
            best = at;
    }
    return best;
}

static uint32_t prefill_rows(const rl_engine *e, const rl_lm *lm)
{
    uint32_t room = e->opts.max_rows - e->batch.n_rows, rows;

    if (!e->batch.n_rows || !lm->row_ns)
        return room;
    rows =
        lm->row_ns > PREFILL_NS / PREFILL_ROWS ? PREFILL_ROWS : (uint32_t)(PREFILL_NS / lm->row_ns);
    return rows < room ? rows : room;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

void rl_batch_build(rl_engine *e, rl_lm *lm)
{
    rl_batch *b = &e->batch;
    rl_seq *cands = NULL;
    uint32_t left, n_decoding;

    b->n = b->n_rows = b->n_logits = b->n_hidden = b->n_draws = b->n_drafted = 0;
    add_decoding(e, lm, &cands);
    n_decoding = b->n;
    left = prefill_rows(e, lm);
    while (cands && left) {
        rl_seq **at = next_cand(&cands), *s = *at;

        *at = s->run.cand_next;
        rl_prefix_follow(s);
        if (rl_prefix_is_under_way(b, s) ||
            !add_span(b, s, least(least(s->len - s->n_computed, e->opts.chunk), left)))
            continue;
        s->run.owner->last_turn = ++e->turn;
        left -= b->spans[b->n - 1].n;
    }
    b->decodes = b->n == n_decoding;
    if (b->decodes)
        rl_draft_add(e);
}
