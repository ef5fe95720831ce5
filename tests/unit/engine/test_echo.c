/* Echoes: prompts come back as they were sent, their tokens with what the model thought of them,
 * the same bits as scoring and drawing give, however the prompt is cut into steps. The tokenizer
 * here puts BOS and a space in front of a text. */
#include "house.h"

#include "engine/echo.h"
#include "engine/stream.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define PROMPT 60u
#define TOKENS 40u
#define MOST   (PROMPT + TOKENS + 1)
#define N_TOP  5u

enum { BYTE = 3, LETTER_A = 260, EOS = 2 }; /* ids: of byte 0, of "a", of the end */

static house h;

static void must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

static const rl_vocab *vocab(void)
{
    return rl_lm_vocab(h.lm);
}

/* ---- the text alone -------------------------------------------------------------------------- */

static void tell(const uint32_t *ids, uint32_t from, uint32_t to, const char *text, size_t cap,
                 rl_buf *out)
{
    char piece[64];
    rl_echo e;

    rl_buf_init(out, 1 << 20);
    rl_echo_init(&e, vocab(), ids, from, to, text);
    while (e.at < e.to) {
        size_t left, n;

        assert_int_equal(rl_echo_peek(&e, &left), REALM_OK);
        n = rl_echo_take(&e, piece, cap);
        assert_true(n <= cap && (n > 0) == (left > 0) && rl_utf8_valid(piece, n));
        assert_int_equal(rl_buf_add(out, piece, n), REALM_OK);
    }
    rl_echo_deinit(&e);
}

static uint32_t *encode(const char *text, uint32_t flags, uint32_t *n)
{
    realm_error err;
    uint32_t *ids;
    size_t n_ids;

    must(
        rl_encode(vocab(), text, strlen(text), flags | RL_ENCODE_PARSE_SPECIAL, &ids, &n_ids, &err),
        &err);
    *n = (uint32_t)n_ids;
    return ids;
}

static void texts_come_back_as_they_were_sent(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "the water", NULL },
        { " the", NULL },
        { "  a  b ", NULL },
        { "", NULL },
        { " ", NULL },
        { "Q\n\t", NULL },
        { "\xc3\xa9\xe6\x97\xa5\xe6\x9c\xac\xf0\x9f\x98\x80", NULL },
        { "<s>the a", NULL },
        { "<s> the a", NULL },
        { "a</s>the<s>  the", NULL },
        { "\xe2\x96\x81the", " the" }, /* the one text that its tokens do not tell */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t cap = 4; cap <= 64; cap += 20) {
            uint32_t n;
            uint32_t *ids = encode(rows[i].text, RL_ENCODE_ADD_SPECIAL, &n);
            rl_buf out;

            assert_int_equal(ids[0], rl_vocab_get_info(vocab())->bos);
            tell(ids, 1, n, rows[i].text, cap, &out);
            assert_string_equal(out.data ? out.data : "",
                                rows[i].want ? rows[i].want : rows[i].text);
            rl_buf_deinit(&out);
            rl_free(ids);
        }
    }
}

/* As rl_decode has it: only the first space is not of the text. */
static void ids_come_as_their_text(void **state)
{
    uint32_t n;
    uint32_t *ids = encode("the the", RL_ENCODE_ADD_SPECIAL, &n);
    rl_buf out;

    (void)state;
    tell(ids, 1, n, NULL, 64, &out);
    assert_string_equal(out.data, "the the");
    rl_buf_deinit(&out);
    tell(ids, 0, n, NULL, 64, &out);
    assert_string_equal(out.data, "<s> the the");
    rl_buf_deinit(&out);
    rl_free(ids);
}

/* ---- streams --------------------------------------------------------------------------------- */

static rl_stream *start_with(rl_sampler *sampler, const uint32_t *ids, uint32_t n,
                             uint32_t max_tokens, bool logprobs)
{
    rl_stream_opts o = { .engine = h.e,
                         .seq = house_seq(&h, 1),
                         .sampler = sampler,
                         .ids = rl_alloc_array(n, sizeof *ids),
                         .n_ids = n,
                         .echo = true,
                         .echo_to = n,
                         .max_tokens = max_tokens,
                         .logprobs = logprobs,
                         .n_top = logprobs ? N_TOP : 0 };
    realm_error err;
    rl_stream *s;

    memcpy(o.ids, ids, n * sizeof *ids);
    must(rl_stream_start(&s, &o, &err), &err);
    return s;
}

