#include "sample/grammar.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/utf8.h"

#include <llguidance.h>
#include <string.h>

/* Tables of one grammar stay within tens of megabytes, a step within tens of milliseconds. */
#define LEXER_STATES 20000u
#define GRAMMAR_SIZE 200000u
#define STEP_ITEMS   50000u
#define SPECIAL      0xffu /* the parser's mark of a token that is no text */

struct rl_grammar_env {
    const rl_vocab *vocab;  /* borrowed */
    LlgTokenizer *llg;      /* owned */
    rl_order *order;        /* owned */
    uint32_t byte_ids[256]; /* tokens of one byte each; RL_NO_TOKEN: there is none */
};

struct rl_grammar {
    const rl_grammar_env *env; /* borrowed */
    LlgMatcher *llg;           /* owned */
    uint32_t n_words;
    bool waiting, again; /* of a lazy one; else both false */
    rl_lead lead;
    rl_grammar *other; /* owned: the text may still be inside this one; NULL: it may not */
    uint32_t *words;   /* owned, with `other`: [n_words] what it allows */
    rl_heads heads;    /* what a text inside `other`, or one that was, may not begin with */
};

/* ---- the vocabulary -------------------------------------------------------------------------- */

/* Called by the parser on any thread: text it wants as ids of this vocabulary. */
static size_t tokenize(const void *ctx, const uint8_t *bytes, size_t n, uint32_t *out, size_t cap)
{
    uint32_t *ids = NULL;
    size_t n_ids = 0;

    if (rl_encode(ctx, (const char *)bytes, n, RL_ENCODE_MIDDLE, &ids, &n_ids, NULL) != REALM_OK)
        return 0;
    if (out && ids)
        memcpy(out, ids, (n_ids < cap ? n_ids : cap) * sizeof *ids);
    rl_free(ids);
    return n_ids;
}

/* All tokens' bytes, one behind the other; special ones are marked, so that no text matches them.
 */
static bool put_tokens(const rl_vocab *v, uint32_t *lens, rl_buf *bytes)
{
    static const char mark = (char)SPECIAL;
    uint32_t n = rl_vocab_get_info(v)->n_tokens;

    for (uint32_t id = 0; id < n; id++) {
        rl_text t = rl_token_bytes(v, id);
        bool special = rl_vocab_is_special(v, id) || rl_vocab_is_eog(v, id);

        lens[id] = (uint32_t)t.n + special;
        if (special)
            (void)rl_buf_add(bytes, &mark, 1);
        (void)rl_buf_add(bytes, t.p, t.n);
    }
    return !bytes->failed;
}

/* Any text is a row of these: what follows a marker inside of its token can still be parsed. */
static void find_bytes(rl_grammar_env *env, const rl_vocab *v)
{
    for (uint32_t i = 0; i < 256; i++)
        env->byte_ids[i] = RL_NO_TOKEN;
    for (uint32_t id = rl_vocab_get_info(v)->n_tokens; id-- > 0;) {
        rl_text t = rl_token_bytes(v, id);

        if (t.n == 1 && !rl_vocab_is_special(v, id) && !rl_vocab_is_eog(v, id))
            env->byte_ids[(uint8_t)t.p[0]] = id;
    }
}

static LlgTokenizer *make(const rl_vocab *v, const uint32_t *lens, const rl_buf *bytes,
                          realm_error *err)
{
    const rl_vocab_info *info = rl_vocab_get_info(v);
    char why[160] = "";
    LlgTokenizerInitV2 init = { .struct_size = sizeof init,
                                .vocab_size = info->n_tokens,
                                .tok_eos = info->eog[0],
                                .token_lens = lens,
                                .token_bytes = (const uint8_t *)bytes->data,
                                .tokenize_assumes_string = true,
                                .tokenize_fn = tokenize,
                                .tokenize_user_data = v,
                                .tok_eos_extra = info->eog + 1,
                                .tok_eos_extra_count = info->n_eog - 1 };
    LlgTokenizer *t = llg_new_tokenizer_v2(&init, why, sizeof why);

    if (!t)
        (void)realm_fail(err, REALM_EUNSUPPORTED, "grammars cannot use this vocabulary: %s", why);
    return t;
}

