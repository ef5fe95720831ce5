/* A strict reader of Prometheus' text format 0.0.4, for the tests of what the server writes. */
#ifndef TEST_SERVER_PROM_H
#define TEST_SERVER_PROM_H

#include <stdbool.h>
#include <stddef.h>

#define PROM_MOST 4096u

typedef struct prom_sample {
    const char *series; /* name with labels, as written */
    const char *family, *kind;
    double value;
} prom_sample;

typedef struct prom {
    char *text; /* owned: cut into its parts */
    prom_sample samples[PROM_MOST];
    const char *families[PROM_MOST];
    size_t n_samples, n_families;
    char why[200];
} prom;

/* Reads n bytes. Each family has one HELP and one TYPE, before its samples, which stand together;
 * no series comes twice; labels are well formed and escaped; counters are called _total; buckets
 * are in order and cumulative and end at +Inf, which is the count. -> false with the reason in why
 */
bool prom_read(prom *p, const char *text, size_t n);
void prom_free(prom *p);
/* The value of a series by name and labels as they are written; fails the test without one. */
double prom_get(const prom *p, const char *series);
bool prom_has(const prom *p, const char *series);

#endif
