/* Answer: one request that programs answer, from its body to its last byte. Each choice is a run.
 *
 * It is born in the http thread, read and started by the intake thread, and read from by exactly
 * one thread at a time: the intake until its stream begins (so that a failure before the first
 * token is an HTTP status), the http thread from then on. Its runs tell of news; the answer is in
 * the intake's queue once at most. When the exchange is over (`done`) the intake closes the runs
 * and frees the answer. */
#include "server/internal.h"
#include "server/log.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/utf8.h"

#include <string.h>

#define PIECE_MAX ((size_t)64 << 10) /* the largest event of a reply */
#define SSE_MAX   ((size_t)16 << 20) /* what the pieces read at once may become */
#define SSE_FULL  ((size_t)64 << 10) /* nothing more is read beside so much */
#define BODY_MAX  ((size_t)256 << 20)
#define INPUT_MAX ((size_t)32 << 20)
#define IDLE_NS   50000000
#define WHY_MAX   ((size_t)2 << 10) /* of a program's refusal: an error's body has room for it */

/* Of a run: what a request may ask for is bounded by the model's context and by its own max_tokens.
 */
#define RUN_TOKENS ((uint64_t)1 << 20)
#define RUN_OUTPUT ((uint64_t)256 << 20)

typedef enum phase {
    PHASE_NEW,     /* not read yet */
    PHASE_WAITING, /* the runs go; nothing was sent */
    PHASE_STREAM,  /* the http thread reads the runs */
    PHASE_SENT,    /* a whole answer, or a failure */
} phase;

typedef struct rl_answer {
    rl_server *server;    /* borrowed */
    rl_http_exchange *ex; /* counted */
    rl_ask ask;
    rl_said said;
    rl_run **runs; /* owned; [said.n], NULL: not started. Under lock until all have */
    uint32_t turn; /* of a stream: the choice that is read next */
    rl_buf sse;    /* of a stream: not sent yet */
    bool opened;   /* of a stream: its first events were written */
    bool closed;   /* of a stream: its last event was written */
    bool started;  /* the admission was told so */
    bool ended;    /* the runs are closed */
    uint64_t begin_ns, admitted_ns; /* admitted_ns: the admission's, given back at the end */
    _Atomic int phase;
    atomic_bool queued, done;
    pthread_mutex_t lock;
    bool gone; /* under lock */
} rl_answer;

/* ---- life ------------------------------------------------------------------------------------ */

static void answer_free(rl_answer *a)
{
    rl_server *s = a->server;

    rl_said_deinit(&a->said);
    rl_ask_deinit(&a->ask);
    rl_buf_deinit(&a->sse);
    rl_free(a->runs);
    (void)pthread_mutex_destroy(&a->lock);
    rl_http_unref(a->ex);
    rl_admission_end(&s->admission, rl_server_load(s), a->admitted_ns, a->started);
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

/* Worker thread: a run's reply has something, or the run is over. */
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
    for (uint32_t i = 0; a->runs && i < a->said.n; i++)
        if (a->runs[i])
            rl_run_cancel(a->runs[i]);
    (void)pthread_mutex_unlock(&a->lock);
}

static void on_done(void *ctx)
{
    rl_answer *a = ctx;

    atomic_store(&a->done, true);
    schedule(a);
}

/* Room for one more; NULL: *no says why there is none. */
static rl_answer *admit(rl_server *s, rl_complaint *no)
{
    rl_admission_load load = rl_server_load(s);
    uint64_t admitted_ns;
    rl_answer *a;

    *no = (rl_complaint){ .status = 503, .text = "too many requests are under way" };
    /* The http thread alone adds to the count, so it cannot pass the limit. */
    if (atomic_load(&s->n_answers) >= s->max_answers ||
        !rl_admission_begin(&s->admission, load, &admitted_ns, &no->retry_s))
        return NULL;
    a = rl_alloc(sizeof *a);
    if (a) {
        a->admitted_ns = admitted_ns;
        return a;
    }
    rl_admission_end(&s->admission, load, admitted_ns, false);
    no->text = "no memory for a request";
    return NULL;
}

void rl_answer_begin(rl_server *s, rl_http_exchange *ex, rl_api api)
{
    rl_complaint no;
    rl_answer *a = admit(s, &no);

    if (!a) {
        rl_reply_complain(ex, &no);
        return;
    }
    a->server = s;
    a->ex = rl_http_ref(ex);
    a->ask.api = api;
    a->begin_ns = rl_clock_ns();
    (void)pthread_mutex_init(&a->lock, NULL);
    rl_buf_init(&a->sse, SSE_MAX);
    atomic_fetch_add(&s->n_answers, 1);
    if (rl_http_watch(ex, on_gone, on_done, a) == REALM_OK)
        schedule(a);
    else
        answer_free(a); /* the client left already */
}

