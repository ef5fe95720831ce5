/* Drives sequences, samplers, streams on them, embeddings and the small calls of module realm, and
 * counts what is not as docs/abi.md says. Replies "N wrong" and the line of each. Built for both
 * pointer widths. Input: the prompt. */
#include "realm.h"

#define N 12u

static char prompt[4096], text[65536], other[65536];
static uint32_t ids[2048], drawn[64], again[64];
static float logits[262144], scores[64], ahead[64];
static uint8_t mask[32768];
static int32_t model;
static uint32_t n_ids, n_wrong, n_vocab;

static void say(const char *s)
{
    size_t n = 0;

    while (s[n])
        n++;
    (void)realm_emit(s, n);
}

static void say_number(uint32_t v)
{
    char digits[12];
    uint32_t at = sizeof digits;

    digits[--at] = 0;
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    say(digits + at);
}

static void check(int ok, uint32_t line)
{
    if (ok)
        return;
    n_wrong++;
    say("line ");
    say_number(line);
    say("\n");
}
#define CHECK(x) check(x, __LINE__)

static int same(const void *a, const void *b, size_t n)
{
    const char *x = a, *y = b;

    while (n && *x == *y)
        x++, y++, n--;
    return n == 0;
}

static size_t put(char *to, const char *s)
{
    size_t n = 0;

    for (; s[n]; n++)
        to[n] = s[n];
    return n;
}

static int32_t sampler(const char *params)
{
    return realm_sampler_new((uint32_t)model, params, put(other, params));
}

/* A sequence that holds the prompt. */
static uint32_t prompted(void)
{
    int32_t s = realm_seq_new((uint32_t)model);

    CHECK(s > 0 && realm_seq_append((uint32_t)s, ids, n_ids) == 0);
    CHECK(realm_seq_len((uint32_t)s) == (int32_t)n_ids);
    return (uint32_t)s;
}

static void draw(uint32_t seq, uint32_t smp, uint32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int32_t id = realm_seq_next(seq, smp);

        CHECK(id >= 0);
        out[i] = (uint32_t)id;
    }
}

static void test_next_fork_truncate(void)
{
    uint32_t greedy = (uint32_t)sampler(""), s = prompted(), f;

    draw(s, greedy, drawn, N);
    CHECK(realm_seq_len(s) == (int32_t)(n_ids + N));
    f = (uint32_t)realm_seq_fork(s);
    CHECK(realm_seq_len(f) == (int32_t)(n_ids + N));
    draw(s, greedy, again, 4);
    draw(f, greedy, again + 4, 4);
    CHECK(same(again, again + 4, 16));
    CHECK(realm_seq_close(f) == 0 && realm_seq_len(f) == REALM_ENOTFOUND);
    CHECK(realm_seq_truncate(s, n_ids) == 0);
    draw(s, greedy, again, N);
    CHECK(same(drawn, again, N * 4));
    /* a fork of what was only recorded, cut inside it */
    CHECK(realm_seq_truncate(s, 0) == 0 && realm_seq_append(s, ids, n_ids) == 0);
    f = (uint32_t)realm_seq_fork(s);
    CHECK(realm_seq_append(f, ids, 1) == 0 && realm_seq_truncate(f, n_ids) == 0);
    draw(f, greedy, again, N);
    CHECK(same(drawn, again, N * 4));
    CHECK(realm_seq_close(s) == 0 && realm_seq_close(f) == 0 && realm_sampler_close(greedy) == 0);
}

