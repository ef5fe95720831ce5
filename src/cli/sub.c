/* Verbs that are several: the first argument says which ("realm key new"). */
#include "cli/sub.h"

#include "base/nearest.h"

#include <string.h>

#define MAX_SUBS 8u

static const rl_sub *find(const rl_sub *subs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(subs[i].name, name) == 0)
            return &subs[i];
    }
    return NULL;
}

static int unknown(const rl_cli *c, const rl_sub *subs, size_t n)
{
    const char *names[MAX_SUBS];
    const char *near;
    size_t k = 0;

    for (; k < n && k < MAX_SUBS; k++)
        names[k] = subs[k].name;
    near = rl_nearest(c->pos[0], names, k);
    if (near)
        return rl_cli_usage(c->verb, "%s has no %s; did you mean %s?", c->verb->name, c->pos[0],
                            near);
    return rl_cli_usage(c->verb, "%s has no %s", c->verb->name, c->pos[0]);
}

/* Whether `word` is one of the words of `list`, which have spaces between them. */
static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);

    while (*list) {
        size_t len = strcspn(list, " ");

        if (len == n && strncmp(list, word, n) == 0)
            return true;
        list += len + (list[len] == ' ');
    }
    return false;
}

int rl_cli_sub(rl_cli *c, const rl_sub *subs, size_t n)
{
    const rl_sub *s = find(subs, n, c->pos[0]);

    if (!s)
        return unknown(c, subs, n);
    if (c->n_pos - 1 < s->least)
        return rl_cli_usage(c->verb, "%s %s needs %s", c->verb->name, s->name, s->args);
    if (c->n_pos - 1 > s->most)
        return rl_cli_usage(c->verb, "unexpected: %s", c->pos[1 + s->most]);
    for (unsigned i = 0; i < c->n_set; i++) {
        const char *name = c->set[i].opt->name;

        if (strcmp(name, "home") != 0 && !listed(s->opts, name))
            return rl_cli_usage(c->verb, "%s %s has no option --%s", c->verb->name, s->name, name);
    }
    return s->run(c);
}
