/* Every row of the ABI with hostile pointers, lengths, handles and descriptors, for both pointer
 * widths: an error each, nothing written, the guest goes on, and the host's heap hardly moves. */
#include "house.h"
#include "heap.h"
#include "hostile_wat.h"

#include <stdio.h>
#include <string.h>

#define HEAP_PER_CALL ((size_t)256 << 10)

static house the;
static rl_lm *held; /* keeps the model loaded between runs, whose heap is compared */
static uint32_t n_embd;

static int setup(void **state)
{
    char path[512];
    realm_error err;

    (void)state;
    house_open(&the, 0, 1);
    assert_int_equal(house_model("tiny", path, sizeof path, &err), REALM_OK);
    assert_int_equal(rl_lm_open(&held, the.engine, path, &(rl_lm_opts){ 0 }, &err), REALM_OK);
    n_embd = rl_model_get_info(rl_lm_model(held))->n_embd;
    assert_true(n_embd <= 1024); /* the hostile guest's room for floats */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rl_lm_unref(held);
    house_close(&the);
    return 0;
}

static bool result_is_right(const hostile_row *row, const hostile_case *c, int32_t result)
{
    switch (c->kind) {
    case HOSTILE_POINTER:
        if (row->wasi)
            return result == 21 || result == 28; /* EFAULT, EINVAL */
        return result == REALM_EINVAL || result == REALM_ETOOBIG || result == REALM_EUNSUPPORTED;
    case HOSTILE_HANDLE:
        return result == REALM_ENOTFOUND;
    case HOSTILE_MODEL:
        return result < 0;
    case HOSTILE_FD:
        return result == 8; /* EBADF */
    }
    return false;
}

static void check_notes(const hostile_row *row, bool wide, const hostile_case *cases, size_t n,
                        const house_out *out)
{
    assert_int_equal(out->text.len, HOSTILE_NOTES);
    for (size_t i = 0; i < n; i++) {
        const hostile_case *c = &cases[i];
        int32_t result, written;

        memcpy(&result, out->text.data + i * 4, 4);
        memcpy(&written, out->text.data + 2048 + i * 4, 4);
        if (written != 0 || !result_is_right(row, c, result))
            fail_msg("%s.%s (%s) argument %u = (0x%llx, 0x%llx): result %d%s", row->module,
                     row->name, wide ? "memory64" : "wasm32", c->arg, (unsigned long long)c->ptr,
                     (unsigned long long)c->len, result, written ? ", memory was written" : "");
    }
}

/* Runs it twice: the first time everything lazy is made. -> peak heap of the second run */
static size_t run_twice(rl_program *p, house_out *out)
{
    static const char *const args[] = { "hostile", "argument" };
    rl_run_opts opts = house_opts(p, "input");

    opts.args = args;
    opts.n_args = 2;
    house_run(&the, &opts, out);
    house_assert_ok(out);
    house_out_free(out);
    heap_mark();
    house_run(&the, &opts, out);
    house_assert_ok(out);
    return heap_peak();
}

static rl_program *program_of(const hostile_row *row, bool wide, const hostile_case *cases,
                              size_t n)
{
    rl_buf wat;
    rl_program *p;

    rl_buf_init(&wat, (size_t)4 << 20);
    hostile_wat(&wat, row, wide, cases, n, n_embd);
    assert_false(wat.failed);
    p = house_wat(&the, wat.data);
    rl_buf_deinit(&wat);
    return p;
}

static size_t check_row(const hostile_row *row, bool wide)
{
    static hostile_case cases[HOSTILE_MAX_CASES];
    size_t n = hostile_cases(row, wide, cases);
    rl_program *calm, *hostile;
    house_out out;
    size_t before, peak;

    if (n == 0)
        return 0;
    calm = program_of(row, wide, cases, 0);
    hostile = program_of(row, wide, cases, n);
    before = run_twice(calm, &out);
    house_out_free(&out);
    peak = run_twice(hostile, &out);
    check_notes(row, wide, cases, n, &out);
    house_out_free(&out);
    rl_program_unref(calm);
    rl_program_unref(hostile);
    if (peak > before + HEAP_PER_CALL)
        fail_msg("%s.%s: the heap rose by %zu bytes", row->module, row->name, peak - before);
    return n;
}

static void every_row(bool wide)
{
    size_t calls = 0, rows = 0;

    for (size_t i = 0; i < hostile_n_rows; i++) {
        size_t n = wide && hostile_rows[i].wasi ? 0 : check_row(&hostile_rows[i], wide);

        calls += n;
        rows += n > 0;
    }
    print_message("%zu rows, %zu hostile calls\n", rows, calls);
    assert_true(rows > 30);
}

static void wasm32_rows_refuse_hostile_arguments(void **state)
{
    (void)state;
    every_row(false);
}

static void memory64_rows_refuse_hostile_arguments(void **state)
{
    (void)state;
    every_row(true);
}

/* The table's own check: a guest that writes where it must not is noticed. */
static void a_written_canary_is_noticed(void **state)
{
    static const hostile_row row = { "realm", "random", "b", 'i', false };
    static const hostile_case good = { HOSTILE_POINTER, 0, 100000, 16 };
    rl_program *p = program_of(&row, false, &good, 1);
    house_out out;
    int32_t written;

    (void)state;
    (void)run_twice(p, &out);
    memcpy(&written, out.text.data + 2048, 4);
    assert_int_equal(written, 1);
    house_out_free(&out);
    rl_program_unref(p);
}

static void memory64_is_refused_by_preview_1(void **state)
{
    realm_error err;
    rl_program *p = NULL;

    (void)state;
    assert_int_equal(house_try_wat(&the, &p,
                                   "(module (import \"wasi_snapshot_preview1\" \"sched_yield\""
                                   " (func (result i32))) (memory (export \"memory\") i64 1)"
                                   " (func (export \"_start\")))",
                                   &err),
                     REALM_EINVAL);
    assert_non_null(strstr(err.text, "preview 1"));
    assert_non_null(strstr(err.text, "wasm32"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wasm32_rows_refuse_hostile_arguments),
        cmocka_unit_test(memory64_rows_refuse_hostile_arguments),
        cmocka_unit_test(a_written_canary_is_noticed),
        cmocka_unit_test(memory64_is_refused_by_preview_1),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