static rl_stream *start(const uint32_t *ids, uint32_t n, uint32_t max_tokens, bool logprobs)
{
    return start_with(house_sampler(&h, 1.5f, 7), ids, n, max_tokens, logprobs);
}

/* Reads to the end: text in pieces of at most cap bytes, and up to n_cap tokens with each (0: the
 * text alone). -> tokens */
static uint32_t read_all(rl_stream *s, size_t cap, uint32_t n_cap, rl_buf *out,
                         rl_stream_token *tokens, rl_stream_end *end)
{
    uint32_t n = 0, more = 0;
    char piece[64];
    size_t bytes;

    rl_buf_init(out, 1 << 20);
    while (!rl_stream_ended(s, end)) {
        uint32_t room = MOST - n < n_cap ? MOST - n : n_cap;

        if (n_cap)
            assert_int_equal(rl_stream_read_tokens(s, piece, cap, &bytes, tokens + n, room, &more),
                             REALM_OK);
        else
            assert_int_equal(rl_stream_read(s, piece, cap, &bytes), REALM_OK);
        n += more;
        assert_true(rl_utf8_valid(piece, bytes));
        assert_int_equal(rl_buf_add(out, piece, bytes), REALM_OK);
        if (bytes == 0 && more == 0 && !rl_stream_readable(s))
            (void)usleep(100);
    }
    rl_stream_close(s);
    return n;
}

static void prompt_of(uint32_t seed, uint32_t *ids)
{
    house_ids(ids, PROMPT, seed);
    ids[0] = LETTER_A; /* no space that might be left out */
}

/* Prompt and answer as one text. -> how many ids the answer has before its end */
static uint32_t expected_text(const uint32_t *ids, uint32_t max_tokens, rl_buf *out)
{
    uint32_t drawn[TOKENS], n = 0;
    rl_seq *s = house_seq(&h, 99);
    rl_detok d = { 0 };

    if (max_tokens)
        house_generate(&h, s, ids, PROMPT, 1.5f, drawn, max_tokens);
    rl_seq_close(s);
    rl_buf_init(out, 1 << 20);
    for (uint32_t i = 0; i < PROMPT; i++)
        assert_int_equal(rl_detok_add(&d, vocab(), ids[i], 0, out), REALM_OK);
    while (n < max_tokens && !rl_vocab_is_eog(vocab(), drawn[n]))
        assert_int_equal(rl_detok_add(&d, vocab(), drawn[n++], RL_DECODE_SKIP_SPECIAL, out),
                         REALM_OK);
    assert_int_equal(rl_detok_add(&d, vocab(), RL_NO_TOKEN, 0, out), REALM_OK);
    return n;
}

