/* Models ready to serve: who opens the same path with the same options shares one. Any thread; the
 * last reference hands the model to the engine thread, which owns its KV pool. */
#include "base/alloc.h"
#include "base/assert.h"
#include "engine/internal.h"

#include <string.h>

#define DEFAULT_CTX 32768u

static bool same(const rl_lm *lm, const char *path, const rl_lm_opts *o)
{
    return strcmp(lm->path, path) == 0 && lm->opts.kv == o->kv &&
           lm->opts.reference == o->reference && lm->opts.n_ctx == o->n_ctx;
}

static void close_all(rl_lm *lm)
{
    rl_grammar_env_free(lm->grammar);
    lm->grammar = NULL;
    rl_chat_close(lm->chat);
    rl_vocab_close(lm->vocab);
    rl_model_close(lm->model);
    lm->chat = NULL;
    lm->vocab = NULL;
    lm->model = NULL;
}

static void lm_delete(rl_lm *lm)
{
    close_all(lm);
    (void)pthread_mutex_destroy(&lm->grammar_lock);
    rl_free(lm->path);
    rl_free(lm);
}

static realm_status pick_ctx(rl_lm *lm, realm_error *err)
{
    uint32_t most = rl_model_get_info(lm->model)->n_ctx;

    if (lm->opts.n_ctx > most)
        return realm_fail(err, REALM_EINVAL,
                          "a context of %u tokens was asked for, the model has %u: ask for less",
                          lm->opts.n_ctx, most);
    lm->n_ctx = most < DEFAULT_CTX ? most : DEFAULT_CTX;
    if (lm->opts.n_ctx)
        lm->n_ctx = lm->opts.n_ctx;
    return REALM_OK;
}

/* Without the lock: reads files and builds tables. */
static realm_status load(rl_lm *lm)
{
    rl_model_opts opts = { .reference = lm->opts.reference };
    realm_status st = rl_model_open(&lm->model, lm->path, &opts, &lm->err);

    if (st == REALM_OK)
        st = pick_ctx(lm, &lm->err);
    if (st == REALM_OK)
        st = rl_vocab_open(&lm->vocab, rl_model_gguf(lm->model), &lm->err);
    if (st == REALM_OK &&
        rl_chat_open(&lm->chat, rl_model_gguf(lm->model), lm->vocab, &lm->chat_err) == REALM_ENOMEM)
        st = realm_fail(&lm->err, REALM_ENOMEM, "%s", lm->chat_err.text);
    if (st != REALM_OK)
        close_all(lm);
    return st;
}

static void remove_model(rl_engine *e, rl_lm *lm)
{
    rl_lm **at = &e->models;

    while (*at != lm)
        at = &(*at)->next;
    *at = lm->next;
}

/* With the lock: failures that are old and that nobody still reads. */
static void forget_failures(rl_engine *e)
{
    uint64_t now = e->now();

    for (rl_lm **at = &e->models; *at;) {
        rl_lm *lm = *at;

        if (lm->state == RL_LM_FAILED && !lm->refs && now - lm->failed_ns >= RL_FAILURE_NS) {
            *at = lm->next;
            lm_delete(lm);
        } else {
            at = &lm->next;
        }
    }
}

static rl_lm *lm_new(rl_engine *e, const char *path, const rl_lm_opts *opts)
{
    rl_lm *lm = rl_alloc(sizeof *lm);

    if (!lm)
        return NULL;
    lm->path = rl_strdup(path);
    if (!lm->path) {
        rl_free(lm);
        return NULL;
    }
    (void)pthread_mutex_init(&lm->grammar_lock, NULL);
    lm->engine = e;
    lm->opts = *opts;
    lm->refs = 1;
    lm->next = e->models;
    e->models = lm;
    return lm;
}

/* With the lock. A model that is loading or just failed: its end, with a reference on success. */
static realm_status join(rl_lm *lm, realm_error *err)
{
    realm_status st = REALM_OK;

    lm->refs++;
    while (lm->state == RL_LM_LOADING)
        (void)pthread_cond_wait(&lm->engine->loaded, &lm->engine->models_lock);
    if (lm->state == RL_LM_FAILED) {
        lm->refs--;
        st = realm_fail(err, lm->err.status, "%s", lm->err.text);
    }
    return st;
}

