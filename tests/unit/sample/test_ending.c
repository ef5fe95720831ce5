/* Texts inside open grammars, drawn without any sense from a real vocabulary, in as few draws as
 * there is a way for and in more: each is complete, ends by itself and is inside its grammar. */
#include "../test.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "sample/sampler.h"

#include <jansson.h>
#include <string.h>

#define SEEDS 12u

static rl_gguf *gguf;
static rl_vocab *vocab;
static rl_grammar_env *env;
static float *logits; /* all alike */

static void must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

static int setup(void **state)
{
    realm_error err;

    (void)state;
    must(rl_gguf_open(&gguf, TINY_GGUF, &err), &err);
    must(rl_vocab_open(&vocab, gguf, &err), &err);
    must(rl_grammar_env_new(&env, vocab, &err), &err);
    logits = rl_alloc_array(rl_vocab_get_info(vocab)->n_tokens, sizeof *logits);
    return logits ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    rl_free(logits);
    rl_grammar_env_free(env);
    rl_vocab_close(vocab);
    rl_gguf_close(gguf);
    return 0;
}

typedef struct form {
    rl_grammar_kind kind;
    const char *source;
    bool is_json;
} form;

#define JSON(source)                                                                               \
    {                                                                                              \
        RL_GRAMMAR_JSON_SCHEMA, source, true                                                       \
    }
#define REGEX(source)                                                                              \
    {                                                                                              \
        RL_GRAMMAR_REGEX, source, false                                                            \
    }
#define LARK(source)                                                                               \
    {                                                                                              \
        RL_GRAMMAR_LARK, source, false                                                             \
    }
#define TEXT  "{\"type\": \"string\"}"
#define THREE "{\"type\": \"string\", \"minLength\": 3, \"maxLength\": 20}"

static const form forms[] = {
    JSON("{\"type\": \"object\"}"),
    JSON("{}"),
    JSON("{\"x-guidance\": {\"whitespace_pattern\": \" \"}, \"type\": \"object\"}"),
    JSON("{\"type\": \"object\", \"properties\": {\"name\": " TEXT ", \"note\": " TEXT
         ", \"n\": {\"type\": \"number\"}}, \"required\": [\"name\", \"n\"]}"),
    JSON("{\"type\": \"object\", \"properties\": {\"name\": " TEXT ", \"age\": "
         "{\"type\": \"integer\", \"minimum\": 100, \"maximum\": 999}},"
         "\"required\": [\"name\", \"age\"], \"additionalProperties\": false}"),
    JSON("{\"type\": \"array\", \"items\": {\"type\": \"object\", \"properties\": {\"name\": " TEXT
         ", \"on\": {\"type\": \"boolean\"}, \"deep\": {\"type\": \"array\", \"items\": " TEXT
         "}}, \"required\": [\"name\", \"on\", \"deep\"], \"additionalProperties\": false}}"),
    JSON("{\"type\": \"object\", \"properties\": {\"rows\": {\"type\": \"array\", \"minItems\": 2,"
         "\"items\": {\"type\": \"array\", \"items\": {\"type\": \"number\"}, \"minItems\": 1}}},"
         "\"required\": [\"rows\"], \"additionalProperties\": false}"),
    JSON(
        "{\"type\": \"object\", \"properties\": {\"a\": " THREE ", \"b\": {\"type\": \"string\","
        "\"pattern\": \"^[a-z]+[0-9]{2,}x$\"}, \"c\": {\"enum\": [\"long word\", \"\\u00e9\", 17]},"
        "\"d\": {\"type\": \"string\", \"format\": \"date\"}}, \"required\": [\"a\", \"b\", \"c\", "
        "\"d\"], \"additionalProperties\": false}"),
    JSON("{\"anyOf\": [" TEXT ", {\"type\": \"null\"}, {\"type\": \"array\", \"minItems\": 3},"
         "{\"type\": \"object\", \"properties\": {\"k\": " THREE "}, \"required\": [\"k\"]}]}"),
    JSON("{\"$defs\": {\"t\": {\"type\": \"object\", \"properties\": {\"v\": " TEXT
         ", \"kids\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/t\"}}},"
         "\"required\": [\"v\", \"kids\"], \"additionalProperties\": false}},"
         "\"$ref\": \"#/$defs/t\"}"),
    JSON("{\"type\": \"object\", \"properties\": {\"when\": {\"type\": \"string\", \"format\": "
         "\"date-time\"}, \"id\": {\"type\": \"string\", \"format\": \"uuid\"}, \"mail\": "
         "{\"type\": \"string\", \"format\": \"email\"}}, \"required\": [\"when\", \"id\", "
         "\"mail\"]}"),
    REGEX("[a-z]+@[a-z]+\\.(com|org)"),
    REGEX("(ab|ba)*c"),
    REGEX("<[a-z]+>[^<]*</[a-z]+>"),
    REGEX("[0-9]+(\\.[0-9]+)?(\xc3\xa9|\xf0\x9f\x98\x80)+!"),
    REGEX("(.|\n){5,}"),
    LARK("start: sum\nsum: item (\"+\" item)*\nitem: NUMBER | \"(\" sum \")\"\nNUMBER: /[0-9]+/"),
    LARK("start: \"begin \" line+ \"end\"\nline: /[A-Z]+/ \"=\" /[0-9]+/ \";\"\n%ignore / /"),
};