static void same_text(const rl_buf *a, const rl_buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

typedef struct scored {
    const rl_stream_token *tokens;
    uint32_t n;
} scored;

static void same_logprobs(rl_job *job, uint32_t index, const float *logits)
{
    const scored *w = job->ctx;
    const rl_stream_token *t = &w->tokens[index + 1];
    rl_logprob top[N_TOP];
    float logprob;

    if (index + 1 >= w->n)
        return;
    assert_false(t->is_first);
    (void)rl_logprobs(logits, h.n_vocab, t->id, &logprob, top, N_TOP);
    assert_memory_equal(&logprob, &t->logprob, sizeof logprob);
    assert_memory_equal(top, t->top, sizeof top);
}

/* What the model thinks of each id but the first, by a job of its own. */
static void check_tokens(const rl_stream_token *tokens, uint32_t n)
{
    scored w = { tokens, n };
    uint32_t ids[MOST];
    rl_job job = { .kind = RL_JOB_SCORE,
                   .seq = house_seq(&h, 1),
                   .ctx = &w,
                   .row = same_logprobs,
                   .ids = ids,
                   .n_ids = n };

    assert_true(tokens[0].is_first);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = tokens[i].id;
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    rl_seq_close(job.seq);
}

static void prompts_come_first(void **state)
{
    static const uint32_t caps[] = { 0, 1, 7, MOST }, limits[] = { 0, 1, TOKENS };
    static rl_stream_token tokens[MOST];

    (void)state;
    for (uint32_t i = 0; i < 4 * 3 * 4; i++) {
        uint32_t ids[PROMPT], cap = caps[i % 4], limit = limits[i / 4 % 3], n, n_tokens;
        rl_stream_end end;
        rl_buf want, got;

        prompt_of(i / 12, ids);
        n = expected_text(ids, limit, &want);
        n_tokens =
            read_all(start(ids, PROMPT, limit, cap > 0), i % 2 ? 4 : 64, cap, &got, tokens, &end);
        same_text(&want, &got);
        assert_int_equal(end.status, REALM_OK);
        assert_string_equal(end.finish, n < limit ? "stop" : "length");
        assert_int_equal(end.n_prompt, PROMPT);
        assert_int_equal(end.n_generated, n);
        if (cap) {
            assert_int_equal(n_tokens, PROMPT + n + (n < limit));
            check_tokens(tokens, n_tokens);
        }
        rl_buf_deinit(&want);
        rl_buf_deinit(&got);
    }
}

static rl_sampler *certain(uint32_t id)
{
    rl_logit_bias bias = { id, 1e6f };
    rl_sample_params p = { .bias = &bias, .n_bias = 1 };
    rl_sampler *s;

    assert_int_equal(rl_sampler_new(&s, &p, h.n_vocab, NULL), REALM_OK);
    return s;
}

/* A character that begins in the prompt. */
static void characters_are_not_cut(void **state)
{
    static const uint32_t ids[] = { LETTER_A, BYTE + 0xe6, BYTE + 0x97 };
    static const struct {
        uint32_t id, n;
        const char *text;
    } rows[] = {
        { BYTE + 0xa5, 1, "a\xe6\x97\xa5" },
        { LETTER_A + 1, 1,
          "a\xef\xbf\xbd"
          "b" },
        { EOS, 1, "a\xef\xbf\xbd" },
        { EOS, 0, "a\xef\xbf\xbd" },
    };
    static rl_stream_token tokens[MOST];

    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        rl_stream_end end;
        rl_buf got;
        uint32_t n = read_all(start_with(certain(rows[i / 2].id), ids, 3, rows[i / 2].n, i % 2), 64,
                              i % 2 ? 4 : 0, &got, tokens, &end);

        assert_string_equal(got.data, rows[i / 2].text);
        if (i % 2) /* the end token too */
            assert_int_equal(n, 3 + rows[i / 2].n);
        rl_buf_deinit(&got);
    }
}

static void a_prompt_may_fill_the_context(void **state)
{
    rl_lm_opts lo = { .n_ctx = 50 };
    rl_lm *lm = h.lm;
    uint32_t ids[PROMPT];
    rl_stream_opts o;
    rl_stream_end end;
    realm_error err;
    rl_stream *s;
    rl_buf got;

    (void)state;
    must(rl_lm_open(&h.lm, h.e, house_packed("llama"), &lo, &err), &err);
    prompt_of(1, ids);
    (void)read_all(start(ids, 50, 0, true), 64, 0, &got, NULL, &end);
    assert_int_equal(end.status, REALM_OK);
    rl_buf_deinit(&got);
    o = (rl_stream_opts){ .engine = h.e,
                          .seq = house_seq(&h, 1),
                          .sampler = house_sampler(&h, 0, 1),
                          .ids = ids,
                          .n_ids = 51,
                          .echo = true,
                          .echo_to = 51,
                          .logprobs = true };
    assert_int_equal(rl_stream_start(&s, &o, &err), REALM_ECONTEXT);
    o.n_ids = o.echo_to = 50;
    o.max_tokens = 1;
    assert_int_equal(rl_stream_start(&s, &o, &err), REALM_ECONTEXT);
    o.n_ids = o.echo_to = 40;
    o.max_tokens = 0;
    o.echo = false; /* nothing to tell, nothing to draw */
    assert_int_equal(rl_stream_start(&s, &o, &err), REALM_EINVAL);
    rl_seq_close(o.seq);
    rl_sampler_free(o.sampler);
    rl_lm_unref(h.lm);
    h.lm = lm;
}

/* Wherever it is cancelled, what was told before is a beginning of the whole, but for a character
 * that is unfinished. */
