/* Drafts never show: ids, log-probabilities, ends, states and blocks of a sequence are the same
 * with them and without, whatever draws. What draws here draws from few letters, so that guesses
 * often hold and often fail. */
#include "house.h"
#include "streams.h"

#include "base/alloc.h"

#include <string.h>

#define PROMPT 40u
#define MOST   160u /* ids of one generation */
#define TOP    3u
#define VOCAB  512u
#define LETTER 260u /* "a" */

static house off, on; /* of one model; `on` guesses wherever it can */

static rl_engine_stats stats(const house *h)
{
    rl_engine_stats st;

    rl_engine_get_stats(h->e, &st);
    return st;
}

/* ---- one generation -------------------------------------------------------------------------- */

typedef struct way {
    const char *name;
    rl_sample_params p;
    const char *regex;                       /* NULL: no grammar */
    uint32_t stop_id;                        /* 0: none */
    bool ends;                               /* by an end token, too */
    uint32_t stop_at, cancel_at, pause_each; /* ids; 0: never */
} way;

/* Words of four bytes alone, so that it can be compared whole. */
typedef struct record {
    uint32_t n, status, finish, end_id, n_generated, len, blocks, again, n_again, len_again;
    float end_logprob;
    uint32_t ids[MOST], ids_again[MOST];
    float logprobs[MOST];
    rl_logprob top[MOST][TOP], end_top[TOP];
    float after[VOCAB];
} record;

typedef struct tape {
    const house *h;
    const way *w;
    record *r;
} tape;

static rl_token_reply keep(rl_job *job, uint32_t id, float logprob)
{
    const tape *t = job->ctx;
    record *r = t->r;

    assert_true(r->n < MOST);
    r->ids[r->n] = id;
    r->logprobs[r->n] = logprob;
    memcpy(r->top[r->n], job->top, sizeof r->top[0]);
    r->n++;
    if (t->w->cancel_at == r->n)
        rl_engine_cancel(t->h->e, job);
    if (t->w->pause_each && r->n % t->w->pause_each == 0) {
        rl_engine_resume(t->h->e, job); /* it is read once the sequence pauses */
        return RL_TOKEN_PAUSE;
    }
    return t->w->stop_at == r->n ? RL_TOKEN_STOP : RL_TOKEN_GO;
}

static rl_token_reply keep_again(rl_job *job, uint32_t id, float logprob)
{
    record *r = ((const tape *)job->ctx)->r;

    (void)logprob;
    assert_true(r->n_again < MOST);
    r->ids_again[r->n_again++] = id;
    return RL_TOKEN_GO;
}

static rl_sampler *sampler_of(const house *h, const way *w)
{
    realm_error err;
    rl_sampler *s;
    rl_grammar *g;

    if (rl_sampler_new(&s, &w->p, h->n_vocab, &err) != REALM_OK)
        fail_msg("%s: %s", w->name, err.text);
    if (!w->regex)
        return s;
    if (rl_grammar_new(&g, rl_lm_grammar(h->lm, &err), RL_GRAMMAR_REGEX, w->regex, strlen(w->regex),
                       &err) != REALM_OK ||
        rl_sampler_take_grammar(s, g, &err) != REALM_OK)
        fail_msg("%s: %s", w->name, err.text);
    return s;
}

/* A text that goes round, so that there is something to find from the first id on. */
static void prompt_of(uint32_t ids[PROMPT])
{
    for (uint32_t i = 0; i < PROMPT; i++)
        ids[i] = LETTER + i % 7 % 4;
}

/* Blocks in use, when the engine has counted what its last step left. */
static uint32_t blocks_now(house *h)
{
    rl_seq *s = house_seq(h, 9);

    house_truncate(h, s, 0); /* the step before it is over */
    rl_seq_close(s);
    return stats(h).kv_blocks_in_use;
}

