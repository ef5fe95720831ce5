/* Timing the engine: taking in a prompt, one stream, many streams at once.
 *
 * What is timed is one phase, from the first post to the last job's end, by the caller's clock.
 * Token ids are a fixed pseudo-random series; sequences are new for every repetition. */
#include "lib/internal.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_DEPTH 128u
#define GROUP       8u /* prompts taken in at once: each needs a row of logits */
#define MAX_BATCH   1024u
#define MAX_REPS    1000u

typedef struct lane {
    rl_seq *seq;
    rl_sampler *sampler;
} lane;

typedef struct stage {
    realm_model *m;
    rl_engine *e;
    uint32_t n_seqs;
    lane *lanes;   /* owned [n_seqs] */
    rl_job *jobs;  /* owned [n_seqs] */
    uint32_t *ids; /* owned [n_seqs][n_ids] */
    uint32_t n_ids, depth;
    float *logits; /* owned [GROUP or 1][n_vocab] */
    uint64_t region_ns[RL_REGIONS];
    rl_lib_step step;
} stage;

_Static_assert(RL_REGIONS == REALM_BENCH_REGIONS, "the API counts them too");

static void fill_ids(stage *s)
{
    uint64_t x = 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i < (size_t)s->n_seqs * s->n_ids; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        s->ids[i] = (uint32_t)(x >> 33) % s->m->info.n_vocab;
    }
}

static void stage_deinit(stage *s)
{
    rl_free(s->lanes);
    rl_free(s->jobs);
    rl_free(s->ids);
    rl_free(s->logits);
}

static uint32_t depth_of(const realm_bench_options *o)
{
    return o->batch && !o->depth ? BATCH_DEPTH : o->depth;
}

static realm_status stage_init(stage *s, realm_model *m, const realm_bench_options *o,
                               realm_error *err)
{
    uint32_t n_seqs = o->batch ? o->batch : 1, rows = n_seqs < GROUP ? n_seqs : GROUP;
    realm_status st;

    *s = (stage){ .m = m, .n_seqs = n_seqs, .depth = depth_of(o), .step = { .r = m->r } };
    s->n_ids = s->depth + (o->n_prompt ? o->n_prompt : 1);
    st = rl_lib_engine(m->r, &s->e, err);
    if (st != REALM_OK)
        return st;
    s->lanes = rl_alloc_array(n_seqs, sizeof *s->lanes);
    s->jobs = rl_alloc_array(n_seqs, sizeof *s->jobs);
    s->ids = rl_alloc_array((size_t)n_seqs * s->n_ids, sizeof *s->ids);
    s->logits = rl_alloc_array((size_t)rows * m->info.n_vocab, sizeof *s->logits);
    if (!s->lanes || !s->jobs || !s->ids || !s->logits) {
        stage_deinit(s);
        return realm_fail(err, REALM_ENOMEM, "no memory to measure");
    }
    fill_ids(s);
    return REALM_OK;
}

static void close_seqs(stage *s)
{
    for (uint32_t i = 0; i < s->n_seqs; i++) {
        rl_seq_close(s->lanes[i].seq);
        rl_sampler_free(s->lanes[i].sampler);
        s->lanes[i] = (lane){ .seq = NULL };
    }
}

static realm_status open_seqs(stage *s, const realm_bench_options *o, realm_error *err)
{
    rl_sample_params params = { .temperature = o->temperature,
                                .top_p = o->top_p,
                                .has_seed = true };
    realm_status st = REALM_OK;

    for (uint32_t i = 0; st == REALM_OK && i < s->n_seqs; i++) {
        lane *l = &s->lanes[i];

        params.choice = i;
        l->seq = rl_seq_new(s->e, s->m->lm, 0);
        st = l->seq ? rl_sampler_new(&l->sampler, &params, s->m->info.n_vocab, err)
                    : realm_fail(err, REALM_ENOMEM, "no memory for a sequence");
    }
    return st;
}

/* Every sequence takes in its ids [at, at + n_ids), a group of sequences at a time. */
static realm_status take_ids(stage *s, uint32_t at, uint32_t n_ids, realm_error *err)
{
    realm_status st = REALM_OK;

    for (uint32_t from = 0; st == REALM_OK && from < s->n_seqs; from += GROUP) {
        uint32_t n = s->n_seqs - from < GROUP ? s->n_seqs - from : GROUP;

        for (uint32_t i = 0; i < n; i++)
            s->jobs[i] = (rl_job){ .kind = RL_JOB_LOGITS,
                                   .seq = s->lanes[from + i].seq,
                                   .ids = s->ids + (size_t)(from + i) * s->n_ids + at,
                                   .n_ids = n_ids,
                                   .logits = s->logits + (size_t)i * s->m->info.n_vocab };
        st = rl_lib_run_jobs(s->e, s->jobs, n, &s->step, err);
    }
    return st;
}

/* Every sequence takes one more id and draws n_gen ids. */
static realm_status generate(stage *s, uint32_t n_gen, realm_error *err)
{
    for (uint32_t i = 0; i < s->n_seqs; i++)
        s->jobs[i] = (rl_job){ .kind = RL_JOB_GENERATE,
                               .seq = s->lanes[i].seq,
                               .ids = s->ids + (size_t)i * s->n_ids + s->depth,
                               .n_ids = 1,
                               .sampler = s->lanes[i].sampler,
                               .max_tokens = n_gen,
                               .ignore_eog = true };
    return rl_lib_run_jobs(s->e, s->jobs, s->n_seqs, &s->step, err);
}

