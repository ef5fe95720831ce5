/* A stream has two holders, its reader and the engine while the job runs; the last one frees it.
 * The engine thread writes the text, the reader takes it, `lock` is between them; notify is called
 * without it. */
#include "engine/stream.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/utf8.h"
#include "engine/cut.h"
#include "engine/echo.h"

#include <pthread.h>
#include <string.h>

#define UNREAD_TOKENS 256u /* then the sequence pauses */
#define RESUME_TOKENS 128u /* so few are unread when it goes on */
#define TEXT_MAX      ((size_t)4 << 20)

struct rl_stream {
    rl_engine *engine;
    rl_seq *seq; /* owned, like all down to stop_ids */
    rl_sampler *sampler;
    uint32_t *ids, *stop_ids;
    char *echo_text;
    rl_vocab const *vocab; /* of the sequence's model */
    rl_job job;
    void (*notify)(void *ctx);
    void *ctx;

    pthread_mutex_t lock;
    pthread_cond_t quiet; /* notifying went false */
    uint32_t holders;
    bool closed, done, paused, notifying;
    pthread_t notifier;
    rl_detok detok;
    uint32_t shown[RL_STREAM_SHOWN], n_shown;
    rl_cut cut;
    rl_buf piece, text;           /* of one token; not read yet */
    bool failed;                  /* no memory for the text */
    uint64_t n_read;              /* bytes */
    uint64_t ends[UNREAD_TOKENS]; /* ring: where each unread token's text ends, in bytes */
    uint32_t first, n_unread;
    rl_stream_token *tokens;       /* owned; [UNREAD_TOKENS] beside `ends`; NULL without logprobs */
    rl_logprob top[RL_STREAM_TOP]; /* of the last draw; the engine's until `done` */
    uint32_t n_drawn;              /* ids so far, read or not */
    rl_stream_end end;

    rl_echo echo;       /* the reader's */
    uint32_t n_ready;   /* ids [0, n_ready) may be told: they are computed, and scored */
    rl_logprob *scores; /* owned; [n_ids - 1][1 + n_top]; the engine's until they are ready */
};

static void stream_free(rl_stream *s)
{
    rl_sampler_free(s->sampler); /* before the sequence, which keeps the model of its grammar */
    rl_seq_close(s->seq);
    rl_free(s->ids);
    rl_free(s->stop_ids);
    rl_free(s->echo_text);
    rl_free(s->scores);
    rl_echo_deinit(&s->echo);
    rl_free(s->tokens);
    rl_cut_deinit(&s->cut);
    rl_buf_deinit(&s->piece);
    rl_buf_deinit(&s->text);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->quiet);
    rl_free(s);
}

static void let_go(rl_stream *s)
{
    bool last;

    (void)pthread_mutex_lock(&s->lock);
    last = --s->holders == 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (last)
        stream_free(s);
}

/* ---- the engine's side ----------------------------------------------------------------------- */

/* With the lock. Tokens whose text was read, or that gave none, are not counted. */
static void drop_read(rl_stream *s)
{
    while (s->n_unread && s->ends[s->first] <= s->n_read) {
        s->first = (s->first + 1) % UNREAD_TOKENS;
        s->n_unread--;
    }
}

/* With the lock. The id just drawn goes to the ring's end; its text is in `text` as far as it is
 * certain. */
static void note_token(rl_stream *s, uint32_t id, float logprob)
{
    uint32_t at = (s->first + s->n_unread++) % UNREAD_TOKENS;

    s->ends[at] = s->n_read + s->text.len;
    if (!s->tokens) {
        drop_read(s); /* with logprobs, the reader takes them */
        return;
    }
    s->tokens[at].id = id;
    s->tokens[at].logprob = logprob;
    memcpy(s->tokens[at].top, s->top, sizeof s->top);
}

static uint32_t detok_flags(const rl_stream *s, uint32_t id)
{
    for (uint32_t i = 0; i < s->n_shown; i++)
        if (s->shown[i] == id)
            return 0;
    return RL_DECODE_SKIP_SPECIAL;
}

/* With the lock. id RL_NO_TOKEN: the text's end. */
static void add_token(rl_stream *s, uint32_t id)
{
    rl_buf_clear(&s->piece);
    if (rl_detok_add(&s->detok, s->vocab, id, detok_flags(s, id), &s->piece) != REALM_OK)
        s->failed = true;
    rl_cut_add(&s->cut, s->piece.data, s->piece.len, &s->text);
    if (id == RL_NO_TOKEN)
        rl_cut_flush(&s->cut, &s->text);
    s->failed |= s->text.failed;
}

