#include "server/models.h"

#include "base/alloc.h"
#include "server/internal.h"

#include <string.h>

typedef struct counting {
    rl_server_model *models; /* [n] */
    size_t n;
} counting;

/* The packed file is named by the digest; several names may stand for one file. */
static void take(void *ctx, const rl_lm_stats *lm)
{
    const counting *c = ctx;
    const char *slash = strrchr(lm->path, '/'), *file = slash ? slash + 1 : lm->path;

    for (size_t i = 0; i < c->n; i++) {
        rl_server_model *m = &c->models[i];

        if (strncmp(file, m->sha256, strlen(m->sha256)) != 0)
            continue;
        m->loaded = true;
        m->running += lm->jobs_running; /* it may be open with two lengths of context */
        m->waiting += lm->jobs_waiting;
    }
}

void rl_server_count_models(const rl_server *s, rl_server_model *models, size_t n)
{
    rl_engine *e = rl_runtime_engine(s->o.runtime);

    if (e)
        rl_engine_each_lm(e, take, &(counting){ models, n });
}

realm_status rl_server_models(const rl_server *s, rl_store *store, rl_server_model **list,
                              size_t *n, realm_error *err)
{
    rl_store_model *rows = NULL;
    realm_status st = rl_store_model_list(store, &rows, n, err);

    *list = NULL;
    if (st != REALM_OK)
        return st;
    *list = rl_alloc_array(*n + 1, sizeof **list);
    if (!*list)
        st = realm_fail(err, REALM_ENOMEM, "no memory for %zu models", *n);
    for (size_t i = 0; *list && i < *n; i++) {
        memcpy((*list)[i].name, rows[i].name, sizeof rows[i].name);
        memcpy((*list)[i].sha256, rows[i].sha256, sizeof rows[i].sha256);
    }
    rl_free(rows);
    if (st == REALM_OK)
        rl_server_count_models(s, *list, *n);
    return st;
}