/* Generates, goes on with the same sampler, and looks at what comes after it all. */
static void play(house *h, const way *w, uint32_t max_tokens, record *r)
{
    float *logits = rl_alloc_array(h->n_vocab, sizeof *logits);
    rl_logprob top[TOP] = { { 0 } };
    uint32_t ids[PROMPT], one = LETTER;
    tape t = { h, w, r };
    rl_job job = { .kind = RL_JOB_GENERATE,
                   .seq = house_seq(h, 1),
                   .ctx = &t,
                   .ids = ids,
                   .n_ids = PROMPT,
                   .sampler = sampler_of(h, w),
                   .max_tokens = max_tokens,
                   .stop_ids = &w->stop_id,
                   .n_stop_ids = w->stop_id != 0,
                   .ignore_eog = !w->ends,
                   .want_logprob = true,
                   .top = top,
                   .n_top = TOP,
                   .token = keep };

    assert_true(h->n_vocab <= VOCAB);
    memset(r, 0, sizeof *r);
    prompt_of(ids);
    r->status = (uint32_t)rl_engine_run(h->e, &job, NULL);
    r->finish = job.finish;
    r->n_generated = job.n_generated;
    r->end_id = job.end_id;
    r->end_logprob = job.end_logprob;
    memcpy(r->end_top, top, sizeof top);
    r->len = rl_seq_len(job.seq);
    r->blocks = blocks_now(h);
    job.token = keep_again;
    job.n_ids = 0;
    job.max_tokens = 12;
    r->again = (uint32_t)rl_engine_run(h->e, &job, NULL);
    r->len_again = rl_seq_len(job.seq);
    rl_sampler_free(job.sampler);
    if (r->len_again + 1 <= rl_lm_n_ctx(h->lm))
        house_logits(h, job.seq, &one, 1, logits);
    memcpy(r->after, logits, h->n_vocab * sizeof *logits);
    rl_seq_close(job.seq);
    rl_free(logits);
}

static void same(const way *w, uint32_t max_tokens, const record *a, const record *b)
{
    for (uint32_t i = 0; i < a->n && i < b->n; i++)
        if (a->ids[i] != b->ids[i])
            fail_msg("%s, %u at most: id %u is %u, not %u", w->name, max_tokens, i, b->ids[i],
                     a->ids[i]);
    if (a->n != b->n || a->status != b->status || a->finish != b->finish)
        fail_msg("%s, %u at most: %u ids, status %d, finish %u; not %u, %d, %u", w->name,
                 max_tokens, b->n, (int)b->status, b->finish, a->n, (int)a->status, a->finish);
    if (a->blocks != b->blocks || a->len != b->len)
        fail_msg("%s, %u at most: %u ids in %u blocks, not %u in %u", w->name, max_tokens, b->len,
                 b->blocks, a->len, a->blocks);
    if (memcmp(a, b, sizeof *a) != 0)
        fail_msg("%s, %u at most: something else", w->name, max_tokens);
}

/* -> guesses that held */
static uint64_t compare(const way *w, uint32_t max_tokens)
{
    static record a, b;
    uint64_t before = stats(&on).accepted_tokens;

    play(&off, w, max_tokens, &a);
    play(&on, w, max_tokens, &b);
    same(w, max_tokens, &a, &b);
    if (a.n == 0 && !w->stop_id && !w->ends) /* a text that may be empty ends in time */
        fail_msg("%s, %u at most: nothing is drawn, status %d", w->name, max_tokens, (int)a.status);
    return stats(&on).accepted_tokens - before;
}

/* ---- ways ------------------------------------------------------------------------------------ */

static const rl_logit_bias letters[] = {
    { LETTER, 50 }, { LETTER + 1, 50 }, { LETTER + 2, 50 }, { LETTER + 3, 50 }
};

#define FEW .bias = letters, .n_bias = 4, .has_seed = true

static const way few = { .name = "few", .p = { FEW, .seed = 5, .temperature = 0.8f } };

static const way ways[] = {
    { .name = "greedy", .p = { FEW } },
    { .name = "drawn", .p = { FEW, .seed = 1, .temperature = 0.8f } },
    { .name = "top-p", .p = { FEW, .seed = 2, .temperature = 0.8f, .top_p = 0.9f } },
    { .name = "top-k", .p = { FEW, .seed = 3, .temperature = 1.2f, .top_k = 3 } },
    { .name = "min-p", .p = { FEW, .seed = 4, .temperature = 1, .min_p = 0.1f } },
    { .name = "typical", .p = { FEW, .seed = 4, .temperature = 1, .typical_p = 0.9f } },
    { .name = "penalties",
      .p = { FEW, .seed = 5, .temperature = 0.8f, .repetition_penalty = 1.1f,
             .presence_penalty = 0.5f, .frequency_penalty = 0.2f } },
    { .name = "grammar",
      .p = { FEW, .seed = 6, .temperature = 1 },
      .regex = "([ab][cd][abcd]){16}", /* it ends there */
      .ends = true },
    { .name = "greedy grammar", .p = { FEW }, .regex = "([abc]{2}[cd])*", .ends = true },
    { .name = "a grammar that forces", .p = { FEW }, .regex = "(abcd|acbd){12}", .ends = true },
};

