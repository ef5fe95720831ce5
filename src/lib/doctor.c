/* A look at the machine: what Realm will use of it and what stands in the way. */
#include "lib/internal.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAX_CHECKS 64u
#define GIB        0x1p30

typedef struct report {
    realm *r;
    realm_check *checks; /* owned [MAX_CHECKS] */
    size_t n;
} report;

/* A new line of the report, or the last one again when there is no room. */
static realm_check *line(report *rp, const char *name)
{
    realm_check *c = &rp->checks[rp->n < MAX_CHECKS ? rp->n++ : MAX_CHECKS - 1];

    *c = (realm_check){ .health = REALM_GOOD };
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

static void value(realm_check *c, const char *fmt, ...) REALM_PRINTF(2, 3);
static void value(realm_check *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(c->value, sizeof c->value, fmt, args);
    va_end(args);
}

static void advise(realm_check *c, realm_health health, const char *fmt, ...) REALM_PRINTF(3, 4);
static void advise(realm_check *c, realm_health health, const char *fmt, ...)
{
    va_list args;

    c->health = health;
    va_start(args, fmt);
    (void)vsnprintf(c->advice, sizeof c->advice, fmt, args);
    va_end(args);
}

/* The first line of a small file of the kernel; "" when it cannot be read. */
static void first_line(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "re");

    out[0] = 0;
    if (!f)
        return;
    if (!fgets(out, (int)cap, f))
        out[0] = 0;
    out[strcspn(out, "\n")] = 0;
    (void)fclose(f);
}

/* "MemTotal:  123 kB" of /proc/meminfo as bytes; 0 when unknown. */
static uint64_t meminfo(const char *key)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char row[128];
    uint64_t kib = 0;

    if (!f)
        return 0;
    while (!kib && fgets(row, sizeof row, f)) {
        if (strncmp(row, key, strlen(key)) == 0)
            kib = strtoull(row + strlen(key), NULL, 10);
    }
    (void)fclose(f);
    return kib << 10;
}

static void check_cpu(report *rp)
{
    const char *forced = getenv("REALM_CPU");
    rl_level has = rl_level_of_cpu(), used = rl_kernels_get()->level;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    realm_check *c = line(rp, "cpu");

    value(c, "%s", rl_cpu_name());
    c = line(rp, "kernels");
    value(c, "%s", rl_level_name(used));
    if (has == RL_LEVEL_REF)
        advise(c, REALM_BAD,
               "this CPU has no AVX2: everything runs on the plain reference code, "
               "which is many times slower; use a machine from 2013 or later");
    else if (used != has)
        advise(c, REALM_NOTE, "REALM_CPU=%s holds it below %s; unset it for full speed",
               forced ? forced : "", rl_level_name(has));
    c = line(rp, "threads");
    value(c, "%u of %ld CPUs",
          (unsigned)(rp->r->opts.n_threads ? rp->r->opts.n_threads : (uint32_t)online), online);
}

static void check_memory(report *rp)
{
    uint64_t total = meminfo("MemTotal:"), free_now = meminfo("MemAvailable:");
    realm_check *c = line(rp, "memory");
    char huge[128];

    value(c, "%.1f GiB, %.1f GiB available", (double)total / GIB, (double)free_now / GIB);
    if (free_now < (uint64_t)2 << 30)
        advise(c, REALM_NOTE, "a model needs its packed size and 1 GiB for keys and values");
    first_line("/sys/kernel/mm/transparent_hugepage/enabled", huge, sizeof huge);
    c = line(rp, "huge pages");
    value(c, "%s", huge[0] ? huge : "not offered by this kernel");
    if (!huge[0] || strstr(huge, "[never]"))
        advise(c, REALM_NOTE,
               "decoding is some percent slower without them; as root: echo madvise > "
               "/sys/kernel/mm/transparent_hugepage/enabled");
}

static void check_maps(report *rp)
{
    realm_check *c = line(rp, "guests");
    char text[32];
    unsigned long maps;

    first_line("/proc/sys/vm/max_map_count", text, sizeof text);
    maps = strtoul(text, NULL, 10);
    /* About five mappings per live guest. */
    value(c, "about %lu at once (vm.max_map_count %s)", maps / 5, text[0] ? text : "unknown");
    if (maps && maps < 65530)
        advise(c, REALM_NOTE, "for thousands of guests, as root: sysctl vm.max_map_count=262144");
}

