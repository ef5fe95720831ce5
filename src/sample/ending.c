#include "sample/ending.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>

#define CLONE_MASKS 2u /* what cloning a matcher counts */
#define AGAIN       8u /* ids until the next look where no way was found */
#define FAILS       3u /* twice as many each time, so often */
#define REJOIN      8u /* places of the old way at which a new one is tried to go on */
#define NO_ID       RL_NO_TOKEN

struct rl_ending {
    uint32_t path[RL_ENDING_MAX];    /* [n] the way, an end id last */
    uint32_t row[RL_ENDING_MAX + 2]; /* scratch: a way that is tried */
    uint32_t n;                      /* 0: none was known yet */
    bool stale;   /* the way is from before the last ids: it may not fit any more */
    bool steered; /* `next` was steered, and path follows it */
    uint32_t next;
    uint32_t rest;    /* ids until the next look */
    uint32_t fails;   /* looks that found no way, one after the other */
    uint32_t masks;   /* that may be computed */
    uint32_t floor;   /* of them, that a walk must leave */
    rl_order_way way; /* of the last one found: the likeliest */
    rl_ending_stats stats;
};

/* ---- walking --------------------------------------------------------------------------------- */

/* -> false: there are no more masks, or the grammar's work is too much */
static bool look(rl_ending *e, rl_grammar *g, uint32_t *mask)
{
    if (e->masks <= e->floor)
        return false;
    e->masks--;
    e->stats.masks++;
    return rl_grammar_mask(g, mask, NULL) == REALM_OK;
}

/* Whether the known way, from one of its first ids on, goes on from where the walk stands. Then row
 * [0, n) and it are a way. -> its length, 0: it does not */
static uint32_t rejoin(rl_ending *e, rl_grammar *g, uint32_t n, uint32_t most)
{
    uint32_t deepest = e->stale && n == 0 ? e->n : REJOIN; /* the text went on since */

    for (uint32_t d = 0; d < e->n && d < deepest; d++) {
        uint32_t rest = e->n - d;

        if (n + rest > most || !rl_grammar_fits(g, e->path + d, rest))
            continue;
        memcpy(e->row + n, e->path + d, rest * sizeof *e->row);
        return n + rest;
    }
    return 0;
}

/* What can only come so costs one look for all of it. -> false: it cannot */
static bool take_forced(rl_ending *e, rl_grammar *g, uint32_t *n, uint32_t most)
{
    uint32_t k;

    if (e->masks <= e->floor)
        return false;
    k = rl_grammar_forced(g, e->row + *n, most - *n);
    e->masks -= k > 0;
    e->stats.masks += k > 0;
    for (; k > 0; k--)
        if (rl_grammar_accept(g, e->row[(*n)++], NULL) != REALM_OK)
            return false;
    return true;
}

/* From g, which is moved, to an end, by guesses.
 * -> the length of the way in row, 0: none within `most` */
static uint32_t walk(rl_ending *e, rl_grammar *g, rl_order_way way, uint32_t most, uint32_t *mask)
{
    const rl_order *order = rl_grammar_order(g);
    rl_order_past past = { 0 };

    for (uint32_t n = 0; n < most; n++) {
        uint32_t whole = rejoin(e, g, n, most);

        if (whole > 0)
            return whole;
        if (!take_forced(e, g, &n, most) || n == most || !look(e, g, mask))
            return 0;
        e->row[n] = rl_order_end(order, mask);
        if (e->row[n] != NO_ID)
            return n + 1;
        e->row[n] = rl_order_pick(order, way, mask, &past);
        if (e->row[n] == NO_ID || rl_grammar_accept(g, e->row[n], NULL) != REALM_OK)
            return 0;
    }
    return 0;
}

/* What is looked for. */
typedef struct search {
    const rl_grammar *g;
    uint32_t id;   /* the text goes on by it first; NO_ID: it does not */
    uint32_t most; /* ids of the way */
    bool best;     /* of several ways the shortest, else the first */
    uint32_t *mask;
} search;

/* One of the grammars that the text may be inside, one way of guessing, so many masks.
 * *n: the length of the way in row, 0: there is none */
static realm_status try_walk(rl_ending *e, const search *x, uint32_t arm, rl_order_way way,
                             uint32_t masks, uint32_t *n, realm_error *err)
{
    rl_grammar *ahead;
    realm_status st;

    *n = 0;
    if (e->masks <= CLONE_MASKS)
        return REALM_OK;
    e->masks -= CLONE_MASKS;
    e->floor = e->masks > masks ? e->masks - masks : 0;
    st = rl_grammar_arm(&ahead, x->g, arm, err);
    if (st != REALM_OK)
        return st;
    if (x->id == NO_ID || rl_grammar_accept(ahead, x->id, NULL) == REALM_OK)
        *n = walk(e, ahead, way, x->most, x->mask);
    rl_grammar_free(ahead);
    return REALM_OK;
}