static void every_way_draws_the_same(void **state)
{
    static const uint32_t most[] = { 1, 2, 3, 4, 5, 6, 7, 8, 31, 120 };

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        uint64_t held = 0;

        for (size_t k = 0; k < sizeof most / sizeof *most; k++)
            held += compare(&ways[i], most[k]);
        if (held < 20)
            fail_msg("%s: only %llu guesses held", ways[i].name, (unsigned long long)held);
    }
}

/* All of the vocabulary, where guesses are few; and ends that the draw brings. */
static void rare_guesses_and_ends(void **state)
{
    way w = { .name = "wide", .p = { .has_seed = true, .temperature = 1 } };

    (void)state;
    for (w.p.seed = 0; w.p.seed < 4; w.p.seed++)
        (void)compare(&w, 100);
    w = (way){ .name = "wide greedy" };
    (void)compare(&w, 150);
    w = few;
    w.name = "stop id";
    w.stop_id = LETTER + 3;
    for (w.p.seed = 0; w.p.seed < 8; w.p.seed++)
        (void)compare(&w, 60);
}

static void receivers_end_and_pause_it(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < 24; i++) {
        way w = few;

        w.name = "stopped";
        w.stop_at = i;
        (void)compare(&w, 60);
        w = few;
        w.name = "cancelled";
        w.cancel_at = i;
        (void)compare(&w, 60);
        w = few;
        w.name = "paused";
        w.pause_each = i;
        (void)compare(&w, 60);
    }
}

/* Guesses that fail there are as well: who took them all would not get through the tests above. */
static void guesses_fail_too(void **state)
{
    rl_engine_stats before = stats(&on), st;
    uint64_t held = compare(&few, 120);

    (void)state;
    st = stats(&on);
    assert_true(held > 10);
    assert_true(st.drafted_tokens - before.drafted_tokens > held + 10);
    assert_int_equal(st.accepted_tokens - before.accepted_tokens, held);
    /* A step for each id, for those of the second generation and for the last logits, too. */
    assert_int_equal(st.steps - before.steps, 120 + 12 + 1 - held);
    assert_int_equal(stats(&off).drafted_tokens, 0);
}

/* Who draws one id at a time drives the steps himself. */
static void single_draws_have_none(void **state)
{
    uint64_t before = stats(&on).drafted_tokens;
    uint32_t ids[PROMPT], out;
    rl_seq *s = house_seq(&on, 1);

    (void)state;
    prompt_of(ids);
    house_generate(&on, s, ids, PROMPT, 0, &out, 1);
    for (uint32_t i = 0; i < 40; i++)
        house_generate(&on, s, NULL, 0, 0, &out, 1);
    rl_seq_close(s);
    assert_int_equal(stats(&on).drafted_tokens, before);
}

/* ---- several at once ------------------------------------------------------------------------- */

/* Four choices of one prompt. */
static void draw_choices(house *h, uint32_t out[4][100])
{
    static house_gen g[4];
    float *logits = rl_alloc_array(h->n_vocab, sizeof *logits);
    uint32_t ids[PROMPT];
    rl_seq *s = house_seq(h, 1), *f[4];

    prompt_of(ids);
    house_logits(h, s, ids, PROMPT, logits);
    for (uint32_t i = 0; i < 4; i++) {
        way w = few;

        w.p.choice = i;
        f[i] = house_seq(h, 1);
        house_fork(h, s, f[i]);
        house_gen_init(h, &g[i], f[i], NULL, 0, 0, 100);
        rl_sampler_free(g[i].job.sampler);
        g[i].job.sampler = sampler_of(h, &w);
    }
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(rl_engine_post(h->e, &g[i].job, NULL), REALM_OK);
    for (uint32_t i = 0; i < 4; i++) {
        house_gen_wait(&g[i]);
        assert_int_equal(g[i].job.status, REALM_OK);
        memcpy(out[i], g[i].out, 100 * sizeof(uint32_t));
        rl_seq_close(f[i]);
    }
    rl_seq_close(s);
    rl_free(logits);
}