/* ---- reading runs: the thread whose turn it is ----------------------------------------------- */

/* Choices that ended before without a word have their last event now. */
static void open_events(rl_answer *a, rl_buf *sse)
{
    a->opened = true;
    a->said.wire->open(&a->said, sse);
    for (uint32_t i = 0; i < a->said.n; i++)
        if (a->said.choices[i].over)
            a->said.wire->finish(&a->said, &a->said.choices[i], sse);
}

/* The line of choice c's run, once. */
static void write_line(rl_answer *a, rl_choice *c, const rl_run_result *result)
{
    const rl_server_run line = { .id = rl_http_id(a->ex),
                                 .traceparent = rl_http_header(a->ex, "traceparent"),
                                 .key = rl_http_noted(a->ex),
                                 .model = a->ask.model,
                                 .finish = c->finish,
                                 .timing = &c->timing,
                                 .result = result };

    if (!c->logged)
        rl_server_run_ended(a->server, &line);
    c->logged = true;
}

/* A program that sets a failure's status does so before its first word: all that it says is why,
 * and none of it belongs into a stream. */
static bool is_refused(const rl_answer *a, const rl_choice *c)
{
    return rl_run_http_status(a->runs[c->index]) >= 400;
}

/* One piece of choice c, or its end. -> whether there was something; *failed: the run did, and why
 * is in *result, or kept as its text */
static bool read_choice(rl_answer *a, rl_choice *c, char *piece, rl_buf *sse, bool *failed,
                        rl_run_result *result)
{
    rl_run *run = a->runs[c->index];
    rl_reply_kind kind;
    size_t n = 0;

    if (c->over)
        return false;
    if (rl_run_read(run, &kind, piece, PIECE_MAX, &n, 0) == REALM_OK && n > 0) {
        if (kind != RL_REPLY_LOG && is_refused(a, c))
            sse = NULL;
        if (sse && kind != RL_REPLY_LOG && !a->opened)
            open_events(a, sse);
        if (kind != RL_REPLY_LOG)
            rl_timing_piece(&c->timing, &a->server->metrics, rl_clock_ns());
        rl_said_add(&a->said, c, kind, piece, n, sse);
        return true;
    }
    if (!rl_run_done(run, result))
        return false;
    write_line(a, c, result);
    *failed = result->status != REALM_OK || result->http_status >= 400;
    if (!*failed)
        rl_said_end(&a->said, c, result, a->opened ? sse : NULL);
    return true;
}

static bool all_over(const rl_answer *a)
{
    uint32_t n = 0;

    while (n < a->said.n && a->said.choices[n].over)
        n++;
    return n == a->said.n;
}

/* ---- the http thread: a stream --------------------------------------------------------------- */

/* A program's own words, their beginning when they are many. */
static const char *why_refused(rl_choice *c)
{
    if (c->text.len > WHY_MAX) {
        c->text.len = rl_utf8_whole(c->text.data, WHY_MAX);
        c->text.data[c->text.len] = 0;
    }
    return c->text.len ? c->text.data : "the program refused";
}

/* What the error table has that is nearest to a status of a program's. */
static realm_status status_like(uint32_t http)
{
    return http == 429 ? REALM_EQUOTA : http < 500 ? REALM_EINVAL : REALM_EBUG;
}

/* A program's own refusal comes here when another choice had begun the stream. */
static void fail_stream(rl_answer *a, rl_choice *c, const rl_run_result *result)
{
    realm_error err = result->err;

    if (result->status == REALM_OK)
        (void)realm_fail(&err, status_like(result->http_status), "%s", why_refused(c));
    a->closed = true;
    a->said.wire->fail(&a->said, &err, &a->sse);
    on_gone(a); /* nobody reads the other choices */
}

/* A piece of each choice in turn, until there is enough to send or nothing more to read. */
static void read_more(rl_answer *a, char *piece)
{
    rl_run_result result;
    bool failed = false;
    uint32_t idle = 0;

    while (!a->closed && idle < a->said.n && a->sse.len < SSE_FULL) {
        rl_choice *c = &a->said.choices[a->turn++ % a->said.n];

        idle = read_choice(a, c, piece, &a->sse, &failed, &result) ? 0 : idle + 1;
        if (failed)
            fail_stream(a, c, &result);
    }
    if (!a->closed && all_over(a)) {
        a->closed = true;
        a->said.wire->close(&a->said, &a->sse);
    }
}

static ssize_t fill(void *ctx, char *buf, size_t cap)
{
    static _Thread_local char piece[PIECE_MAX]; /* of the http thread */
    rl_answer *a = ctx;
    size_t n;

    if (!a->closed && a->sse.len == 0)
        read_more(a, piece);
    if (a->sse.failed || a->said.failed)
        return -2;
    n = a->sse.len < cap ? a->sse.len : cap;
    if (n == 0)
        return a->closed ? -1 : 0;
    memcpy(buf, a->sse.data, n);
    rl_buf_consume(&a->sse, n);
    return (ssize_t)n;
}