/* A step ends after its jobs are done: a job that computes nothing waits for that. */
static realm_status add_regions(stage *s, realm_error *err)
{
    rl_seq *seq = s->lanes[0].seq;
    rl_job fence = { .kind = RL_JOB_TRUNCATE, .seq = seq, .keep = rl_seq_len(seq) };
    realm_status st = rl_lib_run_jobs(s->e, &fence, 1, NULL, err);
    uint64_t ns[RL_REGIONS];

    rl_engine_get_profile(s->e, ns);
    for (size_t i = 0; i < RL_REGIONS; i++)
        s->region_ns[i] += ns[i];
    return st;
}

static realm_status timed(stage *s, const realm_bench_options *o, double *seconds, realm_error *err)
{
    uint64_t start;
    realm_status st;

    rl_engine_set_profiling(s->e, o->profile);
    start = rl_clock_ns();
    st = o->n_prompt ? take_ids(s, s->depth, o->n_prompt, err) : generate(s, o->n_gen, err);
    *seconds = (double)(rl_clock_ns() - start) / 1e9;
    if (st == REALM_OK && o->profile)
        st = add_regions(s, err);
    rl_engine_set_profiling(s->e, false);
    return st;
}

/* One repetition. -> *seconds of the timed phase */
static realm_status once(stage *s, const realm_bench_options *o, double *seconds, realm_error *err)
{
    realm_status st = open_seqs(s, o, err);

    if (st == REALM_OK && s->depth)
        st = take_ids(s, 0, s->depth, err);
    if (st == REALM_OK)
        st = timed(s, o, seconds, err);
    close_seqs(s);
    return st;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void summarise(double *v, uint32_t n, realm_bench_result *out)
{
    qsort(v, n, sizeof *v, by_value);
    *out =
        (realm_bench_result){ .tokens_per_second = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2,
                              .least = v[0],
                              .most = v[n - 1] };
}

const char *realm_bench_region(uint32_t region)
{
    static const char *const names[] = { "embed", "prepare", "qkv",  "attention", "out",
                                         "ffn",   "down",    "head", "sample",    "rest" };

    return names[region];
}

static realm_status repeat(stage *s, const realm_bench_options *o, double *v, uint32_t reps,
                           realm_error *err)
{
    double tokens = o->n_prompt ? o->n_prompt : (double)o->n_gen * s->n_seqs;
    realm_status st = REALM_OK;

    s->step.total = reps + 1;
    for (uint32_t i = 0; st == REALM_OK && i <= reps; i++) {
        double seconds = 0;

        s->step.done = i;
        st = rl_lib_progress(&s->step, i, reps + 1) ? realm_fail(err, REALM_ECANCELLED, "stopped")
                                                    : once(s, o, &seconds, err);
        if (st == REALM_OK && i == 0) /* it warms up */
            memset(s->region_ns, 0, sizeof s->region_ns);
        else if (st == REALM_OK)
            v[i - 1] = tokens / seconds;
    }
    return st;
}

static realm_status check(const realm_model *m, const realm_bench_options *o, uint32_t reps,
                          realm_error *err)
{
    uint64_t longest = depth_of(o) + (o->n_prompt ? o->n_prompt : (uint64_t)o->n_gen + 1);

    if ((o->n_prompt > 0) == (o->n_gen > 0) || (o->n_prompt && o->batch))
        return realm_fail(err, REALM_EINVAL, "measure one prompt, or a generation");
    if (o->batch > MAX_BATCH || reps > MAX_REPS)
        return realm_fail(err, REALM_EINVAL, "at most %u sequences and %u repetitions", MAX_BATCH,
                          MAX_REPS);
    if (longest > m->info.n_ctx)
        return realm_fail(err, REALM_ECONTEXT, "%llu tokens, the context holds %u",
                          (unsigned long long)longest, (unsigned)m->info.n_ctx);
    return REALM_OK;
}

realm_status realm_bench(realm_model *m, const realm_bench_options *opts, realm_bench_result *out,
                         realm_error *err)
{
    uint32_t reps = opts->reps ? opts->reps : 3;
    realm_status st = check(m, opts, reps, err);
    double *v;
    stage s;

    if (st == REALM_OK)
        st = stage_init(&s, m, opts, err);
    if (st != REALM_OK)
        return st;
    s.step.what = opts->n_prompt ? "prompt" : opts->batch ? "batch" : "decode";
    v = rl_alloc_array(reps, sizeof *v);
    if (!v) {
        stage_deinit(&s);
        return realm_fail(err, REALM_ENOMEM, "no memory to measure");
    }
    st = repeat(&s, opts, v, reps, err);
    if (st == REALM_OK && opts->samples)
        memcpy(opts->samples, v, reps * sizeof *v);
    if (st == REALM_OK)
        summarise(v, reps, out);
    for (size_t i = 0; st == REALM_OK && i < RL_REGIONS; i++)
        out->regions[i] = (double)s.region_ns[i] / 1e9;
    rl_free(v);
    stage_deinit(&s);
    return st;
}
