/* Whether a file was hashed or remembered shows in whether the progress callback was called. */
#include "home.h"

#include <fcntl.h>
#include <unistd.h>

static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static bool count(void *ctx, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    ++*(int *)ctx;
    return false;
}

static bool stop(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)done;
    (void)total;
    return true;
}

static void test_file(char *path, size_t cap, const char *text)
{
    (void)snprintf(path, cap, "%s/model.gguf", work);
    put_file(path, text, strlen(text));
}

static void a_fresh_file_is_hashed_every_time(void **state)
{
    char path[128], hex[RL_SHA256_HEX];
    rl_store *s = opened();
    int calls = 0;

    (void)state;
    test_file(path, sizeof path, "abc");
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(rl_store_digest(s, path, hex, count, &calls, NULL), REALM_OK);
        assert_string_equal(hex, abc);
        assert_int_equal(calls, i);
    }
    rl_store_close(s);
}

/* ctime cannot be set, so the row is written for the file as it is. */
static void a_remembered_file_is_not_read(void **state)
{
    char path[128], text[512], hex[RL_SHA256_HEX];
    rl_store *s = opened();
    struct stat sb;
    int calls = 0;

    (void)state;
    test_file(path, sizeof path, "abc");
    assert_int_equal(stat(path, &sb), 0);
    (void)snprintf(text, sizeof text,
                   "INSERT INTO digests VALUES (%lld, %lld, 3, %lld, %lld,"
                   " '1111111111111111111111111111111111111111111111111111111111111111', 0)",
                   (long long)sb.st_dev, (long long)sb.st_ino,
                   (long long)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec,
                   (long long)sb.st_ctim.tv_sec * 1000000000 + sb.st_ctim.tv_nsec);
    sql("realm.db", text);
    assert_int_equal(rl_store_digest(s, path, hex, count, &calls, NULL), REALM_OK);
    assert_int_equal(calls, 0);
    assert_int_equal(hex[0], '1');
    test_file(path, sizeof path, "abcd"); /* another size: hashed again */
    assert_int_equal(rl_store_digest(s, path, hex, count, &calls, NULL), REALM_OK);
    assert_int_equal(calls, 1);
    assert_string_not_equal(hex, abc);
    rl_store_close(s);
}

/* The program under test was built more than two seconds ago by the time it runs, or the first
 * reading is repeated until it was. */
static void a_settled_file_is_remembered(void **state)
{
    char hex[RL_SHA256_HEX], again[RL_SHA256_HEX];
    rl_store *s = opened();
    int calls = 0, before;

    (void)state;
    while (sql_int("realm.db", "SELECT count(*) FROM digests") == 0)
        assert_int_equal(rl_store_digest(s, "/proc/self/exe", hex, count, &calls, NULL), REALM_OK);
    before = calls;
    assert_int_equal(rl_store_digest(s, "/proc/self/exe", again, count, &calls, NULL), REALM_OK);
    assert_int_equal(calls, before);
    assert_string_equal(again, hex);
    rl_store_close(s);
}

static void what_cannot_be_hashed_says_why(void **state)
{
    char path[128], hex[RL_SHA256_HEX];
    rl_store *s = opened();
    realm_error err;

    (void)state;
    assert_int_equal(rl_store_digest(s, "/nowhere/x", hex, NULL, NULL, &err), REALM_ENOTFOUND);
    assert_int_equal(rl_store_digest(s, work, hex, NULL, NULL, &err), REALM_EINVAL);
    assert_int_equal(rl_store_digest(s, "/dev/zero", hex, NULL, NULL, &err), REALM_EINVAL);
    test_file(path, sizeof path, "abc");
    assert_int_equal(rl_store_digest(s, path, hex, stop, NULL, &err), REALM_ECANCELLED);
    assert_int_equal(sql_int("realm.db", "SELECT count(*) FROM digests"), 0);
    rl_store_close(s);
}

static void a_digest_of_known_bytes_is_kept(void **state)
{
    char path[128], hex[RL_SHA256_HEX];
    rl_store *s = opened();
    rl_file_id id;
    realm_error err;

    (void)state;
    test_file(path, sizeof path, "abc");
    assert_int_equal(rl_fs_identify(path, &id, &err), REALM_OK);
    assert_int_equal(rl_store_digest_get(s, &id, hex, &err), REALM_ENOTFOUND);
    assert_false(rl_store_knows_size(s, 3));
    assert_int_equal(rl_store_digest_put(s, &id, abc, &err), REALM_OK); /* too young */
    assert_int_equal(rl_store_digest_get(s, &id, hex, &err), REALM_ENOTFOUND);
    id.mtime_ns = id.ctime_ns = 1000000000;
    assert_int_equal(rl_store_digest_put(s, &id, abc, &err), REALM_OK);
    assert_true(rl_store_knows_size(s, 3));
    assert_false(rl_store_knows_size(s, 4));
    assert_int_equal(rl_store_digest_get(s, &id, hex, &err), REALM_OK);
    assert_string_equal(hex, abc);
    id.ctime_ns++;
    assert_int_equal(rl_store_digest_get(s, &id, hex, &err), REALM_ENOTFOUND);
    rl_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOME_TEST(a_fresh_file_is_hashed_every_time), HOME_TEST(a_remembered_file_is_not_read),
        HOME_TEST(a_settled_file_is_remembered),      HOME_TEST(what_cannot_be_hashed_says_why),
        HOME_TEST(a_digest_of_known_bytes_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
