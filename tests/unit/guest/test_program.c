/* What is accepted as a program, and what is said about the rest. */
#include "bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasmtime.h>

static rl_runtime *rt;

static int open_rt(void **state)
{
    (void)state;
    rt = bed_open(NULL, 1);
    return 0;
}

static int close_rt(void **state)
{
    (void)state;
    rl_runtime_free(rt);
    return 0;
}

/* The module must be refused with EINVAL and a sentence that holds all of `text`. */
static void refused(const char *wat, const char *text)
{
    rl_program *p = NULL;
    realm_error err;

    assert_int_equal(bed_try(&p, rt, wat, &err), REALM_EINVAL);
    assert_null(p);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

#define MEM "(memory (export \"memory\") 1)"
#define RUN "(func (export \"run\") (result i32) (i32.const 0))"

static void test_not_wasm(void **state)
{
    static const uint8_t component[8] = { 0, 'a', 's', 'm', 13, 0, 1, 0 };
    static const uint8_t broken[12] = { 0, 'a', 's', 'm', 1, 0, 0, 0, 1, 200, 200, 200 };
    rl_program *p;
    realm_error err;

    (void)state;
    assert_int_equal(rl_program_load(&p, rt, "hello", 5, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "not a WebAssembly module"));
    assert_int_equal(rl_program_load(&p, rt, "", 0, &err), REALM_EINVAL);
    assert_int_equal(rl_program_load(&p, rt, component, sizeof component, &err), REALM_EINVAL);
    assert_non_null(strstr(err.text, "component"));
    assert_int_equal(rl_program_load(&p, rt, broken, sizeof broken, &err), REALM_EINVAL);
    assert_null(p);
    rl_program_unref(NULL);
}

static void test_imports(void **state)
{
    (void)state;
    refused("(module (import \"env\" \"shell\" (func))" MEM RUN ")", "unknown import env.shell");
    refused("(module (import \"real\" \"log\" (func))" MEM RUN ")", "unknown import real.log");
    refused("(module (import \"env\" \"memory\" (memory 1))" RUN ")", "exports no memory");
    refused("(module (import \"env\" \"base\" (global i32))" MEM RUN ")", "env.base");
    refused("(module (import \"realm\" \"emit\" (global i32))" MEM RUN ")",
            "no such memory, table or global");
    refused("(module (import \"realm\" \"emit\" (func (param i32) (result i32)))" MEM RUN ")",
            "import realm.emit has the type (i32) -> i32; it is (i32, i32) -> i32");
    refused("(module (import \"realm\" \"emit\" (func (param i32 i32)))" MEM RUN ")",
            "has the type (i32, i32); it is (i32, i32) -> i32");
    refused("(module (import \"realm\" \"emit\" (func (param i64 i64) (result i32)))" MEM RUN ")",
            "has the type (i64, i64) -> i32");
    /* the same name for a memory64 program has the other type */
    refused("(module (import \"realm\" \"emit\" (func (param i32 i32) (result i32)))"
            "(memory (export \"memory\") i64 1)" RUN ")",
            "it is (i64, i64) -> i32");
    refused("(module (import \"realm\" \"emit\" (func (param i32 i32) (result i32)))"
            "(import \"realm\" \"emit\" (func (param i32) (result i32)))" MEM RUN ")",
            "realm.emit has the type (i32) -> i32");
}

static void test_exports(void **state)
{
    (void)state;
    refused("(module " RUN ")", "exports no memory");
    refused("(module (func (export \"memory\")) " RUN ")", "exports no memory");
    refused("(module (memory 1)" RUN ")", "exports no memory");
    refused("(module " MEM ")", "_start, run or generate");
    refused("(module " MEM "(global (export \"run\") i32 (i32.const 1)))", "no entry");
    refused("(module " MEM "(func (export \"run\")))", "export run has a wrong type");
    refused("(module " MEM "(func (export \"run\") (result i64) (i64.const 0)))", "() -> i32");
    refused("(module " MEM "(func (export \"_start\") (param i32)))", "export _start");
    refused("(module " MEM "(func (export \"_initialize\") (param i32))" RUN ")", "_initialize");
    refused("(module " MEM "(func (export \"generate\") (param i32) (result i32) "
            "(i32.const 0)))",
            "export generate has a wrong type");
    /* i64 is an address only where memory is 64 bits wide */
    refused("(module " MEM "(func (export \"generate\") (param i64 i64) (result i64) "
            "(i64.const 0)))",
            "export generate has a wrong type");
    refused("(module (import \"env\" \"abort\" (func (param i32 i32 i32 i32)))" MEM
            "(func (export \"generate\") (param i32 i32) (result i32) (i32.const 0)))",
            "--exportRuntime");
    refused("(module (memory (export \"memory\") 257)" RUN ")", "memory does not fit");
    refused("(module (memory (export \"memory\") 1 1 shared)" RUN ")", "compiled");
}

static void accepted(const char *wat)
{
    rl_program_unref(bed_wat(rt, wat));
}

static void test_accepted(void **state)
{
    (void)state;
    accepted("(module " MEM RUN ")");
    accepted("(module (memory (export \"memory\") i64 1)" RUN ")");
    accepted("(module (import \"realm\" \"emit\" (func (param i64 i64) (result i32)))"
             "(memory (export \"memory\") i64 1)" RUN ")");
    accepted("(module (import \"realm\" \"emit\" (func (param i32 i32) (result i32)))"
             "(import \"realm\" \"emit\" (func $again (param i32 i32) (result i32)))" MEM RUN ")");
    accepted("(module (import \"env\" \"realm_host_generate\" "
             "(func (param i32 i32 i32 i32 i32) (result i32)))" MEM RUN ")");
    accepted("(module (import \"env\" \"realm_host_generate\" "
             "(func (param i32 i32 i32 i32 i32 i32) (result i32)))" MEM RUN ")");
    /* both forms of the one name that has two */
    accepted("(module (import \"realm\" \"now_ms\" (func (result i64)))"
             "(import \"env\" \"realm_host_generate\" "
             "(func (param i32 i32 i32 i32 i32 i32) (result i32)))"
             "(import \"env\" \"realm_host_generate\" "
             "(func (param i32 i32 i32 i32 i32) (result i32)))" MEM RUN ")");
    accepted("(module " MEM "(func (export \"generate\") (param i32 i32 i32 i32) (result i32) "
             "(i32.const 8)))");
    accepted("(module (memory (export \"memory\") i64 1)"
             "(func (export \"generate\") (param i64 i64) (result i64) (i64.const 8)))");
}

/* ---- the cache ------------------------------------------------------------------------------- */

static const char cached[] = "(module " MEM "(func (export \"run\") (result i32) (i32.const 7)))";

/* The path of the only compiled module in the folder. */
static void entry_of(const char *dir, char *path, size_t cap)
{
    char command[512];
    FILE *f;

    (void)snprintf(command, sizeof command, "ls %s/*.cwasm", dir);
    f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(path, (int)cap, f));
    assert_null(fgets(command, sizeof command, f));
    (void)pclose(f);
    path[strcspn(path, "\n")] = 0;
}