/* ---- the intake thread: starting ------------------------------------------------------------- */

static void fail(rl_answer *a, const realm_error *err, const char *param)
{
    atomic_store(&a->phase, PHASE_SENT);
    rl_reply_error(a->ex, err, param);
    on_gone(a); /* what had begun has no reader */
}

/* What a program may hear of the request, and never a credential. */
static uint32_t gather_headers(const rl_answer *a, rl_header *out)
{
    static const char *const names[] = { "User-Agent", "Accept-Language", "Traceparent",
                                         "X-Request-Id", "X-Session-Id" };
    uint32_t n = 0;

    for (size_t i = 0; i < RL_COUNT(names); i++) {
        const char *value = rl_http_header(a->ex, names[i]);

        if (value)
            out[n++] = (rl_header){ names[i], value };
    }
    return n;
}

/* Starts choice i. */
static realm_status start_run(rl_answer *a, uint32_t i, rl_run_opts *o, realm_error *err)
{
    realm_status st;
    rl_buf input;

    rl_buf_init(&input, INPUT_MAX);
    st = rl_ask_request(&a->ask, i, &input, err);
    o->input = input.data;
    o->n_input = input.len;
    rl_timing_begin(&a->said.choices[i].timing, a->begin_ns);
    (void)pthread_mutex_lock(&a->lock); /* a client that leaves now finds the run, or prevents it */
    if (st == REALM_OK && a->gone)
        st = realm_fail(err, REALM_ECANCELLED, "the client has left");
    if (st == REALM_OK)
        st = rl_run_start(&a->runs[i], a->server->o.runtime, o, err);
    (void)pthread_mutex_unlock(&a->lock);
    rl_buf_deinit(&input);
    return st;
}

static realm_status start_runs(rl_answer *a, rl_program *program, const char *model,
                               realm_error *err)
{
    rl_header headers[8];
    rl_run_opts o = { .program = program,
                      .model = model[0] ? model : NULL,
                      .headers = headers,
                      .n_headers = gather_headers(a, headers),
                      .caps = RL_CAP_INFER | RL_CAP_LAYERS,
                      .max_tokens = RUN_TOKENS,
                      .max_output = RUN_OUTPUT,
                      .notify = on_news,
                      .ctx = a };
    realm_status st = REALM_OK;

    for (uint32_t i = 0; i < a->said.n && st == REALM_OK; i++)
        st = start_run(a, i, &o, err);
    return st;
}

/* Says what it will say, and to whom its runs belong. */
static realm_status prepare(rl_answer *a, realm_error *err)
{
    static const rl_wire *const wires[RL_N_APIS] = {
        [RL_API_CHAT] = &rl_wire_chat,           [RL_API_TEXT] = &rl_wire_text,
        [RL_API_RESPONSES] = &rl_wire_responses, [RL_API_EMBED] = &rl_wire_embed,
        [RL_API_TOKENIZE] = &rl_wire_tokenize,   [RL_API_DETOKENIZE] = &rl_wire_detokenize,
    };
    rl_run **runs = rl_alloc_array(rl_ask_choices(&a->ask), sizeof(void *));

    if (runs && rl_said_init(&a->said, wires[a->ask.api], &a->ask)) {
        (void)pthread_mutex_lock(&a->lock);
        a->runs = runs;
        (void)pthread_mutex_unlock(&a->lock);
        return REALM_OK;
    }
    rl_free(runs);
    return realm_fail(err, REALM_ENOMEM, "no memory for the answer");
}

static void take_request(rl_answer *a)
{
    char model[RL_NAME_MAX + 1];
    rl_program *program = NULL;
    rl_ask_why why = { .param = "" };
    realm_error err;
    size_t n;
    const char *body = rl_http_body(a->ex, &n);
    realm_status st = rl_ask_read(&a->ask, a->ask.api, body, n, &why, &err);

    atomic_store(&a->phase, PHASE_WAITING);
    if (st == REALM_OK)
        st = prepare(a, &err);
    if (st == REALM_OK)
        st = rl_programs_find(a->server, &a->ask, &program, model, &err);
    if (st == REALM_OK)
        st = start_runs(a, program, model, &err);
    rl_program_unref(program);
    a->started = true;
    rl_admission_started(&a->server->admission);
    if (st != REALM_OK)
        fail(a, &err, why.param[0] ? why.param : NULL);
    else if (a->ask.api == RL_API_CHAT || a->ask.api == RL_API_TEXT)
        rl_ask_deinit(&a->ask); /* what was sent is not looked at again */
}

/* ---- the intake thread: until something is sent ---------------------------------------------- */

