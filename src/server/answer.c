/* Answer: one completion from its request to its last byte.
 *
 * It is born in the http thread, read and started by the intake thread, and read from by exactly
 * one thread at a time: the intake until its stream begins (so that a failure before the first
 * token is an HTTP status), the http thread from then on. Its run tells of news; the answer is in
 * the intake's queue once at most. When the exchange is over (`done`) the intake closes the run and
 * frees the answer. */
#include "server/chunk.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <string.h>

#define PIECE_MAX ((size_t)64 << 10) /* the largest event of a reply */
#define SSE_MAX   ((size_t)1 << 20)
#define BODY_MAX  ((size_t)32 << 20)
#define IDLE_NS   50000000

/* Of a run: what a request may ask for is bounded by the model's context and by its own max_tokens.
 */
#define RUN_TOKENS ((uint64_t)1 << 20)
#define RUN_OUTPUT ((uint64_t)256 << 20)

typedef enum phase {
    PHASE_NEW,     /* not read yet */
    PHASE_WAITING, /* the run goes; nothing was sent */
    PHASE_STREAM,  /* the http thread reads the run */
    PHASE_SENT,    /* a whole answer, or a failure */
} phase;

typedef struct rl_answer {
    rl_server *server;    /* borrowed */
    rl_http_exchange *ex; /* counted */
    rl_run *run;          /* owned; NULL before it starts. Under lock until then */
    rl_openai asked;
    rl_chunk_head head;
    rl_chunk_sum sum;
    rl_buf sse;  /* of a stream: not sent yet */
    bool opened; /* of a stream: its first event was written */
    bool closed; /* of a stream: its last event was written */
    bool ended;  /* the run is closed */
    _Atomic int phase;
    atomic_bool queued, done;
    pthread_mutex_t lock;
    bool gone; /* under lock */
} rl_answer;

/* ---- life ------------------------------------------------------------------------------------ */

static void answer_free(rl_answer *a)
{
    rl_server *s = a->server;

    rl_openai_deinit(&a->asked);
    rl_chunk_sum_deinit(&a->sum);
    rl_buf_deinit(&a->sse);
    (void)pthread_mutex_destroy(&a->lock);
    rl_http_unref(a->ex);
    rl_free(a);
    atomic_fetch_sub(&s->n_answers, 1);
}

/* Any thread. The queue has room for every answer there can be. */
static void schedule(rl_answer *a)
{
    realm_status st = REALM_OK;

    if (!atomic_exchange(&a->queued, true))
        st = rl_queue_push(a->server->intake, a);
    RL_ASSERT(st == REALM_OK);
}

/* Worker thread: the run's reply has something, or the run is over. */
static void on_news(void *ctx)
{
    rl_answer *a = ctx;

    if (atomic_load(&a->phase) == PHASE_STREAM)
        rl_http_wake(a->ex);
    else
        schedule(a);
}

static void on_gone(void *ctx)
{
    rl_answer *a = ctx;

    (void)pthread_mutex_lock(&a->lock);
    a->gone = true;
    if (a->run)
        rl_run_cancel(a->run);
    (void)pthread_mutex_unlock(&a->lock);
}

static void on_done(void *ctx)
{
    rl_answer *a = ctx;

    atomic_store(&a->done, true);
    schedule(a);
}

void rl_answer_begin(rl_server *s, rl_http_exchange *ex, bool chat)
{
    /* The http thread alone adds to the count, so it cannot pass the limit. */
    bool full = atomic_load(&s->n_answers) >= s->max_answers;
    rl_answer *a = full ? NULL : rl_alloc(sizeof *a);

    if (!a) {
        rl_reply_complain(ex, &(rl_complaint){ .status = 503,
                                               .text = full ? "too many requests are under way"
                                                            : "no memory for a request" });
        return;
    }
    a->server = s;
    a->ex = rl_http_ref(ex);
    a->asked.chat = chat;
    (void)pthread_mutex_init(&a->lock, NULL);
    rl_buf_init(&a->asked.request, 0);
    rl_buf_init(&a->sse, SSE_MAX);
    rl_chunk_sum_init(&a->sum);
    atomic_fetch_add(&s->n_answers, 1);
    if (rl_http_watch(ex, on_gone, on_done, a) == REALM_OK)
        schedule(a);
    else
        answer_free(a); /* the client left already */
}

/* ---- the http thread: a stream --------------------------------------------------------------- */

/* What the run has now, as events. -> false: it has failed, and its stream with it */
static void read_more(rl_answer *a, char *piece)
{
    rl_reply_kind kind;
    size_t n = 0;

    while (a->sse.len == 0 && rl_run_read(a->run, &kind, piece, PIECE_MAX, &n, 0) == REALM_OK &&
           n > 0)
        rl_chunk_add(&a->head, &a->sum, kind, piece, n, &a->sse);
}

static void close_stream(rl_answer *a)
{
    rl_run_result result;

    if (a->closed || a->sse.len > 0 || !rl_run_done(a->run, &result))
        return;
    a->closed = true;
    if (result.status == REALM_OK)
        rl_chunk_close(&a->head, &a->sum, &result, a->asked.include_usage, &a->sse);
    else
        rl_chunk_error(&result.err, &a->sse);
}

static ssize_t fill(void *ctx, char *buf, size_t cap)
{
    static _Thread_local char piece[PIECE_MAX]; /* of the http thread */
    rl_answer *a = ctx;
    size_t n;

    if (!a->closed)
        read_more(a, piece);
    close_stream(a);
    if (a->sse.failed)
        return -2;
    n = a->sse.len < cap ? a->sse.len : cap;
    if (n == 0)
        return a->closed ? -1 : 0;
    memcpy(buf, a->sse.data, n);
    rl_buf_consume(&a->sse, n);
    return (ssize_t)n;
}

