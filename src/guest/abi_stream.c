/* Module realm: streams and the reply. */
#include "guest/abi.h"
#include "guest/text.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/json.h"

#include <string.h>
#include <sys/random.h>

#define PIECE     1024u          /* bytes of text in one event */
#define EVENT_MAX ((size_t)8192) /* a piece whose every byte is escaped, and its frame */

/* Tokens of one event: RL_EVENT_TOKENS entries in all, each with so many bytes of text escaped and
 * as numbers, so that an event stays below what a reply takes at once. */
#define TOKEN_TEXT 256u
#define TOKENS_CAP ((size_t)64 << 10) /* of such an event */

/* -> 0, or the call's answer */
static int64_t find_stream(rl_call *c, uint64_t handle, rl_gstream **out)
{
    rl_handle *row = rl_handle_get(&c->run->handles, handle, RL_HANDLE_STREAM);

    if (!row)
        return rl_call_fail(c, REALM_ENOTFOUND, "no stream has the handle %llu",
                            (unsigned long long)handle);
    *out = row->stream;
    return 0;
}

static int64_t get_stream(rl_call *c, rl_gstream **out)
{
    return find_stream(c, c->arg[0].u, out);
}

/* What was lent to the stream must be back before its number is dead. */
static int64_t close_more(rl_call *c)
{
    if (!rl_gstream_settle(c->state))
        return rl_call_park(c, close_more, NULL, c->state, 0);
    rl_handle_free(rl_handle_get(&c->run->handles, c->arg[0].u, RL_HANDLE_STREAM));
    return 0;
}

/* Closing cancels what still runs; what it has cost so far is the run's. */
int64_t rl_abi_realm_stream_close(rl_call *c)
{
    rl_gstream *s = NULL;
    int64_t r = get_stream(c, &s);

    if (r != 0)
        return r;
    RL_ASSERT(s);
    rl_stream_cancel(s->stream);
    c->state = s;
    return close_more(c);
}

/* ---- wait_any -------------------------------------------------------------------------------- */

/* -> index of the first stream that has something to read, or is over; -1: none; or the call's
 * answer, below that */
static int64_t first_ready(rl_call *c)
{
    for (uint32_t i = 0; i < c->arg[0].n; i++) {
        rl_gstream *s = NULL;
        int64_t r = find_stream(c, rl_item_of(&c->arg[0], i), &s);

        if (r != 0)
            return r - 1;
        RL_ASSERT(s);
        if (rl_gstream_ready(s))
            return i;
    }
    return -1;
}

static int64_t wait_more(rl_call *c)
{
    uint64_t end = c->wake_ns;
    int64_t i = first_ready(c);

    if (i != -1)
        return i < 0 ? i + 1 : i;
    if (end && rl_clock_ns() >= end)
        return rl_call_fail(c, REALM_ETIMEOUT, "no stream had anything within %lld ms",
                            (long long)c->arg[1].i);
    return rl_call_park(c, wait_more, NULL, NULL, end);
}

/* 0 polls, -1 waits as long as the run may; a time too long to count is no limit either. */
int64_t rl_abi_realm_wait_any(rl_call *c)
{
    int64_t ms = c->arg[1].i;

    if (c->arg[0].n == 0 || c->arg[0].n > RL_MAX_HANDLES || ms < -1)
        return rl_call_fail(c, REALM_EINVAL,
                            "wait_any needs 1 to %u streams and a time of -1, 0 or more",
                            RL_MAX_HANDLES);
    c->wake_ns = ms < 0 || (uint64_t)ms > UINT64_MAX / 2000000u
                     ? 0
                     : rl_clock_ns() + (uint64_t)ms * 1000000u;
    return wait_more(c);
}

/* ---- stream_read ----------------------------------------------------------------------------- */

/* The text outside of calls. */
static int64_t read_around(rl_call *c, rl_gstream *s, char *out, size_t cap)
{
    rl_tool_item item;
    int64_t r;

    do
        r = rl_gstream_read_item(c, s, &item, cap);
    while (r > 0 && (item.part != RL_TOOL_TEXT || item.n == 0));
    if (r <= 0)
        return r;
    memcpy(out, item.p, item.n);
    return (int64_t)item.n;
}

