/* Runtime: wasmtime's engine with its pool of instances, the workers, the helpers and the ticker.
 */
#include "guest/runtime.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VMAS_PER_GUEST 6u
#define VMAS_KEPT      8192u /* for everything that is not a guest */
#define MAX_GUESTS     4096u
#define STACK_BYTES    ((size_t)1 << 20)
#define WASM_STACK     ((size_t)512 << 10)
#ifdef REALM_TSAN
#define KEEP_RESIDENT ((size_t)0) /* the pool's own memset looks like a race: the kernel clears */
#else
#define KEEP_RESIDENT ((size_t)64 << 10)
#endif
#define RESERVATION ((uint64_t)4 << 30) /* a wasm32 memory needs no bounds checks inside it */

/* The kernel's limit on mappings is what bounds live guests, not memory. */
static uint32_t most_guests(void)
{
    FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
    char line[32] = "";
    unsigned long maps = 65530;

    if (f) {
        if (fgets(line, sizeof line, f))
            maps = strtoul(line, NULL, 10);
        (void)fclose(f);
    }
    if (maps <= VMAS_KEPT + VMAS_PER_GUEST)
        return 1;
    maps = (maps - VMAS_KEPT) / VMAS_PER_GUEST;
    return maps < UINT32_MAX ? (uint32_t)maps : UINT32_MAX;
}

static uint32_t default_guests(void)
{
    uint32_t most = most_guests();

    return most < MAX_GUESTS ? most : MAX_GUESTS;
}

