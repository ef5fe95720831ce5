/* Models of a run: its own, opened before the guest exists, and those it opens by name; loads are
 * ops of a helper. Module env numbers them, module realm has handles. */
#include "guest/models.h"

#include "guest/runtime.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <limits.h>
#include <string.h>

/* Helper thread. Concurrent openings of one file join one load inside the engine. */
static void open_work(rl_op *base)
{
    rl_open_op *op = (rl_open_op *)base;
    const rl_runtime_opts *o = &base->run->rt->opts;
    char path[PATH_MAX];

    if (!o->resolve || !o->engine)
        base->status = realm_fail(&base->err, REALM_ENOTFOUND, "no model named %.128s", op->name);
    else
        base->status = o->resolve(o->ctx, op->name, path, sizeof path, &base->err);
    if (base->status == REALM_OK)
        base->status = rl_lm_open(&op->lm, o->engine, path, &o->lm, &base->err);
    if (base->status == REALM_OK)
        rl_keep_add(&base->run->rt->keep, op->lm);
    op->end_ns = rl_clock_ns();
}

/* A model that was opened for a run that has ended meanwhile is still here and is given back. */
static void open_destroy(rl_op *base)
{
    rl_lm_unref(((rl_open_op *)base)->lm);
}

/* NULL also for a name longer than any that the store takes. */
rl_open_op *rl_open_new(rl_run *run, const char *name, size_t n)
{
    rl_open_op *op;

    if (n >= sizeof op->name)
        return NULL;
    op = rl_op_new(run, sizeof *op, open_work, open_destroy);
    if (!op)
        return NULL;
    memcpy(op->name, name, n);
    op->start_ns = rl_clock_ns();
    return op;
}

/* Worker. The time is charged here and not by the helper, which may not touch the run. */
rl_lm *rl_open_take(rl_open_op *op)
{
    rl_lm *lm = op->lm;

    op->op.run->result.load_ns += op->end_ns - op->start_ns;
    op->lm = NULL;
    return lm;
}

/* ---- the run's own --------------------------------------------------------------------------- */

/* Begins the opening. -> false: it is under way */
static bool begin_open(rl_run *run)
{
    rl_open_op *op;
    realm_error err;

    if (!run->model[0] || !(run->program->caps & run->caps))
        return true; /* a program that cannot ask a model does not wait for one */
    op = rl_open_new(run, run->model, strlen(run->model));
    if (!op) {
        if (strlen(run->model) >= sizeof op->name)
            rl_run_end(run, REALM_EINVAL, "the model's name is too long");
        else
            rl_run_end(run, REALM_ENOMEM, "no memory to open the model");
        return true;
    }
    if (rl_op_post(&op->op, &err) != REALM_OK) {
        rl_op_unref(&op->op);
        rl_run_end(run, err.status, "%s", err.text);
        return true;
    }
    run->opening = &op->op;
    return false;
}

/* Called again at each wake of a run that waits for its model. */
bool rl_models_begin(rl_run *run)
{
    rl_op *op = run->opening;

    if (!op)
        return begin_open(run);
    if (!atomic_load(&op->finished))
        return false;
    if (op->status == REALM_OK)
        run->env[0].lm = rl_open_take((rl_open_op *)op);
    else
        rl_run_end(run, op->status, "%s", op->err.text);
    rl_op_unref(op);
    run->opening = NULL;
    return true;
}

void rl_models_deinit(rl_run *run)
{
    uint32_t i;

    rl_op_unref(run->opening);
    run->opening = NULL;
    for (i = 0; i < RL_ENV_MODELS; i++)
        rl_env_drop(&run->env[i]);
}

/* ---- module env ------------------------------------------------------------------------------ */

int64_t rl_env_get(rl_call *c, uint64_t id, rl_env_model **out)
{
    if (id < RL_ENV_MODELS && c->run->env[id].lm) {
        *out = &c->run->env[id];
        return 0;
    }
    if (id == 0)
        return rl_call_fail(c, REALM_ENOTFOUND, "this run was started without a model of its own");
    return rl_call_fail(c, REALM_ENOTFOUND, "no model has the id %llu", (unsigned long long)id);
}

/* Ids start at 1 and the lowest free one is taken. */
int64_t rl_env_add(rl_call *c, rl_lm *lm)
{
    uint32_t i;

    for (i = 1; i < RL_ENV_MODELS; i++) {
        if (c->run->env[i].lm)
            continue;
        c->run->env[i].lm = lm;
        return i;
    }
    rl_lm_unref(lm);
    return rl_call_fail(c, REALM_EQUOTA, "%u models are open: remove one first", RL_ENV_MODELS - 1);
}

/* The sequence first: it belongs to the model. Its last job may still run; the engine keeps both
 * until that is done. */
void rl_env_drop(rl_env_model *m)
{
    rl_seq_close(m->layer_seq);
    rl_free(m->layer_len);
    rl_lm_unref(m->lm);
    *m = (rl_env_model){ 0 };
}

/* ---- module realm ---------------------------------------------------------------------------- */

int64_t rl_model_get(rl_call *c, uint64_t handle, rl_lm **out)
{
    rl_handle *row = rl_handle_get(&c->run->handles, handle, RL_HANDLE_MODEL);

    if (!row)
        return rl_call_fail(c, REALM_ENOTFOUND, "no model has the handle %llu",
                            (unsigned long long)handle);
    *out = row->lm;
    return 0;
}