static void choices_draw_the_same(void **state)
{
    uint64_t before = stats(&on).accepted_tokens;
    uint32_t a[4][100], b[4][100];

    (void)state;
    draw_choices(&off, a);
    draw_choices(&on, b);
    assert_memory_equal(a, b, sizeof a);
    assert_true(memcmp(a[0], a[1], sizeof a[0]) != 0);
    assert_true(stats(&on).accepted_tokens > before + 20);
}

/* Text by a stream; the letters as they are. */
static void read_text(house *h, uint64_t seed, const rl_stream_opts *how, rl_buf *out,
                      rl_stream_end *end)
{
    rl_stream_opts o = streams_options(h, 1, 300);
    way w = few;
    rl_stream *s;

    w.p.seed = seed;
    rl_sampler_free(o.sampler);
    o.sampler = sampler_of(h, &w);
    o.stops = how->stops;
    o.n_stops = how->n_stops;
    o.max_bytes = how->max_bytes;
    s = streams_start(&o);
    streams_read(s, 64, out, end);
    rl_stream_close(s);
}

static void texts_end_the_same(void **state)
{
    const char *const stops[] = { "abca", "ddb" };
    uint64_t before = stats(&on).accepted_tokens;

    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        rl_stream_opts how = { .stops = stops,
                               .n_stops = (uint32_t)(seed % 3),
                               .max_bytes = seed % 2 * 37 };
        rl_stream_end a, b;
        rl_buf x, y;

        read_text(&off, seed, &how, &x, &a);
        read_text(&on, seed, &how, &y, &b);
        streams_same_text(&x, &y);
        assert_int_equal(a.status, b.status);
        assert_string_equal(a.finish, b.finish);
        assert_int_equal(a.n_generated, b.n_generated);
        assert_int_equal(a.n_prompt, b.n_prompt);
        rl_buf_deinit(&x);
        rl_buf_deinit(&y);
    }
    assert_true(stats(&on).accepted_tokens > before);
}

/* ---- little room ----------------------------------------------------------------------------- */

static void a_full_context_ends_it_there(void **state)
{
    rl_lm_opts lo = { .n_ctx = 64 };
    rl_lm *was_off = off.lm, *was_on = on.lm;

    (void)state;
    assert_int_equal(rl_lm_open(&off.lm, off.e, house_packed("llama"), &lo, NULL), REALM_OK);
    assert_int_equal(rl_lm_open(&on.lm, on.e, house_packed("llama"), &lo, NULL), REALM_OK);
    for (uint32_t n = 64 - PROMPT - 4; n < 64 - PROMPT + 4; n++)
        (void)compare(&few, n);
    house_wait_empty(&off);
    house_wait_empty(&on);
    rl_lm_unref(off.lm);
    rl_lm_unref(on.lm);
    off.lm = was_off;
    on.lm = was_on;
}

static int open_houses(void **state)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20 };

    (void)state;
    house_open(&off, "llama", &eo, NULL);
    eo.speculate = RL_SPECULATE_ALWAYS;
    house_open(&on, "llama", &eo, NULL);
    return 0;
}

static int close_houses(void **state)
{
    (void)state;
    house_wait_empty(&off);
    house_wait_empty(&on);
    house_close(&off);
    house_close(&on);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_draws_the_same),
        cmocka_unit_test(rare_guesses_and_ends),
        cmocka_unit_test(receivers_end_and_pause_it),
        cmocka_unit_test(guesses_fail_too),
        cmocka_unit_test(single_draws_have_none),
        cmocka_unit_test(choices_draw_the_same),
        cmocka_unit_test(texts_end_the_same),
        cmocka_unit_test(a_full_context_ends_it_there),
    };

    return cmocka_run_group_tests(tests, open_houses, close_houses);
}