#define N_FORMS RL_COUNT(forms)

static rl_grammar *grammar(const form *f)
{
    realm_error err;
    rl_grammar *g;

    must(rl_grammar_new(&g, env, f->kind, f->source, strlen(f->source), &err), &err);
    return g;
}

/* On a clone of g; the ending is looked for as a helper does. */
static rl_sampler *sampler(uint64_t seed, const rl_grammar *g, uint32_t left)
{
    rl_sample_params p = { .temperature = 1, .has_seed = true, .seed = seed };
    realm_error err;
    rl_grammar *mine;
    rl_ending *e;
    rl_sampler *s;

    must(rl_sampler_new(&s, &p, rl_vocab_get_info(vocab)->n_tokens, &err), &err);
    must(rl_grammar_clone(&mine, g, &err), &err);
    must(rl_sampler_take_grammar(s, mine, &err), &err);
    must(rl_ending_new(&e, g, left, RL_ENDING_AHEAD, &err), &err);
    rl_sampler_take_ending(s, e);
    return s;
}

static uint32_t way_of(const rl_grammar *g)
{
    rl_ending_stats stats;
    realm_error err;
    rl_ending *e;

    must(rl_ending_new(&e, g, RL_ENDING_MAX, RL_ENDING_AHEAD, &err), &err);
    stats = rl_ending_get_stats(e);
    rl_ending_free(e);
    assert_true(stats.masks <= RL_ENDING_AHEAD);
    return stats.length;
}

typedef struct text {
    uint32_t ids[2048], n;
    rl_buf bytes;
    rl_ending_stats stats;
} text;

/* -> whether it ended by itself within so many draws */
static bool write_text(rl_sampler *s, uint32_t most, text *t)
{
    bool ended = false;
    realm_error err;

    t->n = 0;
    rl_buf_init(&t->bytes, 1 << 20);
    for (uint32_t i = 0; i < most && !ended; i++) {
        uint32_t id;
        rl_text b;

        rl_sampler_set_left(s, most - i);
        must(rl_sampler_draw(s, logits, i, &id, &err), &err);
        t->ids[t->n++] = id;
        ended = rl_vocab_is_eog(vocab, id);
        b = rl_token_bytes(vocab, id);
        if (!ended)
            (void)rl_buf_add(&t->bytes, b.p, b.n);
        must(rl_sampler_advance(s, id, &err), &err);
    }
    (void)rl_buf_add(&t->bytes, "", 1);
    t->stats = rl_ending_get_stats(s->ending);
    return ended;
}

