/* Streams: the text is the job's ids decoded, cut where it should be, in whole characters, never
 * more than 256 tokens ahead of the reader. */
#include "house.h"

#include "engine/stream.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define PROMPT 12u
#define TOKENS 300u

static house h;

static uint32_t *copy_ids(uint32_t seed)
{
    uint32_t *ids = rl_alloc_array(PROMPT, sizeof *ids);

    house_ids(ids, PROMPT, seed);
    return ids;
}

static void count_notify(void *ctx)
{
    atomic_fetch_add((_Atomic uint32_t *)ctx, 1);
}

static rl_stream_opts options(uint32_t seed, uint32_t max_tokens)
{
    return (rl_stream_opts){ .engine = h.e,
                             .seq = house_seq(&h, seed),
                             .sampler = house_sampler(&h, 1.5f, 7),
                             .ids = copy_ids(seed),
                             .n_ids = PROMPT,
                             .max_tokens = max_tokens };
}

static rl_stream *start(const rl_stream_opts *o)
{
    realm_error err;
    rl_stream *s;

    if (rl_stream_start(&s, o, &err) != REALM_OK)
        fail_msg("%s", err.text);
    return s;
}

/* Reads to the end in pieces of at most cap bytes. */
static void read_all(rl_stream *s, size_t cap, rl_buf *out, rl_stream_end *end)
{
    char piece[4096];

    rl_buf_init(out, 1 << 20);
    while (!rl_stream_ended(s, end)) {
        size_t n;

        assert_int_equal(rl_stream_read(s, piece, cap, &n), REALM_OK);
        assert_true(rl_utf8_valid(piece, n));
        assert_int_equal(rl_buf_add(out, piece, n), REALM_OK);
        if (n == 0 && !rl_stream_readable(s))
            (void)usleep(100);
    }
    assert_true(rl_stream_readable(s));
}

/* What the stream of prompt `seed` must say: ids by a plain job, decoded. */
static void expected_text(uint32_t seed, rl_buf *out, uint32_t *n_tokens)
{
    static house_gen g;
    uint32_t *ids = copy_ids(seed);
    rl_seq *s = house_seq(&h, 99);
    rl_detok d = { 0 };

    house_gen_start(&h, &g, s, ids, PROMPT, 1.5f, TOKENS);
    house_gen_wait(&g);
    rl_buf_init(out, 1 << 20);
    *n_tokens = 0;
    for (uint32_t i = 0; i < g.n_out && !rl_vocab_is_eog(rl_lm_vocab(h.lm), g.out[i]); i++) {
        assert_int_equal(rl_detok_add(&d, rl_lm_vocab(h.lm), g.out[i], RL_DECODE_SKIP_SPECIAL, out),
                         REALM_OK);
        ++*n_tokens;
    }
    assert_int_equal(rl_detok_add(&d, rl_lm_vocab(h.lm), RL_NO_TOKEN, 0, out), REALM_OK);
    rl_seq_close(s);
    rl_free(ids);
}

static void same_text(const rl_buf *a, const rl_buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

static void text_is_the_decoded_ids(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        rl_stream_opts o = options(seed, TOKENS);
        _Atomic uint32_t told = 0;
        rl_stream_end end;
        rl_buf want, got;
        rl_stream *s;
        uint32_t n;

        expected_text(seed, &want, &n);
        o.notify = count_notify;
        o.ctx = &told;
        s = start(&o);
        read_all(s, seed % 2 ? 4096 : 4, &got, &end);
        same_text(&got, &want);
        assert_int_equal(end.status, REALM_OK);
        assert_string_equal(end.finish, n < TOKENS ? "stop" : "length");
        assert_int_equal(end.n_generated, n);
        assert_int_equal(end.n_prompt, PROMPT);
        assert_true(end.prefill_ns > 0);
        rl_stream_close(s);
        assert_true(atomic_load(&told) > 0);
        rl_buf_deinit(&want);
        rl_buf_deinit(&got);
    }
}

/* Where `stop` first stands in text, or its length. */
static size_t first_of(const rl_buf *text, const char *stop)
{
    const char *hit = memmem(text->data, text->len, stop, strlen(stop)); /* NULs may lie in it */

    return hit ? (size_t)(hit - text->data) : text->len;
}

