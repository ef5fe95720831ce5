/* Generations of a run: what they may cost is set aside before they start and settled once when
 * they end or are closed. Worker only; the engine thread calls nothing here but wake. */
#include "guest/generate.h"

#include "guest/runtime.h"

#include "base/alloc.h"
#include "sample/ending.h"

#include <string.h>

void rl_gen_deinit(rl_gen *g)
{
    uint32_t i;

    rl_free(g->ids);
    g->ids = NULL;
    rl_free(g->echo_text);
    g->echo_text = NULL;
    rl_free(g->bias);
    g->bias = NULL;
    rl_ending_free(g->ending);
    g->ending = NULL;
    rl_grammar_free(g->grammar);
    g->grammar = NULL;
    rl_tools_free(g->tools);
    g->tools = NULL;
    for (i = 0; i < g->n_stops; i++)
        rl_free(g->stops[i]);
    g->n_stops = 0;
}

int64_t rl_jobs_check(rl_call *c)
{
    if (c->run->n_jobs >= RL_MAX_JOBS)
        return rl_call_fail(c, REALM_EQUOTA, "%u generations run already: read or close one first",
                            RL_MAX_JOBS);
    return 0;
}

/* Two limits, for a stream that has ended still holds its sequence until the guest closes it. */
int64_t rl_room_check(rl_call *c)
{
    int64_t r = rl_jobs_check(c);

    if (r == 0 && c->run->n_seqs >= RL_MAX_SEQUENCES)
        r = rl_call_fail(c, REALM_EQUOTA, "%u sequences are open: close one first",
                         RL_MAX_SEQUENCES);
    return r;
}

static int64_t end_by_tokens(rl_call *c)
{
    rl_run_limit(c->run, RL_LIMIT_TOKENS);
    return rl_call_end(c, REALM_EQUOTA, "token limit of %llu tokens reached",
                       (unsigned long long)c->run->max_tokens);
}

/* What the run has is never promised twice, so its limit holds however many generate side by side.
 */
int64_t rl_tokens_promise(rl_call *c, uint64_t wanted, uint64_t *promised)
{
    rl_run *run = c->run;
    uint64_t left = run->max_tokens - run->used_tokens;

    if (left == 0)
        return end_by_tokens(c);
    /* Used up for good ends the run above; promised to others is a failed call, since they may end
     * early and give some back. */
    left -= run->promised_tokens;
    if (left == 0)
        return rl_call_fail(c, REALM_EQUOTA,
                            "all tokens that are left of the run's %llu belong to generations "
                            "under way",
                            (unsigned long long)run->max_tokens);
    *promised = wanted > left ? left : wanted;
    run->promised_tokens += *promised;
    return 0;
}

void rl_tokens_settle(rl_run *run, uint64_t promised, uint64_t n_prompt, uint64_t n_drawn)
{
    run->promised_tokens -= promised;
    run->used_tokens += n_drawn;
    run->result.prompt_tokens += n_prompt;
    run->result.generated_tokens += n_drawn;
}

/* Engine thread. The run lives: its streams are closed before it goes. */
static void wake(void *ctx)
{
    rl_run_wake(ctx);
}

/* Calls are marked by control tokens in some formats: the reader must see them. */
static void put_shown(rl_stream_opts *o, const rl_tools *tools)
{
    for (uint32_t i = 0; tools && i < RL_TOOL_MARKS; i++)
        if (tools->mark_ids[i] != RL_NO_TOKEN)
            o->shown[o->n_shown++] = tools->mark_ids[i];
}

/* Seen by a cancel from its first step on. */
static realm_status start_stream(rl_gstream *s, const rl_stream_opts *o, realm_error *err)
{
    realm_status st = rl_cancel_begin(s->run, err);

    if (st != REALM_OK)
        return st;
    st = rl_stream_start(&s->stream, o, err);
    if (st == REALM_OK)
        rl_cancel_watch(s);
    rl_cancel_end(s->run);
    return st;
}

/* Sampler, sequence and ids go to the stream, if it starts. */
static realm_status start(rl_gstream *s, rl_seq *seq, rl_sampler *sampler, rl_gen *g,
                          realm_error *err)
{
    rl_stream_opts o = { .engine = s->run->rt->opts.engine,
                         .seq = seq,
                         .sampler = sampler,
                         .ids = g->ids,
                         .n_ids = g->n_ids,
                         .echo = g->echo,
                         .echo_from = g->echo_from,
                         .echo_to = g->echo_to,
                         .echo_text = g->echo_text,
                         .max_tokens = (uint32_t)s->promised,
                         .ignore_eog = g->ignore_eog,
                         .stop_ids = g->stop_ids,
                         .n_stop_ids = g->n_stop_ids,
                         .stops = (const char *const *)g->stops,
                         .n_stops = g->n_stops,
                         .max_bytes = g->max_bytes,
                         .logprobs = g->logprobs,
                         .n_top = g->n_top,
                         .notify = wake,
                         .ctx = s->run };
    realm_status st;

    s->logprobs = g->logprobs;
    s->n_top = g->n_top;
    s->n_prompt = g->n_ids;
    s->choice = rl_sampler_choice(sampler);
    put_shown(&o, g->tools);
    st = start_stream(s, &o, err);
    if (st != REALM_OK)
        return st;
    g->ids = NULL;
    g->echo_text = NULL;
    if (g->tools)
        rl_tool_reader_init(&s->reader, g->tools,
                            g->logprobs ? RL_EVENT_TOKENS / (1 + g->n_top) : 0);
    s->tools = g->tools;
    g->tools = NULL;
    s->lm = rl_lm_ref(rl_seq_lm(seq));
    atomic_fetch_add(&s->run->rt->jobs_from_guests, 1);
    return REALM_OK;
}