/* Runs it in a runtime of its own. from_cache: whether that should have had nothing to compile. */
static int32_t run_cached(const char *dir, size_t max_memory, bool from_cache)
{
    rl_runtime_opts o = {
        .compiled_dir = dir, .n_workers = 1, .max_guests = 1, .max_memory = max_memory
    };
    rl_runtime *cache_rt = bed_open_with(&o);
    int32_t answer = bed_answer(cache_rt, bed_wat(cache_rt, cached));
    rl_runtime_stats stats;

    rl_runtime_get_stats(cache_rt, &stats);
    assert_int_equal(stats.modules_compiled, !from_cache);
    assert_int_equal(stats.modules_cached, from_cache);
    rl_runtime_free(cache_rt);
    return answer;
}

static void test_cache(void **state)
{
    char dir[] = "/tmp/realm-cache-XXXXXX", path[600];
    struct stat before, after;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(run_cached(dir, 65536, false), 7);
    entry_of(dir, path, sizeof path);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(run_cached(dir, 65536, true), 7);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino); /* it was used, not written again */

    f = fopen(path, "r+"); /* machine code that was changed must not run */
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)before.st_size / 2, SEEK_SET), 0);
    assert_int_equal(fwrite("REALM", 1, 5, f), 5);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(run_cached(dir, 65536, false), 7);
    assert_int_equal(stat(path, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
}

/* Machine code is made for the address space of a memory: runtimes that differ in it use a folder
 * together and do not take turns in compiling. */
static void test_cache_of_two_limits(void **state)
{
    const size_t large = (size_t)5 << 30; /* more than is reserved anyway */
    char dir[] = "/tmp/realm-cache-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int again = 0; again < 2; again++) {
        assert_int_equal(run_cached(dir, 65536, again), 7);
        assert_int_equal(run_cached(dir, large, again), 7);
    }
}

static void test_cache_folder(void **state)
{
    char dir[] = "/tmp/realm-cache-XXXXXX";
    rl_runtime_opts o = { .compiled_dir = dir, .max_guests = 1, .max_memory = 65536 };
    rl_runtime *r;
    realm_error err;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(rl_runtime_new(&r, &o, &err), REALM_EDENIED);
    assert_non_null(strstr(err.text, "0700"));
    assert_int_equal(rmdir(dir), 0);
}

/* ---- inspect --------------------------------------------------------------------------------- */

static void inspect(const char *wat, rl_buf *json)
{
    wasm_byte_vec_t wasm;
    realm_error err;

    assert_null(wasmtime_wat2wasm(wat, strlen(wat), &wasm));
    rl_buf_init(json, 65536);
    assert_int_equal(rl_program_inspect(rt, wasm.data, wasm.size, json, &err), REALM_OK);
    wasm_byte_vec_delete(&wasm);
}

static void test_inspect(void **state)
{
    realm_error err;
    rl_buf json;

    (void)state;
    inspect("(module (import \"a\" \"b\" (func)) (memory (export \"m\") 2))", &json);
    assert_non_null(strstr(json.data, "\"known\":false"));
    assert_non_null(strstr(json.data, "\"kind\":\"none\""));
    assert_non_null(strstr(json.data, "\"problem\":\"the program exports no memory"));
    assert_int_not_equal(rl_program_inspect(rt, "x", 1, &json, &err), REALM_OK);
    rl_buf_deinit(&json);
    /* a program larger than the runtime allows can still be looked at */
    inspect("(module (import \"realm\" \"model_open\" (func (param i64 i64) (result i32)))"
            "(memory (export \"memory\") i64 5000 6000)" RUN ")",
            &json);
    assert_non_null(strstr(json.data, "\"kind\":\"run\""));
    assert_non_null(strstr(json.data, "\"min_pages\":5000,\"max_pages\":6000,\"memory64\":true"));
    assert_non_null(strstr(json.data, "\"type\":\"(i64, i64) -> i32\",\"capability\":\"infer\","
                                      "\"known\":true"));
    assert_non_null(strstr(json.data, "\"capabilities\":[\"infer\"]"));
    rl_buf_deinit(&json);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_wasm),
        cmocka_unit_test(test_imports),
        cmocka_unit_test(test_exports),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_cache_folder),
        cmocka_unit_test(test_cache_of_two_limits),
        cmocka_unit_test(test_inspect),
    };

    return cmocka_run_group_tests(tests, open_rt, close_rt);
}