/* Told to a grammar that knows nothing of endings. */
static void check_inside(const form *f, const rl_grammar *g, const text *t)
{
    uint32_t mask[64];
    rl_grammar *c;
    realm_error err;

    must(rl_grammar_clone(&c, g, &err), &err);
    for (uint32_t i = 0; i < t->n; i++) {
        if (i + 1 == t->n) {
            must(rl_grammar_mask(c, mask, &err), &err);
            assert_true(mask[t->ids[i] / 32] >> t->ids[i] % 32 & 1);
        }
        must(rl_grammar_accept(c, t->ids[i], &err), &err);
    }
    rl_grammar_free(c);
    if (f->is_json) {
        json_error_t why;
        json_t *v = json_loadb(t->bytes.data, t->bytes.len - 1, JSON_DECODE_ANY, &why);

        /* numbers may be larger than the reader takes */
        if (!v && json_error_code(&why) != json_error_numeric_overflow)
            fail_msg("%s: %s: %s", f->source, why.text, t->bytes.data);
        json_decref(v);
    }
}

/* ---- every text ends ------------------------------------------------------------------------- */

static void every_text_ends_in_time(void **state)
{
    static const uint32_t more[] = { 0, 1, 2, 3, 5, 9, 20, 60, 150, 400 };
    uint64_t masks = 0, ids = 0, replaced = 0, texts = 0, looks = 0;
    text t;

    (void)state;
    for (size_t f = 0; f < N_FORMS; f++) {
        rl_grammar *g = grammar(&forms[f]);
        uint32_t least = way_of(g);

        if (least == 0)
            fail_msg("no way is found: %s", forms[f].source);
        for (uint32_t k = 0; k < SEEDS * RL_COUNT(more); k++) {
            uint32_t most = least + more[k % RL_COUNT(more)];
            rl_sampler *s = sampler(k, g, most);
            uint64_t first = rl_ending_get_stats(s->ending).masks;

            if (!write_text(s, most, &t))
                fail_msg("%s: %u draws of %u: %s", forms[f].source, t.n, most, t.bytes.data);
            check_inside(&forms[f], g, &t);
            assert_true(t.stats.masks - first <= RL_ENDING_SAVED + t.n * RL_ENDING_PER_ID);
            masks += t.stats.masks - first;
            looks += t.stats.looks;
            ids += t.n;
            replaced += t.stats.replaced;
            texts++;
            rl_buf_deinit(&t.bytes);
            rl_sampler_free(s);
        }
        rl_grammar_free(g);
    }
    print_message("%u texts, %u ids, %u of them replaced, %u looked at, %u masks\n",
                  (unsigned)texts, (unsigned)ids, (unsigned)replaced, (unsigned)looks,
                  (unsigned)masks);
    assert_true(replaced > 0 && replaced < ids);
    assert_true(masks < ids);
}

/* One draw fewer than the known way: nothing is steered, and nothing else goes wrong. */
static void too_little_is_not_steered(void **state)
{
    text t;

    (void)state;
    for (size_t f = 0; f < N_FORMS; f++) {
        rl_grammar *g = grammar(&forms[f]);
        uint32_t most = way_of(g) - 1;

        for (uint64_t seed = 0; seed < 4 && most > 0; seed++) {
            rl_sampler *s = sampler(seed, g, most);

            if (write_text(s, most, &t))
                check_inside(&forms[f], g, &t);
            rl_buf_deinit(&t.bytes);
            rl_sampler_free(s);
        }
        rl_grammar_free(g);
    }
}

/* A text that comes to its end by itself is the model's own: not one id of it is another. */
static void what_ends_by_itself_is_left_alone(void **state)
{
    static const form closed = REGEX("[a-c]{2,5}-[0-9]{3}");
    rl_grammar *g = grammar(&closed);
    text a, b;

    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        rl_sampler *s = sampler(seed, g, 40), *free_one = sampler(seed, g, 40);
        realm_error err;

        assert_true(write_text(s, 40, &a));
        assert_int_equal(a.stats.replaced, 0);
        b.n = 0;
        do {
            must(rl_sampler_draw(free_one, logits, b.n, &b.ids[b.n], &err), &err);
            must(rl_sampler_advance(free_one, b.ids[b.n], &err), &err);
        } while (!rl_vocab_is_eog(vocab, b.ids[b.n++]));
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.ids, b.ids, a.n * sizeof *a.ids);
        rl_buf_deinit(&a.bytes);
        rl_sampler_free(s);
        rl_sampler_free(free_one);
    }
    rl_grammar_free(g);
}

