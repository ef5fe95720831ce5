/* Text -> ids: special texts are cut out, the rest goes to the model's own encoder. */
#include "token/vocab.h"

#include "base/alloc.h"

#include <string.h>

#define MAX_TEXT     ((size_t)64 << 20)
#define MEMO_FROM    1024u /* a shorter text repeats too few words to pay for the table */
#define SPELL_FACTOR 2u    /* an SPM fragment may get a space before it */

/* The word's bytes in two words of 8; overlapping or zero-filled, so with n they tell all of it. */
static void halves(const char *word, size_t n, uint64_t *head, uint64_t *tail)
{
    *head = 0;
    *tail = 0;
    if (n >= 8) {
        memcpy(head, word, 8);
        memcpy(tail, word + n - 8, 8);
    } else {
        memcpy(head, word, n);
    }
}

bool rl_memo_get(rl_encoder *e, const char *word, size_t n, rl_memo **slot)
{
    uint64_t head, tail, h;
    rl_memo *m;

    *slot = NULL;
    if (!e->memo || n > RL_MEMO_BYTES)
        return false;
    halves(word, n, &head, &tail);
    h = (head ^ n) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 29 ^ tail) * 0xbf58476d1ce4e5b9u;
    m = &e->memo[(h >> 40) % RL_MEMO_SLOTS];
    *slot = m;
    if (m->n != n || m->head != head || m->tail != tail)
        return false;
    for (uint32_t i = 0; i < m->n_ids; i++)
        rl_ids_add(&e->ids, e->ids.p[m->ids_begin + i]);
    return true;
}

void rl_memo_put(rl_encoder *e, rl_memo *slot, const char *word, size_t n, size_t ids_begin)
{
    if (!slot || e->ids.failed)
        return;
    halves(word, n, &slot->head, &slot->tail);
    slot->ids_begin = (uint32_t)ids_begin;
    slot->n = (uint8_t)n;
    slot->n_ids = (uint8_t)(e->ids.n - ids_begin); /* at most one per byte */
}

void rl_encoder_deinit(rl_encoder *e)
{
    rl_merge_deinit(&e->merge);
    rl_free(e->memo);
    rl_buf_deinit(&e->text);
    rl_free(e->ids.p);
    *e = (rl_encoder){ 0 };
}

static realm_status encode_plain(rl_encoder *e, const char *text, size_t n, bool after_special)
{
    if (!n)
        return REALM_OK;
    if (e->v->spm)
        return rl_spm_encode(e, text, n, after_special && e->v->info.add_space_prefix);
    return rl_bpe_encode(e, text, n);
}

realm_status rl_encoder_run(rl_encoder *e, const char *text, size_t n, uint32_t flags)
{
    rl_special_scope scope = { .parse = flags & RL_ENCODE_PARSE_SPECIAL,
                               .marks = e->marks,
                               .n_marks = e->n_marks };
    const rl_vocab *v = e->v;
    bool after_special = !(flags & RL_ENCODE_MIDDLE); /* or at the beginning of a text */
    size_t at = 0;
    rl_special_hit hit;
    realm_status st = REALM_OK;

    e->merge.ctx = v;
    e->merge.pair = v->spm ? rl_spm_pair : rl_bpe_pair;
    rl_buf_init(&e->text, SPELL_FACTOR * MAX_TEXT);
    if (n >= MEMO_FROM)
        e->memo = rl_alloc_array(RL_MEMO_SLOTS, sizeof *e->memo); /* works without, too */
    if ((flags & RL_ENCODE_ADD_SPECIAL) && v->info.add_bos)
        rl_ids_add(&e->ids, v->info.bos);
    while (st == REALM_OK && rl_special_find(&v->special, text, n, at, &scope, &hit)) {
        st = encode_plain(e, text + at, hit.begin - at, after_special);
        rl_ids_add(&e->ids, hit.id);
        at = hit.end;
        after_special = true;
    }
    if (st == REALM_OK)
        st = encode_plain(e, text + at, n - at, after_special);
    if ((flags & RL_ENCODE_ADD_SPECIAL) && v->info.add_eos)
        rl_ids_add(&e->ids, v->info.eos);
    return st == REALM_OK && e->ids.failed ? REALM_ENOMEM : st;
}

realm_status rl_encoder_take(rl_encoder *e, const char *text, size_t n, uint32_t flags,
                             uint32_t **ids, size_t *n_ids, realm_error *err)
{
    realm_status st;

    *ids = NULL;
    *n_ids = 0;
    if (n > MAX_TEXT)
        return realm_fail(err, REALM_ETOOBIG, "a text of %zu bytes to encode, the limit is %zu", n,
                          MAX_TEXT);
    st = rl_encoder_run(e, text, n, flags);
    if (st == REALM_OK && !e->ids.p)
        e->ids.p = rl_alloc(sizeof *e->ids.p); /* no ids: still a pointer to free */
    if (st == REALM_OK && e->ids.p) {
        *ids = e->ids.p; /* ownership moves to the caller */
        *n_ids = e->ids.n;
        e->ids.p = NULL;
    } else {
        st = realm_fail(err, REALM_ENOMEM, "no memory to encode a text of %zu bytes", n);
    }
    rl_encoder_deinit(e);
    return st;
}

realm_status rl_encode(const rl_vocab *v, const char *text, size_t n, uint32_t flags,
                       uint32_t **ids, size_t *n_ids, realm_error *err)
{
    rl_encoder e = { .v = v };

    return rl_encoder_take(&e, text, n, flags, ids, n_ids, err);
}
