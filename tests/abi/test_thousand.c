/* A thousand guests alive at once: each has touched 64 KiB of its own and waits in a completion;
 * all of them end with the text of a run alone, the weights are mapped once, and a guest costs at
 * most 128 KiB and its KV. */
#include "house.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUESTS    1000u
#define PROMPTS   8u
#define PER_GUEST ((size_t)128 << 10)
#define WAIT_NS   ((uint64_t)120 * 1000 * 1000 * 1000)

static house the;
static rl_program *parked;
static const char *const prompts[PROMPTS] = {
    "400 the water was",  "400 one day", "400 first of all", "400 number 4 is",
    "400 how to make it", "400 they",    "400 long ago,",    "400 what would you do",
};

/* Sum of a field of /proc/self/smaps over mappings of `path` (NULL: of all), in bytes. */
static size_t smaps_sum(const char *path, const char *field, unsigned *n_mappings)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[1024];
    bool counted = false;
    size_t sum = 0, kb;

    assert_non_null(f);
    *n_mappings = 0;
    while (fgets(line, sizeof line, f)) {
        unsigned long long begin, end;

        if (sscanf(line, "%llx-%llx ", &begin, &end) == 2) {
            counted = path == NULL || strstr(line, path) != NULL;
            *n_mappings += counted;
        } else if (counted && strncmp(line, field, strlen(field)) == 0 &&
                   sscanf(line + strlen(field), " %zu kB", &kb) == 1) {
            sum += kb << 10;
        }
    }
    (void)fclose(f);
    return sum;
}

static size_t pss(void)
{
    unsigned n;

    return smaps_sum(NULL, "Pss:", &n);
}

static size_t kv_bytes(void)
{
    rl_engine_stats stats;

    rl_engine_get_stats(the.engine, &stats);
    return stats.kv_bytes_used;
}

/* Waits until exactly n guests are parked; false when one was done before. */
static void wait_parked(uint32_t n, uint64_t runs_done)
{
    uint64_t begin = rl_clock_ns();
    rl_runtime_stats stats;

    do {
        usleep(200);
        rl_runtime_get_stats(the.rt, &stats);
        if (stats.runs_done != runs_done || rl_clock_ns() - begin > WAIT_NS)
            fail_msg("%u of %u parked, %llu done early", stats.parked, n,
                     (unsigned long long)(stats.runs_done - runs_done));
    } while (stats.parked != n);
}

static uint64_t runs_done(void)
{
    rl_runtime_stats stats;

    rl_runtime_get_stats(the.rt, &stats);
    return stats.runs_done;
}

static char *text_alone(const char *prompt, size_t *bytes)
{
    rl_run_opts opts = house_opts(parked, prompt);
    uint64_t done = runs_done();
    rl_run *run = house_start(&the, &opts);
    house_out out;
    char *text;

    wait_parked(1, done);
    *bytes = pss() - kv_bytes();
    house_finish(run, &out);
    house_assert_ok(&out);
    assert_true(out.text.len > 20);
    text = rl_buf_take(&out.text);
    house_out_free(&out);
    return text;
}

static void the_weights_are_mapped_once(void)
{
    char path[512];
    realm_error err;
    unsigned n;
    long file_bytes;
    FILE *f;

    assert_int_equal(house_model("tiny", path, sizeof path, &err), REALM_OK);
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    file_bytes = ftell(f);
    (void)fclose(f);
    assert_true(smaps_sum(path, "Size:", &n) <= (size_t)file_bytes + 4096);
    assert_int_equal(n, 1);
}

static void a_thousand_guests_wait_at_once(void **state)
{
    static rl_run *runs[GUESTS];
    char *alone[PROMPTS];
    size_t one = 0, all;
    uint64_t done;
    house_out out;

    (void)state;
    house_open(&the, (size_t)1 << 30, 1);
    parked = house_program(&the, "parked");
    for (uint32_t i = 0; i < PROMPTS; i++)
        alone[i] = text_alone(prompts[i], &one);
    done = runs_done();
    for (uint32_t i = 0; i < GUESTS; i++) {
        rl_run_opts opts = house_opts(parked, prompts[i % PROMPTS]);

        runs[i] = house_start(&the, &opts);
    }
    wait_parked(GUESTS, done);
    all = pss() - kv_bytes();
    the_weights_are_mapped_once();
    for (uint32_t i = 0; i < GUESTS; i++) {
        house_finish(runs[i], &out);
        house_assert_ok(&out);
        assert_string_equal(house_text(&out), alone[i % PROMPTS]);
        house_out_free(&out);
    }
    print_message("PSS less KV: %zu KiB with 1 guest, %zu KiB with %u: %zu bytes a guest\n",
                  one >> 10, all >> 10, GUESTS, all > one ? (all - one) / (GUESTS - 1) : 0);
    assert_true(all <= one + (GUESTS - 1) * PER_GUEST);
    for (uint32_t i = 0; i < PROMPTS; i++)
        free(alone[i]);
    rl_program_unref(parked);
    house_close(&the);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_guests_wait_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
