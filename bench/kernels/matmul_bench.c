/* Speed of matmul per type and number of rows.
 *
 * usage: matmul_bench [K N [threads [type...]]]     default 896 4864 1, every type
 *
 * Weights rotate through enough matrices to be cold, as in a model. Per line: billions of
 * multiply-adds per second, their share of the int8 dot product peak of the same threads measured
 * in the same process (AVX-512 VNNI; "-" without), and GB/s of packed weights. Best of several
 * runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/work.h"
#include "kernels/kernels.h"

#define COLD_BYTES (160u << 20)
#define RUN_NS     60000000u
#define RUNS       5
#define CHUNK      8u /* panels of a work item */

static const uint32_t rows_of_line[] = { 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 512 };

typedef struct bench {
    const rl_kernels *kn;
    rl_work *pool;
    uint32_t threads;
    rl_weight w;
    uint8_t *matrices; /* [n_matrices] of matrix_bytes */
    uint32_t n_matrices, next;
    size_t matrix_bytes;
    rl_acts acts;
    float *out;
    size_t ldo;
} bench;

static uint64_t random_state = 88172645463325252u;

static uint32_t random_u32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16);
}

static void *need(void *p)
{
    if (!p) {
        fprintf(stderr, "matmul_bench: out of memory\n");
        exit(1);
    }
    return p;
}

/* Time without what other processes take from us, where one thread makes that measurable. */
static uint64_t now(const bench *b)
{
    return b->threads == 1 ? rl_clock_thread_cpu_ns() : rl_clock_ns();
}

/* ---- peak ------------------------------------------------------------------------------------ */

static void peak_item(void *ctx, uint32_t item, uint32_t worker)
{
    (void)ctx;
    (void)item;
    (void)worker;
    for (int i = 0; i < 2000000; i++)
        __asm__ volatile("vpdpbusd %%zmm30,%%zmm31,%%zmm16\n vpdpbusd %%zmm30,%%zmm31,%%zmm17\n"
                         "vpdpbusd %%zmm30,%%zmm31,%%zmm18\n vpdpbusd %%zmm30,%%zmm31,%%zmm19\n"
                         "vpdpbusd %%zmm30,%%zmm31,%%zmm20\n vpdpbusd %%zmm30,%%zmm31,%%zmm21\n"
                         "vpdpbusd %%zmm30,%%zmm31,%%zmm22\n vpdpbusd %%zmm30,%%zmm31,%%zmm23\n"
                         "vpdpbusd %%zmm30,%%zmm31,%%zmm24\n vpdpbusd %%zmm30,%%zmm31,%%zmm25\n" ::
                             : "cc");
}

static double measure_peak(const bench *b)
{
    double best = 0;

    if (rl_level_of_cpu() < RL_LEVEL_AVX512)
        return 0;
    for (int r = 0; r < RUNS; r++) {
        uint64_t t = now(b);
        double rate;

        rl_work_run(b->pool, b->threads, peak_item, NULL);
        rate = 2e6 * 10 * 64 * b->threads / (double)(now(b) - t);
        if (rate > best)
            best = rate;
    }
    return best;
}

/* ---- one line -------------------------------------------------------------------------------- */

static void matmul_item(void *ctx, uint32_t item, uint32_t worker)
{
    bench *b = ctx;
    uint32_t panels = rl_weight_panels(b->w.n), p = item * CHUNK;

    (void)worker;
    rl_matmul(b->kn, &b->w, &b->acts, 0, b->acts.m, p, p + CHUNK < panels ? p + CHUNK : panels,
              b->out, b->ldo);
}

/* -> nanoseconds of one multiplication, best of the runs. */
static double time_matmul(bench *b)
{
    double best = 1e30;

    for (int r = 0; r < RUNS; r++) {
        uint64_t t0 = now(b), t = t0;
        uint32_t n = 0;
        double each;

        for (; t - t0 < RUN_NS; t = now(b), n++) {
            b->w.panels = b->matrices + b->next * b->matrix_bytes;
            b->next = (b->next + 1) % b->n_matrices;
            rl_work_run(b->pool, (rl_weight_panels(b->w.n) + CHUNK - 1) / CHUNK, matmul_item, b);
        }
        each = (double)(t - t0) / n;
        if (each < best)
            best = each;
    }
    return best;
}