/* Stop strings of every length cut out of the text itself, so that they lie across tokens. */
static void stop_strings_cut_the_text(void **state)
{
    rl_buf want, got;
    uint32_t n;

    (void)state;
    expected_text(3, &want, &n);
    for (size_t at = 5; at + 40 < want.len; at += 17) {
        size_t from = rl_utf8_whole(want.data, at), to = rl_utf8_whole(want.data, at + 1 + at % 37);
        char *stop = rl_strndup(want.data + from, to > from ? to - from : 0);
        const char *stops[2] = { "never there", stop };
        rl_stream_opts o = options(3, TOKENS);
        rl_stream_end end;
        rl_stream *s;

        if (*stop) {
            o.stops = stops;
            o.n_stops = 2;
        }
        s = start(&o);
        read_all(s, 64, &got, &end);
        assert_int_equal(end.status, REALM_OK);
        if (*stop) {
            size_t cut = first_of(&want, stop);

            assert_int_equal(got.len, cut);
            assert_memory_equal(got.data ? got.data : "", want.data, cut);
            assert_string_equal(end.finish, "stop");
        }
        rl_stream_close(s);
        rl_buf_deinit(&got);
        rl_free(stop);
    }
    rl_buf_deinit(&want);
}

static void bytes_are_limited_at_a_character(void **state)
{
    rl_buf want, got;
    uint32_t n;

    (void)state;
    expected_text(4, &want, &n);
    for (size_t max = 1; max < 60; max++) {
        rl_stream_opts o = options(4, TOKENS);
        size_t len = rl_utf8_whole(want.data, max);
        rl_stream_end end;
        rl_stream *s;

        o.max_bytes = max;
        s = start(&o);
        read_all(s, 64, &got, &end);
        assert_int_equal(got.len, len);
        assert_memory_equal(got.data ? got.data : "", want.data, len);
        assert_string_equal(end.finish, "length");
        rl_stream_close(s);
        rl_buf_deinit(&got);
    }
    rl_buf_deinit(&want);
}

static void small_buffers_get_whole_characters(void **state)
{
    rl_stream_opts o = options(5, TOKENS);
    rl_stream_end end;
    uint32_t refused = 0, n_tokens;
    char piece[4];
    rl_buf want, got;
    rl_stream *s;
    size_t n;

    (void)state;
    expected_text(5, &want, &n_tokens);
    rl_buf_init(&got, 1 << 20);
    s = start(&o);
    while (!rl_stream_ended(s, &end)) {
        if (rl_stream_read(s, piece, 1, &n) == REALM_ESPACE) {
            assert_int_equal(n, 0);
            refused++;
            assert_int_equal(rl_stream_read(s, piece, 4, &n), REALM_OK);
        }
        assert_int_equal(rl_buf_add(&got, piece, n), REALM_OK);
    }
    assert_true(refused > 0); /* there are characters of several bytes in it */
    same_text(&got, &want);
    rl_stream_close(s);
    rl_buf_deinit(&got);
    rl_buf_deinit(&want);
}

static uint64_t generated(void)
{
    rl_engine_stats st;

    rl_engine_get_stats(h.e, &st);
    return st.generated_tokens;
}

/* Letters only, no end token: every token counts. */
static rl_sampler *letters_only(void)
{
    rl_logit_bias bias[300];
    rl_sample_params p = { .temperature = 1, .has_seed = true, .seed = 3, .bias = bias };
    rl_sampler *s;

    for (uint32_t id = 0; id < 259; id++)
        bias[p.n_bias++] = (rl_logit_bias){ id, -1000 };
    assert_int_equal(rl_sampler_new(&s, &p, h.n_vocab, NULL), REALM_OK);
    return s;
}