realm_status rl_grammar_env_new(rl_grammar_env **out, const rl_vocab *vocab, realm_error *err)
{
    const rl_vocab_info *info = rl_vocab_get_info(vocab);
    rl_grammar_env *env = rl_alloc(sizeof *env);
    uint32_t *lens = rl_alloc_array((size_t)info->n_tokens + 1, sizeof *lens);
    realm_status st = REALM_OK;
    rl_buf bytes;

    *out = NULL;
    rl_buf_init(&bytes, SIZE_MAX / 4);
    if (info->n_eog == 0)
        st = realm_fail(err, REALM_EUNSUPPORTED,
                        "the model names no end token, so a grammar could not end a text");
    else if (!env || !lens || !put_tokens(vocab, lens, &bytes))
        st = realm_fail(err, REALM_ENOMEM, "no memory for the vocabulary of grammars");
    if (st == REALM_OK) {
        RL_ASSERT(env);
        env->vocab = vocab;
        find_bytes(env, vocab);
        env->order = rl_order_new(vocab);
        st = env->order ? REALM_OK : realm_fail(err, REALM_ENOMEM, "no memory for grammars");
    }
    if (st == REALM_OK) {
        env->llg = make(vocab, lens, &bytes, err);
        st = env->llg ? REALM_OK : REALM_EUNSUPPORTED;
    }
    rl_free(lens);
    rl_buf_deinit(&bytes);
    if (st == REALM_OK) {
        *out = env;
        return REALM_OK;
    }
    if (env)
        rl_order_free(env->order);
    rl_free(env);
    return st;
}

void rl_grammar_env_free(rl_grammar_env *env)
{
    if (env) {
        llg_free_tokenizer(env->llg);
        rl_order_free(env->order);
    }
    rl_free(env);
}

/* ---- one grammar ----------------------------------------------------------------------------- */

/* The parser's words, which may be many lines, as one. */
static realm_status failed(rl_grammar *g, const char *what, realm_error *err)
{
    const char *why = llg_matcher_get_error(g->llg);
    char line[180];
    size_t n = 0;

    for (; why && why[n] && n + 1 < sizeof line; n++)
        line[n] = (unsigned char)why[n] < ' ' ? ' ' : why[n];
    line[rl_utf8_whole(line, n)] = 0;
    return realm_fail(err, REALM_EINVAL, "%s%s%s", what, line[0] ? ": " : "", line);
}

/* Takes the matcher. NULL without memory. */
static rl_grammar *wrap(LlgMatcher *llg, const rl_grammar_env *env)
{
    uint32_t n_tokens = rl_vocab_get_info(env->vocab)->n_tokens;
    rl_grammar *g = rl_alloc(sizeof *g);

    if (!g) {
        llg_free_matcher(llg);
        return NULL;
    }
    g->llg = llg;
    g->env = env;
    g->n_words = n_tokens / 32 + (n_tokens % 32 != 0);
    return g;
}

static LlgMatcher *compile(const rl_grammar_env *env, rl_grammar_kind kind, const char *source)
{
    static const char *const kinds[] = { "json_schema", "regex", "lark" };
    LlgConstraintInit init;

    llg_constraint_init_set_defaults(&init, env->llg);
    init.log_buffer_level = 0;
    init.log_stderr_level = 0;
    init.limits.max_lexer_states = LEXER_STATES;
    init.limits.max_grammar_size = GRAMMAR_SIZE;
    init.limits.step_max_items = STEP_ITEMS;
    init.limits.verbose_errors = false;
    return llg_new_matcher(&init, kinds[kind], source);
}