static void run_rows(bench *b, uint32_t m, double peak)
{
    uint32_t forms = 1u << rl_type_get(b->w.type)->act;
    uint8_t *memory = need(rl_alloc_aligned(64, rl_acts_bytes(m, b->w.k, forms)));
    float *x = need(rl_alloc_array(b->w.k, sizeof *x));
    double ns, rate;

    rl_acts_init(&b->acts, memory, m, b->w.k, forms);
    for (uint32_t i = 0; i < m; i++) {
        for (uint32_t c = 0; c < b->w.k; c++)
            x[c] = (float)(random_u32() >> 8) / 8388608.0f - 1.0f;
        b->kn->quantize_row(&b->acts, i, x);
    }
    b->ldo = (size_t)rl_weight_panels(b->w.n) * RL_PANEL_ROWS;
    b->out = need(rl_alloc_aligned(64, m * b->ldo * sizeof(float)));
    ns = time_matmul(b);
    rate = (double)b->w.n * b->w.k * m / ns;
    printf("%-5s %4u %8.1f", rl_type_get(b->w.type)->name, m, rate);
    if (peak > 0)
        printf(" %5.0f%%", 100 * rate / peak);
    else
        printf("      -");
    printf(" %7.1f\n", (double)b->matrix_bytes / ns);
    fflush(stdout);
    rl_free(b->out);
    rl_free(x);
    rl_free(memory);
}

/* Fills the matrices with random quants and small finite scales, by way of file rows. */
static void fill(bench *b)
{
    size_t row = rl_type_row_bytes(b->w.type, b->w.k);
    uint8_t *rows = need(rl_alloc(row * RL_PANEL_ROWS));

    for (size_t i = 0; i < row * RL_PANEL_ROWS; i++)
        rows[i] = (uint8_t)(random_u32() & 0x3b); /* as a half: below 1 */
    for (uint32_t i = 0; i < b->n_matrices * rl_weight_panels(b->w.n); i++) {
        if (i < 8)
            rl_panel_pack(b->w.type, b->w.k, RL_PANEL_ROWS, rows, row,
                          b->matrices + i * b->w.panel_bytes);
        else
            memcpy(b->matrices + i * b->w.panel_bytes, b->matrices, b->w.panel_bytes);
    }
    rl_free(rows);
}

static void run_type(bench *b, rl_type type, uint32_t k, uint32_t n, double peak)
{
    size_t bytes;

    if (!rl_type_get(type) || !rl_type_get(type)->compute || k % rl_type_get(type)->block)
        return;
    b->w = (rl_weight){ .type = type, .n = n, .k = k, .panel_bytes = rl_panel_bytes(type, k) };
    b->matrix_bytes = b->w.panel_bytes * rl_weight_panels(n);
    b->n_matrices = (uint32_t)(COLD_BYTES / b->matrix_bytes) + 1;
    bytes = b->n_matrices * b->matrix_bytes;
    b->matrices = need(rl_pages_map(bytes));
    b->next = 0;
    fill(b);
    for (size_t i = 0; i < RL_COUNT(rows_of_line); i++)
        run_rows(b, rows_of_line[i], peak);
    rl_pages_unmap(b->matrices, bytes);
}

int main(int argc, char **argv)
{
    uint32_t k = argc > 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 896;
    uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 4864;
    bench b = { .threads = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1 };
    double peak;

    if (k < 1 || n < 1 || b.threads < 1 || b.threads > 64 || rl_kernels_check()) {
        fprintf(stderr, "matmul_bench: %s\n",
                rl_kernels_check() ? rl_kernels_check() : "use [K N [threads [type...]]]");
        return 1;
    }
    b.kn = rl_kernels_get();
    b.pool = need(rl_work_new(b.threads));
    peak = measure_peak(&b);
    printf("%s, level %s, K %u N %u, %u threads, peak %.1f GMAC/s\n", rl_cpu_name(),
           rl_level_name(b.kn->level), k, n, b.threads, peak);
    printf("type     M   GMAC/s   peak    GB/s\n");
    for (uint32_t type = 0; type < RL_TYPE_COUNT; type++) {
        bool wanted = argc <= 4;

        for (int i = 4; i < argc; i++)
            wanted |= rl_type_get(type) && !strcmp(argv[i], rl_type_get(type)->name);
        if (wanted)
            run_type(&b, (rl_type)type, k, n, peak);
    }
    rl_work_free(b.pool);
    return 0;
}