/* The first good one that a choice has set. One of a failure that is set but not read of yet ends a
 * stream that another choice began. */
static int chosen_status(const rl_answer *a)
{
    for (uint32_t i = 0; i < a->said.n; i++) {
        uint32_t status = rl_run_http_status(a->runs[i]);

        if (status > 0 && status < 400)
            return (int)status;
    }
    return 200;
}

/* From here on the http thread reads; what was read before lies in sse. */
static void begin_stream(rl_answer *a)
{
    rl_http_field fields[RL_REPLY_FIELDS];
    int status = chosen_status(a);
    const rl_http_answer answer = { .status = status,
                                    .type = "text/event-stream",
                                    .headers = rl_reply_fields(a->ex, status, "Cache-Control",
                                                               "no-cache", fields) };
    const rl_http_source source = { .fill = fill, .ctx = a };
    realm_status st;

    atomic_store(&a->phase, PHASE_STREAM);
    st = rl_http_stream(a->ex, &answer, &source);
    if (st == REALM_OK)
        return;
    on_gone(a); /* the runs have no reader */
    if (st == REALM_ENOMEM)
        rl_reply_complain(a->ex,
                          &(rl_complaint){ .status = 503, .text = "no memory for a stream" });
}

static void send_whole(rl_answer *a)
{
    rl_buf body;

    atomic_store(&a->phase, PHASE_SENT);
    rl_buf_init(&body, BODY_MAX);
    a->said.wire->whole(&a->said, &body);
    if (!a->said.complaint) {
        body.failed = body.failed || a->said.failed;
        rl_reply_json(a->ex, chosen_status(a), &body);
        return;
    }
    rl_buf_deinit(&body);
    rl_reply_complain(a->ex, &(rl_complaint){ .status = a->said.param ? 400 : 502,
                                              .param = a->said.param,
                                              .text = a->said.complaint });
}

/* A program may choose the status of its failure, and says what is wrong as its text. */
static void fail_run(rl_answer *a, rl_choice *c, const rl_run_result *result)
{
    if (result->status != REALM_OK) {
        fail(a, &result->err, rl_ask_blame(&a->ask, &result->err));
        return;
    }
    atomic_store(&a->phase, PHASE_SENT);
    rl_reply_complain(
        a->ex, &(rl_complaint){ .status = (int)result->http_status, .text = why_refused(c) });
    on_gone(a);
}

/* Reads what there is. A stream begins with its first piece. */
static void look(rl_answer *a, char *piece)
{
    rl_buf *sse = a->ask.stream ? &a->sse : NULL;
    rl_run_result result;
    bool failed = false;

    for (uint32_t i = 0; i < a->said.n; i++) {
        rl_choice *c = &a->said.choices[i];

        while (!a->opened && read_choice(a, c, piece, sse, &failed, &result)) {
            if (failed) {
                fail_run(a, c, &result);
                return;
            }
        }
    }
    if (!a->opened && !all_over(a))
        return;
    if (sse && !a->opened)
        open_events(a, sse); /* programs that said nothing */
    if (sse)
        begin_stream(a);
    else
        send_whole(a);
}

/* What was cut short has a line too. */
static void close_run(rl_answer *a, uint32_t i)
{
    rl_run_result result = { .status = REALM_ECANCELLED };

    if (!a->runs[i])
        return;
    (void)rl_run_done(a->runs[i], &result);
    write_line(a, &a->said.choices[i], &result);
    rl_run_close(a->runs[i]);
}

/* Closing waits until the runs tell nothing any more; what they told meanwhile is one more task at
 * most. */
static void finish(rl_answer *a)
{
    for (uint32_t i = 0; a->runs && !a->ended && i < a->said.n; i++)
        close_run(a, i);
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
        look(a, piece);
        break;
    case PHASE_STREAM:
        rl_http_wake(a->ex); /* told just before the http thread became the reader */
        break;
    default:
        break;
    }
}

void rl_answer_write_used(rl_server *s)
{
    rl_store_key *k;
    realm_error err;

    while (s->used_keys && (k = rl_queue_pop(s->used_keys, 0)) != NULL) {
        if (rl_store_key_used(s->intake_store, k, &err) != REALM_OK)
            rl_log(RL_LOG_WARN, "the use of a key was not written down: %s", err.text);
        rl_free(k);
    }
}

void *rl_answer_intake(void *server)
{
    rl_server *s = server;
    char *piece = rl_alloc(PIECE_MAX);

    RL_ASSERT(piece); /* at the start */
    rl_thread_name("intake", 0);
    while (!atomic_load(&s->stopping) || atomic_load(&s->n_answers) > 0) {
        rl_answer *a = rl_queue_pop(s->intake, IDLE_NS);

        if (a)
            attend(a, piece);
        rl_answer_write_used(s);
    }
    rl_free(piece);
    return NULL;
}