/* Text goes from the stream straight into guest memory, on the worker. */
static int64_t read_more(rl_call *c)
{
    rl_gstream *s = c->state;
    const rl_arg *out = &c->arg[1];
    char *to = (char *)c->mem + out->u;
    int64_t r = s->tools ? read_around(c, s, to, out->n) : rl_gstream_read(c, s, to, out->n);

    return r == RL_PARKED ? rl_call_park(c, read_more, NULL, s, 0) : r;
}

int64_t rl_abi_realm_stream_read(rl_call *c)
{
    rl_gstream *s = NULL;
    int64_t r = get_stream(c, &s);

    if (r != 0)
        return r;
    RL_ASSERT(s);
    c->state = s;
    return read_more(c);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The beginning all events share. */
static void open_event(rl_json *j, rl_buf *b, const char *kind, uint32_t choice)
{
    *j = rl_json_on(b);
    rl_json_object(j, NULL);
    rl_json_string(j, "event", kind);
    rl_json_uint(j, "choice", choice);
}

/* A piece of a stream: text, and the tokens that ended in it. */
typedef struct piece {
    char text[PIECE];
    size_t n;
    rl_stream_token tokens[RL_EVENT_TOKENS];
    uint32_t n_tokens;
} piece;

/* A token's text need not be UTF-8 by itself, so its bytes stand beside it. skip: bytes at its
 * beginning that are left out. */
static void put_text(rl_json *j, const rl_vocab *v, uint32_t id, uint32_t skip)
{
    rl_text t = rl_token_bytes(v, id);
    size_t end = t.n < TOKEN_TEXT ? t.n : TOKEN_TEXT, from = skip < end ? skip : end;

    rl_json_uint(j, "id", id);
    rl_json_stringn(j, "text", t.p + from, end - from);
    rl_json_array(j, "bytes");
    for (size_t i = from; i < end; i++)
        rl_json_uint(j, NULL, (unsigned char)t.p[i]);
    rl_json_end_array(j);
}

/* In the place of a text's first token nothing was predicted. */
static void put_unknown(rl_json *j)
{
    rl_json_null(j, "logprob");
    rl_json_null(j, "top");
    rl_json_end_object(j);
}

static void put_token(rl_json *j, const rl_gstream *s, const rl_stream_token *t)
{
    const rl_vocab *v = rl_lm_vocab(s->lm);

    rl_json_object(j, NULL);
    put_text(j, v, t->id, t->skipped);
    if (t->is_first) {
        put_unknown(j);
        return;
    }
    rl_json_double(j, "logprob", (double)t->logprob, 9);
    rl_json_array(j, "top");
    for (uint32_t i = 0; i < s->n_top && t->top[i].id != RL_NO_TOKEN; i++) {
        rl_json_object(j, NULL);
        put_text(j, v, t->top[i].id, 0);
        rl_json_double(j, "logprob", (double)t->top[i].logprob, 9);
        rl_json_end_object(j);
    }
    rl_json_end_array(j);
    rl_json_end_object(j);
}

/* The next piece, at most cap bytes of text. -> 1 there is one, or rl_gstream_read's answer */
static int64_t next_piece(rl_call *c, rl_gstream *s, piece *p, size_t cap)
{
    int64_t r;

    RL_ASSERT(s);
    p->n_tokens = s->logprobs ? RL_EVENT_TOKENS / (1 + s->n_top) : 0;
    r = s->logprobs ? rl_gstream_read_tokens(c, s, p->text, cap, p->tokens, &p->n_tokens)
                    : rl_gstream_read(c, s, p->text, cap);
    if (r < 0)
        return r;
    p->n = (size_t)r;
    return r > 0 || p->n_tokens > 0;
}

/* A name for a call that its result can be sent back by: 96 random bits. */
static void put_id(rl_json *j)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[12];
    char id[] = "call_000000000000000000000000";

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        j->buf->failed = true;
    for (size_t i = 0; i < sizeof bytes && !j->buf->failed; i++) {
        id[5 + 2 * i] = digits[bytes[i] >> 4];
        id[6 + 2 * i] = digits[bytes[i] & 15];
    }
    rl_json_string(j, "id", id);
}

