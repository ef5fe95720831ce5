/* Grammars over a real vocabulary, with random logits at temperature 1 in the place of a model:
 * every text is inside its grammar. */
#include "../test.h"

#include "naive.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "sample/grammar.h"

#include <jansson.h>
#include <regex.h>
#include <string.h>

#define MAX_IDS 400u

static rl_gguf *gguf;
static rl_vocab *vocab;
static rl_grammar_env *env;

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
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rl_grammar_env_free(env);
    rl_vocab_close(vocab);
    rl_gguf_close(gguf);
    return 0;
}

static rl_grammar *grammar(rl_grammar_kind kind, const char *source)
{
    realm_error err;
    rl_grammar *g;

    must(rl_grammar_new(&g, env, kind, source, strlen(source), &err), &err);
    return g;
}

static rl_sampler *sampler(uint64_t seed, rl_grammar *g)
{
    rl_sample_params p = { .temperature = 1, .has_seed = true, .seed = seed };
    realm_error err;
    rl_sampler *s;

    must(rl_sampler_new(&s, &p, rl_vocab_get_info(vocab)->n_tokens, &err), &err);
    must(rl_sampler_take_grammar(s, g, &err), &err);
    return s;
}

/* Draws to an end token; the text is in out. */
static void write_text(rl_sampler *s, uint64_t seed, rl_buf *out)
{
    uint32_t n = rl_vocab_get_info(vocab)->n_tokens, id = 0;
    float *logits = rl_alloc_array(n, sizeof *logits);
    uint64_t rnd = seed + 1;
    realm_error err;

    rl_buf_init(out, 1 << 20);
    for (uint32_t i = 0; i < MAX_IDS; i++) {
        rl_text bytes;

        for (uint32_t j = 0; j < n; j++)
            logits[j] = random_logit(&rnd, 4);
        must(rl_sampler_draw(s, logits, i, &id, &err), &err);
        if (rl_vocab_is_eog(vocab, id))
            break;
        assert_false(rl_vocab_is_special(vocab, id));
        bytes = rl_token_bytes(vocab, id);
        (void)rl_buf_add(out, bytes.p, bytes.n);
        must(rl_sampler_advance(s, id, &err), &err);
    }
    if (!rl_vocab_is_eog(vocab, id))
        fail_msg("no end after %u ids: %s", MAX_IDS, out->data);
    must(rl_sampler_advance(s, id, &err),
         &err); /* it may go on with end tokens, and nothing else */
    must(rl_sampler_draw(s, logits, MAX_IDS, &id, &err), &err);
    assert_true(rl_vocab_is_eog(vocab, id));
    must(rl_sampler_advance(s, id, &err), &err);
    rl_free(logits);
}

static bool is_person(const json_t *o)
{
    const json_t *tags = json_object_get(o, "tags"), *tag;
    const char *name = json_string_value(json_object_get(o, "name"));
    const json_t *age = json_object_get(o, "age"), *note = json_object_get(o, "note");
    bool ok = json_object_size(o) == 4 && name && json_is_integer(age) && json_is_array(tags) &&
              json_is_string(note);
    size_t i;

    ok = ok && (strcmp(name, "ann") == 0 || strcmp(name, "bob") == 0);
    ok = ok && json_integer_value(age) >= 0 && json_integer_value(age) <= 120;
    ok = ok && json_array_size(tags) <= 3 && json_string_length(note) <= 4 * 8;
    json_array_foreach(tags, i, tag) ok = ok && json_is_boolean(tag);
    return ok;
}

static void every_text_follows_the_schema(void **state)
{
    static const char schema[] =
        "{\"x-guidance\": {\"whitespace_pattern\": \" \"}, \"type\": \"object\", \"properties\": {"
        "\"name\": {\"enum\": [\"ann\", \"bob\"]},"
        "\"age\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 120},"
        "\"tags\": {\"type\": \"array\", \"items\": {\"type\": \"boolean\"}, \"maxItems\": 3},"
        "\"note\": {\"type\": \"string\", \"maxLength\": 8}},"
        "\"required\": [\"name\", \"age\", \"tags\", \"note\"], \"additionalProperties\": false}";
    rl_grammar *g = grammar(RL_GRAMMAR_JSON_SCHEMA, schema);

    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++) {
        rl_grammar *mine;
        json_error_t why;
        rl_sampler *s;
        json_t *root;
        rl_buf text;

        assert_int_equal(rl_grammar_clone(&mine, g, NULL), REALM_OK);
        s = sampler(seed, mine);
        write_text(s, seed, &text);
        root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &why);
        if (!root || !is_person(root))
            fail_msg("seed %u: %s", (unsigned)seed, text.data);
        json_decref(root);
        rl_buf_deinit(&text);
        rl_sampler_free(s);
    }
    rl_grammar_free(g);
}