/* On a sequence and with a sampler of its own. The sampler first: bad parameters are the likeliest
 * refusal, and then nothing else was taken. */
static realm_status start_own(rl_gstream *s, rl_lm *lm, rl_gen *g, realm_error *err)
{
    rl_sampler *sampler;
    rl_seq *seq;
    realm_status st;

    st = rl_sampler_new(&sampler, &g->params, rl_vocab_get_info(rl_lm_vocab(lm))->n_tokens, err);
    if (st != REALM_OK)
        return st;
    seq = rl_seq_new(s->run->rt->opts.engine, lm, s->run->owner);
    st = seq ? rl_sampler_take_grammar(sampler, g->grammar, err)
             : realm_fail(err, REALM_ENOMEM, "no memory for a sequence");
    if (st == REALM_OK) {
        g->grammar = NULL;
        rl_sampler_take_ending(sampler, g->ending);
        g->ending = NULL;
        st = start(s, seq, sampler, g, err);
    }
    if (st != REALM_OK) {
        rl_seq_close(seq);
        rl_sampler_free(sampler);
    }
    return st;
}

/* On lent ones. */
static realm_status start_lent(rl_gstream *s, rl_gseq *q, rl_gsampler *sampler, rl_gen *g,
                               realm_error *err)
{
    rl_seq *seq = q->seq;
    realm_status st;

    g->ids = rl_gseq_fresh(q, 0);
    g->n_ids = q->n_fresh;
    if (!g->ids)
        return realm_fail(err, REALM_ENOMEM, "no memory for the ids");
    st = start(s, seq, sampler->sampler, g, err);
    if (st != REALM_OK)
        return st;
    s->seq = q;
    s->sampler = sampler;
    q->seq = NULL;
    sampler->sampler = NULL;
    q->lent = sampler->lent = s;
    return REALM_OK;
}

/* A gstream with its tokens set aside. NULL: the call has failed with *answer. */
static rl_gstream *new_stream(rl_call *c, const rl_gen *g, int64_t *answer)
{
    rl_gstream *s = rl_alloc(sizeof *s);

    if (!s) {
        *answer = rl_call_fail(c, REALM_ENOMEM, "no memory for a generation");
        return NULL;
    }
    s->run = c->run;
    *answer = rl_tokens_promise(c, g->max_tokens, &s->promised);
    if (*answer != 0) {
        rl_free(s);
        return NULL;
    }
    s->clipped = g->max_tokens > s->promised;
    return s;
}

/* The end of both ways to start. */
static int64_t started(rl_call *c, rl_gstream *s, realm_status st, const realm_error *err,
                       rl_gstream **out)
{
    if (st != REALM_OK) {
        rl_tokens_settle(c->run, s->promised, 0, 0);
        rl_free(s);
        return rl_call_fail_err(c, err);
    }
    c->run->n_jobs++;
    *out = s;
    return 0;
}

int64_t rl_gstream_start(rl_call *c, rl_lm *lm, rl_gen *g, rl_gstream **out)
{
    realm_error err;
    int64_t r = rl_room_check(c);
    rl_gstream *s = r == 0 ? new_stream(c, g, &r) : NULL;

    if (!s)
        return r;
    r = started(c, s, start_own(s, lm, g, &err), &err, out);
    if (r == 0) {
        s->counts = true;
        c->run->n_seqs++;
    }
    return r;
}

int64_t rl_gstream_lend(rl_call *c, rl_gseq *q, rl_gsampler *sampler, rl_gen *g, rl_gstream **out)
{
    realm_error err;
    int64_t r = rl_jobs_check(c);
    rl_gstream *s = r == 0 ? new_stream(c, g, &r) : NULL;

    return s ? started(c, s, start_lent(s, q, sampler, g, &err), &err, out) : r;
}

bool rl_gstream_settle(rl_gstream *s)
{
    rl_seq *seq;
    rl_sampler *sampler;
    bool kept;

    if (!s->seq && !s->sampler)
        return true;
    if (!rl_stream_release(s->stream, &seq, &sampler, &kept))
        return false;
    if (s->seq)
        rl_gseq_return(s->seq, seq, kept);
    else
        rl_seq_close(seq);
    if (s->sampler)
        rl_gsampler_return(s->sampler, sampler);
    else
        rl_sampler_free(sampler);
    s->seq = NULL;
    s->sampler = NULL;
    return true;
}