/* Text, the beginning of a call, or a piece of its arguments. */
static void put_item(rl_buf *b, uint32_t choice, const rl_gstream *s, const rl_tool_item *item)
{
    bool text = item->part == RL_TOOL_TEXT;
    rl_json j;

    open_event(&j, b, text ? "delta" : "tool", choice);
    if (!text)
        rl_json_uint(&j, "index", item->index);
    if (item->part == RL_TOOL_BEGIN) {
        put_id(&j);
        rl_json_stringn(&j, "name", item->p, item->n);
        rl_json_string(&j, "args", "");
    } else {
        rl_json_stringn(&j, text ? "text" : "args", item->p, item->n);
    }
    if (text && s->logprobs) {
        rl_json_array(&j, "tokens");
        for (uint32_t i = 0; i < item->n_tokens; i++)
            put_token(&j, s, &item->tokens[i]);
        rl_json_end_array(&j);
    }
    rl_json_end_object(&j);
}

static void put_finish(rl_buf *b, uint32_t choice, const rl_gstream *s)
{
    rl_json j;

    open_event(&j, b, "finish", choice);
    rl_json_string(&j, "reason", rl_gstream_finish(s));
    rl_json_end_object(&j);
}

static void put_usage(rl_buf *b, const rl_stream_end *end)
{
    rl_json j = rl_json_on(b);

    rl_json_object(&j, NULL);
    rl_json_string(&j, "event", "usage");
    rl_json_uint(&j, "prompt_tokens", end->n_prompt);
    rl_json_uint(&j, "completion_tokens", end->n_generated);
    rl_json_uint(&j, "cached_tokens", end->n_cached);
    rl_json_end_object(&j);
}

/* The smallest capacity in which any event fits whose text is one character; with tools, one that
 * names a call. */
#define EVENT_MIN      128u
#define EVENT_TOOL_MIN 256u

static size_t event_min(const rl_gstream *s)
{
    return s->logprobs ? TOKENS_CAP : s->tools ? EVENT_TOOL_MIN : EVENT_MIN;
}

/* How much text an event of at most cap bytes can carry, each byte escaped in the worst case. */
static size_t text_room(uint64_t cap)
{
    uint64_t room = (cap - EVENT_MIN) / 6 + 4;

    return room < PIECE ? (size_t)room : PIECE;
}

/* Writes the next event with text, or of a call, with at most cap bytes of text. `plain`: the text
 * alone, where it is only text. -> 1 written, or next_piece's answer */
static int64_t put_next(rl_call *c, rl_gstream *s, rl_buf *b, uint32_t choice, size_t cap,
                        bool plain)
{
    rl_tool_item item;
    piece p;
    int64_t r;

    if (s->tools) {
        r = rl_gstream_read_item(c, s, &item, cap);
        if (r > 0)
            put_item(b, choice, s, &item);
        return r;
    }
    r = s->state == RL_GSTREAM_TEXT ? next_piece(c, s, &p, cap) : 0;
    if (r > 0 && plain) {
        (void)rl_buf_add(b, p.text, p.n);
    } else if (r > 0) {
        item = (rl_tool_item){
            .part = RL_TOOL_TEXT, .p = p.text, .n = p.n, .tokens = p.tokens, .n_tokens = p.n_tokens
        };
        put_item(b, choice, s, &item);
    }
    return r;
}

/* Writes the next event of the stream. -> 0 written, 1 none is left, or rl_gstream_read's answer */
static int64_t next_event(rl_call *c, rl_gstream *s, rl_buf *b, uint64_t cap)
{
    int64_t r = put_next(c, s, b, s->choice, text_room(cap), false);

    if (r != 0)
        return r > 0 ? 0 : r;
    if (s->state == RL_GSTREAM_FINISH) {
        put_finish(b, s->choice, s);
        s->state = RL_GSTREAM_USAGE;
        return 0;
    }
    if (s->state == RL_GSTREAM_USAGE) {
        put_usage(b, &s->end);
        s->state = RL_GSTREAM_END;
        return 0;
    }
    return 1;
}

/* Asked when the call is made and at each wake: writes one whole event, or parks. */
static int64_t event_more(rl_call *c)
{
    rl_gstream *s = c->state;
    rl_buf b;
    int64_t r;

    rl_buf_init(&b, s->logprobs ? TOKENS_CAP : EVENT_MAX);
    r = next_event(c, s, &b, c->arg[1].n);
    if (r == 0)
        r = b.failed ? rl_call_fail(c, REALM_ENOMEM, "no memory for an event")
                     : rl_call_put(c, 1, b.data, b.len);
    else if (r == 1)
        r = 0;
    rl_buf_deinit(&b);
    return r == RL_PARKED ? rl_call_park(c, event_more, NULL, s, 0) : r;
}