/* Those this process may use, in a container too. */
static uint32_t online_cpus(void)
{
    cpu_set_t set;
    int n = 1;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

/* Every feature whose name a guest could rely on is set here, so that an upgrade changes nothing.
 */
static void set_features(wasm_config_t *c)
{
    wasmtime_config_wasm_memory64_set(c, true);
    wasmtime_config_wasm_simd_set(c, true);
    wasmtime_config_wasm_relaxed_simd_set(c, true);
    wasmtime_config_wasm_relaxed_simd_deterministic_set(c, true);
    wasmtime_config_wasm_bulk_memory_set(c, true);
    wasmtime_config_wasm_multi_value_set(c, true);
    wasmtime_config_wasm_tail_call_set(c, true);
    wasmtime_config_wasm_multi_memory_set(c, false);
    wasmtime_config_wasm_custom_page_sizes_set(c, false);
    wasmtime_config_wasm_wide_arithmetic_set(c, false);
    wasmtime_config_wasm_stack_switching_set(c, false);
    wasmtime_config_shared_memory_set(c, false);
    wasmtime_config_gc_support_set(c, false);
    wasmtime_config_epoch_interruption_set(c, true);
    wasmtime_config_memory_init_cow_set(c, true);
    wasmtime_config_memory_may_move_set(c, false);
    wasmtime_config_native_unwind_info_set(c, false);
    wasmtime_config_max_wasm_stack_set(c, WASM_STACK);
    wasmtime_config_async_stack_size_set(c, STACK_BYTES);
#ifdef REALM_TSAN
    /* rayon's threads are not instrumented: their hand-over looks like a race */
    wasmtime_config_parallel_compilation_set(c, false);
#endif
}

/* One slot has all a guest can need: instance, memory, table, fiber stack. Slots keep 64 KiB
 * resident when they are given back, so that the next guest does not fault them in again. */
static void set_pool(wasm_config_t *c, uint32_t slots, size_t max_memory)
{
    wasmtime_pooling_allocation_config_t *p = wasmtime_pooling_allocation_config_new();

    wasmtime_pooling_allocation_config_total_core_instances_set(p, slots);
    wasmtime_pooling_allocation_config_total_memories_set(p, slots);
    wasmtime_pooling_allocation_config_total_tables_set(p, slots);
    wasmtime_pooling_allocation_config_total_stacks_set(p, slots);
    wasmtime_pooling_allocation_config_max_memories_per_module_set(p, 1);
    wasmtime_pooling_allocation_config_max_tables_per_module_set(p, 1);
    wasmtime_pooling_allocation_config_table_elements_set(p, RL_TABLE_MAX);
    wasmtime_pooling_allocation_config_max_memory_size_set(p, max_memory);
    wasmtime_pooling_allocation_config_max_unused_warm_slots_set(p, slots);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(p, KEEP_RESIDENT);
    wasmtime_pooling_allocation_config_table_keep_resident_set(p, KEEP_RESIDENT);
    wasmtime_pooling_allocation_config_async_stack_keep_resident_set(p, KEEP_RESIDENT / 4);
    wasmtime_pooling_allocation_strategy_set(c, p);
    wasmtime_pooling_allocation_config_delete(p);
}

/* With 4 GiB of it a 32-bit address cannot leave its slot. */
uint64_t rl_wasm_reservation(size_t max_memory)
{
#ifdef REALM_TSAN
    return max_memory; /* its shadow leaves little address space */
#else
    return max_memory < RESERVATION ? RESERVATION : max_memory;
#endif
}

wasm_engine_t *rl_wasm_engine_new(uint32_t slots, size_t max_memory, realm_error *err)
{
    wasm_config_t *c = wasm_config_new();
    wasm_engine_t *e;

    set_features(c);
    wasmtime_config_memory_reservation_set(c, rl_wasm_reservation(max_memory));
    wasmtime_config_memory_guard_size_set(c, (uint64_t)32 << 20);
    if (slots)
        set_pool(c, slots, max_memory);
    /* Takes the configuration. */
    e = wasm_engine_new_with_config(c);
    if (!e)
        (void)realm_fail(err, REALM_ENOMEM,
                         "no address space for %u guests of %zu bytes: lower the limits", slots,
                         max_memory);
    return e;
}

static realm_status start_threads(rl_runtime *rt, realm_error *err)
{
    realm_status st = rl_ticker_start(&rt->ticker, rt->wasm, err);
    uint32_t i;

    if (st == REALM_OK)
        st = rl_helpers_start(rt, err);
    for (i = 0; st == REALM_OK && i < rt->n_workers; i++)
        st = rl_worker_start(&rt->workers[i], rt, rt->max_guests, err);
    return st;
}

/* Zeros are defaults; limits are rounded up to whole pages. */
static void read_opts(rl_runtime *rt, const rl_runtime_opts *o)
{
    size_t page = 65536;

    rt->opts = *o;
    rt->opts.compiled_dir = NULL;
    rl_keep_init(&rt->keep, o->keep_models);
    rt->n_workers = o->n_workers ? o->n_workers : online_cpus();
    if (rt->n_workers > RL_MAX_WORKERS)
        rt->n_workers = RL_MAX_WORKERS;
    rt->max_guests = o->max_guests ? o->max_guests : default_guests();
    rt->max_memory = o->max_memory ? o->max_memory : RL_MEMORY_DEFAULT;
    rt->max_memory = (rt->max_memory + page - 1) / page * page;
}

realm_status rl_runtime_new(rl_runtime **out, const rl_runtime_opts *opts, realm_error *err)
{
    rl_runtime *rt = rl_alloc(sizeof *rt);
    realm_status st = REALM_OK;

    *out = NULL;
    if (!rt)
        return realm_fail(err, REALM_ENOMEM, "no memory for the guest runtime");
    read_opts(rt, opts);
    if (opts->max_memory > SIZE_MAX / 2)
        st = realm_fail(err, REALM_EINVAL, "a guest memory limit of %zu bytes is too large",
                        opts->max_memory);
    if (rt->max_guests > most_guests())
        st = realm_fail(err, REALM_EINVAL,
                        "%u guests at a time need more mappings than vm.max_map_count allows, "
                        "which is enough for %u: raise it with sysctl",
                        rt->max_guests, most_guests());
    if (st == REALM_OK && opts->compiled_dir)
        st = rl_cache_open(&rt->compiled_dir, opts->compiled_dir, err);
    if (st == REALM_OK) {
        rt->workers = rl_alloc_array(rt->n_workers, sizeof *rt->workers);
        rt->wasm = rl_wasm_engine_new(rt->max_guests, rt->max_memory, err);
        if (!rt->wasm)
            st = REALM_ENOMEM;
        else if (!rt->workers)
            st = realm_fail(err, REALM_ENOMEM, "no memory for the guest runtime");
    }
    if (st == REALM_OK)
        st = start_threads(rt, err);
    if (st != REALM_OK) {
        rl_runtime_free(rt);
        return st;
    }
    *out = rt;
    return REALM_OK;
}

/* An op that the engine or a helper still has belongs to a run that is over; it ends by itself. */
static void wait_for_ops(const rl_runtime *rt)
{
    /* Polled: only at the end of the process, and an op must not touch a lock of ours after its
     * last count. */
    while (atomic_load(&rt->ops) > 0)
        (void)usleep(500);
}

/* Ops first: they wake workers. Then workers, helpers, the ticker, and wasmtime last. */
void rl_runtime_free(rl_runtime *rt)
{
    uint32_t i;

    if (!rt)
        return;
    wait_for_ops(rt); /* they wake workers */
    for (i = 0; rt->workers && i < rt->n_workers; i++)
        rl_worker_stop(&rt->workers[i]);
    rl_helpers_stop(rt);
    rl_ticker_stop(&rt->ticker);
    if (rt->wasm)
        wasm_engine_delete(rt->wasm);
    rl_keep_deinit(&rt->keep);
    rl_free(rt->workers);
    rl_free(rt->compiled_dir);
    rl_free(rt);
}

void rl_runtime_get_stats(const rl_runtime *rt, rl_runtime_stats *out)
{
    *out = (rl_runtime_stats){
        .runs_started = atomic_load(&rt->runs_started),
        .runs_done = atomic_load(&rt->runs_done),
        .traps = atomic_load(&rt->traps),
        .host_calls = atomic_load(&rt->host_calls),
        .jobs_from_guests = atomic_load(&rt->jobs_from_guests),
        .modules_compiled = atomic_load(&rt->modules_compiled),
        .modules_cached = atomic_load(&rt->modules_cached),
        .cpu_ns = atomic_load(&rt->cpu_ns),
        .live = atomic_load(&rt->live),
        .parked = atomic_load(&rt->parked),
    };
    for (size_t i = 0; i < RL_N_LIMITS; i++)
        out->ended[i] = atomic_load(&rt->ended[i]);
}

rl_engine *rl_runtime_engine(const rl_runtime *rt)
{
    return rt->opts.engine;
}
