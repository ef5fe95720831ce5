/* What the engine's tests share: an engine with one tiny model, and jobs run to their end. Failures
 * end the test. */
#ifndef TEST_ENGINE_HOUSE_H
#define TEST_ENGINE_HOUSE_H

#include "../test.h"

#include "engine/engine.h"

#include <stdbool.h>

typedef struct house {
    rl_engine *e;
    rl_lm *lm;
    uint32_t n_vocab;
} house;

/* Packs ARCH's tiny model once per process. -> its path */
const char *house_packed(const char *arch);

void house_open(house *h, const char *arch, const rl_engine_opts *eo, const rl_lm_opts *lo);
void house_close(house *h); /* all sequences are closed */

rl_seq *house_seq(house *h, uint32_t owner);
rl_sampler *house_sampler(house *h, float temperature, uint64_t seed);

/* n ids that depend on seed alone, no control tokens among them. */
void house_ids(uint32_t *ids, uint32_t n, uint32_t seed);

/* Blocking jobs that must succeed. */
void house_logits(house *h, rl_seq *s, const uint32_t *ids, uint32_t n, float *logits);
void house_truncate(house *h, rl_seq *s, uint32_t keep);
void house_fork(house *h, rl_seq *s, rl_seq *to);

/* Greedy, or with the seed when temperature > 0; past end tokens. -> ids in out [n_out] */
void house_generate(house *h, rl_seq *s, const uint32_t *ids, uint32_t n, float temperature,
                    uint32_t *out, uint32_t n_out);

/* A generation that runs while the test goes on. */
typedef struct house_gen {
    rl_job job;
    uint32_t out[512], n_out;
    _Atomic uint32_t done;
} house_gen;

/* Makes it without running it: `job` can be changed and then posted, or run. */
void house_gen_init(house *h, house_gen *g, rl_seq *s, const uint32_t *ids, uint32_t n,
                    float temperature, uint32_t n_out);
void house_gen_start(house *h, house_gen *g, rl_seq *s, const uint32_t *ids, uint32_t n,
                     float temperature, uint32_t n_out);
void house_gen_wait(house_gen *g); /* frees the sampler too */

/* Waits until everything that was closed is freed. */
void house_wait_empty(house *h);

#endif
