/* Keys: who may call over a network. A key is the text rk_<id>_<secret>; the id finds its row, the
 * secret proves that the caller was given it.
 *
 * 1. The secret is kept by nobody: its row has the SHA-256 of it, and the text is told once.
 * 2. Checking answers one sentence for every kind of failure, and the same work is done for an
 *    unknown id as for a wrong secret. A text that no key can look like is refused at once: how
 *    keys look is no secret.
 * 3. Checking only reads, so it waits for no writer. When a key was last used is written by a call
 *    of its own, at most once a minute per key. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "store/internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PREFIX     "rk_"
#define ID_AT      (sizeof PREFIX - 1)
#define SECRET_AT  (ID_AT + RL_KEY_ID + 1)
#define SETTLING_S 60

/* Crockford's base 32 in lower case: no i, l, o, u, and no underscore, which parts a key. */
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

static bool all_digits(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!s[i] || !strchr(digits, s[i]))
            return false;
    return true;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* n digits of 5 random bits each: 256 is a multiple of 32, so none is likelier. */
static realm_status draw(char *out, size_t n, realm_error *err)
{
    uint8_t bytes[RL_KEY_SECRET];
    ssize_t got;

    RL_ASSERT(n <= sizeof bytes);
    do /* as many as these come whole or not at all */
        got = getrandom(bytes, n, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)n)
        return realm_fail(err, REALM_EIO, "no random bytes for a key: %s", strerror(errno));
    for (size_t i = 0; i < n; i++)
        out[i] = digits[bytes[i] & 31];
    OPENSSL_cleanse(bytes, sizeof bytes);
    return REALM_OK;
}

/* The label is for people: any text of one line. */
static realm_status check_label(const char *label, realm_error *err)
{
    size_t n = strnlen(label, RL_LABEL_MAX + 1);
    bool good = n <= RL_LABEL_MAX && rl_utf8_valid(label, n);

    for (size_t i = 0; i < n; i++)
        good = good && (unsigned char)label[i] >= ' ' && label[i] != 0x7f;
    return good ? REALM_OK
                : realm_fail(err, REALM_EINVAL,
                             "a label is one line of UTF-8 of at most %d bytes, without control "
                             "characters",
                             RL_LABEL_MAX);
}

static realm_status insert(rl_store *s, const rl_store_key *k, const char *sha256, realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q = rl_store_stmt_of(s, RL_SQL_KEY_INSERT, k->id, &st, err);
    int rc;

    if (!q)
        return st;
    rc = sqlite3_bind_text(q, 2, sha256, -1, SQLITE_TRANSIENT);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 3, k->label, -1, SQLITE_TRANSIENT);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 4, k->created_s);
    if (rc == SQLITE_OK)
        rc = rl_store_step_done(q);
    return rc == SQLITE_DONE ? REALM_OK : rl_store_fail(err, s->db, rc, s->path);
}

realm_status rl_store_key_new(rl_store *s, const char *label, char text[RL_KEY_TEXT + 1],
                              rl_store_key *out, realm_error *err)
{
    rl_store_key k = { .created_s = rl_clock_unix_s() };
    char sha256[RL_SHA256_HEX];
    realm_status st = check_label(label, err);

    text[0] = 0;
    if (st != REALM_OK)
        return st;
    (void)snprintf(k.label, sizeof k.label, "%s", label);
    (void)snprintf(text, RL_KEY_TEXT + 1, PREFIX "%*s_%*s", RL_KEY_ID, "", RL_KEY_SECRET, "");
    st = draw(text + ID_AT, RL_KEY_ID, err);
    if (st == REALM_OK)
        st = draw(text + SECRET_AT, RL_KEY_SECRET, err);
    memcpy(k.id, text + ID_AT, RL_KEY_ID);
    rl_sha256(text + SECRET_AT, RL_KEY_SECRET, sha256);
    if (st == REALM_OK)
        st = insert(s, &k, sha256, err);
    if (st != REALM_OK) {
        OPENSSL_cleanse(text, RL_KEY_TEXT + 1);
        return st;
    }
    if (out)
        *out = k;
    return REALM_OK;
}

/* ---- checking -------------------------------------------------------------------------------- */

typedef struct kept {
    rl_store_key key;
    char sha256[RL_SHA256_HEX];
} kept;

static void read_key(sqlite3_stmt *q, void *row)
{
    rl_store_key *k = row;

    rl_store_text(q, 0, k->id, sizeof k->id);
    rl_store_text(q, 1, k->label, sizeof k->label);
    k->created_s = sqlite3_column_int64(q, 2);
    k->last_used_s = sqlite3_column_int64(q, 3); /* NULL reads as 0 */
    k->revoked_s = sqlite3_column_int64(q, 4);
}

