/* Generations of a run: what they may cost is set aside before they start and settled once when
 * they end or are closed. Worker only; the engine thread calls nothing here but wake. */
#include "guest/generate.h"

#include "guest/runtime.h"

#include "base/alloc.h"

void rl_gen_deinit(rl_gen *g)
{
    uint32_t i;

    rl_free(g->ids);
    g->ids = NULL;
    rl_free(g->bias);
    g->bias = NULL;
    for (i = 0; i < g->n_stops; i++)
        rl_free(g->stops[i]);
    g->n_stops = 0;
}

/* Two limits, for a stream that has ended still holds its sequence until the guest closes it. */
int64_t rl_room_check(rl_call *c)
{
    rl_run *run = c->run;

    if (run->n_jobs >= RL_MAX_JOBS)
        return rl_call_fail(c, REALM_EQUOTA, "%u generations run already: read or close one first",
                            RL_MAX_JOBS);
    if (run->n_seqs >= RL_MAX_SEQUENCES)
        return rl_call_fail(c, REALM_EQUOTA, "%u sequences are open: close one first",
                            RL_MAX_SEQUENCES);
    return 0;
}

/* Sets tokens aside for a generation. What the run has is never promised twice, so its limit holds
 * however many run side by side. -> 0, or the call's answer */
static int64_t promise(rl_call *c, uint32_t wanted, rl_gstream *s)
{
    rl_run *run = c->run;
    uint64_t left = run->max_tokens - run->used_tokens;

    if (left == 0)
        return rl_call_end(c, REALM_EQUOTA, "token limit of %llu tokens reached",
                           (unsigned long long)run->max_tokens);
    /* Used up for good ends the run above; promised to others is a failed call, since they may end
     * early and give some back. */
    left -= run->promised_tokens;
    if (left == 0)
        return rl_call_fail(c, REALM_EQUOTA,
                            "all tokens that are left of the run's %llu belong to generations "
                            "under way",
                            (unsigned long long)run->max_tokens);
    s->clipped = wanted > left;
    s->promised = s->clipped ? left : wanted;
    return 0;
}

/* Engine thread. The run lives: its streams are closed before it goes. */
static void wake(void *ctx)
{
    rl_run_wake(ctx);
}

/* Sampler, sequence and ids go to the stream, whether it starts or not. */
static realm_status start(rl_gstream *s, rl_lm *lm, rl_gen *g, realm_error *err)
{
    rl_engine *engine = s->run->rt->opts.engine;
    rl_stream_opts o = { .engine = engine,
                         .max_tokens = (uint32_t)s->promised,
                         .stop_ids = g->stop_ids,
                         .n_stop_ids = g->n_stop_ids,
                         .stops = (const char *const *)g->stops,
                         .n_stops = g->n_stops,
                         .max_bytes = g->max_bytes,
                         .notify = wake,
                         .ctx = s->run };
    realm_status st;

    /* The sampler first: bad parameters are the likeliest refusal, and then nothing else was taken.
     * */
    st = rl_sampler_new(&o.sampler, &g->params, rl_vocab_get_info(rl_lm_vocab(lm))->n_tokens, err);
    if (st != REALM_OK)
        return st;
    o.seq = rl_seq_new(engine, lm, s->run->owner);
    if (!o.seq) {
        rl_sampler_free(o.sampler);
        return realm_fail(err, REALM_ENOMEM, "no memory for a sequence");
    }
    o.ids = g->ids;
    o.n_ids = s->n_prompt = g->n_ids;
    g->ids = NULL;
    st = rl_stream_start(&s->stream, &o, err);
    if (st == REALM_OK)
        atomic_fetch_add(&s->run->rt->jobs_from_guests, 1);
    return st;
}

int64_t rl_gstream_start(rl_call *c, rl_lm *lm, rl_gen *g, rl_gstream **out)
{
    rl_gstream *s;
    realm_error err;
    int64_t r = rl_room_check(c);

    if (r != 0)
        return r;
    s = rl_alloc(sizeof *s);
    if (!s)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for a generation");
    s->run = c->run;
    r = promise(c, g->max_tokens, s);
    if (r == 0 && start(s, lm, g, &err) != REALM_OK)
        r = rl_call_fail_err(c, &err);
    if (r != 0) {
        rl_free(s);
        return r;
    }
    /* Counted only now: a generation that did not start has nothing to settle. */
    c->run->promised_tokens += s->promised;
    c->run->n_jobs++;
    c->run->n_seqs++;
    *out = s;
    return 0;
}

/* Adds what was generated to the run's sums, once, and frees what was set aside. */
static void count(rl_gstream *s, const rl_stream_end *end)
{
    rl_run *run = s->run;

    if (s->counted)
        return;
    s->counted = true;
    run->promised_tokens -= s->promised;
    run->used_tokens += end->n_generated;
    run->n_jobs--;
    run->result.prompt_tokens += end->n_prompt;
    run->result.generated_tokens += end->n_generated;
    run->result.prefill_ns += end->prefill_ns;
    run->result.decode_ns += end->decode_ns;
}

/* A stream that is closed early pays for what it has drawn: else tokens would be free. */
void rl_gstream_close(rl_gstream *s)
{
    rl_stream_end end = { 0 };

    if (!s)
        return;
    if (!rl_stream_ended(s->stream, &end)) { /* what it has cost so far */
        end.n_prompt = s->n_prompt;
        end.n_generated = rl_stream_drawn(s->stream);
    }
    count(s, &end);
    rl_stream_close(s->stream);
    s->run->n_seqs--;
    rl_free(s);
}

/* All text was read. */
static int64_t at_end(rl_call *c, rl_gstream *s)
{
    count(s, &s->end);
    if (s->end.status != REALM_OK)
        return rl_call_fail_err(c, &s->end.err);
    /* The engine says "length", but it was the run's limit that cut it: that is how the run ends. A
     * generation that stopped by itself before is unharmed. */
    if (s->clipped && s->end.n_generated >= s->promised)
        return rl_call_end(c, REALM_EQUOTA, "token limit of %llu tokens reached",
                           (unsigned long long)c->run->max_tokens);
    if (s->state == RL_GSTREAM_TEXT)
        s->state = RL_GSTREAM_FINISH;
    return 0;
}

/* "Nothing now" and "nothing any more" look alike to rl_stream_read; the end is asked for after it,
 * so a token that comes in between is found at the next wake. */
int64_t rl_gstream_read(rl_call *c, rl_gstream *s, char *out, size_t cap)
{
    size_t n = 0;
    realm_status st;

    if (s->state != RL_GSTREAM_TEXT)
        return 0;
    st = rl_stream_read(s->stream, out, cap, &n);
    if (st != REALM_OK)
        return rl_call_fail(c, st, "the next character does not fit %zu bytes", cap);
    if (n > 0)
        return (int64_t)n;
    if (!rl_stream_ended(s->stream, &s->end))
        return RL_PARKED;
    return at_end(c, s);
}