/* Adds what was generated to the run's sums, once, and frees what was set aside. */
static void count(rl_gstream *s, const rl_stream_end *end)
{
    rl_run *run = s->run;

    if (s->counted)
        return;
    s->counted = true;
    rl_tokens_settle(run, s->promised, end->n_prompt, end->n_generated);
    run->n_jobs--;
    run->result.cached_tokens += end->n_cached;
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
    if (!rl_gstream_settle(s)) { /* the run is ending: what was lent ends with the stream */
        if (s->seq)
            s->seq->lent = NULL;
        if (s->sampler)
            s->sampler->lent = NULL;
    }
    rl_cancel_drop(s);
    rl_stream_close(s->stream);
    rl_lm_unref(s->lm);
    rl_tool_reader_deinit(&s->reader);
    rl_tools_free(s->tools);
    s->run->n_seqs -= s->counts;
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
        return end_by_tokens(c);
    if (s->state == RL_GSTREAM_TEXT)
        s->state = RL_GSTREAM_FINISH;
    return 0;
}

static int64_t read_failed(rl_call *c, realm_status st, size_t cap)
{
    return st == REALM_ESPACE
               ? rl_call_fail(c, st, "the next character does not fit %zu bytes", cap)
               : rl_call_fail(c, st, "no memory for a stream's text");
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
        return read_failed(c, st, cap);
    if (n > 0)
        return (int64_t)n;
    if (!rl_stream_ended(s->stream, &s->end))
        return RL_PARKED;
    return at_end(c, s);
}

int64_t rl_gstream_read_tokens(rl_call *c, rl_gstream *s, char *out, size_t cap,
                               rl_stream_token *tokens, uint32_t *n_tokens)
{
    uint32_t most = *n_tokens;
    size_t n = 0;
    realm_status st;

    *n_tokens = 0;
    if (s->state != RL_GSTREAM_TEXT)
        return 0;
    st = rl_stream_read_tokens(s->stream, out, cap, &n, tokens, most, n_tokens);
    if (st != REALM_OK)
        return read_failed(c, st, cap);
    if (n > 0 || *n_tokens > 0)
        return (int64_t)n;
    if (!rl_stream_ended(s->stream, &s->end))
        return RL_PARKED;
    return at_end(c, s);
}

/* ---- streams with tools ---------------------------------------------------------------------- */

/* What is there now goes to the reader: text or, with logprobs, one token and its text, so that the
 * reader knows where it stands. -> true: there was something */
static bool feed(rl_gstream *s)
{
    char piece[1024]; /* holds any character: reading fails without memory alone */
    rl_stream_token token;
    uint32_t n_tokens = 0;
    size_t n = 0;
    realm_status st;

    if (s->logprobs)
        st = rl_stream_read_tokens(s->stream, piece, sizeof piece, &n, &token, 1, &n_tokens);
    else
        st = rl_stream_read(s->stream, piece, sizeof piece, &n);
    if (n > 0)
        rl_tool_reader_add(&s->reader, piece, n);
    if (n_tokens > 0)
        rl_tool_reader_add_token(&s->reader, &token);
    if (st != REALM_OK)
        s->reader.in.failed = true;
    return n > 0 || n_tokens > 0 || st != REALM_OK;
}

/* The end is asked for after the text, as in rl_gstream_read. */
int64_t rl_gstream_read_item(rl_call *c, rl_gstream *s, rl_tool_item *item, size_t cap)
{
    int64_t r;

    for (;;) {
        if (rl_tool_reader_next(&s->reader, item, cap))
            return item->n > 0 || item->n_tokens > 0
                       ? 1
                       : rl_call_fail(c, REALM_ESPACE, "the next character does not fit %zu bytes",
                                      cap);
        if (s->reader.in.failed)
            return rl_call_fail(c, REALM_ENOMEM, "no memory for a stream's text");
        if (s->state != RL_GSTREAM_TEXT)
            return 0;
        if (feed(s))
            continue;
        if (!rl_stream_ended(s->stream, &s->end))
            return RL_PARKED;
        r = at_end(c, s);
        if (r != 0)
            return r;
        rl_tool_reader_end(&s->reader);
    }
}

/* Text that is held back, since it could become a call, is nothing to read yet. */
bool rl_gstream_ready(rl_gstream *s)
{
    if (s->state != RL_GSTREAM_TEXT)
        return true;
    if (!s->tools)
        return rl_stream_readable(s->stream);
    while (!s->reader.in.failed && !rl_tool_reader_ready(&s->reader))
        if (!feed(s))
            return rl_stream_ended(s->stream, NULL);
    return true;
}

/* As OpenAI has it: a call that was asked for by name ends like any text. */
const char *rl_gstream_finish(const rl_gstream *s)
{
    bool called = s->tools && s->reader.n_calls > 0 && s->tools->choice != RL_TOOL_NAMED;

    return called && strcmp(s->end.finish, "stop") == 0 ? "tool_calls" : s->end.finish;
}