realm_status rl_grammar_new(rl_grammar **out, const rl_grammar_env *env, rl_grammar_kind kind,
                            const char *source, size_t n, realm_error *err)
{
    realm_status st;
    rl_grammar *g;
    char *text;

    *out = NULL;
    if (n > RL_GRAMMAR_BYTES)
        return realm_fail(err, REALM_ETOOBIG, "a grammar of %zu bytes: at most %zu are taken", n,
                          RL_GRAMMAR_BYTES);
    if (memchr(source, 0, n) || !rl_utf8_valid(source, n))
        return realm_fail(err, REALM_EINVAL, "a grammar must be UTF-8 without a NUL");
    text = rl_strndup(source, n);
    g = text ? wrap(compile(env, kind, text), env) : NULL;
    rl_free(text);
    if (!g)
        return realm_fail(err, REALM_ENOMEM, "no memory for a grammar");
    if (!llg_matcher_is_error(g->llg)) {
        *out = g;
        return REALM_OK;
    }
    st = failed(g, "the grammar does not compile", err);
    rl_grammar_free(g);
    return st;
}

/* The matcher and what is plain. NULL without memory. */
static rl_grammar *clone_one(const rl_grammar *g)
{
    rl_grammar *c = wrap(llg_clone_matcher(g->llg), g->env);

    if (!c)
        return NULL;
    c->waiting = g->waiting;
    c->again = g->again;
    c->lead = g->lead;
    return c;
}

realm_status rl_grammar_clone(rl_grammar **out, const rl_grammar *g, realm_error *err)
{
    rl_grammar *c = clone_one(g);
    bool ok = c && rl_heads_dup(&c->heads, &g->heads);

    if (ok && g->other) {
        c->other = clone_one(g->other);
        c->words = rl_alloc_array(g->n_words, sizeof *c->words);
        ok = c->other && c->words;
    }
    *out = ok ? c : NULL;
    if (ok)
        return REALM_OK;
    rl_grammar_free(c);
    return realm_fail(err, REALM_ENOMEM, "no memory for a grammar");
}

void rl_grammar_free(rl_grammar *g)
{
    if (!g)
        return;
    rl_grammar_free(g->other);
    rl_free(g->words);
    rl_heads_deinit(&g->heads);
    llg_free_matcher(g->llg);
    rl_free(g);
}

static realm_status mask_one(rl_grammar *g, uint32_t *mask, realm_error *err)
{
    if (llg_matcher_compute_mask_into(g->llg, mask, g->n_words * sizeof *mask) == 0)
        return REALM_OK;
    return failed(g, "the grammar is too much work", err);
}

static bool is_over(const rl_grammar *g)
{
    return llg_matcher_is_stopped(g->llg) && !llg_matcher_is_error(g->llg);
}

static realm_status accept_one(rl_grammar *g, uint32_t id, realm_error *err)
{
    /* Where the text can only end, the parser has stopped by itself and takes nothing more. */
    if (is_over(g) && rl_vocab_is_eog(g->env->vocab, id))
        return REALM_OK;
    if (is_over(g) || llg_matcher_consume_token(g->llg, id) != 0)
        return failed(g, "the grammar does not allow the id", err);
    return REALM_OK;
}

/* ---- waiting --------------------------------------------------------------------------------- */

realm_status rl_grammar_lazy(rl_grammar *g, const rl_grammar_wait *w, realm_error *err)
{
    size_t n = strlen(w->marker);

    if (n == 0 || n > RL_LEAD_MAX)
        return realm_fail(err, REALM_EINVAL, "a marker of %zu bytes: 1 to %u are taken", n,
                          RL_LEAD_MAX);
    g->waiting = true;
    g->again = w->again;
    g->lead = (rl_lead){ .n = (uint32_t)n, .first = w->first };
    memcpy(g->lead.text, w->marker, n);
    return REALM_OK;
}

bool rl_grammar_waits(const rl_grammar *g)
{
    return g->waiting;
}

/* Back to its beginning; never from an error. */
static realm_status rewind_text(rl_grammar *g, realm_error *err)
{
    g->waiting = true;
    if (llg_matcher_reset(g->llg) == 0)
        return REALM_OK;
    return failed(g, "the grammar cannot begin again", err);
}

/* Text behind the marker that came inside of the marker's token. Each byte is tried before it is
 * taken, so the parser has no error. -> false: it is not inside the grammar */
