/* Programs: what is installed is loaded before there is a request, and loaded again only when its
 * name means another module. */
#include "../store/home.h"

#include "base/log.h"
#include "guest/program.h"
#include "server/internal.h"

#define TABLE 64u /* programs that stay loaded */

static rl_server s;
static rl_program program; /* what every name stands for */
static uint32_t n_loads;
static const char *damaged; /* a name; NULL: none is */

static realm_status count_load(void *ctx, const char *name, rl_program **out, realm_error *err)
{
    (void)ctx;
    n_loads++;
    if (damaged && strcmp(name, damaged) == 0)
        return realm_fail(err, REALM_EINVAL, "damaged");
    *out = rl_program_ref(&program);
    return REALM_OK;
}

static void install(const char *name, const char *module)
{
    rl_store_program p = { .bytes = 8 };

    (void)snprintf(p.name, sizeof p.name, "%s", name);
    rl_sha256(module, strlen(module), p.sha256);
    assert_int_equal(rl_store_program_put(s.intake_store, &p, true, NULL), REALM_OK);
}

static realm_status find(const char *asked)
{
    rl_ask ask = { .api = RL_API_CHAT };
    char model[RL_NAME_MAX + 1];
    rl_program *p = NULL;
    realm_error err;
    realm_status st;

    (void)snprintf(ask.model, sizeof ask.model, "%s", asked);
    st = rl_programs_find(&s, &ask, &p, model, &err);
    assert_ptr_equal(p, st == REALM_OK ? &program : NULL);
    rl_program_unref(p);
    return st;
}

static int open_server(void **state)
{
    if (make_home(state) != 0)
        return -1;
    memset(&s, 0, sizeof s);
    s.intake_store = opened();
    s.o.load = count_load;
    atomic_store(&program.refs, 1);
    n_loads = 0;
    damaged = NULL;
    return 0;
}

static int close_server(void **state)
{
    rl_programs_free(s.programs);
    rl_store_close(s.intake_store);
    assert_int_equal(atomic_load(&program.refs), 1);
    return drop_home(state);
}

static void no_request_loads_what_was_installed(void **state)
{
    (void)state;
    install("a", "one");
    install("b", "two");
    rl_programs_warm(&s);
    assert_int_equal(n_loads, 2);
    assert_int_equal(find("a"), REALM_OK);
    assert_int_equal(find("b"), REALM_OK);
    assert_int_equal(find("b@some-model"), REALM_OK);
    assert_int_equal(n_loads, 2);
}

static void a_module_is_loaded_once(void **state)
{
    (void)state;
    rl_programs_warm(&s);
    assert_int_equal(n_loads, 0);
    install("late", "one");
    assert_int_equal(find("late"), REALM_OK);
    assert_int_equal(find("late"), REALM_OK);
    assert_int_equal(n_loads, 1);
    install("late", "two"); /* program add --replace */
    assert_int_equal(find("late"), REALM_OK);
    assert_int_equal(find("late"), REALM_OK);
    assert_int_equal(n_loads, 2);
    assert_int_equal(rl_store_program_delete(s.intake_store, "late", NULL), REALM_OK);
    assert_int_equal(find("late@model"), REALM_ENOTFOUND);
    assert_int_equal(n_loads, 2);
}

static void a_damaged_one_does_not_keep_the_others(void **state)
{
    (void)state;
    install("a", "one");
    install("b", "two");
    install("c", "three");
    damaged = "b";
    rl_log_set_level(RL_LOG_ERROR); /* the warning is right here */
    rl_programs_warm(&s);
    rl_log_set_level(RL_LOG_WARN);
    assert_int_equal(n_loads, 3);
    assert_int_equal(find("a"), REALM_OK);
    assert_int_equal(find("c"), REALM_OK);
    assert_int_equal(n_loads, 3);
    assert_int_equal(find("b"), REALM_EINVAL); /* its caller is told */
    damaged = NULL;
    assert_int_equal(find("b"), REALM_OK); /* it was installed again */
}

static void more_than_fit(void **state)
{
    char name[16];

    (void)state;
    for (uint32_t i = 0; i < TABLE + 8; i++) {
        (void)snprintf(name, sizeof name, "p%03u", i);
        install(name, name);
    }
    rl_programs_warm(&s);
    assert_int_equal(n_loads, TABLE + 8); /* each was compiled, if it had to be */
    for (uint32_t i = 8; i < TABLE + 8; i++) {
        (void)snprintf(name, sizeof name, "p%03u", i);
        assert_int_equal(find(name), REALM_OK);
    }
    assert_int_equal(n_loads, TABLE + 8);
    assert_int_equal(find("p000"), REALM_OK);
    assert_int_equal(n_loads, TABLE + 9);
}

static void a_server_without_programs(void **state)
{
    (void)state;
    install("a", "one");
    s.o.load = NULL;
    s.o.builtin.chat = &program;
    rl_programs_warm(&s);
    assert_int_equal(find("a"), REALM_OK); /* as the name of a model */
    assert_int_equal(find("a@model"), REALM_ENOTFOUND);
    assert_int_equal(n_loads, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_server, close_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_request_loads_what_was_installed),
        TEST(a_module_is_loaded_once),
        TEST(a_damaged_one_does_not_keep_the_others),
        TEST(more_than_fit),
        TEST(a_server_without_programs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