/* Half of a text, and then two samplers that must go the same way. */
static void clones_end_alike(void **state)
{
    rl_grammar *g = grammar(&forms[5]);
    uint32_t most = way_of(g) + 30;

    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        rl_sampler *s = sampler(seed, g, most), *c = NULL;
        uint32_t id = 0, other;
        realm_error err;

        for (uint32_t i = 0; i < most && !rl_vocab_is_eog(vocab, id); i++) {
            rl_sampler_set_left(s, most - i);
            must(rl_sampler_draw(s, logits, i, &id, &err), &err);
            must(rl_sampler_advance(s, id, &err), &err);
            if (c) {
                rl_sampler_set_left(c, most - i);
                must(rl_sampler_draw(c, logits, i, &other, &err), &err);
                must(rl_sampler_advance(c, other, &err), &err);
                assert_int_equal(other, id);
            }
            if (i == most / 2)
                must(rl_sampler_clone(&c, s, &err), &err);
        }
        assert_true(rl_vocab_is_eog(vocab, id));
        rl_sampler_free(s);
        rl_sampler_free(c);
    }
    rl_grammar_free(g);
}

/* ---- what waits, what may be one of two ------------------------------------------------------ */

static uint32_t id_of(char c)
{
    for (uint32_t id = rl_vocab_get_info(vocab)->n_tokens; id-- > 0;) {
        rl_text t = rl_token_bytes(vocab, id);

        if (t.n == 1 && t.p[0] == c && !rl_vocab_is_special(vocab, id))
            return id;
    }
    fail_msg("no token %c", c);
    return 0;
}

/* Free until the marker; what follows it ends, where there is room for it. */
static void a_call_that_fits_ends(void **state)
{
    static const form call = REGEX("[a-z]+=[0-9]+;;");
    rl_grammar_wait wait = { .marker = "@@", .again = true };
    rl_grammar *g = grammar(&call);
    realm_error err;

    (void)state;
    must(rl_grammar_lazy(g, &wait, &err), &err);
    assert_int_equal(way_of(g), 0);
    for (uint32_t k = 0; k < 60; k++) {
        uint32_t most = 8 + k % 20, at = k % 3, id;
        rl_sampler *s = sampler(k, g, most);

        for (uint32_t i = 0; i < most; i++) {
            rl_sampler_set_left(s, most - i);
            must(rl_sampler_draw(s, logits, i, &id, &err), &err);
            if (rl_grammar_waits(s->grammar))
                id = i == at || i == at + 1 ? id_of('@') : id_of('x');
            must(rl_sampler_advance(s, id, &err), &err);
            assert_true(i != at + 1 || !rl_grammar_waits(s->grammar));
        }
        if (!rl_grammar_waits(s->grammar) && at + 2 + 6 <= most)
            fail_msg("a call did not end in %u draws", most);
        rl_sampler_free(s);
    }
    rl_grammar_free(g);
}

