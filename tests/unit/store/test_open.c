#include "home.h"

#include "store/schema.h"

#include <pthread.h>

static void a_new_home_is_private_and_complete(void **state)
{
    rl_store *s = opened();
    struct stat sb;
    char path[128];

    (void)state;
    assert_string_equal(rl_store_home(s), home);
    assert_int_equal(stat(home, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0700);
    in_home(path, sizeof path, "models");
    assert_int_equal(stat(path, &sb), 0);
    rl_store_close(s);
    assert_int_equal(sql_int("realm.db", "PRAGMA user_version"), rl_schema_n_steps);
    in_home(path, sizeof path, "realm.db.v0.bak");
    assert_int_not_equal(access(path, F_OK), 0); /* there was nothing to copy */
}

static void the_environment_names_the_home(void **state)
{
    rl_store *s = NULL;
    char expected[128];

    (void)state;
    assert_int_equal(setenv("REALM_HOME", home, 1), 0);
    assert_int_equal(rl_store_open(&s, NULL, NULL), REALM_OK);
    assert_string_equal(rl_store_home(s), home);
    rl_store_close(s);
    assert_int_equal(setenv("REALM_HOME", "", 1), 0); /* empty counts as unset */
    assert_int_equal(setenv("XDG_DATA_HOME", work, 1), 0);
    assert_int_equal(rl_store_open(&s, NULL, NULL), REALM_OK);
    (void)snprintf(expected, sizeof expected, "%s/realm", work);
    assert_string_equal(rl_store_home(s), expected);
    rl_store_close(s);
    assert_int_equal(unsetenv("XDG_DATA_HOME"), 0);
    assert_int_equal(setenv("HOME", work, 1), 0);
    assert_int_equal(rl_store_open(&s, NULL, NULL), REALM_OK);
    (void)snprintf(expected, sizeof expected, "%s/.local/share/realm", work);
    assert_string_equal(rl_store_home(s), expected);
    rl_store_close(s);
}

static void packed_paths_lie_under_models(void **state)
{
    rl_store *s = opened();
    char sha[RL_SHA256_HEX], path[4096], expected[256];

    (void)state;
    rl_sha256("x", 1, sha);
    rl_store_packed_path(s, sha, 7, path, sizeof path);
    (void)snprintf(expected, sizeof expected, "%s/models/%s.7.realm", home, sha);
    assert_string_equal(path, expected);
    rl_store_close(s);
}

static void a_damaged_database_is_named(void **state)
{
    char path[128];
    char junk[8192];
    rl_store *s = NULL;
    realm_error err;

    (void)state;
    rl_store_close(opened());
    memset(junk, 'z', sizeof junk);
    in_home(path, sizeof path, "realm.db");
    put_file(path, junk, sizeof junk);
    assert_int_equal(rl_store_open(&s, home, &err), REALM_EIO);
    assert_null(s);
    assert_non_null(strstr(err.text, "damaged"));
    assert_non_null(strstr(err.text, "realm.db"));
}

static void a_home_under_a_file_is_refused(void **state)
{
    char path[128];
    rl_store *s = NULL;
    realm_error err;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/file", work);
    put_file(path, "x", 1);
    (void)snprintf(path, sizeof path, "%s/file/home", work);
    assert_int_not_equal(rl_store_open(&s, path, &err), REALM_OK);
    assert_null(s);
    assert_non_null(strstr(err.text, "file"));
}

/* Root may write everywhere, so the effective user is changed for the attempt. */
static void a_read_only_home_says_what_to_do(void **state)
{
    rl_store *s = NULL;
    realm_error err;
    uid_t me = geteuid();
    realm_status st;

    (void)state;
    rl_store_close(opened());
    assert_int_equal(chmod(work, 0755), 0);
    assert_int_equal(chmod(home, 0555), 0);
    if (me == 0)
        assert_int_equal(seteuid(65534), 0);
    st = rl_store_open(&s, home, &err);
    if (me == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(home, 0700), 0);
    assert_int_equal(st, REALM_EIO);
    assert_null(s);
    assert_non_null(strstr(err.text, "REALM_HOME"));
}

#define THREADS 4
#define ROWS    25

static void *open_and_write(void *arg)
{
    unsigned who = *(unsigned *)arg;
    realm_error err = { .text = "" };
    rl_store_model m = { .arch = "llama", .source = "file" };
    rl_store *s = NULL;
    realm_status st = rl_store_open(&s, home, &err);

    rl_sha256(&who, sizeof who, m.sha256);
    for (unsigned i = 0; st == REALM_OK && i < ROWS; i++) {
        (void)snprintf(m.name, sizeof m.name, "m%u-%u", who, i);
        st = rl_store_model_put(s, &m, false, &err);
    }
    rl_store_close(s);
    if (st != REALM_OK)
        print_error("thread %u: %s\n", who, err.text);
    return st == REALM_OK ? NULL : arg;
}

static void four_threads_open_a_new_home_at_once(void **state)
{
    pthread_t t[THREADS];
    unsigned who[THREADS];
    void *failed;

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        who[i] = i;
        assert_int_equal(pthread_create(&t[i], NULL, open_and_write, &who[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(t[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(sql_int("realm.db", "SELECT count(*) FROM models"), THREADS * ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOME_TEST(a_new_home_is_private_and_complete),
        HOME_TEST(packed_paths_lie_under_models),
        HOME_TEST(a_damaged_database_is_named),
        HOME_TEST(a_home_under_a_file_is_refused),
        HOME_TEST(a_read_only_home_says_what_to_do),
        HOME_TEST(four_threads_open_a_new_home_at_once),
        HOME_TEST(the_environment_names_the_home),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