int64_t rl_abi_realm_stream_event(rl_call *c)
{
    rl_gstream *s = NULL;
    int64_t r = get_stream(c, &s);

    if (r != 0)
        return r;
    RL_ASSERT(s);
    if (c->arg[1].n < event_min(s))
        return rl_call_fail(c, REALM_ESPACE, "an event needs room for %zu bytes", event_min(s));
    c->state = s;
    return event_more(c);
}

/* ---- emit ------------------------------------------------------------------------------------ */

int64_t rl_abi_realm_emit(rl_call *c)
{
    return rl_emit(c, RL_REPLY_TEXT, c->arg[0].in, c->arg[0].n, NULL, 0);
}

/* A helper has found it to be an event; now it may wait for room in the reply. */
static int64_t event_checked(rl_call *c)
{
    const rl_text_op *t = c->state;

    if (t->op.status != REALM_OK)
        return rl_call_fail_err(c, &t->op.err);
    return rl_emit(c, RL_REPLY_EVENT, c->arg[0].in, c->arg[0].n, NULL, 0);
}

/* Whoever reads the reply must be able to trust that events are JSON: so they are parsed first, off
 * the fiber. */
int64_t rl_abi_realm_emit_event(rl_call *c)
{
    return rl_text_run(c, rl_text_new(c->run, RL_TEXT_EVENT, NULL, c->arg[0].in, c->arg[0].n),
                       event_checked);
}

/* A splice: the stream's text goes to the reply on the worker; the guest sleeps until the end. What
 * was read and did not fit the reply yet is in run->emit. */
typedef struct splice {
    rl_gstream *stream; /* borrowed from its handle, which the sleeping guest cannot close */
    uint32_t choice;    /* the stream's own and what the guest adds to it */
    bool finished;      /* the finish event is the one in run->emit */
} splice;

/* The stream stays the guest's: it may read its end, or splice it again and get nothing. */
static void splice_free(rl_call *c)
{
    rl_emit_drop(c->run);
    rl_free(c->state);
}

/* Takes the next piece of the stream into run->emit. -> 0, or what ends or parks the splice */
static int64_t splice_next(rl_call *c, splice *p)
{
    rl_gstream *s = p->stream;
    bool plain = p->choice == 0 && !s->logprobs && !s->tools;
    char *sent;
    int64_t r;
    rl_buf b;

    rl_buf_init(&b, s->logprobs ? TOKENS_CAP : EVENT_MAX);
    r = put_next(c, s, &b, p->choice, PIECE, plain);
    if (r == 0) {
        put_finish(&b, p->choice, s);
        p->finished = true;
    }
    if (r < 0) {
        rl_buf_deinit(&b);
        return r;
    }
    if (b.failed) {
        rl_buf_deinit(&b);
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the reply");
    }
    r = (int64_t)b.len;
    sent = rl_buf_take(&b);
    rl_emit_set(c->run, p->finished || !plain ? RL_REPLY_EVENT : RL_REPLY_TEXT, sent, (size_t)r,
                sent);
    return 0;
}

/* Moves pieces until the stream has nothing now, the reply is full, or it is over. */
static int64_t splice_more(rl_call *c)
{
    splice *p = c->state;
    int64_t r = 0;

    while (r == 0) {
        if (!rl_emit_pump(c->run))
            r = RL_PARKED;
        else if (c->run->ended)
            r = RL_ENDED;
        else if (p->finished)
            break;
        else
            r = splice_next(c, p);
    }
    if (r == RL_PARKED)
        return rl_call_park(c, splice_more, splice_free, p, 0);
    splice_free(c);
    return r;
}

/* The guest sleeps through the whole answer: a token costs it nothing. */
int64_t rl_abi_realm_emit_stream(rl_call *c)
{
    rl_gstream *s = NULL;
    splice *p;
    int64_t r = get_stream(c, &s);

    if (r != 0)
        return r;
    RL_ASSERT(s);
    p = rl_alloc(sizeof *p);
    if (!p)
        return rl_call_fail(c, REALM_ENOMEM, "no memory for the splice");
    p->stream = s;
    p->choice = s->choice + (uint32_t)c->arg[1].u;
    c->state = p;
    rl_emit_set(c->run, RL_REPLY_TEXT, "", 0, NULL);
    return splice_more(c);
}
