#include "home.h"

#include "base/alloc.h"

#include <ctype.h>

static const char sentence[] = "this key is not valid; check that all of it was sent, or ask the "
                               "operator for one (realm key new)";

static void make(rl_store *s, const char *label, char text[RL_KEY_TEXT + 1], rl_store_key *k)
{
    realm_error err = { .text = "" };

    if (rl_store_key_new(s, label, text, k, &err) != REALM_OK)
        fail_msg("%s", err.text);
}

/* EAUTH in the one sentence, whatever was wrong. */
static void refused(rl_store *s, const char *text, size_t n)
{
    realm_error err = { .text = "" };
    rl_store_key k;

    if (rl_store_key_check(s, text, n, &k, &err) != REALM_EAUTH)
        fail_msg("%.*s is not refused", (int)n, text);
    assert_string_equal(err.text, sentence);
}

static void a_key_is_made_and_checked(void **state)
{
    char text[RL_KEY_TEXT + 1], other[RL_KEY_TEXT + 1];
    rl_store_key made, again, k;
    rl_store *s = opened();

    (void)state;
    make(s, "the web shop", text, &made);
    make(s, "", other, &again);
    assert_int_equal(strlen(text), RL_KEY_TEXT);
    assert_memory_equal(text, "rk_", 3);
    assert_memory_equal(text + 3, made.id, RL_KEY_ID);
    assert_int_equal(text[15], '_');
    for (size_t i = 3; text[i]; i++)
        assert_true(i == 15 || islower((unsigned char)text[i]) || isdigit((unsigned char)text[i]));
    assert_string_not_equal(made.id, again.id);
    assert_string_not_equal(text + 16, other + 16);
    assert_int_equal(rl_store_key_check(s, text, RL_KEY_TEXT, &k, NULL), REALM_OK);
    assert_string_equal(k.id, made.id);
    assert_string_equal(k.label, "the web shop");
    assert_true(k.created_s > 1700000000 && k.last_used_s == 0 && k.revoked_s == 0);
    assert_int_equal(rl_store_key_check(s, other, RL_KEY_TEXT, NULL, NULL), REALM_OK);
    rl_store_close(s);
}

/* Every digit comes up in both parts; that one of them does not, by chance, has odds of 1 in 10^7.
 */
static void keys_use_the_whole_alphabet(void **state)
{
    char text[RL_KEY_TEXT + 1], ids[64 * RL_KEY_ID + 1] = "", secrets[64 * RL_KEY_SECRET + 1] = "";
    rl_store *s = opened();

    (void)state;
    for (int i = 0; i < 64; i++) {
        make(s, "", text, NULL);
        memcpy(ids + i * RL_KEY_ID, text + 3, RL_KEY_ID);
        memcpy(secrets + i * RL_KEY_SECRET, text + 16, RL_KEY_SECRET);
    }
    for (const char *p = "0123456789abcdefghjkmnpqrstvwxyz"; *p; p++) {
        assert_non_null(strchr(ids, *p));
        assert_non_null(strchr(secrets, *p));
    }
    assert_int_equal(strspn(ids, "0123456789abcdefghjkmnpqrstvwxyz"), 64 * RL_KEY_ID);
    assert_int_equal(strspn(secrets, "0123456789abcdefghjkmnpqrstvwxyz"), 64 * RL_KEY_SECRET);
    rl_store_close(s);
}

/* Neither the secret nor any beginning of it that would help stands in the database. */
static void only_a_digest_is_kept(void **state)
{
    char text[RL_KEY_TEXT + 1], query[256], sha256[RL_SHA256_HEX];
    rl_store *s = opened();

    (void)state;
    make(s, "", text, NULL);
    rl_store_close(s);
    rl_sha256(text + 16, RL_KEY_SECRET, sha256);
    (void)snprintf(query, sizeof query, "SELECT count(*) FROM keys WHERE sha256 = '%s'", sha256);
    assert_int_equal(sql_int("realm.db", query), 1);
    (void)snprintf(query, sizeof query,
                   "SELECT instr(id || sha256 || label || created_s, '%.10s') FROM keys",
                   text + 16);
    assert_int_equal(sql_int("realm.db", query), 0);
}

