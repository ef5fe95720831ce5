/* Ids -> text: at once, and one token at a time. */
#include "token/token.h"

#include "base/utf8.h"

#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

realm_status rl_decode(const rl_vocab *v, const uint32_t *ids, size_t n, uint32_t flags,
                       rl_buf *out, realm_error *err)
{
    const rl_vocab_info *info = rl_vocab_get_info(v);
    bool at_start = info->add_space_prefix;

    for (size_t i = 0; i < n; i++) {
        rl_text t = rl_token_bytes(v, ids[i]);
        realm_status st;

        if (ids[i] >= info->n_tokens)
            return realm_fail(err, REALM_EINVAL, "token id %u; the vocabulary has %u", ids[i],
                              info->n_tokens);
        if ((flags & RL_DECODE_SKIP_SPECIAL) && rl_vocab_is_special(v, ids[i]))
            continue;
        if (at_start && t.n && t.p[0] == ' ') {
            t.p++;
            t.n--;
        }
        at_start = false;
        st = rl_buf_add(out, t.p, t.n);
        if (st != REALM_OK)
            return realm_fail(err, st, "the text of %zu tokens does not fit", n);
    }
    return REALM_OK;
}

/* Length of the longest beginning of s[0..n) that is an unfinished character, at least 1: what one
 * U+FFFD stands for (Unicode 3.9, maximal subparts). */
static size_t bad_part(const char *s, size_t n)
{
    uint32_t cp;
    size_t k = 1;

    while (k < n && rl_utf8_next(s, k + 1, &cp) == -1)
        k++;
    return k;
}

/* Appends the whole characters of s[0..n). -> OK and *rest, the unfinished bytes at the end */
static realm_status show(const char *s, size_t n, rl_buf *out, size_t *rest)
{
    realm_status st = REALM_OK;
    size_t good = 0, i = 0;
    uint32_t cp;

    while (i < n && st == REALM_OK) {
        int len = rl_utf8_next(s + i, n - i, &cp);

        if (len == -1)
            break;
        if (len > 0) {
            i += (size_t)len;
            continue;
        }
        st = rl_buf_add(out, s + good, i - good);
        if (st == REALM_OK)
            st = rl_buf_adds(out, replacement);
        i += bad_part(s + i, n - i);
        good = i;
    }
    if (st == REALM_OK)
        st = rl_buf_add(out, s + good, i - good);
    *rest = n - i;
    return st;
}

static realm_status flush(rl_detok *d, rl_buf *out)
{
    bool some = d->n_held > 0;

    d->n_held = 0;
    return some ? rl_buf_adds(out, replacement) : REALM_OK;
}

realm_status rl_detok_add(rl_detok *d, const rl_vocab *v, uint32_t id, uint32_t flags, rl_buf *out)
{
    rl_text t = rl_token_bytes(v, id);
    char joint[8];
    size_t n_joint = d->n_held, used, rest = 0;
    realm_status st;

    if (id == RL_NO_TOKEN)
        return flush(d, out);
    if ((flags & RL_DECODE_SKIP_SPECIAL) && rl_vocab_is_special(v, id))
        return REALM_OK;
    /* The held bytes with as many new ones as could finish their character, then the others. */
    used = t.n < 4 ? t.n : 4;
    if (n_joint) {
        memcpy(joint, d->held, n_joint);
        memcpy(joint + n_joint, t.p, used);
        n_joint += used;
    } else {
        used = 0;
    }
    st = show(joint, n_joint, out, &rest);
    d->n_held = 0;
    if (st != REALM_OK)
        return st;
    if (used < t.n) {
        used -= rest; /* an unfinished end of the joint is in t as a whole */
        st = show(t.p + used, t.n - used, out, &rest);
        memcpy(d->held, t.p + t.n - rest, rest);
    } else {
        memcpy(d->held, joint + n_joint - rest, rest);
    }
    d->n_held = (uint32_t)rest;
    return st;
}