static bool take_bytes(rl_grammar *g, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t id = g->env->byte_ids[(uint8_t)p[i]];

        if (id == RL_NO_TOKEN || llg_matcher_validate_tokens(g->llg, &id, 1) != 1 ||
            llg_matcher_consume_token(g->llg, id) != 0)
            return false;
    }
    return true;
}

/* A marker with something else behind it is text like any other. */
static realm_status accept_waiting(rl_grammar *g, uint32_t id, realm_error *err)
{
    rl_text t = rl_token_bytes(g->env->vocab, id);
    realm_status st = REALM_OK;

    if (rl_vocab_is_eog(g->env->vocab, id) ||
        (g->lead.first && rl_vocab_is_special(g->env->vocab, id)))
        return REALM_OK;
    for (size_t i = 0; i < t.n && st == REALM_OK && g->waiting; i++) {
        if (!rl_lead_add(&g->lead, t.p[i]))
            continue;
        if (take_bytes(g, t.p + i + 1, t.n - i - 1))
            g->waiting = false;
        else
            st = rewind_text(g, err);
    }
    return st;
}

/* ---- one of two ------------------------------------------------------------------------------ */

realm_status rl_grammar_either(rl_grammar *g, rl_grammar *other, const rl_head *heads, uint32_t n,
                               realm_error *err)
{
    uint32_t *words;

    for (uint32_t i = 0; i < n; i++)
        if (heads[i].n == 0 || heads[i].n > RL_HEAD_MAX)
            return realm_fail(err, REALM_EINVAL, "a head of %u bytes: 1 to %u are taken",
                              heads[i].n, RL_HEAD_MAX);
    words = rl_alloc_array(g->n_words, sizeof *words);
    if (!words || !rl_heads_init(&g->heads, heads, n)) {
        rl_free(words);
        return realm_fail(err, REALM_ENOMEM, "no memory for a grammar");
    }
    g->words = words;
    g->other = other;
    return REALM_OK;
}

/* From words, what `other` allows, those ids go that would give its text a head, but for the ones
 * in `calls`, which g allows too (NULL: none). Few ids are so long that they must be looked at. */
static void forbid_heads(const rl_grammar *g, uint32_t *words, const uint32_t *calls)
{
    uint32_t n_tokens = rl_vocab_get_info(g->env->vocab)->n_tokens;
    size_t least = rl_heads_least(&g->heads);

    for (uint32_t id = 0; id < n_tokens && g->heads.n > 0; id++) {
        uint32_t i = id / 32, bit = 1u << id % 32;
        rl_text t;

        if (!(words[i] & bit) || (calls && calls[i] & bit))
            continue;
        t = rl_token_bytes(g->env->vocab, id);
        if (t.n >= least && rl_heads_would(&g->heads, t.p, t.n))
            words[i] &= ~bit;
    }
}

static realm_status mask_either(rl_grammar *g, uint32_t *mask, realm_error *err)
{
    realm_status st = mask_one(g, mask, err);

    if (st == REALM_OK)
        st = mask_one(g->other, g->words, err);
    if (st != REALM_OK)
        return st;
    forbid_heads(g, g->words, mask);
    for (uint32_t i = 0; i < g->n_words; i++)
        mask[i] |= g->words[i];
    return REALM_OK;
}

/* The text is g's own. */
static void leave_other(rl_grammar *g)
{
    rl_grammar_free(g->other);
    g->other = NULL;
    g->heads.n = 0;
}

/* The text is the other's: g is that one from here on, but for the heads. */
static void become_other(rl_grammar *g)
{
    LlgMatcher *own = g->llg;

    g->llg = g->other->llg;
    g->other->llg = own;
    rl_grammar_free(g->other);
    g->other = NULL;
}

static bool may_accept(rl_grammar *g, uint32_t id)
{
    if (is_over(g))
        return rl_vocab_is_eog(g->env->vocab, id);
    return llg_matcher_validate_tokens(g->llg, &id, 1) == 1;
}