/* With the lock. -> true: ids of the prompt may be told that might not before */
static bool make_ready(rl_stream *s, uint32_t n)
{
    uint32_t before = s->n_ready;

    s->n_ready = n < s->echo.to ? n : s->echo.to;
    return s->n_ready > before;
}

/* Tells the reader, unless it is gone. */
static void tell(rl_stream *s)
{
    bool call;

    (void)pthread_mutex_lock(&s->lock);
    call = !s->closed && s->notify;
    s->notifying = call;
    s->notifier = pthread_self();
    (void)pthread_mutex_unlock(&s->lock);
    if (!call)
        return;
    s->notify(s->ctx);
    (void)pthread_mutex_lock(&s->lock);
    s->notifying = false;
    (void)pthread_cond_broadcast(&s->quiet);
    (void)pthread_mutex_unlock(&s->lock);
}

static void on_scored(rl_job *job, uint32_t n)
{
    rl_stream *s = job->ctx;
    bool more;

    (void)pthread_mutex_lock(&s->lock);
    more = make_ready(s, n + 1);
    (void)pthread_mutex_unlock(&s->lock);
    if (more)
        tell(s);
}

static rl_token_reply on_token(rl_job *job, uint32_t id, float logprob)
{
    rl_stream *s = job->ctx;
    rl_token_reply reply = RL_TOKEN_GO;
    size_t before;
    bool more;

    (void)pthread_mutex_lock(&s->lock);
    s->n_drawn++;
    before = s->text.len;
    add_token(s, id);
    more = make_ready(s, UINT32_MAX) || s->text.len > before;
    note_token(s, id, logprob);
    if (s->cut.finish || s->failed) {
        reply = RL_TOKEN_STOP;
    } else if (s->n_unread == UNREAD_TOKENS) {
        reply = RL_TOKEN_PAUSE;
        s->paused = true;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (more)
        tell(s);
    return reply;
}

static void on_done(rl_job *job)
{
    rl_stream *s = job->ctx;
    rl_stream_end *end = &s->end;

    (void)pthread_mutex_lock(&s->lock);
    if (job->status == REALM_OK)
        (void)make_ready(s, UINT32_MAX);
    /* What the prompt leaves of a character has no place behind a prompt that was told in part. */
    if (!s->cut.finish && !s->failed && s->n_ready == s->echo.to)
        add_token(s, RL_NO_TOKEN);
    if (job->echo && s->tokens && job->finish == RL_FINISH_EOG)
        note_token(s, job->end_id, job->end_logprob);
    end->status = job->status;
    end->err = job->err;
    if (s->failed && end->status == REALM_OK)
        end->status = realm_fail(&end->err, REALM_ENOMEM, "no memory for a stream's text");
    end->finish = s->cut.finish                     ? s->cut.finish
                  : job->finish == RL_FINISH_LENGTH ? "length"
                                                    : "stop";
    end->n_prompt = job->n_prompt;
    end->n_cached = job->n_cached;
    end->n_generated = job->n_generated;
    end->prefill_ns = job->prefill_ns;
    end->decode_ns = job->decode_ns;
    s->done = true;
    (void)pthread_mutex_unlock(&s->lock);
    tell(s);
    let_go(s);
}

/* ---- the reader's side ----------------------------------------------------------------------- */

static realm_status take_options(rl_stream *s, const rl_stream_opts *o, realm_error *err)
{
    realm_status st = rl_cut_init(&s->cut, o->stops, o->n_stops, o->max_bytes, err);

    if (st == REALM_OK && o->n_top > RL_STREAM_TOP)
        st = realm_fail(err, REALM_EINVAL, "%u alternatives of a token: at most %u are given",
                        o->n_top, RL_STREAM_TOP);
    if (st == REALM_OK && o->logprobs) {
        s->tokens = rl_alloc_array(UNREAD_TOKENS, sizeof *s->tokens);
        if (!s->tokens)
            st = realm_fail(err, REALM_ENOMEM, "no memory for log-probabilities");
    }
    if (st != REALM_OK || !o->n_stop_ids)
        return st;
    s->stop_ids = rl_alloc_array(o->n_stop_ids, sizeof *s->stop_ids);
    if (!s->stop_ids)
        return realm_fail(err, REALM_ENOMEM, "no memory for the stop ids");
    memcpy(s->stop_ids, o->stop_ids, o->n_stop_ids * sizeof *s->stop_ids);
    return REALM_OK;
}

/* What can be told of the prompt once it is computed. */
static realm_status take_echo(rl_stream *s, const rl_stream_opts *o, realm_error *err)
{
    uint32_t n_scores = o->logprobs && o->n_ids ? o->n_ids - 1 : 0;
    realm_status st = REALM_OK;

    /* What does not fit the context the engine refuses: nothing is made for it. */
    if (!o->echo || o->n_ids > rl_lm_n_ctx(rl_seq_lm(o->seq)))
        return REALM_OK;
    RL_ASSERT(o->echo_from <= o->echo_to && o->echo_to <= o->n_ids);
    rl_echo_init(&s->echo, s->vocab, s->ids, o->echo_from, o->echo_to, o->echo_text);
    if (n_scores) {
        s->scores = rl_alloc_array(n_scores, (1 + (size_t)o->n_top) * sizeof *s->scores);
        if (!s->scores)
            return realm_fail(err, REALM_ENOMEM, "no memory for %u log-probabilities", n_scores);
    }
    st = rl_echo_rest(&s->echo, &s->detok);
    return st == REALM_OK ? st : realm_fail(err, st, "the prompt's text does not fit");
}

static realm_status post(rl_stream *s, const rl_stream_opts *o, realm_error *err)
{
    s->job = (rl_job){
        .kind = RL_JOB_GENERATE,
        .seq = s->seq,
        .ctx = s,
        .done = on_done,
        .ids = s->ids,
        .n_ids = o->n_ids,
        .sampler = s->sampler,
        .max_tokens = o->max_tokens,
        .ignore_eog = o->ignore_eog,
        .stop_ids = s->stop_ids,
        .n_stop_ids = o->n_stop_ids,
        .want_logprob = o->logprobs,
        .top = s->top,
        .n_top = o->logprobs ? o->n_top : 0,
        .token = on_token,
        .echo = o->echo,
        .scores = s->scores,
        .scored = on_scored,
    };
    return rl_engine_post(s->engine, &s->job, err);
}

realm_status rl_stream_start(rl_stream **out, const rl_stream_opts *opts, realm_error *err)
{
    rl_stream *s = rl_alloc(sizeof *s);
    realm_status st;

    *out = NULL;
    if (!s)
        return realm_fail(err, REALM_ENOMEM, "no memory for a stream");
    s->engine = opts->engine;
    s->seq = opts->seq;
    s->sampler = opts->sampler;
    s->ids = opts->ids;
    s->echo_text = opts->echo_text;
    s->vocab = rl_lm_vocab(rl_seq_lm(opts->seq));
    s->notify = opts->notify;
    s->ctx = opts->ctx;
    s->holders = 2;
    RL_ASSERT(opts->n_shown <= RL_STREAM_SHOWN);
    s->n_shown = opts->n_shown;
    memcpy(s->shown, opts->shown, sizeof s->shown);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->quiet, NULL);
    rl_buf_init(&s->piece, TEXT_MAX);
    rl_buf_init(&s->text, TEXT_MAX);
    st = take_options(s, opts, err);
    if (st == REALM_OK)
        st = take_echo(s, opts, err);
    if (st == REALM_OK)
        st = post(s, opts, err);
    if (st == REALM_OK) {
        *out = s;
        return REALM_OK;
    }
    s->seq = NULL; /* all four stay the caller's */
    s->sampler = NULL;
    s->ids = NULL;
    s->echo_text = NULL;
    stream_free(s);
    return st;
}

