#include "token/merge.h"

#include "token/token.h"

#include <string.h>

#define NO_LINK UINT32_MAX

/* Neighbours of a symbol in the heap's form of the row: a list, because merged symbols leave it. */
struct rl_merge_link {
    uint32_t prev, next; /* NO_LINK at the ends */
    uint32_t n;          /* bytes; 0 once merged into its left neighbour */
};

struct rl_merge_cand {
    uint64_t key;    /* priority << 32 | left: the order of merging */
    uint32_t n;      /* bytes of both symbols: tells whether the pair is still the same */
    uint32_t merged; /* the token they become */
};

void rl_merge_deinit(rl_merge *m)
{
    rl_free(m->symbols);
    rl_free(m->links);
    rl_free(m->heap);
    *m = (rl_merge){ .pair = m->pair, .ctx = m->ctx };
}

realm_status rl_merge_reserve(rl_merge *m, size_t n)
{
    size_t cap = m->cap ? m->cap : 256;
    rl_symbol *p;

    if (n <= m->cap)
        return REALM_OK;
    while (cap < n)
        cap *= 2;
    p = rl_realloc(m->symbols, (cap + 1) * sizeof *p);
    if (!p)
        return REALM_ENOMEM;
    m->symbols = p;
    m->cap = cap;
    return REALM_OK;
}

/* ---- short rows: scan for the best pair ------------------------------------------------------ */

typedef struct scan {
    uint32_t priority[RL_MERGE_SHORT]; /* of the pair (i, i + 1) */
    uint32_t merged[RL_MERGE_SHORT];
} scan;

static void scan_pair(rl_merge *m, scan *s, const char *text, size_t i)
{
    rl_symbol *sym = m->symbols;
    size_t n = sym[i + 2].begin - sym[i].begin;

    s->priority[i] = m->pair(m->ctx, sym[i], sym[i + 1], text + sym[i].begin, n, &s->merged[i]);
    m->n_tried++;
}

static size_t merge_short(rl_merge *m, const char *text, size_t n)
{
    rl_symbol *sym = m->symbols; /* [n + 1]: the last one marks the end */
    scan s;

    for (size_t i = 0; i + 1 < n; i++)
        scan_pair(m, &s, text, i);
    while (n > 1) {
        size_t best = 0;

        for (size_t i = 1; i + 1 < n; i++)
            best = s.priority[i] < s.priority[best] ? i : best;
        if (s.priority[best] == RL_MERGE_NEVER)
            break;
        sym[best].id = s.merged[best];
        memmove(sym + best + 1, sym + best + 2, (n - best - 1) * sizeof *sym);
        n--;
        if (best + 1 < n) {
            memmove(s.priority + best + 1, s.priority + best + 2,
                    (n - best - 2) * sizeof *s.priority);
            memmove(s.merged + best + 1, s.merged + best + 2, (n - best - 2) * sizeof *s.merged);
            scan_pair(m, &s, text, best);
        }
        if (best > 0)
            scan_pair(m, &s, text, best - 1);
    }
    return n;
}

/* ---- long rows: a heap of candidate pairs over a list ------------------------------------------
 */