static void read_kept(sqlite3_stmt *q, void *row)
{
    kept *k = row;

    read_key(q, &k->key);
    rl_store_text(q, 5, k->sha256, sizeof k->sha256);
}

static realm_status refused(realm_error *err)
{
    return realm_fail(err, REALM_EAUTH,
                      "this key is not valid; check that all of it was sent, or ask the operator "
                      "for one (realm key new)");
}

static bool well_formed(const char *text, size_t n)
{
    return n == RL_KEY_TEXT && memcmp(text, PREFIX, ID_AT) == 0 &&
           all_digits(text + ID_AT, RL_KEY_ID) && text[SECRET_AT - 1] == '_' &&
           all_digits(text + SECRET_AT, RL_KEY_SECRET);
}

realm_status rl_store_key_check(rl_store *s, const char *text, size_t n, rl_store_key *out,
                                realm_error *err)
{
    kept k = { .sha256 = "" }; /* of an unknown id: equal to no digest */
    char id[RL_KEY_ID + 1] = "", given[RL_SHA256_HEX];
    realm_status st;
    sqlite3_stmt *q;
    bool same;

    if (!well_formed(text, n))
        return refused(err);
    memcpy(id, text + ID_AT, RL_KEY_ID);
    rl_sha256(text + SECRET_AT, RL_KEY_SECRET, given);
    q = rl_store_stmt_of(s, RL_SQL_KEY_GET, id, &st, err);
    if (!q)
        return st;
    st = rl_store_one(s, q, read_kept, &k, err);
    if (st != REALM_OK && st != REALM_ENOTFOUND)
        return st;
    same = CRYPTO_memcmp(given, k.sha256, sizeof given) == 0;
    if (st != REALM_OK || !same || k.key.revoked_s)
        return refused(err);
    if (out)
        *out = k.key;
    return REALM_OK;
}

realm_status rl_store_key_used(rl_store *s, const rl_store_key *k, realm_error *err)
{
    int64_t now = rl_clock_unix_s();
    realm_status st;
    sqlite3_stmt *q;
    int rc;

    if (k->last_used_s <= now && k->last_used_s + SETTLING_S > now)
        return REALM_OK;
    q = rl_store_stmt_of(s, RL_SQL_KEY_USED, k->id, &st, err);
    if (!q)
        return st;
    rc = sqlite3_bind_int64(q, 2, now);
    if (rc == SQLITE_OK)
        rc = rl_store_step_done(q);
    return rc == SQLITE_DONE ? REALM_OK : rl_store_fail(err, s->db, rc, s->path);
}

/* ---- looking and revoking -------------------------------------------------------------------- */

realm_status rl_store_key_list(rl_store *s, rl_store_key **list, size_t *n, realm_error *err)
{
    void *rows;
    realm_status st = rl_store_rows(s, RL_SQL_KEY_LIST, sizeof **list, read_key, &rows, n, err);

    *list = rows;
    return st;
}

static void read_count(sqlite3_stmt *q, void *row)
{
    *(uint64_t *)row = (uint64_t)sqlite3_column_int64(q, 0);
}

realm_status rl_store_key_count(rl_store *s, uint64_t *n, realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q = rl_store_stmt(s, RL_SQL_KEY_COUNT, &st, err);

    *n = 0;
    return q ? rl_store_one(s, q, read_count, n, err) : st;
}

realm_status rl_store_key_revoke(rl_store *s, const char *id, realm_error *err)
{
    realm_status st;
    sqlite3_stmt *q;
    int rc;

    if (strnlen(id, RL_KEY_ID + 1) != RL_KEY_ID || !all_digits(id, RL_KEY_ID))
        return realm_fail(err, REALM_EINVAL,
                          "the id of a key is the %d letters and digits after " PREFIX
                          " (realm key list)",
                          RL_KEY_ID);
    q = rl_store_stmt_of(s, RL_SQL_KEY_REVOKE, id, &st, err);
    if (!q)
        return st;
    rc = sqlite3_bind_int64(q, 2, rl_clock_unix_s());
    if (rc != SQLITE_OK)
        return rl_store_fail(err, s->db, rc, s->path);
    st = rl_store_change(s, q, err);
    return st == REALM_ENOTFOUND ? realm_fail(err, st, "there is no key %s; see realm key list", id)
                                 : st;
}
