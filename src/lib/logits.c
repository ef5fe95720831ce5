/* Raw logits of a text, and their largest. */
#include "lib/internal.h"

#include "base/alloc.h"

#include <math.h>

realm_status realm_logits(realm_model *m, const uint32_t *ids, size_t n_ids, float *logits,
                          realm_error *err)
{
    rl_lib_step step = { .r = m->r, .what = "computing" };
    rl_job job = { .kind = RL_JOB_LOGITS, .ids = ids, .n_ids = (uint32_t)n_ids, .logits = logits };
    rl_engine *e;
    realm_status st = rl_lib_engine(m->r, &e, err);

    if (st != REALM_OK)
        return st;
    if (n_ids == 0)
        return realm_fail(err, REALM_EINVAL, "no tokens to compute: give a prompt or ids");
    if (n_ids > m->info.n_ctx)
        return realm_fail(err, REALM_ECONTEXT, "%zu tokens, the context holds %u", n_ids,
                          (unsigned)m->info.n_ctx);
    for (size_t i = 0; i < n_ids; i++) {
        if (ids[i] >= m->info.n_vocab)
            return realm_fail(err, REALM_EINVAL, "token %u is not one of the model's %u",
                              (unsigned)ids[i], (unsigned)m->info.n_vocab);
    }
    job.seq = rl_seq_new(e, m->lm, 0);
    if (!job.seq)
        return realm_fail(err, REALM_ENOMEM, "no memory for a sequence");
    st = rl_lib_run_jobs(e, &job, 1, &step, err);
    rl_seq_close(job.seq);
    return st;
}

/* Ties go to the lower id: a candidate must be larger than what stands before it. NaN never enters.
 */
static void offer(realm_logit *top, uint32_t *n, uint32_t k, uint32_t id, float logit)
{
    uint32_t at = *n;

    while (at && top[at - 1].logit < logit)
        at--;
    if (at == k || isnan(logit))
        return;
    if (*n < k)
        ++*n;
    for (uint32_t i = *n - 1; i > at; i--)
        top[i] = top[i - 1];
    top[at] = (realm_logit){ .id = id, .logit = logit };
}

double realm_top_logits(const float *logits, uint32_t n_vocab, realm_logit *top, uint32_t k)
{
    uint32_t n = 0;
    float best;

    for (uint32_t i = 0; k && i < n_vocab; i++) {
        if (n < k || logits[i] > top[n - 1].logit)
            offer(top, &n, k, i, logits[i]);
    }
    return rl_logprobs(logits, n_vocab, 0, &best, NULL, 0);
}
