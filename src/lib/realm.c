/* The handle: options, and the parts that are made when something first needs them. */
#include "lib/internal.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

#define KEEP_MODELS 4u /* that runs opened stay open */

const char *realm_version(void)
{
    return REALM_VERSION;
}

void realm_free(void *p)
{
    rl_free(p);
}

realm_status realm_open(realm **out, const realm_options *opts, realm_error *err)
{
    const char *wrong = rl_kernels_check();
    realm *r;

    *out = NULL;
    if (wrong)
        return realm_fail(err, REALM_EINVAL, "%s", wrong);
    r = rl_alloc(sizeof *r);
    if (!r)
        return realm_fail(err, REALM_ENOMEM, "no memory for a handle");
    if (opts)
        r->opts = *opts;
    if (r->opts.home && !(r->home = rl_strdup(r->opts.home))) {
        rl_free(r);
        return realm_fail(err, REALM_ENOMEM, "no memory for a handle");
    }
    r->opts.home = r->home;
    if (pthread_mutex_init(&r->lock, NULL) != 0) {
        rl_free(r->home);
        rl_free(r);
        return realm_fail(err, REALM_ENOMEM, "no memory for a handle");
    }
    *out = r;
    return REALM_OK;
}

void realm_close(realm *r)
{
    if (!r)
        return;
    rl_runtime_free(r->runtime);
    rl_engine_free(r->engine);
    rl_store_close(r->store);
    (void)pthread_mutex_destroy(&r->lock);
    rl_free(r->pins);
    rl_free(r->home);
    rl_free(r);
}

realm_status rl_lib_store_lock(realm *r, rl_store **out, realm_error *err)
{
    realm_status st = REALM_OK;

    (void)pthread_mutex_lock(&r->lock);
    if (!r->store)
        st = rl_store_open(&r->store, r->home, err);
    if (st != REALM_OK)
        (void)pthread_mutex_unlock(&r->lock);
    *out = r->store;
    return st;
}

void rl_lib_store_unlock(realm *r)
{
    (void)pthread_mutex_unlock(&r->lock);
}

realm_status rl_lib_home_path(realm *r, const char *name, char *out, realm_error *err)
{
    rl_store *s;
    realm_status st = rl_lib_store_lock(r, &s, err);

    if (st != REALM_OK)
        return st;
    (void)snprintf(out, RL_LIB_PATH, "%s/%s", rl_store_home(s), name);
    rl_lib_store_unlock(r);
    return REALM_OK;
}

static realm_status engine_locked(realm *r, realm_error *err)
{
    rl_engine_opts o = { .n_threads = r->opts.n_threads,
                         .kv_bytes = (size_t)r->opts.kv_bytes,
                         .share_prefixes = !r->opts.no_prefix_cache,
                         .speculate = r->opts.no_speculation ? RL_SPECULATE_OFF : RL_SPECULATE_ON };

    return r->engine ? REALM_OK : rl_engine_new(&r->engine, &o, err);
}

realm_status rl_lib_engine(realm *r, rl_engine **out, realm_error *err)
{
    realm_status st;

    (void)pthread_mutex_lock(&r->lock);
    st = engine_locked(r, err);
    *out = r->engine;
    (void)pthread_mutex_unlock(&r->lock);
    return st;
}

static rl_kv_type kv_type(realm_kv kv)
{
    return kv == REALM_KV_F32 ? RL_KV_F32 : kv == REALM_KV_F16 ? RL_KV_F16 : RL_KV_BF16;
}

rl_lm_opts rl_lib_lm_opts(const realm *r, bool reference)
{
    bool exact = reference || r->opts.reference;

    return (rl_lm_opts){ .kv = exact ? RL_KV_F32 : kv_type(r->opts.kv),
                         .reference = exact,
                         .n_ctx = r->opts.n_ctx };
}

static realm_status runtime_locked(realm *r, const char *compiled, realm_error *err)
{
    rl_runtime_opts o = { .compiled_dir = compiled,
                          .max_guests = r->opts.max_guests,
                          .max_memory = (size_t)r->opts.max_memory,
                          .lm = rl_lib_lm_opts(r, false),
                          .keep_models = KEEP_MODELS,
                          .resolve = rl_lib_resolve,
                          .list = rl_lib_list,
                          .ctx = r };
    realm_status st = engine_locked(r, err);

    if (st != REALM_OK || r->runtime)
        return st;
    o.engine = r->engine;
    return rl_runtime_new(&r->runtime, &o, err);
}

realm_status rl_lib_runtime(realm *r, rl_runtime **out, realm_error *err)
{
    char compiled[RL_LIB_PATH];
    realm_status st = rl_lib_home_path(r, "compiled", compiled, err);

    if (st != REALM_OK)
        return st;
    (void)pthread_mutex_lock(&r->lock);
    st = runtime_locked(r, compiled, err);
    *out = r->runtime;
    (void)pthread_mutex_unlock(&r->lock);
    return st;
}

bool rl_lib_progress(void *ctx, uint64_t done, uint64_t total)
{
    const rl_lib_step *s = ctx;

    return s->r->opts.progress && s->r->opts.progress(s->r->opts.ctx, s->what, done, total);
}