/* ---- the intake thread ----------------------------------------------------------------------- */

static void fail(rl_answer *a, const realm_error *err, const char *param)
{
    atomic_store(&a->phase, PHASE_SENT);
    rl_reply_error(a->ex, err, param);
}

static realm_status start_run(rl_answer *a, realm_error *err)
{
    rl_server *s = a->server;
    rl_run_opts o = { .program = s->o.chat,
                      .model = a->asked.model,
                      .input = a->asked.request.data,
                      .n_input = a->asked.request.len,
                      .caps = RL_CAP_INFER,
                      .max_tokens = RUN_TOKENS,
                      .max_output = RUN_OUTPUT,
                      .notify = on_news,
                      .ctx = a };
    rl_run *run = NULL;
    realm_status st;
    bool gone;

    st = rl_run_start(&run, s->o.runtime, &o, err);
    if (st != REALM_OK)
        return st;
    (void)pthread_mutex_lock(&a->lock);
    a->run = run;
    gone = a->gone;
    (void)pthread_mutex_unlock(&a->lock);
    if (gone)
        rl_run_cancel(run);
    return REALM_OK;
}

static void take_request(rl_answer *a)
{
    bool chat = a->asked.chat;
    const char *param = NULL;
    realm_error err;
    size_t n;
    const char *body = rl_http_body(a->ex, &n);

    atomic_store(&a->phase, PHASE_WAITING);
    if (rl_openai_read(&a->asked, chat, body, n, &param, &err) != REALM_OK) {
        fail(a, &err, param);
        return;
    }
    rl_reply_id(a->head.id, chat ? "chatcmpl-" : "cmpl-");
    a->head.created_s = rl_clock_unix_s();
    a->head.model = a->asked.model;
    a->head.chat = chat;
    a->head.logprobs = a->asked.logprobs;
    if (start_run(a, &err) != REALM_OK)
        fail(a, &err, NULL);
}

/* From here on the http thread reads; what was read before lies in sse. */
static void begin_stream(rl_answer *a)
{
    static const rl_http_field headers[] = { { "Cache-Control", "no-cache" }, { NULL, NULL } };
    const rl_http_answer answer = { .status = 200,
                                    .type = "text/event-stream",
                                    .headers = headers };
    const rl_http_source source = { .fill = fill, .ctx = a };

    realm_status st;

    atomic_store(&a->phase, PHASE_STREAM);
    st = rl_http_stream(a->ex, &answer, &source);
    if (st == REALM_OK)
        return;
    on_gone(a); /* the run has no reader */
    if (st == REALM_ENOMEM)
        rl_reply_complain(a->ex,
                          &(rl_complaint){ .status = 503, .text = "no memory for a stream" });
}

static void send_whole(rl_answer *a, const rl_run_result *result)
{
    rl_buf body;

    atomic_store(&a->phase, PHASE_SENT);
    rl_buf_init(&body, BODY_MAX);
    rl_chunk_whole(&a->head, &a->sum, result, &body);
    rl_reply_json(a->ex, 200, &body);
}

/* Reads what there is. A stream begins with its first piece. */
static void look(rl_answer *a, char *piece)
{
    rl_buf *sse = a->asked.stream ? &a->sse : NULL;
    rl_run_result result;
    rl_reply_kind kind;
    size_t n = 0;

    while (rl_run_read(a->run, &kind, piece, PIECE_MAX, &n, 0) == REALM_OK && n > 0) {
        if (sse && kind != RL_REPLY_LOG && !a->opened)
            rl_chunk_open(&a->head, sse);
        a->opened = a->opened || kind != RL_REPLY_LOG;
        rl_chunk_add(&a->head, &a->sum, kind, piece, n, sse);
        if (sse && a->opened) {
            begin_stream(a);
            return;
        }
    }
    if (!rl_run_done(a->run, &result))
        return;
    if (result.status != REALM_OK) {
        fail(a, &result.err, NULL);
    } else if (sse) {
        rl_chunk_open(&a->head, sse);
        begin_stream(a);
    } else {
        send_whole(a, &result);
    }
}

/* Closing waits until the run tells nothing any more; what it told meanwhile is one more task at
 * most.
 */
static void finish(rl_answer *a)
{
    if (!a->ended)
        rl_run_close(a->run);
    a->ended = true;
    if (!atomic_exchange(&a->queued, true))
        answer_free(a);
}

static void attend(rl_answer *a, char *piece)
{
    atomic_store(&a->queued, false);
    if (atomic_load(&a->done)) {
        finish(a);
        return;
    }
    switch (atomic_load(&a->phase)) {
    case PHASE_NEW:
        take_request(a);
        break;
    case PHASE_WAITING:
        if (a->run)
            look(a, piece);
        break;
    case PHASE_STREAM:
        rl_http_wake(a->ex); /* told just before the http thread became the reader */
        break;
    default:
        break;
    }
}

void *rl_answer_intake(void *server)
{
    rl_server *s = server;
    char *piece = rl_alloc(PIECE_MAX);

    RL_ASSERT(piece); /* at the start */
    while (!atomic_load(&s->stopping) || atomic_load(&s->n_answers) > 0) {
        rl_answer *a = rl_queue_pop(s->intake, IDLE_NS);

        if (a)
            attend(a, piece);
    }
    rl_free(piece);
    return NULL;
}