static void every_text_matches(rl_grammar_kind kind, const char *source, const char *posix)
{
    regex_t re;

    assert_int_equal(regcomp(&re, posix, REG_EXTENDED | REG_NOSUB), 0);
    for (uint64_t seed = 0; seed < 100; seed++) {
        rl_sampler *s = sampler(seed, grammar(kind, source));
        rl_buf text;

        write_text(s, seed, &text);
        if (regexec(&re, text.data ? text.data : "", 0, NULL, 0) != 0)
            fail_msg("%s: %s", posix, text.data);
        rl_buf_deinit(&text);
        rl_sampler_free(s);
    }
    regfree(&re);
}

static void every_text_matches_the_regex(void **state)
{
    (void)state;
    every_text_matches(RL_GRAMMAR_REGEX, "[a-c]{2,5}-[0-9]{3}", "^[a-c]{2,5}-[0-9]{3}$");
}

static void every_text_follows_the_lark_grammar(void **state)
{
    (void)state;
    every_text_matches(RL_GRAMMAR_LARK,
                       "start: sum\nsum: NUMBER (\"+\" NUMBER)~0..3\nNUMBER: /[0-9]{1,2}/",
                       "^[0-9]{1,2}([+][0-9]{1,2}){0,3}$");
}

/* A clone of a sampler has the grammar where it stood, and then its own. */
static void clones_go_their_own_way(void **state)
{
    rl_sampler *a = sampler(1, grammar(RL_GRAMMAR_REGEX, "(ab|ac)d")), *b;
    uint32_t n = rl_vocab_get_info(vocab)->n_tokens, *ids;
    float *logits = rl_alloc_array(n, sizeof *logits);
    realm_error err;
    size_t n_ids;
    rl_buf text;

    (void)state;
    must(rl_encode(vocab, "a", 1, 0, &ids, &n_ids, &err), &err);
    /* the vocabulary may begin a text with a space: the last id is the letter */
    must(rl_sampler_advance(a, ids[n_ids - 1], &err), &err);
    must(rl_sampler_clone(&b, a, &err), &err);
    assert_int_equal(rl_sampler_advance(b, ids[n_ids - 1], &err), REALM_EINVAL);
    write_text(a, 7, &text);
    assert_true(strcmp(text.data, "bd") == 0 || strcmp(text.data, "cd") == 0);
    rl_buf_deinit(&text);
    rl_free(ids);
    rl_free(logits);
    rl_sampler_free(a);
    rl_sampler_free(b);
}

static uint32_t id_of(const char *text)
{
    for (uint32_t id = 0; id < rl_vocab_get_info(vocab)->n_tokens; id++) {
        rl_text t = rl_token_bytes(vocab, id);

        if (t.n == strlen(text) && memcmp(t.p, text, t.n) == 0 && !rl_vocab_is_special(vocab, id))
            return id;
    }
    fail_msg("no token %s", text);
    return 0;
}

static void go_on(rl_grammar *g, const char *token, bool waits)
{
    realm_error err;

    must(rl_grammar_accept(g, id_of(token), &err), &err);
    if (rl_grammar_waits(g) != waits)
        fail_msg("after '%s' it %s", token, waits ? "does not wait" : "waits");
}

static rl_grammar *lazy(const char *regex, const char *marker, bool first, bool again)
{
    rl_grammar_wait w = { .marker = marker, .first = first, .again = again };
    rl_grammar *g = grammar(RL_GRAMMAR_REGEX, regex);
    realm_error err;

    must(rl_grammar_lazy(g, &w, &err), &err);
    return g;
}

/* The marker ends inside of " the" and of " that"; only the first of them goes on as the grammar
 * has it. */
static void waits_for_its_marker(void **state)
{
    rl_grammar *g = lazy("e[ab]", " th", false, true), *clone;
    uint32_t mask[64];
    realm_error err;

    (void)state;
    go_on(g, " of", true);
    go_on(g, " that", true);
    go_on(g, "t", true);
    go_on(g, " the", false);
    must(rl_grammar_mask(g, mask, &err), &err);
    assert_true(mask[id_of("a") / 32] >> id_of("a") % 32 & 1);
    assert_false(mask[id_of(" the") / 32] >> id_of(" the") % 32 & 1);
    must(rl_grammar_clone(&clone, g, &err), &err);
    assert_int_equal(rl_grammar_accept(clone, id_of("c"), &err), REALM_EINVAL);
    rl_grammar_free(clone);
    go_on(g, "a", true); /* complete: it waits again */
    must(rl_grammar_mask(g, mask, &err), &err);
    assert_true(mask[id_of(" the") / 32] >> id_of(" the") % 32 & 1);
    go_on(g, "t", true);
    go_on(g, " the", false);
    rl_grammar_free(g);
}