/* Each grammar and each way of guessing, the one that led to an end before first. */
static realm_status try_all(rl_ending *e, search *x, uint32_t masks, bool *found, realm_error *err)
{
    uint32_t n_arms = rl_grammar_arms(x->g), first = e->way;
    realm_status st = REALM_OK;

    for (uint32_t k = 0; k < n_arms * RL_ORDER_WAYS && st == REALM_OK; k++) {
        rl_order_way way = (rl_order_way)((first + k / n_arms) % RL_ORDER_WAYS);
        uint32_t n;

        st = try_walk(e, x, k % n_arms, way, masks, &n, err);
        if (st != REALM_OK || n == 0)
            continue;
        memcpy(e->path, e->row, n * sizeof *e->path);
        e->n = n;
        e->way = way;
        *found = true;
        x->most = n - 1;
        if (!x->best)
            break;
    }
    return st;
}

/* Looks for a way of at most `left` ids from g, or from where it stands after `id`. Guesses that go
 * round in circles must not use up the masks: all are tried for a few of them first.
 * *found: path is one now, else it is what it was */
static realm_status find(rl_ending *e, const rl_grammar *g, uint32_t id, uint64_t left, bool best,
                         bool *found, realm_error *err)
{
    static const uint32_t masks[] = { 24, 128, RL_ENDING_MAX };
    uint32_t most = left < RL_ENDING_MAX ? (uint32_t)left : RL_ENDING_MAX;
    search x = { .g = g, .id = id, .most = most, .best = best };
    realm_status st = REALM_OK;

    *found = false;
    if (most == 0 || rl_grammar_waits(g))
        return REALM_OK;
    x.mask = rl_alloc_array(rl_order_n_words(rl_grammar_order(g)), sizeof *x.mask);
    if (!x.mask)
        return realm_fail(err, REALM_ENOMEM, "no memory for a mask");
    for (uint32_t i = 0; i < RL_COUNT(masks) && st == REALM_OK && !*found; i++) {
        if (i > 0 && masks[i - 1] >= most)
            break;
        st = try_all(e, &x, masks[i], found, err);
    }
    rl_free(x.mask);
    return st;
}

/* ---- without masks --------------------------------------------------------------------------- */

static void take_row(rl_ending *e, uint32_t from, uint32_t n)
{
    memmove(e->path, e->row + from, n * sizeof *e->path);
    e->n = n;
}

/* Whether the known way, perhaps without its first ids, perhaps behind one that closes something,
 * goes on after `id`. Most ids leave a text where this is so. */
static bool keeps(rl_ending *e, rl_grammar *g, uint32_t id, uint64_t left)
{
    uint32_t bridges[RL_ORDER_BRIDGES];
    uint32_t n_bridges = rl_order_bridges(rl_grammar_order(g), bridges);

    e->row[0] = id;
    for (uint32_t d = 0; d < 2 && d < e->n; d++) {
        uint32_t drop = e->path[0] == id ? 1 - d : d; /* the likeliest first */

        memcpy(e->row + 1, e->path + drop, (e->n - drop) * sizeof *e->row);
        if (e->n - drop < left && rl_grammar_fits(g, e->row, e->n - drop + 1)) {
            take_row(e, 1, e->n - drop);
            return true;
        }
    }
    for (uint32_t k = 0; k < 2 * n_bridges && k / n_bridges < e->n; k++) {
        uint32_t n = e->n - k / n_bridges;

        if (n + 2 > RL_ENDING_MAX || n + 1 >= left)
            continue;
        e->row[1] = bridges[k % n_bridges];
        memcpy(e->row + 2, e->path + k / n_bridges, n * sizeof *e->row);
        if (rl_grammar_fits(g, e->row, n + 2)) {
            take_row(e, 1, n + 1);
            return true;
        }
    }
    return false;
}

/* ---- steering -------------------------------------------------------------------------------- */

/* A way is known from where the text stands, and there is room for it. */
static bool is_known(rl_ending *e, rl_grammar *g, uint64_t left)
{
    if (e->n == 0 || e->n > left)
        return false;
    if (e->stale)
        e->stale = !rl_grammar_fits(g, e->path, e->n);
    return !e->stale;
}

