#include "sample/order.h"

#include "base/alloc.h"

#include <string.h>

#define ROUND 4u /* picks that look like going round */

/* What an id is made of. */
typedef enum kind {
    CLOSE,   /* } ] ) alone, or such with quotes behind the first */
    JOIN,    /* begins with , or : and has nothing but these, quotes and closing brackets */
    DIGIT,   /* digits alone */
    QUOTE,   /* a quote, and nothing but quotes and closing brackets behind it */
    QUOTES,  /* a quote and what joins */
    MARK,    /* punctuation that opens nothing */
    LETTER,  /* ASCII letters alone */
    WORD,    /* a space and such letters */
    OTHER,   /* whatever else is no white space */
    OPEN,    /* opens something, or begins an escape */
    ANGLE,   /* begins with < */
    SPACE,   /* has white space or control characters */
    CONTROL, /* a token that is no text */
    NEVER,   /* ends the text, or is empty */
    KINDS    /* <= 16: rl_order_past */
} kind;

struct rl_order {
    const rl_vocab *vocab; /* borrowed */
    uint32_t n_tokens, n_words;
    uint32_t bridges[RL_ORDER_BRIDGES], n_bridges;
    uint8_t kind[]; /* [n_tokens] */
};

/* Rank of each kind, lower is better, as the kinds stand above: where few ids are allowed, and in
 * the free part of a text, where a bracket closes nothing. */
static const uint8_t ranks_few[RL_ORDER_WAYS][KINDS] = {
    [RL_ORDER_CLOSE] = { 0, 1, 2, 3, 7, 4, 5, 10, 6, 8, 9, 11, 12, 13 },
    [RL_ORDER_FRESH] = { 0, 1, 2, 3, 7, 4, 5, 10, 6, 8, 9, 11, 12, 13 },
    [RL_ORDER_MARKS] = { 0, 1, 4, 2, 7, 3, 5, 10, 6, 8, 9, 11, 12, 13 },
    [RL_ORDER_ANGLE] = { 0, 1, 2, 3, 7, 4, 5, 10, 6, 8, 9, 11, 12, 13 },
};
static const uint8_t ranks_many[RL_ORDER_WAYS][KINDS] = {
    [RL_ORDER_CLOSE] = { 6, 7, 3, 0, 1, 4, 2, 2, 5, 8, 9, 10, 11, 12 },
    [RL_ORDER_FRESH] = { 6, 7, 3, 0, 1, 4, 2, 2, 5, 8, 9, 10, 11, 12 },
    [RL_ORDER_MARKS] = { 2, 3, 5, 0, 1, 4, 6, 6, 7, 8, 9, 10, 11, 12 },
    [RL_ORDER_ANGLE] = { 6, 7, 4, 1, 2, 5, 3, 3, 8, 9, 0, 10, 11, 12 },
};

/* ---- kinds ----------------------------------------------------------------------------------- */

static bool is_in(char c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool all_in(rl_text t, size_t from, const char *set)
{
    for (size_t i = from; i < t.n; i++)
        if (!is_in(t.p[i], set))
            return false;
    return true;
}

static bool any_in(rl_text t, const char *set)
{
    for (size_t i = 0; i < t.n; i++)
        if (is_in(t.p[i], set))
            return true;
    return false;
}

static bool any_blank(rl_text t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char)t.p[i] <= ' ' || t.p[i] == 0x7f)
            return true;
    return false;
}

static bool all_between(rl_text t, char a, char z, uint8_t fold)
{
    for (size_t i = 0; i < t.n; i++) {
        char c = (char)((uint8_t)t.p[i] | fold);

        if (c < a || c > z)
            return false;
    }
    return true;
}

static bool all_ascii(rl_text t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((uint8_t)t.p[i] >= 0x80)
            return false;
    return true;
}