static void test_looking(void)
{
    uint32_t s = prompted(), best = 0, top[5];
    int32_t n = realm_seq_logits(s, logits, sizeof logits / 4);

    CHECK(n > 0 && realm_seq_len(s) == (int32_t)n_ids);
    n_vocab = (uint32_t)n;
    for (uint32_t i = 1; i < n_vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    CHECK(best == drawn[0]);
    CHECK(realm_seq_topk(s, 5, top, 5, ahead, 5) == 5 && top[0] == best);
    for (uint32_t i = 1; i < 5; i++)
        CHECK(ahead[i] <= ahead[i - 1] && ahead[i] < 0);
    CHECK(realm_seq_score(s, drawn, 8, scores, 8) == 8);
    CHECK(scores[0] == ahead[0] && realm_seq_len(s) == (int32_t)n_ids);
    /* the same with the prompt not computed yet, and behind a part of what is scored */
    CHECK(realm_seq_truncate(s, 0) == 0 && realm_seq_append(s, ids, n_ids) == 0);
    CHECK(realm_seq_score(s, drawn, 8, ahead, 64) == 8 && same(scores, ahead, 32));
    CHECK(realm_seq_append(s, drawn, 3) == 0 && realm_seq_score(s, drawn + 3, 1, ahead, 1) == 1);
    CHECK(ahead[0] == scores[3] && realm_seq_len(s) == (int32_t)n_ids + 3);
    CHECK(realm_seq_score(s, drawn, 0, ahead, 1) == 0);
    CHECK(realm_seq_logits(s, logits, n_vocab - 1) == REALM_ESPACE);
    CHECK(realm_seq_topk(s, 0, top, 5, ahead, 5) == REALM_EINVAL);
    CHECK(realm_seq_topk(s, 1025, top, 5, ahead, 5) == REALM_EINVAL);
    CHECK(realm_seq_topk(s, 5, top, 4, ahead, 5) == REALM_ESPACE);
    CHECK(realm_seq_score(s, drawn, 2, ahead, 1) == REALM_ESPACE);
    CHECK(realm_seq_close(s) == 0);
}

static void test_bad_calls(void)
{
    uint32_t s = (uint32_t)realm_seq_new((uint32_t)model), g = (uint32_t)sampler("{}"),
             bad = 1 << 30;
    uint32_t many[16], n = 0;
    int32_t r;

    CHECK(realm_seq_next(s, g) == REALM_EINVAL && realm_seq_len(s) == 0);
    CHECK(realm_seq_logits(s, logits, sizeof logits / 4) == REALM_EINVAL);
    CHECK(realm_seq_score(s, ids, 1, scores, 1) == REALM_EINVAL);
    CHECK(realm_seq_append(s, &bad, 1) == REALM_EINVAL && realm_seq_len(s) == 0);
    CHECK(realm_sampler_accept(g, &bad, 1) == REALM_EINVAL);
    CHECK(realm_seq_truncate(s, 1) == REALM_EINVAL);
    while ((r = realm_seq_append(s, ids, n_ids)) == 0)
        n++;
    CHECK(r == REALM_ECONTEXT && realm_seq_len(s) == (int32_t)(n * n_ids));
    CHECK(realm_seq_close(s) == 0);
    CHECK(sampler("{\"temperature\": -1}") == REALM_EINVAL);
    CHECK(sampler("{") == REALM_EINVAL);
    CHECK(sampler("{\"regex\": \"(\"}") == REALM_EINVAL);
    CHECK(sampler("{\"regex\": \"a\", \"lark\": \"start: \\\"a\\\"\"}") == REALM_EINVAL);
    CHECK(sampler("{\"json_schema\": 3}") == REALM_EINVAL);
    CHECK(realm_sampler_mask(g, mask, 1) == REALM_EINVAL);
    CHECK(realm_seq_next(99, g) == REALM_ENOTFOUND && realm_seq_next(g, g) == REALM_ENOTFOUND);
    for (n = 0; n < 16; n++)
        CHECK((many[n] = (uint32_t)realm_seq_new((uint32_t)model)) < 1u << 31);
    CHECK(realm_seq_new((uint32_t)model) == REALM_EQUOTA);
    for (n = 0; n < 16; n++)
        CHECK(realm_seq_close(many[n]) == 0);
    CHECK(realm_sampler_close(g) == 0 && realm_sampler_close(g) == REALM_ENOTFOUND);
}

/* A batch draws what each would draw alone; what is wrong with one item is its own affair. */
static void test_batch(void)
{
    uint32_t s[4], g[4], alone[4], batch[4];

    for (uint32_t i = 0; i < 4; i++) {
        s[i] = prompted();
        g[i] =
            (uint32_t)sampler("{\"temperature\": 1.5, \"seed\": 5, \"repetition_penalty\": 1.2}");
        CHECK(realm_seq_append(s[i], ids, i) == 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t f = (uint32_t)realm_seq_fork(s[i]), c = (uint32_t)realm_sampler_clone(g[i]);

        draw(f, c, alone + i, 1);
        CHECK(realm_seq_close(f) == 0 && realm_sampler_close(c) == 0);
    }
    CHECK(realm_seqs_next(s, 4, g, 4, batch, 4) == 4 && same(alone, batch, 16));
    CHECK(realm_seqs_next(s, 4, g, 3, batch, 4) == REALM_EINVAL);
    CHECK(realm_seqs_next(s, 4, g, 4, batch, 3) == REALM_ESPACE);
    CHECK(realm_seqs_next(s, 0, g, 0, batch, 4) == REALM_EINVAL);
    s[1] = 12345; /* no handle */
    g[3] = g[2];  /* twice */
    CHECK(realm_seqs_next(s, 4, g, 4, batch, 4) == 4);
    CHECK((int32_t)batch[0] >= 0 && (int32_t)batch[1] == REALM_ENOTFOUND);
    CHECK((int32_t)batch[2] >= 0 && (int32_t)batch[3] == REALM_EBUSY);
    CHECK(realm_seq_len(s[0]) == (int32_t)n_ids + 2 && realm_seq_len(s[3]) == (int32_t)n_ids + 4);
    for (uint32_t i = 0; i < 4; i++)
        CHECK(i == 1 || realm_seq_close(s[i]) == 0);
}

static void test_mask(void)
{
    uint32_t s = prompted(), g = (uint32_t)sampler("{\"temperature\": 1}"),
             bytes = (n_vocab + 7) / 8;
    uint32_t bytes_id = 17, free_id;

    mask[bytes_id / 8] = (uint8_t)(1u << bytes_id % 8);
    CHECK(realm_sampler_mask(g, mask, bytes) == 0);
    CHECK(realm_seq_next(s, g) == (int32_t)bytes_id);
    draw(s, g, &free_id, 1);
    CHECK(free_id < n_vocab);
    mask[bytes_id / 8] = 0;
    CHECK(realm_sampler_mask(g, mask, bytes) == REALM_EINVAL);
    CHECK(realm_seq_close(s) == 0 && realm_sampler_close(g) == 0);
}

/* Only what the grammar allows is drawn, then end tokens, which have no text. */
static void test_grammar(void)
{
    uint32_t s = prompted(),
             g = (uint32_t)sampler("{\"temperature\": 2, \"regex\": \"(yes|no) ok\"}");
    uint32_t c = (uint32_t)realm_sampler_clone(g), f = (uint32_t)realm_seq_fork(s);
    int32_t n;

    draw(s, g, again, 12);
    n = realm_decode((uint32_t)model, again, 12, text, sizeof text, REALM_SKIP_SPECIAL);
    CHECK((n == 6 && same(text, "yes ok", 6)) || (n == 5 && same(text, "no ok", 5)));
    draw(f, c, again, 12);
    n = realm_decode((uint32_t)model, again, 12, text, sizeof text, REALM_SKIP_SPECIAL);
    CHECK((n == 6 && same(text, "yes ok", 6)) || (n == 5 && same(text, "no ok", 5)));
    CHECK(realm_sampler_accept(g, ids, 1) == REALM_EINVAL);
    CHECK(realm_seq_close(s) == 0 && realm_seq_close(f) == 0);
    CHECK(realm_sampler_close(g) == 0 && realm_sampler_close(c) == 0);
}

/* Reads a stream to its end into `text`. */
static uint32_t read_all(uint32_t stream)
{
    uint32_t n = 0;
    int32_t r;

    while ((r = realm_stream_read(stream, text + n, sizeof text - n)) > 0)
        n += (uint32_t)r;
    CHECK(r == 0);
    return n;
}

/* A stream on a sequence gives the text of the ids that single draws give, and then lets it go. */
static void test_generate(void)
{
    static const char few[] = "{\"max_tokens\": 6}", much[] = "{\"max_tokens\": 3000}";
    uint32_t s = prompted(), g = (uint32_t)sampler(""), n;
    int32_t want, stream = realm_generate_seq(s, g, few, sizeof few - 1);

    CHECK(stream > 0);
    n = read_all((uint32_t)stream);
    want = realm_decode((uint32_t)model, drawn, 6, other, sizeof other, REALM_SKIP_SPECIAL);
    CHECK(want >= (int32_t)n && same(text, other, n) && n > 0);
    CHECK(realm_stream_close((uint32_t)stream) == 0);
    CHECK(realm_seq_len(s) <= (int32_t)(n_ids + 6) && realm_seq_len(s) > (int32_t)n_ids);
    /* lent, it is busy; closed, it is back with what was drawn */
    CHECK(realm_seq_truncate(s, n_ids) == 0);
    stream = realm_generate_seq(s, g, much, sizeof much - 1);
    CHECK(stream > 0);
    if (realm_seq_len(s) != REALM_EBUSY) /* unless the model was done with it at once */
        CHECK(realm_seq_len(s) > (int32_t)n_ids);
    CHECK(realm_stream_close((uint32_t)stream) == 0);
    CHECK(realm_seq_len(s) >= (int32_t)n_ids && realm_stream_read((uint32_t)stream, text, 9) < 0);
    CHECK(realm_seq_truncate(s, n_ids) == 0);
    draw(s, g, again, 3);
    CHECK(same(drawn, again, 12));
    CHECK(realm_generate_seq(s, g, "{\"max_tokens\": 0}", 17) == REALM_EINVAL);
    CHECK(realm_generate_seq(s, g, "{\"stop\": \"\"}", 12) == REALM_EINVAL);
    CHECK(realm_seq_len(s) == (int32_t)n_ids + 3);
    /* closed while a stream has it: the stream goes on */
    stream = realm_generate_seq(s, g, few, sizeof few - 1);
    CHECK(realm_seq_close(s) == 0 && realm_sampler_close(g) == 0);
    (void)read_all((uint32_t)stream);
    CHECK(realm_stream_close((uint32_t)stream) == 0);
}

static void test_wait_any(void)
{
    static const char request[] =
        "{\"prompt\": \"the water\", \"max_tokens\": 4, \"temperature\": 0}";
    uint32_t streams[3];
    int32_t ready;

    for (uint32_t i = 0; i < 3; i++)
        streams[i] = (uint32_t)realm_generate_chat((uint32_t)model, request, sizeof request - 1);
    for (uint32_t ended = 0; ended < 3;) {
        ready = realm_wait_any(streams, 3 - ended, -1);
        CHECK(ready >= 0 && ready < (int32_t)(3 - ended));
        if (realm_stream_read(streams[ready], text, sizeof text) > 0)
            continue;
        CHECK(realm_stream_close(streams[ready]) == 0);
        streams[ready] = streams[2 - ended++];
    }
    CHECK(realm_wait_any(streams, 1, -1) == REALM_ENOTFOUND);
    CHECK(realm_wait_any(streams, 0, -1) == REALM_EINVAL);
    CHECK(realm_wait_any(streams, 1, -2) == REALM_EINVAL);
}

static void test_embed(void)
{
    static const char list[] =
        "[\"the water was long\", \"little could be made\", \"the water was long\"]";
    uint32_t n_embd;
    int32_t n = realm_embed((uint32_t)model, list, sizeof list - 1, logits, sizeof logits / 4);
    float sum = 0;

    CHECK(n > 0 && n % 3 == 0);
    n_embd = (uint32_t)n / 3;
    for (uint32_t i = 0; i < n_embd; i++)
        sum += logits[i] * logits[i];
    CHECK(sum > 0.9999f && sum < 1.0001f);
    CHECK(same(logits, logits + 2 * n_embd, n_embd * 4) &&
          !same(logits, logits + n_embd, n_embd * 4));
    CHECK(realm_embed((uint32_t)model, list, sizeof list - 1, logits, (uint32_t)n - 1) ==
          REALM_ESPACE);
    CHECK(realm_embed((uint32_t)model, "[]", 2, logits, 1) == REALM_EINVAL);
    CHECK(realm_embed((uint32_t)model, "[[]]", 4, logits, 1) == REALM_EINVAL);
    CHECK(realm_embed((uint32_t)model, "{}", 2, logits, 1) == REALM_EINVAL);
    CHECK(realm_embed((uint32_t)model, "[[1, 2, 3]]", 11, logits, n_embd) == (int32_t)n_embd);
}

static void test_small_calls(void)
{
    CHECK(realm_version() == 1);
    CHECK(realm_header_get("X-Trace", 7, text, sizeof text) == 5 && same(text, "abc12", 5));
    CHECK(realm_header_get("x-trace", 7, text, 0) == 5);
    CHECK(realm_header_get("x-trace", 7, text, 4) == REALM_ESPACE);
    CHECK(realm_header_get("x-other", 7, text, sizeof text) == REALM_ENOTFOUND);
    CHECK(realm_header_get("Authorization", 13, text, sizeof text) == REALM_ENOTFOUND);
    CHECK(realm_usage(text, sizeof text) > 0 && same(text, "{\"prompt_tokens\":", 17));
    CHECK(realm_model_list(text, 0) == realm_model_list(text, sizeof text) && text[0] == '[');
    CHECK(realm_set_status(199) == REALM_EINVAL && realm_set_status(600) == REALM_EINVAL);
    CHECK(realm_set_status(202) == 0);
}

REALM_EXPORT(run) int32_t run(void)
{
    int32_t len = realm_read_input(prompt, sizeof prompt), n;

    model = realm_model_open("", 0);
    n = realm_encode((uint32_t)model, prompt, (size_t)len, ids, sizeof ids / 4, REALM_ADD_SPECIAL);
    if (model < 0 || n < 0)
        return realm_failed("prompt", model < 0 ? model : n);
    n_ids = (uint32_t)n;
    test_small_calls();
    test_next_fork_truncate();
    test_looking();
    test_bad_calls();
    test_batch();
    test_mask();
    test_grammar();
    test_generate();
    test_wait_any();
    test_embed();
    CHECK(n_wrong || realm_set_status(203) == 0);
    say_number(n_wrong);
    say(" wrong\n");
    CHECK(realm_set_status(204) == REALM_ECONFLICT);
    return 0;
}