static rl_stream_token echoed(const rl_stream *s, uint32_t at)
{
    const rl_echo *e = &s->echo;
    rl_stream_token t = { .id = e->ids[at], .is_first = at == e->from, .skipped = e->skipped };

    if (!t.is_first) {
        const rl_logprob *row = s->scores + (size_t)(at - 1) * (1 + s->job.n_top);

        t.logprob = row->logprob;
        memcpy(t.top, row + 1, s->job.n_top * sizeof *row);
    }
    return t;
}

/* The prompt, as far as it may be told. tokens NULL: text alone. A token whose text does not fit
 * beside that of others waits for the next call, so that text and tokens keep together. -> OK |
 * ESPACE | ETOOBIG | ENOMEM */
static realm_status read_echo(rl_stream *s, char *out, size_t cap, size_t *n,
                              rl_stream_token *tokens, uint32_t cap_tokens, uint32_t *n_tokens)
{
    rl_echo *e = &s->echo;
    realm_status st = REALM_OK;
    uint32_t ready;

    (void)pthread_mutex_lock(&s->lock);
    ready = s->n_ready;
    (void)pthread_mutex_unlock(&s->lock);
    while (st == REALM_OK && e->at < ready && !(tokens && *n_tokens == cap_tokens)) {
        uint32_t at = e->at;
        size_t left, took;

        st = rl_echo_peek(e, &left);
        if (st != REALM_OK || (left > cap - *n && *n > 0))
            break;
        took = rl_echo_take(e, out + *n, cap - *n);
        *n += took;
        if (e->at == at)
            return took ? REALM_OK : REALM_ESPACE;
        if (tokens)
            tokens[(*n_tokens)++] = echoed(s, at);
    }
    return st;
}

