/* Module realm: drawing the next id of sequences, one or several in one batch. */
#include "guest/abi.h"
#include "guest/generate.h"
#include "guest/job.h"

#include "guest/runtime.h"

#include "base/alloc.h"

typedef struct next_item {
    rl_gseq *seq;        /* borrowed while the guest sleeps, like the sampler's place */
    rl_gsampler *place;  /* where the sampler goes back to */
    rl_sampler *sampler; /* owned meanwhile */
    uint32_t *ids;       /* owned: what was fresh */
    uint32_t id;         /* drawn */
} next_item;

typedef struct next_op {
    rl_jobs_op base;
    uint64_t promised;
    next_item item[RL_JOINT_MAX];
} next_op;

static void next_destroy(rl_op *base)
{
    next_op *op = (next_op *)base;

    for (uint32_t i = 0; i < op->base.n; i++) {
        rl_free(op->item[i].ids);
        rl_sampler_free(op->item[i].sampler);
    }
}

/* Engine thread. */
static rl_token_reply keep_id(rl_job *job, uint32_t id, float logprob)
{
    next_op *op = job->ctx;

    (void)logprob;
    op->item[job - op->base.job].id = id;
    return RL_TOKEN_GO;
}

/* ---- before ---------------------------------------------------------------------------------- */

/* -> 0, or the call's answer for this pair */
static int64_t find_pair(rl_call *c, const next_op *op, uint64_t seq, uint64_t sampler,
                         next_item *item)
{
    int64_t r = rl_gseq_get(c, seq, &item->seq);

    if (r == 0)
        r = rl_gsampler_get(c, sampler, &item->place);
    if (r != 0)
        return r;
    if (item->seq->lm != item->place->lm)
        return rl_call_fail(c, REALM_EINVAL, "the sampler was made for another model");
    for (uint32_t i = 0; i < op->base.n; i++)
        if (op->item[i].seq == item->seq || op->item[i].place == item->place)
            return rl_call_fail(c, REALM_EBUSY,
                                "a sequence and a sampler can each be in one draw at a time");
    return 0;
}

/* Adds a pair; what is wrong with it is its job's status and then costs the others nothing. */
static void add_pair(rl_call *c, next_op *op, uint64_t seq, uint64_t sampler)
{
    next_item item = { 0 };
    rl_job *job = &op->base.job[op->base.n];
    int64_t r = find_pair(c, op, seq, sampler, &item);

    if (r == 0) {
        item.ids = rl_gseq_fresh(item.seq, 0);
        if (!item.ids)
            r = rl_call_fail(c, REALM_ENOMEM, "no memory for the ids");
    }
    if (r != 0) {
        job->status = c->run->last.status;
        job->err = c->run->last;
    } else {
        item.sampler = item.place->sampler;
        item.place->sampler = NULL;
        /* An end token is drawn and recorded like any other: the program looks at it itself. */
        *job = (rl_job){ .kind = RL_JOB_GENERATE,
                         .seq = item.seq->seq,
                         .ids = item.ids,
                         .n_ids = item.seq->n_fresh,
                         .sampler = item.sampler,
                         .max_tokens = 1,
                         .ignore_eog = true,
                         .token = keep_id };
        op->item[op->base.n] = item;
    }
    op->base.n++;
}

/* An op with its tokens set aside, all or none. NULL: the call has failed with *answer. */
static next_op *new_op(rl_call *c, uint32_t n, int64_t *answer)
{
    next_op *op;

    *answer = rl_jobs_check(c);
    if (*answer != 0)
        return NULL;
    op = rl_op_new(c->run, sizeof *op, NULL, next_destroy);
    if (!op) {
        *answer = rl_call_fail(c, REALM_ENOMEM, "no memory for the call");
        return NULL;
    }
    *answer = rl_tokens_promise(c, n, &op->promised);
    if (*answer == 0 && op->promised < n) {
        rl_tokens_settle(c->run, op->promised, 0, 0);
        *answer = rl_call_fail(c, REALM_EQUOTA, "the run has only %llu tokens left",
                               (unsigned long long)op->promised);
    }
    if (*answer == 0)
        return op;
    rl_op_unref(&op->base.op);
    return NULL;
}

/* ---- after ----------------------------------------------------------------------------------- */

/* The times of a step with a prompt in it are the prompt's. */
static void add_times(rl_run *run, const rl_job *job)
{
    if (job->n_ids > 0)
        run->result.prefill_ns += job->prefill_ns;
    else
        run->result.decode_ns += job->prefill_ns;
}

/* Samplers go back; what was recorded is no longer fresh. */
static void take_results(rl_call *c, next_op *op)
{
    uint64_t n_prompt = 0, n_drawn = 0;

    for (uint32_t i = 0; i < op->base.n; i++) {
        const rl_job *job = &op->base.job[i];
        next_item *item = &op->item[i];

        if (!item->seq)
            continue;
        item->place->sampler = item->sampler;
        item->sampler = NULL;
        if (job->status != REALM_OK)
            continue;
        item->seq->n_fresh = 0;
        n_prompt += job->n_ids;
        c->run->result.cached_tokens += job->n_cached;
        n_drawn++;
        add_times(c->run, job);
    }
    rl_tokens_settle(c->run, op->promised, n_prompt, n_drawn);
}

static int64_t one_drawn(rl_call *c)
{
    next_op *op = c->state;
    const rl_job *job = &op->base.job[0];

    take_results(c, op);
    return job->status == REALM_OK ? op->item[0].id : rl_call_fail_err(c, &job->err);
}

/* The sentence that error_text gives is of the last one that failed. */
static int64_t all_drawn(rl_call *c)
{
    next_op *op = c->state;
    uint32_t ids[RL_JOINT_MAX];

    take_results(c, op);
    for (uint32_t i = 0; i < op->base.n; i++) {
        const rl_job *job = &op->base.job[i];

        ids[i] =
            job->status == REALM_OK ? op->item[i].id : (uint32_t)rl_call_fail_err(c, &job->err);
    }
    return rl_call_put(c, 2, ids, op->base.n);
}

/* ---- rows ------------------------------------------------------------------------------------ */

int64_t rl_abi_realm_seq_next(rl_call *c)
{
    int64_t answer;
    next_op *op = new_op(c, 1, &answer);

    if (!op)
        return answer;
    add_pair(c, op, c->arg[0].u, c->arg[1].u);
    return rl_jobs_op_run(c, &op->base, one_drawn);
}

int64_t rl_abi_realm_seqs_next(rl_call *c)
{
    uint32_t n = (uint32_t)c->arg[0].n, i;
    int64_t answer;
    next_op *op;

    if (c->arg[0].n == 0 || c->arg[0].n > RL_JOINT_MAX || c->arg[0].n != c->arg[1].n)
        return rl_call_fail(
            c, REALM_EINVAL, "%llu sequences and %llu samplers: 1 to %u of each are needed",
            (unsigned long long)c->arg[0].n, (unsigned long long)c->arg[1].n, RL_JOINT_MAX);
    if (c->arg[2].n < n)
        return rl_call_fail(c, REALM_ESPACE, "the output holds %llu ids, %u are needed",
                            (unsigned long long)c->arg[2].n, n);
    op = new_op(c, n, &answer);
    if (!op)
        return answer;
    for (i = 0; i < n; i++)
        add_pair(c, op, rl_item_of(&c->arg[0], i), rl_item_of(&c->arg[1], i));
    return rl_jobs_op_run(c, &op->base, all_drawn);
}
