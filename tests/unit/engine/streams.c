#include "streams.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <unistd.h>

uint32_t *streams_ids(uint32_t seed)
{
    uint32_t *ids = rl_alloc_array(STREAMS_PROMPT, sizeof *ids);

    house_ids(ids, STREAMS_PROMPT, seed);
    return ids;
}

rl_stream_opts streams_options(house *h, uint32_t seed, uint32_t max_tokens)
{
    return (rl_stream_opts){ .engine = h->e,
                             .seq = house_seq(h, seed),
                             .sampler = house_sampler(h, 1.5f, 7),
                             .ids = streams_ids(seed),
                             .n_ids = STREAMS_PROMPT,
                             .max_tokens = max_tokens };
}

rl_stream *streams_start(const rl_stream_opts *o)
{
    realm_error err;
    rl_stream *s;

    if (rl_stream_start(&s, o, &err) != REALM_OK)
        fail_msg("%s", err.text);
    return s;
}

void streams_read(rl_stream *s, size_t cap, rl_buf *out, rl_stream_end *end)
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

void streams_expected(house *h, uint32_t seed, rl_buf *out, uint32_t *n_tokens)
{
    static house_gen g;
    uint32_t *ids = streams_ids(seed);
    rl_seq *s = house_seq(h, 99);
    rl_detok d = { 0 };

    house_gen_start(h, &g, s, ids, STREAMS_PROMPT, 1.5f, STREAMS_TOKENS);
    house_gen_wait(&g);
    rl_buf_init(out, 1 << 20);
    *n_tokens = 0;
    for (uint32_t i = 0; i < g.n_out && !rl_vocab_is_eog(rl_lm_vocab(h->lm), g.out[i]); i++) {
        assert_int_equal(
            rl_detok_add(&d, rl_lm_vocab(h->lm), g.out[i], RL_DECODE_SKIP_SPECIAL, out), REALM_OK);
        ++*n_tokens;
    }
    assert_int_equal(rl_detok_add(&d, rl_lm_vocab(h->lm), RL_NO_TOKEN, 0, out), REALM_OK);
    rl_seq_close(s);
    rl_free(ids);
}

void streams_same_text(const rl_buf *a, const rl_buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}