static void the_beginning_is_a_place(void **state)
{
    rl_grammar *g = lazy("[ab]", "xy", true, false);
    realm_error err;

    (void)state;
    go_on(g, " ", true);
    go_on(g, "x", true);
    go_on(g, "y", false);
    go_on(g, "a", false); /* and then only the end */
    assert_int_equal(rl_grammar_accept(g, id_of("x"), &err), REALM_EINVAL);
    rl_grammar_free(g);
    g = lazy("[ab]", "xy", true, true);
    go_on(g, "x", true);
    go_on(g, "x", true);
    go_on(g, "y", true);
    rl_grammar_free(g);
    g = lazy("[ab]", "xxy", false, true);
    go_on(g, "x", true);
    go_on(g, "x", true);
    go_on(g, "x", true);
    go_on(g, "y", false);
    rl_grammar_free(g);
}

static void bad_sources_say_why(void **state)
{
    static const struct {
        rl_grammar_kind kind;
        const char *source;
    } bad[] = {
        { RL_GRAMMAR_REGEX, "(" },
        { RL_GRAMMAR_REGEX, "a{2,1}" },
        { RL_GRAMMAR_JSON_SCHEMA, "{" },
        { RL_GRAMMAR_JSON_SCHEMA, "{\"type\": \"strange\"}" },
        { RL_GRAMMAR_JSON_SCHEMA, "{\"$ref\": \"#/nowhere\"}" },
        { RL_GRAMMAR_LARK, "start: other" },
        { RL_GRAMMAR_LARK, "" },
        { RL_GRAMMAR_REGEX, "\xff" },
    };
    char *big = rl_alloc(RL_GRAMMAR_BYTES + 1);
    realm_error err;
    rl_grammar *g;

    (void)state;
    for (size_t i = 0; i < RL_COUNT(bad); i++) {
        err.text[0] = 0;
        assert_int_equal(
            rl_grammar_new(&g, env, bad[i].kind, bad[i].source, strlen(bad[i].source), &err),
            REALM_EINVAL);
        assert_null(g);
        assert_true(strlen(err.text) > 20);
    }
    memset(big, 'a', RL_GRAMMAR_BYTES + 1);
    assert_int_equal(rl_grammar_new(&g, env, RL_GRAMMAR_REGEX, big, RL_GRAMMAR_BYTES + 1, &err),
                     REALM_ETOOBIG);
    must(rl_grammar_new(&g, env, RL_GRAMMAR_REGEX, big, RL_GRAMMAR_BYTES, &err), &err);
    rl_grammar_free(g);
    assert_int_equal(rl_grammar_new(&g, env, RL_GRAMMAR_REGEX, "a\0b", 3, &err), REALM_EINVAL);
    rl_free(big);
}

/* What would take a parser out of its depth is refused, or bounded, and the next grammar works. */
static void hostile_sources_end(void **state)
{
    static const char *const regexes[] = { "((a{1,500}){1,500}){1,500}", "(.*a){40}.{200}",
                                           "(a|aa)+$" };
    char *deep = rl_alloc(40001);
    realm_error err;
    rl_grammar *g;

    (void)state;
    for (size_t i = 0; i < RL_COUNT(regexes); i++) {
        uint32_t mask[4096];
        realm_status st =
            rl_grammar_new(&g, env, RL_GRAMMAR_REGEX, regexes[i], strlen(regexes[i]), &err);

        assert_true(st == REALM_OK || st == REALM_EINVAL);
        if (st == REALM_OK)
            st = rl_grammar_mask(g, mask, &err);
        assert_true(st == REALM_OK || st == REALM_EINVAL);
        rl_grammar_free(g);
    }
    memset(deep, '(', 20000);
    memset(deep + 20000, ')', 20000);
    assert_int_equal(rl_grammar_new(&g, env, RL_GRAMMAR_REGEX, deep, 40000, &err), REALM_EINVAL);
    memset(deep, '[', 40000);
    assert_int_equal(rl_grammar_new(&g, env, RL_GRAMMAR_JSON_SCHEMA, deep, 40000, &err),
                     REALM_EINVAL);
    rl_free(deep);
    rl_grammar_free(grammar(RL_GRAMMAR_REGEX, "[ab]+"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_follows_the_schema),
        cmocka_unit_test(every_text_matches_the_regex),
        cmocka_unit_test(every_text_follows_the_lark_grammar),
        cmocka_unit_test(clones_go_their_own_way),
        cmocka_unit_test(waits_for_its_marker),
        cmocka_unit_test(the_beginning_is_a_place),
        cmocka_unit_test(bad_sources_say_why),
        cmocka_unit_test(hostile_sources_end),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
