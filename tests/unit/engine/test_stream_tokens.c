/* The tokens of a stream: they come beside its text, with what the model thought of each. */
#include "streams.h"

#include "base/alloc.h"

#include <unistd.h>

static house h;

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
    uint32_t *ids = rl_alloc_array(STREAMS_PROMPT + n, sizeof *ids);
    rl_job job = { .kind = RL_JOB_SCORE, .seq = house_seq(&h, 1), .ctx = &w, .row = same_logprobs };

    house_ids(ids, STREAMS_PROMPT, seed);
    for (uint32_t i = 0; i < n; i++)
        ids[STREAMS_PROMPT + i] = tokens[i].id;
    job.ids = ids;
    job.n_ids = STREAMS_PROMPT + n;
    job.first_row = STREAMS_PROMPT - 1;
    assert_int_equal(rl_engine_run(h.e, &job, NULL), REALM_OK);
    rl_seq_close(job.seq);
    rl_free(ids);
}

/* However few are read at a time; the text is that of a stream without them. */
static void tokens_come_beside_the_text(void **state)
{
    static const uint32_t caps[] = { 1, 3, 256 };
    static rl_stream_token tokens[STREAMS_TOKENS];

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        rl_stream_opts o = streams_options(&h, 3, STREAMS_TOKENS);
        rl_stream_end end;
        rl_buf want, got;
        uint32_t n_want, n = 0, n_tokens;
        char piece[64];
        rl_stream *s;
        size_t bytes;

        streams_expected(&h, 3, &want, &n_want);
        rl_buf_init(&got, 1 << 20);
        o.logprobs = true;
        o.n_top = 5;
        s = streams_start(&o);
        while (!rl_stream_ended(s, &end)) {
            uint32_t room = STREAMS_TOKENS - n < caps[i] ? STREAMS_TOKENS - n : caps[i];

            assert_int_equal(
                rl_stream_read_tokens(s, piece, sizeof piece, &bytes, tokens + n, room, &n_tokens),
                REALM_OK);
            n += n_tokens;
            (void)rl_buf_add(&got, piece, bytes);
            if (bytes == 0 && n_tokens == 0)
                (void)usleep(100);
        }
        streams_same_text(&want, &got);
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
    rl_stream_opts o = streams_options(&h, 4, STREAMS_TOKENS);
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
    streams_expected(&h, 4, &want, &n);
    s = streams_start(&o);
    streams_read(s, 50, &got, &end);
    streams_same_text(&want, &got);
    rl_stream_close(s);
    rl_buf_deinit(&want);
    rl_buf_deinit(&got);
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
        cmocka_unit_test(tokens_come_beside_the_text),
        cmocka_unit_test(tokens_need_not_be_read),
    };

    return cmocka_run_group_tests(tests, open_house, close_house);
}