static void an_unread_stream_pauses(void **state)
{
    rl_stream_opts o = options(6, 1000);
    uint64_t before = generated();
    rl_seq *other = house_seq(&h, 1);
    rl_stream_end end;
    rl_stream *s;
    rl_buf got;

    (void)state;
    rl_sampler_free(o.sampler);
    o.sampler = letters_only();
    s = start(&o);
    while (generated() - before < 256)
        (void)usleep(100);
    for (uint32_t i = 0; i < 20; i++) { /* the engine goes round many times */
        house_truncate(&h, other, 0);
        (void)usleep(1000);
        assert_true(generated() - before <= 257);
    }
    assert_true(rl_stream_readable(s));
    assert_false(rl_stream_ended(s, &end));
    read_all(s, 4096, &got, &end);
    assert_int_equal(end.n_generated, 1000);
    assert_int_equal(end.status, REALM_OK);
    assert_true(got.len >= 1000);
    rl_stream_close(s);
    rl_seq_close(other);
    rl_buf_deinit(&got);
}

static void a_full_context_ends_with_its_text(void **state)
{
    rl_lm_opts lo = { .n_ctx = 50 };
    rl_lm *lm = h.lm;
    rl_stream_opts o;
    rl_stream_end end;
    rl_stream *s;
    rl_buf got;

    (void)state;
    assert_int_equal(rl_lm_open(&h.lm, h.e, house_packed("llama"), &lo, NULL), REALM_OK);
    o = options(6, 1000);
    rl_sampler_free(o.sampler);
    o.sampler = letters_only();
    s = start(&o);
    read_all(s, 4096, &got, &end);
    assert_int_equal(end.status, REALM_ECONTEXT);
    assert_non_null(strstr(end.err.text, "50"));
    assert_int_equal(end.n_generated, 50 - PROMPT);
    assert_true(got.len >= 50 - PROMPT);
    rl_stream_close(s);
    rl_buf_deinit(&got);
    rl_lm_unref(h.lm);
    h.lm = lm;
}

/* What a stream did not take is the caller's still, and usable. */
static void a_refused_stream_takes_nothing(void **state)
{
    const char *empty[1] = { "" };
    rl_stream_opts o = options(1, 10);
    rl_stream_end end;
    realm_error err;
    rl_stream *s;
    rl_buf got;

    (void)state;
    o.stops = empty;
    o.n_stops = 1;
    assert_int_equal(rl_stream_start(&s, &o, &err), REALM_EINVAL);
    assert_null(s);
    o.n_stops = 0;
    o.max_tokens = 0;
    assert_int_equal(rl_stream_start(&s, &o, &err), REALM_EINVAL);
    o.max_tokens = 10;
    o.ids[3] += h.n_vocab;
    assert_int_equal(rl_stream_start(&s, &o, &err), REALM_EINVAL);
    o.ids[3] -= h.n_vocab;
    s = start(&o);
    read_all(s, 100, &got, &end);
    assert_int_equal(end.status, REALM_OK);
    rl_buf_deinit(&got);
    rl_stream_close(s);
    rl_stream_close(NULL);
}

/* Sequence and sampler come back when the job is done, not before, with what was drawn. */
static void a_stream_gives_back_what_it_took(void **state)
{
    rl_stream_opts o = options(1, 1000);
    rl_stream *s = start(&o);
    rl_sampler *sampler = NULL;
    rl_stream_end end;
    rl_seq *seq = NULL;
    bool kept = false;
    uint32_t n;
    rl_buf got;

    (void)state;
    assert_false(rl_stream_release(s, &seq, &sampler, &kept)); /* it pauses after 256 tokens */
    rl_stream_cancel(s);
    while (!rl_stream_release(s, &seq, &sampler, &kept))
        ;
    assert_ptr_equal(seq, o.seq);
    assert_ptr_equal(sampler, o.sampler);
    n = rl_seq_len(seq);
    assert_int_equal(n, kept ? PROMPT + rl_stream_drawn(s) : 0);
    read_all(s, 100, &got, &end); /* the text that was there can still be read */
    assert_int_equal(end.status, REALM_ECANCELLED);
    rl_buf_deinit(&got);
    rl_stream_close(s);
    o.ids = copy_ids(2); /* both go on */
    o.max_tokens = 5;
    s = start(&o);
    read_all(s, 100, &got, &end);
    assert_int_equal(end.status, REALM_OK);
    assert_true(rl_stream_release(s, &seq, &sampler, &kept) && kept);
    assert_int_equal(rl_seq_len(seq), n + PROMPT + end.n_generated);
    rl_buf_deinit(&got);
    rl_stream_close(s);
    rl_seq_close(seq);
    rl_sampler_free(sampler);
}