static void replace(rl_ending *e, uint32_t *id)
{
    *id = e->path[0];
    e->n--;
    memmove(e->path, e->path + 1, e->n * sizeof *e->path);
    e->stats.replaced++;
}

/* Near the end an id after which no way is known is replaced. Far from it a way will be found
 * later, and there is time until then. */
static void settle(rl_ending *e, bool known, bool found, uint64_t left, uint32_t *id)
{
    e->fails = known || found ? 0 : e->fails + 1;
    e->stale = !found;
    if (!found && known && left < e->n + RL_ENDING_NEAR) {
        replace(e, id);
        e->stale = false;
    }
}

/* The known way goes on after the id, or another one does, or the id is replaced. */
static realm_status steer(rl_ending *e, rl_grammar *g, uint64_t left, uint32_t *id,
                          realm_error *err)
{
    bool known = is_known(e, g, left), found = false;
    realm_status st = REALM_OK;

    e->stats.looks++;
    if (keeps(e, g, *id, left)) {
        e->stale = false;
        e->fails = 0;
        return REALM_OK;
    }
    if (!known || e->n < left)
        st = find(e, g, *id, left - 1, false, &found, err);
    if (st == REALM_OK && !found && !known) /* too late for the drawn one: perhaps not at all */
        st = find(e, g, NO_ID, left, false, &known, err);
    if (st == REALM_OK)
        settle(e, known, found, left, id);
    return st;
}

/* When to look again. */
static uint32_t pause_of(const rl_ending *e, uint64_t left)
{
    uint64_t slack = left > e->n ? left - e->n : 0;

    if (e->n == 0 || e->fails > 0)
        return AGAIN << (e->fails < FAILS ? e->fails : FAILS);
    if (slack < RL_ENDING_NEAR)
        return 0;
    return slack / 8 < UINT32_MAX ? (uint32_t)(slack / 8) : UINT32_MAX;
}

/* Less may be left than was thought when the pause began. */
static bool may_rest(rl_ending *e, uint64_t left)
{
    uint32_t most = pause_of(e, left);

    e->rest = e->rest < most ? e->rest : most;
    if (e->rest == 0)
        return false;
    e->rest--;
    return true;
}

realm_status rl_ending_steer(rl_ending *e, rl_grammar *g, uint64_t left, uint32_t *id,
                             realm_error *err)
{
    realm_status st = REALM_OK;

    e->masks += e->masks < RL_ENDING_SAVED ? RL_ENDING_PER_ID : 0;
    e->steered = false;
    if (rl_grammar_waits(g)) { /* complete; if a call begins it is looked at at once */
        e->n = e->rest = e->fails = 0;
        return REALM_OK;
    }
    if (rl_order_ends(rl_grammar_order(g), *id))
        return REALM_OK;
    if (may_rest(e, left))
        return REALM_OK;
    st = steer(e, g, left, id, err);
    if (st != REALM_OK)
        return st;
    e->rest = pause_of(e, left - 1);
    e->steered = true;
    e->next = *id;
    return REALM_OK;
}

void rl_ending_go(rl_ending *e, uint32_t id)
{
    e->stale = e->stale || !e->steered || e->next != id;
    e->steered = false;
}

/* ---- one ending ------------------------------------------------------------------------------ */

realm_status rl_ending_new(rl_ending **out, const rl_grammar *g, uint64_t left, uint32_t masks,
                           realm_error *err)
{
    rl_ending *e = rl_alloc(sizeof *e);
    realm_status st = REALM_OK;
    bool found;

    *out = NULL;
    if (!e)
        return realm_fail(err, REALM_ENOMEM, "no memory for a grammar");
    e->masks = masks;
    st = find(e, g, NO_ID, RL_ENDING_MAX, true, &found, err); /* a long one can become shorter */
    if (st != REALM_OK) {
        rl_free(e);
        return st;
    }
    e->masks = RL_ENDING_SAVED;
    e->rest = !rl_grammar_waits(g) ? pause_of(e, left) : 0;
    *out = e;
    return REALM_OK;
}

realm_status rl_ending_clone(rl_ending **out, const rl_ending *e, realm_error *err)
{
    *out = rl_alloc(sizeof **out);
    if (!*out)
        return realm_fail(err, REALM_ENOMEM, "no memory for a grammar");
    memcpy(*out, e, sizeof **out);
    return REALM_OK;
}

void rl_ending_free(rl_ending *e)
{
    rl_free(e);
}

rl_ending_stats rl_ending_get_stats(const rl_ending *e)
{
    rl_ending_stats s = e->stats;

    s.length = e->stale ? 0 : e->n;
    return s;
}
