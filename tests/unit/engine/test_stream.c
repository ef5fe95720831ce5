/* Streams: the text is the job's ids decoded, cut where it should be, in whole characters, never
 * more than 256 tokens ahead of the reader. */
#include "streams.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static house h;

static void count_notify(void *ctx)
{
    atomic_fetch_add((_Atomic uint32_t *)ctx, 1);
}

static void text_is_the_decoded_ids(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        rl_stream_opts o = streams_options(&h, seed, STREAMS_TOKENS);
        _Atomic uint32_t told = 0;
        rl_stream_end end;
        rl_buf want, got;
        rl_stream *s;
        uint32_t n;

        streams_expected(&h, seed, &want, &n);
        o.notify = count_notify;
        o.ctx = &told;
        s = streams_start(&o);
        streams_read(s, seed % 2 ? 4096 : 4, &got, &end);
        streams_same_text(&got, &want);
        assert_int_equal(end.status, REALM_OK);
        assert_string_equal(end.finish, n < STREAMS_TOKENS ? "stop" : "length");
        assert_int_equal(end.n_generated, n);
        assert_int_equal(end.n_prompt, STREAMS_PROMPT);
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
    streams_expected(&h, 3, &want, &n);
    for (size_t at = 5; at + 40 < want.len; at += 17) {
        size_t from = rl_utf8_whole(want.data, at), to = rl_utf8_whole(want.data, at + 1 + at % 37);
        char *stop = rl_strndup(want.data + from, to > from ? to - from : 0);
        const char *stops[2] = { "never there", stop };
        rl_stream_opts o = streams_options(&h, 3, STREAMS_TOKENS);
        rl_stream_end end;
        rl_stream *s;

        if (*stop) {
            o.stops = stops;
            o.n_stops = 2;
        }
        s = streams_start(&o);
        streams_read(s, 64, &got, &end);
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
    streams_expected(&h, 4, &want, &n);
    for (size_t max = 1; max < 60; max++) {
        rl_stream_opts o = streams_options(&h, 4, STREAMS_TOKENS);
        size_t len = rl_utf8_whole(want.data, max);
        rl_stream_end end;
        rl_stream *s;

        o.max_bytes = max;
        s = streams_start(&o);
        streams_read(s, 64, &got, &end);
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
    rl_stream_opts o = streams_options(&h, 5, STREAMS_TOKENS);
    rl_stream_end end;
    uint32_t refused = 0, n_tokens;
    char piece[4];
    rl_buf want, got;
    rl_stream *s;
    size_t n;

    (void)state;
    streams_expected(&h, 5, &want, &n_tokens);
    rl_buf_init(&got, 1 << 20);
    s = streams_start(&o);
    while (!rl_stream_ended(s, &end)) {
        if (rl_stream_read(s, piece, 1, &n) == REALM_ESPACE) {
            assert_int_equal(n, 0);
            refused++;
            assert_int_equal(rl_stream_read(s, piece, 4, &n), REALM_OK);
        }
        assert_int_equal(rl_buf_add(&got, piece, n), REALM_OK);
    }
    assert_true(refused > 0); /* there are characters of several bytes in it */
    streams_same_text(&got, &want);
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
    rl_stream_opts o = streams_options(&h, 6, 1000);
    uint64_t before = generated();
    rl_seq *other = house_seq(&h, 1);
    rl_stream_end end;
    rl_stream *s;
    rl_buf got;

    (void)state;
    rl_sampler_free(o.sampler);
    o.sampler = letters_only();
    s = streams_start(&o);
    while (generated() - before < 256)
        (void)usleep(100);
    for (uint32_t i = 0; i < 20; i++) { /* the engine goes round many times */
        house_truncate(&h, other, 0);
        (void)usleep(1000);
        assert_true(generated() - before <= 257);
    }
    assert_true(rl_stream_readable(s));
    assert_false(rl_stream_ended(s, &end));
    streams_read(s, 4096, &got, &end);
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
    o = streams_options(&h, 6, 1000);
    rl_sampler_free(o.sampler);
    o.sampler = letters_only();
    s = streams_start(&o);
    streams_read(s, 4096, &got, &end);
    assert_int_equal(end.status, REALM_ECONTEXT);
    assert_non_null(strstr(end.err.text, "50"));
    assert_int_equal(end.n_generated, 50 - STREAMS_PROMPT);
    assert_true(got.len >= 50 - STREAMS_PROMPT);
    rl_stream_close(s);
    rl_buf_deinit(&got);
    rl_lm_unref(h.lm);
    h.lm = lm;
}

/* What a stream did not take is the caller's still, and usable. */
static void a_refused_stream_takes_nothing(void **state)
{
    const char *empty[1] = { "" };
    rl_stream_opts o = streams_options(&h, 1, 10);
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
    s = streams_start(&o);
    streams_read(s, 100, &got, &end);
    assert_int_equal(end.status, REALM_OK);
    rl_buf_deinit(&got);
    rl_stream_close(s);
    rl_stream_close(NULL);
}

/* Sequence and sampler come back when the job is done, not before, with what was drawn. */
static void a_stream_gives_back_what_it_took(void **state)
{
    rl_stream_opts o = streams_options(&h, 1, 1000);
    rl_stream *s = streams_start(&o);
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
    assert_int_equal(n, kept ? STREAMS_PROMPT + rl_stream_drawn(s) : 0);
    streams_read(s, 100, &got, &end); /* the text that was there can still be read */
    assert_int_equal(end.status, REALM_ECANCELLED);
    rl_buf_deinit(&got);
    rl_stream_close(s);
    o.ids = streams_ids(2); /* both go on */
    o.max_tokens = 5;
    s = streams_start(&o);
    streams_read(s, 100, &got, &end);
    assert_int_equal(end.status, REALM_OK);
    assert_true(rl_stream_release(s, &seq, &sampler, &kept) && kept);
    assert_int_equal(rl_seq_len(seq), n + STREAMS_PROMPT + end.n_generated);
    rl_buf_deinit(&got);
    rl_stream_close(s);
    rl_seq_close(seq);
    rl_sampler_free(sampler);
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
    rl_stream_opts o = streams_options(&h, r->seed % 8, STREAMS_TOKENS);
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
        streams_expected(&h, i, &texts[i], &n);
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
        rl_stream_opts o = streams_options(&h, 1, 3);
        rl_stream_end end;
        rl_stream *s;
        rl_buf text;

        rl_sampler_free(o.sampler);
        assert_int_equal(rl_sampler_new(&o.sampler, &p, n_vocab, &err), REALM_OK);
        o.shown[0] = 0;
        o.n_shown = shown;
        s = streams_start(&o);
        streams_read(s, 100, &text, &end);
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
        cmocka_unit_test(control_tokens_are_shown),
        cmocka_unit_test(many_streams_at_once),
    };

    return cmocka_run_group_tests(tests, open_house, close_house);
}