static void every_changed_letter_is_refused(void **state)
{
    char text[RL_KEY_TEXT + 1];
    rl_store *s = opened();

    (void)state;
    make(s, "", text, NULL);
    for (size_t i = 0; i < RL_KEY_TEXT; i++) {
        char kept = text[i];

        text[i] = kept == 'a' ? 'b' : 'a'; /* of the alphabet: another id, another secret */
        refused(s, text, RL_KEY_TEXT);
        text[i] = (char)toupper(kept);
        if (text[i] != kept)
            refused(s, text, RL_KEY_TEXT);
        text[i] = 0;
        refused(s, text, RL_KEY_TEXT);
        text[i] = kept;
    }
    assert_int_equal(rl_store_key_check(s, text, RL_KEY_TEXT, NULL, NULL), REALM_OK);
    rl_store_close(s);
}

static void what_no_key_looks_like_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "rk_",
        "rk__",
        "sk-0123456789abcdef",
        "rk_0123456789ab",
        "rk_0123456789ab_",
        "rk__0123456789ab0123456789ab0123456789ab0123456789ab0123456789abc0",
        "rk_0123456789ab-0123456789012345678901234567890123456789012345678901",
        "rk_0123456789ab_012345678901234567890123456789012345678901234567890l",
        "rk_0123456789ab_012345678901234567890123456789012345678901234567890_",
        "rk_0123456789a'_0123456789012345678901234567890123456789012345678901",
        "rk_0123456789ab_0123456789012345678901234567890123456789012345678901", /* unknown */
    };
    char text[RL_KEY_TEXT + 2], *huge = rl_alloc(1 << 20);
    rl_store *s = opened();

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(s, bad[i], strlen(bad[i]));
    make(s, "", text, NULL);
    for (size_t n = 0; n < RL_KEY_TEXT; n++)
        refused(s, text, n);
    text[RL_KEY_TEXT] = '0';
    refused(s, text, RL_KEY_TEXT + 1);
    text[RL_KEY_TEXT] = '\n';
    refused(s, text, RL_KEY_TEXT + 1);
    refused(s, "\xff\xfe\0rk_", 6);
    assert_non_null(huge);
    memset(huge, 'a', 1 << 20);
    memcpy(huge, text, RL_KEY_TEXT);
    refused(s, huge, 1 << 20);
    rl_free(huge);
    rl_store_close(s);
}

static void a_revoked_key_is_refused_at_once(void **state)
{
    char text[RL_KEY_TEXT + 1], other[RL_KEY_TEXT + 1];
    rl_store *s = opened(), *second = opened();
    rl_store_key k, *list;
    uint64_t n;
    size_t n_list;
    int64_t when;

    (void)state;
    make(s, "a", text, &k);
    make(s, "b", other, NULL);
    assert_int_equal(rl_store_key_check(second, text, RL_KEY_TEXT, NULL, NULL), REALM_OK);
    assert_int_equal(rl_store_key_count(second, &n, NULL), REALM_OK);
    assert_true(n == 2);
    assert_int_equal(rl_store_key_revoke(s, k.id, NULL), REALM_OK);
    refused(second, text, RL_KEY_TEXT);
    assert_int_equal(rl_store_key_check(second, other, RL_KEY_TEXT, NULL, NULL), REALM_OK);
    assert_int_equal(rl_store_key_count(second, &n, NULL), REALM_OK);
    assert_true(n == 1);
    sql("realm.db", "UPDATE keys SET revoked_s = 5 WHERE revoked_s IS NOT NULL");
    assert_int_equal(rl_store_key_revoke(s, k.id, NULL), REALM_OK); /* again: as it was */
    assert_int_equal(rl_store_key_list(s, &list, &n_list, NULL), REALM_OK);
    assert_int_equal(n_list, 2);
    when = strcmp(list[0].label, "a") == 0 ? list[0].revoked_s : list[1].revoked_s;
    assert_true(when == 5);
    rl_free(list);
    rl_store_close(second);
    rl_store_close(s);
}

