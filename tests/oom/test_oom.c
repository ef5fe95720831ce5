/* Does a job again and again while its first, second, third ... allocation fails, until it needs no
 * more: each time it must end with ENOMEM and a sentence, or have done without; never crash, leak
 * or answer something wrong. usage: test_oom JOB [FIRST] */
#include "jobs.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a sanitizer's runtime, when there is one. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static char home[] = "/tmp/realm-oom-XXXXXX";

static int complain(const job *j, long k, realm_status st, const char *what)
{
    (void)fprintf(stderr, "%s: allocation %ld fails: status %d: %s\n", j->name, k, st, what);
    return 1;
}

/* One round. -> 0 good, 1 bad; *more: the allocation was reached */
static int one(const job *j, const char *tiny, long k, long *n_done_without, bool *more)
{
    realm_error err = { .text = "" };
    realm_status st;

    (void)rl_alloc_fail_at(k);
    st = j->run(home, tiny, &err);
    *more = rl_alloc_fail_at(0);
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        return complain(j, k, st, "it leaks");
    if (!*more)
        return st == REALM_OK ? 0 : complain(j, k, st, err.text);
    if (st == REALM_OK) {
        (void)fprintf(stderr, "%s: allocation %ld could be done without\n", j->name, k);
        ++*n_done_without;
    }
    if (st != REALM_OK && st != REALM_ENOMEM)
        return complain(j, k, st, err.text);
    if (st == REALM_ENOMEM && strlen(err.text) < 10)
        return complain(j, k, st, "without a sentence");
    return 0;
}

static int prepare(const char *tiny)
{
    realm_import_options imports = { .name = "tiny" };
    realm_options o = { .home = home };
    realm_error err;
    realm *r;
    int bad;

    if (realm_open(&r, &o, &err) != REALM_OK)
        return 1;
    bad = realm_import(r, tiny, &imports, NULL, &err) != REALM_OK;
    if (bad)
        (void)fprintf(stderr, "%s\n", err.text);
    realm_close(r);
    return bad;
}

static int torture(const job *j, const char *tiny, long k)
{
    long without = 0, n = 0;
    bool more = true;
    int bad = 0;

    if (j->prepared && prepare(tiny))
        return 1;
    if (one(j, tiny, 0, &without, &more)) /* as it should be */
        return 1;
    /* Every one of the first 100; then in growing steps, for jobs that allocate for every token. */
    for (more = true; more; k += k < 100 ? 1 : k / 8) {
        bad += one(j, tiny, k, &without, &more);
        n += more;
    }
    (void)fprintf(stderr, "%s: %ld allocations failed in turn, %ld of them could be done without\n",
                  j->name, n, without);
    return bad || n < 5;
}

int main(int argc, char **argv)
{
    const char *tiny = getenv("REALM_TINY");
    char cmd[64];
    int bad = 2;

    if (argc < 2 || !tiny || !mkdtemp(home)) {
        (void)fprintf(stderr, "usage: REALM_TINY=tiny.gguf %s JOB [FIRST]\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < n_jobs; i++) {
        if (strcmp(jobs[i].name, argv[1]) == 0)
            bad = torture(&jobs[i], tiny, argc > 2 ? strtol(argv[2], NULL, 10) : 1);
    }
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", home);
    /* NOLINTNEXTLINE(cert-env33-c,bugprone-command-processor): our own folder */
    return system(cmd) != 0 || bad;
}
