#include "token/tables.h"

#include <string.h>

#define ALIGN      64u
#define MAX_TOKENS ((uint32_t)1 << 24)

_Static_assert(sizeof(rl_tables_head) == 8 * 4 + 16 * RL_PARTS + 8 * 5 + 4 * 256 + 4 * 256,
               "the head has no holes");
_Static_assert(sizeof(rl_map_slot) == 16 && sizeof(rl_special_node) == 8, "nor have the items");

/* Bytes of one item. */
static const uint8_t item_bytes[RL_PARTS] = {
    [RL_PART_STARTS] = 4,   [RL_PART_POOL] = 1,       [RL_PART_KINDS] = 1,     [RL_PART_EOG] = 4,
    [RL_PART_PRIORITY] = 4, [RL_PART_WORDS] = 8,      [RL_PART_MERGES] = 16,   [RL_PART_EDGES] = 16,
    [RL_PART_NODES] = 8,    [RL_PART_REV_EDGES] = 16, [RL_PART_REV_NODES] = 8,
};

/* ---- writing --------------------------------------------------------------------------------- */

static uint64_t n_slots(const rl_map *m)
{
    return m->slots ? m->mask + 1 : 0;
}

static void list_parts(const rl_vocab *v, const void *at[RL_PARTS], rl_part parts[RL_PARTS])
{
    uint32_t n = v->info.n_tokens;

#define PART(part, array, count) (at[part] = (array), parts[part].n = (count))
    PART(RL_PART_STARTS, v->texts.starts, (uint64_t)n + 1);
    PART(RL_PART_POOL, v->texts.pool, v->texts.starts[n]);
    PART(RL_PART_KINDS, v->kind, n);
    PART(RL_PART_EOG, v->eog, v->info.n_eog);
    PART(RL_PART_PRIORITY, v->priority, v->spm ? n : 0);
    PART(RL_PART_WORDS, v->words.slots, v->words.slots ? (uint64_t)v->words.mask + 1 : 0);
    PART(RL_PART_MERGES, v->merges.slots, n_slots(&v->merges));
    PART(RL_PART_EDGES, v->special.edges.slots, n_slots(&v->special.edges));
    PART(RL_PART_NODES, v->special.nodes, v->special.n_nodes);
    PART(RL_PART_REV_EDGES, v->reversed.edges.slots, n_slots(&v->reversed.edges));
    PART(RL_PART_REV_NODES, v->reversed.nodes, v->reversed.n_nodes);
#undef PART
}

static void fill_head(rl_tables_head *h, const rl_vocab *v)
{
    *h = (rl_tables_head){ .magic = RL_TABLES_MAGIC,
                           .version = RL_TABLES_VERSION,
                           .head_bytes = sizeof *h,
                           .n_tokens = v->info.n_tokens,
                           .spm = v->spm,
                           .words_key = { v->words.key[0], v->words.key[1] },
                           .merges_secret = v->merges.secret,
                           .edges_secret = v->special.edges.secret,
                           .rev_edges_secret = v->reversed.edges.secret };
    memcpy(h->byte_id, v->byte_id, sizeof h->byte_id);
    memcpy(h->may_begin, v->special.may_begin, sizeof h->may_begin);
    memcpy(h->rev_may_begin, v->reversed.may_begin, sizeof h->rev_may_begin);
    for (unsigned b = 0; b < 256; b++) {
        h->begins[b] = v->begins[b];
        h->ends_before_space[b] = v->ends_before_space[b];
    }
}

/* Zeros up to the next multiple of ALIGN from `start` on. */
static void pad(rl_buf *out, size_t start)
{
    static const char zeros[ALIGN];
    size_t over = (out->len - start) % ALIGN;

    (void)rl_buf_add(out, zeros, over ? ALIGN - over : 0);
}

realm_status rl_vocab_save(const rl_vocab *v, rl_buf *out, realm_error *err)
{
    const void *at[RL_PARTS];
    size_t start = out->len;
    rl_tables_head h;
    uint64_t end;

    fill_head(&h, v);
    list_parts(v, at, h.parts);
    end = sizeof h;
    for (int i = 0; i < RL_PARTS; i++) {
        h.parts[i].offset = (end + ALIGN - 1) / ALIGN * ALIGN;
        end = h.parts[i].offset + h.parts[i].n * item_bytes[i];
    }
    h.bytes = end;
    (void)rl_buf_add(out, &h, sizeof h);
    for (int i = 0; i < RL_PARTS; i++) {
        pad(out, start);
        (void)rl_buf_add(out, at[i], (size_t)h.parts[i].n * item_bytes[i]);
    }
    if (out->failed)
        return realm_fail(err, REALM_ENOMEM, "no memory for the tables of a vocabulary");
    return REALM_OK;
}

/* ---- checking -------------------------------------------------------------------------------- */

/* The passes take every item, good or bad: without a way out in the middle they are fast. */