static void unknown_ids_cannot_be_revoked(void **state)
{
    static const char *const bad[] = { "",  "short",          "0123456789abc", "0123456789aB",
                                       "%", "rk_0123456789ab" };
    rl_store *s = opened();
    realm_error err;

    (void)state;
    assert_int_equal(rl_store_key_revoke(s, "0123456789ab", &err), REALM_ENOTFOUND);
    assert_non_null(strstr(err.text, "0123456789ab"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(rl_store_key_revoke(s, bad[i], &err), REALM_EINVAL);
    rl_store_close(s);
}

static void use_is_remembered_once_a_minute(void **state)
{
    char text[RL_KEY_TEXT + 1];
    rl_store *s = opened();
    rl_store_key k, again;

    (void)state;
    make(s, "", text, &k);
    assert_int_equal(rl_store_key_used(s, &k, NULL), REALM_OK);
    assert_int_equal(rl_store_key_check(s, text, RL_KEY_TEXT, &again, NULL), REALM_OK);
    assert_true(again.last_used_s >= k.created_s);
    again.last_used_s--; /* so that a write within the minute would show */
    sql("realm.db", "UPDATE keys SET last_used_s = last_used_s - 1");
    assert_int_equal(rl_store_key_used(s, &again, NULL), REALM_OK);
    assert_int_equal(rl_store_key_check(s, text, RL_KEY_TEXT, &k, NULL), REALM_OK);
    assert_true(k.last_used_s == again.last_used_s);
    k.last_used_s -= 3600;
    assert_int_equal(rl_store_key_used(s, &k, NULL), REALM_OK);
    assert_int_equal(rl_store_key_check(s, text, RL_KEY_TEXT, &again, NULL), REALM_OK);
    assert_true(again.last_used_s > k.last_used_s);
    rl_store_close(s);
}

static void labels_are_one_line_of_text(void **state)
{
    static const char *const bad[] = { "a\nb", "\x1b[31m", "caf\xe9", "\x7f", "\t" };
    char text[RL_KEY_TEXT + 1], longest[RL_LABEL_MAX + 2] = "";
    rl_store *s = opened();
    rl_store_key k;
    realm_error err;
    uint64_t n;

    (void)state;
    make(s, "caf\xc3\xa9 '; DROP TABLE keys;--", text, &k);
    assert_string_equal(k.label, "caf\xc3\xa9 '; DROP TABLE keys;--");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rl_store_key_new(s, bad[i], text, &k, &err), REALM_EINVAL);
        assert_string_equal(text, "");
    }
    memset(longest, 'x', RL_LABEL_MAX);
    make(s, longest, text, NULL);
    longest[RL_LABEL_MAX] = 'x';
    assert_int_equal(rl_store_key_new(s, longest, text, NULL, &err), REALM_EINVAL);
    assert_int_equal(rl_store_key_count(s, &n, NULL), REALM_OK);
    assert_true(n == 2);
    rl_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOME_TEST(a_key_is_made_and_checked),
        HOME_TEST(keys_use_the_whole_alphabet),
        HOME_TEST(only_a_digest_is_kept),
        HOME_TEST(every_changed_letter_is_refused),
        HOME_TEST(what_no_key_looks_like_is_refused),
        HOME_TEST(a_revoked_key_is_refused_at_once),
        HOME_TEST(unknown_ids_cannot_be_revoked),
        HOME_TEST(use_is_remembered_once_a_minute),
        HOME_TEST(labels_are_one_line_of_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