/* With the lock. */
static realm_status take_text(rl_stream *s, char *out, size_t cap, size_t *n)
{
    *n = 0;
    if (s->text.len == 0)
        return REALM_OK;
    *n = rl_utf8_whole(s->text.data, cap < s->text.len ? cap : s->text.len);
    memcpy(out, s->text.data, *n);
    rl_buf_consume(&s->text, *n);
    s->n_read += *n;
    return *n ? REALM_OK : REALM_ESPACE;
}

/* Lets the lock go. A paused sequence goes on once enough was read. */
static void unlock_read(rl_stream *s)
{
    bool resume = s->paused && s->n_unread <= RESUME_TOKENS;

    if (resume)
        s->paused = false;
    (void)pthread_mutex_unlock(&s->lock);
    if (resume)
        rl_engine_resume(s->engine, &s->job);
}

realm_status rl_stream_read(rl_stream *s, char *out, size_t cap, size_t *n)
{
    realm_status st;

    *n = 0;
    st = read_echo(s, out, cap, n, NULL, 0, NULL);
    if (st != REALM_OK || *n > 0 || s->echo.at < s->echo.to)
        return st;
    (void)pthread_mutex_lock(&s->lock);
    st = take_text(s, out, cap, n);
    drop_read(s);
    unlock_read(s);
    return st;
}

/* With the lock. Bytes up to the end of the k-th unread token; all when there are not so many. */
static size_t text_of(const rl_stream *s, uint32_t k)
{
    uint64_t end;

    if (s->n_unread < k || k == 0)
        return s->text.len;
    end = s->ends[(s->first + k - 1) % UNREAD_TOKENS];
    return end > s->n_read ? (size_t)(end - s->n_read) : 0;
}

realm_status rl_stream_read_tokens(rl_stream *s, char *out, size_t cap, size_t *n,
                                   rl_stream_token *tokens, uint32_t cap_tokens, uint32_t *n_tokens)
{
    realm_status st;
    size_t most;

    *n = 0;
    *n_tokens = 0;
    st = read_echo(s, out, cap, n, tokens, cap_tokens, n_tokens);
    if (st != REALM_OK || *n > 0 || *n_tokens > 0 || s->echo.at < s->echo.to)
        return st;
    (void)pthread_mutex_lock(&s->lock);
    most = text_of(s, cap_tokens);
    if (most)
        st = take_text(s, out, cap < most ? cap : most, n);
    for (; s->n_unread && *n_tokens < cap_tokens && s->ends[s->first] <= s->n_read; ++*n_tokens) {
        tokens[*n_tokens] = s->tokens[s->first];
        s->first = (s->first + 1) % UNREAD_TOKENS;
        s->n_unread--;
    }
    unlock_read(s);
    return st;
}

bool rl_stream_readable(const rl_stream *s)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;
    bool yes;

    (void)pthread_mutex_lock(lock);
    yes = s->echo.at < s->n_ready || s->text.len > 0 || s->done;
    (void)pthread_mutex_unlock(lock);
    return yes;
}

bool rl_stream_ended(const rl_stream *s, rl_stream_end *end)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;
    bool yes;

    (void)pthread_mutex_lock(lock);
    yes = s->done && s->echo.at >= s->n_ready && s->text.len == 0 && !(s->tokens && s->n_unread);
    if (yes && end)
        *end = s->end;
    (void)pthread_mutex_unlock(lock);
    return yes;
}

uint32_t rl_stream_drawn(const rl_stream *s)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;
    uint32_t n;

    (void)pthread_mutex_lock(lock);
    n = s->n_drawn;
    (void)pthread_mutex_unlock(lock);
    return n;
}

bool rl_stream_release(rl_stream *s, rl_seq **seq, rl_sampler **sampler, bool *kept)
{
    bool done;

    (void)pthread_mutex_lock(&s->lock);
    done = s->done;
    if (done) {
        *seq = s->seq;
        *sampler = s->sampler;
        *kept = s->job.status == REALM_OK || s->job.n_generated > 0;
        s->seq = NULL;
        s->sampler = NULL;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return done;
}

void rl_stream_cancel(rl_stream *s)
{
    rl_engine_cancel(s->engine, &s->job); /* nothing when it is done */
}

void rl_stream_close(rl_stream *s)
{
    if (!s)
        return;
    (void)pthread_mutex_lock(&s->lock);
    s->closed = true;
    while (s->notifying && !pthread_equal(s->notifier, pthread_self()))
        (void)pthread_cond_wait(&s->quiet, &s->lock);
    (void)pthread_mutex_unlock(&s->lock);
    rl_stream_cancel(s);
    let_go(s);
}