static bool ascending(const uint32_t *p, uint64_t n)
{
    bool bad = false;

    for (uint64_t i = 1; i < n; i++)
        bad |= p[i] < p[i - 1];
    return !bad;
}

static bool all_ids(const uint32_t *p, uint64_t n, uint32_t n_tokens, bool or_none)
{
    bool bad = false;

    for (uint64_t i = 0; i < n; i++)
        bad |= p[i] >= n_tokens && !(or_none && p[i] == RL_NO_TOKEN);
    return !bad;
}

static bool all_kinds(const uint8_t *p, uint64_t n)
{
    bool bad = false;

    for (uint64_t i = 0; i < n; i++)
        bad |= p[i] < RL_TOKEN_NORMAL || p[i] > RL_TOKEN_BYTE;
    return !bad;
}

static bool power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

/* Slots name texts, and one is empty: it ends a search that finds nothing. */
static bool good_words(const uint64_t *slots, uint64_t n, uint32_t n_tokens)
{
    uint64_t empty = 0;
    bool bad = false;

    for (uint64_t i = 0; i < n; i++) {
        uint32_t number = (uint32_t)slots[i]; /* + 1 */

        empty += !slots[i];
        bad |= (slots[i] && !number) | (number > n_tokens);
    }
    return !bad && empty;
}

static bool good_merges(const rl_map_slot *slots, uint64_t n, uint32_t n_tokens)
{
    uint64_t empty = 0;
    bool bad = false;

    for (uint64_t i = 0; i < n; i++) {
        empty += !slots[i].key1;
        bad |= slots[i].key1 && (uint32_t)slots[i].value >= n_tokens;
    }
    return !bad && empty;
}

/* Edges lead to nodes, and to later ones: no search goes round. */
static bool good_edges(const rl_map_slot *slots, uint64_t n, uint64_t n_nodes)
{
    uint64_t empty = 0;
    bool bad = false;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t from = (slots[i].key1 - 1) >> 8, to = slots[i].value;

        empty += !slots[i].key1;
        bad |= slots[i].key1 && (to >= n_nodes || from >= to);
    }
    return !bad && empty;
}

/* Every part inside the bytes, after the head. -> NULL | what is wrong */
static const char *wrong_head(const rl_tables_head *h, rl_text bytes)
{
    if (bytes.n < sizeof *h || (uintptr_t)bytes.p % 8 != 0)
        return "they are cut off";
    if (memcmp(h->magic, RL_TABLES_MAGIC, sizeof h->magic) != 0)
        return "they do not begin as such";
    if (h->version != RL_TABLES_VERSION || h->head_bytes != sizeof *h)
        return "they are of another version of Realm";
    if (h->bytes != bytes.n)
        return "they are of another length";
    for (int i = 0; i < RL_PARTS; i++) {
        const rl_part *p = &h->parts[i];

        if (p->offset % ALIGN || p->offset < sizeof *h || p->offset > bytes.n ||
            p->n > (bytes.n - p->offset) / item_bytes[i])
            return "a part lies outside of them";
    }
    return NULL;
}

/* The counts that others follow from. */
static const char *wrong_counts(const rl_tables_head *h, const rl_vocab *v)
{
    const rl_part *p = h->parts;
    uint32_t n = h->n_tokens;
    uint64_t slots = v->spm ? p[RL_PART_WORDS].n : p[RL_PART_MERGES].n;
    uint64_t others = v->spm ? p[RL_PART_MERGES].n : p[RL_PART_PRIORITY].n;
    bool no_words = !v->spm && p[RL_PART_WORDS].n == 0;

    if (h->spm != v->spm)
        return "they are of another tokenizer";
    if (n == 0 || n > MAX_TOKENS || p[RL_PART_STARTS].n != (uint64_t)n + 1 ||
        p[RL_PART_KINDS].n != n || p[RL_PART_EOG].n > n || (v->spm && p[RL_PART_PRIORITY].n != n))
        return "their counts of tokens disagree";
    if (!power_of_two(slots) || others || (!no_words && !power_of_two(p[RL_PART_WORDS].n)) ||
        p[RL_PART_WORDS].n > (uint64_t)1 << 31 || !power_of_two(p[RL_PART_EDGES].n) ||
        !power_of_two(p[RL_PART_REV_EDGES].n))
        return "a hash table has an odd size";
    if (!p[RL_PART_NODES].n || p[RL_PART_NODES].n > UINT32_MAX || !p[RL_PART_REV_NODES].n ||
        p[RL_PART_REV_NODES].n > UINT32_MAX)
        return "the special texts have no root";
    return NULL;
}

static bool good_special(const rl_special *s, uint32_t n_tokens)
{
    return good_edges(s->edges.slots, s->edges.mask + 1, s->n_nodes) &&
           all_ids((const uint32_t *)s->nodes, 2 * (uint64_t)s->n_nodes, n_tokens, true);
}