/* -> false when the registry cannot be opened: what depends on it is left out */
static bool check_home(report *rp)
{
    realm_check *c = line(rp, "home");
    char path[RL_LIB_PATH];
    struct statvfs fs;
    realm_error err;

    if (rl_lib_home_path(rp->r, "models", path, &err) != REALM_OK) {
        value(c, "%.250s", rp->r->home ? rp->r->home : "");
        advise(c, REALM_BAD, "%s", err.text);
        return false;
    }
    value(c, "%.*s", (int)(strlen(path) - strlen("/models")), path);
    if (access(path, W_OK) != 0)
        advise(c, REALM_BAD, "its models folder cannot be written: models cannot be imported");
    c = line(rp, "disk");
    if (statvfs(path, &fs) == 0) {
        double room = (double)fs.f_bavail * (double)fs.f_frsize;

        value(c, "%.1f GiB free", room / GIB);
        if (room < 2 * GIB)
            advise(c, REALM_NOTE,
                   "little room for further models; realm prune removes what no "
                   "name stands for");
    }
    return true;
}

static void check_models(report *rp)
{
    realm_entry *list;
    uint32_t stray;
    uint64_t bytes = 0, stray_bytes;
    size_t n, broken = 0;
    realm_error err;
    realm_check *c = line(rp, "models");

    if (realm_list(rp->r, &list, &n, &err) != REALM_OK) {
        advise(c, REALM_BAD, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        bytes += list[i].packed_bytes;
        if (list[i].usable)
            continue;
        if (!broken++)
            advise(c, REALM_BAD,
                   "%.64s has no good packed file; import it again: realm import %.90s",
                   list[i].name, list[i].source);
    }
    value(c, "%zu, %.2f GiB%s", n, (double)bytes / GIB, broken ? ", some cannot be used" : "");
    if (n == 0)
        advise(c, REALM_NOTE, "import one: realm import FILE.gguf");
    realm_free(list);
    if (realm_prune(rp->r, true, &stray, &stray_bytes, NULL) == REALM_OK && stray) {
        c = line(rp, "unnamed files");
        value(c, "%" PRIu32 ", %.2f GiB", stray, (double)stray_bytes / GIB);
        advise(c, REALM_NOTE, "realm prune removes them");
    }
}

/* The smallest module there is shows that modules can be compiled and their cache written. */
static void check_runtime(report *rp)
{
    static const unsigned char empty[] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
    realm_check *c = line(rp, "WebAssembly");
    rl_runtime *rt;
    rl_buf json;
    realm_error err;
    realm_status st = rl_lib_runtime(rp->r, &rt, &err);

    rl_buf_init(&json, 65536);
    if (st == REALM_OK)
        st = rl_program_inspect(rt, empty, sizeof empty, &json, &err);
    rl_buf_deinit(&json);
    value(c, "%s", st == REALM_OK ? "works" : "does not start");
    if (st != REALM_OK)
        advise(c, REALM_BAD, "%s", err.text);
}

realm_status realm_doctor(realm *r, realm_check **checks, size_t *n, realm_error *err)
{
    report rp = { .r = r };

    *checks = NULL;
    *n = 0;
    rp.checks = rl_alloc_array(MAX_CHECKS, sizeof *rp.checks);
    if (!rp.checks)
        return realm_fail(err, REALM_ENOMEM, "no memory for the report");
    check_cpu(&rp);
    check_memory(&rp);
    check_maps(&rp);
    if (check_home(&rp)) {
        check_models(&rp);
        check_runtime(&rp);
    }
    *checks = rp.checks;
    *n = rp.n;
    return REALM_OK;
}

realm_status realm_kernels(realm *r, char **json, realm_error *err)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    rl_buf out;
    rl_json j;

    rl_buf_init(&out, 1 << 20);
    j = rl_json_on(&out);
    rl_json_object(&j, NULL);
    rl_json_string(&j, "cpu", rl_cpu_name());
    rl_json_uint(&j, "threads", r->opts.n_threads ? r->opts.n_threads : (uint64_t)online);
    rl_json_string(&j, "level", rl_level_name(rl_kernels_get()->level));
    rl_json_object(&j, "served");
    for (uint32_t t = 0; t < RL_TYPE_COUNT; t++) {
        bool open = false;

        for (int level = 0; level < RL_LEVELS; level++) {
            uint64_t calls = rl_type_get(t) ? rl_matmul_served((rl_type)t, (rl_level)level) : 0;

            if (calls && !open)
                rl_json_object(&j, rl_type_get(t)->name);
            open = open || calls;
            if (calls)
                rl_json_uint(&j, rl_level_name((rl_level)level), calls);
        }
        if (open)
            rl_json_end_object(&j);
    }
    rl_json_end_object(&j);
    rl_json_end_object(&j);
    *json = rl_buf_take(&out);
    rl_buf_deinit(&out);
    return *json ? REALM_OK : realm_fail(err, REALM_ENOMEM, "no memory for the report");
}