static void a_cancelled_echo_ends(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        static rl_stream_token tokens[MOST];
        uint32_t ids[PROMPT];
        rl_stream_end end;
        rl_buf want, got;
        rl_stream *s;
        size_t n;

        prompt_of(i, ids);
        (void)expected_text(ids, TOKENS, &want);
        s = start(ids, PROMPT, TOKENS, i % 2);
        (void)usleep(i * 200);
        rl_stream_cancel(s);
        (void)read_all(s, 64, i % 2 ? 5 : 0, &got, tokens, &end);
        assert_true(end.status == REALM_OK || end.status == REALM_ECANCELLED);
        n = got.len > 3 ? got.len - 3 : 0;
        assert_true(n <= want.len);
        assert_memory_equal(got.data ? got.data : "", want.data, n);
        if (end.status == REALM_OK)
            same_text(&want, &got);
        rl_buf_deinit(&want);
        rl_buf_deinit(&got);
    }
}

/* ---- jobs ------------------------------------------------------------------------------------ */

#define LONG 700u
#define SEQS 6u

static void no_news(rl_job *job, uint32_t n)
{
    (void)job;
    assert_true(n > 0 && n < LONG);
}

/* With little room the prompts lose their blocks and are computed again; with plenty they do not.
 */
static void scores_survive_eviction(void **state)
{
    rl_engine_opts little = { .n_threads = 2, .kv_bytes = (size_t)2 << 20, .chunk = 64 };
    static rl_logprob scores[2][SEQS][LONG - 1];
    static house_gen g[SEQS];
    static uint32_t ids[SEQS][LONG];
    rl_seq *s[SEQS];
    house small, *at[2] = { &h, &small };

    (void)state;
    house_open(&small, "llama", &little, NULL);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < SEQS; i++) {
            house_ids(ids[i], LONG, i);
            s[i] = house_seq(at[round], i);
            house_gen_start(at[round], &g[i], s[i], ids[i], 1, 0, 1); /* for a sampler */
            while (!atomic_load(&g[i].done))
                (void)usleep(100);
            house_truncate(at[round], s[i], 0);
            g[i].job.echo = true;
            g[i].job.scores = scores[round][i];
            g[i].job.scored = no_news;
            g[i].job.n_ids = LONG;
            g[i].job.max_tokens = 20;
            g[i].n_out = 0;
            atomic_store(&g[i].done, 0);
        }
        for (uint32_t i = 0; i < SEQS; i++)
            assert_int_equal(rl_engine_post(at[round]->e, &g[i].job, NULL), REALM_OK);
        for (uint32_t i = 0; i < SEQS; i++) {
            house_gen_wait(&g[i]);
            assert_int_equal(g[i].job.status, REALM_OK);
            rl_seq_close(s[i]);
        }
    }
    house_wait_empty(&small);
    house_close(&small);
    assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
    for (uint32_t i = 0; i < LONG - 1; i++)
        assert_int_equal(scores[0][3][i].id, ids[3][i + 1]);
}

static void bad_scores_are_refused(void **state)
{
    static const uint32_t ids[3] = { 5, 6, 7 };
    rl_logprob scores[2];
    rl_job job = { .kind = RL_JOB_GENERATE,
                   .seq = house_seq(&h, 1),
                   .sampler = house_sampler(&h, 0, 1),
                   .ids = ids,
                   .n_ids = 3,
                   .max_tokens = 1,
                   .scores = scores };

    (void)state;
    job.scored = no_news;
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_EINVAL);
    job.echo = true;
    job.scored = NULL;
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_EINVAL);
    job.scored = no_news;
    job.max_tokens = 0;
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    assert_int_equal(job.finish, RL_FINISH_LENGTH);
    assert_int_equal(rl_seq_len(job.seq), 3);
    rl_seq_close(job.seq);
    rl_sampler_free(job.sampler);
}

static int open_house(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20, .chunk = 7 };

    (void)state;
    house_open(&h, "llama", &eo, NULL);
    return 0;
}

static int close_house(void **state)
{
    (void)state;
    house_wait_empty(&h);
    house_close(&h);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back_as_they_were_sent),
        cmocka_unit_test(ids_come_as_their_text),
        cmocka_unit_test(prompts_come_first),
        cmocka_unit_test(characters_are_not_cut),
        cmocka_unit_test(a_prompt_may_fill_the_context),
        cmocka_unit_test(a_cancelled_echo_ends),
        cmocka_unit_test(scores_survive_eviction),
        cmocka_unit_test(bad_scores_are_refused),
    };

    return cmocka_run_group_tests(tests, open_house, close_house);
}
