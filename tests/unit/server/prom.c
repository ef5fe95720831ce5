#include "prom.h"

#include "../test.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reading {
    prom *p;
    const char *family, *kind; /* that is read now */
    double least, count;       /* of its buckets: the last bound and number */
    double inf, total;         /* NAN: not read yet */
    bool sum;
} reading;

static bool wrong(reading *r, const char *what, const char *line)
{
    (void)snprintf(r->p->why, sizeof r->p->why, "%s: %.120s", what, line);
    return false;
}

static size_t name_length(const char *s, bool colons)
{
    size_t n = 0;

    while (isalpha((unsigned char)s[n]) || s[n] == '_' || (colons && s[n] == ':') ||
           (n && isdigit((unsigned char)s[n])))
        n++;
    return n;
}

/* {a="b",c="d"} -> behind it; NULL: not so. le: the value of that label, as text. */
static const char *read_labels(const char *s, char *le, size_t cap)
{
    char seen[512] = ",";

    *le = 0;
    for (s++;; s++) {
        size_t n = name_length(s, false), k = 0;
        bool is_le = n == 2 && memcmp(s, "le", 2) == 0;
        char name[64];

        (void)snprintf(name, sizeof name, ",%.*s,", (int)n, s);
        if (n == 0 || strstr(seen, name) || s[n] != '=' || s[n + 1] != '"')
            return NULL;
        (void)snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s,", (int)n, s);
        for (s += n + 2; *s != '"'; s++) {
            if (*s == 0 || (*s == '\\' && s[1] != '\\' && s[1] != '"' && s[1] != 'n'))
                return NULL;
            s += *s == '\\';
            if (is_le && k + 1 < cap)
                le[k++] = *s;
        }
        if (is_le)
            le[k] = 0;
        s++;
        if (*s == '}')
            return s + 1;
        if (*s != ',')
            return NULL;
    }
}

static bool bucket(reading *r, const char *le, double value, const char *line)
{
    double bound = strcmp(le, "+Inf") == 0 ? INFINITY : atof(le);

    if (*le == 0 || !(bound > r->least) || value < r->count)
        return wrong(r, "a bucket out of order", line);
    r->least = bound;
    r->count = value;
    if (isinf(bound))
        r->inf = value;
    return true;
}

/* What may stand behind a histogram's name. */
static bool part_of_hist(reading *r, const char *suffix, const char *le, double v, const char *line)
{
    if (strcmp(suffix, "_bucket") == 0)
        return bucket(r, le, v, line);
    if (strcmp(suffix, "_sum") == 0 && !r->sum) {
        r->sum = true;
        return true;
    }
    if (strcmp(suffix, "_count") == 0 && isnan(r->total)) {
        r->total = v;
        return true;
    }
    return wrong(r, "no part of a histogram", line);
}

static bool check_sample(reading *r, const char *name, const char *le, double v, const char *line)
{
    size_t n = r->family ? strlen(r->family) : 0;

    if (!r->kind || strncmp(name, r->family, n) != 0)
        return wrong(r, "a sample of no family", line);
    if (strcmp(r->kind, "histogram") == 0)
        return part_of_hist(r, name + n, le, v, line);
    if (name[n] || *le)
        return wrong(r, "a sample of no family", line);
    if (strcmp(r->kind, "counter") == 0 && (v < 0 || n < 6 || strcmp(name + n - 6, "_total") != 0))
        return wrong(r, "no counter", line);
    return true;
}

static bool sample(reading *r, char *line)
{
    size_t n = name_length(line, true);
    char name[200], le[32] = "";
    const char *at = line + n;
    char *end;
    double v;

    (void)snprintf(name, sizeof name, "%.*s", (int)n, line);
    if (n && *at == '{')
        at = read_labels(at, le, sizeof le);
    if (!n || !at || *at != ' ')
        return wrong(r, "no sample", line);
    v = strtod(at + 1, &end);
    if (end == at + 1 || *end || isnan(v) || isspace((unsigned char)at[1]))
        return wrong(r, "no number", line);
    if (!check_sample(r, name, le, v, line))
        return false;
    line[at - line] = 0;
    if (prom_has(r->p, line) || r->p->n_samples == PROM_MOST)
        return wrong(r, "twice", line);
    r->p->samples[r->p->n_samples++] = (prom_sample){ line, r->family, r->kind, v };
    return true;
}

static bool end_family(reading *r)
{
    if (!r->family)
        return true;
    if (!r->kind)
        return wrong(r, "no TYPE", r->family);
    if (strcmp(r->kind, "histogram") == 0 && (!r->sum || isnan(r->inf) || r->inf != r->total))
        return wrong(r, "an unfinished histogram", r->family);
    return true;
}

/* "# HELP name text" begins a family, "# TYPE name kind" must be next. */
static bool comment(reading *r, char *line)
{
    bool help = strncmp(line, "# HELP ", 7) == 0;
    size_t n = name_length(line + 7, true);
    char *name = line + 7;

    if ((!help && strncmp(line, "# TYPE ", 7) != 0) || n == 0 || name[n] != ' ' || !name[n + 1])
        return wrong(r, "no comment of ours", line);
    name[n] = 0;
    if (!help) {
        if (!r->family || r->kind || strcmp(name, r->family) != 0)
            return wrong(r, "TYPE without HELP", name);
        r->kind = name + n + 1;
        return strcmp(r->kind, "counter") == 0 || strcmp(r->kind, "gauge") == 0 ||
                       strcmp(r->kind, "histogram") == 0
                   ? true
                   : wrong(r, "no kind", r->kind);
    }
    if (!end_family(r))
        return false;
    for (size_t i = 0; i < r->p->n_families; i++)
        if (strcmp(r->p->families[i], name) == 0)
            return wrong(r, "a family twice", name);
    r->p->families[r->p->n_families++] = name;
    *r = (reading){ .p = r->p, .family = name, .least = -INFINITY, .inf = NAN, .total = NAN };
    return true;
}

bool prom_read(prom *p, const char *text, size_t n)
{
    reading r = { .p = p };
    bool ok = true;

    *p = (prom){ .text = malloc(n + 1) };
    assert_non_null(p->text);
    memcpy(p->text, text, n);
    p->text[n] = 0;
    if (n == 0 || text[n - 1] != '\n' || strlen(p->text) != n)
        return wrong(&r, "no whole lines", "");
    for (char *line = p->text; *line && ok;) {
        char *end = strchr(line, '\n');

        *end = 0;
        ok = *line == '#' ? comment(&r, line) : sample(&r, line);
        line = end + 1;
    }
    return ok && end_family(&r);
}

void prom_free(prom *p)
{
    free(p->text);
    p->text = NULL;
}

static const prom_sample *find(const prom *p, const char *series)
{
    for (size_t i = 0; i < p->n_samples; i++)
        if (strcmp(p->samples[i].series, series) == 0)
            return &p->samples[i];
    return NULL;
}

bool prom_has(const prom *p, const char *series)
{
    return find(p, series) != NULL;
}

double prom_get(const prom *p, const char *series)
{
    const prom_sample *s = find(p, series);

    if (!s)
        fail_msg("there is no %s", series);
    return s->value;
}