static kind kind_of_text(rl_text t)
{
    rl_text rest = { .p = t.p + 1, .n = t.n - 1 };

    if (t.p[0] == ' ' && rest.n > 0 && all_between(rest, 'a', 'z', 0x20))
        return WORD;
    if (any_blank(t))
        return SPACE;
    if (is_in(t.p[0], "}])") && all_in(t, 1, "}])\""))
        return CLOSE;
    if (is_in(t.p[0], ",:") && all_in(t, 1, ",:\"}])"))
        return JOIN;
    if (t.p[0] == '"')
        return all_in(t, 1, "}])\"") ? QUOTE : all_in(t, 1, ",:\"}])") ? QUOTES : OPEN;
    if (t.p[0] == '<')
        return ANGLE;
    if (any_in(t, "{[(<\\\""))
        return OPEN;
    if (all_between(t, '0', '9', 0))
        return DIGIT;
    if (all_between(t, 'a', 'z', 0x20))
        return LETTER;
    return all_ascii(t) && !any_in(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
               ? MARK
               : OTHER;
}

static kind kind_of(const rl_vocab *v, uint32_t id)
{
    rl_text t = rl_token_bytes(v, id);

    if (rl_vocab_is_eog(v, id))
        return NEVER;
    if (rl_vocab_is_special(v, id))
        return CONTROL;
    return t.n == 0 ? NEVER : kind_of_text(t);
}

/* ---- one vocabulary -------------------------------------------------------------------------- */

static void find_bridges(rl_order *o)
{
    static const char *const texts[RL_ORDER_BRIDGES] = { "\"",  "}",  "]",  "\"}",
                                                         "\"]", "}}", "]}", "0" };

    for (uint32_t i = 0; i < RL_ORDER_BRIDGES; i++)
        for (uint32_t id = o->n_tokens; id-- > 0;) {
            rl_text t = rl_token_bytes(o->vocab, id);

            if (o->kind[id] >= CONTROL || t.n != strlen(texts[i]) ||
                memcmp(t.p, texts[i], t.n) != 0)
                continue;
            o->bridges[o->n_bridges++] = id;
            break;
        }
}

rl_order *rl_order_new(const rl_vocab *vocab)
{
    uint32_t n = rl_vocab_get_info(vocab)->n_tokens;
    rl_order *o = rl_alloc(sizeof *o + n);

    if (!o)
        return NULL;
    o->vocab = vocab;
    o->n_tokens = n;
    o->n_words = n / 32 + (n % 32 != 0);
    for (uint32_t id = 0; id < n; id++)
        o->kind[id] = (uint8_t)kind_of(vocab, id);
    find_bridges(o);
    return o;
}

void rl_order_free(rl_order *o)
{
    rl_free(o);
}

uint32_t rl_order_bridges(const rl_order *o, uint32_t *out)
{
    memcpy(out, o->bridges, o->n_bridges * sizeof *out);
    return o->n_bridges;
}

/* ---- picking --------------------------------------------------------------------------------- */

static uint32_t count_bits(const rl_order *o, const uint32_t *mask)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < o->n_words; i++)
        for (uint32_t w = mask[i]; w; w &= w - 1)
            n++;
    return n;
}

/* How far a kind is put off, since it was picked again and again and nothing changed. */
static uint32_t age_of(rl_order_way way, const rl_order_past *past, uint32_t k)
{
    return way == RL_ORDER_MARKS || way == RL_ORDER_ANGLE ? past->used[k] / ROUND * 3u : 0;
}

/* Lower is better: the rank; how often the first byte was picked, where that counts; the longer. */
static uint64_t badness(rl_order_way way, uint32_t rank, rl_text t, const rl_order_past *past)
{
    bool counts = way == RL_ORDER_FRESH || (way != RL_ORDER_CLOSE && past->alike >= ROUND);
    uint64_t began = counts && t.n > 0 ? past->began[(uint8_t)t.p[0]] : 0;
    uint64_t missing = t.n < 0xffff ? 0xffff - t.n : 0;

    if (way == RL_ORDER_FRESH)
        return began << 32 | (uint64_t)rank << 16 | missing;
    return (uint64_t)rank << 32 | began << 16 | missing;
}

static uint32_t best_of(const rl_order *o, rl_order_way way, const uint32_t *mask, bool many,
                        const rl_order_past *past)
{
    const uint8_t *ranks = many ? ranks_many[way] : ranks_few[way];
    uint64_t least = UINT64_MAX;
    uint32_t best = RL_NO_TOKEN, rank[KINDS];

    for (uint32_t k = 0; k < KINDS; k++)
        rank[k] = ranks[k] + age_of(way, past, k);
    for (uint32_t i = 0; i < o->n_words; i++)
        for (uint32_t w = mask[i], id = i * 32; w; w >>= 1, id++) {
            uint32_t k = w & 1 && id < o->n_tokens ? o->kind[id] : (uint32_t)NEVER;
            uint64_t bad;
            rl_text t;

            if (k == NEVER || (way != RL_ORDER_FRESH && rank[k] > least >> 32))
                continue;
            t = rl_token_bytes(o->vocab, id);
            bad = badness(way, rank[k], t, past);
            /* Where a byte and a character are the same text, the character comes later. */
            if (bad < least || (bad == least && t.n == 1)) {
                least = bad;
                best = id;
            }
        }
    return best;
}

static void count(uint16_t *n)
{
    if (*n < UINT16_MAX)
        (*n)++;
}

uint32_t rl_order_pick(const rl_order *o, rl_order_way way, const uint32_t *mask,
                       rl_order_past *past)
{
    uint32_t n_bits = count_bits(o, mask), best;
    rl_text t;

    if (n_bits != past->n_bits) {
        memset(past->used, 0, sizeof past->used);
        past->alike = 0;
    }
    past->n_bits = n_bits;
    best = best_of(o, way, mask, n_bits > o->n_tokens / 4, past);
    if (best == RL_NO_TOKEN)
        return best;
    t = rl_token_bytes(o->vocab, best);
    if (t.n > 0)
        count(&past->began[(uint8_t)t.p[0]]);
    count(&past->used[o->kind[best]]);
    count(&past->alike);
    return best;
}

uint32_t rl_order_end(const rl_order *o, const uint32_t *mask)
{
    const rl_vocab_info *info = rl_vocab_get_info(o->vocab);

    for (uint32_t i = 0; i < info->n_eog; i++)
        if (mask[info->eog[i] / 32] >> info->eog[i] % 32 & 1)
            return info->eog[i];
    return RL_NO_TOKEN;
}

bool rl_order_ends(const rl_order *o, uint32_t id)
{
    return rl_vocab_is_eog(o->vocab, id);
}

uint32_t rl_order_n_words(const rl_order *o)
{
    return o->n_words;
}
