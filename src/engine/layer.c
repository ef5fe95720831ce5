/* Layer access: one layer over a guest's hidden states, or the head. Each layer of a sequence has
 * its own length; when all are the same the sequence goes on like any other. Engine thread only,
 * between steps. */
#include "base/alloc.h"
#include "base/clock.h"
#include "engine/internal.h"

/* The sequence's own record of lengths, made when layers begin to differ. */
static realm_status split_lengths(rl_seq *s, realm_error *err)
{
    uint32_t n = rl_model_get_info(s->lm->model)->n_layers;

    if (!s->layer_len)
        s->layer_len = rl_alloc_array(n, sizeof *s->layer_len);
    if (!s->layer_len)
        return realm_fail(err, REALM_ENOMEM, "no memory for the lengths of %u layers", n);
    for (uint32_t i = 0; i < n && !s->uneven; i++)
        s->layer_len[i] = s->n_computed;
    s->uneven = true;
    return REALM_OK;
}

/* After a change: the shortest layer is the sequence's length, the longest what memory holds. */
static realm_status join_lengths(rl_seq *s, realm_error *err)
{
    uint32_t n = rl_model_get_info(s->lm->model)->n_layers;
    uint32_t least = s->layer_len[0], most = least;
    realm_status st = REALM_OK;

    for (uint32_t i = 1; i < n; i++) {
        least = s->layer_len[i] < least ? s->layer_len[i] : least;
        most = s->layer_len[i] > most ? s->layer_len[i] : most;
    }
    s->uneven = least != most;
    if (least > s->len)
        st = rl_seq_append(s, NULL, least - s->len, err);
    if (st == REALM_OK)
        s->len = s->n_computed = least;
    rl_kv_truncate(&s->kv, most);
    return st;
}

static realm_status compute(rl_engine *e, rl_seq *s, const rl_job *job, realm_error *err)
{
    const rl_model *m = s->lm->model;
    size_t n_embd = rl_model_get_info(m)->n_embd;
    realm_status st = REALM_OK;

    for (uint32_t i = 0; i < job->n_hidden && st == REALM_OK; i += e->opts.max_rows) {
        uint32_t left = job->n_hidden - i;
        rl_span span = { .kv = &s->kv, .pos = job->pos + i };

        span.n = left < e->opts.max_rows ? left : e->opts.max_rows;
        st = rl_forward_layer(e->forward, m, job->layer, &span, 1, job->hidden + i * n_embd, err);
    }
    return st;
}

/* -> EBUSY: no KV room now */
static realm_status run_layer(rl_engine *e, rl_seq *s, rl_job *job)
{
    uint32_t have = s->uneven ? s->layer_len[job->layer] : s->n_computed;
    realm_status st;

    if (job->pos > have)
        return realm_fail(&job->err, REALM_EINVAL,
                          "layer %u has %u positions, these begin at %u: leave no gap", job->layer,
                          have, job->pos);
    rl_prefix_leave(s, job->pos);
    st = rl_room_reserve(s, job->pos, job->n_hidden);
    if (st == REALM_OK)
        st = split_lengths(s, &job->err);
    if (st != REALM_OK)
        return st;
    s->tainted = true;
    st = compute(e, s, job, &job->err);
    s->layer_len[job->layer] = job->pos + (st == REALM_OK ? job->n_hidden : 0);
    if (st == REALM_OK)
        return join_lengths(s, &job->err);
    (void)join_lengths(s, NULL);
    return st;
}

static realm_status run_head(rl_engine *e, rl_seq *s, rl_job *job)
{
    const rl_model *m = s->lm->model;
    size_t last = (size_t)(job->n_hidden - 1) * rl_model_get_info(m)->n_embd;

    return rl_forward_head(e->forward, m, job->hidden + last, 1, job->logits, &job->err);
}

bool rl_layers_run(rl_engine *e)
{
    uint64_t begin = rl_clock_ns();
    bool moved = false;

    for (uint32_t left = e->layers.n; left > 0; left--) {
        rl_seq *s = e->layers.head;
        rl_job *job = s->run.job;
        realm_status st;

        rl_job_begin(s, begin);
        st = job->kind == RL_JOB_HEAD ? run_head(e, s, job) : run_layer(e, s, job);
        if (st == REALM_EBUSY) { /* to the end of the list, but still waiting */
            rl_seq_list_remove(&e->layers, s);
            rl_seq_list_push(&e->layers, s);
            continue;
        }
        moved = true;
        atomic_fetch_add(&s->steps, 1);
        rl_job_finish(s, st, RL_FINISH_NONE);
    }
    if (moved)
        atomic_fetch_add(&e->busy_ns, rl_clock_ns() - begin);
    return moved;
}