static void sift_up(struct rl_merge_cand *h, size_t i)
{
    struct rl_merge_cand c = h[i];

    while (i && c.key < h[(i - 1) / 2].key) {
        h[i] = h[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h[i] = c;
}

static void sift_down(struct rl_merge_cand *h, size_t n, size_t i)
{
    struct rl_merge_cand c = h[i];

    for (;;) {
        size_t k = 2 * i + 1;

        if (k >= n)
            break;
        if (k + 1 < n && h[k + 1].key < h[k].key)
            k++;
        if (c.key <= h[k].key)
            break;
        h[i] = h[k];
        i = k;
    }
    h[i] = c;
}

/* Room in links and heap for a row of n symbols. A row of n has n - 1 pairs at first, and each of
 * at most n - 1 merges takes one candidate out and puts two in. */
static realm_status reserve_long(rl_merge *m, size_t n)
{
    if (n > m->links_cap) {
        rl_free(m->links);
        rl_free(m->heap);
        m->links = rl_alloc_array(n, sizeof *m->links);
        m->heap = rl_alloc_array(2 * n, sizeof *m->heap);
        m->links_cap = m->links && m->heap ? n : 0;
        m->heap_cap = 2 * n;
    }
    return m->links_cap ? REALM_OK : REALM_ENOMEM;
}

/* Adds the pair that begins at `left` to the heap of n, if there is one and it merges. */
static size_t offer(rl_merge *m, const char *text, size_t n, uint32_t left)
{
    const struct rl_merge_link *l = &m->links[left];
    struct rl_merge_cand c;
    uint32_t priority;

    if (l->next == NO_LINK)
        return n;
    c.n = l->n + m->links[l->next].n;
    priority = m->pair(m->ctx, m->symbols[left], m->symbols[l->next], text + m->symbols[left].begin,
                       c.n, &c.merged);
    m->n_tried++;
    if (priority == RL_MERGE_NEVER)
        return n;
    c.key = (uint64_t)priority << 32 | left;
    m->heap[n] = c;
    sift_up(m->heap, n);
    return n + 1;
}

/* The pair of a candidate is gone when either side has merged since: its bytes tell. */
static bool still_there(const rl_merge *m, const struct rl_merge_cand *c)
{
    const struct rl_merge_link *l = &m->links[(uint32_t)c->key];

    return l->n && l->next != NO_LINK && l->n + m->links[l->next].n == c->n;
}

static size_t compact(rl_merge *m, size_t n_text)
{
    size_t n = 0;

    for (uint32_t i = 0; i != NO_LINK; i = m->links[i].next)
        m->symbols[n++] = m->symbols[i];
    m->symbols[n].begin = (uint32_t)n_text;
    return n;
}

static size_t merge_long(rl_merge *m, const char *text, size_t n_text, size_t n)
{
    struct rl_merge_link *links = m->links;
    size_t n_heap = 0;

    for (uint32_t i = 0; i < n; i++)
        links[i] = (struct rl_merge_link){ .prev = i ? i - 1 : NO_LINK,
                                           .next = i + 1 < n ? i + 1 : NO_LINK,
                                           .n = m->symbols[i + 1].begin - m->symbols[i].begin };
    for (uint32_t i = 0; i < n; i++)
        n_heap = offer(m, text, n_heap, i);
    while (n_heap) {
        struct rl_merge_cand c = m->heap[0];
        uint32_t left = (uint32_t)c.key, right;

        m->heap[0] = m->heap[--n_heap];
        if (n_heap)
            sift_down(m->heap, n_heap, 0);
        if (!still_there(m, &c))
            continue;
        right = links[left].next;
        m->symbols[left].id = c.merged;
        links[left].n = c.n;
        links[left].next = links[right].next;
        links[right].n = 0;
        if (links[right].next != NO_LINK)
            links[links[right].next].prev = left;
        n_heap = offer(m, text, n_heap, left);
        if (links[left].prev != NO_LINK)
            n_heap = offer(m, text, n_heap, links[left].prev);
    }
    return compact(m, n_text);
}

realm_status rl_merge_run(rl_merge *m, const char *text, size_t n_text, size_t *n)
{
    if (*n < 2)
        return REALM_OK;
    m->symbols[*n] = (rl_symbol){ .id = RL_NO_TOKEN, .begin = (uint32_t)n_text };
    if (*n <= RL_MERGE_SHORT) {
        *n = merge_short(m, text, *n);
        return REALM_OK;
    }
    if (reserve_long(m, *n) != REALM_OK)
        return REALM_ENOMEM;
    *n = merge_long(m, text, n_text, *n);
    return REALM_OK;
}