/* Everything that is an index later. */
static const char *wrong_items(const rl_tables_head *h, const rl_vocab *v)
{
    uint32_t n = h->n_tokens;

    if (v->texts.starts[0] != 0 || v->texts.starts[n] != h->parts[RL_PART_POOL].n ||
        !ascending(v->texts.starts, (uint64_t)n + 1))
        return "the texts of tokens do not follow each other";
    if (!all_kinds(v->kind, n))
        return "a token is of no kind";
    if (!all_ids(v->eog, v->info.n_eog, n, false) || !ascending(v->eog, v->info.n_eog) ||
        !all_ids(h->byte_id, 256, n, true))
        return "a special token is none of the tokens";
    if (v->words.slots && !good_words(v->words.slots, h->parts[RL_PART_WORDS].n, n))
        return "the index of words is damaged";
    if (v->merges.slots && !good_merges(v->merges.slots, h->parts[RL_PART_MERGES].n, n))
        return "the table of merges is damaged";
    if (!good_special(&v->special, n) || !good_special(&v->reversed, n))
        return "the tree of special texts is damaged";
    return NULL;
}

/* ---- mapping --------------------------------------------------------------------------------- */

static rl_map map_of(void *slots, uint64_t n, uint64_t secret)
{
    return (rl_map){
        .slots = n ? slots : NULL, .mask = n ? n - 1 : 0, .secret = secret, .borrowed = true
    };
}

static void copy_bits(bool out[256], const uint8_t bits[256])
{
    for (unsigned b = 0; b < 256; b++)
        out[b] = bits[b] != 0;
}

/* Points v into the bytes, whose sizes are good. The arrays are never written: only their owner,
 * when he builds them, does that. */
static void point(rl_vocab *v, const rl_tables_head *h)
{
    const rl_part *p = h->parts;
    void *at[RL_PARTS];

    for (int i = 0; i < RL_PARTS; i++)
        at[i] = (void *)((uintptr_t)h + (uintptr_t)p[i].offset);
    v->mapped = true;
    v->info.n_tokens = h->n_tokens;
    v->texts = (rl_texts){ at[RL_PART_STARTS], at[RL_PART_POOL] };
    v->kind = at[RL_PART_KINDS];
    v->eog = at[RL_PART_EOG];
    v->info.eog = v->eog;
    v->info.n_eog = (uint32_t)p[RL_PART_EOG].n;
    v->priority = v->spm ? at[RL_PART_PRIORITY] : NULL;
    if (p[RL_PART_WORDS].n)
        v->words = (rl_words){ .texts = v->texts,
                               .slots = at[RL_PART_WORDS],
                               .mask = (uint32_t)(p[RL_PART_WORDS].n - 1),
                               .key = { h->words_key[0], h->words_key[1] },
                               .borrowed = true };
    v->merges = map_of(at[RL_PART_MERGES], p[RL_PART_MERGES].n, h->merges_secret);
    v->special = (rl_special){
        .edges = map_of(at[RL_PART_EDGES], p[RL_PART_EDGES].n, h->edges_secret),
        .nodes = at[RL_PART_NODES],
        .n_nodes = (uint32_t)p[RL_PART_NODES].n,
    };
    v->reversed = (rl_special){
        .edges = map_of(at[RL_PART_REV_EDGES], p[RL_PART_REV_EDGES].n, h->rev_edges_secret),
        .nodes = at[RL_PART_REV_NODES],
        .n_nodes = (uint32_t)p[RL_PART_REV_NODES].n,
    };
    memcpy(v->special.may_begin, h->may_begin, sizeof h->may_begin);
    memcpy(v->reversed.may_begin, h->rev_may_begin, sizeof h->rev_may_begin);
    memcpy(v->byte_id, h->byte_id, sizeof h->byte_id);
    copy_bits(v->begins, h->begins);
    copy_bits(v->ends_before_space, h->ends_before_space);
}

static realm_status damaged(realm_error *err, const char *why)
{
    return realm_fail(err, REALM_EINVAL,
                      "the tokenizer's tables in the packed file cannot be used: %s; import the "
                      "model again",
                      why);
}

realm_status rl_tables_map(rl_vocab *v, rl_text bytes, realm_error *err)
{
    const rl_tables_head *h = (const rl_tables_head *)(const void *)bytes.p;
    const char *wrong = wrong_head(h, bytes);

    if (!wrong)
        wrong = wrong_counts(h, v);
    if (!wrong) {
        point(v, h);
        wrong = wrong_items(h, v);
    }
    return wrong ? damaged(err, wrong) : REALM_OK;
}

realm_status rl_tables_check_bytes(const rl_vocab *v, realm_error *err)
{
    bool unknown = v->spm && v->info.unk != RL_NO_TOKEN;

    for (unsigned b = 0; b < 256 && !unknown; b++) {
        if (v->byte_id[b] == RL_NO_TOKEN)
            return damaged(err, "a byte has no token");
    }
    return REALM_OK;
}