typedef struct scored {
    const rl_stream_token *tokens;
    uint32_t n;
} scored;

static void same_logprobs(rl_job *job, uint32_t index, const float *logits)
{
    const scored *w = job->ctx;
    rl_logprob top[5];
    float logprob;

    assert_true(index <= w->n);
    if (index == w->n)
        return;
    (void)rl_logprobs(logits, h.n_vocab, w->tokens[index].id, &logprob, top, 5);
    assert_memory_equal(&logprob, &w->tokens[index].logprob, sizeof logprob);
    assert_memory_equal(top, w->tokens[index].top, sizeof top);
}

/* What the model thought of each id, by scoring all of them afterwards. */
static void check_tokens(uint32_t seed, const rl_stream_token *tokens, uint32_t n)
{
    scored w = { tokens, n };
    uint32_t *ids = rl_alloc_array(PROMPT + n, sizeof *ids);
    rl_job job = { .kind = RL_JOB_SCORE, .seq = house_seq(&h, 1), .ctx = &w, .row = same_logprobs };

    house_ids(ids, PROMPT, seed);
    for (uint32_t i = 0; i < n; i++)
        ids[PROMPT + i] = tokens[i].id;
    job.ids = ids;
    job.n_ids = PROMPT + n;
    job.first_row = PROMPT - 1;
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    rl_seq_close(job.seq);
    rl_free(ids);
}

/* However few are read at a time; the text is that of a stream without them. */
static void tokens_come_beside_the_text(void **state)
{
    static const uint32_t caps[] = { 1, 3, 256 };
    static rl_stream_token tokens[TOKENS];

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        rl_stream_opts o = options(3, TOKENS);
        rl_stream_end end;
        rl_buf want, got;
        uint32_t n_want, n = 0, n_tokens;
        char piece[64];
        rl_stream *s;
        size_t bytes;

        expected_text(3, &want, &n_want);
        rl_buf_init(&got, 1 << 20);
        o.logprobs = true;
        o.n_top = 5;
        s = start(&o);
        while (!rl_stream_ended(s, &end)) {
            uint32_t room = TOKENS - n < caps[i] ? TOKENS - n : caps[i];

            assert_int_equal(
                rl_stream_read_tokens(s, piece, sizeof piece, &bytes, tokens + n, room, &n_tokens),
                REALM_OK);
            n += n_tokens;
            (void)rl_buf_add(&got, piece, bytes);
            if (bytes == 0 && n_tokens == 0)
                (void)usleep(100);
        }
        same_text(&want, &got);
        assert_int_equal(n, n_want);
        assert_int_equal(n, end.n_generated);
        rl_stream_close(s);
        check_tokens(3, tokens, n);
        rl_buf_deinit(&want);
        rl_buf_deinit(&got);
    }
}

/* Who reads only the text of such a stream loses its tokens and nothing else. */
static void tokens_need_not_be_read(void **state)
{
    rl_stream_opts o = options(4, TOKENS);
    rl_stream_end end;
    realm_error err;
    rl_buf want, got;
    rl_stream *s;
    uint32_t n;

    (void)state;
    o.logprobs = true;
    o.n_top = RL_STREAM_TOP + 1;
    assert_int_equal(rl_stream_start(&s, &o, &err), REALM_EINVAL);
    o.n_top = RL_STREAM_TOP;
    expected_text(4, &want, &n);
    s = start(&o);
    read_all(s, 50, &got, &end);
    same_text(&want, &got);
    rl_stream_close(s);
    rl_buf_deinit(&want);
    rl_buf_deinit(&got);
}

/* Readers wait on their own condition that notify signals; some give up midway. */
typedef struct reader {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    uint32_t seed;
    bool told, gone;
    uint32_t wrong;
} reader;

static void wake_reader(void *ctx)
{
    reader *r = ctx;

    (void)pthread_mutex_lock(&r->lock);
    r->told = true;
    r->wrong += r->gone;
    (void)pthread_cond_signal(&r->news);
    (void)pthread_mutex_unlock(&r->lock);
}

static rl_buf texts[8];