static realm_status load_first(rl_lm *lm, realm_error *err)
{
    rl_engine *e = lm->engine;
    realm_status st = load(lm);

    (void)pthread_mutex_lock(&e->models_lock);
    lm->state = st == REALM_OK ? RL_LM_READY : RL_LM_FAILED;
    if (st != REALM_OK) {
        lm->refs--;
        lm->failed_ns = e->now();
        st = realm_fail(err, lm->err.status, "%s", lm->err.text);
    }
    (void)pthread_cond_broadcast(&e->loaded);
    (void)pthread_mutex_unlock(&e->models_lock);
    return st;
}

realm_status rl_lm_open(rl_lm **out, rl_engine *e, const char *packed_path, const rl_lm_opts *opts,
                        realm_error *err)
{
    rl_lm_opts o = opts ? *opts : (rl_lm_opts){ 0 };
    realm_status st = REALM_OK;
    rl_lm *lm;
    bool first;

    *out = NULL;
    if ((uint32_t)o.kv >= RL_KV_TYPES)
        return realm_fail(err, REALM_EINVAL, "KV type %d is not offered: use bf16, f16 or f32",
                          (int)o.kv);
    (void)pthread_mutex_lock(&e->models_lock);
    forget_failures(e);
    for (lm = e->models; lm && !same(lm, packed_path, &o);)
        lm = lm->next;
    first = !lm;
    if (first)
        lm = lm_new(e, packed_path, &o);
    else
        st = join(lm, err);
    (void)pthread_mutex_unlock(&e->models_lock);
    if (!lm)
        return realm_fail(err, REALM_ENOMEM, "no memory for a model");
    if (first)
        st = load_first(lm, err);
    if (st == REALM_OK)
        *out = lm;
    return st;
}

rl_lm *rl_lm_ref(rl_lm *lm)
{
    (void)pthread_mutex_lock(&lm->engine->models_lock);
    lm->refs++;
    (void)pthread_mutex_unlock(&lm->engine->models_lock);
    return lm;
}

void rl_lm_unref(rl_lm *lm)
{
    rl_engine *e;
    bool last;

    if (!lm)
        return;
    e = lm->engine;
    (void)pthread_mutex_lock(&e->models_lock);
    last = --lm->refs == 0;
    if (last)
        remove_model(e, lm);
    (void)pthread_mutex_unlock(&e->models_lock);
    if (!last)
        return;
    (void)pthread_mutex_lock(&e->lock);
    lm->dead_next = e->dead;
    e->dead = lm;
    (void)pthread_cond_signal(&e->mail);
    (void)pthread_mutex_unlock(&e->lock);
}

void rl_lm_free(rl_lm *lm)
{
    rl_lm **at = &lm->engine->pools;

    RL_ASSERT(!lm->run.n);
    while (*at && *at != lm)
        at = &(*at)->pool_next;
    if (*at)
        *at = lm->pool_next;
    rl_kv_prefix_free(lm->prefix);
    rl_kv_pool_free(lm->pool);
    lm_delete(lm);
}

const rl_model *rl_lm_model(const rl_lm *lm)
{
    return lm->model;
}

const rl_vocab *rl_lm_vocab(const rl_lm *lm)
{
    return lm->vocab;
}

const rl_chat *rl_lm_chat(const rl_lm *lm, realm_error *err)
{
    if (!lm->chat && err)
        *err = lm->chat_err;
    return lm->chat;
}

uint32_t rl_lm_n_ctx(const rl_lm *lm)
{
    return lm->n_ctx;
}

/* Those who ask at the same time wait for the first; a failure is tried again by the next. */
const rl_grammar_env *rl_lm_grammar(rl_lm *lm, realm_error *err)
{
    const rl_grammar_env *env;

    (void)pthread_mutex_lock(&lm->grammar_lock);
    if (!lm->grammar && rl_grammar_env_new(&lm->grammar, lm->vocab, err) != REALM_OK)
        lm->grammar = NULL;
    env = lm->grammar;
    (void)pthread_mutex_unlock(&lm->grammar_lock);
    return env;
}