/* Of the second grammar nothing may come that begins like the first. */
static void one_of_two_ends(void **state)
{
    static const form own = REGEX("<go>[a-z]+</go>"), other = REGEX("[^\n]{4,}!");
    static const rl_head head = { .text = "<go>", .n = 4 };
    rl_grammar *g = grammar(&own), *rest = grammar(&other), *begun;
    uint32_t least, n_own = 0, n_other = 0;
    realm_error err;
    text t;

    (void)state;
    must(rl_grammar_either(g, rest, &head, 1, &err), &err);
    must(rl_grammar_clone(&begun, g, &err), &err); /* so that the first one comes about too */
    must(rl_grammar_accept(begun, id_of('<'), &err), &err);
    must(rl_grammar_accept(begun, id_of('g'), &err), &err);
    least = way_of(g) > way_of(begun) ? way_of(g) : way_of(begun);
    assert_true(way_of(g) > 0 && way_of(begun) > 0);
    for (uint32_t k = 0; k < 200; k++) {
        uint32_t most = least + k % 30;
        rl_sampler *s = sampler(k, k % 2 ? begun : g, most);

        if (!write_text(s, most, &t))
            fail_msg("%u: %u draws of %u (least %u): %s", k, t.n, most, least, t.bytes.data);
        if (strncmp(t.bytes.data, "o>", 2) == 0 && k % 2)
            n_own++;
        else
            n_other++;
        if (!strstr(t.bytes.data, "</go>") && t.bytes.data[t.bytes.len - 2] != '!')
            fail_msg("neither: %s", t.bytes.data);
        rl_buf_deinit(&t.bytes);
        rl_sampler_free(s);
    }
    assert_true(n_other > 0);
    assert_true(n_own > 0);
    rl_grammar_free(begun);
    rl_grammar_free(g);
}

/* ---- what costs ------------------------------------------------------------------------------ */

/* Sources for which an end is far or hard to find: the masks stay within what is allowed. */
static void hostile_grammars_cost_what_they_may(void **state)
{
    static const form hostile[] = {
        REGEX("(.*a){20}.{30}"),
        REGEX("[a-z]{900}"),
        REGEX("[a-z]{5000}"),
        REGEX(".*[ab]END"),
        REGEX("(x+x+)+y"),
        JSON("{\"type\": \"string\", \"minLength\": 3000}"),
        JSON("{\"type\": \"array\", \"minItems\": 600, \"items\": {\"type\": \"object\"}}"),
        JSON("{\"$defs\": {\"t\": {\"type\": \"object\", \"properties\": {\"t\": {\"$ref\": "
             "\"#/$defs/t\"}}, \"required\": [\"t\"]}}, \"$ref\": \"#/$defs/t\"}"),
    };
    text t;

    (void)state;
    for (size_t f = 0; f < RL_COUNT(hostile); f++) {
        rl_grammar *g;
        realm_error err;
        rl_sampler *s;

        if (rl_grammar_new(&g, env, hostile[f].kind, hostile[f].source, strlen(hostile[f].source),
                           &err) != REALM_OK)
            continue;
        s = sampler(f, g, 300);
        assert_true(rl_ending_get_stats(s->ending).masks <= RL_ENDING_AHEAD);
        (void)write_text(s, 300, &t);
        assert_true(t.stats.masks <= RL_ENDING_AHEAD + RL_ENDING_SAVED + t.n * RL_ENDING_PER_ID);
        rl_buf_deinit(&t.bytes);
        rl_sampler_free(s);
        rl_grammar_free(g);
    }
}

/* Far from its end a text is looked at now and then. */
static void a_long_text_is_seldom_looked_at(void **state)
{
    rl_grammar *g = grammar(&forms[0]);
    rl_ending_stats stats;
    realm_error err;
    rl_sampler *s = sampler(1, g, 100000);

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t id;

        rl_sampler_set_left(s, 100000 - i);
        must(rl_sampler_draw(s, logits, i, &id, &err), &err);
        if (rl_vocab_is_eog(vocab, id))
            break;
        must(rl_sampler_advance(s, id, &err), &err);
    }
    stats = rl_ending_get_stats(s->ending);
    assert_int_equal(stats.looks, 0);
    assert_int_equal(stats.replaced, 0);
    rl_sampler_free(s);
    rl_grammar_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_ends_in_time),
        cmocka_unit_test(too_little_is_not_steered),
        cmocka_unit_test(what_ends_by_itself_is_left_alone),
        cmocka_unit_test(clones_end_alike),
        cmocka_unit_test(a_call_that_fits_ends),
        cmocka_unit_test(one_of_two_ends),
        cmocka_unit_test(hostile_grammars_cost_what_they_may),
        cmocka_unit_test(a_long_text_is_seldom_looked_at),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
