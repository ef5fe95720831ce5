/* Arguments by the table of a verb: strict, and with a hint when a word is nearly right. */
#include "cli/cli.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/nearest.h"
#include "cli/units.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rl_cli_usage(const rl_verb *v, const char *fmt, ...)
{
    va_list args;

    (void)fputs("realm: ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    if (v)
        (void)fprintf(stderr, "\nusage: realm %s%s%s\nsee: realm help %s\n", v->name,
                      *v->synopsis ? " " : "", v->synopsis, v->name);
    else
        (void)fputs("\nsee: realm help\n", stderr);
    return RL_EXIT_USAGE;
}

/* ---- parsing --------------------------------------------------------------------------------- */

static const rl_opt *by_name(const rl_verb *v, const char *name, size_t n)
{
    for (const rl_opt *o = v->opts; o && o->name; o++) {
        if (strlen(o->name) == n && strncmp(o->name, name, n) == 0)
            return o;
    }
    return NULL;
}

static const rl_opt *by_letter(const rl_verb *v, char letter)
{
    for (const rl_opt *o = v->opts; o && o->name; o++) {
        if (o->letter && o->letter == letter)
            return o;
    }
    return NULL;
}

static int unknown_option(const rl_verb *v, const char *word, size_t n)
{
    const char *names[RL_CLI_MAX_SET];
    char name[RL_NEAREST_MAX + 1];
    const char *near = NULL;
    size_t k = 0;

    if (word[1] == '-' && n > 2 && n - 2 <= RL_NEAREST_MAX) {
        (void)snprintf(name, sizeof name, "%.*s", (int)(n - 2), word + 2);
        for (const rl_opt *o = v->opts; o && o->name && k < RL_CLI_MAX_SET; o++)
            names[k++] = o->name;
        near = rl_nearest(name, names, k);
    }
    if (near)
        return rl_cli_usage(v, "%s has no option %.*s; did you mean --%s?", v->name, (int)n, word,
                            near);
    return rl_cli_usage(v, "%s has no option %.*s", v->name, (int)n, word);
}

static int put(rl_cli *c, const rl_opt *o, const char *value)
{
    if (c->n_set == RL_CLI_MAX_SET)
        return rl_cli_usage(c->verb, "too many options");
    c->set[c->n_set].opt = o;
    c->set[c->n_set++].value = value;
    return 0;
}

/* One option at argv[*i]; moves *i past a value that is a word of its own. */
static int option(rl_cli *c, int argc, const char *const *argv, int *i)
{
    const char *word = argv[*i], *equals = NULL;
    bool is_long = word[1] == '-';
    size_t n = is_long && (equals = strchr(word, '=')) ? (size_t)(equals - word) : strlen(word);
    const rl_opt *o = is_long ? by_name(c->verb, word + 2, n - 2) : by_letter(c->verb, word[1]);
    const char *value = equals ? equals + 1 : !is_long && word[2] ? word + 2 : NULL;

    if (!o)
        return unknown_option(c->verb, word, is_long ? n : 2);
    if (!o->value) {
        if (value)
            return rl_cli_usage(c->verb, "--%s takes no value", o->name);
        return put(c, o, "");
    }
    if (!value && *i + 1 < argc)
        value = argv[++*i];
    if (!value)
        return rl_cli_usage(c->verb, "--%s needs a value: %s", o->name, o->value);
    return put(c, o, value);
}

int rl_cli_parse(rl_cli *c, int argc, const char *const *argv)
{
    int code = 0;

    for (int i = 0; code == 0 && i < argc; i++) {
        const char *word = argv[i];

        if (strcmp(word, "--") == 0) {
            if (!c->verb->rest && i + 1 < argc)
                return rl_cli_usage(c->verb, "%s takes nothing after --", c->verb->name);
            c->rest = argv + i + 1;
            c->n_rest = (unsigned)(argc - i - 1);
            break;
        }
        if (word[0] == '-' && word[1])
            code = option(c, argc, argv, &i);
        else if (c->n_pos == c->verb->max_pos)
            code = rl_cli_usage(c->verb, "unexpected: %s", word);
        else
            c->pos[c->n_pos++] = word;
    }
    if (code == 0 && c->n_pos < c->verb->min_pos)
        code = rl_cli_usage(c->verb, "%s needs %.*s", c->verb->name,
                            (int)strcspn(c->verb->synopsis, " "), c->verb->synopsis);
    return code;
}

/* ---- values ---------------------------------------------------------------------------------- */

const char *rl_cli_get(const rl_cli *c, const char *name)
{
    const rl_opt *o = by_name(c->verb, name, strlen(name));

    RL_ASSERT(o); /* a verb asks only for options of its table */
    for (unsigned i = c->n_set; i-- > 0;) {
        if (c->set[i].opt == o)
            return c->set[i].value;
    }
    return NULL;
}

bool rl_cli_has(const rl_cli *c, const char *name)
{
    return rl_cli_get(c, name) != NULL;
}

bool rl_cli_uint(const rl_cli *c, const char *name, uint64_t least, uint64_t most, uint64_t *out)
{
    const char *s = rl_cli_get(c, name);
    uint64_t v;

    if (!s)
        return true;
    if (rl_units_uint(s, &v) && v >= least && v <= most) {
        *out = v;
        return true;
    }
    if (most > UINT32_MAX) /* no bound that a person would meet */
        (void)rl_cli_usage(c->verb, "--%s %s: give a whole number, %llu or more", name, s,
                           (unsigned long long)least);
    else
        (void)rl_cli_usage(c->verb, "--%s %s: give a whole number from %llu to %llu", name, s,
                           (unsigned long long)least, (unsigned long long)most);
    return false;
}

bool rl_cli_size(const rl_cli *c, const char *name, uint64_t *bytes)
{
    const char *s = rl_cli_get(c, name);
    uint64_t v;

    if (!s)
        return true;
    if (rl_units_size(s, &v) && v > 0) {
        *bytes = v;
        return true;
    }
    (void)rl_cli_usage(c->verb, "--%s %s: give a size such as 512KiB, 64MiB or 2GiB", name, s);
    return false;
}

bool rl_cli_duration(const rl_cli *c, const char *name, uint64_t *ms)
{
    const char *s = rl_cli_get(c, name);
    uint64_t v;

    if (!s)
        return true;
    if (rl_units_duration(s, &v) && v > 0) {
        *ms = v;
        return true;
    }
    (void)rl_cli_usage(c->verb, "--%s %s: give a time such as 500ms, 30s, 5m or 1h", name, s);
    return false;
}

bool rl_cli_float(const rl_cli *c, const char *name, double least, double most, double *out)
{
    const char *s = rl_cli_get(c, name);
    char *end;
    double v;

    if (!s)
        return true;
    errno = 0;
    v = strtod(s, &end);
    if (errno == 0 && end != s && !*end && isfinite(v) && v >= least && v <= most) {
        *out = v;
        return true;
    }
    (void)rl_cli_usage(c->verb, "--%s %s: give a number from %g to %g", name, s, least, most);
    return false;
}

bool rl_cli_list(const rl_cli *c, const char *name, const char *text, uint64_t most,
                 uint32_t **list, size_t *n)
{
    size_t items = 1;
    char word[24];
    uint64_t v;

    for (const char *p = text; *p; p++)
        items += *p == ',';
    *n = 0;
    *list = rl_alloc_array(items, sizeof **list);
    while (*list) {
        size_t len = strcspn(text, ",");

        (void)snprintf(word, sizeof word, "%.*s", len < sizeof word ? (int)len : 0, text);
        if (!rl_units_uint(word, &v) || v > most)
            break;
        (*list)[(*n)++] = (uint32_t)v;
        if (!text[len])
            return true;
        text += len + 1;
    }
    rl_free(*list);
    *list = NULL;
    (void)rl_cli_usage(c->verb, "--%s: give whole numbers up to %llu with commas between them",
                       name, (unsigned long long)most);
    return false;
}
