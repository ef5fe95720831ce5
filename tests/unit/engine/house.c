#include "house.h"

#include "base/alloc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char arch[16], path[300];
} packed[8];

static void remove_packed(void)
{
    for (size_t i = 0; i < 8 && packed[i].path[0]; i++)
        (void)unlink(packed[i].path);
}

static void must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

const char *house_packed(const char *arch)
{
    realm_error err = { 0 };
    char gguf[300];
    rl_packed fresh;
    rl_gguf *g;
    size_t i = 0;

    while (packed[i].path[0] && strcmp(packed[i].arch, arch) != 0)
        i++;
    if (packed[i].path[0])
        return packed[i].path;
    (void)snprintf(gguf, sizeof gguf, "%s/%s.gguf", TINY_DIR, arch);
    (void)snprintf(packed[i].path, sizeof packed[i].path, "%s/%s-%d.realm", TINY_DIR, arch,
                   (int)getpid());
    (void)snprintf(packed[i].arch, sizeof packed[i].arch, "%s", arch);
    if (i == 0)
        (void)atexit(remove_packed);
    must(rl_gguf_open(&g, gguf, &err), &err);
    must(rl_model_pack(&fresh, g, packed[i].path, NULL, NULL, &err), &err);
    must(rl_packed_keep(&fresh, packed[i].path, &err), &err);
    rl_gguf_close(g);
    return packed[i].path;
}

void house_open(house *h, const char *arch, const rl_engine_opts *eo, const rl_lm_opts *lo)
{
    realm_error err = { 0 };

    must(rl_engine_new(&h->e, eo, &err), &err);
    must(rl_lm_open(&h->lm, h->e, house_packed(arch), lo, &err), &err);
    h->n_vocab = rl_model_get_info(rl_lm_model(h->lm))->n_vocab;
}

void house_close(house *h)
{
    rl_lm_unref(h->lm);
    rl_engine_free(h->e);
}

rl_seq *house_seq(house *h, uint32_t owner)
{
    rl_seq *s = rl_seq_new(h->e, h->lm, owner);

    assert_non_null(s);
    return s;
}

rl_sampler *house_sampler(house *h, float temperature, uint64_t seed)
{
    rl_sample_params p = { .temperature = temperature, .has_seed = true, .seed = seed };
    realm_error err = { 0 };
    rl_sampler *s;

    must(rl_sampler_new(&s, &p, h->n_vocab, &err), &err);
    return s;
}

void house_ids(uint32_t *ids, uint32_t n, uint32_t seed)
{
    uint64_t state = seed * 2654435761u + 12345;

    for (uint32_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        ids[i] = 3 + (uint32_t)(state >> 33) % 280;
    }
}

static void run(house *h, rl_job *job)
{
    realm_error err = { 0 };

    must(rl_engine_run(h->e, job, &err), &err);
}

void house_logits(house *h, rl_seq *s, const uint32_t *ids, uint32_t n, float *logits)
{
    run(h, &(rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .ids = ids, .n_ids = n, .logits = logits });
}

void house_truncate(house *h, rl_seq *s, uint32_t keep)
{
    run(h, &(rl_job){ .kind = RL_JOB_TRUNCATE, .seq = s, .keep = keep });
    assert_int_equal(rl_seq_len(s), keep);
}

void house_fork(house *h, rl_seq *s, rl_seq *to)
{
    run(h, &(rl_job){ .kind = RL_JOB_FORK, .seq = s, .fork_to = to });
    assert_int_equal(rl_seq_len(s), rl_seq_len(to));
}

static rl_token_reply keep_id(rl_job *job, uint32_t id, float logprob)
{
    house_gen *g = job->ctx;

    (void)logprob;
    g->out[g->n_out++] = id;
    return RL_TOKEN_GO;
}

static void set_done(rl_job *job)
{
    atomic_store(&((house_gen *)job->ctx)->done, 1);
}

void house_gen_init(house *h, house_gen *g, rl_seq *s, const uint32_t *ids, uint32_t n,
                    float temperature, uint32_t n_out)
{
    assert_true(n_out <= 512);
    *g = (house_gen){
        .job = { .kind = RL_JOB_GENERATE,
                 .seq = s,
                 .ctx = g,
                 .done = set_done,
                 .ids = ids,
                 .n_ids = n,
                 .sampler = house_sampler(h, temperature, 7),
                 .max_tokens = n_out,
                 .ignore_eog = true,
                 .token = keep_id },
    };
}

void house_gen_start(house *h, house_gen *g, rl_seq *s, const uint32_t *ids, uint32_t n,
                     float temperature, uint32_t n_out)
{
    realm_error err = { 0 };

    house_gen_init(h, g, s, ids, n, temperature, n_out);
    must(rl_engine_post(h->e, &g->job, &err), &err);
}

void house_gen_wait(house_gen *g)
{
    while (!atomic_load(&g->done))
        (void)usleep(200);
    rl_sampler_free(g->job.sampler);
}

void house_generate(house *h, rl_seq *s, const uint32_t *ids, uint32_t n, float temperature,
                    uint32_t *out, uint32_t n_out)
{
    house_gen g;

    house_gen_start(h, &g, s, ids, n, temperature, n_out);
    house_gen_wait(&g);
    must(g.job.status, &g.job.err);
    assert_int_equal(g.job.finish, RL_FINISH_LENGTH);
    assert_int_equal(g.n_out, n_out);
    memcpy(out, g.out, n_out * sizeof *out);
}

void house_wait_empty(house *h)
{
    rl_engine_stats st;

    do {
        (void)usleep(200);
        rl_engine_get_stats(h->e, &st);
    } while (st.kv_blocks_in_use || st.kv_bytes_used || st.jobs_done != st.jobs_posted);
}