/* Both go on while both may; a head ends that. */
static realm_status accept_either(rl_grammar *g, uint32_t id, bool headed, realm_error *err)
{
    bool own = may_accept(g, id), others = !headed && may_accept(g->other, id);
    realm_status st = REALM_OK;

    if (own && others)
        st = accept_one(g->other, id, err);
    else if (others)
        become_other(g);
    else
        leave_other(g);
    return st == REALM_OK ? accept_one(g, id, err) : st;
}

/* ---- a step ---------------------------------------------------------------------------------- */

realm_status rl_grammar_mask(rl_grammar *g, uint32_t *mask, realm_error *err)
{
    realm_status st;

    if (g->waiting) {
        memset(mask, 0xff, g->n_words * sizeof *mask);
        return REALM_OK;
    }
    if (g->other)
        return mask_either(g, mask, err);
    st = mask_one(g, mask, err);
    if (st == REALM_OK)
        forbid_heads(g, mask, NULL);
    return st;
}

realm_status rl_grammar_accept(rl_grammar *g, uint32_t id, realm_error *err)
{
    rl_text t = rl_token_bytes(g->env->vocab, id);
    bool headed;
    realm_status st;

    if (g->waiting)
        return accept_waiting(g, id, err);
    headed = rl_heads_add(&g->heads, t.p, t.n);
    if (g->other)
        return accept_either(g, id, headed, err);
    if (headed)
        return realm_fail(err, REALM_EINVAL, "the grammar does not allow the id");
    st = accept_one(g, id, err);
    return st == REALM_OK && g->again && is_over(g) ? rewind_text(g, err) : st;
}

/* ---- ahead of the text ----------------------------------------------------------------------- */

const rl_order *rl_grammar_order(const rl_grammar *g)
{
    return g->env->order;
}

uint32_t rl_grammar_arms(const rl_grammar *g)
{
    return g->waiting ? 0 : g->other ? 2 : 1;
}

realm_status rl_grammar_arm(rl_grammar **out, const rl_grammar *g, uint32_t arm, realm_error *err)
{
    bool headed = arm > 0 || !g->other;
    rl_grammar *c = clone_one(arm > 0 ? g->other : g);

    if (c && (!headed || rl_heads_dup(&c->heads, &g->heads))) {
        *out = c;
        return REALM_OK;
    }
    rl_grammar_free(c);
    *out = NULL;
    return realm_fail(err, REALM_ENOMEM, "no memory for a grammar");
}

/* Whether the text, gone on by the ids, would begin with a head. */
static bool would_have_head(const rl_grammar *g, const uint32_t *ids, size_t n)
{
    char text[RL_HEAD_MAX];
    size_t len = 0;

    for (size_t i = 0; i < n && len < sizeof text && g->heads.n > 0; i++) {
        rl_text t = rl_token_bytes(g->env->vocab, ids[i]);
        size_t part = t.n < sizeof text - len ? t.n : sizeof text - len;

        if (part > 0)
            memcpy(text + len, t.p, part);
        len += part;
    }
    return g->heads.n > 0 && rl_heads_would(&g->heads, text, len);
}

static bool fits_one(const rl_grammar *g, const uint32_t *ids, size_t n)
{
    if (is_over(g))
        return n == 1 && rl_vocab_is_eog(g->env->vocab, ids[0]);
    return llg_matcher_validate_tokens(g->llg, ids, n) == (int32_t)n;
}

bool rl_grammar_fits(rl_grammar *g, const uint32_t *ids, size_t n)
{
    if (g->waiting || n == 0 || n > INT32_MAX)
        return false;
    if (g->other && fits_one(g, ids, n))
        return true;
    return !would_have_head(g, ids, n) && fits_one(g->other ? g->other : g, ids, n);
}

uint32_t rl_grammar_forced(rl_grammar *g, uint32_t *ids, uint32_t cap)
{
    int32_t n = 0;

    if (!g->waiting && !g->other && !is_over(g))
        n = llg_matcher_compute_ff_tokens(g->llg, ids, cap);
    return n > 0 ? (uint32_t)n : 0;
}
