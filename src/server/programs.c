/* Programs: which one answers a request. Installed programs stay loaded as long as their name means
 * the same module.
 *
 * The intake thread should never compile, for all requests wait behind it. So those that are
 * installed are loaded before there is a request (rl_programs_warm), and one that is installed
 * later was compiled by who installed it: loading it then is hashing and mapping a file. Only when
 * that file is gone again does the first caller wait for a compiler.
 *
 * Of the intake thread, and before there is one of its starter. */
#include "server/internal.h"

#include "base/alloc.h"
#include "base/log.h"

#include <string.h>

#define LOADED_MAX 64u

typedef struct loaded {
    char name[RL_NAME_MAX + 1], sha256[RL_SHA256_HEX];
    rl_program *program; /* reference */
} loaded;

struct rl_programs {
    loaded rows[LOADED_MAX];
    uint32_t n, next; /* next: the row that goes when all are taken */
};

void rl_programs_free(struct rl_programs *p)
{
    for (uint32_t i = 0; p && i < p->n; i++)
        rl_program_unref(p->rows[i].program);
    rl_free(p);
}

static loaded *find(struct rl_programs *p, const char *name)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (strcmp(p->rows[i].name, name) == 0)
            return &p->rows[i];
    return NULL;
}

static loaded *take(struct rl_programs *p)
{
    return p->n < LOADED_MAX ? &p->rows[p->n++] : &p->rows[p->next++ % LOADED_MAX];
}

static realm_status load(rl_server *s, const rl_store_program *p, rl_program **out,
                         realm_error *err)
{
    rl_program *fresh = NULL;
    loaded *row;
    realm_status st;

    if (!s->programs)
        s->programs = rl_alloc(sizeof *s->programs);
    if (!s->programs)
        return realm_fail(err, REALM_ENOMEM, "no memory for a program");
    row = find(s->programs, p->name);
    if (!row || strcmp(row->sha256, p->sha256) != 0) {
        st = s->o.load(s->o.ctx, p->name, &fresh, err);
        if (st != REALM_OK)
            return st;
        row = row ? row : take(s->programs);
        rl_program_unref(row->program);
        row->program = fresh;
        memcpy(row->name, p->name, sizeof row->name);
        memcpy(row->sha256, p->sha256, sizeof row->sha256);
    }
    *out = rl_program_ref(row->program);
    return REALM_OK;
}

/* What cannot be loaded is told here, and again to who asks for it: no reason not to serve the
 * rest. Of more programs than fit the last ones stay; the others are at least compiled. */
void rl_programs_warm(rl_server *s)
{
    rl_store_program *rows = NULL;
    rl_program *p = NULL;
    realm_error err;
    size_t n = 0;

    if (!s->o.load)
        return;
    if (rl_store_program_list(s->intake_store, &rows, &n, &err) != REALM_OK)
        rl_log(RL_LOG_WARN, "the installed programs were not loaded: %s", err.text);
    for (size_t i = 0; i < n; i++) {
        if (load(s, &rows[i], &p, &err) == REALM_OK)
            rl_program_unref(p);
        else
            rl_log(RL_LOG_WARN, "the program %.64s cannot be used: %s", rows[i].name, err.text);
    }
    rl_free(rows);
}

static rl_program *builtin(const rl_server *s, rl_api api)
{
    switch (api) {
    case RL_API_EMBED:
        return s->o.builtin.embed;
    case RL_API_TOKENIZE:
        return s->o.builtin.tokenize;
    case RL_API_DETOKENIZE:
        return s->o.builtin.detokenize;
    default:
        return s->o.builtin.chat;
    }
}

/* "PROGRAM@MODEL" in two. -> false: a part is too long, or missing */
static bool split(const char *asked, char program[RL_NAME_MAX + 1], char model[RL_NAME_MAX + 1])
{
    const char *at = strchr(asked, '@');
    size_t n = at ? (size_t)(at - asked) : strlen(asked), m = at ? strlen(at + 1) : 0;

    if (n == 0 || n > RL_NAME_MAX || m > RL_NAME_MAX || (at && m == 0))
        return false;
    memcpy(program, asked, n);
    program[n] = 0;
    memcpy(model, at ? at + 1 : "", m + 1);
    return true;
}

realm_status rl_programs_find(rl_server *s, const rl_ask *ask, rl_program **out,
                              char model[RL_NAME_MAX + 1], realm_error *err)
{
    char name[RL_NAME_MAX + 1];
    rl_store_program row;
    rl_store_model known;
    realm_error why;
    realm_status st;

    *out = NULL;
    if (!split(ask->model, name, model))
        return realm_fail(err, REALM_EINVAL, "model is a name, or PROGRAM@MODEL");
    if (!model[0] && rl_store_model_get(s->intake_store, name, &known, &why) == REALM_OK)
        st = REALM_ENOTFOUND; /* a model's name is no program's */
    else
        st = s->o.load ? rl_store_program_get(s->intake_store, name, &row, err) : REALM_ENOTFOUND;
    if (st == REALM_OK)
        return load(s, &row, out, err);
    if (st != REALM_ENOTFOUND && st != REALM_EINVAL)
        return st;
    if (model[0])
        return realm_fail(err, REALM_ENOTFOUND, "no program is named %.100s", name);
    memcpy(model, name, sizeof name); /* unknown ones fail as the run's model */
    *out = rl_program_ref(builtin(s, ask->api));
    return REALM_OK;
}