static void *read_one(void *arg)
{
    reader *r = arg;
    rl_stream_opts o = options(r->seed % 8, TOKENS);
    rl_stream_end end;
    char piece[64];
    rl_buf got;
    rl_stream *s;
    size_t n;

    o.notify = wake_reader;
    o.ctx = r;
    if (rl_stream_start(&s, &o, NULL) != REALM_OK) {
        r->wrong++;
        return NULL;
    }
    rl_buf_init(&got, 1 << 20);
    while (!rl_stream_ended(s, &end)) {
        (void)pthread_mutex_lock(&r->lock);
        while (!r->told)
            (void)pthread_cond_wait(&r->news, &r->lock);
        r->told = false;
        (void)pthread_mutex_unlock(&r->lock);
        do {
            r->wrong += rl_stream_read(s, piece, sizeof piece, &n) != REALM_OK;
            (void)rl_buf_add(&got, piece, n);
        } while (n);
        if (r->seed % 3 == 0 && got.len > r->seed)
            break; /* closes while it runs */
    }
    rl_stream_close(s);
    (void)pthread_mutex_lock(&r->lock);
    r->gone = true; /* a notify from here on is wrong */
    (void)pthread_mutex_unlock(&r->lock);
    if (r->seed % 3)
        r->wrong += got.len != texts[r->seed % 8].len;
    r->wrong += got.len && memcmp(got.data, texts[r->seed % 8].data, got.len) != 0;
    rl_buf_deinit(&got);
    return NULL;
}

static void many_streams_at_once(void **state)
{
    static reader readers[48];
    uint32_t n;

    (void)state;
    for (uint32_t i = 0; i < 8; i++)
        expected_text(i, &texts[i], &n);
    for (uint32_t i = 0; i < 48; i++) {
        readers[i] = (reader){ .seed = i };
        (void)pthread_mutex_init(&readers[i].lock, NULL);
        (void)pthread_cond_init(&readers[i].news, NULL);
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_one, &readers[i]), 0);
    }
    for (uint32_t i = 0; i < 48; i++)
        (void)pthread_join(readers[i].thread, NULL);
    house_wait_empty(&h);
    for (uint32_t i = 0; i < 48; i++)
        assert_int_equal(readers[i].wrong, 0);
    for (uint32_t i = 0; i < 8; i++)
        rl_buf_deinit(&texts[i]);
}

/* Control tokens give nothing, but for those that are asked for. */
static void control_tokens_are_shown(void **state)
{
    static const rl_logit_bias certain = { 0, 1e6f }; /* <unk> */
    rl_sample_params p = { .bias = &certain, .n_bias = 1 };
    uint32_t n_vocab = rl_vocab_get_info(rl_lm_vocab(h.lm))->n_tokens;
    realm_error err;

    (void)state;
    for (uint32_t shown = 0; shown < 2; shown++) {
        rl_stream_opts o = options(1, 3);
        rl_stream_end end;
        rl_stream *s;
        rl_buf text;

        rl_sampler_free(o.sampler);
        assert_int_equal(rl_sampler_new(&o.sampler, &p, n_vocab, &err), REALM_OK);
        o.shown[0] = 0;
        o.n_shown = shown;
        s = start(&o);
        read_all(s, 100, &text, &end);
        assert_string_equal(text.data ? text.data : "", shown ? "<unk><unk><unk>" : "");
        assert_int_equal(end.n_generated, 3);
        rl_buf_deinit(&text);
        rl_stream_close(s);
    }
}

static int open_house(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20 };

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
        cmocka_unit_test(text_is_the_decoded_ids),
        cmocka_unit_test(stop_strings_cut_the_text),
        cmocka_unit_test(bytes_are_limited_at_a_character),
        cmocka_unit_test(small_buffers_get_whole_characters),
        cmocka_unit_test(an_unread_stream_pauses),
        cmocka_unit_test(a_full_context_ends_with_its_text),
        cmocka_unit_test(a_refused_stream_takes_nothing),
        cmocka_unit_test(a_stream_gives_back_what_it_took),
        cmocka_unit_test(tokens_come_beside_the_text),
        cmocka_unit_test(tokens_need_not_be_read),
        cmocka_unit_test(control_tokens_are_shown),
        cmocka_unit_test(many_streams_at_once),
    };

    return cmocka_run_group_tests(tests, open_house, close_house);
}
